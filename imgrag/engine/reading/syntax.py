"""What prompts bring along from other tools: weights, LoRA tags, wildcards, flags, negative blocks.

The syntaxes are those of AUTOMATIC1111's web UI and its parameter blocks, of ComfyUI, Dynamic Prompts and
Midjourney. Nothing of it is drawn; what it says of the picture is kept, and the rest is told.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from imgrag.runs.reading import LeftOut

_NEGATIVE = re.compile(r"(?:^|[\s,.;])negative prompt\s{0,4}:", re.IGNORECASE)
_PARAMETERS = re.compile(
    r"(?:^|[\s,.])(?:steps|sampler|cfg scale|seed|model hash|clip skip|denoising strength)\s{0,4}:\s{0,4}\S",
    re.IGNORECASE,
)
"""Where a block of settings begins, which goes on to the end."""
_TAG = re.compile(r"<[a-z_]+:[^<>]*>", re.IGNORECASE)
_MARKUP = re.compile(r"</?[a-z][a-z0-9]{0,9}(?:\s[^<>]{0,200})?/?>", re.IGNORECASE)
_COMMAND = re.compile(r"^\s*/imagine\b\s*(?:prompt\s*:)?|^\s*prompt\s*:", re.IGNORECASE)
_FLAG = re.compile(r"(?<!\S)(?:--|\u2013|\u2014)([a-z]+)((?:\s+(?!--)[\w:.,/%]+)?)", re.IGNORECASE)
_UNWANTED = re.compile(
    r"(?<!\S)(?:--|\u2013|\u2014)no\s+((?:(?!\s(?:--|\u2013|\u2014)[a-z]).)+)", re.IGNORECASE
)
_CHOICE = re.compile(r"\{([^{}|]*)\|[^{}]*\}")
_WILDCARD = re.compile(r"__[\w/-]+__")
_STRENGTH = re.compile(r"::?\s{0,4}[-+]?(?:\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})(?=\s*[)\]},;]|\s|$)")
_EMPHASIS = re.compile(
    r"[(\[{][^()\[\]{}]*:\s{0,4}[\d.]{1,9}\s{0,4}[)\]}]|::\s*-?[\d.]|\(\(|\[\[|\{\{|^\s*\(.*\)\s*$|\[[^\[\]]*\]|\{[^{}]*\}"
)
_JOINED = re.compile(r"(?<!\S)(AND|BREAK|ADDCOMM|ADDROW|ADDCOL|ADDBASE)(?!\S)")
_SCHEDULE = re.compile(r"\[([^\[\]:|]*)[:|]([^\[\]:|]*)(?::\s*[\d.]+)?\]")


@dataclass(frozen=True)
class Plain:
    """A prompt without other tools' syntax; `negative` is what it says shall not be there."""

    text: str
    negative: str = ""
    left_out: tuple[LeftOut, ...] = ()


def plain(prompt: str) -> Plain:
    """Take out what is syntax, keep what it is about: "(dog:1.3), <lora:x:0.8>" -> "dog"."""
    told: list[LeftOut] = []
    text, negative = _blocks(prompt, told)
    text = _taken(_COMMAND, text, "", "it is a command of another tool", told)
    text = _flags(text, told)
    text = _taken(_TAG, text, " ", "LoRAs and embeddings are not written into the prompt here", told)
    text = _taken(_MARKUP, text, " ", "it is markup", told)
    text = _taken(_WILDCARD, text, " ", "there are no wildcards here", told)
    text = _chosen(text, told)
    text = _joined(text, told)
    if _EMPHASIS.search(text):
        told.append(LeftOut(_shown(text), "weights of words are not used here; the words themselves are"))
        text = re.sub(r"(?<!\\)[()\[\]{}]", " ", _STRENGTH.sub(" ", text)).replace("\\", "")
    return Plain(" ".join(text.split()), negative, tuple(told))


def _blocks(prompt: str, told: list[LeftOut]) -> tuple[str, str]:
    """The prompt without a block of parameters, and its negative block."""
    text = prompt
    if found := _PARAMETERS.search(text):
        told.append(
            LeftOut(_shown(text[found.start() :]), "these are settings; choose them beside the prompt")
        )
        text = text[: found.start()]
    wanted, *rest = _NEGATIVE.split(text, maxsplit=1)
    if not rest:
        return text, ""
    return wanted.rstrip(" \n\t,.;"), " ".join(rest[0].split()).strip(" ,.;")


def _flags(text: str, told: list[LeftOut]) -> str:
    """Without Midjourney's flags; what `--no` names is told as unwanted by the caller's words."""
    text = _UNWANTED.sub(lambda found: f", without {found.group(1)}", text)
    return _taken(
        _FLAG, text, " ", "flags of other tools do nothing here; the settings stand beside the prompt", told
    )


def _chosen(text: str, told: list[LeftOut]) -> str:
    """The first of what a wildcard or a schedule leaves open."""
    for pattern, group in ((_CHOICE, 1), (_SCHEDULE, 1)):
        while found := pattern.search(text):
            told.append(LeftOut(_shown(found.group()), "of several choices the first is taken"))
            first = re.sub(r"^\s*[\d.]{1,9}::", "", found.group(group)) or found.group(min(2, pattern.groups))
            text = f"{text[: found.start()]} {first} {text[found.end() :]}"
    return text


def _joined(text: str, told: list[LeftOut]) -> str:
    """ "a dog AND a cat" asks other tools for two prompts in one; in a text of capitals it is a word."""
    if not _JOINED.search(text) or text.isupper():
        return text
    words = ", ".join(dict.fromkeys(_JOINED.findall(text)))
    told.append(LeftOut(words, "one prompt is drawn here, so its parts are read as one list"))
    return _JOINED.sub(" , ", text)


def _taken(pattern: re.Pattern[str], text: str, place: str, reason: str, told: list[LeftOut]) -> str:
    """The text without what the pattern finds, each told."""
    told += [LeftOut(_shown(found.group()), reason) for found in pattern.finditer(text)]
    return pattern.sub(place, text)


def _shown(words: str) -> str:
    line = " ".join(words.split()).strip(" ,;")
    return line if len(line) <= 60 else f"{line[:59]}\u2026"
