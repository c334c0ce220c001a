"""Structures in the loop: drawn along, in the record, corrected, drawn again, and with what looks like the sketch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from imgrag.archive import records
from imgrag.archive.reading import restored
from imgrag.archive.restoring import consistent, drawn_anew, open_run, read_png, read_zip, write_zip
from imgrag.commands.batch import request_key
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.errors import RecordError, RequestError
from imgrag.models.conditions import condition_of
from imgrag.runs import corrections, redrawing
from imgrag.runs.events import Finished
from imgrag.runs.structure import Structure, Structured
from imgrag.runs.trace import trace
from imgrag.runs.values import Request, Run
from tests.fakes import Cast, make_pipeline, tile


def sketch(box: tuple[int, int, int, int] = (10, 10, 50, 50)) -> Image.Image:
    image = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(image).rectangle(box, outline="black", width=2)
    return image


OWL = Request("a dog and an owl", steps=2, seed=7, structure=Structured(sketch(), scale=0.9))
OWN = replace(OWL, structure=Structured())


@pytest.fixture
def cast() -> Cast:
    return Cast()


@pytest.fixture
def pipeline(tmp_path: Path, cast: Cast) -> ImageRAGPipeline:
    return make_pipeline(tmp_path, cast, control=True)


def ended(pipeline: ImageRAGPipeline, run: Run) -> Run:
    event = list(pipeline.resume(run))[-1]
    assert isinstance(event, Finished)
    return event.run


def renamed(run: Run) -> Run:
    return replace(run, id="20261122-034416271828-ab12cd")


def test_both_images_are_drawn_along_a_sketch(pipeline: ImageRAGPipeline, cast: Cast) -> None:
    run = pipeline(OWL)
    first, second = (call["control"] for call in cast.generator.calls)
    assert first == second
    assert (first.net, first.kind, first.scale, first.share) == ("net", "sketch", 0.9, 0.8)
    assert first.image.tobytes() == condition_of(sketch(), "sketch", 64).tobytes()
    assert "All images are drawn along a sketch (scale 0.9, share 0.8)." in trace(run)
    assert cast.loads["control"] == 1


def test_the_enhanced_image_keeps_the_initial_one_s_own_structure(
    pipeline: ImageRAGPipeline, cast: Cast
) -> None:
    run = pipeline(OWN)
    first, second = (call["control"] for call in cast.generator.calls)
    assert first is None
    assert run.initial is not None
    assert second.image.tobytes() == condition_of(run.initial, "edges", 64).tobytes()
    assert "The enhanced images are drawn along the initial image's own edges (scale 1, share 0.8)." in trace(
        run
    )


def test_without_a_structure_no_net_is_loaded(pipeline: ImageRAGPipeline, cast: Cast) -> None:
    pipeline.warm_up()
    run = pipeline(replace(OWL, structure=None))
    assert cast.loads == {"generator": 1, "vlm": 1, "llm": 1, "clip": 1}
    assert [call["control"] for call in cast.generator.calls] == [None, None]
    assert records.record(run)["structure"] is None


def test_what_the_profile_does_not_draw_along_is_refused_before_anything(
    pipeline: ImageRAGPipeline, cast: Cast, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match="no structure of the kind pose; they know edges, sketch"):
        pipeline(replace(OWL, structure=Structured(sketch(), "pose")))
    plain = make_pipeline(tmp_path, cast)
    with pytest.raises(RequestError, match="draw along no structure"):
        plain(OWN)
    with pytest.raises(RequestError, match="draw along no structure"):
        plain.condition(sketch(), "sketch")
    with pytest.raises(RequestError, match="The sketch is empty"):
        pipeline(replace(OWL, structure=Structured(Image.new("RGB", (64, 64)))))
    assert not cast.generator.calls


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"kind": "scribble"}, "kind of structure is 'scribble'"),
        ({"scale": 2.5}, "scale of the structure is 2.5"),
        ({"share": float("nan")}, "share of the structure is nan"),
        ({"similar": "all"}, "must be both, style or thing"),
        ({"picture": None, "similar": "style"}, "found by a sketch or a picture"),
    ],
)
def test_structures_that_cannot_be_asked_for(change: dict[str, Any], why: str) -> None:
    with pytest.raises(RequestError, match=why):
        replace(Structured(sketch()), **change)


@pytest.mark.parametrize("request_", [OWL, OWN], ids=["sketch", "own"])
def test_zip_and_record_hold_it_and_it_is_drawn_again(
    pipeline: ImageRAGPipeline, cast: Cast, tmp_path: Path, request_: Request
) -> None:
    run = pipeline(request_)
    folder = pipeline.results / run.id
    back = open_run(pipeline.results, run.id)
    assert back.structure == run.structure
    bundle = write_zip(run, folder, tmp_path / "run.zip")
    again = ended(pipeline, renamed(drawn_anew(read_zip(bundle))))
    assert again.result is not None and run.result is not None
    assert again.result.tobytes() == run.result.tobytes()
    assert not consistent(pipeline.results)
    with Image.open(folder / "result.png") as image:
        pixels = Image.open(folder / "condition.png")
        assert records.pixel_hash(pixels) in image.text["imgrag"]


def test_a_png_draws_the_initial_image_s_own_structure_again_and_asks_for_the_zip_of_a_sketch(
    pipeline: ImageRAGPipeline,
) -> None:
    find = lambda library, file: pipeline.library(library).open(file)  # noqa: E731
    run = pipeline(OWN)
    again = ended(pipeline, renamed(read_png(pipeline.results / run.id / "result.png", find)))
    assert again.result is not None and run.result is not None
    assert again.result.tobytes() == run.result.tobytes()
    drawn = pipeline(OWL)
    with pytest.raises(RecordError, match="structure of one's own, which its PNG has not"):
        read_png(pipeline.results / drawn.id / "result.png", find)


def test_it_is_corrected_from_the_first_image_that_it_changes(pipeline: ImageRAGPipeline, cast: Cast) -> None:
    run = pipeline(replace(OWL, structure=None))
    own = Structure("edges", 1.0, 0.5, initial=True)
    kept = ended(pipeline, redrawing.restructure(run, own))
    assert len(cast.generator.calls) == 3
    assert cast.generator.calls[2]["control"].share == 0.5
    assert [(c.what, c.before, c.after) for c in kept.corrections] == [
        ("structure", "none", "the initial image's own edges (scale 1, share 0.5)")
    ]
    given = Structure("sketch", 1.0, 1.0, pipeline.condition(sketch(), "sketch"))
    redrawn = ended(pipeline, redrawing.restructure(kept, given))
    assert [call["control"].kind for call in cast.generator.calls[3:]] == ["sketch", "sketch"]
    plain = ended(pipeline, redrawing.restructure(redrawn, None))
    assert plain.structure is None
    assert plain.result is not None and run.result is not None
    assert plain.result.tobytes() == run.result.tobytes()
    assert ended(pipeline, corrections.rewind(plain, "reading")).structure is None
    assert not consistent(pipeline.results)


def test_another_initial_image_has_another_structure(pipeline: ImageRAGPipeline, cast: Cast) -> None:
    run = pipeline(OWN)
    image = sketch((5, 5, 40, 60))
    changed = ended(pipeline, corrections.own_initial(run, image))
    assert (
        changed.initial is not None and changed.structure is not None and changed.structure.image is not None
    )
    assert changed.structure.image.tobytes() == condition_of(image, "edges", 64).tobytes()


@pytest.mark.parametrize("use", ["both", "style", "thing"])
def test_a_sketch_finds_what_looks_like_it(pipeline: ImageRAGPipeline, cast: Cast, use: Any) -> None:
    """The whole design in one run, though nothing is missing: the judge is content with the initial image."""
    wanted = Structured(tile("owl"), "edges", similar=use)
    with pytest.raises(RequestError, match="no edges"):  # a plain tile has none
        pipeline(Request("a dog", steps=2, structure=wanted))
    run = pipeline(Request("a dog", steps=2, structure=Structured(sketch(), similar=use)))
    (reference,) = run.round.references or ()
    assert (reference.use, reference.image.size) == (use, tile("owl").size)
    assert reference.candidates
    assert run.kept == 1
    assert run.why.startswith("Both images match; the enhanced one has the look of its references")
    initial, enhanced = cast.generator.calls
    assert initial["control"] == enhanced["control"]
    assert [guide.use for guide in enhanced["guides"]] == [use]
    again = ended(pipeline, renamed(drawn_anew(run)))
    assert again.result is not None and run.result is not None
    assert again.result.tobytes() == run.result.tobytes()


def test_what_is_missing_comes_beside_what_looks_alike(pipeline: ImageRAGPipeline) -> None:
    run = pipeline(replace(OWL, structure=Structured(sketch(), similar="style")))
    found = {reference.concept: reference.use for reference in run.round.references or ()}
    assert found.pop("owl") == "both"
    assert set(found.values()) <= {"style"}  # the nearest may be the owl itself


def test_what_is_asked_for_has_a_key_by_what_it_shows() -> None:
    keys = {
        request_key(replace(OWL, structure=structure), "pocket")
        for structure in (
            None,
            Structured(sketch()),
            Structured(sketch((0, 0, 9, 9))),
            Structured(),
            OWL.structure,
        )
    }
    assert len(keys) == 5
    assert request_key(replace(OWL, structure=Structured(sketch(), scale=0.9)), "pocket") == request_key(
        OWL, "pocket"
    )


@pytest.mark.parametrize(
    "change",
    [{"scale": 3}, {"share": -1}, {"kind": "x"}, {"kind": 1}, {"similar": "x"}, {"image": None}, {"image": "../x"},
     {"image": "initial.png"}, {"scale": "1"}],
)  # fmt: skip
def test_a_record_with_an_impossible_structure_is_none(
    pipeline: ImageRAGPipeline, change: dict[str, object]
) -> None:
    run = pipeline(OWL)
    record = records.record(run)
    record["structure"] = {**record["structure"], **change}
    pictures = {**records.images(run), "initial.png": Image.new("L", (64, 64))}
    with pytest.raises(RecordError):
        restored(record, pictures.get)
