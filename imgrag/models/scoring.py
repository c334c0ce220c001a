"""How likely a vision-language model says yes to one question about each of several pictures, in batches.

What the conversations begin with is read once: the question, and the pictures of the query where it has them, for
classes that put them before the picture in question. Each conversation goes on from what the model kept of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

BATCH = 8
WORTH = 16  # tokens that must be alike before they are read apart


def first_tokens(tokenizer: Any, word: str) -> list[int]:
    """The tokens that a word can begin with; only whole words if there are any."""
    spelt = [
        list(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in (word, word.capitalize())
    ]
    whole = [tokens for tokens in spelt if len(tokens) == 1]
    return [tokens[0] for tokens in whole or spelt]


def log_odds(model: Any, tokenizer: Any, rows: Sequence[Any], alike: int = 0) -> list[float]:
    """log p(yes) - log p(no) of the next token after each conversation.

    Args:
        rows: a processor's inputs, of one conversation each.
        alike: pictures that all of them begin with.
    """
    yes, no = (first_tokens(tokenizer, word) for word in ("yes", "no"))
    found = dict[int, float]()
    for places in _batches(rows):
        told = _next(model, tokenizer, [rows[place] for place in places], alike)
        odds = told[:, yes].logsumexp(1) - told[:, no].logsumexp(1)
        found.update(zip(places, odds.tolist(), strict=True))
    return [found[place] for place in range(len(rows))]


def _batches(rows: Sequence[Any]) -> Iterator[list[int]]:
    """Places of rows of one length, so that none is padded."""
    by_length = defaultdict(list)
    for place, row in enumerate(rows):
        by_length[row["input_ids"].shape[1]].append(place)
    for places in by_length.values():
        yield from (places[start : start + BATCH] for start in range(0, len(places), BATCH))


def _next(model: Any, tokenizer: Any, rows: Sequence[Any], alike: int) -> torch.Tensor:
    """Logits float32 [n, vocabulary] of the next token; the rows have one length."""
    import torch

    ids = torch.cat([row["input_ids"] for row in rows])  # [n, t]
    types = torch.cat([row["mm_token_type_ids"] for row in rows])
    grids = torch.cat([row["image_grid_thw"] for row in rows])  # [pictures, 3]
    positions, _ = model.model.get_rope_index(input_ids=ids, mm_token_type_ids=types, image_grid_thw=grids)
    shared = _shared(ids, tokenizer.convert_tokens_to_ids("<|vision_start|>"), alike)

    def read(start: int, end: int, of: int, pictures: Sequence[dict[str, Any]], kept: Any = None) -> Any:
        given = (
            {name: torch.cat([one[name] for one in pictures]).to(model.device) for name in pictures[0]}
            if pictures
            else {}
        )
        return model(
            input_ids=ids[:of, start:end].to(model.device), position_ids=positions[:, :of, start:end].to(model.device),
            past_key_values=kept, use_cache=bool(shared), logits_to_keep=1, **given,
        )  # fmt: skip

    with torch.inference_mode():
        kept = None
        if shared:
            kept = read(0, shared, 1, _pictures(rows[:1], 0, alike)).past_key_values
            kept.batch_repeat_interleave(len(rows))
        later = _pictures(rows, alike if shared else 0, None)
        return read(shared, ids.shape[1], len(rows), later, kept).logits[:, -1].float()  # type: ignore[no-any-return]


def _shared(ids: torch.Tensor, start: int, alike: int) -> int:
    """How many tokens the rows begin with alike, up to the first picture that is not; 0 where it is not worth it."""
    pictures = (ids[0] == start).nonzero()[:, 0].tolist()
    limit = pictures[alike] if len(pictures) > alike else ids.shape[1] - 1
    same = (ids == ids[0]).all(0).tolist()[:limit]
    shared = sum(1 for _ in takewhile(bool, same))
    return shared if shared >= WORTH and len(ids) > 1 and shared == limit else 0


def _pictures(rows: Sequence[Any], first: int, last: int | None) -> list[dict[str, Any]]:
    """Patches and sizes of some of each row's pictures; nothing where there are none."""
    found = []
    for row in rows:
        grid = row["image_grid_thw"]
        counts = grid.prod(1).tolist()
        begin, end = sum(counts[:first]), sum(counts[:last])
        if end > begin:
            found.append({"pixel_values": row["pixel_values"][begin:end], "image_grid_thw": grid[first:last]})
    return found
