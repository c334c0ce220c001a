"""Adapters for the captioner by name, and which library or profile uses which.

Each is a folder as peft writes it, with a card; one with a LoRA merged in is a whole transformers folder.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Literal

from imgrag.errors import LibraryError, RequestError
from imgrag.library.shelf import is_name, possible_name
from imgrag.models import CaptionAdapter
from imgrag.models.captioner import WEIGHTS, merge_into, refuse_foreign
from imgrag.models.checkpoints import PROJECT
from imgrag.models.soundness import UnsoundFile

FOLDER = PROJECT / "datasets" / "captioners"
VARIABLE = "IMGRAG_CAPTIONERS"
USED = "used.json"
MERGED = "-merged"  # behind the name of an adapter whose LoRA is merged in
Of = Literal["library", "profile"]


class AdapterShelf:
    """The adapters below `root`; `None` is `IMGRAG_CAPTIONERS`, else `datasets/captioners` of the project."""

    def __init__(self, root: Path | None = None) -> None:
        self._root = root or Path(os.environ.get(VARIABLE) or FOLDER)

    def names(self) -> list[str]:
        """In alphabetical order."""
        folders = self._root.iterdir() if self._root.is_dir() else ()
        return sorted(f.name for f in folders if is_name(f.name) and (_is_lora(f) or _is_whole(f)))

    def get(self, name: str) -> CaptionAdapter:
        """The adapter of that name. Raises RequestError: there is none."""
        if name not in self.names():
            known = ", ".join(self.names()) or "none yet"
            raise RequestError(
                f"There is no adapter {name[:60]!r}. Known are: {known}. To make one: python -m imgrag captions train"
            )
        folder = self._root / name
        return CaptionAdapter(name, folder, not _is_lora(folder))

    def place_for(self, name: str) -> Path:
        """Where an adapter of this name will lie. Raises RequestError: it cannot be a name."""
        try:
            return self._root / possible_name(name, of="adapter")
        except LibraryError as error:
            raise RequestError(str(error)) from None

    def use(self, name: str, of: Of, who: str) -> None:
        """From now on a library or a profile uses this adapter, with "" none.

        Raises:
            RequestError: there is no such adapter, or what is used cannot be written down.
        """
        if name:
            self.get(name)
        used = {key: value for key, value in self._used().items() if key != f"{of}:{who}"}
        if name:
            used[f"{of}:{who}"] = name
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            partial = self._root / f"{USED}.partial"
            partial.write_text(json.dumps(used, indent=2, ensure_ascii=False), encoding="utf-8")
            os.replace(partial, self._root / USED)
        except OSError as error:
            raise RequestError(f"The folder of adapters cannot be written ({error.strerror}).") from error

    def require_fit(self, name: str, base: Path) -> None:
        """See that an adapter was made for this captioner. Raises RequestError: it was not, or there is none."""
        adapter = self.get(name)
        try:
            if not adapter.merged:
                refuse_foreign(adapter.folder, base)
        except UnsoundFile as error:
            raise RequestError(f"The adapter {name!r} {error.what}.") from error

    def used(self, library: str, profile: str) -> CaptionAdapter | None:
        """The one that the library uses, else the profile, else none. Raises RequestError: it is gone."""
        used = self._used()
        name = used.get(f"library:{library}") or used.get(f"profile:{profile}")
        return self.get(name) if name else None

    def merge(self, name: str, base: Path) -> str:
        """Write the base's whole weights with the LoRA merged in beside it; returns that adapter's name.

        Raises:
            RequestError: there is no such LoRA, it is not the base's, or it cannot be written.
        """
        adapter = self.get(name)
        if adapter.merged:
            raise RequestError(f"The adapter {name!r} is merged already.")
        made = self._root / f".{secrets.token_hex(8)}.partial"
        try:
            merge_into(base, adapter.folder, made)
            shutil.rmtree(self._root / (name + MERGED), ignore_errors=True)
            made.rename(self._root / (name + MERGED))
        except UnsoundFile as error:
            raise RequestError(f"The adapter {name!r} {error.what}.") from error
        except OSError as error:
            raise RequestError(f"The merged weights cannot be written ({error.strerror}).") from error
        finally:
            shutil.rmtree(made, ignore_errors=True)
        return name + MERGED

    def _used(self) -> dict[str, str]:
        try:
            found = json.loads((self._root / USED).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _is_lora(folder: Path) -> bool:
    return (folder / WEIGHTS).is_file()


def _is_whole(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))
