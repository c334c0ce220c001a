"""Prompts that need knowledge say it in words of their own, and all three rows go by one name."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from imgrag.bench.fidelity import rows
from imgrag.bench.fidelity.riddles import RIDDLES, SETTINGS, knowing_cases, plain_prompts
from imgrag.knowledge.shelf import BUNDLED
from imgrag.library.search.words import asked_words
from imgrag.pocket.world import world


def other_words(name: str) -> list[str]:
    with Path(world.__file__).with_name("synonyms.csv").open(newline="", encoding="utf-8") as file:
        return [row["word"] for row in csv.DictReader(file) if row["name"] == name]


def test_prompts_of_the_bench_say_it_in_other_words_than_the_texts() -> None:
    with (BUNDLED / "pocket.csv").open(newline="", encoding="utf-8") as file:
        texts = list(csv.DictReader(file))
    stems = {row["term"]: set(asked_words(row["term"])) - {"s"} for row in texts}
    answers = {row["term"]: row["text"] for row in texts}
    for phrase, answer in (*RIDDLES, *SETTINGS):
        said = set(asked_words(phrase))
        near = {term for term, words in stems.items() if len(words & said) >= len(words) * 2 / 3}
        assert any(re.search(rf"\b{answer}\b", answers[term]) for term in near), phrase
        assert not any(re.search(rf"\b{re.escape(word)}\b", phrase) for word in other_words(answer)), phrase
        assert phrase not in answers and not re.search(rf"\b{answer}\b", phrase)
    assert len({case.prompt for case in knowing_cases(100)}) == 100 == len(plain_prompts(100))


def test_one_name_stands_for_all_rows_of_knowledge() -> None:
    assert rows._rows(["knowledge"]) == {"knowledge_without", "knowledge_with", "knowledge_unchanged"}
