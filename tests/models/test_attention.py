"""A watch sees where words and pictures act, and leaves the image as it would be without."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from imgrag.models import Guide
from imgrag.models.attention import Watch, crossings
from imgrag.models.profile import load_profile
from imgrag.models.roles import load_roles
from imgrag.pocket.world import world
from imgrag.runs.values import WHOLE, Box
from tests.fakes import tile
from tests.models.test_lora import BUILD

STEPS = 3


@pytest.fixture(scope="module")
def generator():
    return load_roles(load_profile("pocket"), "cpu")["generator"].load()


def drawn(generator, watch=None, seeds=(3,), **options):
    settings = {"negative_prompt": "", "seeds": seeds, "steps": STEPS, "guidance_scale": 2.0}
    return generator.draw("a dog and a toolbox", **{**settings, **options}, watch=watch)


def guide(name, region=None):
    picture = Image.open(world.LIBRARY / f"{name}.png").convert("RGBA")
    return Guide(picture, 1.0) if region is None else Guide(picture, 1.0, region)


def same(one, other):
    return np.array_equal(np.asarray(one), np.asarray(other))


def test_watching_changes_no_pixel_and_leaves_no_hook(generator):
    watch = Watch()
    assert same(*drawn(generator, watch), *drawn(generator))
    assert len(watch.frames) == STEPS
    assert watch.maps("words").shape == (STEPS, 32, 8, 8)
    assert np.allclose(watch.maps("words").sum(axis=1), 1, atol=1e-4)
    assert watch.maps("pictures") is None
    assert not any(layer._forward_hooks for layer in crossings(generator._pipe.unet))


def test_words_know_their_tokens(generator):
    watch = Watch()
    drawn(generator, watch)
    assert [word.text for word in watch.words] == ["a", "dog", "and", "a", "toolbox"]
    assert [list(word.tokens) for word in watch.words] == [[1], [2], [3], [4], [5]]


def test_pictures_act_where_their_masks_let_them(generator):
    halves = Box(right=0.5), Box(left=0.5)
    guides = [guide("toolbox", halves[1]), guide("guitar", halves[0])]
    watch = Watch()
    assert same(*drawn(generator, watch, guides=guides), *drawn(generator, guides=guides))
    toolbox, guitar = watch.maps("pictures").mean(axis=0)
    assert toolbox[:, 5:].sum() > 5 * toolbox[:, :3].sum()
    assert guitar[:, :3].sum() > 5 * guitar[:, 5:].sum()


def test_an_adapter_that_is_silent_shows_nothing_and_one_of_several_images_can_be_watched(generator):
    watch = Watch(index=1)
    images = drawn(generator, watch, guides=[guide("toolbox")], guided_share=0.34, seeds=(3, 4))
    pictures = watch.maps("pictures")
    assert pictures[0].min() > 0
    assert not pictures[1:].any()
    alone = Watch()
    drawn(generator, alone, guides=[guide("toolbox")], guided_share=0.34, seeds=(4,))
    assert np.allclose(watch.maps("words"), alone.maps("words"), atol=1e-3)
    assert len(images) == 2


def test_a_generator_without_a_u_net_shows_its_film_alone():
    assert crossings(None) == []
    assert crossings(object()) == []


@pytest.fixture(scope="module", params=[*BUILD])
def tiny_one(request, tmp_path_factory):
    return load_roles(BUILD[request.param](tmp_path_factory.mktemp("cast")))["generator"].load()


@pytest.mark.parametrize("halves", [(WHOLE, WHOLE), (Box(right=0.5), Box(left=0.5))], ids=["whole", "halves"])
def test_the_big_classes_are_watched_likewise(tiny_one, halves):
    guides = [Guide(tile(name, 64), 0.7, half) for name, half in zip(("dog", "owl"), halves, strict=True)]
    watch = Watch()
    watched, plain = drawn(tiny_one, watch, guides=guides), drawn(tiny_one, guides=guides)
    assert same(*watched, *plain)
    words, pictures = watch.maps("words"), watch.maps("pictures")
    assert np.allclose(words.sum(axis=1), 1, atol=1e-3)
    assert pictures.shape[:2] == (STEPS, 2)
    assert (pictures.sum(axis=(0, 2, 3)) > 0).all()
    if halves[0] != WHOLE:
        width = pictures.shape[-1] // 2
        assert pictures[:, 0, :, :width].sum() > pictures[:, 0, :, width:].sum()
    texts = [word.text for word in watch.words]
    assert texts == ["a", "dog", "and", "a", "toolbox"]
    ends = [word.tokens.stop for word in watch.words]
    assert [word.tokens.start for word in watch.words] == [1, *ends[:-1]]
