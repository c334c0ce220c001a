"""The ControlNet's recipe, on a few samples: what a lesson teaches, what learns, what is written."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel

from imgrag.models.control import load_control
from imgrag.models.profile import load_profile
from imgrag.pocket.recipes import control, training
from imgrag.pocket.recipes.adapting import attach_lora
from imgrag.pocket.recipes.catalogue import ASSETS, RECIPES, write_card
from imgrag.pocket.recipes.generator import build_scheduler
from imgrag.pocket.world import world
from imgrag.styles.style import LORA

CPU = torch.device("cpu")


@pytest.mark.parametrize("seed", range(4))
def test_a_lesson_names_and_shows_nothing_unseen_and_has_lines_for_every_scene(seed: int) -> None:
    given = control.lesson(np.random.default_rng(seed), 16)
    unseen = {world.names()[row] for row in world.indices("unseen")}
    assert given.batch.latents.shape == (16, 32, 8, 8)
    assert given.lines.shape == (16, 3, 64, 64) and set(given.lines.unique().tolist()) <= {0.0, 1.0}
    assert (given.lines.flatten(1).sum(1) > 0).all()
    assert not any(f" {name}" in prompt for prompt in given.batch.prompts for name in unseen)
    assert set(given.batch.weights.flatten().tolist()) != {1.0}


def test_lessons_have_references_in_about_half_of_the_steps_and_repeat() -> None:
    held = [control.lesson(training.step_rng(0, step), 2).batch.references is not None for step in range(60)]
    assert 20 < sum(held) < 50
    one, again = (control.lesson(training.step_rng(0, 3), 4) for _ in range(2))
    assert torch.equal(one.lines, again.lines) and one.batch.prompts == again.batch.prompts


def test_only_controlnet_and_lora_learn_and_the_net_begins_at_nothing() -> None:
    parts = control.generator_parts(ASSETS, CPU)
    net = control.build(parts)
    given = control.lesson(np.random.default_rng(5), 4)
    with torch.no_grad():
        down, mid = net(
            given.batch.latents, torch.zeros(4), torch.randn(4, 5, 192), given.lines, return_dict=False
        )
    assert all(not answer.any() for answer in (*down, mid))
    lora = attach_lora(parts["unet"], CPU, **control.WORN)
    before = {key: value.clone() for key, value in parts["unet"].state_dict().items() if "lora" not in key}
    learning = [*net.parameters(), *lora.parameters()]
    optimizer = torch.optim.SGD(learning, lr=0.1)
    alphas = build_scheduler().alphas_cumprod
    control.control_loss(given, net, parts, alphas, np.random.default_rng(0), CPU).backward()
    assert net.controlnet_mid_block.weight.grad.abs().sum() > 0
    assert any(each.grad is not None and each.grad.any() for each in lora.parameters())
    optimizer.step()
    frozen = [
        name for name, each in parts["unet"].named_parameters() if each.requires_grad and "lora" not in name
    ]
    assert not frozen
    after = parts["unet"].state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_two_steps_write_what_the_profile_opens_and_a_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(control, "lesson", partial(control.lesson, count=2))
    terms: list[str] = []

    def briefly(
        name: str,
        modules: Mapping[str, torch.nn.Module],
        loss: Callable[[int, np.random.Generator], torch.Tensor],
        schedule: training.Schedule,
        device: torch.device,
    ) -> training.Fitted:
        terms.append(name)
        return training.fit(name, modules, loss, replace(schedule, steps=2, warmup=1), device)

    monkeypatch.setattr(control, "fit", briefly)
    assets = tmp_path / "pocket"
    for name in ("generator", "adapter"):
        shutil.copytree(ASSETS / name, assets / name)
    recipe = RECIPES["control"]()
    fitted = recipe.train(assets, CPU)
    assert terms and fitted.steps == 2 * len(terms)
    write_card(assets, "control", recipe, fitted)
    assert "python -m imgrag train control" in (assets / "control" / "README.md").read_text(encoding="utf-8")
    files = list((assets / "control").glob("*.safetensors"))
    assert files and all(file.stat().st_size < 10 * 10**6 for file in files)
    profile = load_profile("pocket")
    assert profile.control is not None and profile.control.lora == LORA
    opened = load_control(profile.generator, assets / "control", assets / "generator", "cpu", LORA)
    assert isinstance(opened.net, ControlNetModel) and opened.net.dtype == torch.float32
    assert opened.lora is not None and opened.lora.file.is_file()
