"""Six styles of our own, made of the icons by image processing: what pocket's style LoRAs are taught.

They keep to what the pocket models can show and learn in minutes. Its autoencoder was taught no black ground, so
there is no neon; outlines alone were learnt slowly (after 12,800 samples they were scribbles), so each style
changes tones, colours and texture from place to place, with strokes that fit the 8 px of the latents.

Slots are RGBA with premultiplied alpha, float [b, 4, h, w] in 0..1, as in `world`. A rendering takes them
at twice their size, and gives them at their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from PIL import Image

from imgrag.pocket.world import world

FINE = 2 * world.SLOT  # px of what a rendering takes
BLOCK = 4  # px of a "pixel" of pixel art
STROKE = 16  # px at `FINE` from one stroke of the pencil to the next, along a row
CUT = 8  # likewise of the knife, along a column
INKS = ((40, 20, 90), (235, 40, 130), (255, 225, 60))
GREY = (0.299, 0.587, 0.114)  # of red, green and blue in the tone (ITU-R BT.601)
PAPER = (246, 243, 234)

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Rendering:
    """A style: how it draws things, and what it makes of a ground's colour.

    `ground` is the colour that takes the place of a scene's own, and `tint` the share that the own one keeps.
    """

    title: str
    words: tuple[str, ...]
    draw: Callable[[torch.Tensor], torch.Tensor]
    ground: Colour = PAPER
    tint: float = 0.0

    def grounds(self, colours: torch.Tensor) -> torch.Tensor:
        """Plain colours [b, 3] in 0..1 as this style has them."""
        return torch.lerp(torch.tensor(self.ground) / 255, colours, self.tint)


def _pencil(slots: torch.Tensor) -> torch.Tensor:
    """Grey strokes from corner to corner, the darker the thicker."""
    colour, alpha = _parts(slots)
    axis = torch.arange(FINE) * 2 * torch.pi / STROKE
    stroke = 0.5 + 0.5 * torch.cos(axis[:, None] + axis[None, :])
    dark = 0.25 + 0.75 * (1 - _tone(colour))
    return _inked(alpha * dark * (0.45 + 0.75 * stroke), (70, 70, 76))


def _blueprint(slots: torch.Tensor) -> torch.Tensor:
    """White alone, as light shines through."""
    colour, alpha = _parts(slots)
    return _inked(alpha * (0.3 + 0.7 * _tone(colour)), (255, 255, 255))


def _woodcut(slots: torch.Tensor) -> torch.Tensor:
    """Black alone, in level stripes that close where it is dark."""
    colour, alpha = _parts(slots)
    rows = torch.arange(FINE)[:, None] * 2 * torch.pi / CUT
    stripe = 0.5 + 0.5 * torch.cos(rows)
    dark = 1 - _tone(colour)
    return _inked(
        alpha * ((0.25 + 0.9 * dark) * 1.5 * stripe + 1.6 * (dark - 0.35).clamp(min=0)), (24, 16, 12)
    )


def _watercolour(slots: torch.Tensor) -> torch.Tensor:
    """Pale and soft, here thin and there thick, with more pigment at the rim."""
    colour, alpha = _parts(_blur(_blur(slots, 5), 3))
    grain = torch.rand(1, 1, 9, 9, generator=torch.Generator().manual_seed(5))
    grain = F.interpolate(grain, (FINE, FINE), mode="bicubic", align_corners=False).clamp(0, 1)
    pigment = 0.3 + 0.35 * grain + 1.4 * alpha * (1 - alpha)
    return _halved(torch.cat([(1 - (1 - colour) * pigment) * alpha, alpha], 1))


def _pixel_art(slots: torch.Tensor) -> torch.Tensor:
    """Eight blocks a side, each there or not."""
    side = world.SLOT // BLOCK
    colour, alpha = _parts(F.interpolate(slots, size=(side, side), mode="area"))
    there = (alpha > 0.4).float()
    return F.interpolate(torch.cat([colour * there, there], 1), size=(world.SLOT, world.SLOT), mode="nearest")


def _screen_print(slots: torch.Tensor) -> torch.Tensor:
    """Three inks that run into each other: for the dark, the middle and the light."""
    colour, alpha = _parts(slots)
    tone = ((_tone(colour) - 0.15) / 0.7).clamp(0, 1)
    dark, middle, light = (torch.tensor(ink)[:, None, None] / 255 for ink in INKS)
    lower = torch.lerp(dark, middle, (2 * tone).clamp(max=1))
    return _halved(torch.cat([torch.lerp(lower, light, (2 * tone - 1).clamp(min=0)) * alpha, alpha], 1))


RENDERINGS: dict[str, Rendering] = {
    "pencil": Rendering(
        "Pencil", ("in pencil", "pencil drawing", "pencil sketch", "铅笔画"), _pencil, (250, 250, 250)
    ),
    "pixel-art": Rendering(
        "Pixel art", ("pixel art", "pixelated", "8-bit", "像素", "像素画"), _pixel_art, tint=1.0
    ),
    "watercolour": Rendering(
        "Watercolour", ("watercolour", "watercolor", "watercolour painting", "watercolor painting", "水彩", "水彩画"), _watercolour, tint=0.3
    ),
    "blueprint": Rendering("Blueprint", ("blueprint", "蓝图"), _blueprint, (100, 150, 224)),
    "woodcut": Rendering("Woodcut", ("woodcut", "linocut", "木刻", "版画"), _woodcut, (250, 226, 120)),
    "screen-print": Rendering(
        "Screen print", ("screen print", "pop art", "silkscreen", "丝网印刷", "波普"), _screen_print, (96, 200, 206)
    ),
}  # fmt: skip


@cache
def rendered_slots(style: str) -> torch.Tensor:
    """All icons of the world in a style, float32 [n, 4, 32, 32].

    Raises:
        KeyError: there is no such style.
    """
    return RENDERINGS[style].draw(world.icon_slots(FINE)).contiguous()


def rendered_scenes(
    style: str, left: torch.Tensor, right: torch.Tensor, two: torch.Tensor, colours: torch.Tensor
) -> torch.Tensor:
    """Scenes as `world.compose` has them, of icons by their places [b] in `world.icons()`."""
    slots = rendered_slots(style)
    return world.compose(slots[left], slots[right], two, RENDERINGS[style].grounds(colours))


def rendered_pictures(style: str) -> list[Image.Image]:
    """All icons of the world in a style, RGBA 32x32, as the judge wants them."""
    colour, alpha = _parts(rendered_slots(style))
    planes = (torch.cat([colour, alpha], 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return [Image.fromarray(plane) for plane in planes]


def _parts(slots: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Colour that is not premultiplied, and alpha."""
    alpha = slots[:, 3:]
    return (slots[:, :3] / alpha.clamp(min=1e-2)).clamp(0, 1), alpha


def _tone(colour: torch.Tensor) -> torch.Tensor:
    return (colour * torch.tensor(GREY)[:, None, None]).sum(1, keepdim=True)


def _inked(ink: torch.Tensor, colour: Colour) -> torch.Tensor:
    """One colour, as thick as `ink` says."""
    alpha = _halved(ink.clamp(0, 1))
    return torch.cat([alpha * torch.tensor(colour)[:, None, None] / 255, alpha], 1)


def _halved(planes: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(planes, 2)


def _blur(planes: torch.Tensor, width: int) -> torch.Tensor:
    return F.avg_pool2d(F.pad(planes, (width // 2,) * 4, mode="replicate"), width, stride=1)
