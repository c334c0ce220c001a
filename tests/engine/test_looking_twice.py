"""Candidates for a reference looked at again before one is taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from imgrag.engine.borrowing import BorrowedEmbedder
from imgrag.engine.ranking import SIDE, Asked, framed, looked_twice, order, sureness
from imgrag.errors import ProfileError, RequestError
from imgrag.models.ranking import RankingProfile
from imgrag.runs.values import Candidate, Concept, Request
from tests.fakes import Cast, FakeEmbedder, FakeJudge, make_library, make_pipeline, tile


class Blurred(FakeEmbedder):
    """Takes everything for about the same thing, so that only a second look can tell."""

    def embed_images(self, images):
        vectors = super().embed_images(images) + 1.0
        return vectors / (vectors**2).sum(1, keepdims=True) ** 0.5


def pipeline_with(folder: Path, *hidden: str, **ranking):
    """A pipeline whose library has these things under names that say nothing."""
    cast = Cast(vlm=FakeJudge(""))
    cast.clip = Blurred()
    pipeline = make_pipeline(folder, cast)
    library = make_library(folder / "hidden")
    for number, name in enumerate(hidden):
        tile(name).save(library / f"{number}.png")
    values = {"words": 1.0, **ranking}
    pipeline.profile = replace(pipeline.profile, ranking=RankingProfile(**values))
    return pipeline, Request("a dog and an owl", steps=2, library=str(library), similarity_floor=-1.0)


def test_the_likeliest_is_taken_and_what_was_sure_stands_in_the_record(tmp_path: Path) -> None:
    pipeline, request = pipeline_with(tmp_path, "cat", "toolbox", "owl")
    run = pipeline(replace(request, look_twice=True))
    (reference,) = run.rounds[0].references
    assert reference.chosen.file == "2.png" and reference.chosen.sure == pytest.approx(0.99)
    assert [one.sure for one in reference.candidates[1:]] == pytest.approx([0.01, 0.01])
    assert run.settings["look_twice"] is True


def test_what_none_of_them_passes_is_no_good_reference(tmp_path: Path) -> None:
    pipeline, request = pipeline_with(tmp_path, "cat", "toolbox")
    run = pipeline(replace(request, look_twice=True))
    assert run.rounds[0].references == ()
    assert run.rounds[0].unfound[0].reason.startswith("no good reference: the likeliest picture, ")
    without = pipeline(replace(request, look_twice=False))
    assert without.rounds[0].references[0].chosen.sure is None


def test_what_is_beyond_the_best_is_neither_opened_nor_taken_but_stays(tmp_path: Path, monkeypatch) -> None:
    pipeline, request = pipeline_with(tmp_path, "cat", "cat", "cat", "owl", best=2)
    opened: list[str] = []
    library = pipeline.library(request.library)
    read = library.open
    monkeypatch.setattr(library, "open", lambda file: (opened.append(file), read(file))[1])
    found = [Candidate(f"{n}.png", 0.9 - n / 10, id=n + 1) for n in range(4)]
    context = SimpleNamespace(
        library=library, ranking=pipeline.profile.ranking, residency=SimpleNamespace(use=pipeline.borrow),
        ranker=pipeline.profile.ranker,
    )  # fmt: skip
    library.index(BorrowedEmbedder(pipeline))
    (tmp_path / "hidden" / "0.png").unlink()
    looked = looked_twice(Concept("owl", "a picture of an owl"), found, context)
    assert opened == ["0.png", "1.png", "2.png"]
    assert [one.file for one in looked] == ["1.png", "2.png", "3.png"]
    assert [one.sure is None for one in looked] == [False, False, True]


def test_what_nobody_looked_at_is_not_taken_for_what_did_not_pass(tmp_path: Path) -> None:
    pipeline, request = pipeline_with(tmp_path, "cat", "toolbox", "cat", "toolbox", best=2)
    run = pipeline(replace(request, look_twice=True))
    assert run.rounds[0].references == ()


def test_the_profile_says_whether_a_run_looks_twice(tmp_path: Path) -> None:
    pipeline, request = pipeline_with(tmp_path, "cat", "owl", look_twice=True)
    assert pipeline(request).rounds[0].references[0].chosen.file == "1.png"
    with pytest.raises(RequestError, match="The setting 'look twice' is maybe; it must be true or false"):
        replace(request, look_twice="maybe")


def test_a_picture_stands_in_the_middle_of_its_border_s_colour() -> None:
    picture = Image.new("RGB", (40, 20), (200, 40, 40))
    shown = framed(picture, 0.5)
    assert shown.size == (80, 80) and set(shown.getdata()) == {(200, 40, 40)}
    assert (
        framed(picture, 1.0).size == (40, 20)
        and max(framed(Image.new("RGB", (900, 90)), 0.5).size) == 2 * SIDE
    )


def test_scores_and_log_odds_add_up_by_the_weight() -> None:
    assert order([0.5, 0.4, 0.3], [-1.0, 2.0, 2.0], 0.0) == [0, 1, 2]
    assert order([0.5, 0.4, 0.3], [-1.0, 2.0, 2.0], 0.1) == [1, 2, 0]
    assert sureness(0.0) == 0.5 and sureness(1e9) == 1.0 and sureness(-1e9) == 0.0


def test_what_is_asked_decides_the_question() -> None:
    words, picture = Asked("an owl"), Asked(picture=tile("owl"))
    assert "show an owl?" in words.question and "second picture" in picture.question
    assert "changed so: on a 'red' ground" in Asked('on a "red" ground', tile("owl")).question


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"way": "magic"}, "ranking.way is 'magic', none of score, collage"),
        ({"best": 1}, "ranking.best is 1, not from 2 to 24"),
        ({"words": 2.0}, "ranking.words is 2.0, not from 0 to 1"),
        ({"fills": 0.0}, "ranking.fills is 0.0, not from 0.1 to 1"),
    ],
)
def test_a_profile_s_numbers_are_checked(values, says) -> None:
    with pytest.raises(ProfileError, match=says):
        RankingProfile(**values)
