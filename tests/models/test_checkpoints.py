"""Finding and fetching checkpoints: local first, the hub at the recorded commit, one sentence for the rest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from imgrag.errors import CheckpointError
from imgrag.models.checkpoints import (
    CLIP_NAMES,
    HuggingFaceHub,
    Store,
    cast,
    choose,
    download,
    locate,
    locate_clip,
)
from imgrag.models.clip import import_clip
from imgrag.models.profile import Checkpoint, Profile, load_profile
from imgrag.models.weights import expected_bytes

FIRST, SECOND = "a" * 40, "b" * 40
WEIGHTS = save({"weight": np.zeros((3, 5), np.float16)})


class FolderHub:
    """A hub that has what it is given, and lays its files out as huggingface_hub does."""

    def __init__(self, files: Mapping[str, bytes], commit: str = FIRST) -> None:
        self.files = dict(files)
        self.commit = commit
        self.fetched: list[str] = []
        self.asked: list[str] = []

    def listing(self, repository: str, revision: str) -> tuple[str, Mapping[str, int]]:
        self.asked.append(revision)
        known = revision if len(revision) == 40 else self.commit
        return known, {name: len(content) for name, content in self.files.items()}

    def fetch(
        self, repository: str, commit: str, file: str, cache: Path, came: Callable[[int], None] = print
    ) -> Path:
        self.fetched.append(file)
        path = cache / f"models--{repository.replace('/', '--')}" / "snapshots" / commit / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.files[file])
        came(len(self.files[file]))
        return path


class Unplugged(FolderHub):
    """A hub behind a dead network."""

    def listing(self, repository: str, revision: str) -> tuple[str, Mapping[str, int]]:
        raise ConnectionError("Name or service not known")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(
        tmp_path / "project", tmp_path / "hub", tmp_path / "home" / "commits.json", tmp_path / "clip"
    )


@pytest.fixture
def profile(store: Store) -> Profile:
    """Only the LLM comes from a hub; the others lie in one local folder."""
    local = Checkpoint(local="here")
    folder = store.root / "here"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    pocket = load_profile("pocket")
    return replace(
        pocket,
        name="mine",
        generator=replace(pocket.generator, checkpoint=local),
        adapter=replace(pocket.adapter, checkpoint=local),
        vlm=replace(pocket.vlm, checkpoint=local),
        llm=replace(pocket.llm, checkpoint=Checkpoint(hub="someone/llm")),
        captioner=None,
        upscaler=None,
        reranker=None,
        control=None,
    )


GOOD = {
    "config.json": b'{"model_type": "qwen2"}',
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"pickle",
    "run.py": b"print()",
}


def test_a_local_folder_comes_first(store: Store, profile: Profile) -> None:
    both = Checkpoint(local="here", hub="someone/llm")
    assert locate(both, "mine", store) == store.root / "here"


def test_an_absolute_folder_serves_too(store: Store, profile: Profile) -> None:
    assert locate(Checkpoint(local=str(store.root / "here")), "mine", Store(root=Path("elsewhere")))


def test_a_missing_checkpoint_is_one_sentence_with_the_command(store: Store, profile: Profile) -> None:
    with pytest.raises(CheckpointError) as error:
        locate(profile.llm.checkpoint, "mine", store)
    told = str(error.value)
    assert (
        told == "someone/llm is not on this machine. Fetch it with: python -m imgrag download --profile mine"
    )


def test_a_download_fetches_what_is_safe_and_records_the_commit(store: Store, profile: Profile) -> None:
    hub, told = FolderHub(GOOD), []
    assert download(profile, lambda *step: told.append(step), store, hub) == ["someone/llm"]
    assert hub.fetched == ["config.json", "model.safetensors"]
    assert store.commits() == {"someone/llm@main": FIRST}
    assert locate(profile.llm.checkpoint, "mine", store).name == FIRST
    first, total = len(GOOD["config.json"]), len(GOOD["config.json"]) + len(WEIGHTS)
    assert [step[1] for step in told] == sorted(step[1] for step in told)
    assert told[0] == ("someone/llm/config.json", 0, total)
    assert ("someone/llm/model.safetensors", first, total) in told
    assert told[-1] == ("someone/llm/model.safetensors", total, total)
    assert list(store.record.parent.iterdir()) == [store.record]


def test_what_is_here_is_not_fetched_again(store: Store, profile: Profile) -> None:
    download(profile, None, store, FolderHub(GOOD))
    hub = FolderHub(GOOD, SECOND)
    assert download(profile, None, store, hub) == [] and hub.asked == []


def test_what_is_damaged_is_fetched_again(store: Store, profile: Profile) -> None:
    download(profile, None, store, FolderHub(GOOD))
    weights = locate(profile.llm.checkpoint, "mine", store) / "model.safetensors"
    weights.write_bytes(WEIGHTS[:-1])
    hub = FolderHub(GOOD)
    assert download(profile, None, store, hub) == ["someone/llm"]
    assert weights.read_bytes() == WEIGHTS and download(profile, None, store, hub) == []


def test_later_loads_stay_with_the_recorded_commit(store: Store, profile: Profile) -> None:
    download(profile, None, store, FolderHub(GOOD, FIRST))
    FolderHub(GOOD).fetch("someone/llm", SECOND, "model.safetensors", store.cache)
    refs = store.cache / "models--someone--llm" / "refs"
    refs.mkdir()
    (refs / "main").write_text(SECOND)
    assert locate(profile.llm.checkpoint, "mine", store).name == FIRST


def test_a_cleared_cache_is_filled_with_the_recorded_commit(store: Store, profile: Profile) -> None:
    store.remember(profile.llm.checkpoint, FIRST)
    hub = FolderHub(GOOD, SECOND)
    download(profile, None, store, hub)
    assert hub.asked == [FIRST] and locate(profile.llm.checkpoint, "mine", store).name == FIRST


def test_a_snapshot_that_the_hub_put_there_serves_unrecorded(store: Store, profile: Profile) -> None:
    FolderHub(GOOD).fetch("someone/llm", SECOND, "model.safetensors", store.cache)
    refs = store.cache / "models--someone--llm" / "refs"
    refs.mkdir()
    (refs / "main").write_text(SECOND)
    assert locate(profile.llm.checkpoint, "mine", store).name == SECOND


def test_records_of_other_checkpoints_are_kept(store: Store) -> None:
    store.remember(Checkpoint(hub="a/b"), FIRST)
    store.remember(Checkpoint(hub="c/d", revision="v2"), SECOND)
    assert json.loads(store.record.read_text()) == {"a/b@main": FIRST, "c/d@v2": SECOND}


@pytest.fixture
def address() -> Iterator[str]:
    """A server on this machine that answers as huggingface.co does for someone/llm."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), HubHandler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


class HubHandler(BaseHTTPRequestHandler):
    """The two addresses the client asks: a repository's files with their sizes, and a file."""

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def answer(self, body: bool) -> None:
        name = self.path.split("?")[0].rsplit("/", 1)[-1]
        if self.path.startswith("/api/models/someone/llm"):
            files = [{"rfilename": file, "size": len(content)} for file, content in GOOD.items()]
            content = json.dumps({"id": "someone/llm", "sha": FIRST, "siblings": files}).encode()
        elif self.path.startswith(f"/someone/llm/resolve/{FIRST}/") and name in GOOD:
            content = GOOD[name]
        else:
            content = b""
        self.send_response(200 if content else 404)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", FIRST)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def test_the_real_client_fetches_counts_and_finds(store: Store, profile: Profile, address: str) -> None:
    told: list[tuple[str, int, int]] = []
    download(profile, lambda *step: told.append(step), store, HuggingFaceHub(address))
    folder = locate(profile.llm.checkpoint, "mine", store)
    assert folder.name == FIRST
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        name: GOOD[name] for name in ("config.json", "model.safetensors")
    }
    total = len(GOOD["config.json"]) + len(WEIGHTS)
    assert told[-1] == ("someone/llm/model.safetensors", total, total)


def test_the_real_client_at_a_dead_address_is_one_sentence(
    store: Store, profile: Profile, address: str
) -> None:
    with pytest.raises(
        CheckpointError, match=r"^The hub cannot be reached for someone/llm .*run the download"
    ):
        download(profile, None, store, HuggingFaceHub("http://127.0.0.1:9"))
    absent = replace(profile, llm=replace(profile.llm, checkpoint=Checkpoint(hub="no/such")))
    with pytest.raises(CheckpointError, match="no/such"):
        download(absent, None, store, HuggingFaceHub(address))


def test_a_hub_out_of_reach_is_one_sentence(store: Store, profile: Profile) -> None:
    with pytest.raises(
        CheckpointError, match=r"hub cannot be reached for someone/llm .* run the download again"
    ):
        download(profile, None, store, Unplugged({}))
    assert store.commits() == {}


def test_a_broken_off_download_is_not_recorded(store: Store, profile: Profile) -> None:
    class BreakingOff(FolderHub):
        def fetch(self, repository: str, commit: str, file: str, *rest: Any) -> Path:
            if file.endswith(".safetensors"):
                raise TimeoutError
            return super().fetch(repository, commit, file, *rest)

    with pytest.raises(CheckpointError, match="cannot be reached"):
        download(profile, None, store, BreakingOff(GOOD))
    with pytest.raises(CheckpointError, match="not on this machine"):
        locate(profile.llm.checkpoint, "mine", store)


def test_a_repository_of_pickles_is_refused_before_anything_comes(store: Store, profile: Profile) -> None:
    hub = FolderHub({"config.json": b"{}", "pytorch_model.bin": b"pickle"})
    with pytest.raises(CheckpointError, match="only pickled weights"):
        download(profile, None, store, hub)
    assert hub.fetched == []


@pytest.mark.parametrize(
    ("file", "config"),
    [
        ("config.json", {"model_type": "invented", "auto_map": {"AutoModel": "run.Model"}}),
        ("model_index.json", {"_class_name": ["run", "Pipeline"]}),
    ],
)
def test_a_repository_with_code_is_refused_before_its_weights(
    store: Store, profile: Profile, file: str, config: dict
) -> None:
    hub = FolderHub({file: json.dumps(config).encode(), "model.safetensors": WEIGHTS})
    with pytest.raises(CheckpointError, match="code of its own"):
        download(profile, None, store, hub)
    assert hub.fetched == [file]
    (store.root / "here" / file).write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="code of its own"):
        locate(Checkpoint(local="here"), "mine", store)


def test_code_that_transformers_does_not_need_is_no_reason(store: Store, profile: Profile) -> None:
    config = json.dumps({"model_type": "qwen2", "auto_map": {"AutoModel": "run.Model"}})
    (store.root / "here" / "config.json").write_text(config)
    assert locate(Checkpoint(local="here"), "mine", store)


def test_a_local_folder_of_pickles_is_refused(store: Store, profile: Profile) -> None:
    (store.root / "here" / "model.safetensors").rename(store.root / "here" / "model.bin")
    with pytest.raises(CheckpointError, match="only pickled weights"):
        locate(Checkpoint(local="here"), "mine", store)


def test_the_fallback_serves_where_a_package_is_lacking() -> None:
    plain = Checkpoint(hub="plain/model")
    wanting = Checkpoint(hub="quantised/model", needs=("no_such_package_here",))
    content = Checkpoint(hub="quantised/model", needs=("json",))
    assert choose(wanting, plain) is plain
    assert choose(content, plain) is content
    with pytest.raises(CheckpointError, match="pip install no_such_package_here"):
        choose(wanting, None)


def test_the_sdxl_cast_is_whole() -> None:
    assert list(cast(load_profile("sdxl"))) == [
        "generator", "adapter", "vlm", "llm", "captioner", "control", "depth", "pose",
    ]  # fmt: skip


def test_clip_is_found_by_name_and_by_path(store: Store) -> None:
    store.clips.mkdir()
    (store.clips / "ViT-L-14-336px.pt").write_bytes(b"x")
    (store.root / "own").mkdir(parents=True)
    (store.root / "own" / "clip.pt").write_bytes(b"x")
    assert locate_clip("ViT-L/14@336px", "mine", store).name == "ViT-L-14-336px.pt"
    assert locate_clip("own/clip.pt", "mine", store) == store.root / "own" / "clip.pt"
    with pytest.raises(CheckpointError, match=r"CLIP ViT-B/32 is not on this machine\. Fetch it with"):
        locate_clip("ViT-B/32", "sdxl", store)
    with pytest.raises(CheckpointError, match="comes with the project"):
        locate_clip("own/other.pt", "mine", store)


def test_our_names_of_clip_are_clips() -> None:
    assert list(CLIP_NAMES) == import_clip().available_models()


def test_the_expected_bytes_are_those_in_memory(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(save({"a": np.zeros((3, 5), np.float16), "b": np.zeros(7, np.int32)}))
    assert expected_bytes([file], 4) == 15 * 4 + 7 * 4
    assert expected_bytes([file], None) == 15 * 2 + 7 * 4
