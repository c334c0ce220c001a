"""Pictures and words that only recipes and benches need, from npm: fetched once into a folder git ignores."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from imgrag.errors import LibraryError

CACHE = Path(__file__).parents[3] / ".cache"
PATIENCE = 600  # s, for 60 MB


@dataclass(frozen=True)
class Package:
    """One version of an npm package."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def archive(self) -> str:
        """What `npm pack` calls the file."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


def fetched(package: Package, folder: Path, wanted: Callable[[str], bool]) -> Path:
    """Have the files of the package that are `wanted` (by their path in it) in `folder`/its version.

    Returns that folder. They are downloaded once; a folder that is there is whole.

    Raises:
        LibraryError: npm or the package cannot be had.
    """
    target = folder / package.version
    if not target.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        archive = _packed(package, folder)
        _unpack(archive, target, wanted)
        archive.unlink()
    return target


def _packed(package: Package, folder: Path) -> Path:
    """The package's archive, downloaded by npm unless it is there."""
    archive = folder / package.archive
    if archive.exists():
        return archive
    npm = shutil.which("npm")
    if npm is None:
        raise LibraryError(
            "Pictures in other styles and CLDR's words come from npm, which is not installed. Install Node.js."
        )
    command = [npm, "pack", str(package), "--silent", "--pack-destination", str(folder.resolve())]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise LibraryError(
            f"npm did not deliver {package.name} within {PATIENCE} s. Try again later."
        ) from None
    if done.returncode or not archive.exists():
        raise LibraryError(f"npm could not fetch {package}. Check the connection and try again.")
    return archive


def _unpack(archive: Path, target: Path, wanted: Callable[[str], bool]) -> None:
    """Write the wanted files side by side into `target`, which appears only when it is whole."""
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with tarfile.open(archive) as package:
        for member in package:
            if member.isfile() and wanted(member.name):
                # Written by hand: `extractall` could be led outside the folder by a bad archive.
                content = package.extractfile(member)
                assert content is not None  # a plain file has content
                (partial / Path(member.name).name).write_bytes(content.read())
    os.replace(partial, target)
