"""The quiet menus of what can be taken from a run or from a picture of a library -> HTML, in the language in force.

A button's `data-do` is the act that its component's "select" event carries; `events/takings.py` acts on it.
"""

from __future__ import annotations

from html import escape
from typing import Literal, get_args

from imgrag.ui.language import say

Act = Literal["take-prompt", "take-seed", "take-initial", "take-reference", "take-name"]
ACTS: tuple[Act, ...] = get_args(Act)


def of_run(run_id: str, named: str, drawn: bool) -> str:
    """What a run gives; its picture only where it has drawn one. `run_id` is "" for the one that is shown."""
    words: dict[Act, str] = {"take-prompt": say("Use prompt"), "take-seed": say("Use seed")}
    if drawn:
        words |= {"take-initial": say("As initial image"), "take-reference": say("As reference")}
    return _menu(words, run_id, "", named)


def of_picture(file: str, name: str) -> str:
    """What a picture of a library gives; its name only where it has one."""
    words: dict[Act, str] = {"take-name": say("Draw with this")} if name else {}
    return _menu({**words, "take-reference": say("Use as reference")}, file, name, name or file)


def _menu(words: dict[Act, str], which: str, value: str, named: str) -> str:
    """`which` run or file, and what goes into the prompt; `named` is what it is called aloud."""
    about = f'data-id="{escape(which)}" data-name="{escape(value)}"'
    buttons = "".join(
        f'<button type="button" data-do="{act}" {about} aria-label="{escape(said)}: {escape(named)}">{escape(said)}</button>'
        for act, said in words.items()
    )
    summary = f'<summary aria-label="{escape(say("Use"))}: {escape(named)}">{escape(say("Use"))}</summary>'
    return f'<details class="ir-take">{summary}<div>{buttons}</div></details>'
