"""The world's names drawn in another style: Twemoji, which no training sees.

For evaluation only. The pictures (CC-BY 4.0, Twitter and other contributors) are fetched from npm's
`emoji-datasource-twitter` into a folder that git ignores; nothing of them is shipped.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PIL import Image

from imgrag.errors import LibraryError
from imgrag.pocket.world import npm
from imgrag.pocket.world.icons import fit_square
from imgrag.pocket.world.world import icons

PACKAGE = npm.Package("emoji-datasource-twitter", "16.0.0")
FOLDER = npm.CACHE / "twemoji"
INSIDE = "package/img/twitter/64"  # of the archive


def fetch(folder: Path = FOLDER) -> Path:
    """Have the pictures on disk, at the price of one download; returns the folder that holds them.

    Raises:
        LibraryError: npm or the package cannot be had.
    """
    wanted = {f"{INSIDE}/{icon.codepoints}.png" for icon in icons()}
    return npm.fetched(PACKAGE, folder, wanted.__contains__)


@cache
def pictures(folder: Path = FOLDER) -> dict[str, Image.Image]:
    """A picture for every name of the world, RGBA [128, 128], trimmed and centred as the library's.

    Raises:
        LibraryError: they cannot be fetched, or one is not there.
    """
    source = fetch(folder)
    return {icon.name: _picture(source / f"{icon.codepoints}.png", icon.name) for icon in icons()}


def _picture(path: Path, name: str) -> Image.Image:
    if not path.is_file():
        raise LibraryError(f"{PACKAGE} has no picture of {name!r} ({path.name}).")
    picture = Image.open(path).convert("RGBA")
    return fit_square(picture.crop(picture.getbbox()))
