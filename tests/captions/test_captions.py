"""Neighbours, prompts, captions, adapters and measures, on a tiny T5 of the class that profiles name."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import T5ForConditionalGeneration

from imgrag.captions import AdapterShelf, CaptionPipeline, CaptionRequest
from imgrag.captions.events import CaptionFinished, CaptionStageStarted, CaptionWords
from imgrag.captions.folders import TABLE, caption_folder, caption_library
from imgrag.captions.lessons import read_lesson, samples, split
from imgrag.captions.measures import bleu, cider_d
from imgrag.captions.neighbours import embed_views
from imgrag.captions.pipeline import with_prompt, without
from imgrag.captions.training import train_adapter
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.errors import Cancelled, LibraryError, RequestError
from imgrag.models import Embedder
from imgrag.models.captioner import load_captioner
from imgrag.models.captioning import CaptionsProfile
from imgrag.models.profile import Checkpoint, LlmProfile, Profile
from imgrag.models.residency import ModelSpec
from imgrag.pocket.recipes.captioner import ready_to_copy, tokenizer
from imgrag.runs.captions import WHOLE_PICTURE, caption_prompt, parts_of
from tests.fakes import COLOURS, Cast, make_pipeline, tile

GRID = CaptionsProfile(library="told", k=3, k_parts=1, columns=3, rows=1, part=0.5)


def tiny_t5(folder: Path) -> Path:
    """A checkpoint as transformers writes it, with the words of the pocket captioner."""
    from transformers import T5Config

    torch.manual_seed(0)
    words = tokenizer()
    config = T5Config(
        vocab_size=len(words), d_model=128, d_kv=32, d_ff=32, num_layers=2, num_decoder_layers=2, num_heads=4,
        dropout_rate=0.0, eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id,
        decoder_start_token_id=words.pad_token_id,
    )  # fmt: skip
    model = T5ForConditionalGeneration(config)
    ready_to_copy(model)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_t5(tmp_path_factory.mktemp("t5") / "t5")


def told_library(root: Path, captions: dict[str, str]) -> None:
    """A library with a caption a picture; a thing's picture is a tile of its colour with a corner of its own."""
    root.mkdir(parents=True)
    with (root / "metadata.csv").open("w", newline="", encoding="utf-8") as lines:
        table = csv.writer(lines)
        table.writerow(("file_name", "caption"))
        for number, (file, caption) in enumerate(captions.items()):
            picture = tile(file.split("-")[0])
            picture.putpixel((0, 0), (number, number, number))
            picture.save(root / file)
            table.writerow((file, caption))


@pytest.fixture
def captions(tmp_path: Path, checkpoint: Path) -> CaptionPipeline:
    told_library(
        tmp_path / "libraries" / "told",
        {f"{name}-{n}.png": f"a {name} number {n}" for name in COLOURS for n in range(4)},
    )
    pipeline = captioning(make_pipeline(tmp_path, Cast()), checkpoint)
    return CaptionPipeline(pipeline, AdapterShelf(tmp_path / "adapters"))


def captioning(pipeline: ImageRAGPipeline, checkpoint: Path) -> ImageRAGPipeline:
    """The pipeline with a tiny captioner."""
    role = LlmProfile(checkpoint=Checkpoint(local=str(checkpoint)), max_new_tokens=8)
    pipeline.profile = replace(pipeline.profile, captioner=role, captions=GRID)
    roles = dict(pipeline._roles or {})
    roles["captioner"] = ModelSpec("captioner", lambda: load_captioner(role, checkpoint, "cpu"))
    pipeline._roles = roles
    return pipeline


def test_parts_are_spread_evenly_and_named_in_reading_order() -> None:
    assert parts_of(1, 1, 0.5) == {}
    assert [(round(box.left, 2), round(box.top, 2)) for box in parts_of(3, 1, 0.5).values()] == [
        (0.0, 0.25), (0.25, 0.25), (0.5, 0.25),
    ]  # fmt: skip
    assert list(parts_of(2, 2, 0.6)) == ["upper left", "upper right", "lower left", "lower right"]


def test_a_prompt_tells_each_part_and_each_caption_once() -> None:
    told = {WHOLE_PICTURE: ["a dog", "an owl", "a dog"], "left": []}
    assert caption_prompt(told) == "Like it: a dog; an owl\nIts left: nothing\nCaption:"


def test_neighbours_lead_to_a_prompt_and_a_caption_which_are_kept(
    captions: CaptionPipeline, tmp_path: Path
) -> None:
    events = list(captions.stream(tile("owl", 16), CaptionRequest(file="mine.png")))
    started = [event.stage for event in events if isinstance(event, CaptionStageStarted)]
    assert started == ["neighbours", "prompt", "caption"]
    done = events[-1].captioned
    whole = [one for one in done.neighbours if one.part == WHOLE_PICTURE]
    assert len(whole) == 3 and all("owl" in one.caption for one in whole)
    assert done.prompt.startswith("Like it: a owl number")
    spoken = [event.text for event in events if isinstance(event, CaptionWords)]
    assert not done.caption or spoken[-1].split() == done.caption.split()
    kept = json.loads(next(tmp_path.rglob("caption.json")).read_text(encoding="utf-8"))
    assert (kept["id"], kept["caption"], kept["prompt"]) == (done.id, done.caption, done.prompt)


def test_a_picture_of_the_library_is_not_its_own_neighbour(captions: CaptionPipeline, tmp_path: Path) -> None:
    own = Image.open(tmp_path / "libraries" / "told" / "owl-2.png")
    found = captions(own.convert("RGB")).neighbours
    lesson = read_lesson(samples=16, seed=3)
    library = captions._pipeline.library("told")
    made = samples(captions, library, CaptionRequest(library="told"), replace(lesson, dropped=0.0))
    assert found
    assert len(made) == 16
    assert all(sample.target not in sample.prompt for sample in made)


def test_parts_with_a_plain_ground_are_looked_at_on_the_colour_that_the_library_has() -> None:
    """A thing on red is then just what it is on white; the whole stays as it is."""

    class Pixels:
        def embed_images(self, images: Sequence[Image.Image]) -> np.ndarray:
            return np.stack(
                [np.asarray(image.resize((4, 4), Image.Resampling.BOX)).ravel() for image in images]
            )

    def scene(ground: str) -> Image.Image:
        picture = Image.new("RGB", (16, 16), ground)
        picture.paste((20, 200, 90), (6, 6, 10, 10))
        return picture

    def views(profile: CaptionsProfile) -> np.ndarray:
        return embed_views([scene("red"), scene("white")], profile, cast(Embedder, Pixels()))

    as_they_are, on_white = views(GRID), views(replace(GRID, part_ground="white"))
    assert (as_they_are[0] != as_they_are[1]).any(axis=1).all()
    assert (on_white[0, 2] == on_white[1, 2]).all()
    assert (on_white[:, 0] == as_they_are[:, 0]).all()


def test_of_a_part_only_what_stands_out_is_read(captions: CaptionPipeline) -> None:
    pipeline = captions._pipeline
    pipeline.profile = replace(pipeline.profile, captions=replace(GRID, ahead=0.3))
    known = [one for one in captions(tile("owl", 16)).neighbours if one.part != WHOLE_PICTURE]
    assert known and all(one.counts and "owl" in one.caption for one in known)
    strange = captions(Image.new("RGB", (16, 16), (1, 2, 3)))
    assert not any(one.counts for one in strange.neighbours if one.part != WHOLE_PICTURE)
    assert "Its left: nothing\nIts middle: nothing\nIts right: nothing" in strange.prompt


def test_neighbours_can_be_taken_out_and_the_prompt_edited(captions: CaptionPipeline) -> None:
    first = captions(tile("owl", 16))
    gone = first.neighbours[0]
    left = without(first, [(gone.part, gone.candidate.file)])
    again = last(captions, left)
    assert gone not in again.neighbours and len(again.neighbours) == len(first.neighbours) - 1
    mine = last(captions, with_prompt(again, "Like it: a zorblax\nCaption:"))
    assert mine.edited and mine.prompt == "Like it: a zorblax\nCaption:" and mine.id == first.id
    with pytest.raises(RequestError, match="empty"):
        with_prompt(first, "  ")


def last(captions: CaptionPipeline, known: object) -> object:
    events = list(captions.resume(tile("owl", 16), known, CaptionRequest()))
    assert isinstance(events[-1], CaptionFinished)
    assert not any(isinstance(e, CaptionStageStarted) and e.stage == "neighbours" for e in events)
    return events[-1].captioned


def test_a_caption_can_be_stopped(captions: CaptionPipeline, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        list(captions.stream(tile("owl"), CaptionRequest(), stop))
    assert not list(tmp_path.rglob("caption.json"))


def test_a_library_without_captions_says_so(captions: CaptionPipeline, tmp_path: Path) -> None:
    bare = tmp_path / "libraries" / "bare"
    bare.mkdir()
    tile("dog").save(bare / "one.png")
    with pytest.raises(LibraryError, match="no captions to read"):
        captions(tile("dog"), CaptionRequest(library="bare"))
    with pytest.raises(RequestError, match="from 1 to 50"):
        CaptionRequest(k=0)


def test_a_folder_gets_a_table_and_is_gone_on_with(captions: CaptionPipeline, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a", "b"):
        tile("cat").save(folder / f"{name}.png")
    skipped: list[str] = []
    (folder / "c.png").write_bytes(b"no picture")

    def run() -> list[str]:
        done = caption_folder(
            captions, folder, folder / TABLE, CaptionRequest(), lambda f, w: skipped.append(f)
        )
        return [one.file for one, _, _ in done]

    assert run() == ["a.png", "b.png"] and skipped == ["c.png"]
    with (folder / TABLE).open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["file_name"] for row in rows] == ["a.png", "b.png"] and all(
        row["captioned_by"] for row in rows
    )
    (folder / TABLE).write_text("name,price\nx,1\n", encoding="utf-8")
    with pytest.raises(LibraryError, match="--out"):
        run()


def test_a_library_captions_what_has_none_once_and_marks_it(
    captions: CaptionPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captions, "write", lambda prompts, *rest: ["written"] * len(prompts))
    bare = tmp_path / "libraries" / "bare"
    bare.mkdir()
    tile("dog").save(bare / "one.png")
    request = CaptionRequest(library="told")
    pipeline = captions._pipeline
    assert [one.file for one, _, _ in caption_library(pipeline, captions, "bare", request)] == ["one.png"]
    assert not list(caption_library(pipeline, captions, "bare", request))
    (entry,) = pipeline.library("bare").entries(0, 10)
    assert (entry.caption, bool(entry.fields["captioned_by"])) == ("written", True)
    (bare / "metadata.csv").write_text("file_name,price\none.png,7\n", encoding="utf-8")
    from imgrag.engine.borrowing import BorrowedEmbedder

    pipeline.library("bare").index(BorrowedEmbedder(pipeline))
    (entry,) = pipeline.library("bare").entries(0, 10)
    assert (entry.caption, entry.fields["price"]) == ("written", 7)


def test_an_adapter_is_trained_worn_merged_and_refused_by_another_model(
    captions: CaptionPipeline, tmp_path: Path, checkpoint: Path
) -> None:
    pipeline, shelf = captions._pipeline, captions.adapters
    library, request = pipeline.library("told"), CaptionRequest(library="told")
    lesson = read_lesson(samples=16, epochs=1, seed=0)
    learnt, kept = split(samples(captions, library, request, lesson), lesson)
    profile: Profile = pipeline.profile
    (epoch,) = train_adapter(tmp_path / "work", shelf.place_for("mine"), learnt, kept, profile, lesson)
    assert epoch.loss > 0 and 0 <= epoch.bleu_4 <= 1
    again = train_adapter(tmp_path / "work", shelf.place_for("mine"), learnt, kept, profile, lesson)
    assert [one.number for one in again] == [1]  # it was done already, and is not trained again
    merged = shelf.merge("mine", checkpoint)
    prompts = [sample.prompt for sample in kept]
    pictures = [tile("dog")] * len(prompts)
    worn = captions.write(prompts, pictures, shelf.get("mine"))
    assert captions.write(prompts, pictures, shelf.get(merged)) == worn
    shelf.use("mine", "library", "told")
    assert captions(tile("owl")).adapter == "mine"
    config = json.loads((shelf.get("mine").folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert (config["r"], config["lora_alpha"], config["lora_dropout"]) == (16, 32, 0.1)
    from peft import LoraConfig, get_peft_model
    from transformers import T5Config

    other = T5ForConditionalGeneration(
        T5Config(vocab_size=50, d_model=16, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    )
    get_peft_model(other, LoraConfig(target_modules=["q"])).save_pretrained(
        tmp_path / "adapters" / "stranger"
    )
    shelf.use("stranger", "library", "told")
    with pytest.raises(RequestError, match="another model"):
        captions(tile("owl"))


def test_cider_d_is_that_of_aac_metrics() -> None:
    """The value is what aac-metrics 0.6.0 gave for these, by its `functional.cider_d` and `str.split`."""
    said = ("a dog and a cat on a blue background", "an owl on a red background", "something and a zorblax on a green background", "a boat by the sea", "two birds sit on a wire over the street at dusk and wait")  # fmt: skip
    wanted = (
        ("a dog and a cat on a blue background", "blue ground with a cat and a dog"),
        ("an owl on a green background", "the owl sits on red"),
        ("a zorblax and a bear on a green background",),
        ("a small boat lies by the sea", "a boat at sea", "the boat by the sea"),
        ("two birds on a wire", "birds wait on a wire over a street"),
    )
    given = cider_d([text.split() for text in said], [[text.split() for text in texts] for texts in wanted])
    assert given == pytest.approx(3.8735004423588735, abs=1e-9)


def test_bleu_is_whole_for_what_was_wanted_and_none_for_other_words() -> None:
    assert bleu(["a dog on a blue background"], [["A dog, on a blue background."]]) == 1
    assert bleu(["one two three four five"], [["six seven eight nine ten"]]) < 0.05
