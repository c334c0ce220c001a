"""The quiet menus of what can be taken from a run or from a picture of a library -> HTML, in the language in force.

A button's `data-do` is the act that its component's "select" event carries; `events/takings.py` acts on it, and
`history/sharing.py` on those that give a run away.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Literal, get_args

from imgrag.ui.language import say

Act = Literal["take-prompt", "take-seed", "take-initial", "take-reference", "take-name"]
ACTS: tuple[Act, ...] = get_args(Act)


def of_run(run_id: str, named: str, drawn: bool) -> str:
    """What a run gives; its picture only where it has drawn one. `run_id` is "" for the one that is shown."""
    words: dict[Act, str] = {"take-prompt": say("Use prompt"), "take-seed": say("Use seed")}
    if drawn:
        words |= {"take-initial": say("As initial image"), "take-reference": say("As reference")}
    return _menu(say("Use"), words, run_id, "", named)


def sharing(run_id: str, named: str, finished: bool, shared: bool | None = None) -> str:
    """How a run is given away. Its links are seen only where the operator allows them (past.css).

    Args:
        shared: whether it has a link; `None` where that is not known.
    """
    words = {"share-png": say("PNG with its record")} if finished else {}
    words |= {"share-zip": say("Everything as zip")}
    if finished and not shared:
        words["share-link"] = say("A link for anybody")
    if shared is not False:
        words["share-unlink"] = say("Take the link back")
    return _menu(say("Share"), words, run_id, "", named)


def of_picture(file: str, name: str) -> str:
    """What a picture of a library gives; its name only where it has one."""
    words: dict[Act, str] = {"take-name": say("Draw with this")} if name else {}
    return _menu(say("Use"), {**words, "take-reference": say("Use as reference")}, file, name, name or file)


def _menu(title: str, words: Mapping[Any, str], which: str, value: str, named: str) -> str:
    """`which` run or file, and what goes into the prompt; `named` is what it is called aloud."""
    about = f'data-id="{escape(which)}" data-name="{escape(value)}"'
    buttons = "".join(
        f'<button type="button" data-do="{act}" {about} aria-label="{escape(said)}: {escape(named)}">{escape(said)}</button>'
        for act, said in words.items()
    )
    summary = f'<summary aria-label="{escape(title)}: {escape(named)}">{escape(title)}</summary>'
    return f'<details class="ir-take">{summary}<div>{buttons}</div></details>'
