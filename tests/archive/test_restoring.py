"""A run comes back from its folder, its zip and its PNG; what is none is refused in a sentence."""

from __future__ import annotations

import io
import json
import os
import stat
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from imgrag.archive import records, restoring
from imgrag.archive.bundles import write_bundle
from imgrag.archive.reading import restored
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.errors import Cancelled, LibraryError, RecordError
from imgrag.runs import corrections
from imgrag.runs.events import Finished, Paused
from imgrag.runs.values import STAGES, Box, Concept, Request, Run
from tests.fakes import COLOURS, Cast, FakeChat, ShyJudge, make_library, make_pipeline, tile

OWL = Request("a dog and an owl", steps=2, seed=7)
ROUNDS = Request("a dog , an owl and a toolbox", steps=2, seed=7, max_concepts=1, rounds=3)
NO_OWL = "Seen: dog\nMatches: no\nMissing: owl"
LESS = "Seen: owl\nMatches: no\nMissing: dog, toolbox"


def ended(pipeline: ImageRAGPipeline, run: Run) -> Run:
    event = list(pipeline.resume(run))[-1]
    assert isinstance(event, Finished)
    return event.run


def enhanced(folder: Path) -> tuple[ImageRAGPipeline, Run]:
    pipeline = make_pipeline(folder, Cast())
    return pipeline, pipeline(replace(OWL, negative_prompt="fog", weights=(0.7,)))


def matching(folder: Path) -> tuple[ImageRAGPipeline, Run]:
    pipeline = make_pipeline(folder, Cast())
    return pipeline, pipeline(Request("a dog", steps=2))


def rejecting(folder: Path) -> tuple[ImageRAGPipeline, Run]:
    pipeline = make_pipeline(folder, Cast(vlm=FakeChat("Seen: dog\nMatches: no\nMissing: idea")))
    return pipeline, pipeline(Request("a dog and an idea", steps=2))


def without_reference(folder: Path) -> tuple[ImageRAGPipeline, Run]:
    pipeline = make_pipeline(folder, Cast())
    make_library(folder / "libraries" / "small", "dog")
    return pipeline, pipeline(replace(OWL, library="small"))


def worse(folder: Path) -> tuple[ImageRAGPipeline, Run]:
    pipeline = make_pipeline(folder, Cast(vlm=FakeChat(NO_OWL, "Seen:\nMatches: no\nMissing: dog, owl")))
    return pipeline, pipeline(OWL)


def compared(folder: Path) -> tuple[ImageRAGPipeline, Run]:
    """By name the thing is missing still, and yet the enhanced image is the result."""
    pipeline = make_pipeline(folder, Cast(vlm=ShyJudge(NO_OWL)))
    run = pipeline(OWL)
    assert run.kept == 1 and run.round.comparison is not None
    return pipeline, run


def rounds(folder: Path) -> tuple[ImageRAGPipeline, Run]:
    pipeline = make_pipeline(folder, Cast())
    return pipeline, pipeline(ROUNDS)


def first_of_rounds(folder: Path) -> tuple[ImageRAGPipeline, Run]:
    """The second round is no better, so the first round's image is the result."""
    pipeline = make_pipeline(folder, Cast(vlm=FakeChat(NO_OWL, "Seen: owl\nMatches: no\nMissing: dog", LESS)))
    run = pipeline(replace(ROUNDS, rounds=2))
    assert run.kept == 1 and len(run.rounds) == 2 and run.rounds[1].enhanced is not None
    return pipeline, run


def early_round(folder: Path) -> tuple[ImageRAGPipeline, Run]:
    library = make_library(folder / "libraries" / "owls", "owl")
    pipeline = make_pipeline(folder, Cast(vlm=FakeChat(NO_OWL)))
    run = pipeline(replace(OWL, rounds=3, library=library.name))
    assert len(run.rounds) == 2 and run.rounds[1].enhanced is None
    return pipeline, run


def corrected(folder: Path) -> tuple[ImageRAGPipeline, Run]:
    pipeline, run = enhanced(folder)
    run = corrections.overrule(run, False, ["owl", "cat"])
    run = corrections.name_concepts(run, [Concept("cat", "a cat"), Concept("owl", "an owl")])
    run = ended(pipeline, run)
    run = corrections.choose(run, "cat", "toolbox.png", tile("toolbox"))
    run = corrections.adjust(run, "owl", 0.3, Box(0, 0, 0.5, 0.5), Box(0.5, 0, 1, 1), "style")
    return pipeline, ended(pipeline, corrections.guide(run, 0.6, 0.5))


def chosen(folder: Path) -> tuple[ImageRAGPipeline, Run]:
    pipeline, run = enhanced(folder)
    return pipeline, ended(pipeline, corrections.keep(run, 0))


def own_picture(folder: Path) -> tuple[ImageRAGPipeline, Run]:
    pipeline, run = without_reference(folder)
    own = Image.new("RGBA", (30, 20), (*COLOURS["owl"], 255))
    return pipeline, ended(pipeline, corrections.own_picture(run, "owl", own, "mine.png"))


def own_initial(folder: Path) -> tuple[ImageRAGPipeline, Run]:
    pipeline, run = enhanced(folder)
    own = Image.new("RGB", (50, 90), COLOURS["dog"])
    return pipeline, ended(pipeline, corrections.own_initial(run, own))


Make = Callable[[Path], tuple[ImageRAGPipeline, Run]]
DRAWN: list[Make] = [
    enhanced, matching, rejecting, without_reference, worse, compared, rounds, first_of_rounds, early_round, corrected, chosen,
]  # fmt: skip
OWN: list[Make] = [own_picture, own_initial]


def asked_in_full(run: Run) -> Run:
    """As a record tells of it: the request with what the profile had filled in."""
    named = {key: value for key, value in run.settings.items() if key not in ("weights", "styles", "size")}
    return replace(run, request=replace(run.request, library=run.library, **named))


def pictures(run: Run) -> dict[str, str]:
    return {name: records.pixel_hash(image) for name, image in records.images(run).items()}


def find(pipeline: ImageRAGPipeline) -> restoring.Find:
    return lambda library, file: pipeline.library(library).open(file)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("make", [*DRAWN, *OWN])
def test_a_run_comes_back_from_its_folder_and_its_zip(make: Make, tmp_path: Path) -> None:
    pipeline, run = make(tmp_path)
    again = restoring.open_run(pipeline.results, run.id)
    assert again == asked_in_full(run) and again.settings == run.settings
    assert pictures(again) == pictures(run) and records.record(again) == records.record(run)
    owned = replace(run, owner="somebody")
    zipped = restoring.write_zip(owned, pipeline.results / run.id, tmp_path / "run.zip")
    assert b"somebody" not in zipped.read_bytes()
    unzipped = restoring.read_zip(zipped)
    assert unzipped == asked_in_full(run) and pictures(unzipped) == pictures(run)
    taken = restoring.taken_in(unzipped, "me")
    assert taken.id != run.id and taken.owner == "me" and taken.parent == ""
    records.save(taken, pipeline.results)
    assert restoring.open_run(pipeline.results, taken.id) == taken
    results = [(pipeline.results / each.id / "result.png").read_bytes() for each in (run, taken)]
    assert results[0] == results[1]


@pytest.mark.parametrize("make", DRAWN)
@pytest.mark.parametrize("name", ["result.png", "initial.png"])
def test_a_png_is_drawn_again_bit_for_bit(make: Make, name: str, tmp_path: Path) -> None:
    first, run = make(tmp_path)
    cast = Cast(vlm=FakeChat("not asked"), llm=FakeChat("not asked"))
    elsewhere = make_pipeline(tmp_path, cast)
    elsewhere.results = tmp_path / "elsewhere"
    png = first.results / run.id / name
    replayed = restoring.taken_in(restoring.read_png(png, find(elsewhere)), "me")
    assert replayed.initial is None and replayed.settings == run.settings
    again = ended(elsewhere, replayed)
    assert cast.vlm.asked == [] and cast.llm.asked == [] and cast.clip.embedded == 0
    assert len(cast.generator.calls) == 1 + sum(past.enhanced is not None for past in run.rounds)
    assert pictures(again) == pictures(run) and (again.kept, again.why) == (run.kept, run.why)
    for file in ("initial.png", "result.png"):
        old, new = (folder / file for folder in (first.results / run.id, elsewhere.results / again.id))
        assert old.read_bytes() == new.read_bytes()


@pytest.mark.parametrize(("make", "says"), [(own_picture, "one's own.*zip"), (own_initial, "one's own.*zip")])
def test_what_only_the_zip_has_is_not_taken_from_a_png(make: Make, says: str, tmp_path: Path) -> None:
    pipeline, run = make(tmp_path)
    with pytest.raises(RecordError, match=says):
        restoring.read_png(pipeline.results / run.id / "result.png", find(pipeline))


def test_a_replay_can_be_stopped_and_gone_on_with(tmp_path: Path) -> None:
    first, run = rounds(tmp_path)
    stop, drawings = threading.Event(), []

    def at_step(step: int) -> None:
        drawings.append(step)
        if len(drawings) == 3:  # in the middle of the first round's image
            stop.set()

    pipeline = make_pipeline(tmp_path, Cast(at_step=at_step))
    replayed = restoring.taken_in(
        restoring.read_png(first.results / run.id / "result.png", find(first)), "me"
    )
    with pytest.raises(Cancelled):
        list(pipeline.resume(replayed, stop))
    halfway = restoring.open_run(pipeline.results, replayed.id)
    assert halfway.initial is not None and halfway.rounds[0].enhanced is None and halfway.state == "stopped"
    assert pictures(ended(pipeline, halfway)) == pictures(run)


def test_a_picture_that_is_gone_or_another_one_by_now_is_told(tmp_path: Path) -> None:
    pipeline, run = enhanced(tmp_path)
    png = pipeline.results / run.id / "result.png"
    tile("cat").save(tmp_path / "libraries" / "pocket" / "owl.png")
    with pytest.raises(RecordError, match=r"reference-1\.png is not the picture"):
        restoring.read_png(png, find(pipeline))
    (tmp_path / "libraries" / "pocket" / "owl.png").unlink()
    with pytest.raises(LibraryError, match=r"owl\.png"):
        restoring.read_png(png, find(make_pipeline(tmp_path / "fresh", Cast())))


@pytest.mark.parametrize("stage", STAGES[:-1])
def test_paused_runs_come_back_too(stage: str, tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, Cast())
    event = list(pipeline.stream(OWL, pause=True))[-1]
    while isinstance(event, Paused) and event.run.report(stage, 1) is None:  # type: ignore[arg-type]
        event = list(pipeline.resume(event.run, pause=True))[-1]
    assert isinstance(event, Paused)
    again = restoring.open_run(pipeline.results, event.run.id)
    assert again == asked_in_full(event.run) and again.state == "paused"
    assert ended(pipeline, again).kept == 1


# What is no run.


def png_with(text: str | None, path: Path) -> Path:
    info = PngInfo()
    if text is not None:
        info.add_text(records.TEXT_KEY, text)
    tile("dog").save(path, pnginfo=info)
    return path


def carried(pipeline: ImageRAGPipeline, run: Run) -> dict[str, Any]:
    with Image.open(pipeline.results / run.id / "result.png") as image:
        return dict(json.loads(image.info[records.TEXT_KEY]))


def with_value(record: dict[str, Any], value: Any, *keys: Any) -> dict[str, Any]:
    changed = deepcopy(record)
    inner: Any = changed
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    return changed


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageRAGPipeline, Run]:
    return corrected(tmp_path_factory.mktemp("known"))


def refused_png(path: Path, pipeline: ImageRAGPipeline) -> str:
    before = files(path.parent)
    with pytest.raises(RecordError) as caught:
        restoring.read_png(path, find(pipeline))
    assert files(path.parent) == before
    assert str(path.parent) not in str(caught.value) and len(str(caught.value)) < 300
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        None, "", "null", "[]", "5", '"text"', "{", "{}", '{"prompt": "a dog"}', "[[1, 2]]", "\u00e9\u00e8",
        "[" * 100_000, '{"a":' * 50_000, "{" + '"x": 1,' * 300_000 + '"y": 2}',
    ],
)  # fmt: skip
def test_texts_that_are_no_record(
    text: str | None, tmp_path: Path, known: tuple[ImageRAGPipeline, Run]
) -> None:
    refused_png(png_with(text, tmp_path / "a.png"), known[0])


@pytest.mark.parametrize(
    ("value", "keys"),
    [
        (float("nan"), ("settings", "adapter_scale")),
        (float("inf"), ("settings", "steps")),
        (10_000, ("settings", "rounds")),
        (10**9, ("settings", "size")),
        (10**400, ("settings", "seed")),
        ([{}] * 10_000, ("rounds",)),
        ([None] * 50, ("rounds",)),
        (["x" * 100] * 5000, ("notes",)),
        ("/etc", ("library",)),
        ("..", ("library",)),
        ("~", ("library",)),
        ("C:\\", ("library",)),
        ("a/b", ("library",)),
        ("", ("library",)),
        ("../../run", ("parent",)),
        ("x" * 2001, ("prompt",)),
        ("\x00", ("prompt",)),
        (10**400, ("stages", 0, "peak_bytes")),
        (1e300, ("stages", 0, "seconds")),
        (["a dog"], ("prompt",)),
        ("9" * 5000, ("settings", "steps")),
        (9, ("kept",)),
        (True, ("kept",)),
        (3, ("rounds", 0, "references", 0, "weight")),
        ("colour", ("rounds", 0, "references", 0, "use")),
        (float("nan"), ("rounds", 0, "references", 0, "weight")),
        ({"left": 0.9, "right": 0.1}, ("rounds", 0, "references", 0, "crop")),
        ({"left": -1}, ("rounds", 0, "references", 0, "region")),
        ("../../etc/passwd", ("rounds", 0, "references", 0, "image")),
        ("reference-1.png/..", ("rounds", 0, "references", 0, "image")),
        ("initial.png", ("rounds", 0, "references", 0, "image")),
        ("/etc/passwd", ("rounds", 0, "enhanced")),
        (None, ("rounds", 0, "verdict")),
        (None, ("rounds", 0, "concepts")),
        ([], ("rounds", 0, "references")),
        (7, ("stages", 0, "round")),
        ("someday", ("stages", 0, "name")),
        ([{"name": "initial", "status": "done"}] * 2, ("stages",)),
        ([{"name": "references", "status": "done"}], ("stages",)),
        (-1, ("corrections", 0, "round")),
        (5, ("corrections",)),
        ({}, ("pixels",)),
        ("", ("reading", "prompt")),
        ("dog " * 5000, ("reading", "prompt")),
        ("dog " * 5000, ("reading", "negative")),
        ([{"spelling": f"a{n}", "name": f"a{n}"} for n in range(241)], ("reading", "things")),
        (" ", ("reading", "things", 0, "name")),
        ("z" * 201, ("reading", "things", 0, "name")),
        (100, ("reading", "things", 0, "number")),
        (-1, ("reading", "things", 0, "drawn")),
        (99, ("reading", "things", 0, "drawn")),
        (True, ("reading", "things", 0, "number")),
        ("1", ("reading", "things", 0, "number")),
        ({"original": "dog " * 5000}, ("reading", "augmentation")),
        ({"original": "a", "facts": [{"term": "a", "text": "b"}] * 101}, ("reading", "augmentation")),
        ({"original": "a", "facts": [{"term": 1, "text": "b"}]}, ("reading", "augmentation")),
        ("maybe", ("settings", "knowledge")),
        (3, ("settings", "knowledge_base")),
        (1.5, ("rounds", 0, "second_verdict", "sights", 0, "sureness")),
        ("0.5", ("rounds", 0, "second_verdict", "sights", 0, "sureness")),
        (True, ("rounds", 0, "second_verdict", "sights", 0, "sureness")),
        (-0.1, ("rounds", 0, "second_verdict", "sights", 0, "sureness")),
    ],
)
def test_records_with_impossible_values(
    value: Any, keys: tuple[Any, ...], tmp_path: Path, known: tuple[ImageRAGPipeline, Run]
) -> None:
    text = json.dumps(with_value(carried(*known), value, *keys))
    refused_png(png_with(text, tmp_path / "a.png"), known[0])


def bomb_png(side: int) -> bytes:
    """A picture of one colour: a small file, and huge in memory."""
    content = io.BytesIO()
    Image.new("1", (side, side)).save(content, format="PNG", optimize=True)
    return content.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"x", b"\x89PNG\r\n\x1a\n", b"%PDF-1.4", b"PK\x03\x04", b"<svg/>",
        pytest.param(bomb_png(13_000), id="bomb"),
    ],
)  # fmt: skip
def test_files_that_are_no_png_of_ours(
    content: bytes, tmp_path: Path, known: tuple[ImageRAGPipeline, Run]
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    assert "carries no run" in refused_png(path, known[0])


def test_a_jpeg_of_a_result_is_none(tmp_path: Path, known: tuple[ImageRAGPipeline, Run]) -> None:
    tile("dog").save(tmp_path / "a.jpg")
    assert "PNG that was saved here" in refused_png(tmp_path / "a.jpg", known[0])
    assert "carries no run" in refused_png(tmp_path / "nowhere.png", known[0])


def test_a_png_is_read_without_its_pixels(tmp_path: Path, known: tuple[ImageRAGPipeline, Run]) -> None:
    """A huge one costs nothing: what it says stands before its pixels, and these need not even be there."""
    info = PngInfo()
    info.add_text(records.TEXT_KEY, json.dumps(carried(*known)))
    Image.new("1", (13_000, 13_000)).save(tmp_path / "huge.png", pnginfo=info)
    content = (tmp_path / "huge.png").read_bytes()
    (tmp_path / "huge.png").write_bytes(content[: content.index(b"IDAT") + 4])
    assert restoring.read_png(tmp_path / "huge.png", find(known[0])).kept == known[1].kept


@pytest.fixture(scope="module")
def zipped(known: tuple[ImageRAGPipeline, Run], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The members of a good zip."""
    pipeline, run = known
    target = tmp_path_factory.mktemp("zip") / "run.zip"
    restoring.write_zip(run, pipeline.results / run.id, target)
    with zipfile.ZipFile(target) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zip_of(members: dict[str, bytes], path: Path, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_run_comes_back_from_a_zip_of_many_if_it_is_the_only_one(
    known: tuple[ImageRAGPipeline, Run], zipped: dict[str, bytes], tmp_path: Path
) -> None:
    pipeline, run = known
    bundle = write_bundle([pipeline.results / run.id], tmp_path / "runs.zip")
    assert pictures(restoring.read_zip(bundle)) == pictures(run)
    two = {f"{folder}/{name}": content for folder in "ab" for name, content in zipped.items()}
    assert "several runs" in refused_zip(zip_of(two, tmp_path / "two.zip"))


def refused_zip(path: Path) -> str:
    before = files(path.parent)
    with pytest.raises(RecordError) as caught:
        restoring.read_zip(path)
    assert files(path.parent) == before, "something was unpacked"
    assert str(path.parent) not in str(caught.value) and len(str(caught.value)) < 300
    return str(caught.value)


def renamed(members: dict[str, bytes], name: str) -> dict[str, bytes]:
    """The first reference's picture under another name, here and in the record."""
    record = members["run.json"].replace(b"reference-1.png", json.dumps(name)[1:-1].encode())
    return {**members, name: members["reference-1.png"], "run.json": record}


def linked(members: dict[str, bytes], path: Path) -> Path:
    """The reference as a symbolic link to a file outside."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name)
            if name == "reference-1.png":
                entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
                content = b"/etc/hostname"
            archive.writestr(entry, content)
    return path


def encrypted(members: dict[str, bytes], path: Path) -> Path:
    """Every member's flag says that it is encrypted."""
    content = bytearray(zip_of(members, path).read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(signature)
        while at >= 0:
            content[at + offset] |= 1
            at = content.find(signature, at + 4)
    path.write_bytes(content)
    return path


def padded(members: dict[str, bytes], name: str, size: int) -> dict[str, bytes]:
    return {**members, name: members[name] + bytes(size)}


def recorded(members: dict[str, bytes], **values: Any) -> dict[str, bytes]:
    return {**members, "run.json": json.dumps({**json.loads(members["run.json"]), **values}).encode()}


def without(members: dict[str, bytes], name: str) -> dict[str, bytes]:
    return {key: content for key, content in members.items() if key != name}


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def flipped(path: Path) -> Path:
    """Deflated data with wrong bytes in the middle of the record."""
    content = bytearray(path.read_bytes())
    at = content.find(b"run.json") + 60
    content[at : at + 40] = bytes(reversed(content[at : at + 40]))
    path.write_bytes(content)
    return path


ZIPS: dict[str, Callable[[dict[str, bytes], Path], Path]] = {
    "empty": lambda m, p: zip_of({}, p),
    "no zip": lambda m, p: cut(zip_of(m, p), 0.001),
    "no record": lambda m, p: zip_of(without(m, "run.json"), p),
    "record is a list": lambda m, p: zip_of({**m, "run.json": b"[1]"}, p),
    "record is no text": lambda m, p: zip_of({**m, "run.json": b"\xff\xfe\x00"}, p),
    "nested": lambda m, p: zip_of({**m, "run.json": b"[" * 10**6}, p, zipfile.ZIP_DEFLATED),
    "huge record": lambda m, p: zip_of(padded(m, "run.json", 10**8), p, zipfile.ZIP_DEFLATED),
    "huge picture": lambda m, p: zip_of(padded(m, "reference-1.png", 10**8), p, zipfile.ZIP_DEFLATED),
    "climbing name": lambda m, p: zip_of(renamed(m, "../../reference-1.png"), p),
    "absolute name": lambda m, p: zip_of(renamed(m, "/tmp/reference-1.png"), p),
    "other name": lambda m, p: zip_of(renamed(m, "photo.png"), p),
    "link": linked,
    "encrypted": encrypted,
    "lzma": lambda m, p: zip_of(m, p, zipfile.ZIP_LZMA),
    "missing initial": lambda m, p: zip_of(without(m, "initial.png"), p),
    "missing reference": lambda m, p: zip_of(without(m, "reference-1.png"), p),
    "missing enhanced": lambda m, p: zip_of(without(m, "enhanced.png"), p),
    "other pixels": lambda m, p: zip_of({**m, "reference-1.png": m["reference-2.png"]}, p),
    "no picture": lambda m, p: zip_of({**m, "reference-1.png": b"GIF89a"}, p),
    "half a picture": lambda m, p: zip_of({**m, "initial.png": m["initial.png"][:-60]}, p),
    "bomb": lambda m, p: zip_of({**m, "reference-1.png": bomb_png(13_000)}, p, zipfile.ZIP_DEFLATED),
    "climbing id": lambda m, p: zip_of(recorded(m, id="../../up"), p),
    "endless id": lambda m, p: zip_of(recorded(m, id="1" * 10**5), p),
    "cut early": lambda m, p: cut(zip_of(m, p), 0.3),
    "cut late": lambda m, p: cut(zip_of(m, p), 0.99),
    "flipped": lambda m, p: flipped(zip_of(m, p, zipfile.ZIP_DEFLATED)),
}  # fmt: skip


@pytest.mark.parametrize("kind", ZIPS)
def test_zips_that_are_none_of_ours(kind: str, zipped: dict[str, bytes], tmp_path: Path) -> None:
    refused_zip(ZIPS[kind](zipped, tmp_path / "a.zip"))


def test_pictures_that_are_too_much_together_are_refused(zipped: dict[str, bytes], tmp_path: Path) -> None:
    """Each is within bounds, and all of them together are not."""
    content = io.BytesIO()
    Image.new("1", (7000, 7000)).save(content, format="PNG")
    record = json.loads(zipped["run.json"])
    with Image.open(io.BytesIO(content.getvalue())) as image:
        pixels = records.pixel_hash(image)
    row, members = record["rounds"][0]["references"][0], dict(zipped)
    many = [f"reference-{number}.png" for number in range(1, 6)]
    record["rounds"][0]["references"] = [{**row, "image": name} for name in many]
    record["pixels"] |= dict.fromkeys(many, pixels)
    members |= dict.fromkeys(many, content.getvalue())
    members["run.json"] = json.dumps(record).encode()
    assert "larger" in refused_zip(zip_of(members, tmp_path / "a.zip"))


def test_a_picture_named_a_thousand_times_is_read_once(zipped: dict[str, bytes], tmp_path: Path) -> None:
    record = json.loads(zipped["run.json"])
    (row, *_) = record["rounds"][0]["references"]
    record["rounds"][0]["references"] = [row] * 1000
    run = restoring.read_zip(zip_of({**zipped, "run.json": json.dumps(record).encode()}, tmp_path / "a.zip"))
    assert len({id(reference.image) for reference in run.round.references or ()}) == 1


def test_a_zip_with_more_files_than_anybody_packs_is_not_listed(
    zipped: dict[str, bytes], tmp_path: Path
) -> None:
    many = {f"{number}": b"" for number in range(20_001)}
    assert "holds no run" in refused_zip(zip_of({**many, **zipped}, tmp_path / "a.zip"))


def test_texts_of_a_zip_pass_the_gate(zipped: dict[str, bytes], tmp_path: Path) -> None:
    record = json.loads(zipped["run.json"])
    record["rounds"][0]["references"][0]["file"] = "zo\u0308rblax.png"
    strange = {"prompt": "a \ud800dog\x00", "notes": ["\udfff"], "\ud800": 1, "rounds": record["rounds"]}
    run = restoring.read_zip(zip_of(recorded(zipped, **strange), tmp_path / "a.zip"))
    assert run.request.prompt == "a \ufffddog"
    assert run.rounds[0].references[0].chosen.file == "z\u00f6rblax.png"  # type: ignore[index]


def test_a_text_chunk_that_unpacks_without_end_is_none(
    tmp_path: Path, known: tuple[ImageRAGPipeline, Run]
) -> None:
    for zipped in ("add_text", "add_itxt"):
        info = PngInfo()
        getattr(info, zipped)(records.TEXT_KEY, "x" * 10**8, zip=True)
        tile("dog").save(tmp_path / "a.png", pnginfo=info)
        assert "carries no run" in refused_png(tmp_path / "a.png", known[0])


def test_a_good_zip_may_hold_more_than_is_looked_at(zipped: dict[str, bytes], tmp_path: Path) -> None:
    extra = {"../../escaped.txt": b"out", "big.bin": bytes(10**6), "/abs": b""}
    run = restoring.read_zip(zip_of({**extra, **zipped}, tmp_path / "a.zip", zipfile.ZIP_DEFLATED))
    assert run.kept == 1 and files(tmp_path) == {"a.zip"}


def test_a_zip_is_never_at_work(zipped: dict[str, bytes], tmp_path: Path) -> None:
    worker = [os.getpid(), 0]
    run = restoring.read_zip(zip_of(recorded(zipped, state="running", worker=worker), tmp_path / "a.zip"))
    assert run.state == "stopped"


def test_a_zip_that_cannot_be_written_leaves_nothing(
    known: tuple[ImageRAGPipeline, Run], tmp_path: Path
) -> None:
    with pytest.raises(RecordError, match="zip of this run") as caught:
        restoring.write_zip(known[1], tmp_path / "nowhere", tmp_path / "a.zip")
    assert files(tmp_path) == set() and str(tmp_path) not in str(caught.value)


def places(value: Any, *keys: Any) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside."""
    if keys:
        yield keys
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(min(len(value), 1)):
            yield from places(value[key], *keys, key)


WRONG = (None, [], {}, "", -1, 0, 1e99, True, 10**400, "x" * 10**6, "../../etc/passwd", [[[[]]]] * 3)


def test_any_field_may_be_anything(known: tuple[ImageRAGPipeline, Run], tmp_path: Path) -> None:
    """A record error, or a run with which everything can be done that is done with runs."""
    pipeline, run = known
    folder = pipeline.results / run.id
    record = json.loads((folder / "run.json").read_text())
    images = {name: Image.open(folder / name).copy() for name in record["pixels"]}
    other = make_pipeline(tmp_path, Cast())
    taken = 0
    for number, keys in enumerate(places(record)):
        for value in WRONG:
            changed = with_value(record, value, *keys)
            with suppress(RecordError):
                found = restored(changed, lambda name: images[name])
                taken += 1
                json.dumps(records.record(found), allow_nan=False)
                assert found.result is not None or found.state != "finished", (keys, value)
        if number % 12 == 0:  # of the last one that was taken
            goes_on(other, replace(restoring.taken_in(found, "me"), state="paused"))
    assert taken > 100


def goes_on(pipeline: ImageRAGPipeline, run: Run) -> None:
    stripped = replace(
        run, profile="pocket", library="pocket", request=replace(run.request, library="pocket")
    )
    assert ended(pipeline, stripped).result is not None
