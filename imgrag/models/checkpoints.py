"""Where a checkpoint lies on this machine, and how it gets there.

Opening is offline: a local folder first, else the hub's cache at the commit that `download`
recorded. Only `download` asks the network. Weights are safetensors; a repository that has
nothing but pickles, or that wants its own code to be run, is refused.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol

from imgrag.errors import CheckpointError
from imgrag.models.profile import Checkpoint, Profile
from imgrag.models.soundness import UnsoundFile, discard_damaged, read_json

PROJECT = Path(__file__).resolve().parents[2]
PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
CLIP_NAMES = (
    "RN50",
    "RN101",
    "RN50x4",
    "RN50x16",
    "RN50x64",
    "ViT-B/32",
    "ViT-B/16",
    "ViT-L/14",
    "ViT-L/14@336px",
)

Progress = Callable[[str, int, int], None]
"""Called with (file, bytes done, bytes in all) as the bytes of a repository come in."""


class Hub(Protocol):
    """The two questions asked of a model hub."""

    def listing(self, repository: str, revision: str) -> tuple[str, Mapping[str, int]]:
        """The commit a revision stands for, and the size in bytes of each of its files."""
        ...

    def fetch(
        self, repository: str, commit: str, file: str, cache: Path, came: Callable[[int], None]
    ) -> Path:
        """Bring one file into the cache, unless it is there, and say where it lies.

        `came` is told how many more bytes are here, whenever some are.
        """
        ...


@dataclass(frozen=True)
class HuggingFaceHub:
    """huggingface.co, the mirror that HF_ENDPOINT names, or another address."""

    endpoint: str | None = None

    def listing(self, repository: str, revision: str) -> tuple[str, Mapping[str, int]]:
        from huggingface_hub import HfApi

        info = HfApi(self.endpoint).model_info(repository, revision=revision, files_metadata=True)
        return str(info.sha), {file.rfilename: file.size or 0 for file in info.siblings or ()}

    def fetch(
        self, repository: str, commit: str, file: str, cache: Path, came: Callable[[int], None]
    ) -> Path:
        from huggingface_hub import hf_hub_download

        return Path(
            hf_hub_download(
                repository,
                file,
                revision=commit,
                cache_dir=cache,
                endpoint=self.endpoint,
                tqdm_class=_counter(came),
            )
        )


def _counter(came: Callable[[int], None]) -> type[Any]:
    """A progress bar that draws nothing and passes on what it is told."""
    from huggingface_hub.utils import tqdm

    class Counter(tqdm):
        def __init__(self, *args: Any, initial: int = 0, **settings: Any) -> None:
            super().__init__(*args, **{**settings, "disable": True})
            came(initial)

        def update(self, n: float | None = 1) -> None:
            came(int(n or 0))

        # The hub asks for these two so that it may count the bytes on the wire in the same bar.
        def update_transfer(self, n: float | None = 1) -> None:
            pass

        def set_transfer_postfix_str(self, text: str = "", refresh: bool = True) -> None:
            pass

    return Counter


def _hub_cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _record() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HOME) / "imgrag-commits.json"


@dataclass(frozen=True)
class Store:
    """The places where checkpoints are kept.

    Attributes:
        root: what local folders are relative to.
        cache: the hub's cache.
        record: the JSON file with the commit of each repository that was fetched.
        clips: where OpenAI's CLIP files lie.
    """

    root: Path = PROJECT
    cache: Path = field(default_factory=_hub_cache)
    record: Path = field(default_factory=_record)
    clips: Path = field(default_factory=lambda: Path.home() / ".cache" / "clip")

    def commits(self) -> dict[str, str]:
        """repository@revision -> commit; empty if nothing was recorded or the file is no JSON."""
        try:
            known = json.loads(self.record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def remember(self, checkpoint: Checkpoint, commit: str) -> None:
        """Record what a repository's revision stood for when it was fetched whole."""
        known = {**self.commits(), _key(checkpoint): commit}
        self.record.parent.mkdir(parents=True, exist_ok=True)
        partial = self.record.with_suffix(f".{os.getpid()}.partial")
        partial.write_text(json.dumps(known, indent=1, sort_keys=True), encoding="utf-8")
        os.replace(partial, self.record)


def _key(checkpoint: Checkpoint) -> str:
    return f"{checkpoint.hub}@{checkpoint.revision}"


def choose(checkpoint: Checkpoint, fallback: Checkpoint | None) -> Checkpoint:
    """The first checkpoint where the packages it needs are installed, else the fallback."""
    lacking = [package for package in checkpoint.needs if importlib.util.find_spec(package) is None]
    if lacking and fallback is None:
        packages = " ".join(lacking)
        raise CheckpointError(
            f"{checkpoint.label} needs {' and '.join(lacking)}. Run: pip install {packages}"
        )
    return fallback if lacking and fallback is not None else checkpoint


def cast(profile: Profile) -> dict[str, Checkpoint]:
    """The checkpoint of each role but CLIP, whose files have no repository."""
    roles = ("composer", "captioner", "reranker", "upscaler")
    some = {role: part.checkpoint for role in roles if (part := getattr(profile, role)) is not None}
    return {
        "generator": profile.generator.checkpoint,
        "adapter": profile.adapter.checkpoint,
        "vlm": choose(profile.vlm.checkpoint, profile.vlm.fallback),
        "llm": choose(profile.llm.checkpoint, profile.llm.fallback),
        **some,
        **(profile.control.checkpoints if profile.control else {}),
    }


def locate(checkpoint: Checkpoint, profile: str, store: Store | None = None) -> Path:
    """The folder of a checkpoint on this machine; asks no network.

    Raises:
        CheckpointError: it is not here (with the command that fetches it), or it is not safe to open.
    """
    store = store or Store()
    folder = folder_of(checkpoint, store)
    if folder is None:
        raise CheckpointError(_missing(checkpoint.label, profile, fetchable=bool(checkpoint.hub)))
    files = [file for file in folder.rglob("*") if file.is_file()]
    _refuse_pickles(checkpoint, [file.name for file in files])
    for file in files:
        _refuse_code(checkpoint, file, file.relative_to(folder).as_posix())
    return folder


def folder_of(checkpoint: Checkpoint, store: Store) -> Path | None:
    """Where a checkpoint lies on this machine, `None` if it is not here."""
    local = store.root / checkpoint.local
    return local if checkpoint.local and local.is_dir() else _cached(checkpoint, store)


def locate_clip(name: str, profile: str, store: Store | None = None) -> Path:
    """The file of a CLIP model: OpenAI's own name for it, or a path.

    Raises:
        CheckpointError: it is not here.
    """
    store = store or Store()
    known = name in CLIP_NAMES
    file = store.clips / _clip_file(name) if known else store.root / name
    if not file.is_file():
        raise CheckpointError(_missing(f"CLIP {name}", profile, fetchable=known))
    return file


def download(
    profile: Profile, progress: Progress | None = None, store: Store | None = None, hub: Hub | None = None
) -> list[str]:
    """Fetch what the profile needs and this machine lacks or has damaged, and record the commits.

    Returns:
        The labels of what was fetched; empty if all was here.

    Raises:
        CheckpointError: the hub cannot be reached, or a repository is not what it should be.
    """
    store, hub = store or Store(), hub or HuggingFaceHub()
    fetched = []
    for checkpoint in cast(profile).values():
        if checkpoint.local and (store.root / checkpoint.local).is_dir():
            continue
        if not checkpoint.hub:
            raise CheckpointError(_missing(checkpoint.label, profile.name, fetchable=False))
        folder = _cached(checkpoint, store)
        if folder is None or discard_damaged(folder) or _key(checkpoint) not in store.commits():
            _fetch(checkpoint, progress, store, hub)
            fetched.append(checkpoint.label)
    name = profile.clip.checkpoint
    if name in CLIP_NAMES and not (store.clips / _clip_file(name)).is_file():
        _fetch_clip(name, store)
        fetched.append(f"CLIP {name}")
    return fetched


def _fetch(checkpoint: Checkpoint, progress: Progress | None, store: Store, hub: Hub) -> None:
    revision = store.commits().get(_key(checkpoint), checkpoint.revision)
    with _reaching(checkpoint.hub):
        commit, sizes = hub.listing(checkpoint.hub, revision)
    _refuse_pickles(checkpoint, list(sizes))
    # The configuration comes first: a repository that wants to run code is refused before its gigabytes.
    wanted = [file for file in sizes if any(fnmatchcase(file, pattern) for pattern in checkpoint.files)]
    wanted.sort(key=lambda file: (not file.endswith(".json"), file))
    if not any(file.endswith(".safetensors") for file in wanted):
        raise CheckpointError(
            f"{checkpoint.hub} has no weights that fit the profile's `files`. Correct the profile."
        )
    done, total = 0, sum(sizes[file] for file in wanted)
    for file in wanted:
        count = _Count(f"{checkpoint.hub}/{file}", done, done + sizes[file], total, progress)
        with _reaching(checkpoint.hub):
            path = hub.fetch(checkpoint.hub, commit, file, store.cache, count.add)
        _refuse_code(checkpoint, path, file)
        done += sizes[file]
        count.finish()
    store.remember(checkpoint, commit)


@dataclass
class _Count:
    """Bytes of one file on their way; never beyond its size, whatever a retry counts twice."""

    file: str
    done: int
    end: int
    total: int
    progress: Progress | None

    def __post_init__(self) -> None:
        self.add(0)

    def add(self, count: int) -> None:
        self.done = min(self.end, self.done + count)
        if self.progress:
            self.progress(self.file, self.done, self.total)

    def finish(self) -> None:
        self.add(self.end - self.done)


@contextmanager
def _reaching(repository: str) -> Iterator[None]:
    """Turn whatever a hub's client raises into one sentence."""
    try:
        yield
    except Exception as error:  # its own, and those of whichever HTTP library it has
        raise CheckpointError(_unreachable(repository, error)) from error


def _unreachable(repository: str, error: Exception) -> str:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, GatedRepoError):
        return f"{repository} asks for consent: accept its licence at https://huggingface.co/{repository} and log in."
    if isinstance(error, (RepositoryNotFoundError, RevisionNotFoundError)):
        return f"The hub has no {repository}, or not this revision of it. Correct the profile."
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"The disk is full; {repository} could not be fetched. Free some space and run the download again."
    return (
        f"The hub cannot be reached for {repository} ({type(error).__name__}). "
        "Check the network and run the download again; what was fetched is kept."
    )


def _fetch_clip(name: str, store: Store) -> None:
    """By clip's own loader, which checks the file's SHA-256."""
    from imgrag.models.clip import import_clip

    with _reaching(f"CLIP {name}"):
        import_clip().load(name, device="cpu", download_root=str(store.clips))


def _cached(checkpoint: Checkpoint, store: Store) -> Path | None:
    if not checkpoint.hub:
        return None
    commit = store.commits().get(_key(checkpoint), checkpoint.revision)
    try:
        return _snapshot(checkpoint, commit, store)
    except (OSError, ValueError):  # nothing there, only a part of it, or no such name
        return None


def _snapshot(checkpoint: Checkpoint, commit: str, store: Store) -> Path:
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            checkpoint.hub,
            revision=commit,
            cache_dir=store.cache,
            local_files_only=True,
            allow_patterns=list(checkpoint.files),
        )
    )


def _refuse_pickles(checkpoint: Checkpoint, files: list[str]) -> None:
    if any(file.endswith(".safetensors") for file in files):
        return
    if any(file.endswith(PICKLES) for file in files):
        raise CheckpointError(
            f"{checkpoint.label} has only pickled weights, which can run code. Choose a checkpoint in safetensors."
        )
    raise CheckpointError(
        f"{checkpoint.label} holds no safetensors weights. Fetch it again, or correct the profile."
    )


def _refuse_code(checkpoint: Checkpoint, file: Path, name: str) -> None:
    """`name` is the file's path within the checkpoint."""
    if file.name not in ("config.json", "model_index.json"):
        return
    try:
        config = read_json(file)
    except UnsoundFile as error:
        name = f"{checkpoint.label}/{name}"
        raise CheckpointError(error.sentence(name, "Fetch the model again.")) from error
    if _wants_code(config):
        raise CheckpointError(
            f"{checkpoint.label} wants code of its own to be run, which is never done. Choose another checkpoint."
        )


def _wants_code(config: dict[str, Any]) -> bool:
    """An `auto_map` names code, which matters only for a model that transformers does not have itself."""
    if isinstance(config.get("_class_name"), list):  # a diffusers pipeline from a file of the repository
        return True
    if "auto_map" not in config:
        return False
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return config.get("model_type") not in CONFIG_MAPPING_NAMES


def _clip_file(name: str) -> str:
    return f"{name.replace('/', '-').replace('@', '-')}.pt"


def _missing(what: str, profile: str, fetchable: bool) -> str:
    if not fetchable:
        return (
            f"{what} is missing. It comes with the project: fetch the project again, with its assets folder."
        )
    return f"{what} is not on this machine. Fetch it with: python -m imgrag download --profile {profile}"
