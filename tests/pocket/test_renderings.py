"""The six renderings: of the size of a slot, told apart, and with what a style is learnt from."""

from __future__ import annotations

import csv

import pytest
import torch
from PIL import Image

from imgrag.pocket.judge import Judge
from imgrag.pocket.recipes import styles
from imgrag.pocket.world import world
from imgrag.pocket.world.renderings import RENDERINGS, rendered_pictures, rendered_scenes, rendered_slots


@pytest.mark.parametrize("style", RENDERINGS)
def test_a_rendering_has_premultiplied_slots_that_its_judge_tells_apart(style):
    slots = rendered_slots(style)
    assert slots.shape == (len(world.icons()), 4, 32, 32)
    assert slots.min() >= 0 and slots.max() <= 1
    assert (slots[:, :3] <= slots[:, 3:] + 1e-6).all()
    dog, owl = (torch.tensor([world.names().index(name)]) for name in ("dog", "owl"))
    scene = rendered_scenes(style, dog, owl, torch.tensor([True]), world.colour_values()[6:7])[0]
    judge = Judge(rendered_pictures(style), world.names())
    assert judge.shown(world.to_image(scene))[:2] == ("dog", "owl")


def test_the_scenes_that_a_style_is_learnt_from_name_no_unseen_icon():
    unseen = set(world.indices("unseen").tolist())
    assert not unseen.intersection(place for scene in styles.scenes(60, 60) for place in scene.objects)


def test_what_is_written_has_a_caption_and_where_a_thing_is_shown_its_reference(tmp_path):
    styles.write(tmp_path, styles.scenes(2, 2), "woodcut")
    with (tmp_path / "metadata.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["reference"]) for row in rows] == [False, False, True, True]
    assert all(row["caption"] and (tmp_path / row["reference"]).exists() for row in rows)
    assert Image.open(tmp_path / rows[0]["file_name"]).size == (64, 64)
