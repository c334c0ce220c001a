"""Where things stand: places that no lesson had, squares on the grid, boxes, and what is recognised in them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from imgrag.bench.fidelity import rows
from imgrag.bench.fidelity.sketching import sketched
from imgrag.bench.fidelity.structuring import BARS
from imgrag.models.conditions import condition_of
from imgrag.pocket.judge import bundled
from imgrag.pocket.standing import boxes, moved, overlap, recognised, square
from imgrag.pocket.world import world
from imgrag.pocket.world.placing import (
    GRID,
    SNAPPED,
    Place,
    is_held_out,
    is_taught,
    layer,
    places,
    sketches,
    snapped,
)


def scene(names: tuple[str, ...], where: tuple[Place, ...], colour: str = "blue") -> Image.Image:
    every = list(world.names())
    pictures = world.icon_slots(2 * world.SLOT)[[every.index(name) for name in names]]
    ground = world.colour_values()[[list(world.COLOURS).index(colour)]]
    return world.to_image(world.over(layer(pictures, where).sum(0, keepdim=True), ground)[0])


@pytest.mark.parametrize("two", [False, True])
def test_places_lie_in_the_scene_do_not_touch_and_no_lesson_has_one_of_the_bench(two: bool) -> None:
    rng = np.random.default_rng(0)
    taught = [place for _ in range(200) for place in places(rng, two, is_taught)]
    measured = [where for _ in range(200) for where in [places(rng, two, is_held_out)]]
    asked = [place for where in measured for place in where]
    for place in (*taught, *asked):
        assert place.left >= 0 and place.top >= 0 and place.left + place.side <= world.SCENE
        assert place.top + place.side <= world.SCENE
    assert not {place.side for place in taught} & {place.side for place in asked}
    assert not {place.left for place in taught} & {place.left for place in asked}
    assert not {place.top for place in taught} & {place.top for place in asked}
    if two:
        for one, other in measured:
            assert one.left + one.side <= other.left or one.top + one.side <= other.top


@pytest.mark.parametrize("two", [False, True])
def test_the_nearest_squares_lie_on_the_grid_apart_and_half_upon_what_was_drawn(two: bool) -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        where = places(rng, two, is_held_out)
        near = [snapped(place) for place in where]
        for place, other in zip(where, near, strict=True):
            assert other.side in SNAPPED and other.left % GRID == 0 and other.top % GRID == 0
            box = (place.left, place.top, place.left + place.side, place.top + place.side)
            again = (other.left, other.top, other.left + other.side, other.top + other.side)
            assert overlap(box, again) > 0.4
        if two:
            one, other = near
            assert one.left + one.side <= other.left or one.top + one.side <= other.top


def test_the_boxes_of_two_things_are_told_apart_and_an_empty_scene_has_none() -> None:
    where = (Place(1, 4, 25), Place(34, 31, 27))
    first, second = boxes(scene(("dog", "cat"), where), where)
    assert first is not None and second is not None
    for box, place in ((first, where[0]), (second, where[1])):
        square_of = (place.left, place.top, place.left + place.side, place.top + place.side)
        assert overlap(box, square_of) > 0.6
    assert boxes(Image.new("RGB", (64, 64), "blue"), where) == [None, None]
    assert overlap(first, None) == 0.0 and overlap(first, first) == 1.0 and overlap(first, second) == 0.0


@pytest.mark.parametrize("now", [Place(4, 10, 21), Place(0, 0, 24), Place(20, 7, 43), Place(24, 24, 40)])
def test_a_thing_is_recognised_where_it_stands_at_any_size_and_another_is_not(now: Place) -> None:
    judge, drawn = bundled(), Place(7, 10, 31)
    wanted, found = (
        boxes(scene(("dog",), (drawn,)), (drawn,)),
        boxes(image := scene(("dog",), (now,)), (now,)),
    )
    assert wanted[0] is not None and found[0] is not None
    where = moved(drawn, wanted[0], found[0])
    assert where == pytest.approx(square(now), abs=2)
    assert recognised(image, where, "dog", judge) and not recognised(image, where, "cat", judge)
    assert recognised(image, square(now), "dog", judge)
    away = (now.left + now.side, now.top + now.side, now.side)
    assert not recognised(image, away, "dog", judge)


def test_a_square_that_reaches_beyond_the_scene_shows_ground_there() -> None:
    place = Place(0, 0, 32)
    image = scene(("owl",), (place,), "green")
    assert recognised(image, (-2.0, -2.0, 36.0), "owl", bundled())
    assert not recognised(image, (-900.0, 300.0, 500.0), "owl", bundled())


def test_a_sketch_is_white_on_black_near_the_things_outline_and_differs_by_the_hand() -> None:
    rng = np.random.default_rng(2)
    rows_of = world.indices("known")[:12]
    where = [Place(9, 15, 33)] * 12
    fine = layer(world.icon_slots(2 * world.SLOT)[rows_of], where, 2)
    lines = sketches(fine, rng)
    assert lines.shape == (12, 1, 64, 64) and set(lines.unique().tolist()) == {0.0, 1.0}
    shares = lines.flatten(1).mean(1)
    assert (shares > 0.005).all() and (shares < 0.25).all()
    assert lines[:, :, :12].sum() == 0 and lines[:, :, :, 46:].sum() == 0
    assert not torch.equal(lines, sketches(fine, rng))


def test_the_bench_asks_for_unseen_things_where_it_says_and_its_sketches_are_read_as_drawn() -> None:
    unseen = {world.names()[row] for row in world.indices("unseen")}
    known, shown = sketched(6, False, 0.5, 0), sketched(6, True, 0.5, 1)
    assert [case.prompt for case in sketched(6, False, 0.5, 0)] == [case.prompt for case in known]
    for case in (*known, *shown):
        assert all(is_held_out(place) for place in case.where)
        assert all(name in case.prompt for name in case.things)
        hidden = [number for number, name in enumerate(case.things) if name in unseen]
        assert hidden == ([] if case.shown is None else [case.shown])
        given = np.asarray(condition_of(case.sketch, "sketch", world.SCENE).convert("L")) > 0
        drawn = np.asarray(case.sketch.resize((64, 64), Image.Resampling.NEAREST).convert("L")) < 128
        assert (given == drawn).mean() > 0.97


def test_one_name_stands_for_all_rows_of_structure() -> None:
    assert rows._rows(["structure"]) == {bar.key for bar in BARS}
