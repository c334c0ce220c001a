"""What the adapter learns to copy besides the icons: pictures that nobody drew, and other hands' pictures.

Five hundred icons are few shapes. An adapter that has seen only them copies a new one by the nearest
it knows; one that must copy anything learns to look. Unseen icons take no part, in no style.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw

from imgrag.pocket.world import emoji_sets, world

CANVAS = 96  # px a scribble is drawn at before it becomes a slot
TILTED = 0.5  # of all inventions are turned, sheared and scaled a little
TURNED = 0.25  # of other hands' pictures are


def gather(count: int, rng: np.random.Generator) -> torch.Tensor:
    """Other hands' pictures with premultiplied alpha, float32 [count, 4, 32, 32] in 0..1; half are of icons."""
    made = []
    for _ in range(count):
        gallery = galleries()[rng.integers(2)]
        picture = gallery.pick(int(rng.integers(len(gallery.shows))))
        made.append(_tilted(picture, rng) if rng.random() < TURNED else picture)
    return torch.stack(made)


@cache
def galleries() -> tuple[emoji_sets.Gallery, emoji_sets.Gallery]:
    """Icons that may be looked at, and things that are no icon."""
    icons = emoji_sets.named(world.SLOT).of(world.indices("known", "shown"))
    return icons, emoji_sets.strangers(world.SLOT)


def invent(count: int, rng: np.random.Generator) -> torch.Tensor:
    """Parts of icons joined, painted anew, or scribbles: premultiplied alpha, as `gather` gives them."""
    pool = world.icon_slots()[world.indices("known", "shown")]
    made = [_WAYS[rng.integers(len(_WAYS))](pool, rng) for _ in range(count)]
    return torch.stack([_tilted(icon, rng) if rng.random() < TILTED else icon for icon in made])


def _joined(pool: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Two icons on either side of a line."""
    one, other = pool[rng.integers(len(pool), size=2)]
    angle, offset = rng.random() * 2 * np.pi, rng.uniform(-0.3, 0.3)
    axis = torch.linspace(-1, 1, world.SLOT)
    across = float(np.cos(angle)) * axis[None, :] + float(np.sin(angle)) * axis[:, None]
    side = torch.sigmoid((across - offset) * world.SLOT / 2)
    return one * side + other * (1 - side)


def _stacked(pool: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A small icon on a large one."""
    under, small = pool[rng.integers(len(pool), size=2)].clone()
    side = int(rng.integers(10, 23))
    small = F.interpolate(small[None], size=(side, side), mode="bilinear", antialias=True)[0]
    top, left = rng.integers(0, world.SLOT - side + 1, size=2)
    place = under[:, top : top + side, left : left + side]
    under[:, top : top + side, left : left + side] = small + place * (1 - small[3:])
    return under


def _painted(pool: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """The outline of an icon, filled with a texture."""
    alpha = pool[rng.integers(len(pool))][3:]
    return torch.cat([_texture(rng) * alpha, alpha])


def _blotted(pool: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """An outline of its own, filled with a texture."""
    axis = torch.linspace(-1, 1, world.SLOT)
    rim = 1 - (axis[None, :] ** 2 + axis[:, None] ** 2) ** 2
    alpha = torch.sigmoid(8 * (_noise(1, int(rng.integers(3, 7)), rng)[0] - 0.5) + 5 * rim - 2)[None]
    return torch.cat([_texture(rng) * alpha, alpha])


def _scribbled(pool: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Discs, polygons, lines and spokes in a few colours."""
    image = Image.new("RGBA", (CANVAS, CANVAS))
    pen = ImageDraw.Draw(image)
    palette = [tuple(rng.integers(0, 256, 3).tolist()) for _ in range(int(rng.integers(2, 5)))]
    for _ in range(int(rng.integers(3, 14))):
        colour = palette[rng.integers(len(palette))]
        _STROKES[rng.integers(len(_STROKES))](pen, colour, rng)
    return torch.from_numpy(world.slot_picture(image)).permute(2, 0, 1)


def _disc(pen: ImageDraw.ImageDraw, colour: tuple[int, ...], rng: np.random.Generator) -> None:
    (x, y), radius = rng.uniform(10, CANVAS - 10, 2), rng.uniform(4, 26)
    box = (x - radius, y - radius, x + radius, y + radius)
    if rng.random() < 0.3:
        pen.ellipse(box, outline=colour, width=int(rng.integers(3, 9)))
    else:
        pen.ellipse(box, fill=colour)


def _polygon(pen: ImageDraw.ImageDraw, colour: tuple[int, ...], rng: np.random.Generator) -> None:
    middle, spread = rng.uniform(15, CANVAS - 15, 2), rng.uniform(8, 34)
    corners = middle + rng.uniform(-spread, spread, (int(rng.integers(3, 6)), 2))
    pen.polygon([(float(x), float(y)) for x, y in corners], fill=colour)


def _line(pen: ImageDraw.ImageDraw, colour: tuple[int, ...], rng: np.random.Generator) -> None:
    ends = rng.uniform(4, CANVAS - 4, (2, 2))
    pen.line([(float(x), float(y)) for x, y in ends], fill=colour, width=int(rng.integers(3, 14)))


def _spokes(pen: ImageDraw.ImageDraw, colour: tuple[int, ...], rng: np.random.Generator) -> None:
    (x, y), reach, count = rng.uniform(30, CANVAS - 30, 2), rng.uniform(15, 45), int(rng.integers(3, 9))
    for angle in np.arange(count) * 2 * np.pi / count + rng.random():
        end = (x + reach * float(np.cos(angle)), y + reach * float(np.sin(angle)))
        pen.line([(x, y), end], fill=colour, width=int(rng.integers(3, 7)))


def _texture(rng: np.random.Generator) -> torch.Tensor:
    """Colours [3, 32, 32] that change slowly or fast, at times of two tones only."""
    texture = _noise(3, int(rng.integers(1, 14)), rng)
    if rng.random() < 0.4:
        tones = torch.from_numpy(rng.random((2, 3), dtype=np.float32))[:, :, None, None]
        share = torch.sigmoid(12 * (texture.mean(0) - texture.mean()))
        texture = tones[0] * share + tones[1] * (1 - share)
    return texture


def _noise(planes: int, cells: int, rng: np.random.Generator) -> torch.Tensor:
    """Smooth noise [planes, 32, 32] in 0..1 with so many cells a side."""
    coarse = torch.from_numpy(rng.random((1, planes, cells, cells), dtype=np.float32))
    size = (world.SLOT, world.SLOT)
    return F.interpolate(coarse, size=size, mode="bicubic", align_corners=False)[0].clamp(0, 1)


def _tilted(icon: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    angle, shear = rng.uniform(-np.pi, np.pi), rng.uniform(-0.2, 0.2)
    wide, high = rng.uniform(0.9, 1.3, 2)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    matrix = torch.tensor([[[cos * wide, -sin + shear, 0.0], [sin, cos * high, 0.0]]], dtype=torch.float32)
    grid = F.affine_grid(matrix, [1, 4, world.SLOT, world.SLOT], align_corners=False)
    return F.grid_sample(icon[None], grid, mode="bilinear", align_corners=False)[0].clamp(0, 1)


Way = Callable[[torch.Tensor, np.random.Generator], torch.Tensor]
_WAYS: tuple[Way, ...] = (_joined, _stacked, _painted, _blotted, _scribbled)
_STROKES = (_disc, _polygon, _line, _spokes)
