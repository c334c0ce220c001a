"""How near captions are to those that people wrote: BLEU by sacrebleu, CIDEr-D, and length."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from imgrag.errors import RequestError

GRAMS = 4
SIGMA = 6.0  # how soon another length costs (Vedantam et al., 2015)
SCALE = 10.0
NEEDED = "sacrebleu>=2.6.0,<3"
Grams = Counter[tuple[str, ...]]


def require_bleu() -> None:
    """Raises RequestError: sacrebleu, which is optional, is not installed."""
    if find_spec("sacrebleu") is None:
        raise RequestError(f'Captions are measured with sacrebleu. Install it with: pip install "{NEEDED}"')


def words_of(caption: str) -> list[str]:
    """Lower-case words without punctuation, as captions are compared everywhere."""
    kept = "".join(c if c.isalnum() or c in "'-" else " " for c in caption.casefold())
    return kept.split()


def measures(said: Sequence[str], wanted: Sequence[Sequence[str]]) -> dict[str, float]:
    """BLEU-1 to 4 in 0..1, CIDEr-D, and words a caption.

    Args:
        wanted: the captions that people wrote, one or more for each of `said`.

    Raises:
        RequestError: sacrebleu is not installed.
    """
    tokens = [words_of(text) for text in said]
    references = [[words_of(text) for text in texts] for texts in wanted]
    figures = {f"bleu_{n}": bleu(said, wanted, n) for n in range(1, GRAMS + 1)}
    figures["cider_d"] = round(cider_d(tokens, references), 4)
    figures["length"] = round(sum(map(len, tokens)) / max(1, len(tokens)), 2)
    return figures


def bleu(said: Sequence[str], wanted: Sequence[Sequence[str]], order: int = GRAMS) -> float:
    """BLEU of a corpus up to n-grams of this order, 0..1. Raises RequestError: sacrebleu is not installed."""
    require_bleu()
    from sacrebleu.metrics.bleu import BLEU

    plain = [" ".join(words_of(text)) for text in said]
    most = max(map(len, wanted), default=0)
    streams: list[Any] = [
        [" ".join(words_of(texts[at])) if at < len(texts) else None for texts in wanted] for at in range(most)
    ]
    metric = BLEU(max_ngram_order=order, tokenize="none", force=True)
    return round(float(metric.corpus_score(plain, streams).score) / 100, 4)


def cider_d(said: Sequence[Sequence[str]], wanted: Sequence[Sequence[Sequence[str]]]) -> float:
    """CIDEr-D of a corpus (Vedantam, Zitnick and Parikh, 2015): 0 to 10, usually told times 10.

    N-grams weigh by how few pictures' references have them, counts are clipped to the reference's, and another length
    costs. Of pictures given as words.
    """
    references = [[_grams(text) for text in texts] for texts in wanted]
    spread = Counter(gram for texts in references for gram in set().union(*texts))
    many = math.log(max(1, len(references)))
    scores = [
        sum(_alike(_grams(text), other, spread, many) for other in texts) / max(1, len(texts))
        for text, texts in zip(said, references, strict=True)
    ]
    return SCALE * sum(scores) / max(1, len(scores))


def _grams(words: Sequence[str]) -> Grams:
    """All n-grams, n from 1 to 4, with how often they stand there."""
    return Counter(tuple(words[at : at + n]) for n in range(1, GRAMS + 1) for at in range(len(words) - n + 1))


def _alike(text: Grams, reference: Grams, spread: Counter[tuple[str, ...]], many: float) -> float:
    """The mean of four cosines of clipped TF-IDF vectors, times the cost of another length."""
    total = 0.0
    for n in range(1, GRAMS + 1):
        one, other = (_weights(grams, n, spread, many) for grams in (text, reference))
        dot = sum(min(weight, other[gram]) * other[gram] for gram, weight in one.items() if gram in other)
        norms = math.hypot(*one.values()) * math.hypot(*other.values())
        total += dot / norms if norms else dot
    apart = _length(text) - _length(reference)
    return total / GRAMS * math.exp(-(apart**2) / (2 * SIGMA**2))


def _weights(
    grams: Grams, n: int, spread: Counter[tuple[str, ...]], many: float
) -> dict[tuple[str, ...], float]:
    return {
        gram: count * (many - math.log(max(1, spread[gram])))
        for gram, count in grams.items()
        if len(gram) == n
    }


def _length(grams: Grams) -> int:
    """In pairs of words, as the authors' code counts."""
    return sum(count for gram, count in grams.items() if len(gram) == 2)
