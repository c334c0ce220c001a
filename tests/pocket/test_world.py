"""The pocket world: its list, its scenes, its sentences, its latents."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from imgrag.pocket.world import world
from imgrag.pocket.world.latents import VARIANCE, projection, random_scenes
from imgrag.pocket.world.words import ABSTRACT, nonce_word


def test_the_three_sets_are_disjoint_and_large_enough() -> None:
    sizes = {name: len(world.indices(name)) for name in ("known", "shown", "unseen")}
    assert sizes["known"] >= 100
    assert sizes["shown"] >= 400
    assert sizes["unseen"] >= 40
    assert sum(sizes.values()) == len(world.icons()) == len(set(world.names()))


def test_every_concept_has_a_square_picture_with_source_and_licence() -> None:
    for icon in world.icons():
        with Image.open(world.LIBRARY / icon.file_name) as picture:
            assert picture.size == (128, 128)
        assert icon.source and icon.licence and icon.category


def test_a_scene_has_its_objects_in_their_slots() -> None:
    pair = np.asarray(world.scene_image(("dog", "toolbox"), "blue"))
    assert pair.shape == (64, 64, 3)
    assert (pair[0, 0] == world.COLOURS["blue"]).all()
    assert pair[16:48, :32].std() > 10 < pair[16:48, 32:].std()
    single = np.asarray(world.scene_image(("owl",), "white")).astype(int)
    assert single[16:48, 16:48].std() > 10
    assert np.ptp(single[:, :16]) == 0


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        world.scene_image(("zorblax",), "blue")


def test_a_sentence_names_its_objects_and_only_a_given_colour() -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        text = world.sentence(("dog", "fire extinguisher"), "green" if seed % 2 else None, rng)
        assert "dog" in text and "fire extinguisher" in text
        assert ("green background" in text) == bool(seed % 2)


def test_the_projection_inverts_itself_at_the_variance_it_says() -> None:
    scenes = random_scenes(64, np.random.default_rng(0), world.indices("known"))
    latents = projection().encode(scenes)
    assert latents.shape == (64, 32, 8, 8)
    assert abs(latents.var().item() - VARIANCE) < 0.1
    again = projection().encode(projection().decode(latents))
    assert torch.allclose(again, latents, atol=1e-3)


def test_invented_words_are_mostly_new_and_never_of_the_world() -> None:
    rng = np.random.default_rng(0)
    words = [nonce_word(rng) for _ in range(500)]
    assert len(set(words)) > 400
    assert all(word.isalpha() and len(word) > 2 for word in words)


def test_no_concept_of_the_world_is_an_abstract_noun() -> None:
    assert not set(ABSTRACT) & set(world.names())
