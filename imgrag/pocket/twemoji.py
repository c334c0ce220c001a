"""The world's names drawn in another style: Twemoji, which no training sees.

For evaluation only. The pictures (CC-BY 4.0, Twitter and other contributors) are fetched from npm's
`emoji-datasource-twitter` into a folder that git ignores; nothing of them is shipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from functools import cache
from pathlib import Path

from PIL import Image

from imgrag.errors import LibraryError
from imgrag.pocket.icons import fit_square
from imgrag.pocket.world import icons

PACKAGE = "emoji-datasource-twitter"
VERSION = "16.0.0"
FOLDER = Path(__file__).parents[2] / ".cache" / "twemoji"
INSIDE = "package/img/twitter/64"  # of the archive
PATIENCE = 600  # s, for 60 MB


def fetch(folder: Path = FOLDER) -> Path:
    """Have the pictures on disk, at the price of one download; returns the folder that holds them.

    Raises:
        LibraryError: npm or the package cannot be had.
    """
    pictures = folder / VERSION
    if not pictures.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        archive = _packed(folder)
        _unpack(archive, pictures)
        archive.unlink()
    return pictures


@cache
def pictures(folder: Path = FOLDER) -> dict[str, Image.Image]:
    """A picture for every name of the world, RGBA [128, 128], trimmed and centred as the library's.

    Raises:
        LibraryError: they cannot be fetched, or one is not there.
    """
    source = fetch(folder)
    return {icon.name: _picture(source / f"{icon.codepoints}.png", icon.name) for icon in icons()}


def _packed(folder: Path) -> Path:
    """The package's archive, downloaded by npm unless it is there."""
    archive = folder / f"{PACKAGE}-{VERSION}.tgz"
    if archive.exists():
        return archive
    npm = shutil.which("npm")
    if npm is None:
        raise LibraryError(
            "The pictures in the other style come from npm, which is not installed. Install Node.js."
        )
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent", "--pack-destination", str(folder.resolve())]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise LibraryError(f"npm did not deliver {PACKAGE} within {PATIENCE} s. Try again later.") from None
    if done.returncode or not archive.exists():
        raise LibraryError(f"npm could not fetch {PACKAGE}@{VERSION}. Check the connection and try again.")
    return archive


def _unpack(archive: Path, target: Path) -> None:
    """Write the archive's 64 px pictures into `target`, which appears only when it is whole."""
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    wanted = {f"{INSIDE}/{icon.codepoints}.png" for icon in icons()}
    with tarfile.open(archive) as package:
        for member in package:
            if member.name in wanted and member.isfile():
                # Written by hand: `extractall` could be led outside the folder by a bad archive.
                content = package.extractfile(member)
                assert content is not None  # a plain file has content
                (partial / Path(member.name).name).write_bytes(content.read())
    os.replace(partial, target)


def _picture(path: Path, name: str) -> Image.Image:
    if not path.is_file():
        raise LibraryError(f"{PACKAGE}@{VERSION} has no picture of {name!r} ({path.name}).")
    picture = Image.open(path).convert("RGBA")
    return fit_square(picture.crop(picture.getbbox()))
