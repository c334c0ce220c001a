"""What happens while somebody types: the text is read, names complete it, and a button thinks of one."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import gradio as gr

from imgrag.engine.prompts import with_article
from imgrag.engine.reading import Reader
from imgrag.engine.reading.languages import NAMES
from imgrag.engine.reading.vocabulary import Vocabulary, key
from imgrag.engine.reading.words import DETERMINERS, RELATIONS
from imgrag.errors import LibraryError, RequestError, StyleError
from imgrag.library import ImageLibrary
from imgrag.library.called import TYPING_SECONDS
from imgrag.runs.values import MAX_PROMPT
from imgrag.texts import clean
from imgrag.ui.create.events.runs import chosen
from imgrag.ui.create.layout.prompts import CHANGED, PromptField
from imgrag.ui.create.readings import foreign, left_out, names_list, styled, things
from imgrag.ui.create.thumbnails import pictures_of

if TYPE_CHECKING:
    from imgrag.engine.pipeline import ImageRAGPipeline

MOST_NAMES = 8
SHORTEST = 2  # Latin letters from which on a name is looked for
LONGEST = 200  # characters before the caret that are looked at
_SMALL = DETERMINERS | RELATIONS  # no name begins with one of these
_LAST_WORDS = re.compile(r"[\w'’&+/-]+(?: [\w'’&+/-]+){0,3}$")
WRITTEN = (
    "a hedgehog reading a map by candlelight, watercolor",
    "a red tram in a snowy street at night, photograph",
    "an astronaut watering sunflowers in a greenhouse",
    "a paper boat on a stormy sea, woodcut",
    "a fox and a heron at a breakfast table, oil painting",
    "a lighthouse made of books on a cliff",
)
"""For models whose words have no end."""


class Typing:
    """The handlers of the prompt's field. None of them waits for a run or opens a model."""

    def __init__(self, pipeline: ImageRAGPipeline, libraries: Mapping[str, str]) -> None:
        self._pipeline = pipeline
        self._libraries = libraries

    def typed(self, library: str | None, event: gr.EventData) -> str:
        """Names that complete what stands before the caret, and a chip for each thing of the prompt.

        The answer bears the number that typed.js gave the question: it asks again only once it has that.
        """
        (text, before, number), said = asked(event), ""
        with suppress(LibraryError, RequestError, StyleError):  # it is deleted meanwhile; a run says so
            shelf = self._shelf(library)
            names = completions(before, self._pipeline.vocabulary, shelf)
            said = names_list(names, before) + read_so_far(
                text, self._pipeline.reader(shelf, TYPING_SECONDS), shelf
            )
        return f'<div data-number="{number}">{said}</div>'

    def surprise(self) -> str:
        """A prompt that these models can draw: one or two of their names, or one that somebody wrote."""
        vocabulary, most = self._pipeline.vocabulary, self._pipeline.profile.reading.most
        if vocabulary is None:
            return random.choice(WRITTEN)
        count = random.randint(1, min(2, most or 2, len(vocabulary.names)))
        return " and ".join(map(with_article, random.sample(sorted(vocabulary.names.values()), count)))

    def _shelf(self, library: str | None) -> ImageLibrary:
        name = chosen(self._libraries, library) or self._pipeline.profile.retrieval.library
        return self._pipeline.library(name)


def asked(event: gr.EventData) -> tuple[str, str, int]:
    """The text, what stands before the caret, and the question's number.

    Raises:
        RequestError: typed.js sends no such thing.
    """
    data = event._data if isinstance(event._data, dict) else {}
    text, before, number = data.get("text"), data.get("before"), data.get("number")
    if not (isinstance(text, str) and isinstance(before, str) and isinstance(number, int)):
        raise RequestError("What was typed did not come as the page sends it. Load the page again.")
    return clean(text[:MAX_PROMPT]), clean(before[-LONGEST:]), number % 2**53


def read_so_far(text: str, reader: Reader, shelf: ImageLibrary) -> str:
    """Chips of the things and of what is left out, or which language it is; "" while there is neither."""
    if not text.strip():
        return ""
    language = reader.language_of(text)
    if language and not reader.glosses(language):
        known = reader.profile.understands
        return foreign(language, not known or language in [NAMES[code] for code in known])
    read = reader.read(text, lambda text: text)  # no model is needed for these
    found = things(read.things, pictures_of(shelf, read.things)) if read.things else ""
    found += styled(read.styles)
    if language:
        return found + left_out(read) + foreign(language, True, read.prompt)
    return found + left_out(read)


def completions(before: str, vocabulary: Vocabulary | None, library: ImageLibrary) -> list[tuple[str, int]]:
    """Names that begin as the last words before the caret do: the models' and the library's.

    Each comes with how many characters it takes the place of; names for more words come first. Of words that
    are a name already, only names that go on from there.
    """
    last = _LAST_WORDS.search(before)
    found: dict[str, int] = {}
    for word in re.finditer(r"\S+", last.group()) if last else ():
        prefix = last.group()[word.start() :] if last else ""
        if prefix.split()[0].casefold() in _SMALL or (len(prefix) < SHORTEST and prefix.isascii()):
            continue  # a library's names are compared without their articles
        names = [*_known(prefix, vocabulary), *library.completions(prefix, MOST_NAMES)]
        whole = library.holds(prefix) or bool(vocabulary and key(prefix) in vocabulary.names)
        for name in names:
            if key(name) != key(prefix) and (not whole or key(name).startswith(key(prefix))):
                found.setdefault(name, len(prefix))
        if whole:
            break
    return list(found.items())[:MOST_NAMES]


def _known(prefix: str, vocabulary: Vocabulary | None) -> list[str]:
    """The models' names that begin so, the shortest first."""
    if vocabulary is None:
        return []
    names = [name for spelling, name in vocabulary.names.items() if spelling.startswith(key(prefix))]
    return sorted(names, key=lambda name: (len(name), name))[:MOST_NAMES]


def wire_typing(typing: Typing, field: PromptField, library: gr.Dropdown, surprise: gr.Button) -> None:
    """Read what is typed beside the queue of runs; typed.js asks once at a time."""
    quiet: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    field.typed.select(typing.typed, library, field.typed, trigger_mode="multiple", **quiet)
    gr.on([field.prompt.change, library.change], None, None, None, js=CHANGED, **quiet)
    surprise.click(typing.surprise, None, field.prompt, **quiet)
