"""The lesson in writing prompts again: what is to be copied stands in a text, the rest in the prompt."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import torch

from imgrag.engine.prompts import parse_augmentation
from imgrag.pocket.recipes import llm, rewriting
from imgrag.pocket.world import subwords, world

TEXTS = Path(__file__).parents[2] / "datasets" / "knowledge" / "pocket.csv"


def texts() -> list[dict[str, str]]:
    with TEXTS.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_what_is_looked_up_stands_in_a_text_and_the_rest_in_the_prompt() -> None:
    for seed in range(200):
        one = rewriting.exercise(np.random.default_rng(seed), rewriting.ANY)
        facts, prompt = one.question.split("Known:\n")[1].rsplit("\nPrompt: ", 1)
        said = [one.reply[begin:end] for begin, end in one.looked_up]
        assert len(said) == prompt.count("[") > 0
        for words in said:
            ground = re.fullmatch(r"on an? (\w+) background", words)
            assert re.search(rf"\b{re.escape(ground[1] if ground else words)}\b", facts), (words, facts)
        for rest in re.split("|".join(map(re.escape, said)), one.reply):
            assert rest in prompt
        assert parse_augmentation(one.reply) == one.reply.strip()


def test_what_is_looked_up_has_a_loss_of_its_own() -> None:
    made = rewriting.exercises(4, np.random.default_rng(1), rewriting.SEVERAL)
    model = llm.build()
    _, labels = llm.read_pairs(model, [(one.question, one.reply) for one in made], torch.device("cpu"))
    for row, one in zip(llm._looked_up(made, labels), made, strict=True):
        said = subwords.tokenizer().decode(row[row >= 0])
        assert said.split() == " ".join(one.reply[begin:end] for begin, end in one.looked_up).split()


def test_every_text_names_a_thing_of_the_world_or_a_ground() -> None:
    rows, named = texts(), set()
    assert len({row["term"] for row in rows}) == len(rows) > 300
    for row in rows:
        rest = row["text"].replace(row["term"], "", 1).strip()
        told = re.sub(r"^(?:is|are) (?:an?\b|the\b)? ?| are$", "", rest)
        assert told in {*world.names(), *world.COLOURS}, row
        assert (row["language"], row["source"], row["licence"]) == ("en", "imgrag", "CC0-1.0")
        named.add(told)
    assert named >= {icon.name for icon in world.icons() if icon.set == "known"} | set(world.COLOURS)
