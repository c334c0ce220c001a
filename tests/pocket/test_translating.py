"""Lessons in translation: every thing has its words, and what a prompt asks for is what its English says."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from imgrag.pocket.recipes import llm, translating
from imgrag.pocket.recipes.translating import Choice, exercise, found
from imgrag.pocket.world import world
from imgrag.pocket.world.translations import (
    SIMPLIFIED,
    TRADITIONAL,
    Noun,
    plural_of,
    translations,
    unaccented,
)
from imgrag.runs.plurals import english_plural


def test_every_thing_has_words_in_both_languages_and_no_word_is_two_things() -> None:
    assert tuple(thing.name for thing in translations()) == world.names()
    for words in (
        [word for thing in translations() for word in thing.chinese],
        [noun for thing in translations() for noun in thing.spanish],  # la cometa flies, el cometa shines
    ):
        assert not [word for word, count in Counter(words).items() if count > 1]


def test_every_simplified_character_has_its_traditional_one() -> None:
    assert len(SIMPLIFIED) == len(set(SIMPLIFIED)) == len(TRADITIONAL)
    assert translating.traditional("一只猫头鹰和自行车") == "一隻貓頭鷹和自行車"


@pytest.mark.parametrize(
    ("one", "several"),
    [
        ("gato", "gatos"),
        ("camión", "camiones"),
        ("pez", "peces"),
        ("autobús", "autobuses"),
        ("paraguas", "paraguas"),
    ],
)
def test_spanish_plurals(one: str, several: str) -> None:
    assert plural_of(one) == several


def test_what_follows_of_stays_as_it_is_in_a_plural() -> None:
    assert Noun("copo de nieve", False, False).many == "copos de nieve"
    assert Noun("oso polar", False, False).many == "osos polares"
    assert Noun("gafas de sol", True, True).many == "gafas de sol"
    assert unaccented("camión y piña") == "camion y piña"


def test_english_plurals() -> None:
    assert [english_plural(name) for name in ("box", "cherry", "mouse", "scissors", "polar bear", "wrench")] == [
        "boxes", "cherries", "mice", "scissors", "polar bears", "wrenches",
    ]  # fmt: skip
    assert [english_plural(name) for name in ("y", "猫王")] == ["ys", "猫王"]


@pytest.mark.parametrize("seed", range(40))
def test_a_lesson_s_english_names_all_its_things_and_strange_names_as_they_were_typed(seed: int) -> None:
    made = exercise(np.random.default_rng(seed), Choice(strange=0.5))
    assert found(made.english, made.names)
    for name in made.names:
        assert name in world.names() or name.casefold() in made.prompt.casefold()


def test_examinations_are_in_forms_that_no_training_has() -> None:
    for dialect in (translating.CHINESE, translating.SPANISH):
        assert not set(dialect.held) & set(dialect.openings)
    rng = np.random.default_rng(0)
    beginnings = [form.split("{}")[0] for d in (translating.CHINESE, translating.SPANISH) for form in d.held]
    asked = [exercise(rng, Choice(held=True)).prompt for _ in range(20)]
    folded = [translating.traditional(unaccented(begin)).lower() for begin in beginnings]
    assert all(
        any(part in translating.traditional(unaccented(text)).lower() for part in folded) for text in asked
    )


def test_a_look_up_forgives_a_letter_and_no_other_thing() -> None:
    assert found(
        "two red boxes, a bow and arrow and a zorblax on a blue background",
        ("box", "bow and arrow", "zorblax"),
    )
    assert found("a hedgehg", ("hedgehog",))
    assert not found("a cat", ("bat",))
    assert not found("a cat and a dog", ("cat",))
    assert not found("a zorblux zam", ("zorblax",))


def test_a_deepened_model_begins_as_what_it_was() -> None:
    torch.manual_seed(0)
    model = llm.build().eval()
    tokens = torch.arange(10, 40)[None]
    with torch.no_grad():
        before, after = (each(input_ids=tokens).logits for each in (model, llm.deepened(model).eval()))
    assert torch.allclose(before, after, atol=1e-5)
