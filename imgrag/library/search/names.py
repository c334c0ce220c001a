"""What pictures are called, in memory: what somebody may have meant, and how a name may go on.

Names are gone through one by one, which takes RapidFuzz a few milliseconds for a hundred thousand; an index
by trigrams would have to be kept up to date for that.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import OSA

from imgrag.library.base import plain_name
from imgrag.library.search.words import folded, is_unspaced, stem

SHORT, MIDDLING = 3, 5  # letters up to which a word has no slip, and one


@dataclass(frozen=True)
class Names:
    """Names in one order, that of their keys' lengths.

    Attributes:
        plain: as `plain_name` spells them.
        bare: without accents.
        keys: their words without endings, joined.
        lengths: of the keys.
        text: all of `bare`, each after a line end and a space.
        starts: where each begins in `text`.
    """

    plain: tuple[str, ...]
    bare: tuple[str, ...]
    keys: tuple[str, ...]
    lengths: tuple[int, ...]
    text: str
    starts: tuple[int, ...]

    def near(self, name: str, limit: int) -> list[str]:
        """Names that are called like `name`, best first: up to endings, hyphens, spaces and a slip of a letter or two.

        A slip is a letter too many, too few, another one, or two that changed places (OSA). Words of up to 3
        letters have none, of up to 5 one, others two.
        """
        asked = _words(folded(plain_name(name)))
        key = "".join(asked)
        slips = _slips(key)
        low = bisect_left(self.lengths, max(1, len(key) - slips))
        among = self.keys[low : bisect_right(self.lengths, len(key) + slips)]
        if not among:
            return []
        slipped = process.cdist([key], among, scorer=OSA.distance, score_cutoff=slips, dtype=np.uint8)[0]
        alike = [
            (int(slipped[at]), self.plain[low + at])
            for at in np.flatnonzero(slipped <= slips).tolist()
            if not slipped[at] or _may_slip(asked, _words(self.bare[low + at]))
        ]
        return [plain for _, plain in sorted(alike)[:limit]]

    def completions(self, prefix: str, limit: int) -> list[str]:
        """Names of which a word begins with `prefix`; those that begin with it themselves come first."""
        asked = folded(plain_name(prefix))
        if not asked:
            return []
        inside = asked if is_unspaced(asked[0]) else f" {asked}"
        hits = re.finditer(re.escape(inside), self.text)
        found = dict.fromkeys(bisect_right(self.starts, hit.start() + 1) - 1 for hit in hits)
        best = sorted(found, key=lambda at: (not self.bare[at].startswith(asked), len(self.bare[at]), at))
        return [self.plain[at] for at in best[:limit]]


def names_of(plain: Iterable[str]) -> Names:
    """Names made ready, without mere numbers."""
    lettered = sorted(name for name in set(plain) if not name.replace(" ", "").isdigit())
    rows = [("".join(_words(folded(name))), name) for name in lettered]
    rows.sort(key=lambda row: len(row[0]))
    bare = [folded(name) for _, name in rows]
    starts = [2 + end for end in accumulate((len(name) + 2 for name in bare), initial=0)][:-1]
    return Names(
        tuple(name for _, name in rows), tuple(bare), tuple(key for key, _ in rows),
        tuple(len(key) for key, _ in rows), "".join(f"\n {name}" for name in bare), tuple(starts),
    )  # fmt: skip


def _words(bare: str) -> list[str]:
    return [stem(word) for word in re.findall(r"\w+", bare)]


def _slips(word: str) -> int:
    return 0 if len(word) <= SHORT else 1 if len(word) <= MIDDLING else 2


def _may_slip(asked: list[str], words: list[str]) -> bool:
    """Whether no word has more slips than its length allows; where words were joined or parted, they are one."""
    if len(asked) != len(words):
        return True
    return all(OSA.distance(one, other) <= _slips(one) for one, other in zip(asked, words, strict=True))
