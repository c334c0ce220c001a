"""What runs in the browser besides Gradio: the scripts of the page's head, and the words that they say."""

from __future__ import annotations

from html import escape
from pathlib import Path

from imgrag.ui.language import say

HERE = Path(__file__).parent
HEAD = ("page.js", "lightbox.js")
STYLES = ("page.css", "result.css")


def head() -> str:
    """The scripts, each in an element of its own: one that breaks takes no other along."""
    return "".join(f"<script>{(HERE / name).read_text(encoding='utf-8')}</script>" for name in HEAD)


def words_said() -> str:
    """What the scripts say, in the language in force, where they find it."""
    texts = {
        "previous": say("Previous"), "next": say("Next"), "close": say("Close"), "large": say("Larger picture"),
    }  # fmt: skip
    return "".join(f'<i data-word="{name}">{escape(text)}</i>' for name, text in texts.items())
