"""The command line: what goes where, and the exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from imgrag.commands import cli
from imgrag.engine.librarian import Librarian
from imgrag.errors import Cancelled, CheckpointError
from imgrag.runs.events import Event
from imgrag.runs.values import Request
from tests.fakes import Cast, make_library, make_pipeline

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", " "], "prompt is empty"),
        (["run", "x" * 2001], "2001 characters"),
        (["run", "a dog", "--profile", "nope"], "no profile 'nope'"),
        (["run", "a dog", "--library", "nope"], "no library 'nope'"),
        (["run", "a dog", "--seed", "-1"], "seed is -1"),
        (["run", "a dog", "--rounds", "9"], "number of rounds is 9"),
        (["run", "a dog", "--weights", "much"], "weights are 'much'"),
        (["bench", "nope"], "no bench 'nope'"),
        (["train", "nope"], "no recipe 'nope'"),
        (["download", "--profile", "nope"], "no profile 'nope'"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments: list[str], says: str) -> None:
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 2 and done.stdout == ""
    assert says in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-m", "imgrag", "run", "a dog", "--out", str(tmp_path / "file" / "below")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "cannot be written" in done.stderr and str(tmp_path) not in done.stderr


def test_the_help_comes_without_the_models() -> None:
    code = (
        "import sys, imgrag.commands.cli\n"
        "try: imgrag.commands.cli.app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'diffusers', 'transformers', 'clip', 'gradio'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert all(command in done.stdout for command in ("run", "download", "train", "bench"))


class Tool:
    """The command line on fakes: `ImageRAGPipeline` is made by `make_pipeline` instead."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cast = Cast()
        monkeypatch.setattr("imgrag.engine.pipeline.ImageRAGPipeline", self._make)
        self._folder = folder

    def _make(self, profile: str, policy: str, results: Path) -> object:
        pipeline = make_pipeline(self._folder, self.cast, policy=policy)
        pipeline.results = results
        return pipeline

    def __call__(self, *arguments: str):
        return CliRunner().invoke(cli.app, ["run", "a dog and an owl", "--steps", "2", *arguments])


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    return Tool(tmp_path, monkeypatch)


def test_json_prints_the_record(tool: Tool, tmp_path: Path) -> None:
    done = tool("--out", str(tmp_path / "out"), "--seed", "5", "--weights", "0.5", "--json")
    assert done.exit_code == 0
    printed = json.loads(done.stdout)
    assert printed["seed"] == 5 and printed["references"][0]["weight"] == 0.5
    kept = json.loads((tmp_path / "out" / printed["id"] / "run.json").read_text())
    assert kept == printed


def test_without_json_the_trace_is_told(tool: Tool, tmp_path: Path) -> None:
    done = tool("--out", str(tmp_path / "out"))
    assert done.exit_code == 0
    assert "owl.png" in done.stdout and "everything is there" in done.stdout
    assert Path("".join(done.stdout.splitlines()[-1:])).is_file()


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), 130), (Cancelled("x"), 130), (CheckpointError("The VLM is missing."), 1)],
)
def test_a_run_that_is_not_finished_has_its_own_exit_code(
    tool: Tool, tmp_path: Path, error: BaseException, code: int
) -> None:
    def at_step(step: int) -> None:
        raise error

    tool.cast.generator._at_step = at_step
    done = tool("--out", str(tmp_path / "out"))
    assert done.exit_code == code
    assert len(done.stderr.splitlines()) == 1
    assert list((tmp_path / "out").iterdir()) == []


def test_progress_names_every_stage(tool: Tool, tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, tool.cast)
    shown: list[str] = []

    def watched() -> Iterator[Event]:
        for event in pipeline.stream(Request("a dog", steps=2)):
            shown.append(type(event).__name__)
            yield event

    assert cli._followed(watched()).kept == 0  # type: ignore[arg-type]
    assert shown[-1] == "Finished" and shown.count("StageSkipped") == 4


def library_command(*arguments: str):
    return CliRunner().invoke(cli.app, ["library", *arguments])


@pytest.fixture
def librarian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Librarian:
    """What the library commands work on: fakes for models, an empty folder of libraries beside "pocket"."""
    found = Librarian(make_pipeline(tmp_path, Cast()))
    monkeypatch.setattr("imgrag.commands.library._librarian", lambda profile="pocket": found)
    return found


def test_a_library_from_its_making_to_its_end(librarian: Librarian, tmp_path: Path) -> None:
    photos = make_library(tmp_path / "photos", "owl", "cat")
    (photos / "bad.png").write_bytes(b"")
    assert library_command("create", "birds").exit_code == 0
    added = library_command("add", "birds", str(photos), "--json")
    assert json.loads(added.stdout)["added"] == 2
    assert json.loads(added.stdout)["skipped"] == [{"file": "photos/bad.png", "reason": "it is empty"}]
    assert library_command("add", "birds").stdout.startswith(
        "0 added, 0 changed, 0 removed, 2 unchanged, 1 skipped"
    )
    rows = json.loads(library_command("search", "birds", "an owl", "--json").stdout)
    assert [row["file"] for row in rows] == ["photos/owl.png", "photos/cat.png"]
    assert {"id", "file", "name", "score", "caption", "source", "licence"} <= rows[0].keys()
    by_picture = library_command("search", "birds", "--image", str(photos / "owl.png"), "-k", "1")
    assert by_picture.stdout.split()[1] == "photos/cat.png", "the query itself is left out"
    filtered = library_command("search", "birds", "an owl", "--where", "name like 'c%'", "--json")
    assert [row["name"] for row in json.loads(filtered.stdout)] == ["cat"]
    assert {one["name"]: one["images"] for one in json.loads(library_command("list", "--json").stdout)}[
        "birds"
    ] == 2
    assert "photos/bad.png (it is empty)" in library_command("stats", "birds").stdout
    assert Path(library_command("export", "birds", str(tmp_path / "out")).stdout.strip()).is_file()
    assert library_command("remove", "birds", "photos/owl.png").stdout == "1 removed\n"
    assert library_command("remove", "birds", "--yes").exit_code == 0
    assert librarian.names() == ["pocket"] and (photos / "owl.png").exists()


def test_a_library_of_the_app_is_copied_and_not_changed(tmp_path: Path, monkeypatch) -> None:
    bundled = make_library(tmp_path / "app" / "stickers", "owl", "cat")
    found = Librarian(make_pipeline(tmp_path, Cast(), bundled=[bundled]))
    monkeypatch.setattr("imgrag.commands.library._librarian", lambda profile="pocket": found)
    photos = make_library(tmp_path / "photos", "dog")
    for arguments in (
        ["add", "stickers", str(photos)],
        ["remove", "stickers", "owl.png"],
        ["remove", "stickers"],
    ):
        refused = library_command(*arguments)
        assert refused.exit_code == 2 and "python -m imgrag library copy 'stickers' NEW" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    assert library_command("add", "stickers").exit_code == 0, "to look again changes nothing"
    assert library_command("copy", "stickers", "mine").exit_code == 0
    assert library_command("add", "mine", str(photos)).stdout.startswith(
        "1 added, 0 changed, 0 removed, 2 un"
    )
    assert library_command("remove", "mine", "owl.png").stdout == "1 removed\n"
    assert library_command("copy", "stickers", "mine").exit_code == 2
    assert sorted(path.name for path in bundled.glob("*.png")) == ["cat.png", "owl.png"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["search", "pocket", "owl", "--where", "colour = 'red'"], "no column 'colour'. It has: file, name"),
        (["create", "../x"], "cannot be a library's name"),
        (["create", "pocket"], "already"),
        (["add", "pocket", "none.png"], "cannot be added"),
        (["add", "nope"], "no library 'nope'"),
        (["search", "pocket"], "nothing to search by"),
        (["search", "pocket", "owl", "--where", "price <"], "filter is not understood"),
        (["search", "pocket", "owl", "--where", "'; drop table images"], "filter is not understood"),
        (["search", "pocket", "owl", "-k", "0"], "from 1 to 1000"),
        (["search", "pocket", "--image", "none.png"], "'none.png' cannot be used"),
        (["search", "pocket", "owl", "--weight", "2"], "from 0 to 1"),
        (["remove", "pocket", "none.png"], "none of these files"),
        (["remove", "pocket", "--yes"], "comes with the app"),
    ],
)
def test_bad_input_to_a_library_is_one_sentence(
    librarian: Librarian, arguments: list[str], says: str
) -> None:
    done = library_command(*arguments)
    assert done.exit_code == 2 and done.stdout == ""
    assert says in done.stderr and len(done.stderr.splitlines()) == 1
