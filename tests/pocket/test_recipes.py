"""The training recipes, on a few samples: they teach what the models are asked, and they resume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from imgrag.engine import prompts
from imgrag.pocket.recipes import (
    adapter,
    batches,
    clip,
    drawings,
    drills,
    generator,
    judging,
    llm,
    precision,
    things,
    training,
    vlm,
)
from imgrag.pocket.recipes.catalogue import RECIPES
from imgrag.pocket.recipes.training import Schedule, fit
from imgrag.pocket.world import pixels, styles, subwords, world


def _fit_line(cache: Path, monkeypatch: pytest.MonkeyPatch, stops: list[int]) -> torch.Tensor:
    """Train a line in as many sittings as `stops` says; the last entry is the whole length."""
    monkeypatch.setattr(training, "CACHE", cache)
    for stop in stops:
        torch.manual_seed(0)
        model = nn.Linear(2, 1)

        def loss(
            step: int, rng: np.random.Generator, model: nn.Linear = model, stop: int = stop
        ) -> torch.Tensor:
            if step == stop and stop != stops[-1]:
                raise KeyboardInterrupt
            x = torch.from_numpy(rng.standard_normal((8, 2), dtype=np.float32))
            return (model(x)[:, 0] - x.sum(1)).square().mean()

        try:
            fit(
                "line",
                {"line": model},
                loss,
                Schedule(60, 0.05, save_every=20, warmup=5, ema=0.9),
                torch.device("cpu"),
            )
        except KeyboardInterrupt:
            continue
    return model.weight.detach()


def test_a_training_stopped_anywhere_ends_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _fit_line(tmp_path / "whole", monkeypatch, [60])
    parts = _fit_line(tmp_path / "parts", monkeypatch, [27, 41, 60])
    assert torch.equal(whole, parts)
    assert (whole - 1).abs().max() < 0.3


class Machine:
    """A clock that only products move: by a second in float32, in bfloat16 by as many as it takes here."""

    def __init__(self, bfloat16: float) -> None:
        self.now, self.took = 0.0, {True: bfloat16, False: 1.0}
        self.seen: list[bool] = []  # whether a step's products were in bfloat16

    def __call__(self) -> float:
        return self.now

    def multiply(self, device: torch.device) -> None:
        with precision.autocast(device):
            self.seen.append(torch.is_autocast_enabled(device.type))
        self.now += self.took[self.seen[-1]]


def _fit_on(machine: Machine, steps: int) -> tuple[training.Fitted, nn.BatchNorm1d]:
    torch.manual_seed(0)
    cpu, model = torch.device("cpu"), nn.BatchNorm1d(2)  # its buffers change with each step

    def loss(step: int, rng: np.random.Generator) -> torch.Tensor:
        machine.multiply(cpu)
        return model(torch.rand(4, 2) + rng.random(dtype=np.float32)).square().mean()

    return fit(
        "norm", {"norm": model}, loss, Schedule(steps, 0.05, save_every=4, ema=0.5), cpu, machine
    ), model


@pytest.mark.parametrize(("bfloat16", "taken"), [(15.0, "float32"), (0.5, "bfloat16"), (1.1, "bfloat16")])
def test_a_training_multiplies_in_what_is_faster_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bfloat16: float, taken: str
) -> None:
    monkeypatch.setattr(training, "CACHE", tmp_path)
    machine = Machine(bfloat16)
    fitted, _ = _fit_on(machine, 4)
    assert fitted.products == taken
    assert machine.seen[-4:] == [taken == "bfloat16"] * 4


def test_a_resumed_training_multiplies_as_it_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "CACHE", tmp_path)
    _fit_on(Machine(15.0), 4)
    elsewhere = Machine(0.5)
    fitted, _ = _fit_on(elsewhere, 8)
    assert fitted.products == "float32" and elsewhere.seen == [False] * 4


def test_measuring_changes_nothing_of_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "CACHE", tmp_path / "measured")
    _, measured = _fit_on(Machine(15.0), 4)
    monkeypatch.setattr(training, "CACHE", tmp_path / "told")
    monkeypatch.setattr(training, "faster", lambda *_: "float32")
    _, told = _fit_on(Machine(15.0), 4)
    for one, other in zip(measured.state_dict().values(), told.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_generator_words_know_the_known_and_no_other_names() -> None:
    words = generator.tokenizer()
    for i in world.indices("known"):
        assert words.unk_token_id not in words(world.icons()[i].name).input_ids
    assert words.unk_token_id in words("a toolbox").input_ids
    assert words("A DOG, and a cat!").input_ids == words("a dog and a cat").input_ids


def test_generator_words_know_the_fillers_the_templates_use() -> None:
    words = generator.tokenizer()
    text = prompts.enhancing_prompt(batches.wording(), ["dog", "cat"], "a beautiful photo of a dog")
    assert words.unk_token_id not in words(text).input_ids


def test_the_adapter_is_written_in_the_published_layout_and_loads_back() -> None:
    unet = generator.build_unet()
    adapter.attach_new_adapter(unet)
    state = adapter.adapter_state(unet)
    crossings = len(adapter.cross_attentions(unet))
    assert sorted(k for k in state if k.startswith("image_proj")) == sorted(
        f"image_proj.proj.{i}.{kind}" for i in (0, 2, 3) for kind in ("weight", "bias")
    )
    assert sum(k.startswith("ip_adapter") for k in state) == 2 * crossings
    nested = {
        part: {k.removeprefix(f"{part}."): v.float() for k, v in state.items() if k.startswith(part)}
        for part in ("image_proj", "ip_adapter")
    }
    again = generator.build_unet()
    again._load_ip_adapter_weights([nested], low_cpu_mem_usage=False)
    for key, value in adapter.adapter_state(again).items():
        assert torch.equal(value, state[key])


@pytest.mark.parametrize("seed", range(6))
def test_a_generator_batch_never_names_or_shows_the_unseen(seed: int) -> None:
    mix = replace(generator.TERMS["generator-gathered"][1], gathered=0.0)  # see test_emoji_sets for those
    batch = batches.sample(np.random.default_rng(seed), mix, count=16)
    unseen = {world.icons()[i].name for i in world.indices("unseen")}
    assert batch.latents.shape == (16, 32, 8, 8)
    assert not any(f" {name}" in prompt for prompt in batch.prompts for name in unseen)


def test_a_reference_stands_on_the_ground_of_the_profile() -> None:
    slots = world.icon_slots()[:8]
    corner = batches.reference_pixels(slots, np.random.default_rng(0), keyed=1.0)[:, :, 0, 0]
    assert torch.allclose(corner, pixels.normalise(batches.ground()[None, :, None, None])[0, :, 0, 0])


def test_faint_things_count_more_where_terms_are_evened() -> None:
    strong, faint = torch.zeros(1, 4, 32, 32), torch.zeros(1, 4, 32, 32)
    strong[:, :, 8:24, 8:24] = 1.0
    faint[:, :, 8:24, 8:24] = torch.tensor([0.02, 0.02, 0.02, 1.0])[:, None, None]
    weights = batches.contrast_weights([strong, faint], torch.tensor([True]), torch.zeros(1, 3))
    assert weights.shape == (1, 1, 8, 8)
    left, right = weights[0, 0, 2:6, :4], weights[0, 0, 2:6, 4:]
    assert left.eq(batches.WEIGHTS[0]).all() and right.eq(batches.WEIGHTS[1]).all()
    assert weights[0, 0, :2].eq(1).all() and weights[0, 0, 6:].eq(1).all()


@pytest.mark.parametrize("words", [(), things.taught()], ids=["first terms", "last term"])
@pytest.mark.parametrize("references", [0, 1, 2])
def test_a_verdict_lesson_teaches_replies_our_parser_reads(references: int, words: tuple[str, ...]) -> None:
    lesson = judging.verdicts(np.random.default_rng(references), 24, references, judging.Studio(), words)
    assert lesson.pictures.shape == (24, 1 + references, 3, 112, 112)
    for question, reply in zip(lesson.questions, lesson.replies, strict=True):
        verdict = prompts.parse_verdict(reply)
        assert verdict is not None
        assert verdict.matches == (not verdict.missing)
        assert all(name.lower() in question.lower() for name in verdict.missing)


def _rows(kind: str, count: int = 60) -> list[things.Row]:
    rng = np.random.default_rng((7, len(kind)))
    scribe = judging.Scribe(judging.Studio(), 0, rng, things.taught())
    return [things.row(things.KINDS[kind], scribe) for _ in range(count)]


@pytest.mark.parametrize("kind", things.KINDS)
def test_a_question_about_a_thing_is_answered_by_what_the_picture_holds(kind: str) -> None:
    rows = _rows(kind)
    answers = [answer for row in rows for _, answer in row.asked]
    assert 0.35 < np.mean(answers) < 0.6
    for row in rows:
        there = {thing.name.lower() for thing in row.things if thing.present}
        for question, answer in row.asked:
            assert prompts.parse_yes_no("yes" if answer else "no") == answer
            if question == prompts.SAME:
                assert answer == row.referred[0].present
            else:
                asked = question.lower().split("first picture show ")[1].split("? answer")[0]
                assert answer == any(asked.endswith(f" {name}") or asked == name for name in there)


def test_a_picture_that_is_only_the_nearest_proves_no_name() -> None:
    names = set(world.names())
    rows = [row for row in _rows("nearest", 120) if row.referred[0].name not in names]
    assert rows and not any(row.referred[0].present for row in rows)
    copied = [row for row in rows if any(thing.seen in names for thing in row.things)]
    assert copied, "also where the picture shows just what the nearest one does"


def test_a_lesson_has_as_many_pictures_as_its_questions_speak_of() -> None:
    for kind, references in (("alone", 0), ("referred", 1), ("nearest", 1), ("two", 2)):
        rng = np.random.default_rng(1)
        lesson = things.lesson((kind,), rng, 6, judging.Styled(), things.taught())
        assert lesson.pictures.shape == (6, 1 + references, 3, 112, 112)
        assert len(lesson.questions) == len(lesson.replies) == len(lesson.places or ()) > 6
        assert set(lesson.places or ()) == set(range(6)) and len(lesson.labels) == 6
        for question in lesson.questions:
            assert question == prompts.SAME or question.count("Picture ") == references


def test_nouns_to_measure_by_are_not_taught_and_none_is_of_the_world() -> None:
    inside = {word for name in world.names() for word in (name, *name.split())}
    taught, untaught = set(things.taught()), set(things.untaught())
    assert len(untaught) > 100 and not taught & untaught and not (taught | untaught) & inside


def test_look_alikes_are_other_icons_and_look_more_alike_than_most() -> None:
    names = world.names()
    found = {names[i]: [names[j] for j in others] for i, others in enumerate(judging.look_alikes())}
    assert all(name not in others and len(others) >= judging.ALIKE for name, others in found.items())
    assert "polar bear" in found["bear"] and "moon" in found["crescent moon"]


def test_what_was_drawn_from_a_reference_is_shown_beside_it() -> None:
    rng, slot = np.random.default_rng(0), torch.rand(3, 32, 32)
    reference = world.icon_slots(112)[5]
    drawn = drawings.Drawn(drawings.STRANGE, 2, slot, reference)
    studio = drawings.Drawings([drawn, drawings.Drawn(9, 2, torch.rand(3, 32, 32))])
    copies = [copy for _ in range(20) if (copy := studio.copy(2, rng)) is not None]
    assert copies and all(torch.equal(copy.slot[:3], slot) for copy in copies)
    assert all(copy.reference is reference for copy in copies) and studio.copy(3, rng) is None
    assert [studio.pick(2, rng) for _ in range(40)].count(9) > 8


def test_an_extraction_lesson_teaches_replies_our_parser_reads() -> None:
    rng = np.random.default_rng(4)
    for _ in range(60):
        question, reply = llm.extraction(rng)
        concepts = prompts.parse_concepts(reply, question, 3)
        assert concepts is not None
        assert [c.name for c in concepts] == [
            line.split(":")[0].removeprefix("- ") for line in reply.splitlines() if line != "none"
        ]


def test_patches_are_what_the_processor_gives() -> None:
    image = world.scene_image(("dog", "toolbox"), "blue")
    processor = vlm.build_processor()
    theirs = processor(text=["<|image_pad|>"], images=[image], return_tensors="pt")
    scene = torch.from_numpy(np.asarray(image)).permute(2, 0, 1)[None] / 255
    mine = vlm.patches(judging.view(scene))
    assert theirs.image_grid_thw.tolist() == [[1, 8, 8]]
    assert (mine - theirs.pixel_values).abs().mean() < 0.01


def test_a_batch_is_read_as_transformers_reads_it_one_by_one() -> None:
    torch.manual_seed(0)
    model = vlm.build().eval()
    lesson = judging.verdicts(np.random.default_rng(1), 3, 1, judging.Studio())
    tokens, labels = vlm.encode(lesson)
    with torch.no_grad():
        theirs = model(
            input_ids=tokens,
            attention_mask=(tokens != subwords.tokenizer().pad_token_id).long(),
            mm_token_type_ids=(tokens == model.config.image_token_id).int(),
            pixel_values=vlm.patches(lesson.pictures.flatten(0, 1)),
            image_grid_thw=torch.tensor([[1, 8, 8]] * 6),
            labels=labels,
        ).loss
        vlm.batch_vision(model)
        device = torch.device("cpu")
        hidden, labels = vlm.read(model, lesson, vlm.see(model, lesson, device), device)
        mine = vlm.reply_loss(hidden, labels, model.lm_head)
    assert abs(theirs.item() - mine.item()) < 0.01


def test_questions_about_one_picture_are_read_as_each_by_itself() -> None:
    torch.manual_seed(0)
    model, device = vlm.build().eval(), torch.device("cpu")
    lesson = things.lesson(("referred",), np.random.default_rng(1), 3, judging.Studio(), things.taught())
    with torch.no_grad():
        seen = vlm.see(model, lesson, device)
        losses = [
            vlm.reply_loss(*read(model, lesson, seen, device), model.lm_head).item()
            for read in (vlm.read, vlm.read_on)
        ]
    assert len(lesson.questions) > 3 and losses[0] == pytest.approx(losses[1], abs=1e-4)


def test_the_sub_words_copy_any_text() -> None:
    words = subwords.tokenizer()
    for text in ("a zorblax", "Pokémon 世界 🦊", 'quotes "and" \\ slashes'):
        assert words.decode(words(text).input_ids) == text


def test_every_recipe_names_its_card_and_limits() -> None:
    for name, make in RECIPES.items():
        recipe = make()
        assert recipe.card and recipe.data and recipe.limits, name


def test_a_drill_repeats_its_beginning() -> None:
    tokens, length = drills.repeats(np.random.default_rng(0))
    assert torch.equal(tokens[:, :length], tokens[:, -length:])
    assert tokens.min() >= len(subwords.SPECIAL)


def test_a_model_that_copies_passes_the_drill_and_one_that_guesses_does_not() -> None:
    class Copier(torch.nn.Module):
        """Knows the drill's end by its beginning; `head` reads the answer off its hidden state."""

        def forward(self, input_ids: torch.Tensor, use_cache: bool) -> SimpleNamespace:
            following = torch.nn.functional.one_hot(input_ids.roll(-1, 1), len(subwords.tokenizer()))
            return SimpleNamespace(last_hidden_state=following.float())

    def loss(head: torch.nn.Module) -> float:
        rng, cpu = np.random.default_rng(1), torch.device("cpu")
        return drills.drill_loss(Copier(), head, rng, cpu).item()

    class Sharp(torch.nn.Module):
        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            return 30 * hidden

    class Blind(torch.nn.Module):
        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(hidden)

    assert loss(Sharp()) < 1e-3 and loss(Blind()) > 7


def test_other_styles_stay_pictures_and_differ() -> None:
    icons = world.icon_slots()[:40]
    styled = styles.restyle(icons, np.random.default_rng(0))
    assert styled.shape == icons.shape and styled.min() >= 0 and styled.max() <= 1
    assert (styled[:, :3] <= styled[:, 3:] + 1e-5).all(), "premultiplied"
    changed = (styled - icons).abs().mean((1, 2, 3))
    assert (changed > 0.005).all()
    kept = torch.stack([styled[:, 3].flatten(1), icons[:, 3].flatten(1)])
    overlap = (kept.amin(0).sum(1) / kept.amax(0).sum(1)).mean()
    assert overlap > 0.6, "it is still the same thing"


def test_clip_rows_are_different_pictures() -> None:
    rows = clip.scenes(np.random.default_rng(0))
    assert len(set(rows)) == len(rows) == clip.BATCH
    twins = rows[: clip.TWINS]
    assert [row.thing for row in twins] == [row.thing for row in rows[-clip.TWINS :]]
    assert all(a.colour >= 0 <= b.colour for a, b in zip(twins, rows[-clip.TWINS :], strict=True))
    assert clip.caption("owl", np.random.default_rng(3), 5).endswith(" on a green background")
    assert clip.views(rows[:4], np.random.default_rng(0), clip.Mix(restyled=0.5)).shape == (4, 3, 64, 64)


def test_a_text_tower_that_reads_moves_neither_pictures_nor_prototypes() -> None:
    torch.manual_seed(0)
    model, table = clip.build(), nn.Linear(128, len(world.names()), bias=False)
    clip.reading_loss(model, table, np.random.default_rng(0), torch.device("cpu")).backward()
    assert model.text_projection.grad is not None and model.text_projection.grad.abs().sum() > 0
    assert table.weight.grad is None
    assert all(parameter.grad is None for parameter in model.visual.parameters())
