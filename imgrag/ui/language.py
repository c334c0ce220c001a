"""The page in English and Chinese: which language is spoken, and every text in it.

Texts are written in English where they are used, and `zh.toml` holds what they are in Chinese. Three
ways lead there. `label` and `both` mark what a page is built with, which Gradio translates in the
browser. `say` translates what the server shows: it looks at the language of the request in hand. `told`
translates a finished English sentence of the engine, which knows nothing of languages; records and logs
keep the English one.

Names, prompts, file names and the models' own words are in no language of ours and stay as they are.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from string import Formatter
from typing import Literal

import gradio as gr
from gradio.context import LocalContext

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Language = Literal["en", "zh"]

CATALOGUE = Path(__file__).parent / "zh.toml"
COOKIE = "imgrag-language"  # set by page.js to what <html lang> says, which Gradio keeps at its own choice

OWED = {"common.upload": "Upload", "common.complete": "complete"}
"""Keys that gradio 6.31 asks for, and that none of its own languages has, with what they say."""

SOMETHING = "something"  # what a judge calls a shape that it has no name for

_spoken: ContextVar[Language | None] = ContextVar("spoken", default=None)
_rendered: dict[str, str] = {}  # HTML of the idle page, English -> Chinese; what `both` has made

_COMMA = re.compile(r", (?![^()]*\))")  # of a list, not of a remark in brackets
_STOP = re.compile(r"(?<=[.!?…]) ")  # where a sentence may end
_PLACES = {
    "": ".+?",
    "number": r"-?\d[\d,.]*",
    "quoted": r"'.*?'|\"[^\"]*\"",
    "names": ".+?",
    "list": ".+?",
    "words": ".+?",
    "known": ".+?",
}
"""What stands in the place of each kind of placeholder."""

MOST = 12  # sentences in one text


@contextmanager
def speaking(language: Language) -> Iterator[None]:
    """Within it, `say` and `told` speak this language, whatever the request says. Never across a `yield`."""
    token = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(token)


def language() -> Language:
    """The language in force: that of `speaking`, else of the request that Gradio is handling, else English.

    Gradio sets its request anew before each step of a generator, so nothing needs to be handed on.
    """
    spoken = _spoken.get()
    if spoken is not None:
        return spoken
    request = LocalContext.request.get(None)
    return "en" if request is None else language_of(request)


def language_of(request: gr.Request) -> Language:
    """What the page of this request is in: its own word for it (a cookie), else what the browser likes best."""
    headers = {name.lower(): value for name, value in dict(request.headers).items()}
    told = re.search(rf"(?:^|;\s*){COOKIE}=([\w-]+)", headers.get("cookie", ""))
    return _nearest(told[1] if told else _favourite(headers.get("accept-language", "")))


def say(template: str, **values: object) -> str:
    """The text in the language in force, its placeholders filled with `values` as `str.format` does.

    `template` is an English literal, so that a test finds what has no translation.
    """
    texts = _catalogue().texts if language() == "zh" else {}
    return texts.get(template, template).format(**values)


def label(text: str) -> str:
    """A label, info, placeholder, title or value that a component is built with: the browser translates it.

    It is Gradio's mark as a string, which unlike `gr.I18nData` fits everywhere, JSON of the API included.
    Not for alt texts and choices, which the browser leaves alone, and not for updates: those are `say`'s.
    """
    return str(gr.I18n()(text))


def both(render: Callable[[], str]) -> str:
    """HTML that a component is built with: the browser shows it in English or Chinese."""
    with speaking("en"):
        english = render()
    with speaking("zh"):
        _rendered[english] = render()
    return label(english) if english else ""


def words() -> gr.I18n:
    """Everything that the browser translates, for `launch(i18n=words())` once the page is built."""
    chinese = {**_catalogue().labels, **_rendered}
    english = {text: text for text in chinese}
    with speaking("zh"):
        owed = dict(zip(OWED, (say("Upload"), say("complete")), strict=True))
    return gr.I18n(en={**english, **OWED}, zh={**chinese, **owed})


def told(sentence: str) -> str:
    """A sentence of the engine, or some, in the language in force; English where it is not known."""
    return sentence if language() == "en" else _catalogue().told(sentence)


@dataclass(frozen=True)
class Template:
    """An English sentence with placeholders, and what it is in Chinese.

    A placeholder says after a colon what it holds: nothing for a name that stays as it is, `number`,
    `quoted` for a name in quotation marks, `names` for "a, b and c", `list` for such a list of things
    that are translated if they are known, `words` for a noun of ours or something else that is
    translated if it is known, `known` for something that must be or the sentence is not this one.
    """

    english: str
    chinese: str
    pattern: re.Pattern[str]
    kinds: Mapping[str, str]
    weight: int  # characters of its own: the more, the more specific

    @classmethod
    def read(cls, english: str, chinese: str) -> Template:
        """Compile an entry of the catalogue. Raises ValueError: it has an unknown kind of placeholder."""
        pattern, kinds, weight = "", {}, 0
        for own, name, kind, _ in Formatter().parse(english):
            pattern, weight = pattern + re.escape(own), weight + len(own)
            if name is None:
                continue
            if kind not in _PLACES:
                raise ValueError(f"{english!r} has a placeholder of an unknown kind, {kind!r}.")
            kinds[name] = kind
            pattern += f"(?P<{name}>{_PLACES[kind]})"
        return cls(english, chinese, re.compile(pattern, re.DOTALL), kinds, weight)


class Catalogue:
    """What `zh.toml` holds. `labels` is what the browser gets, `texts` all that `say` knows."""

    def __init__(self, table: Mapping[str, Mapping[str, str]]) -> None:
        self.labels = dict(table["labels"])
        self.texts = {**self.labels, **table["texts"]}
        templates = [Template.read(*entry) for entry in table["sentences"].items()]
        self._words = [Template.read(*entry) for entry in table["words"].items()]
        self._fixed = {entry.english: entry for entry in templates if not entry.kinds}
        self._open = sorted((t for t in templates if t.kinds), key=lambda t: -t.weight)

    def told(self, text: str) -> str:
        """One sentence after the other in Chinese; from where none is known, English."""
        whole = self._sentences(text)
        if whole is not None:
            return whole
        for head, rest in _halves(text):
            known = self.translate(head)
            if known is not None:
                return f"{known}{self.told(rest)}"
        return text

    def translate(self, text: str) -> str | None:
        """One sentence or part of one, `None` if no template fits."""
        match = self.match(text)
        return None if match is None else match[1]

    def match(self, text: str) -> tuple[Template, str] | None:
        """The most specific template that fits, and the text in Chinese."""
        if text in self._fixed:
            return self._fixed[text], self._fixed[text].chinese
        for template in self._open:
            chinese = self._filled(template, text)
            if chinese is not None:
                return template, chinese
        return None

    def _sentences(self, text: str) -> str | None:
        """All of the text, in as many sentences as there are; `None` if any is unknown."""
        for head, rest in _halves(text):
            first = self.translate(head)
            others = None if first is None else self._sentences(rest)
            if others is not None:
                return f"{first}{others}"
        return self.translate(text)

    def _filled(self, template: Template, text: str) -> str | None:
        found = template.pattern.fullmatch(text)
        if found is None:
            return None
        values = {}
        for name, value in found.groupdict().items():
            inside = self._inside(template.kinds[name], value)
            if inside is None:
                return None
            values[name] = inside
        return _filled(template.chinese, values)

    def _inside(self, kind: str, value: str) -> str | None:
        if kind == "quoted":
            return f"“{value[1:-1]}”"
        if kind == "names":
            return self._fixed[value].chinese if value in self._fixed else _listed(value, self._shape)
        if kind == "list":
            return self.translate(value) or _listed(value, lambda item: self.translate(item) or item)
        if kind == "known":
            return self._sentences(value)
        if kind == "words":
            return self._noun(value) or self._sentences(value) or value
        return value

    def _shape(self, name: str) -> str:
        """A name as it is, except for a judge's word for what it does not know."""
        return self._fixed[SOMETHING].chinese if name == SOMETHING else name

    def _noun(self, value: str) -> str | None:
        found = (self._filled(template, value) for template in self._words)
        return next(filter(None, found), None)


def _filled(chinese: str, values: Mapping[str, str]) -> str:
    """The template with its values; the space that keeps foreign words apart goes beside Chinese ones."""
    text = ""
    for own, name, _, _ in Formatter().parse(chinese):
        text += own.removeprefix(" ") if text and _is_chinese(text[-1]) else own
        value = values[name] if name else ""
        text = (text.removesuffix(" ") if value and _is_chinese(value[0]) else text) + value
    return text


def _listed(text: str, said: Callable[[str], str]) -> str:
    """ "a, b and c" -> "a、b 和 c", each part as `said` says it."""
    *first, last = _COMMA.split(text)
    items = [said(item) for item in (*first, *last.rsplit(" and ", 1))]
    if " and " not in last:
        return "、".join(items)
    return f"{'、'.join(items[:-1])} 和 {items[-1]}"


def _is_chinese(character: str) -> bool:
    return "\u4e00" <= character <= "\u9fff"


def _halves(text: str) -> Iterator[tuple[str, str]]:
    """Every way to cut a text in two where a sentence may end, the shortest first part first."""
    for stop in islice(_STOP.finditer(text), MOST):
        yield text[: stop.start()], text[stop.end() :]


@lru_cache(maxsize=1)
def _catalogue() -> Catalogue:
    return Catalogue(tomllib.loads(CATALOGUE.read_text(encoding="utf-8")))


def _nearest(tag: str) -> Language:
    return "zh" if re.match(r"zh\b", tag, re.IGNORECASE) else "en"


def _favourite(accepted: str) -> str:
    """The first of an Accept-Language header's languages by weight, as `navigator.language` is."""
    best, most = "", 0.0
    for part in accepted.split(","):
        tag, _, weight = part.strip().partition(";")
        number = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", weight)
        likes = float(number[1]) if number else 0.0 if weight else 1.0
        if likes > most:
            best, most = tag.strip(), likes
    return best
