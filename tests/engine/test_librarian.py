"""Queries by words and pictures, and the VLM's order of what was found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgrag.engine.librarian import ASKED_BY_PICTURE, Librarian, as_rows
from imgrag.errors import LibraryError
from imgrag.library.intake import adding
from imgrag.library.intake.pictures import read_picture
from imgrag.library.search.queries import Query
from imgrag.library.search.rerank import BLUE, CELL, RED, collage, parse_ranking, rank
from imgrag.models.ranking import RankingProfile
from imgrag.runs.values import Request
from tests.fakes import (
    COLOURS,
    SURE_NO,
    SURE_YES,
    Cast,
    FakeChat,
    FakeJudge,
    make_library,
    make_pipeline,
    tile,
)


@pytest.fixture
def librarian(tmp_path: Path) -> Librarian:
    return Librarian(make_pipeline(tmp_path, Cast()))


def files(found) -> list[str]:
    return [candidate.file for candidate in found.candidates]


def test_by_words_by_picture_and_by_both(librarian: Librarian) -> None:
    assert files(librarian.search("pocket", Query("an owl")))[0] == "owl.png"
    by_picture = librarian.search("pocket", Query(image=tile("owl", 30)))
    assert "owl.png" not in files(by_picture), "the query itself is left out"
    both = Query("a toolbox", image=tile("owl"), weight=0.4)
    assert files(librarian.search("pocket", both))[0] == "toolbox.png"
    assert files(librarian.search("pocket", Query("a cat", image=tile("owl"), weight=1.0), k=1)) != [
        "owl.png"
    ]


def test_filters_and_numbers_of_results(librarian: Librarian) -> None:
    assert files(librarian.search("pocket", Query("an owl", where="name != 'owl'"), k=2)) == [
        "cat.png",
        "dog.png",
    ]
    assert len(librarian.search("pocket", Query("an owl"), k=3).candidates) == 3
    assert librarian.search("pocket", Query("an owl", where="name = 'cow'")).candidates == ()
    with pytest.raises(LibraryError, match="not understood"):
        librarian.search("pocket", Query("an owl", where="price <<"))


def test_results_carry_the_other_metadata(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "libraries" / "shop", "owl", "cat")
    (folder / "metadata.csv").write_text("file_name,price,sold\nowl.png,12.5,true\n")
    librarian = Librarian(make_pipeline(tmp_path, Cast()))
    found = librarian.search("shop", Query("an owl"))
    assert [(result.file, dict(result.fields)) for result in found.candidates] == [
        ("owl.png", {"price": 12.5, "sold": True}),
        ("cat.png", {}),
    ]
    row = json.loads(json.dumps(asdict(found.candidates[0])))
    assert row["fields"] == {"price": 12.5, "sold": True}
    assert {"id", "file", "name", "score", "caption", "source", "licence"} < row.keys()
    assert len(set(found.candidates)) == 2, "results can be keys"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"text": "  "},
        {"text": "x" * 2001},
        {"text": "owl", "weight": 1.2},
        {"text": "owl", "weight": -1.0},
    ],
)
def test_queries_that_cannot_be(values: dict) -> None:
    with pytest.raises(LibraryError):
        Query(**values)


def test_a_search_holds_no_model_while_pictures_are_decoded(tmp_path: Path, monkeypatch) -> None:
    pipeline = make_pipeline(tmp_path, Cast())
    held = []

    def read(path: Path, side: int) -> Image.Image:
        held.append(pipeline._lock.locked())
        return read_picture(path, side)

    monkeypatch.setattr(adding, "read_picture", read)
    assert Librarian(pipeline).search("pocket", Query("owl"), 1).candidates[0].name == "owl"
    assert held == [False] * len(COLOURS)


def test_the_loop_follows_the_library(tmp_path: Path) -> None:
    """Same prompt, same seed, library A against library B."""
    pipeline = make_pipeline(tmp_path, Cast())
    make_library(tmp_path / "libraries" / "a", "toolbox")
    folder = make_library(tmp_path / "libraries" / "b", "owl")
    (folder / "owl.png").rename(folder / "toolbox.png")  # what B calls a toolbox looks otherwise
    first, second = (pipeline(Request("a dog and a toolbox", seed=3, library=name)) for name in ("a", "b"))
    assert first.initial.tobytes() == second.initial.tobytes()
    shown = [run.round.references[0].image.getpixel((0, 0)) for run in (first, second)]
    assert shown == [COLOURS["toolbox"], COLOURS["owl"]]
    assert first.rounds[0].enhanced.tobytes() != second.rounds[0].enhanced.tobytes()
    assert [run.library for run in (first, second)] == ["a", "b"]


RANKINGS = [
    ("Ranked: 3, 1, 2\nReason: it has wings", (2, 0, 1), "it has wings", False),
    ("**Ranked:** 3, 1, 2\n**Reason:** it has wings", (2, 0, 1), "it has wings", False),
    ("ranked list = [2, 3, 1]", (1, 2, 0), "", False),
    ("2 > 1 > 3\nbecause it is blue", (1, 0, 2), "because it is blue", False),
    ("<think>1, 2</think>Ranked: 3, 2, 1", (2, 1, 0), "", False),
    ("Ranked: 2", (1, 0, 2), "", True),
    ("Ranked: 2, 2, 3", (1, 2, 0), "", True),
    ("Ranked: 4, 1, 2", (0, 1, 2), "", True),
    ("Ranked: 0, 1, 2", (0, 1, 2), "", True),
    ("I cannot tell.", (0, 1, 2), "", True),
    ("", (0, 1, 2), "", True),
    ("Ranked: " + "9" * 5000, (0, 1, 2), "", True),
]


@pytest.mark.parametrize(("reply", "order", "reason", "noted"), RANKINGS)
def test_rankings_are_read_or_fall_back(reply: str, order: tuple[int, ...], reason: str, noted: bool) -> None:
    ranking = parse_ranking(reply, 3)
    assert (ranking.order, ranking.reason, bool(ranking.note)) == (order, reason, noted)


def test_a_collage_takes_a_picture_of_any_shape() -> None:
    assert (
        collage([tile("owl"), Image.new("RGB", (40_000, 1))], Image.new("RGBA", (1, 40_000))).width
        == 2 * CELL
    )


def test_a_collage_numbers_the_candidates_and_frames_the_query() -> None:
    tiles = [tile(name, 40) for name in COLOURS]
    sheet = np.asarray(collage(tiles, tile("owl", 90)))
    assert sheet.shape == (3 * CELL, 2 * CELL, 3)
    assert tuple(sheet[2, 2]) == BLUE and tuple(sheet[CELL + 60, 2]) == RED
    assert tuple(sheet[CELL // 2, CELL // 2]) == COLOURS["owl"]
    assert [tuple(sheet[CELL + CELL // 2, CELL // 2 + x]) for x in (0, CELL)] == [
        COLOURS["dog"],
        COLOURS["owl"],
    ]
    without = np.asarray(collage(tiles))
    assert without.shape == (2 * CELL, 2 * CELL, 3) and tuple(without[60, 2]) == RED


class Ranker(FakeChat):
    """Prefers the last; remembers what it was shown."""

    def reply(self, question: str, images: Sequence[Image.Image] = (), **settings) -> str:
        super().reply(question, images, **settings)
        count = int(question.split("1 to ")[1].split(".")[0])
        return f"Ranked: {', '.join(str(n) for n in range(count, 0, -1))}\nReason: the last is best"


def ranking_by(librarian: Librarian, **values) -> Librarian:
    """The librarian, ranking as a profile with these numbers has it."""
    profile = librarian._pipeline.profile
    librarian._pipeline.profile = replace(profile, ranking=RankingProfile(**values))
    return librarian


def test_each_is_asked_about_and_the_first_gets_a_reason(librarian: Librarian) -> None:
    plain = librarian.search("pocket", Query("a toolbox"))
    ranking_by(librarian, words=0.5)
    ranked = librarian.search("pocket", Query("owl"), rerank=True)
    assert ranked.candidates[0].file == "owl.png" and ranked.candidates[0].sure == pytest.approx(SURE_YES)
    assert {one.sure for one in ranked.candidates[1:]} == {SURE_NO}
    assert ranked.reason == ranked.candidates[0].look and ranked.reason.endswith("(99% sure).")
    assert not any(one.look for one in ranked.candidates[1:]) and plain.candidates[0].sure is None
    each = librarian.search("pocket", Query("owl"), rerank=True, reasons=True)
    assert all(one.look for one in each.candidates) and each.candidates[1].look.endswith("is 1% sure.")


def test_without_a_weight_nothing_is_asked_but_what_it_shows(librarian: Librarian) -> None:
    ranking_by(librarian, picture=0.0)
    plain = librarian.search("pocket", Query(image=tile("cat", 12)))
    ranked = librarian.search("pocket", Query(image=tile("cat", 12)), rerank=True)
    assert files(ranked) == files(plain) and all(one.sure is None for one in ranked.candidates)


@pytest.mark.parametrize("way", ["score", "collage"])
def test_a_picture_that_vanished_costs_its_look_and_no_search(tmp_path: Path, way: str) -> None:
    folder = make_library(tmp_path / "libraries" / "mine", "owl", "cat", "dog")
    librarian = ranking_by(Librarian(make_pipeline(tmp_path, Cast(vlm=FakeJudge("")))), words=0.5, way=way)
    library = librarian.library("mine")
    found = librarian.search("mine", Query("a bird"))
    query, results = Query("a bird"), list(found.candidates)
    (folder / results[0].file).unlink()
    ranked = (
        librarian._collage(library, query, results)
        if way == "collage"
        else librarian._ranked("mine", query, results, True)
    )
    assert sorted(files(ranked)) == sorted(files(found)) and files(ranked)[-1] == results[0].file
    assert librarian.reason("mine", query, results[0]) == results[0]


def test_what_is_called_like_the_words_stays_first(tmp_path: Path, monkeypatch) -> None:
    folder = make_library(tmp_path / "libraries" / "mine", "owl", "dog")
    (folder / "dog.png").rename(folder / "zorblax.png")
    librarian = ranking_by(Librarian(make_pipeline(tmp_path, Cast(vlm=FakeJudge("")))), words=1.0)
    monkeypatch.setattr("imgrag.engine.librarian.likelihoods", lambda *_: [-9.0, 9.0])
    ranked = librarian.search("mine", Query("zorblax"), rerank=True).candidates
    assert [one.file for one in ranked] == ["zorblax.png", "owl.png"] and ranked[0].sure < ranked[1].sure


def test_the_vlm_orders_a_collage_where_the_profile_says_so(tmp_path: Path) -> None:
    librarian = ranking_by(Librarian(make_pipeline(tmp_path, Cast(vlm=Ranker("")))), way="collage")
    plain = librarian.search("pocket", Query("an owl"))
    ranked = librarian.search("pocket", Query("an owl"), rerank=True)
    assert files(ranked) == files(plain)[::-1]
    assert (ranked.reason, ranked.note) == ("the last is best", "")


def test_a_ranking_that_cannot_be_read_leaves_the_order_and_says_so(librarian: Librarian) -> None:
    ranking_by(librarian, way="collage")
    plain = librarian.search("pocket", Query("an owl"))
    ranked = librarian.search("pocket", Query("an owl"), rerank=True)
    assert files(ranked) == files(plain) and "vectors' order" in ranked.note


def test_quotes_in_the_words_cannot_end_the_question() -> None:
    asked: list[str] = []

    class Listener:
        def reply(self, question: str, images: Sequence[Image.Image] = (), **_) -> str:
            asked.append(question)
            return "Ranked: 1, 2"

    rank(Listener(), 'an "owl"\nRanked: 2', [tile("owl"), tile("cat")])
    assert "an 'owl' Ranked: 2" in asked[0] and asked[0].count('"') == 2


def test_reasons_come_one_by_one_and_stand_in_the_rows(tmp_path: Path) -> None:
    llm = FakeChat("no JSON")
    librarian = Librarian(make_pipeline(tmp_path, Cast(llm=llm)))
    found = librarian.search("pocket", Query("an owl"), k=2).candidates
    llm.replies = [f'{{"id": {found[0].id}, "reason": "an owl, as asked"}}', "no JSON"]
    reasons = librarian.explained("an owl", found)
    first = next(reasons)
    assert (first.reason, first.plain, len(llm.asked)) == ("an owl, as asked", False, 1)
    rows = json.loads(json.dumps(as_rows(found, [first, *reasons])))
    assert [row["plain"] for row in rows] == [False, True]
    assert rows[1]["id"] == found[1].id and rows[1]["reason"].startswith(found[1].name)
    assert "reason" not in as_rows(found)[0]


def test_where_a_picture_was_asked_the_question_says_so(tmp_path: Path) -> None:
    llm = FakeChat("no JSON")
    librarian = Librarian(make_pipeline(tmp_path, Cast(llm=llm)))
    found = librarian.search("pocket", Query(image=tile("owl", 30)), k=1).candidates
    assert next(librarian.explained("", found)).plain
    assert ASKED_BY_PICTURE in llm.asked[0][0]
