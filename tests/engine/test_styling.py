"""Styles in the loop: picked or called by the prompt, in both images, in the record, corrected and drawn again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from imgrag.archive.restoring import drawn_anew, open_run, read_png
from imgrag.engine.lookup import wording_of
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.errors import RecordError, RequestError, StyleError
from imgrag.runs import corrections, redrawing
from imgrag.runs.events import Finished
from imgrag.runs.styles import Styled
from imgrag.runs.trace import trace
from imgrag.runs.values import Request, Run
from imgrag.styles import StyleShelf
from tests.fakes import Cast, make_pipeline

INK = """
title = "Ink wash"
licence = "CC0"
words = ["in ink"]
template = "{prompt}, inky"
negative = "colour"
scale = 0.5
"""
PLAIN = (
    'title = "Pixel art"\nlicence = "CC0"\nwords = ["pixel art", "像素画"]\ntemplate = "pixels of {prompt}"\n'
)
OWL = Request("a dog and an owl in ink", steps=2, seed=7, styles=(Styled("pixels"),))


def put(folder: Path, toml: str, lora: bool = False, seed: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "style.toml").write_text(toml, encoding="utf-8")
    if lora:
        torch.manual_seed(seed)
        save_file({"unet.x.lora_A.weight": torch.rand(1, 1)}, folder / "lora.safetensors")


@pytest.fixture
def styles(tmp_path: Path) -> Path:
    put(tmp_path / "styles" / "pocket" / "ink", INK, lora=True)
    put(tmp_path / "styles" / "pocket" / "pixels", PLAIN)
    return tmp_path / "styles"


@pytest.fixture
def cast() -> Cast:
    return Cast()


@pytest.fixture
def pipeline(tmp_path: Path, styles: Path, cast: Cast) -> ImageRAGPipeline:
    """With these two styles alone, without those that come with the app."""
    made = make_pipeline(tmp_path, cast, styles=styles)
    made.styles = StyleShelf("pocket", styles, tmp_path / "none")
    return made


def ended(pipeline: ImageRAGPipeline, run: Run) -> Run:
    event = list(pipeline.resume(run))[-1]
    assert isinstance(event, Finished)
    return event.run


def test_both_images_are_drawn_in_the_styles(pipeline: ImageRAGPipeline, cast: Cast) -> None:
    run = pipeline(OWL)
    assert run.reading is not None
    assert run.reading.prompt == "a dog and an owl"
    assert [(s.name, s.words) for s in run.reading.styles] == [("ink", "in ink"), ("pixels", "")]
    initial, enhanced = cast.generator.calls
    assert initial["prompt"] == "pixels of a dog and an owl, inky"
    assert (
        enhanced["prompt"] == "According to this image of an owl, generate pixels of a dog and an owl, inky"
    )
    assert initial["negative_prompt"] == enhanced["negative_prompt"] == "colour"
    assert [(lora.name, lora.scale) for lora in enhanced["loras"]] == [("ink", 0.5)]
    assert initial["loras"] == enhanced["loras"]
    assert all("ink" not in question for question, *_ in cast.vlm.asked)


def test_a_style_that_is_called_is_not_left_out(pipeline: ImageRAGPipeline) -> None:
    run = pipeline(Request("a dog in ink, watercolour painting", steps=2))
    assert run.reading is not None
    assert [(part.words, part.reason) for part in run.reading.left_out] == [
        ("watercolour painting", "there is no style here that is called so")
    ]


def test_a_style_called_like_a_thing_leaves_the_thing_alone(pipeline: ImageRAGPipeline, styles: Path) -> None:
    put(styles / "pocket" / "pencil", 'title = "Pencil"\nlicence = "CC0"\nwords = ["pencil", "铅笔"]\n')
    reader = pipeline.reader(pipeline.library("pocket"))
    for prompt, drawn in [("a dog and a pencil", "a dog and a pencil"), ("狗和铅笔", "a dog and a pencil")]:
        reading = reader.read(prompt, lambda text: text)
        assert (reading.prompt, reading.styles) == (drawn, ())
    for prompt in ("a dog in pencil", "狗，铅笔画"):
        reading = reader.read(prompt, lambda text: text)
        assert (reading.prompt, [style.name for style in reading.styles]) == ("a dog", ["pencil"])


def test_words_that_call_a_style_are_not_looked_up(pipeline: ImageRAGPipeline) -> None:
    context = pipeline.context(pipeline.library("pocket"), lambda event: None, lambda: None)
    run = pipeline(OWL)
    assert run.reading is not None
    assert wording_of(run, run.reading, context).text == "a dog and an owl"


def test_the_weight_that_was_picked_counts_for_what_is_called_too(
    pipeline: ImageRAGPipeline, cast: Cast
) -> None:
    pipeline(replace(OWL, styles=(Styled("ink", 1.5),)))
    assert [lora.scale for lora in cast.generator.calls[0]["loras"]] == [0.75]


def test_a_prompt_in_another_language_calls_styles(pipeline: ImageRAGPipeline) -> None:
    reading = pipeline.reader(pipeline.library("pocket")).read("狗，像素画", lambda text: "a dog")
    assert (reading.prompt, reading.styles[0].name) == ("a dog", "pixels")


def test_without_styles_nothing_is_asked_for(pipeline: ImageRAGPipeline, cast: Cast) -> None:
    pipeline(Request("a dog and an owl", steps=2))
    assert [(call["loras"], call["negative_prompt"]) for call in cast.generator.calls] == [([], "")] * 2


def test_what_a_lora_takes_is_reserved(pipeline: ImageRAGPipeline, cast: Cast) -> None:
    pipeline(OWL)
    held = {model.name: model.bytes for model in pipeline.residency.resident}
    assert held["generator"] == cast.generator.nbytes + 4


def test_a_style_that_is_not_there_is_refused_before_anything_is_drawn(
    pipeline: ImageRAGPipeline, cast: Cast
) -> None:
    with pytest.raises(StyleError, match="no style 'chalk' here"):
        pipeline(replace(OWL, styles=(Styled("chalk"),)))
    assert not cast.generator.calls


@pytest.mark.parametrize(
    ("styles", "why"),
    [
        ((Styled("ink", 2.5),), "weight of a style is 2.5"),
        ((Styled("ink", float("nan")),), "weight of a style is nan"),
        ((Styled("ink"), Styled("ink", 0.5)), "named twice"),
        (tuple(Styled(f"{n}") for n in range(5)), "5 styles are named; at most 4"),
        ((Styled(""),), "a name of 1 to 100"),
    ],
)
def test_styles_that_cannot_be_asked_for(styles: tuple[Styled, ...], why: str) -> None:
    with pytest.raises(RequestError, match=why):
        Request("a dog", styles=styles)


def test_the_record_tells_of_the_styles(pipeline: ImageRAGPipeline) -> None:
    run = pipeline(OWL)
    back = open_run(pipeline.results, run.id)
    assert (back.reading, back.settings, back.request.styles) == (run.reading, run.settings, OWL.styles)
    assert run.reading is not None
    digest = run.reading.styles[0].lora
    assert f'Style "Ink wash", weight 1, LoRA {digest[:12]}, called by "in ink".' in trace(run)


def test_a_png_is_drawn_again_in_its_styles(pipeline: ImageRAGPipeline, cast: Cast, styles: Path) -> None:
    run = pipeline(OWL)
    find = lambda library, file: pipeline.library(library).open(file)  # noqa: E731
    again = read_png(pipeline.results / run.id / "result.png", find)
    same = ended(pipeline, replace(again, id="20261122-034416271828-ab12cd"))
    assert same.result is not None and run.result is not None
    assert same.result.tobytes() == run.result.tobytes()
    assert cast.generator.calls[0] == cast.generator.calls[2]
    put(styles / "pocket" / "ink", INK, lora=True, seed=1)
    told = "The LoRA of the style 'Ink wash' was changed since this run was made."
    assert told in ended(pipeline, drawn_anew(replace(run, id="20261122-034416271828-ab12ce"))).notes
    (styles / "pocket" / "ink" / "lora.safetensors").unlink()
    with pytest.raises(StyleError, match="has no LoRA any more"):
        ended(pipeline, drawn_anew(replace(run, id="20261122-034416271828-ab12cf")))


def test_styles_are_changed_and_the_run_goes_on_from_its_initial_image(
    pipeline: ImageRAGPipeline, cast: Cast
) -> None:
    run = pipeline(OWL)
    assert run.reading is not None
    ink = run.reading.styles[0]
    changed = ended(pipeline, redrawing.restyle(run, [replace(ink, weight=0.4)]))
    assert changed.parent == run.id
    assert [(c.what, c.before, c.after) for c in changed.corrections] == [
        ("styles", "Ink wash (1) and Pixel art (1)", "Ink wash (0.4)")
    ]
    assert cast.generator.calls[2]["prompt"] == "a dog and an owl, inky"
    assert [lora.scale for lora in cast.generator.calls[2]["loras"]] == [0.2]
    assert open_run(pipeline.results, changed.id).reading == changed.reading
    plain = ended(pipeline, redrawing.restyle(changed, []))
    assert plain.reading is not None and not plain.reading.styles
    with pytest.raises(RequestError, match="at most 4"):
        redrawing.restyle(run, [ink] * 5)


def test_a_person_s_own_wording_keeps_the_styles(pipeline: ImageRAGPipeline) -> None:
    run = pipeline(OWL)
    read = pipeline.reader(pipeline.library("pocket")).read("a cat")
    reread = corrections.reread(run, read)
    assert reread.reading is not None and run.reading is not None
    assert (reread.reading.prompt, reread.reading.styles) == ("a cat", run.reading.styles)


@pytest.mark.parametrize(
    "change",
    [
        {"weight": 3},
        {"scale": -1},
        {"template": "no place"},
        {"lora": "../x"},
        {"weight": "1"},
        {"template": "{prompt}" * 2},
    ],
)
def test_a_record_with_an_impossible_style_is_none(
    pipeline: ImageRAGPipeline, change: dict[str, object]
) -> None:
    from imgrag.archive import records
    from imgrag.archive.reading import restored

    record = records.record(pipeline(OWL))
    record["reading"]["styles"] = [{**record["reading"]["styles"][0], **change}]
    with pytest.raises(RecordError):
        restored(record, lambda name: None)
