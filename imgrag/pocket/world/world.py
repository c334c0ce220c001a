"""The pocket world: icons, their three disjoint sets, the scenes and sentences made of them.

A scene is 64x64 px: one object in the middle or two side by side on a plain named
background. Every object fills one 32 px slot, and every slot lies on the 8 px grid of the
latents, which is what lets a small generator learn it.

`concepts.csv` is the one list of names, sets, sources and licences. The pictures are the
library's own (`datasets/libraries/pocket`), drawn once from the font by `icons.py`.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from imgrag.engine.prompts import with_article

CONCEPTS_FILE = Path(__file__).with_name("concepts.csv")
LIBRARY = Path(__file__).parents[3] / "datasets" / "libraries" / "pocket"

SCENE = 64  # px, the side of a scene
SLOT = 32  # px, the side of an object's slot
SLOTS_ONE = (16,)  # left edges of the slots of a scene with one object
SLOTS_TWO = (0, 32)
SLOT_TOP = 16

COLOURS: dict[str, tuple[int, int, int]] = {
    "white": (250, 250, 250),
    "gray": (168, 170, 174),
    "red": (226, 88, 84),
    "orange": (246, 170, 88),
    "yellow": (250, 226, 120),
    "green": (128, 196, 128),
    "blue": (120, 168, 232),
    "purple": (180, 146, 214),
}


@dataclass(frozen=True)
class Icon:
    """One concept of the world. `set` is "known", "shown" or "unseen" (see the README)."""

    name: str
    set: str
    codepoints: str
    category: str
    source: str
    licence: str

    @property
    def file_name(self) -> str:
        return f"{self.name.replace(' ', '-')}.png"


@cache
def icons() -> tuple[Icon, ...]:
    """Every concept of the world, in the order of `concepts.csv`."""
    with CONCEPTS_FILE.open(newline="", encoding="utf-8") as file:
        return tuple(Icon(**row) for row in csv.DictReader(file))


def indices(*sets: str) -> np.ndarray:
    """Positions in `icons()` of the concepts of these sets, int64 [n]."""
    return np.array([i for i, icon in enumerate(icons()) if icon.set in sets])


@cache
def names() -> tuple[str, ...]:
    return tuple(icon.name for icon in icons())


def slot_picture(picture: Image.Image, size: int = SLOT) -> np.ndarray:
    """A square RGBA picture at `size` px with premultiplied alpha, float32 [size, size, 4] in 0..1."""
    rgba = np.asarray(picture.convert("RGBA"), np.float32) / 255
    rgba[..., :3] *= rgba[..., 3:]
    planes = [
        np.asarray(Image.fromarray(rgba[..., i]).resize((size, size), Image.Resampling.BICUBIC))
        for i in range(4)
    ]
    return np.clip(np.stack(planes, axis=-1), 0, 1)


@cache
def icon_slots(size: int = SLOT) -> torch.Tensor:
    """All icons with premultiplied alpha, float32 [n, 4, size, size] in 0..1."""
    pictures = [slot_picture(Image.open(LIBRARY / icon.file_name), size) for icon in icons()]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


def colour_values() -> torch.Tensor:
    """The named backgrounds, float32 [n, 3] in 0..1."""
    return torch.tensor(list(COLOURS.values()), dtype=torch.float32) / 255


def over(slots: torch.Tensor, colours: torch.Tensor) -> torch.Tensor:
    """Premultiplied slots [b, 4, h, w] laid over plain colours [b, 3] -> [b, 3, h, w]."""
    return slots[:, :3] + (1 - slots[:, 3:]) * colours[:, :, None, None]


def compose(
    left: torch.Tensor, right: torch.Tensor, two: torch.Tensor, colours: torch.Tensor, scale: int = 1
) -> torch.Tensor:
    """Scenes float32 [b, 3, 64, 64] in 0..1 from object slots [b, 4, 32, 32], or `scale` times as large from such ones.

    Where `two` [b] is true, `left` and `right` stand side by side; elsewhere `left` stands
    alone in the middle.
    """
    side, slot = SCENE * scale, SLOT * scale
    scenes = colours[:, :, None, None].expand(-1, -1, side, side).clone()
    rows = slice(SLOT_TOP * scale, SLOT_TOP * scale + slot)
    first, second = over(left, colours), over(right, colours)
    pair, single = two.nonzero()[:, 0], (~two).nonzero()[:, 0]
    for where, picture, x in (
        (pair, first, SLOTS_TWO[0]),
        (pair, second, SLOTS_TWO[1]),
        (single, first, SLOTS_ONE[0]),
    ):
        scenes[where, :, rows, x * scale : x * scale + slot] = picture[where]
    return scenes


def slots_of(scenes: torch.Tensor) -> torch.Tensor:
    """The left and the right slot of each scene [b, 3, 64, 64] -> [b, 2, 3, 32, 32], a copy."""
    rows = slice(SLOT_TOP, SLOT_TOP + SLOT)
    return torch.stack([scenes[:, :, rows, x : x + SLOT] for x in SLOTS_TWO], dim=1)


def to_image(scene: torch.Tensor) -> Image.Image:
    """A scene float [3, h, w] in 0..1 as an RGB picture."""
    return Image.fromarray((scene.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())


def scene_image(objects: tuple[str, ...], colour: str) -> Image.Image:
    """The true picture of one or two named objects on a named background.

    Raises:
        KeyError: a name or colour the world does not have.
    """
    place = {name: i for i, name in enumerate(names())}
    slots = icon_slots()[[place[name] for name in objects]]
    background = torch.tensor([COLOURS[colour]], dtype=torch.float32) / 255
    two = torch.tensor([len(objects) == 2])
    return to_image(compose(slots[:1], slots[-1:], two, background)[0])


JOINS = (" and ", " and ", " and ", " with ", " next to ", " beside ", " near ", ", ")
OPENINGS = (
    "a photo of {}",
    "a picture of {}",
    "an image of {}",
    "a drawing of {}",
    "an illustration of {}",
    "an icon of {}",
    "a beautiful picture of {}",
    "a nice photo of {}",
    "please draw {}",
    "there is {}",
)
ADJECTIVES = (
    "beautiful", "nice", "pretty", "cute", "lovely", "little", "small", "big", "large", "single",
    "simple", "new", "old", "real", "good", "great", "happy", "fancy", "colorful", "bright",
)  # fmt: skip


def sentence(objects: tuple[str, ...], colour: str | None, rng: np.random.Generator) -> str:
    """A prompt that people might type for these objects; it says `colour` only if given one."""
    nouns = []
    for name in objects:
        phrase = with_article(name)
        if rng.random() < 0.12:
            phrase = with_article(f"{ADJECTIVES[rng.integers(len(ADJECTIVES))]} {name}")
        elif rng.random() < 0.1:
            phrase = name if rng.random() < 0.6 else f"the {name}"
        nouns.append(phrase)
    text = JOINS[rng.integers(len(JOINS))].join(nouns)
    if colour is not None:
        text += f" on {'a ' if rng.random() < 0.85 else ''}{colour} background"
    if rng.random() < 0.2:
        text = OPENINGS[rng.integers(len(OPENINGS))].format(text)
    return text
