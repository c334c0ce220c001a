"""A library that is simply a folder of images.

An embedding is known by the content's hash and the model's id: a changed, renamed or deleted
file is noticed, an unchanged one is embedded once, and two CLIP models never mix.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from imgrag.errors import LibraryError
from imgrag.library.base import Skipped, literal_names, plain_name
from imgrag.library.metadata import read_metadata
from imgrag.library.pictures import SUFFIXES, UnreadablePicture, content_hash, read_picture
from imgrag.models import Embedder
from imgrag.run import Candidate

BATCH = 64  # pictures decoded at a time
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _File:
    """What was true of a file when its hash was taken."""

    size: int
    mtime_ns: int
    digest: str


class FolderLibrary:
    """Every picture below `folder`; embeddings are also kept in files below `cache`."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder.resolve()
        self.name = self.folder.name
        self.skipped: tuple[Skipped, ...] = ()
        self._cache = cache
        self._files: dict[str, _File] = {}
        self._vectors: dict[str, dict[str, np.ndarray]] = {}  # model id -> digest -> [d]
        self._unreadable: dict[str, str] = {}  # digest -> reason
        self._entries: list[Candidate] = []
        self._literal: list[set[str]] = []
        self._matrix = np.zeros((0, 0), np.float32)

    def files(self) -> list[str]:
        """Names of the picture files, relative to the folder; nothing hidden, no link that leads out."""
        names = (path.relative_to(self.folder) for path in sorted(self.folder.rglob("*")))
        return [name.as_posix() for name in names if self._is_ours(name)]

    def _is_ours(self, name: Path) -> bool:
        path = self.folder / name
        hidden = any(part.startswith(".") for part in name.parts)
        if hidden or path.suffix.lower() not in SUFFIXES or not path.is_file():
            return False
        return path.resolve().is_relative_to(self.folder)

    def index(self, embedder: Embedder, check: Callable[[], None] = lambda: None) -> None:
        """See `Library.index`."""
        self._scan(check)
        vectors = self._vectors.setdefault(embedder.model_id, {})
        if not vectors:
            vectors.update(_load_vectors(self._vector_file(embedder.model_id)))
        if self._embed(vectors, embedder, check):
            used = {file.digest for file in self._files.values()}
            self._vectors[embedder.model_id] = vectors = {d: v for d, v in vectors.items() if d in used}
            _save_vectors(self._vector_file(embedder.model_id), vectors)
        self._gather(vectors)

    def search(self, vector: np.ndarray, name: str, k: int) -> list[Candidate]:
        """See `Library.search`."""
        scores = self._matrix @ vector.astype(np.float32)
        wanted = plain_name(name)
        literal = np.array([wanted in names for names in self._literal])
        # The last key sorts first; the scan's own order decides between equals.
        order = np.lexsort((np.arange(len(scores)), -scores, ~literal))[:k]
        return [_scored(self._entries[i], float(scores[i])) for i in order]

    def open(self, file: str) -> Image.Image:
        """See `Library.open`."""
        if file not in self._files and file not in self.files():
            raise LibraryError(f"The library {self.name!r} has no picture {file!r}.")
        try:
            return read_picture(self.folder / file)
        except UnreadablePicture as error:
            raise LibraryError(
                f"The picture {file!r} of the library {self.name!r} cannot be read: {error}."
            ) from error

    def _scan(self, check: Callable[[], None]) -> None:
        """Look what is there now; a file whose size and time are unchanged is not hashed again."""
        files = {}
        for name in self.files():
            check()
            path = self.folder / name
            try:
                status = path.stat()
                known = self._files.get(name)
                if known is None or (known.size, known.mtime_ns) != (status.st_size, status.st_mtime_ns):
                    known = _File(status.st_size, status.st_mtime_ns, content_hash(path))
                files[name] = known
            except OSError as error:  # it vanished, or it may not be read
                log.warning("library %s: %s: %s", self.name, name, error)
        self._files = files

    def _embed(self, vectors: dict[str, np.ndarray], embedder: Embedder, check: Callable[[], None]) -> bool:
        """Add what has no vector yet, by content; whether there was any."""
        paths = {file.digest: self.folder / name for name, file in self._files.items()}
        new = [digest for digest in paths if digest not in vectors and digest not in self._unreadable]
        for batch in _batches(new):
            check()
            pictures = {}
            for digest in batch:
                try:
                    pictures[digest] = read_picture(paths[digest])
                except UnreadablePicture as error:
                    self._unreadable[digest] = str(error)
            if pictures:
                embedded = embedder.embed_images(list(pictures.values()))
                vectors.update(zip(pictures, np.asarray(embedded, np.float32), strict=True))
        return bool(new)

    def _gather(self, vectors: dict[str, np.ndarray]) -> None:
        readable = {name: file.digest for name, file in self._files.items() if file.digest in vectors}
        self.skipped = tuple(
            Skipped(name, self._unreadable[file.digest])
            for name, file in self._files.items()
            if file.digest in self._unreadable
        )
        if not readable:
            raise LibraryError(
                f"The library {self.name!r} has no image that can be read. Put some into its folder."
            )
        metadata = read_metadata(self.folder)
        self._entries = [_entry(name, metadata.get(name, {})) for name in readable]
        self._literal = [literal_names(entry) for entry in self._entries]
        self._matrix = np.stack([vectors[digest] for digest in readable.values()])

    def _vector_file(self, model_id: str) -> Path:
        place = hashlib.sha256(f"{self.folder}\x00{model_id}".encode()).hexdigest()[:20]
        return self._cache / f"{place}.npz"


def _entry(file: str, known: dict[str, str]) -> Candidate:
    """A picture without metadata is called what its file is called."""
    stem = " ".join(Path(file).stem.replace("-", " ").replace("_", " ").split())
    return Candidate(file=file, score=0.0, **{**known, "name": known.get("name") or stem})


def _scored(entry: Candidate, score: float) -> Candidate:
    return Candidate(entry.file, round(score, 4), entry.name, entry.caption, entry.source, entry.licence)


def _batches(items: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(items)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _load_vectors(path: Path) -> dict[str, np.ndarray]:
    """What an earlier process embedded; nothing if there is no such file or it is broken."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(zip(stored["digests"].tolist(), stored["vectors"].astype(np.float32), strict=True))
    except FileNotFoundError:
        return {}
    except Exception as error:  # noqa: BLE001  numpy and zipfile raise nearly anything on a broken file
        log.warning("the embeddings in %s are embedded again: %s", path.name, error)
        return {}


def _save_vectors(path: Path, vectors: dict[str, np.ndarray]) -> None:
    """Written beside and renamed. Only a convenience: a read-only disk is no error."""
    if not vectors:
        return
    partial = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as file:
            partial = Path(file.name)
            np.savez(file, digests=np.array(list(vectors)), vectors=np.stack(list(vectors.values())))
        os.replace(partial, path)
    except OSError as error:
        log.warning("the embeddings of a library could not be kept: %s", error)
        if partial is not None:
            partial.unlink(missing_ok=True)
