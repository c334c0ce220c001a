"""Whatever is repeated over a whole prompt is read at once: no pattern goes back and forth over it.

A pattern that does takes minutes for some of these; the bound is far above what any machine needs for the others.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial

import pytest

from imgrag.engine.reading import Reader, chinese, grounds, phrases, spanish, syntax, words
from imgrag.engine.reading.dialects import CHINESE, SPANISH
from imgrag.runs.values import MAX_PROMPT
from tests.engine.test_reading import POCKET, VOCABULARY, Shelf

BOUND = 2.0  # seconds of the processor
QUICK = 0.01  # seconds; what takes no longer for a whole prompt need not be tried with more
LENGTHS = (160, MAX_PROMPT, 10 * MAX_PROMPT)  # exponential time shows at the first, quadratic at the last
MODULES = (words, grounds, syntax, phrases, chinese, spanish)
ODD = (
    "a-style", "highly-", "<lora:", "negative prompt:", "anime-", "{a|b|{", "thanks a lot ", "please,,, ", "[a:b:0.5", "([{a:", "((a:1.2",
    "::-1", "__a/", "--no x --", " ,.;!?", "\n", "a.'- ", "fondo de color ", "estilo de ", "\u98ce\u683c", "\u4ee5\u732b\u4e3a\u80cc\u666f", "\u732b", "\u4e0d", "\u6c34\u5f69\u7684", "\u4e00\u53ea", "\u4e94\u9897\u661f", "\u7ea2\u8272\u80cc\u666f\uff0c", "1", "on a red background ", "a'", "\\(",
)  # fmt: skip


def patterns() -> list[re.Pattern[str]]:
    """Those of the reading's modules, and of a ground in each colour."""
    found = [value for module in MODULES for value in vars(module).values() if isinstance(value, re.Pattern)]
    return [*found, *_of_dialects(), *grounds._of_colours(POCKET.backgrounds)]


def _of_dialects() -> list[re.Pattern[str]]:
    return [pattern for dialect in (CHINESE, SPANISH) for pattern in (dialect.ground, dialect.style)]


def atoms(pattern: re.Pattern[str]) -> set[str]:
    """The words that a pattern names."""
    return set(re.findall(r"(?<!\\)\b[a-z]{2,}|[\u4e00-\u9fff]{1,4}", pattern.pattern))


def repeated(text: str, length: int = MAX_PROMPT) -> str:
    """A prompt of nothing else, with an end on which no pattern can end."""
    return (text * length)[: length - 1] + "\u00a7"


def took(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


@pytest.mark.parametrize("joint", [" ", "-"])
def test_no_pattern_goes_back_and_forth_over_its_own_words(joint: str) -> None:
    for pattern in patterns():
        for atom in atoms(pattern):
            for length in LENGTHS:
                taken = took(partial(pattern.sub, "", repeated(f"{atom}{joint}", length)))
                assert taken < BOUND, (atom, length)
                if length == MAX_PROMPT and taken < QUICK:
                    break


@pytest.mark.parametrize("odd", ODD)
def test_odd_prompts_are_read_at_once(odd: str) -> None:
    reader = Reader(POCKET, VOCABULARY, Shelf())
    text = repeated(odd)
    assert took(partial(reader.language_of, text)) + took(partial(reader.read, text)) < BOUND
