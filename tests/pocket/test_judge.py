"""The independent judge on true scenes, spoilt scenes and smears, and on the other style's loader."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from imgrag.errors import LibraryError
from imgrag.pocket.judge import SLOTS, Judge, bundled, ground
from imgrag.pocket.world import twemoji, world

COLOURS = list(world.COLOURS)
NAMES = world.names()
PAIRS = [(NAMES[i], NAMES[(i + 191) % len(NAMES)]) for i in range(0, len(NAMES), 40)]


def spoilt(image: Image.Image, seed: int) -> Image.Image:
    """Blurred, then noisy: worse than what the generator draws."""
    blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)), np.float32)
    noise = np.random.default_rng(seed).normal(0, 8, blurred.shape)
    return Image.fromarray(np.clip(blurred + noise, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("spoil", [False, True], ids=["true", "spoilt"])
def test_both_objects_of_a_scene_come_first_in_their_slots(spoil):
    judge = bundled()
    for number, (left, right) in enumerate(PAIRS):
        scene = world.scene_image((left, right), COLOURS[number % len(COLOURS)])
        image = spoilt(scene, number) if spoil else scene
        assert judge.rank(image, "left")[0] == left
        assert judge.rank(image, "right")[0] == right
        assert judge.present(image, left)
        assert judge.present(image, right)
        assert not judge.present(image, NAMES[NAMES.index(left) - 5])


def test_an_object_alone_is_found_in_the_middle_and_its_scene_holds_nothing_else():
    judge = bundled()
    for number, name in enumerate(NAMES[::40]):
        image = world.scene_image((name,), COLOURS[number % len(COLOURS)])
        assert judge.rank(image, "middle")[0] == name
        assert judge.objects(image) == {name}


def test_both_objects_of_a_pair_are_named():
    for number, pair in enumerate(PAIRS):
        assert bundled().objects(world.scene_image(pair, COLOURS[-1 - number % len(COLOURS)])) == set(pair)


@pytest.mark.parametrize("by", [(2, 0), (-2, 1), (1, -2)])
def test_an_object_two_pixels_off_its_slot_is_found(by):
    image = world.scene_image(("dog", "toolbox"), "blue")
    moved = Image.fromarray(np.roll(np.asarray(image), by, (0, 1)))
    assert bundled().objects(moved) == {"dog", "toolbox"}


@pytest.mark.parametrize("scale", [0.9, 1.1])
def test_an_object_a_tenth_smaller_or_larger_is_found(scale):
    image = Image.new("RGB", (64, 64), world.COLOURS["green"])
    icon = Image.open(world.LIBRARY / "octopus.png").convert("RGBA")
    size = round(32 * scale)
    icon = icon.resize((size, size), Image.Resampling.BICUBIC)
    image.paste(icon, (32 - size // 2, 32 - size // 2), icon)
    assert bundled().objects(image) == {"octopus"}


def test_a_pale_picture_is_recognised_all_the_same():
    background = Image.new("RGB", (64, 64), world.COLOURS["yellow"])
    image = Image.blend(background, world.scene_image(("car", "kite"), "yellow"), 0.5)
    assert bundled().objects(image) == {"car", "kite"}


def test_smears_have_no_name_and_are_not_taken_for_what_was_asked():
    rng, slots = np.random.default_rng(3), world.icon_slots()
    named = taken = 0
    for number in range(30):
        mixed = torch.zeros(4, 32, 32)  # sixteen patches of sixteen icons
        for patch, icon in enumerate(rng.choice(len(slots), 16, replace=False)):
            y, x = divmod(patch, 4)
            mixed[:, y * 8 : y * 8 + 8, x * 8 : x * 8 + 8] = slots[icon][
                :, y * 8 : y * 8 + 8, x * 8 : x * 8 + 8
            ]
        colour = world.colour_values()[number % len(COLOURS)][None]
        scene = world.compose(mixed[None], mixed[None], torch.tensor([False]), colour)[0]
        image = world.to_image(scene)
        named += bool(bundled().objects(image))
        taken += bundled().present(image, NAMES[number * 17])
    assert named <= 2
    assert taken <= 1


def test_an_empty_scene_holds_nothing():
    for colour in world.COLOURS.values():
        assert bundled().objects(Image.new("RGB", (64, 64), colour)) == set()


def test_a_picture_of_another_size_is_brought_to_the_scene_s():
    image = world.scene_image(("cat", "pretzel"), "white").resize((256, 256), Image.Resampling.NEAREST)
    assert bundled().objects(image) == {"cat", "pretzel"}


def test_scores_are_cosines_by_slot_and_picture():
    scores = bundled().scores(world.scene_image(("cat", "taco"), "red"))
    assert scores.shape == (len(SLOTS), len(NAMES))
    assert float(scores.max()) == pytest.approx(1, abs=1e-3)
    assert float(scores.min()) >= -1


def test_a_judge_knows_pictures_that_are_added():
    toolbox = Image.open(world.LIBRARY / "toolbox.png").convert("RGBA")
    red, green, blue, alpha = toolbox.split()
    mine = Image.merge("RGBA", (blue, red, green, alpha))
    judge = Judge([toolbox, mine], ["toolbox", "zorblax"])
    image = Image.new("RGB", (64, 64), world.COLOURS["white"])
    small = mine.resize((32, 32), Image.Resampling.BICUBIC)
    image.paste(small, (16, 16), small)
    assert judge.objects(image) == {"zorblax"}


def test_names_and_pictures_must_agree():
    picture = Image.new("RGBA", (32, 32), "red")
    with pytest.raises(ValueError, match="2 pictures but 1 names"):
        Judge([picture, picture], ["one"])
    with pytest.raises(ValueError, match="only 1 differ"):
        Judge([picture, picture], ["one", "one"])
    with pytest.raises(ValueError):
        bundled().present(Image.new("RGB", (64, 64)), "no such thing")


def packed(folder, leave_out=""):
    """An archive as npm packs it, with a two-coloured picture for every name but one."""
    with tarfile.open(folder / twemoji.PACKAGE.archive, "w:gz") as archive:
        for number, icon in enumerate(world.icons()):
            if icon.name == leave_out:
                continue
            picture = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
            picture.paste((number % 256, 90, 30, 255), (8, 24, 56, 40))
            content = io.BytesIO()
            picture.save(content, "PNG")
            member = tarfile.TarInfo(f"{twemoji.INSIDE}/{icon.codepoints}.png")
            member.size = len(content.getvalue())
            archive.addfile(member, io.BytesIO(content.getvalue()))


def test_the_other_style_comes_trimmed_centred_and_complete(tmp_path):
    packed(tmp_path)
    pictures = twemoji.pictures(tmp_path)
    assert tuple(pictures) == NAMES
    assert {picture.size for picture in pictures.values()} == {(128, 128)}
    assert pictures["dog"].getbbox() == (4, 44, 124, 84)
    assert not list(tmp_path.glob("*.partial"))


def test_a_name_without_a_picture_is_said(tmp_path):
    packed(tmp_path, leave_out="dog")
    with pytest.raises(LibraryError, match="no picture of 'dog'"):
        twemoji.pictures(tmp_path)


def test_without_npm_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LibraryError, match="Node"):
        twemoji.fetch(tmp_path / "pictures")


def test_what_is_nearest_but_far_is_absent():
    """Halfway between two things one of them still comes first, and neither is there."""
    judge = bundled()
    scenes = [world.scene_image((name,), "white") for name in ("dog", "fire extinguisher")]
    halfway = Image.blend(*scenes, 0.48)
    assert judge.rank(halfway, "middle")[0] == "dog"
    assert judge.present(scenes[0], "dog")
    assert not judge.present(halfway, "dog")
    assert judge.present(Image.blend(*scenes, 0.2), "dog")


def test_each_slot_tells_what_it_shows():
    assert bundled().shown(world.scene_image(("owl", "owl"), "blue"))[:2] == ("owl", "owl")
    assert bundled().shown(world.scene_image(("taco",), "blue"))[2] == "taco"
    assert bundled().shown(Image.new("RGB", (64, 64), world.COLOURS["red"])) == ("", "", "")


@pytest.mark.parametrize("colour", COLOURS)
def test_the_ground_is_told_by_its_name(colour):
    assert ground(spoilt(world.scene_image(("dog", "castle"), colour), 1)) == colour
