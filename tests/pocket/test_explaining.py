"""The lesson in saying why a picture was found: all of a reason stands in the question."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np

from imgrag.library.search.explaining import parse_explanation
from imgrag.library.search.grounding import shared_words, strange_words
from imgrag.pocket.recipes import explaining

SHOP = Path(__file__).parents[2] / "datasets" / "libraries" / "shop"


def test_a_reason_says_what_the_query_and_the_item_share_and_nothing_strange() -> None:
    shared = 0
    for seed in range(300):
        one = explaining.exercise(np.random.default_rng(seed))
        head, query = one.question.replace("*", "").rsplit("\nAsked: ", 1)
        number = re.search(r"^id: (\d+)$", head, re.MULTILINE)
        fields = head.split("\n", 2)[2]
        reason = parse_explanation(one.reply, int(number[1]))
        assert reason and not strange_words(reason, fields, query)
        assert one.question.rsplit("\n", 1)[1].count("*") >= len(shared_words(query, fields))
        values = "\n".join(line.partition(": ")[2] for line in fields.splitlines())
        verdict = " ".join(shared_words(query, values))
        shared += bool(verdict)
        ((begin, end),) = one.looked_up
        assert one.reply[begin:end] == (f"{verdict}, as asked" if verdict else explaining.NOTHING_SHARED)
        price = re.search(r"^price: (.+)$", fields, re.MULTILINE)
        assert (f" at {price[1]}: " in reason) if price else (" at " not in reason.replace(fields, ""))
    assert 150 < shared < 290, "some have nothing that was asked"


def test_exercises_of_a_step_are_of_like_length() -> None:
    rng = np.random.default_rng(1)
    lengths = [len(one.question + one.reply) for one in explaining.exercises(8, rng)]
    assert len(lengths) == 8 and lengths == sorted(lengths)


def test_the_shop_has_a_picture_a_price_and_a_licence_of_each() -> None:
    with (SHOP / "metadata.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["file_name"] for row in rows} == {path.name for path in SHOP.glob("*.png")}
    assert all(float(row["price"]) > 0 and row["category"] and row["licence"] == "OFL-1.1" for row in rows)
