"""The styles of a run: which were asked for, and what each brought along. Pure values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MAX_STYLES = 4  # of one image
LONGEST_NAME = 100  # characters
PLACE = "{prompt}"


@dataclass(frozen=True)
class Styled:
    """A style that a person wants, by its name, and how strongly, 0 to 2."""

    name: str
    weight: float = 1.0


@dataclass(frozen=True)
class Styling:
    """A style as a run drew in it, whatever becomes of its folder.

    Attributes:
        name: its folder's.
        title: what people call it.
        weight: as it was asked for, 0 to 2.
        scale: the style's own, 0 to 2; the LoRA's is the product of both.
        template: the prompt goes where it says {prompt}.
        negative: what is to be kept out of the image.
        lora: SHA-256 of its LoRA, "" where it has none.
        words: the words of the prompt that called it, "" where it was picked.
    """

    name: str
    title: str
    weight: float = 1.0
    scale: float = 1.0
    template: str = PLACE
    negative: str = ""
    lora: str = ""
    words: str = ""


def joined(picked: Sequence[Styling], called: Sequence[Styling]) -> tuple[Styling, ...]:
    """Those that the prompt calls and those that a person picked, each once, with the weight that it was picked with."""
    return tuple({style.name: style for style in (*called, *picked)}.values())


def worded_in(styles: Sequence[Styling], prompt: str) -> str:
    """A prompt as the generator is asked for it, in one style after the other."""
    for style in styles:
        prompt = style.template.replace(PLACE, prompt)
    return prompt
