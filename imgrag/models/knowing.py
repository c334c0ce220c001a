"""The part of a profile that says when texts are looked up for a prompt, and where."""

from __future__ import annotations

from dataclasses import dataclass

from imgrag.errors import ProfileError
from imgrag.runs.knowledge import WHENS
from imgrag.runs.values import in_brief

MAX_TEXTS = 10


@dataclass(frozen=True, kw_only=True)
class KnowledgeProfile:
    """How prompts are augmented.

    Attributes:
        base: the knowledge base that is searched unless the request names another; "" for none.
        when: "off", "on", or "unknown": only where a phrase is known to neither generator nor library, or sets a scene.
        k: texts that are kept for each phrase, at most.
        alike: cosine similarity from which on a text counts that no words found; 1 where words alone do.
    """

    base: str = ""
    when: str = "off"
    k: int = 3
    alike: float = 1.0

    def __post_init__(self) -> None:
        if self.when not in WHENS:
            raise ProfileError(f"knowledge.when is {in_brief(self.when)!r}, none of {', '.join(WHENS)}")
        if not 1 <= self.k <= MAX_TEXTS:
            raise ProfileError(f"knowledge.k is {in_brief(self.k)}, not from 1 to {MAX_TEXTS}")
        if not 0 <= self.alike <= 1:
            raise ProfileError(f"knowledge.alike is {self.alike}, not from 0 to 1")
