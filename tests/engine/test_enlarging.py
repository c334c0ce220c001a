"""The kept image made larger: beside what was judged, in the record, and again from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from imgrag.archive import records
from imgrag.archive.restoring import drawn_anew, open_run, read_png, read_zip, taken_in, write_zip
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.errors import CheckpointError, RequestError
from imgrag.models.residency import ModelSpec
from imgrag.runs import corrections
from imgrag.runs.events import Finished, Paused
from imgrag.runs.values import Request, Run
from tests.fakes import Cast, make_pipeline

OWL = Request("a dog and an owl", steps=4, seed=7)


def pipeline(folder: Path, cast: Cast) -> ImageRAGPipeline:
    return make_pipeline(folder, cast, roles=cast.specs("upscaler"))


def drawn(folder: Path, cast: Cast, request: Request = OWL) -> Run:
    return pipeline(folder, cast)(request)


def hash_of(image: Image.Image | None) -> str:
    assert image is not None
    return records.pixel_hash(image)


def test_the_kept_image_is_made_larger_and_stays_what_it_is(tmp_path: Path) -> None:
    cast = Cast()
    run = drawn(tmp_path, cast)
    assert run.kept == 1 and run.result is not None and run.larger is not None
    assert run.result.size == (64, 64) and run.larger.size == (128, 128)
    assert run.larger.getpixel((0, 0)) == run.result.getpixel((0, 0))
    assert cast.loads["upscaler"] == 1
    found = records.open_record(tmp_path / "results", run.id)
    assert (found["larger"], found["settings"]["larger"]) == ("larger.png", True)
    assert found["pixels"]["larger.png"] == hash_of(run.larger) != found["pixels"]["result.png"]


def test_who_does_not_want_it_loads_nothing_for_it(tmp_path: Path) -> None:
    cast = Cast()
    run = drawn(tmp_path, cast, replace(OWL, larger=False))
    assert run.larger is None and not cast.loads["upscaler"]
    assert not (tmp_path / "results" / run.id / "larger.png").exists()
    assert records.open_record(tmp_path / "results", run.id)["larger"] is None


def test_a_profile_without_an_upscaler_draws_as_before(tmp_path: Path) -> None:
    run = make_pipeline(tmp_path, Cast())(replace(OWL, larger=True))
    assert run.state == "finished" and run.larger is None


def test_it_comes_back_with_its_run_and_goes_into_the_zip(tmp_path: Path) -> None:
    run = drawn(tmp_path, Cast())
    folder = tmp_path / "results" / run.id
    again = open_run(tmp_path / "results", run.id)
    packed = read_zip(write_zip(run, folder, tmp_path / "run.zip"))
    assert hash_of(again.larger) == hash_of(packed.larger) == hash_of(run.larger)


@pytest.mark.parametrize("name", ["result.png", "larger.png"])
def test_either_png_draws_it_again(tmp_path: Path, name: str) -> None:
    made = pipeline(tmp_path, Cast())
    run = made(OWL)
    png = tmp_path / "results" / run.id / name
    taken = taken_in(read_png(png, lambda library, file: made.library(library).open(file)), "me")
    assert taken.larger is None
    last = list(made.resume(drawn_anew(taken)))[-1]
    assert isinstance(last, Finished) and hash_of(last.run.larger) == hash_of(run.larger)


def test_another_choice_is_made_larger_anew(tmp_path: Path) -> None:
    made = pipeline(tmp_path, Cast())
    run = made(OWL)
    chosen = corrections.keep(run, 0)
    last = list(made.resume(chosen))[-1]
    assert isinstance(last, Finished) and last.run.kept == 0
    assert last.run.larger is not None and last.run.initial is not None
    assert last.run.larger.getpixel((40, 0)) == last.run.initial.getpixel((20, 0))


def test_a_run_that_waits_is_not_made_larger(tmp_path: Path) -> None:
    cast = Cast()
    last = list(pipeline(tmp_path, cast).stream(OWL, pause=True))[-1]
    assert isinstance(last, Paused) and last.run.larger is None and not cast.loads["upscaler"]


def test_where_it_cannot_be_what_was_drawn_is_kept(tmp_path: Path) -> None:
    def missing() -> None:
        raise CheckpointError("The upscaler is not here. Fetch it.")

    roles = {**Cast().specs(), "upscaler": ModelSpec("upscaler", missing)}  # type: ignore[arg-type]
    run = make_pipeline(tmp_path, Cast(), roles=roles)(OWL)
    assert run.state == "finished" and run.result is not None and run.larger is None
    assert run.why.endswith("It was not made larger. The upscaler is not here. Fetch it.")


def test_any_picture_can_be_made_larger(tmp_path: Path) -> None:
    assert pipeline(tmp_path, Cast()).enlarge(Image.new("RGB", (10, 20))).size == (20, 40)
    with pytest.raises(RequestError, match="nothing to make pictures larger with"):
        make_pipeline(tmp_path, Cast()).enlarge(Image.new("RGB", (10, 20)))


def test_memory_that_runs_out_there_loses_nothing(tmp_path: Path) -> None:
    cast = Cast()

    def short(picture: Image.Image, check: object = None) -> Image.Image:
        raise MemoryError

    cast.upscaler.enlarge = short
    run = drawn(tmp_path, cast)
    assert (
        run.state == "finished"
        and run.larger is None
        and "It was not made larger. The memory ran out" in run.why
    )
    again = list(pipeline(tmp_path, Cast()).resume(replace(drawn_anew(run), id=run.id[:-6] + "ffffff")))[-1]
    assert isinstance(again, Finished) and "not made larger" not in again.run.why


@pytest.mark.parametrize("name", ["larger", "look_twice"])
def test_what_is_neither_true_nor_false_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match="must be true or false"):
        Request("a dog", **{name: "yes"})
    with pytest.raises(RequestError, match="must be true or false"):
        Request("a dog", **{name: 1})
