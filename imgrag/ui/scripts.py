"""What runs in the browser besides Gradio: the scripts of the page's head, and the words that they say."""

from __future__ import annotations

from html import escape
from pathlib import Path

from imgrag.runs.values import MAX_PROMPT
from imgrag.ui.language import say, told

HERE = Path(__file__).parent
HEAD = ("page.js", "lightbox.js", "signals.js", "seeds.js", "keys.js")
STYLES = ("page.css", "result.css", "inside.css")


def head() -> str:
    """The scripts, each in an element of its own: one that breaks takes no other along."""
    return "".join(f"<script>{(HERE / name).read_text(encoding='utf-8')}</script>" for name in HEAD)


def words_said() -> str:
    """What the scripts say, in the language in force, where they find it; what is in brackets they fill in."""
    texts = {
        "previous": say("Previous"), "next": say("Next"), "close": say("Close"), "large": say("Larger picture"),
        "waiting": say("Waiting for its turn"),
        "place": say("Waiting for its turn, place {place} of {all}", place="[place]", all="[all]"),
        "left": say("about {time} left", time=say("{seconds} s", seconds="[left]")),
        "empty": told("The prompt is empty. Describe what to draw, for example: a dog and a toolbox."),
        "long": told(f"The prompt has {MAX_PROMPT + 1} characters; at most {MAX_PROMPT} are allowed. Shorten it.")
        .replace(str(MAX_PROMPT + 1), "[count]"),
        "most": str(MAX_PROMPT),
    }  # fmt: skip
    words = "".join(f'<i data-word="{name}">{escape(text)}</i>' for name, text in texts.items())
    return f"{words}{_help()}"


def _help() -> str:
    """What keys do, and the signals that a person may want; keys.js shows it."""
    keys = (
        ("Ctrl Enter", say("Run")),
        ("Esc", say("Stop, or close what is open")),
        ("← →", say("Look at the result in another way, or turn pictures over")),
        ("/", say("To the prompt")),
        ("?", say("This list")),
    )
    rows = "".join(f"<div><dt><kbd>{key}</kbd></dt><dd>{escape(words)}</dd></div>" for key, words in keys)
    signals = (("sound", say("A sound")), ("notification", say("A notification")))
    boxes = "".join(
        f'<label><input type="checkbox" data-signal="{name}"> {escape(words)}</label>'
        for name, words in signals
    )
    name, heading = escape(say("Keys and signals")), escape(say("When a run is over"))
    return (
        f'<div id="ir-help" data-name="{name}" hidden><h2>{name}</h2><dl>{rows}</dl><p>{heading}</p>{boxes}'
        f'<button type="button" data-close>{escape(say("Close"))}</button></div>'
    )
