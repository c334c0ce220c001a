"""Several images drawn at once: judged, the likeliest taken, kept in the record, another one taken by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from imgrag.archive import records
from imgrag.archive.reading import restored
from imgrag.archive.restoring import consistent, drawn_anew, open_run, read_png, read_zip, write_zip
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.errors import RecordError, RequestError
from imgrag.runs import corrections, redrawing, variation
from imgrag.runs.drafts import MAX_SEED, seeds_of
from imgrag.runs.events import Finished
from imgrag.runs.trace import trace
from imgrag.runs.values import Request, Run
from tests.fakes import Cast, FakeJudge, make_pipeline

OWL = Request("a dog and an owl", steps=2, seed=8, images=4)


class Choosy(FakeJudge):
    """It is the surer the redder the seed's speck in the corner is, of images that are judged by themselves."""

    def sureness(self, questions: Sequence[str], images: Sequence[Image.Image]) -> list[float]:
        found = super().sureness(questions, images)
        red = images[0].getpixel((63, 63))[0]
        return [sure * (0.9 + 0.1 * red / 255) for sure in found]


@pytest.fixture
def cast() -> Cast:
    return Cast(vlm=Choosy(""))


@pytest.fixture
def pipeline(tmp_path: Path, cast: Cast) -> ImageRAGPipeline:
    return make_pipeline(tmp_path, cast)


def ended(pipeline: ImageRAGPipeline, run: Run) -> Run:
    event = list(pipeline.resume(run))[-1]
    assert isinstance(event, Finished)
    return event.run


def reddest(run: Run) -> int:
    reds = [draft.image.getpixel((63, 63))[0] for draft in run.drafts if draft.image is not None]
    return reds.index(max(reds))


def test_the_likeliest_of_those_drawn_goes_on(pipeline: ImageRAGPipeline, cast: Cast) -> None:
    run = pipeline(OWL)
    assert len(run.drafts) == 4 and run.initial is not None
    assert run.chosen == reddest(run) != 0
    assert run.initial.tobytes() == run.drafts[run.chosen].image.tobytes()  # type: ignore[union-attr]
    first, enhanced = cast.generator.calls
    assert (first["seed"], enhanced["seed"]) == (8, 8 + run.chosen), "it starts from the same noise"
    assert 'Drew 4 images of "a dog and an owl" at once, with the seeds 8 to 11.' in trace(run)
    assert f"The judge finds image {run.chosen + 1} the likeliest." in trace(run)


def test_a_single_one_is_drawn_as_ever(pipeline: ImageRAGPipeline) -> None:
    run, several = pipeline(replace(OWL, images=1)), pipeline(OWL)
    assert run.drafts == () and records.record(run)["drafts"] == []
    assert run.initial is not None and several.drafts[0].image is not None
    assert run.initial.tobytes() == several.drafts[0].image.tobytes()


def test_seeds_begin_anew_after_the_last_one() -> None:
    assert seeds_of(MAX_SEED, 2) == [MAX_SEED, 0]


def test_another_one_is_taken_and_goes_on_through_the_steps(pipeline: ImageRAGPipeline, cast: Cast) -> None:
    run = pipeline(OWL)
    other = (run.chosen + 1) % 4
    taken = ended(pipeline, redrawing.take_draft(run, other))
    assert (taken.chosen, taken.parent) == (other, run.id)
    assert taken.initial is not None and taken.initial.tobytes() == run.drafts[other].image.tobytes()  # type: ignore[union-attr]
    assert cast.generator.calls[-1]["seed"] == 8 + other
    assert f"A person changed the draft, from image {run.chosen + 1} to image {other + 1}." in trace(taken)
    again = ended(pipeline, variation.ask_again(taken, "verdict"))
    assert again.chosen == other, "the judge does not overrule a person"
    back = redrawing.take_draft(again, run.chosen)
    assert sum(correction.what == "draft" for correction in back.corrections) == 1
    with pytest.raises(RequestError, match="has not been drawn"):
        redrawing.take_draft(run, 4)


def test_drawing_again_forgets_them(pipeline: ImageRAGPipeline) -> None:
    back = variation.redraw(pipeline(OWL), 20)
    assert (back.drafts, back.chosen) == ((), 0)
    assert len(ended(pipeline, back).drafts) == 4
    own = corrections.own_initial(pipeline(OWL), Image.new("RGB", (64, 64), "red"))
    assert own.drafts == () and ended(pipeline, own).chosen == 0


def test_the_record_has_them_all_and_gives_them_back(pipeline: ImageRAGPipeline, tmp_path: Path) -> None:
    run = pipeline(OWL)
    results = Path(pipeline.results)
    assert {f"draft-{n}.png" for n in range(1, 5)} <= {file.name for file in (results / run.id).iterdir()}
    assert consistent(results) == []
    again = open_run(results, run.id)
    assert records.record(again) == records.record(run)
    assert [d.image.tobytes() for d in again.drafts] == [d.image.tobytes() for d in run.drafts]  # type: ignore[union-attr]
    zipped = read_zip(write_zip(run, results / run.id, tmp_path / "run.zip"))
    assert zipped.drafts == run.drafts and zipped.chosen == run.chosen


def test_a_png_draws_them_again_to_the_same_pixels(pipeline: ImageRAGPipeline) -> None:
    run = redrawing.take_draft(pipeline(OWL), 3)
    run = ended(pipeline, run)
    file = Path(pipeline.results) / run.id / "result.png"
    back = read_png(file, lambda library, name: pipeline.library(library).open(name))
    for waiting in (back, drawn_anew(run)):
        again = ended(pipeline, replace(waiting, id="20261122-034416271828-ab12cd", owner=""))
        assert records.record(again)["pixels"] == records.record(run)["pixels"]
        assert [d.likelihood for d in again.drafts] == [d.likelihood for d in run.drafts]
        pipeline = make_pipeline(Path(pipeline.results).parent / "other", Cast(vlm=Choosy("")))


@pytest.mark.parametrize(
    "change",
    [
        {"chosen": 4},
        {"chosen": -1},
        {"drafts": []},
        {"drafts": [{"image": "draft-2.png", "likelihood": 0.0}] * 4},
    ],
)
def test_a_record_that_does_not_fit_its_images_is_refused(pipeline: ImageRAGPipeline, change: dict) -> None:
    run = pipeline(OWL)
    found = {**records.record(run), **change}
    with pytest.raises(RecordError):
        restored(found, lambda name: records.images(run).get(name))
