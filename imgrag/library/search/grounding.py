"""What is said of a picture, held against what its library has of it: words that nobody gave are not said.

A reason may use the words and numbers of the picture's own fields and a closed set of words that say nothing of
a thing ("as asked", "because"). What only the query says may be denied ("not red") and not claimed: that somebody asked
for red makes nothing red. Numbers of the query may stand, since prices are compared with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from imgrag.library.search.words import asked_words, folded, is_unspaced, stem

SAYING = frozenset(
    stem(word)
    for word in (
        "answer answers appear asked ask asking because belongs best both called category caption colour color combine "
        "comes contains cost costs does exactly fall falls field fit fits fitting found given good has have here hit item just "
        "kept keep listed look looking match matches matching mention mentioned meet meets name named nearest offer offered "
        "one only picture photo image piece price priced product query reason related request requested result same say says "
        "search searched see seems show shows shown since so sold still such suit suits suitable thing title though too user want "
        "wanted well whose within without words would yes also any as but if may no not none rather instead itself "
        "while each it's that's other more less most least under below over up cheap cheaper cheapest"
    ).split()
)  # fmt: skip
SAYING_UNSPACED = frozenset(
    "的了在是和与一个只上下里中我有为因所要求想找这那它件款张图片符合匹配满足如正好就也都您你用户查询搜索词价格售名称类别属于含包及"
    "而且即且其不没无非以由于从被把给该此者什么样说问到最近接之内外可能会做买卖需按照标题描述字段结果物品商产"
)
_DENIED = re.compile(
    r"\b(?:not|no|without|instead of|rather than|nor|isn't|lacks?)\b|不|没|非|无", re.IGNORECASE
)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_CLAUSE = re.compile(r"[;:!?\u3002\uff0c\uff1b\uff1a]|[.,](?!\d)")
_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")


def shared_words(query: str, text: str) -> list[str]:
    """The words of a query that a text has too, spelt as asked, each once; numbers and small words left out."""
    known = set(_told(text))
    words = dict.fromkeys(word for word in _WORD.findall(query) if not any(map(str.isdigit, word)))
    return [word for word in words if (parts := _parts(word)) and known.issuperset(parts)]


def starred(query: str, text: str) -> str:
    """The query with a * behind each word that the text has too: "a blue* shirt* for a wedding"."""
    shared = set(shared_words(query, text))
    return _WORD.sub(lambda word: word[0] + "*" * (word[0] in shared), query)


def strange_words(reason: str, text: str, query: str) -> list[str]:
    """What of a reason stands neither in the text nor, denied or as a number, in the query; nothing where it is grounded."""
    numbers = {*_numbers(text), *_numbers(query)}
    strange = [number for number in _NUMBER.findall(reason) if _value(number) not in numbers]
    told, asked = set(_told(text)), set(_told(query))
    for clause in _CLAUSE.split(reason):
        known = told | asked if _DENIED.search(clause) else told
        strange += [word for word in _told(clause) if word not in known and not _says_nothing(word)]
    return strange


def _told(text: str) -> Iterator[str]:
    """The words of a text but its numbers; of scripts without spaces single characters."""
    bare = folded(text)
    yield from (character for character in bare if is_unspaced(character))
    spaced = "".join(" " if is_unspaced(character) else character for character in bare)
    for word in _WORD.findall(spaced):
        yield from (part for part in _parts(word) if not part.isdigit())


def _parts(word: str) -> list[str]:
    """ "rabbi's" -> "rabbi", "t-shirts" -> "t", "shirt"."""
    return asked_words(re.sub(r"['\u2019]s?$", "", word))


def _says_nothing(word: str) -> bool:
    return word in (SAYING_UNSPACED if is_unspaced(word[0]) else SAYING)


def _numbers(text: str) -> set[float]:
    return {_value(number) for number in _NUMBER.findall(text)}


def _value(number: str) -> float:
    """ "1,299.00" -> 1299.0, "12,5" -> 12.5."""
    whole = re.sub(r",(?=\d{3}(?:\D|$))", "", number).replace(",", ".")
    head, dot, tail = whole.rpartition(".")
    return float(head.replace(".", "") + dot + tail)
