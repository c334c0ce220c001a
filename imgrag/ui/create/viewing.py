"""The picture at the top of the right side -> HTML, in the language in force; viewer.js acts on it.

While a run goes it shows what is being drawn. Once there is a result it shows that, whole, and beside it a
choice: the initial image and the enhanced one side by side, under a slider, or in turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

from imgrag.runs.values import Run
from imgrag.ui.create import takings
from imgrag.ui.create.board import Board
from imgrag.ui.language import say


@dataclass(frozen=True)
class Shown:
    """The kept image, and the two that are compared where there are two; as files that the page may serve.

    Where `image` was made larger, `judged` is what the judge saw.
    """

    image: str
    before: str = ""
    after: str = ""
    judged: str = ""


def compared(run: Run) -> tuple[str, str] | None:
    """The files of the initial image and the one it is compared with: the kept one, else the last one drawn."""
    drawn = [number for number, past in enumerate(run.rounds, start=1) if past.enhanced is not None]
    if run.initial is None or not drawn:
        return None
    number = run.kept or drawn[-1]
    return "initial.png", "enhanced.png" if number == 1 else f"enhanced-{number}.png"


def picture(board: Board, shown: Shown | None) -> str:
    """What viewer.js shows: the images of a finished run, or a place for what the panels draw."""
    if shown is None:
        return f'<div class="ir-viewer" data-live><div class="ir-frame">{_image("shown", "", "")}</div></div>'
    result = _image("shown", shown.image, say("Result for the prompt: {prompt}", prompt=board.prompt))
    if shown.judged:
        result += _image(
            "judged", shown.judged, say("What the judge saw for the prompt: {prompt}", prompt=board.prompt)
        )
    tools = _tools(bool(shown.judged), bool(shown.before), board.prompt)
    if not shown.before:
        return f'<div class="ir-viewer"><div class="ir-frame">{result}</div>{tools}</div>'
    before = say("Before: initial image for {prompt}", prompt=board.prompt)
    after = say("After: enhanced image for {prompt}", prompt=board.prompt)
    pair = f"{_side('before', shown.before, before, say('Before'))}{_side('after', shown.after, after, say('After'))}"
    slider = (
        f'<input class="ir-slide" type="range" min="0" max="100" value="50" '
        f'aria-label="{escape(say("How much of the initial image is shown"))}">'
    )
    return (
        f'<div class="ir-viewer"><div class="ir-frame">{result}<div class="ir-both">{pair}{slider}</div></div>'
        f"{tools}</div>"
    )


def heading() -> str:
    """Above what is told of the result; until there is one, what stands in its place (past.css shows which)."""
    until = say("What is drawn so far. The result stands here once the run has ended.")
    return (
        f'<div class="ir-head"><h2>{escape(say("Result"))}</h2></div>'
        f'<div class="ir-so-far"><h2>{escape(say("So far"))}</h2><p class="ir-reason">{escape(until)}</p></div>'
    )


def _side(name: str, file: str, alt: str, words: str) -> str:
    return f"<figure>{_image(name, file, alt)}<figcaption>{escape(words)}</figcaption></figure>"


def _image(name: str, file: str, alt: str) -> str:
    """An image whose address viewer.js makes of the file: only the browser knows what the page's own begins with."""
    path = Path(file).as_posix() if file else ""
    return f'<img data-image="{name}" data-file="{escape(path)}" alt="{escape(alt[:300])}">'


def _tools(judged: bool, pair: bool, prompt: str) -> str:
    """The choice of how to look at it, full screen, and what can be taken from it."""
    views = [("whole", say("Whole"))]
    views += [("judged", say("As judged"))] if judged else []
    views += (
        [("sides", say("Side by side")), ("slider", say("Slider")), ("blink", say("Blink"))] if pair else []
    )
    buttons = "".join(
        f'<button type="button" data-view="{view}" aria-pressed="{str(view == "whole").lower()}">{escape(words)}</button>'
        for view, words in views
    )
    group = (
        f'<div class="ir-views" role="group" aria-label="{escape(say("Compare"))}">{buttons}</div>'
        if len(views) > 1
        else ""
    )
    large = f'<button type="button" data-large>{escape(say("Full screen"))}</button>'
    menus = takings.of_run("", prompt, True) + takings.sharing("", prompt, True)
    return f'<div class="ir-tools">{group}{large}<div class="ir-menus">{menus}</div></div>'
