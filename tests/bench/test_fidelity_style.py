"""The eye for styles learns from other icons than it is checked with; one name stands for all rows of styles."""

from __future__ import annotations

from imgrag.bench.fidelity import rows
from imgrag.bench.fidelity.style_eye import STYLES, StyleEye, halves
from imgrag.bench.fidelity.styling import BARS
from imgrag.pocket.world import world


def test_the_eye_learns_from_half_of_the_icons_and_from_no_unseen_one() -> None:
    taught, others = halves()
    assert not set(taught) & {*others, *world.indices("unseen")}
    assert len(taught) + len(others) == len(world.icons())


def test_after_a_few_steps_it_tells_styles_apart_on_icons_it_never_saw() -> None:
    eye = StyleEye(steps=40, checked=70)
    assert eye.accuracy > 0.6
    assert eye.style(world.scene_image(("dog", "owl"), "red")) in STYLES


def test_one_name_stands_for_all_rows_of_styles() -> None:
    assert rows._rows(["style"]) == {bar.key for bar in BARS}
