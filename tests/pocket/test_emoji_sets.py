"""Pictures by other hands: found by their names, never an unseen icon's among the strangers."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from imgrag.errors import LibraryError
from imgrag.pocket.recipes import clip, inventions
from imgrag.pocket.world import emoji_sets, npm, signs, styles, world
from imgrag.pocket.world.emoji_sets import NAMED_BY_UNICODE, STRANGER, EmojiSet

OTHER = EmojiSet("other-hand", "1.0.0", "nobody", "CC0-1.0")
SQUARE = '<path fill="{}" d="M4 8h24v16H4z"/>'


def packed(folder: Path, emoji: EmojiSet, content: dict, chars: dict) -> None:
    """An archive as npm packs one of Iconify's sets."""
    archive = folder / emoji.name / npm.Package(f"@iconify-json/{emoji.name}", emoji.version).archive
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:gz") as package:
        for name, text in (("icons.json", json.dumps(content)), ("chars.json", json.dumps(chars))):
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(text)
            package.addfile(member, io.BytesIO(text.encode()))


def place(name: str) -> int:
    return world.names().index(name)


@pytest.fixture
def two_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A set that draws a few icons red, and one that calls things by Unicode's old names."""
    chars = {icon.codepoints: icon.name.replace(" ", "-") for icon in world.icons()}
    chars["1f6a9"] = "triangular-flag"
    red = {name: {"body": SQUARE.format("red")} for name in ("dog", "owl", "hedgehog", "triangular-flag")}
    packed(tmp_path, NAMED_BY_UNICODE, {"icons": red, "width": 32, "height": 32}, chars)
    older = {
        "dogface": {"body": SQUARE.format("blue")},
        "cactus-2": {"body": SQUARE.format("lime")},
        "ring-cake": {"body": SQUARE.format("navy")},
        "some-sign": {"body": SQUARE.format("black"), "width": 64},
        "cactus-with-a-hat": {"body": SQUARE.format("black")},
        "person-dark-skin-tone": {"body": SQUARE.format("black")},
        "nothing": {"body": ""},
        "triangular-flag-on-post": {"body": SQUARE.format("black")},
    }
    aliases = {"doughnut": {"parent": "ring-cake"}, "cat-face": {"parent": "some-sign", "hFlip": True}}
    packed(tmp_path, OTHER, {"icons": older, "aliases": aliases, "width": 32, "height": 32}, {})
    monkeypatch.setattr(emoji_sets, "FOLDER", tmp_path)
    monkeypatch.setattr(emoji_sets, "SETS", (NAMED_BY_UNICODE, OTHER))
    caches = (
        emoji_sets.named, emoji_sets.strangers, emoji_sets.strange_things, emoji_sets._names_by_codes,
        inventions.galleries,
    )  # fmt: skip
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.mark.usefixtures("two_sets")
def test_a_set_s_pictures_are_found_by_unicode_s_name_a_number_and_an_alias() -> None:
    gallery = emoji_sets.named(32)
    others = {int(icon): gallery.pictures[row] for row, icon in enumerate(gallery.shows) if row >= 3}
    assert set(others) == {place("dog"), place("cactus"), place("donut")}
    assert others[place("dog")][:, 16, 16].tolist() == [0, 0, 255, 255]
    assert len(gallery.rows_of(place("dog"))) == 2 and len(gallery.rows_of(place("owl"))) == 1


@pytest.mark.usefixtures("two_sets")
def test_strangers_are_no_icon_and_hold_no_unseen_one() -> None:
    strangers = emoji_sets.strangers(32)
    # Two flags and the sign: a cactus with a hat shows a cactus.
    assert strangers.shows.tolist() == [STRANGER] * 3
    picture = strangers.pick(1)
    assert picture.dtype == torch.float32 and picture[3, 16, 16] == 1 and picture[3, 0, 0] == 0


@pytest.mark.usefixtures("two_sets")
def test_what_is_copied_shows_no_unseen_icon() -> None:
    icons, strangers = inventions.galleries()
    assert set(icons.shows) == {place("dog"), place("owl")} and len(strangers.shows) == 3
    assert inventions.gather(5, np.random.default_rng(0)).shape == (5, 4, 32, 32)


@pytest.mark.usefixtures("two_sets")
def test_clip_sees_things_as_other_hands_draw_them() -> None:
    rows = [clip.Scene(place("owl"), -1)] * 40
    seen = clip.views(rows, np.random.default_rng(0), clip.Mix(restyled=0.0, other=1.0))
    red, blue = seen[:, 0, 32, 32].mean(), seen[:, 2, 32, 32].mean()
    assert red > blue + 2  # the owl is red in this set, in CLIP's normalised units


@pytest.mark.usefixtures("two_sets")
def test_a_strange_thing_is_known_by_its_code_points_whatever_a_set_calls_it() -> None:
    things = emoji_sets.strange_things(32)
    assert things.shows.tolist() == [0, 0]  # the sign is drawn once only
    assert things.pick(0)[:, 16, 16].tolist() == [1, 0, 0, 1] and things.pick(1)[:3, 16, 16].eq(0).all()


@pytest.mark.usefixtures("two_sets")
def test_clip_s_eyes_learn_strange_things_too() -> None:
    rows = [clip.Scene(len(world.names()), -1)] * 40
    seen = clip.views(rows, np.random.default_rng(0), clip.Mix(restyled=0.0))
    red = seen[:, 0, 32, 32] - seen[:, 2, 32, 32]
    assert (red > 2).any() and (red.abs() < 0.5).any()  # the red flag and the black one
    torch.manual_seed(0)
    model, table = clip.build(), torch.nn.Linear(128, len(world.names()) + 1, bias=False)
    mix = clip.Mix(restyled=0.0)
    loss = clip.looking_loss(model.visual, table, np.random.default_rng(0), mix, torch.device("cpu"))
    loss.backward()
    assert loss > 1 and table.weight.grad[-1].abs().sum() > 0
    assert all(parameter.grad is not None for parameter in model.visual.parameters())
    assert all(parameter.grad is None for parameter in model.transformer.parameters())


def test_the_style_of_the_bench_is_in_no_training() -> None:
    assert not any("twemoji" in emoji.name or "twitter" in emoji.author.lower() for emoji in emoji_sets.SETS)
    assert {emoji.licence for emoji in emoji_sets.SETS} <= {"MIT", "Apache-2.0", "CC-BY-4.0"}


def test_without_what_reads_svg_the_message_says_what_to_install(
    two_sets: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(LibraryError, match=r"pip install -r imgrag/pocket/requirements\.txt"):
        emoji_sets.named(32)


@pytest.fixture
def one_sign(tmp_path: Path, two_sets: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A set of signs: a ring called a dog twice over, and what only an icon set calls a bat."""
    ring = '<path fill="none" stroke="currentColor" stroke-width="3" d="M6 6h20v20H6z"/>'
    drawn = {name: {"body": ring} for name in ("dog", "dog-outline-2", "bat", "gear-shift")}
    glyphs = EmojiSet("glyphs", "1.0.0", "nobody", "CC0-1.0")
    packed(tmp_path, glyphs, {"icons": drawn, "width": 32, "height": 32}, {})
    monkeypatch.setattr(signs, "SIGNS", (glyphs,))
    signs.signs.cache_clear()


def test_signs_are_known_by_their_names_and_coloured_by_chance(one_sign: None) -> None:
    found = signs.signs(64)
    assert found.shows.tolist() == [place("dog")] * 2, "a bat of an icon set may be one of sports"
    hole = (32, 32)
    assert found.ink[0][hole] == 0 and found.body[0][hole] == 255, "the ring's hole belongs to its body"
    assert found.body[0][0, 0] == 0, "what is around it does not"
    rng = np.random.default_rng(0)
    holes = {float(found.another(place("dog"), rng)[3][hole]) for _ in range(40)}
    assert holes == {0.0, 1.0}, "some are filled and some are lines"
    signs.signs.cache_clear()


def test_lines_are_drawn_where_colours_change() -> None:
    picture = torch.zeros(1, 4, 64, 64)
    picture[:, :, 16:48, 16:48] = torch.tensor([1.0, 0.2, 0.2, 1.0])[None, :, None, None]
    inked = styles.ink(picture.expand(20, -1, -1, -1), np.random.default_rng(0))
    assert (inked[:, :3, 16, 32] <= 0.35).all(), "dark at the edge"
    assert (inked[:, :3, 32, 32].amax(1) > 0.5).all(), "bright within"
    assert (inked[:, 3, 2, 2] == 0).all(), "nothing outside"


def test_a_deeper_clip_begins_as_the_one_it_was_made_of() -> None:
    torch.manual_seed(0)
    shallow = clip.build().float().eval()
    pictures = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        deep = clip.deeper(shallow).eval()
        assert torch.allclose(deep.encode_image(pictures), shallow.encode_image(pictures), atol=1e-4)
    assert len(list(deep.parameters())) > len(list(shallow.parameters()))
