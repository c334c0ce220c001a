"""What the models were asked while a stage ran, and what they answered."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Exchange:
    """A question to a model and its answer, word for word.

    Attributes:
        role: the model's, "llm" or "vlm".
        question: the text that it was given, without its chat template; a blank line between several yes-or-no questions.
        answer: its reply, or the likelihood of a "yes" to each question, likewise.
        pictures: how many it was shown besides.
        read: tokens of the question's text.
        written: tokens of the answer, 0 where only a likelihood was looked at.
        seconds: from question to answer.
        temperature: of the answer; 0 is the likeliest one.
    """

    role: str
    question: str
    answer: str
    pictures: int = 0
    read: int = 0
    written: int = 0
    seconds: float = 0.0
    temperature: float = 0.0
