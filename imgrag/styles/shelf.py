"""The styles of a profile by name: those that come with the app, and a person's own.

The first lie below `datasets/styles/PROFILE` and stay as they are, the others below `datasets/own-styles/PROFILE`
or where the operator says. Where both have a name, it is the person's.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from imgrag.errors import StyleError
from imgrag.library.folders import remove_folder, whole_folder
from imgrag.library.intake.pictures import UnreadablePicture, content_hash, read_picture
from imgrag.library.search.words import asked_words
from imgrag.library.shelf import is_name, possible_name, told
from imgrag.models import Embedder, Lora
from imgrag.models.checkpoints import PROJECT
from imgrag.models.lora import lora_bytes, trigger_words
from imgrag.runs.styles import Styling
from imgrag.styles.calling import Called, Names, called_in
from imgrag.styles.style import FILE, Style, read_style, style_toml
from imgrag.styles.taking import about_lora, files_of, taken
from imgrag.texts import clean_line

BUNDLED = PROJECT / "datasets" / "styles"
OWN = PROJECT / "datasets" / "own-styles"
STYLES_VARIABLE = "IMGRAG_STYLES"


def styles_folder() -> Path:
    """Where a person's own lie, a folder a profile: `IMGRAG_STYLES`, else `datasets/own-styles` of the project."""
    return Path(os.environ.get(STYLES_VARIABLE) or OWN)


class StyleShelf:
    """The styles of one profile.

    Args:
        profile: its name.
        root: where a person's own lie; see `styles_folder`.
        bundled: where those that come with the app lie.
    """

    def __init__(self, profile: str, root: Path | None = None, bundled: Path = BUNDLED) -> None:
        self._own = (root or styles_folder()) / profile
        self._bundled = bundled / profile
        self._vectors: dict[tuple[str, Path, int], np.ndarray] = {}

    def names(self) -> list[str]:
        """In alphabetical order, broken ones too."""
        return sorted(self._folders())

    def styles(self) -> list[Style]:
        """Those that can be read, in the order of their names."""
        return [style for style in map(self._seen, self.names()) if isinstance(style, Style)]

    def get(self, name: str) -> Style:
        """The style of that name. Raises StyleError: there is none, or it cannot be read."""
        folder = self._folder(name)
        return read_style(folder, read_only=folder.parent == self._bundled)

    def problems(self) -> list[str]:
        """What is wrong with those that cannot be read, a sentence each."""
        return [str(problem) for problem in map(self._seen, self.names()) if isinstance(problem, StyleError)]

    def add(self, source: Path, /, name: str = "", **told_of: object) -> Style:
        """Copy a style's folder, or a LoRA's file, into a person's own.

        Args:
            name: its new name; "" is the folder's or the file's.
            told_of: values of `style.toml` that are to stand there, whatever the source says.

        Raises:
            StyleError: it is none, cannot be read or copied, or names no licence.
            LibraryError: the name cannot be one.
        """
        given = {key: value for key, value in told_of.items() if value not in ("", (), None)}
        name = self._free(name or source.stem)
        try:
            style = taken(source, name, given)
            with whole_folder(self._own / name) as folder:
                for file, target in files_of(style):
                    shutil.copyfile(file, folder / target)
                (folder / FILE).write_text(style_toml(style), encoding="utf-8")
        except OSError as error:
            raise StyleError(
                f"The style {name!r} cannot be kept: {error.strerror or 'a file cannot be read or written'}."
            ) from error
        return self.get(name)

    def place_for(self, name: str) -> Path:
        """The folder of a person's own style that is to be trained, there already or not.

        Raises:
            StyleError: a style of that name comes with the app.
            LibraryError: the name cannot be one.
        """
        name = possible_name(name, "style")
        if name in self.names():
            self.require_own(name)
        return self._own / name

    def require_own(self, name: str) -> None:
        """See that one may be removed, broken or not. Raises StyleError: there is none, or it comes with the app."""
        if self._folder(name).parent == self._bundled:
            raise StyleError(f"The style {name!r} comes with the app and stays as it is.")

    def remove(self, name: str) -> None:
        """Delete one of a person's own. Raises StyleError: as `require_own` does. LibraryError: it is in use."""
        self.require_own(name)
        with told(name, "style"):
            remove_folder(self._own / name)

    def called_in(self, prompt: str, named: Names = lambda words: False) -> tuple[str, list[Called]]:
        """See `calling.called_in`."""
        return called_in(prompt, self.styles(), named)

    def styling(self, style: Style, weight: float = 1.0, words: str = "") -> Styling:
        """A style as a run draws in it, what has to be said for its LoRA to show among its words.

        Raises:
            StyleError: its LoRA cannot be read.
        """
        template, digest = style.template, ""
        if style.lora is not None:
            digest = _hash(style.lora)
            with about_lora(style.name):
                triggers = trigger_words(style.lora)
            unsaid = [word for word in triggers if word.casefold() not in template.casefold()]
            template = ", ".join((template, *unsaid))
        return Styling(style.name, style.title, weight, style.scale, template, style.negative, digest, words)

    def lora(self, styling: Styling) -> Lora | None:
        """The LoRA that a style of a run wants, `None` where it wants none. Its hash is that of the file as it is.

        Raises:
            StyleError: it is not there any more.
        """
        if not styling.lora:
            return None
        file = self.get(styling.name).lora
        if file is None:
            raise StyleError(
                f"The style {styling.name!r} has no LoRA any more. Do without it, or add it again."
            )
        with about_lora(styling.name):
            return Lora(styling.name, file, styling.weight * styling.scale, _hash(file), lora_bytes(file))

    def search(
        self, text: str = "", image: Image.Image | None = None, embedder: Embedder | None = None
    ) -> list[tuple[Style, float]]:
        """Styles by words, by a picture, or both, best first, with a score: first those that words find.

        The score is the share of the words that a style has, 0 to 1, or the cosine similarity of its likest preview.
        Without an embedder words alone find.

        Raises:
            StyleError: there is nothing to search by.
        """
        asked = asked_words(clean_line(text))
        if not asked and image is None:
            raise StyleError("There is nothing to search by. Give some words, or a picture.")
        styles = self.styles()
        worded = [(style, _share(style, asked)) for style in styles] if asked else []
        found = sorted((pair for pair in worded if pair[1] > 0), key=lambda pair: -pair[1])
        if embedder is None:
            return found
        query = embedder.embed_texts([text])[0] if image is None else embedder.embed_images([image])[0]
        rest = [style for style in styles if style not in [known for known, _ in found]]
        looked = [(style, self._likeness(style, query, embedder)) for style in rest if style.previews]
        return [*found, *sorted(looked, key=lambda pair: -pair[1])]

    def _likeness(self, style: Style, query: np.ndarray, embedder: Embedder) -> float:
        vectors = (self._vector(file, embedder) for file in style.previews)
        return max((float(vector @ query) for vector in vectors if vector is not None), default=-1.0)

    def _vector(self, preview: Path, embedder: Embedder) -> np.ndarray | None:
        """Each preview is embedded once; one that cannot be read has none."""
        try:
            key = (embedder.model_id, preview, preview.stat().st_mtime_ns)
            if key not in self._vectors:
                self._vectors[key] = embedder.embed_images([read_picture(preview, embedder.side)])[0]
            return self._vectors[key]
        except (OSError, UnreadablePicture):
            return None

    def _folders(self) -> dict[str, Path]:
        found = (
            folder for place in (self._bundled, self._own) if place.is_dir() for folder in place.iterdir()
        )
        return {folder.name: folder for folder in found if is_name(folder.name) and (folder / FILE).is_file()}

    def _folder(self, name: str) -> Path:
        found = self._folders().get(name)
        if found is None:
            known = ", ".join(self.names()) or "none yet"
            raise StyleError(f"There is no style {name[:100]!r} here. Known are: {known}.")
        return found

    def _seen(self, name: str) -> Style | StyleError:
        try:
            return self.get(name)
        except StyleError as error:
            return error

    def _free(self, name: str) -> str:
        name = possible_name(name, "style")
        if name.casefold() in (known.casefold() for known in self.names()):
            raise StyleError(f"There is a style {name!r} already. Choose another name with --name.")
        return name


def _share(style: Style, asked: Sequence[str]) -> float:
    """How many of the words that are asked for a style has in its name, its title or its words, 0 to 1."""
    own = set(asked_words(" , ".join((style.name, style.title, *style.words))))
    return sum(word in own for word in asked) / len(asked)


def _hash(file: Path) -> str:
    """SHA-256 of a LoRA's file, read again only where it has changed."""
    try:
        state = file.stat()
        return _digest(file, state.st_mtime_ns, state.st_size)
    except OSError as error:
        raise StyleError(
            f"The LoRA of the style {file.parent.name!r} cannot be read: {error.strerror}."
        ) from error


@lru_cache(maxsize=64)
def _digest(file: Path, changed: int, size: int) -> str:
    return content_hash(file)
