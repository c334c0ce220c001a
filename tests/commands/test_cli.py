"""The command line: what goes where, and the exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from imgrag.commands import cli
from imgrag.engine.librarian import Librarian
from imgrag.errors import Cancelled, CheckpointError
from imgrag.runs.events import Event
from imgrag.runs.values import Request
from tests.fakes import Cast, make_library, make_pipeline

ROOT = Path(__file__).parents[2]
BIG = "9" * 400
COMMANDS = {
    "run": "--out --seed --profile --steps --guidance-scale --adapter-scale --similarity-floor --max-concepts --rounds "
    "--negative-prompt --library --weights --policy --json",
    "batch": "--file --out --sheet --no-sheet --seed --profile --steps --guidance-scale --adapter-scale "
    "--similarity-floor --max-concepts --rounds --negative-prompt --library --weights --policy",
    "download": "--profile",
    "train": "--device",
    "bench": "",
    "library create": "--milvus",
    "library add": "--profile --json",
    "library search": "--image --where -k --weight --rerank --no-rerank --reasons --explain --no-explain --profile --json",
    "library remove": "--yes",
    "library list": "--json",
    "library stats": "--json",
    "library export": "--profile",
}
"""Every command of commit 89afa24 and its flags: people's scripts have them."""


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
        (["run", "a dog", "--seed", BIG], "seed is 1e400"),
        (["run", "a dog", "--steps", BIG], "steps is 1e400"),
        (["run", "a dog", "--guidance-scale", BIG], "guidance scale is inf"),
        (["run", "a dog", "--adapter-scale", "nan"], "adapter scale is nan"),
        (["run", "a dog", "--similarity-floor", "1e999"], "similarity floor is inf"),
        (["run", "a dog", "--max-concepts", BIG], "number of concepts is 1e400"),
        (["run", "a dog", "--rounds", BIG], "number of rounds is 1e400"),
        (["run", "a dog", "--weights", BIG], "weight of a reference is inf"),
        (["run", "a dog", "--library", "x" * 300], "There is no library"),
        (["run", "a dog", "--library", "~nobody99"], "There is no library"),
        (["run", "a dog", "--library", __file__], "There is no library"),
        (["run", "a dog", "--profile", "x" * 300], "There is no profile"),
        (["run", "a dog", "--profile", "x" * 300 + ".toml"], "There is no profile"),
        (["run", "a dog", "--profile", "."], "There is no profile"),
        (["run", "a dog", "--out", "x" * 300], "cannot be written"),
        (["batch"], "There is no prompt"),
        (["batch", "a dog", "--seed", BIG], "seed is 1e400"),
        (["batch", "--file", "."], "cannot be read"),
        (["batch", "--file", "x" * 300], "cannot be read"),
        (["batch", "a dog", "--out", __file__], "cannot be written"),
        (["batch", "a dog", "--out", "x" * 300], "cannot be written"),
        (["library", "create", "x" * 300], "cannot be a library's name"),
        (["library", "create", "\udcff"], "cannot be a library's name"),
        (["library", "add", "x" * 300], "There is no library"),
        (["library", "search", "pocket", "owl", "-k", BIG], "number of results is 1e400"),
        (["library", "search", "pocket", "owl", "--where", f"price < {BIG}"], "larger than any"),
        (["library", "search", "pocket", "owl", "--where", "x" * 1001], "1001 characters"),
        (["library", "search", "pocket", "--image", "x" * 300], "cannot be used"),
        (["library", "search", "pocket", "owl", "--weight", "nan"], "from 0 to 1"),
        (["library", "remove", "x" * 300, "--yes"], "There is no library"),
        (["library", "stats", "x" * 300], "There is no library"),
        (["library", "export", "x" * 300, "out"], "There is no library"),
        (["train", "x" * 300], "There is no recipe"),
        (["train", "clip", "--device", "abacus"], "There is no device 'abacus'"),
        (["bench", "../x"], "There is no bench"),
        (["download", "--profile", "x" * 300], "There is no profile"),
        (["bench", "nope"], "no bench 'nope'"),
        (["nope"], "No such command 'nope'. See root --help."),
        (["x" * 5000], "No such command 'xxx"),
        (["run"], "Missing argument 'prompt'. See root run --help."),
        (["run", "a dog", "--seed", "many"], "Invalid value for '--seed'"),
        (["run", "a dog", "--policy", "lazy"], "Invalid value for '--policy'"),
        (["run", "a dog", "--control", "x" * 300], "The picture of the structure cannot be used"),
        (
            ["run", "a dog", "--control", __file__],
            "The picture of the structure cannot be used: it is no picture",
        ),
        (["run", "a dog", "--control-kind", "sketch"], "no picture to make a structure of"),
        (["run", "a dog", "--control-initial", "--control-scale", "9"], "scale of the structure is 9"),
        (
            ["batch", "a dog", "--control-initial", "--control-similar", "both"],
            "found by a sketch or a picture",
        ),
        (["run", "a dog", "--control-kind", "maybe"], "Invalid value for '--control-kind'"),
        (["run", "a dog", "--knowledge", "maybe"], "Invalid value for '--knowledge': 'maybe' is not one of"),
        (["run", "a dog", "--nonsense"], "No such option: --nonsense"),
        (["run", "a dog", "--seed"], "--seed"),
        (["run", "a dog", "an owl"], "an owl"),
        (["library", "nope"], "No such command 'nope'. See root library --help."),
        (["library", "add"], "Missing argument 'name'"),
        (["train", "nope"], "no recipe 'nope'"),
        (["download", "--profile", "nope"], "no profile 'nope'"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments: list[str], says: str) -> None:
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 2 and done.stdout == ""
    assert says in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_flag_of_before_is_still_there(name: str) -> None:
    command = typer.main.get_command(cli.app)
    for part in name.split():
        command = command.commands[part]  # type: ignore[attr-defined]
    flags = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    assert set(COMMANDS[name].split()) <= flags


def test_a_bench_with_a_count_beyond_measure_does_not_begin(capsys: pytest.CaptureFixture[str]) -> None:
    done = CliRunner().invoke(cli.app, ["bench", "search", "--queries", BIG])
    assert done.exit_code == 2 and "invalid count value" in done.stderr


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


@pytest.mark.parametrize(("flags", "when"), [((), "unknown"), (("--knowledge", "off"), "off")])
def test_knowledge_is_the_profile_s_or_as_the_flags_say(
    tool: Tool, tmp_path: Path, flags: tuple[str, ...], when: str
) -> None:
    done = tool("--out", str(tmp_path / "out"), "--json", *flags)
    settings = json.loads(done.stdout)["settings"]
    assert (settings["knowledge"], settings["knowledge_base"]) == (when, "pocket")
    assert tool("--knowledge", "maybe").exit_code == 2
    missing = tool("--knowledge-base", "nope", "--out", str(tmp_path / "out"))
    assert missing.exit_code == 2 and "There is no knowledge base 'nope'" in missing.stderr


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


@pytest.mark.skipif(sys.platform != "linux", reason="the folders are Linux's")
@pytest.mark.parametrize("library", ["/proc", "/dev", "empty"])
def test_a_folder_without_pictures_is_a_sentence(tool: Tool, tmp_path: Path, library: str) -> None:
    (tmp_path / "empty").mkdir()
    done = tool("--library", str(tmp_path / library), "--out", str(tmp_path / "out"))
    assert done.exit_code == 2 and len(done.stderr.splitlines()) == 1
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no bound on the size of files")
def test_a_disk_that_fills_in_mid_run_is_a_sentence_and_what_was_there_is_whole(
    tool: Tool, tmp_path: Path
) -> None:
    import resource

    assert tool("--out", str(tmp_path / "out")).exit_code == 0
    before = {file: file.read_bytes() for file in (tmp_path / "out").rglob("*") if file.is_file()}
    tool.cast.generator._picture = lambda *_: Image.effect_noise((256, 256), 90).convert("RGB")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, usual[1]))  # bytes; the picture has more
    try:
        done = tool("--out", str(tmp_path / "out"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert done.exit_code == 2 and len(done.stderr.splitlines()) == 1
    assert "'out' for results cannot be written (File too large)" in done.stderr
    assert {file: file.read_bytes() for file in (tmp_path / "out").rglob("*") if file.is_file()} == before


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


def test_what_adding_could_not_take_of_metadata_is_said(librarian: Librarian, tmp_path: Path) -> None:
    photos = make_library(tmp_path / "photos", "owl")
    (photos / "metadata.csv").write_text("file_name,caption\ngone.png,x\nowl.png,an owl\n")
    (photos / "metadata.xlsx").touch()
    library_command("create", "birds")
    lines = library_command("add", "birds", str(photos)).stdout.splitlines()
    assert lines[1:] == [
        "not read photos/metadata.xlsx: .xlsx is not read; save the table as CSV",
        "without a picture: 1 rows of metadata, such as gone.png",
    ]


def test_each_hit_says_why_it_was_found_and_who_says_so(librarian: Librarian) -> None:
    rows = json.loads(library_command("search", "pocket", "an owl", "-k", "2", "--explain", "--json").stdout)
    assert [(row["reason"], row["plain"]) for row in rows] == [(row["name"], True) for row in rows]
    lines = library_command("search", "pocket", "an owl", "-k", "2", "--explain").stdout.splitlines()
    assert [line.strip() for line in lines[1::2]] == [f"{row['name']} (from its fields)" for row in rows]


def test_a_library_from_its_making_to_its_end(librarian: Librarian, tmp_path: Path) -> None:
    photos = make_library(tmp_path / "photos", "owl", "cat")
    (photos / "bad.png").write_bytes(b"")
    assert library_command("create", "birds").exit_code == 0
    added = library_command("add", "birds", str(photos), "--json")
    assert json.loads(added.stdout)["added"] == 2
    assert json.loads(added.stdout)["skipped"] == [{"file": "photos/bad.png", "reason": "it is empty"}]
    assert library_command("add", "birds").stdout.startswith(
        "0 added, 0 changed, 0 removed, 2 unchanged, 0 skipped"
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
    assert library_command("remove", "birds", "photos/owl.png", "--yes").stdout == "1 removed\n"
    assert library_command("remove", "birds", "--yes").exit_code == 0
    assert librarian.names() == ["pocket"] and (photos / "owl.png").exists()


@pytest.mark.parametrize(
    ("answer", "code", "left"), [("y\n", 0, 3), ("n\n", 130, 4), ("\n", 130, 4), ("", 130, 4)]
)
def test_on_a_terminal_a_person_is_asked_before_pictures_are_removed(
    librarian: Librarian, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, left: int
) -> None:
    library_command("search", "pocket", "an owl")
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda self: True, raising=False)
    done = CliRunner().invoke(cli.app, ["library", "remove", "pocket", "owl.png"], input=answer)
    assert "Take 'owl.png' out of 'pocket' and delete its copies? [y/N]" in done.stderr
    assert done.exit_code == code
    assert librarian.page("pocket", 0, 9)[1] == left


def test_without_arguments_the_help_is_shown() -> None:
    for arguments in ([], ["library"]):
        done = CliRunner().invoke(cli.app, arguments)
        assert done.exit_code == 2 and "Usage" in done.output and "Error" not in done.output


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
    assert library_command("remove", "mine", "owl.png", "--yes").stdout == "1 removed\n"
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
        (["remove", "pocket", "none.png", "--yes"], "none of these files"),
        (["remove", "pocket", "owl.png"], "Add --yes"),
        (["remove", "pocket", "--yes"], "comes with the app"),
    ],
)
def test_bad_input_to_a_library_is_one_sentence(
    librarian: Librarian, arguments: list[str], says: str
) -> None:
    done = library_command(*arguments)
    assert done.exit_code == 2 and done.stdout == ""
    assert says in done.stderr and len(done.stderr.splitlines()) == 1
