"""The search bench with fakes: what it counts as right, and what it says of rankings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imgrag.bench import explaining, search
from imgrag.engine.librarian import Librarian
from imgrag.library.search.explaining import Explanation
from imgrag.library.search.rerank import Ranking
from imgrag.models import weighted_sum
from imgrag.models.ranking import RankingProfile
from imgrag.pocket.recipes.rewriting import ordinary
from imgrag.pocket.world import world
from tests.fakes import Cast, FakeChat, FakeEmbedder, make_pipeline

ICONS = [3, 40]


class Eye(FakeEmbedder):
    """Sees which icon and which colour a picture has, half and half; words name a colour."""

    dimensions = len(ICONS) + len(world.COLOURS)

    def embed_images(self, images):
        return np.stack([self._seen(np.asarray(image)) for image in images])

    def embed_texts(self, texts):
        rows = np.array(
            [[0] * len(ICONS) + [f" {name} " in text for name in world.COLOURS] for text in texts]
        )
        return rows.astype(np.float32)

    def compose(self, image, text, weight):
        return weighted_sum(self.embed_images([image])[0], self.embed_texts([text])[0], weight)

    def _seen(self, pixels):
        colour = np.abs(np.array(list(world.COLOURS.values())) - pixels[0, 0]).sum(1).argmin()
        distances = [
            np.abs(np.asarray(search.picture(icon, int(colour)), int) - pixels.astype(int)).sum()
            for icon in ICONS
        ]
        vector = np.zeros(self.dimensions, np.float32)
        vector[int(np.argmin(distances))] = vector[len(ICONS) + int(colour)] = 0.5**0.5
        return vector


@pytest.fixture
def librarian(tmp_path: Path) -> Librarian:
    cast = Cast()
    cast.clip = Eye()
    search.draw(tmp_path / "libraries" / search.LIBRARY, ICONS)
    return Librarian(make_pipeline(tmp_path, cast))


def test_a_perfect_eye_needs_both_halves(librarian: Librarian) -> None:
    figures = search.measure(librarian, search.cases(ICONS, 20), reranked=0)
    assert figures["composed"].value == 1.0 and figures["composed"].n == 20
    assert figures["image"].value < 0.5 and figures["text"].value < 1.0
    assert "reranked" not in figures


def test_rankings_count_as_readable_or_not(librarian: Librarian, monkeypatch: pytest.MonkeyPatch) -> None:
    def backwards(vlm, text, pictures, query):
        return Ranking(tuple(reversed(range(len(pictures)))))

    profile = librarian._pipeline.profile
    librarian._pipeline.profile = replace(profile, ranking=RankingProfile(way="collage"))
    monkeypatch.setattr("imgrag.engine.librarian.rank", backwards)
    figures = search.measure(librarian, search.cases(ICONS, 4), reranked=4)
    assert figures["readable"].value == 1.0 and figures["reranked"].value == 0.0
    monkeypatch.setattr("imgrag.engine.librarian.rank", lambda *_: Ranking((0, 1), note="not to be read"))
    assert search.measure(librarian, search.cases(ICONS, 2), reranked=2)["readable"].value == 0.0


def test_a_reason_is_right_when_it_names_exactly_what_was_asked_and_is_there() -> None:
    made = explaining.cases(40)
    assert [case.query for case in made] == [case.query for case in explaining.cases(40)]
    assert not {word for case in made for word in case.shared} & set(ordinary()), (
        "in words that no lesson had"
    )
    assert any(case.shared for case in made) and any(not case.shared for case in made)

    def right(reason: str, plain: bool = False) -> bool:
        return explaining.is_right(Explanation(1, reason, plain), ["teal", "tote"])

    assert right("a teal tote at 4: teal tote, as asked")
    assert not right("a teal tote at 4: teal tote, as asked", plain=True)
    assert not right("a teal tote at 4: tote, as asked") and not right("a teal tote: near what was asked")
    assert explaining.is_right(Explanation(1, "a teal tote: near what was asked"), [])


def test_reasons_are_counted_as_the_models_own_or_not(tmp_path: Path) -> None:
    made = explaining.cases(4)
    replies = [f'{{"id": {n}, "reason": "as asked"}}' for n in (1, 1, 2)]
    figures = explaining.measure(Librarian(make_pipeline(tmp_path, Cast(llm=FakeChat(*replies, "no")))), made)
    assert figures["own"].value == 0.5 and figures["right"].n == 4
    assert explaining.measure(Librarian(make_pipeline(tmp_path, Cast())), []) == {}
