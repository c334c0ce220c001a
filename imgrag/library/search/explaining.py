"""Why a picture was found, in one sentence by a language model that is held to the picture's own fields.

The model replies with JSON, which a schema reads. What cannot be read, names another picture or says what the
fields do not (see `grounding`) is asked for once more; then a plain sentence is made of the fields, and marked as such.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from imgrag.library.search.grounding import starred, strange_words
from imgrag.models import Chat
from imgrag.texts import clean_line

EXPLANATION = """Why is this what was asked? One short sentence of its words and numbers; asked words with a * are among them. Reply as JSON: {{"id": {id}, "reason": "..."}}
id: {id}
{fields}
Asked: {query}"""
TRIES = ((0.0, 0), (0.7, 1))  # temperature and seed of each time it is asked
LONGEST = 200  # characters of a value, a query or a reason
MOST_FIELDS = 12


@dataclass(frozen=True)
class Item:
    """What a library has of a picture. `fields` are in the order they are shown; source and licence explain nothing."""

    id: int
    name: str = ""
    caption: str = ""
    fields: Mapping[str, object] = field(default_factory=dict, hash=False)

    @property
    def lines(self) -> list[str]:
        """ "name: shirt", "price: 49"."""
        given = {"name": self.name, "caption": self.caption, **self.fields}
        told = ((clean_line(key), clean_line(str(value))[:LONGEST]) for key, value in given.items())
        return [f"{key}: {value}" for key, value in told if value][: MOST_FIELDS + 2]


@dataclass(frozen=True)
class Explanation:
    """Why a picture was found. `plain`: no model wrote it, it only lists the picture's fields."""

    id: int
    reason: str
    plain: bool = False


class Reply(BaseModel):
    """What a model has to reply. "product_id" is read as "id"."""

    model_config = ConfigDict(str_strip_whitespace=True)

    id: int = Field(validation_alias=AliasChoices("id", "product_id"))
    reason: str = Field(min_length=3, max_length=LONGEST)


def explanation_question(item: Item, query: str) -> str:
    """What a model is asked about one picture; the pocket LLM is trained on exactly this."""
    asked = " ".join(query.replace("*", " ").split())[:LONGEST]
    fields = "\n".join(item.lines)
    return EXPLANATION.format(id=item.id, fields=fields, query=starred(asked, fields))


def explain(llm: Chat, query: str, item: Item) -> Explanation:
    """Ask for a reason until one can be read and is grounded, twice at most; else list the fields."""
    question = explanation_question(item, query)
    for temperature, seed in TRIES:
        said = parse_explanation(llm.reply(question, temperature=temperature, seed=seed), item.id)
        if said and not strange_words(said, "\n".join(item.lines), query):
            return Explanation(item.id, said)
    return plain_explanation(item)


def parse_explanation(reply: str, expected: int) -> str | None:
    """The reason in a model's reply; `None` where it has none by the schema, or one for another picture."""
    text = re.sub(r"<think>.*?(?:</think>|\Z)", " ", reply, flags=re.DOTALL)
    found = re.search(r"\{.*?\}", text, re.DOTALL)
    try:
        read = Reply.model_validate_json(found.group() if found else "")
    except ValidationError:
        return None
    return " ".join(read.reason.split()) if read.id == expected else None


def plain_explanation(item: Item) -> Explanation:
    """What the fields say, for where no model does: "a blue cotton shirt: category clothes, price 49"."""
    title = clean_line(item.caption or item.name).rstrip(".")
    rest = [line.replace(": ", " ", 1) for line in item.lines if not line.startswith(("name: ", "caption: "))]
    said = ": ".join(filter(None, (title, ", ".join(rest)))) or f"id {item.id}"
    return Explanation(item.id, said, plain=True)


def explanation_reply(explanation: Explanation) -> str:
    """An explanation as a model replies with it."""
    return json.dumps({"id": explanation.id, "reason": explanation.reason}, ensure_ascii=False)
