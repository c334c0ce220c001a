"""Profiles: what ships opens, and what makes no sense is told in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgrag.errors import ProfileError
from imgrag.models.profile import FOLDER, Profile, load_profile, profile_names

POCKET = (FOLDER / "pocket.toml").read_text(encoding="utf-8")


def edited(folder: Path, old: str, new: str) -> Path:
    """The pocket profile with one passage changed."""
    assert POCKET.count(old) == 1
    path = folder / "mine.toml"
    path.write_text(POCKET.replace(old, new), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_that_ships_opens(name: str) -> None:
    profile = load_profile(name)
    assert isinstance(profile, Profile) and profile.name == name and profile.title


def test_both_profiles_ship() -> None:
    assert {"pocket", "sdxl"} <= set(profile_names())


def test_the_sdxl_profile_says_what_the_paper_says() -> None:
    profile = load_profile("sdxl")
    assert (profile.adapter.scale, profile.generator.steps, profile.retrieval.similarity_floor) == (
        0.5,
        50,
        0.26,
    )
    assert (profile.vlm.min_pixels, profile.vlm.max_pixels) == (256 * 28 * 28, 1280 * 28 * 28)
    assert profile.vlm.fallback is not None and profile.vlm.fallback.hub == "Qwen/Qwen2.5-VL-3B-Instruct"
    assert profile.llm.checkpoint.needs == ("optimum", "gptqmodel")


def test_no_profile_fetches_a_pickle() -> None:
    for name in profile_names():
        profile = load_profile(name)
        for role in (profile.generator, profile.adapter, profile.vlm, profile.llm):
            for pattern in role.checkpoint.files:
                assert not pattern.endswith((".bin", ".ckpt", ".pt", ".pth", ".msgpack"))
                assert pattern not in ("*", "**")


def test_a_profile_of_ones_own_is_named_after_its_file(tmp_path: Path) -> None:
    profile = load_profile(edited(tmp_path, "steps = 16", "steps = 8"))
    assert profile.name == "mine" and profile.generator.steps == 8


def test_what_a_profile_leaves_open_about_guiding(tmp_path: Path) -> None:
    plain = load_profile(edited(tmp_path, 'several = "one"', "")).adapter
    assert (plain.scale, plain.guided_share, plain.several) == (1.0, 1.0, "one")
    each = load_profile(edited(tmp_path, 'several = "one"', 'several = "each"')).adapter
    assert each.several == "each"
    path = edited(tmp_path, "scale = 1.0\n", "guided_share = 0.5\n")
    assert load_profile(path).adapter.guided_share == 0.5


def test_whole_numbers_serve_as_fractions(tmp_path: Path) -> None:
    profile = load_profile(edited(tmp_path, "guidance_scale = 2.0", "guidance_scale = 3"))
    assert profile.generator.guidance_scale == 3.0 and isinstance(profile.generator.guidance_scale, float)


def test_an_unknown_profile_is_told_with_the_known_ones() -> None:
    with pytest.raises(ProfileError, match=r"no profile 'huge'. Choose one of pocket, sdxl"):
        load_profile("huge")


BIG = "9" * 400


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("steps = 16", "stepps = 16", "unknown key 'generator.stepps'"),
        ("steps = 16", "", "lacks the key 'generator.steps'"),
        ("steps = 16", "steps = true", "'generator.steps' is True, not of type int"),
        ("steps = 16", "steps = 0", "generator.steps is 0"),
        ("size = 64", "size = 65", "not a multiple of 8"),
        ("scale = 1.0\n", "guided_share = 1.2\n", "adapter.guided_share is 1.2, not from 0 to 1"),
        ("scale = 1.0\n", "guided_share = -1\n", "adapter.guided_share is -1.0, not from 0 to 1"),
        ('several = "one"', 'several = "both"', "adapter.several is 'both', none of one, each"),
        ('background = "magenta"', 'background = "magentish"', "adapter.background 'magentish' is no colour"),
        ('part_ground = "white"', 'part_ground = "whitish"', "captions.part_ground 'whitish' is no colour"),
        ('several = "one"', "several = 2", "'adapter.several' is 2, not of type str"),
        ('weight_name = "ip-adapter.safetensors"', 'weight_name = "ip-adapter.bin"', "no safetensors"),
        ('{ local = "assets/pocket/vlm" }', '{ revision = "main" }', "neither a local folder nor a hub"),
        ("similarity_floor = 0.4", "similarity_floor = 2", "similarity_floor is 2.0, not from -1 to 1"),
        ("max_concepts = 2", "max_concepts = 4", "not from 1 to 3"),
        ("min_pixels = 12544", "min_pixels = 99999", "vlm.min_pixels is 99999"),
        ("of {concepts}, generate {prompt}", "of {concept}, generate {prompt}", "must hold {prompt}"),
        ('title = "Pocket"', "title = ", "mine.toml cannot be used"),
        ("steps = 16", f"steps = {BIG}", "generator.steps is 1e400, not from 1 to 150"),
        ("steps = 16", f"steps = {BIG * 20}", "mine.toml cannot be used"),
        ('when = "unknown"', 'when = "maybe"', "knowledge.when is 'maybe', none of off, on, unknown"),
        ("k = 3", "k = 11", "knowledge.k is 11, not from 1 to 10"),
        ("alike = 1.0", "alike = 2", "knowledge.alike is 2.0, not from 0 to 1"),
        ("size = 64", f"size = {BIG[:-1]}2", "generator.size is 1e400, not a multiple of 8 up to 4096"),
        ("guidance_scale = 2.0", f"guidance_scale = {BIG}", "'generator.guidance_scale' is 1e400"),
        ("guidance_scale = 2.0", "guidance_scale = nan", "generator.guidance_scale is nan"),
        ("similarity_floor = 0.4", "similarity_floor = 1e999", "similarity_floor is inf"),
        ("max_concepts = 2", f"max_concepts = {BIG}", "max_concepts is 1e400"),
        ("candidates = 8", f"candidates = {BIG}", "candidates is 1e400, not from 1 to 1000"),
        ("min_pixels = 12544", f"min_pixels = {BIG}", "vlm.min_pixels is 1e400"),
        ("steps = 16", f"steps = {'[' * 5000}", "mine.toml cannot be used"),
    ],
)
def test_a_profile_that_makes_no_sense_is_told_so(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(ProfileError) as error:
        load_profile(edited(tmp_path, old, new))
    assert told in str(error.value)
    assert str(tmp_path) not in str(error.value)
