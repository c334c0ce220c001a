"""The same things drawn by other hands: emoji sets under free licences, from npm's Iconify packages.

An eye that has seen one drawing of each thing knows that drawing; one that has seen several knows the
thing. For recipes only: nothing of the pictures is shipped. Twemoji is not among them, for it is what
the bench draws references with, and no training sees it.
"""

from __future__ import annotations

import io
import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from imgrag.errors import LibraryError
from imgrag.pocket.world import npm, world
from imgrag.pocket.world.icons import PICTURE, fit_square

FOLDER = npm.CACHE / "emoji-sets"
STRANGER = -1  # in place of an icon: a picture of something the world has no name for
UNSEEN_IN = {"bath", "desert", "artist", "scientist", "rowing"}  # a cactus stands in the desert
FILES = ("package/icons.json", "package/chars.json")
VARIANT = re.compile(r"(-\d+)$")  # "cactus-1" and "cactus-2" are two pictures of one thing
PEOPLE = re.compile(r"skin-tone|-(dark|medium|light)(-|$)")  # the same picture in five colours


@dataclass(frozen=True)
class EmojiSet:
    """One set: its Iconify name and version, who drew it, and under which licence."""

    name: str
    version: str
    author: str
    licence: str


NAMED_BY_UNICODE = EmojiSet("fluent-emoji-flat", "1.2.6", "Microsoft", "MIT")
SETS = (
    NAMED_BY_UNICODE,
    EmojiSet("fluent-emoji", "1.2.7", "Microsoft", "MIT"),
    EmojiSet("emojione", "1.2.3", "Emoji One (EmojiTwo)", "CC-BY-4.0"),
    EmojiSet("fxemoji", "1.2.2", "Mozilla", "Apache-2.0"),
    EmojiSet("noto-v1", "1.2.5", "Google", "Apache-2.0"),
    EmojiSet("streamline-emojis", "1.2.4", "Streamline", "CC-BY-4.0"),
)


@dataclass(frozen=True, eq=False)
class Gallery:
    """Pictures with premultiplied alpha, uint8 [n, 4, size, size], and the icon each shows, int64 [n]."""

    pictures: torch.Tensor
    shows: np.ndarray

    def of(self, icons: np.ndarray) -> Gallery:
        """Only the pictures that show one of these."""
        kept = np.isin(self.shows, icons).nonzero()[0]
        return Gallery(self.pictures[torch.from_numpy(kept)], self.shows[kept])

    def pick(self, rows: np.ndarray | int) -> torch.Tensor:
        """These rows, float32 in 0..1."""
        return self.pictures[rows].float() / 255

    @cache  # noqa: B019  a gallery lives as long as its training
    def rows_of(self, icon: int) -> np.ndarray:
        """Where this icon is shown."""
        return (self.shows == icon).nonzero()[0]

    def another(self, icon: int, rng: np.random.Generator) -> torch.Tensor:
        """Some other hand's picture of an icon, float32 [4, size, size]; every icon has two or more."""
        return self.pick(int(rng.choice(self.rows_of(icon))))


@dataclass(frozen=True)
class Drawing:
    """A set's picture as SVG: the icon of the world it shows or `STRANGER`, and what it is filed under."""

    icon: int
    thing: str  # Unicode's code points where a name tells them, else that name
    svg: str


@cache
def named(size: int) -> Gallery:
    """Every set's pictures of the world's concepts.

    Raises:
        LibraryError: a set cannot be fetched, or what reads their SVG is not installed.
    """
    return _gallery(size, ((drawing.icon, drawing) for drawing in _drawings() if drawing.icon != STRANGER))


@cache
def strangers(size: int) -> Gallery:
    """Every set's pictures of things that the world has no name for; raises as `named` does."""
    return _gallery(size, ((drawing.icon, drawing) for drawing in _drawings() if drawing.icon == STRANGER))


@cache
def strange_things(size: int) -> Gallery:
    """Those of them that two pictures or more show, the things numbered from 0; raises as `named` does."""
    by_thing = defaultdict(list)
    for drawing in _drawings():
        if drawing.icon == STRANGER:
            by_thing[drawing.thing].append(drawing)
    several = [drawings for drawings in by_thing.values() if len(drawings) > 1]
    return _gallery(
        size, ((number, drawing) for number, drawings in enumerate(several) for drawing in drawings)
    )


def unicode_names() -> dict[str, int]:
    """What sets call the world's icons, letters and digits alone: "dogface" -> the place of "dog".

    Older sets keep Unicode's own names, newer ones what people say.
    """
    names = _names_by_codes()
    return {
        name: place for place, icon in enumerate(world.icons()) for name in names[_codes(icon.codepoints)]
    }


@cache
def _names_by_codes() -> dict[str, list[str]]:
    """What Unicode and people call the picture of these code points."""
    spoken = json.loads((_files(NAMED_BY_UNICODE) / "chars.json").read_text(encoding="utf-8"))
    names = {}
    for written, name in spoken.items():
        codes = _codes(written)
        official = unicodedata.name(chr(int(codes, 16)), "") if "-" not in codes else ""
        names[codes] = [plain(text) for text in (name, official) if text]
    return names


def _codes(codepoints: str) -> str:
    """Without the mark that only asks for colour."""
    return "-".join(code for code in codepoints.lower().split("-") if code != "fe0f")


def plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", VARIANT.sub("", name.lower()))


def _files(emoji: EmojiSet) -> Path:
    package = npm.Package(f"@iconify-json/{emoji.name}", emoji.version)
    return npm.fetched(package, FOLDER / emoji.name, FILES.__contains__)


def _gallery(size: int, drawings: Iterable[tuple[int, Drawing]]) -> Gallery:
    """The drawings as pictures, each with the number it comes with; those that show nothing are left out."""
    pictures, shows = [], []
    for number, drawing in drawings:
        if (picture := rendered(drawing.svg, size)) is not None:
            pictures.append(picture)
            shows.append(number)
    return Gallery(torch.from_numpy(np.stack(pictures)), np.array(shows))


def _drawings() -> Iterator[Drawing]:
    """All sets' pictures, but for what a name says holds an unseen icon: none may be learned by looking."""
    icons, unseen = unicode_names(), set(world.indices("unseen").tolist())
    hidden = {plain(world.names()[icon]) for icon in unseen} | UNSEEN_IN
    hidden |= {name for name, icon in icons.items() if icon in unseen}
    codes_of = {name: codes for codes, names in _names_by_codes().items() for name in names}
    for emoji in SETS:
        for names, svg in drawn(emoji):
            called = [plain(name) for name in names]
            icon = next((icons[name] for name in called if name in icons), STRANGER)
            if icon != STRANGER or not (
                PEOPLE.search(names[0]) or any(h in c for h in hidden for c in called)
            ):
                thing = next((codes_of[name] for name in called if name in codes_of), called[0])
                yield Drawing(icon, thing, svg)


def drawn(emoji: EmojiSet) -> Iterator[tuple[tuple[str, ...], str]]:
    """A set's pictures as SVG, each with its own name first and then its others."""
    content = json.loads((_files(emoji) / "icons.json").read_text(encoding="utf-8"))
    aliases = defaultdict(list)
    for alias, entry in content.get("aliases", {}).items():
        if set(entry) == {"parent"}:  # not one that is turned or mirrored
            aliases[entry["parent"]].append(alias)
    for name, entry in content["icons"].items():
        yield (name, *aliases[name]), _svg({**content, **entry})


def _svg(entry: dict[str, Any]) -> str:
    """Iconify keeps an icon's body and the box it lies in; what the set says holds where it says nothing."""
    left, top, width = entry.get("left", 0), entry.get("top", 0), entry.get("width", 16)
    box = f"{left} {top} {width} {entry.get('height', 16)}"
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{box}">{entry["body"]}</svg>'
    )


def rendered(svg: str, size: int) -> np.ndarray | None:
    """Trimmed and centred as the library's pictures, uint8 [4, size, size]; `None` if nothing is drawn."""
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        raise LibraryError(
            "Pictures by other hands are SVG files. To read them: pip install -r imgrag/pocket/requirements.txt"
        ) from None
    png = bytes(svg_to_bytes(svg_string=svg, width=PICTURE, height=PICTURE))
    picture = Image.open(io.BytesIO(png)).convert("RGBA")
    box = picture.getbbox()
    if box is None:
        return None
    slot = world.slot_picture(fit_square(picture.crop(box)), size)
    return (slot.transpose(2, 0, 1) * 255).round().astype(np.uint8)
