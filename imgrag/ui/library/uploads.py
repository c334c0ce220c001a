"""What people send in: a picture that is decoded with care, a folder that must lie where it may.

Runs all wait for one another, so they get the small copy that `taken` makes of a picture, in a line of
its own, and never decode what a stranger sent.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from PIL import Image

from imgrag.errors import LibraryError
from imgrag.library.intake.pictures import UnreadablePicture, read_picture

SIDE = 512  # px on the short side; twice as many are kept, and no model looks at more of what is sent in
PICTURES: dict[str, Any] = {
    "concurrency_id": "pictures", "concurrency_limit": 2, "show_progress": "hidden", "api_visibility": "private",
}  # fmt: skip
"""Of decoding for a run that is to begin."""
BESIDE: dict[str, Any] = {
    **PICTURES,
    "concurrency_id": "beside",
    "concurrency_limit": 1,
    "api_visibility": "public",
}
"""Of what decodes a picture and then waits for models, so that nobody else's picture waits with it."""


def picture_upload(**settings: Any) -> gr.Image:
    """An image whose file is handed on as it is, as a path.

    Gradio's own would fail with a word that helps nobody where a picture is no picture or too large. It is
    changed on the instance: Gradio writes a file of its own beside any module that defines a component's class.
    """
    image = gr.Image(type="filepath", **settings)
    image.preprocess = lambda payload: payload.path if payload is not None else None
    return image


def read_upload(path: str, side: int = SIDE) -> Image.Image:
    """The uploaded picture, upright; the short side of a larger one becomes `side` pixels.

    Raises:
        LibraryError: it is no picture that can be used.
    """
    try:
        return read_picture(Path(path), side)
    except UnreadablePicture as error:
        raise LibraryError(f"This picture cannot be used: {error}. Choose another one.") from error


def taken(path: str) -> str:
    """A copy of the uploaded picture that is quick to read, where Gradio keeps files for a day; its path.

    Raises:
        LibraryError: it is no picture that can be used.
    """
    picture = read_upload(path)
    copy = Path(get_upload_folder()) / secrets.token_hex(16) / "picture.png"
    copy.parent.mkdir(parents=True)
    picture.save(copy, compress_level=1)
    return str(copy)


def folder_below(root: Path, text: str) -> Path:
    """The folder that `text` names below `root`, absolute or relative to it, links resolved.

    Raises:
        LibraryError: it names none, or one that lies elsewhere.
    """
    if not text.strip():
        raise LibraryError("Name a folder, such as photos/cats.")
    try:
        top = root.resolve()
        folder = (top / text.strip()).resolve()
        inside = folder.is_relative_to(top)
        there = inside and folder.is_dir()
    except (OSError, ValueError, RuntimeError):  # a NUL, a loop of links, a name too long
        inside = there = False
        folder = root
    if not inside:
        raise LibraryError(
            "That folder lies outside the one this page may read; name a folder inside it, such as photos/cats."
        )
    if not there:
        raise LibraryError(f"There is no folder {text.strip()!r} on this machine where this page may read.")
    return folder
