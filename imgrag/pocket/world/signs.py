"""The same things as signs and as other hands' colour pictures: icon sets under free licences, from npm.

A sign has one colour, so it shows what of a thing is its shape. It is kept as its ink and its body (the
ink with every hole filled), for a training to colour both by chance: black lines on white, lines on a
pale fill, a plain silhouette. For recipes only, as `emoji_sets`; nothing of the pictures is shipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from PIL import Image, ImageDraw

from imgrag.pocket.world import emoji_sets, npm, world
from imgrag.pocket.world.emoji_sets import EmojiSet, Gallery
from imgrag.pocket.world.icons import fit_square

SIGNS = (
    EmojiSet("fluent-emoji-high-contrast", "1.2.6", "Microsoft", "MIT"),
    EmojiSet("emojione-monotone", "1.2.1", "Emoji One", "CC-BY-4.0"),
    EmojiSet("game-icons", "1.2.4", "GameIcons", "CC-BY-3.0"),
    EmojiSet("hugeicons", "1.2.35", "Hugeicons", "MIT"),
    EmojiSet("mdi", "1.2.3", "Pictogrammers", "Apache-2.0"),
    EmojiSet("ph", "1.2.2", "Phosphor Icons", "MIT"),
    EmojiSet("lucide", "1.2.137", "Lucide Contributors", "ISC"),
    EmojiSet("boxicons", "1.2.0", "Boxicons", "MIT"),
    EmojiSet("fa7-solid", "1.2.5", "Dave Gandy", "CC-BY-4.0"),
    EmojiSet("mingcute", "1.2.8", "MingCute Design", "Apache-2.0"),
    EmojiSet("tabler", "1.2.41", "Pawel Kuna", "MIT"),
    EmojiSet("solar", "1.2.13", "480 Design", "CC-BY-4.0"),
    EmojiSet("material-symbols", "1.2.98", "Google", "Apache-2.0"),
    EmojiSet("picon", "1.2.0", "Picon Contributors", "OFL-1.1"),
    EmojiSet("whh", "1.2.0", "WebHostingHub", "OFL-1.1"),
    EmojiSet("la", "1.2.1", "Icons8", "Apache-2.0"),
    EmojiSet("dinkie-icons", "1.2.0", "atelierAnchor", "MIT"),
)
COLOURED = (
    EmojiSet("streamline-color", "1.2.2", "Streamline", "CC-BY-4.0"),
    EmojiSet("streamline-plump-color", "1.2.2", "Streamline", "CC-BY-4.0"),
    EmojiSet("streamline-flex-color", "1.2.2", "Streamline", "CC-BY-4.0"),
    EmojiSet("flat-color-icons", "1.2.3", "Icons8", "MIT"),
)
OPAQUE = 100  # of 255: ink that surrounds
MODELLED = npm.Package("@lobehub/fluent-emoji-3d", "1.1.0")  # Microsoft's Fluent Emoji as models, MIT
MODELLED_IN = "package/assets/"  # of the archive
KIND = re.compile(
    r"-(outlined?|line(ar)?|solid|fill(ed)?|bold|duotone|broken|light|thin|sharp|round(ed)?|regular|alt|flat|color"
    r"|\d+)$"
)
OF_EMOJI = {"fluent-emoji-high-contrast", "emojione-monotone"}  # named by Unicode
SAID_OTHERWISE = frozenset(  # what icon sets call so is another thing, or a firm's mark
    "ant apple bat bolt box bubble chain cricket drum fan fly football mouse office orange pie pin radio ram "
    "ring seal slide tree turkey wave wheel".split()
)


@dataclass(frozen=True, eq=False)
class Signs:
    """Ink and body of signs, uint8 [n, size, size], and the icon each shows, int64 [n]."""

    ink: torch.Tensor
    body: torch.Tensor
    shows: np.ndarray

    @cache  # noqa: B019  they live as long as their training
    def rows_of(self, icon: int) -> np.ndarray:
        """Where this icon is shown; maybe nowhere."""
        return (self.shows == icon).nonzero()[0]

    def another(self, icon: int, rng: np.random.Generator) -> torch.Tensor:
        """A sign of an icon that has one, coloured by chance, premultiplied float32 [4, size, size]."""
        row = int(rng.choice(self.rows_of(icon)))
        ink, body = self.ink[row].float() / 255, self.body[row].float() / 255
        line = rng.uniform(0, 0.25 if rng.random() < 0.6 else 1.0, 3)
        kind = rng.random()
        if kind < 0.25:
            return _painted(line, ink)
        fill = np.ones(3) if kind < 0.45 else rng.uniform(0, 1, 3) ** 0.5
        return _painted(line, ink) + _painted(fill, body) * (1 - ink)


def _painted(colour: np.ndarray, mask: torch.Tensor) -> torch.Tensor:
    return torch.cat([torch.from_numpy(colour.astype(np.float32))[:, None, None], torch.ones(1, 1, 1)]) * mask


@cache
def signs(size: int) -> Signs:
    """Every one-colour set's pictures of the world's concepts; raises as `emoji_sets.named` does."""
    drawn = [
        (icon, picture[3])
        for emoji in SIGNS
        for icon, svg in _drawn(emoji)
        if (picture := emoji_sets.rendered(svg, size)) is not None
    ]
    ink = np.stack([alpha for _, alpha in drawn])
    body = np.stack([np.maximum(alpha, _filled(alpha)) for _, alpha in drawn])
    return Signs(torch.from_numpy(ink), torch.from_numpy(body), np.array([icon for icon, _ in drawn]))


def _filled(alpha: np.ndarray) -> np.ndarray:
    """What ink surrounds, and the ink itself: all that cannot be reached from the border, uint8 [size, size]."""
    ground = Image.fromarray(np.pad(alpha > OPAQUE, 1).astype(np.uint8)).copy()  # one that can be written
    ImageDraw.floodfill(ground, (0, 0), 2)
    return (np.asarray(ground)[1:-1, 1:-1] != 2).astype(np.uint8) * np.uint8(255)


@cache
def coloured(size: int) -> Gallery:
    """The world's concepts as the emoji sets, these colour sets and Microsoft's models show them."""
    drawn = [
        (icon, picture)
        for emoji in COLOURED
        for icon, svg in _drawn(emoji)
        if (picture := emoji_sets.rendered(svg, size)) is not None
    ]
    drawn += list(_modelled(size))
    sets = emoji_sets.named(size)
    pictures = torch.from_numpy(np.stack([picture for _, picture in drawn]))
    shows = np.array([icon for icon, _ in drawn])
    return Gallery(torch.cat([sets.pictures, pictures]), np.concatenate([sets.shows, shows]))


def _drawn(emoji: EmojiSet) -> Iterator[tuple[int, str]]:
    names = emoji_sets.unicode_names()
    names |= {emoji_sets.plain(name): place for place, name in enumerate(world.names())}
    for called, svg in emoji_sets.drawn(emoji):
        place = names.get(emoji_sets.plain(_thing(called[0])))
        if place is not None and (emoji.name in OF_EMOJI or world.names()[place] not in SAID_OTHERWISE):
            yield place, svg


def _thing(name: str) -> str:
    """The name without what it says of how it is drawn: "dog-fill" is a dog."""
    shorter = KIND.sub("", name)
    return name if shorter == name else _thing(shorter)


def _modelled(size: int) -> Iterator[tuple[int, np.ndarray]]:
    folder = npm.fetched(MODELLED, npm.CACHE / "fluent-3d", lambda path: path.startswith(MODELLED_IN))
    for place, icon in enumerate(world.icons()):
        path = folder / f"{icon.codepoints}.webp"
        if path.is_file():
            picture = Image.open(path).convert("RGBA")
            slot = world.slot_picture(fit_square(picture.crop(picture.getbbox())), size)
            yield place, (slot.transpose(2, 0, 1) * 255).round().astype(np.uint8)
