"""A text as the words that it is found by: without case, accents and endings, Chinese in pairs.

What is kept of an entry and what is asked are read here and nowhere else, so that every engine
finds alike. Scripts that put no spaces between words (Han, kana, Hangul) are read as single
characters and overlapping pairs, as Lucene's CJKBigramFilter does.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import Stemmer  # type: ignore[import-not-found]

from imgrag.texts import clean

if TYPE_CHECKING:
    from imgrag.library.engines.store import Entry

MOST_WORDS = 500  # different ones that are kept of an entry
MOST_ASKED = 24  # that are asked for at a time
MOST_READ = 20_000  # characters of a text
LONGEST = 40  # characters of a word
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_RUN = re.compile(f"[{_UNSPACED}]+|[^\\W_{_UNSPACED}]+")
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_MARKS = frozenset(("Mn", "Mc", "Me"))
_EVERYWHERE = frozenset(
    "a about above after against all an and are as at be been behind below between by can do for from had has have "
    "he her his how i in into is it its like me my near next no not of off on or our out over she so some than that "
    "the their them then there these they this those to under up very was we were what when where which who with "
    "you your 的 了 在 是 和 与 一 个 只 上 下 里 中 我 有".split()
)  # words that say nothing of a picture
_stemmer = Stemmer.Stemmer("english")
_stemming = threading.Lock()  # a stemmer keeps the word in hand


def words_of(entry: Entry) -> list[str]:
    """What an entry is found by: the words of its name, caption, file's name and fields, each once."""
    fields = (str(value) for value in entry.fields.values() if not isinstance(value, bool))
    texts = (entry.name, entry.caption, PurePosixPath(entry.file).stem, *fields)
    found = dict.fromkeys(word for text in texts for word in _read(text, alone=True))
    return list(found)[:MOST_WORDS]


def asked_words(text: str) -> list[str]:
    """The words that a text asks for, each once, without those that say nothing of a picture."""
    words = dict.fromkeys(_read(text, alone=False))
    return [word for word in words if word not in _EVERYWHERE][:MOST_ASKED]


def is_unspaced(character: str) -> bool:
    """Whether it is of a script that puts no spaces between words."""
    return bool(_IS_UNSPACED.match(character))


def folded(text: str) -> str:
    """Without case and accents: "Zörblax" -> "zorblax", "ＡＢＣ" -> "abc"."""
    if text.isascii():
        return text.casefold()
    apart = unicodedata.normalize("NFKD", clean(text).casefold())
    bare = "".join(character for character in apart if unicodedata.category(character) not in _MARKS)
    return unicodedata.normalize("NFC", bare)


def _read(text: str, alone: bool) -> Iterator[str]:
    """Words in the order of the text; `alone` says whether characters are given beside their pairs."""
    for run in _RUN.findall(folded(text[:MOST_READ])):
        if not is_unspaced(run[0]):
            yield stem(run[:LONGEST])
            continue
        if alone or len(run) == 1:
            yield from run
        yield from (run[start : start + 2] for start in range(len(run) - 1))


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """A folded word without its English ending: "owls" -> "owl"; of other scripts as it is."""
    if not (word.isascii() and word.isalpha()):
        return word
    with _stemming:
        return str(_stemmer.stemWord(word))
