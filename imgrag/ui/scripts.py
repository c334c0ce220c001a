"""What runs in the browser besides Gradio: the scripts of the page's head, and the words that they say."""

from __future__ import annotations

from html import escape
from pathlib import Path

from imgrag.runs.values import MAX_PROMPT
from imgrag.ui.language import say, told

HERE = Path(__file__).parent
HEAD = ("page.js", "lightbox.js", "signals.js", "seeds.js", "keys.js", "sharing.js", "drops.js")
STYLES = ("page.css", "result.css", "past.css", "inside.css")


def head() -> str:
    """The scripts, each in an element of its own: one that breaks takes no other along."""
    return "".join(f"<script>{(HERE / name).read_text(encoding='utf-8')}</script>" for name in HEAD)


def words_said(links: bool = False) -> str:
    """What the scripts say, in the language in force, where they find it; what is in brackets they fill in.

    Args:
        links: runs can be shared by a link.
    """
    texts = {
        "previous": say("Previous"), "next": say("Next"), "close": say("Close"), "large": say("Larger picture"),
        "waiting": say("Waiting for its turn"),
        "place": say("Waiting for its turn, place {place} of {all}", place="[place]", all="[all]"),
        "left": say("about {time} left", time=say("{seconds} s", seconds="[left]")),
        "empty": told("The prompt is empty. Describe what to draw, for example: a dog and a toolbox."),
        "long": told(f"The prompt has {MAX_PROMPT + 1} characters; at most {MAX_PROMPT} are allowed. Shorten it.")
        .replace(str(MAX_PROMPT + 1), "[count]"),
        "most": str(MAX_PROMPT),
        "share": say("Share"), "copy": say("Copy"), "copied": say("Copied"),
    }  # fmt: skip
    if links:
        texts["links"] = say("Whoever has this link can look at the picture, its prompt and how it was decided, and save it with its record. Nothing else of yours is shown.")  # fmt: skip
    words = "".join(f'<i data-word="{name}">{escape(text)}</i>' for name, text in texts.items())
    return f"{words}{_help()}{_drop()}"


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


def _drop() -> str:
    """What can be done with a picture that is dropped; drops.js asks."""
    ways = (
        ("initial", say("As initial image")),
        ("reference", say("As reference")),
        ("caption", say("Write its caption")),
        ("search", say("Search by it")),
        ("library", say("Add to a library")),
    )
    buttons = "".join(
        f'<button type="button" data-way="{way}">{escape(words)}</button>' for way, words in ways
    )
    name = escape(say("What is to be done with it?"))
    taken = escape(
        say("Only pictures and zips can be dropped here. A list of prompts goes into “Many at once”.")
    )
    return (
        f'<div id="ir-drop" data-name="{name}" data-taken="{taken}" hidden><h2>{name}</h2>{buttons}'
        f"<small>{escape(say('Initial image and reference belong to a run that is shown.'))}</small>"
        f'<button type="button" data-close>{escape(say("Cancel"))}</button></div>'
    )
