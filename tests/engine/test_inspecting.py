"""Looking inside draws the same image again, and says where there is nothing to look into."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from imgrag.engine.inspecting import NO_ATTENTION
from imgrag.errors import Cancelled, RequestError
from imgrag.models.attention import Watch
from imgrag.runs import corrections
from imgrag.runs.inside import Inside
from imgrag.runs.values import Request
from tests.fakes import Cast, FakeGenerator, make_pipeline, tile

PROMPT = "a dog and a toolbox"


def looked(pipeline, run, **options):
    *_, last = pipeline.inspect(run, **options)
    assert isinstance(last, Inside)
    return last


class Blind(FakeGenerator):
    """A generator that shows its film and nothing else."""

    def draw(self, prompt, watch=None, **settings):
        images = super().draw(prompt, **settings)
        if watch is not None:
            watch.step(images[0])
        return images


def test_both_images_are_drawn_again_as_they_were(tmp_path):
    pipeline = make_pipeline(tmp_path, Cast())
    run = pipeline(Request(PROMPT))
    for stage in ("initial", "enhanced"):
        seen = looked(pipeline, run, stage=stage)
        assert seen.same
        assert seen.stage == stage
        assert seen.note == ""


def test_words_and_references_have_a_map_each_without_the_profile_s_wording(tmp_path):
    pipeline = make_pipeline(tmp_path, Cast())
    run = pipeline(Request(PROMPT))
    seen = looked(pipeline, run, stage="enhanced")
    assert [(heat.kind, heat.name) for heat in seen.heats] == [
        *(("word", word) for word in PROMPT.split()),
        ("reference", "toolbox"),
    ]
    initial = looked(pipeline, run, stage="initial")
    assert [int(np.argmax(heat.mean)) for heat in initial.heats] == [0, 1, 2, 3, 4]


def test_another_image_is_told_from_the_run_s_own(tmp_path):
    pipeline = make_pipeline(tmp_path, Cast())
    run = pipeline(Request(PROMPT))
    assert not looked(pipeline, replace(run, initial=tile("owl", 16)), stage="initial").same


def test_a_generator_that_shows_nothing_says_so_in_a_sentence(tmp_path):
    cast = Cast()
    cast.generator = Blind()
    pipeline = make_pipeline(tmp_path, cast)
    seen = looked(pipeline, pipeline(Request(PROMPT)), stage="initial")
    assert len(seen.frames) == 1
    assert seen.heats == ()
    assert seen.note == NO_ATTENTION


def test_what_was_not_drawn_here_is_refused(tmp_path):
    pipeline = make_pipeline(tmp_path, Cast())
    run = pipeline(Request("a dog"))
    with pytest.raises(RequestError, match="not drawn yet"):
        looked(pipeline, run, stage="enhanced")
    given = corrections.own_initial(run, tile("owl", 64))
    with pytest.raises(RequestError, match="given"):
        looked(pipeline, given, stage="initial")
    with pytest.raises(RequestError, match="profile 'other'"):
        looked(pipeline, replace(run, profile="other"), stage="initial")


def test_a_look_is_stopped_within_a_step_and_the_pipeline_is_free_again(tmp_path):
    pipeline = make_pipeline(tmp_path, Cast())
    run = pipeline(Request(PROMPT))
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        looked(pipeline, run, stop=stop, stage="initial")
    assert looked(pipeline, run, stage="initial").same


def test_a_watch_stands_for_several_layers_by_their_mean():
    watch = Watch()
    for value in (1.0, 3.0):
        watch.take("words", np.full((2, 4, 4), value))
    watch.step(tile("dog"))
    assert watch.maps("words").tolist() == np.full((1, 2, 4, 4), 2.0).tolist()
    assert watch.maps("pictures") is None
