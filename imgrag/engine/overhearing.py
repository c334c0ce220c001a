"""Models as a stage borrows them, and beside it a note of what they are asked and answer. Knows no stage."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image

from imgrag.engine.context import Lender, Lending
from imgrag.runs.asking import Exchange

CHATS = ("llm", "vlm")
LONGEST = 10_000  # characters of a text that is kept; a record takes twice that
Note = Callable[[Exchange], None]


class Overheard(Lending):
    """Lends what a residency lends; every question to a chat among it is noted with its answer."""

    def __init__(self, lender: Lender, note: Note) -> None:
        super().__init__(
            lender, lambda role, model: OverheardChat(model, role, note) if role in CHATS else model
        )


class OverheardChat:
    """A chat that tells what it is asked; what else it can it does as ever."""

    def __init__(self, chat: Any, role: str, note: Note) -> None:
        self._chat = chat
        self._role = role
        self._tell = note

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chat, name)

    def reply(self, question: str, images: Sequence[Image.Image] = (), **decoding: Any) -> str:
        """See `imgrag.models.Chat`."""
        begun = time.perf_counter()
        answer: str = self._chat.reply(question, images, **decoding)
        written = self._chat.tokens(answer)
        self._noted(question, answer, len(images), begun, written, decoding.get("temperature", 0.0))
        return answer

    def sureness(self, questions: Sequence[str], images: Sequence[Image.Image]) -> list[float]:
        """See `imgrag.models.Judge`."""
        begun = time.perf_counter()
        told: list[float] = self._chat.sureness(questions, images)
        if told:
            self._noted("\n\n".join(questions), _likelihoods(told), len(images), begun)
        return told

    def odds(self, question: str, shown: Sequence[Sequence[Image.Image]]) -> list[float]:
        """See `imgrag.models.Judge`."""
        begun = time.perf_counter()
        told: list[float] = self._chat.odds(question, shown)
        sure = [1 / (1 + math.exp(-max(-500.0, min(500.0, odd)))) for odd in told]
        self._noted(question, _likelihoods(sure), sum(map(len, shown)), begun)
        return told

    def _noted(
        self,
        question: str,
        answer: str,
        pictures: int,
        begun: float,
        written: int = 0,
        temperature: float = 0.0,
    ) -> None:
        seconds = round(time.perf_counter() - begun, 3)
        read = self._chat.tokens(question)
        texts = question[:LONGEST], answer[:LONGEST]
        self._tell(Exchange(self._role, *texts, pictures, read, written, seconds, float(temperature)))


def _likelihoods(told: Sequence[float]) -> str:
    return "\n\n".join(f"yes: {sure:.1%}" for sure in told)
