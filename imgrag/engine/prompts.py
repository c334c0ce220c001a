"""Every template a model is asked with and every parser of what it replies.

The pocket models are trained on exactly these templates, so `template_hash()` stands in their
cards and a test fails when the two part. Parsers are tolerant: a reply may have a stray period,
bullets, markdown, other wording; `None` means "unusable, ask again".
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from imgrag.runs.values import Concept, Verdict

VERDICT = """Prompt: "{prompt}"
Does the picture show all of it, content and style? Reply:
Seen: what you see
Matches: yes or no
Missing: what is missing, or none"""

SECOND_VERDICT = """Prompt: "{prompt}"
{references}
Does the first picture show all of the prompt, content and style? Reply:
Seen: what you see in the first picture
Matches: yes or no
Missing: what is missing, or none"""

REFERENCE_LINE = "Picture {number} shows {concept}."
NEAREST_LINE = "Picture {number} is the nearest that was found for {concept}, {alike}% alike."

THING = """{references}Does the first picture show {concept}? Answer yes or no."""

SAME = """Does the first picture show what the second picture shows? Answer yes or no."""

CHANGED = """The second picture is asked for, changed so: {text}. Does the first picture show that? Answer yes or no."""
"""Not among `TEMPLATES`: no pocket model learned it, and the profile gives what it would answer no weight."""

CONCEPTS = """Prompt: "{prompt}"
Feedback on its picture:
{feedback}
Which things of the prompt are missing? At most {limit}, one a line, each with a caption to find a photo of it:
- name: caption
If nothing is missing: none"""

VALIDATION = """Can a photo show "{concept}"? It can show a thing, not an idea such as "freedom".
Answer yes or no."""

TRANSLATION = """Say in {language} what this asks to draw. Names that have no translation stay as they are.
"{prompt}\""""

AUGMENTATION = """Write the prompt again without brackets: each phrase in [brackets] as what is known of it, a colour as the background.
Known:
{facts}
Prompt: "{prompt}\""""

TEMPLATES = (
    VERDICT,
    SECOND_VERDICT,
    REFERENCE_LINE,
    NEAREST_LINE,
    THING,
    SAME,
    CONCEPTS,
    VALIDATION,
    TRANSLATION,
    AUGMENTATION,
)


def template_hash() -> str:
    """The first 16 hex digits of the SHA-256 of all templates."""
    return hashlib.sha256("\x00".join(TEMPLATES).encode()).hexdigest()[:16]


def with_article(noun: str) -> str:
    """ "owl" -> "an owl", "scissors" -> "scissors"."""
    words = noun.split()
    if not words or words[0] in ("a", "an", "the"):
        return noun
    if words[-1].endswith("s") and not words[-1].endswith(("ss", "us", "is", "as")):
        return noun
    vowel = noun[0] in "aeiou" and not noun.startswith(("uni", "eu", "one"))
    return f"{'an' if vowel else 'a'} {noun}"


def verdict_question(prompt: str) -> str:
    return VERDICT.format(prompt=_quoted(prompt))


@dataclass(frozen=True)
class Introduced:
    """How a reference picture is introduced to a judge.

    Attributes:
        concept: what it was looked up for.
        alike: its cosine similarity where that is all that speaks for it; `None` where it is called so.
    """

    concept: str
    alike: float | None = None


def second_verdict_question(prompt: str, references: Sequence[Introduced]) -> str:
    """`references` introduce the reference pictures, which follow the judged picture in this order."""
    return SECOND_VERDICT.format(prompt=_quoted(prompt), references="\n".join(_reference_lines(references)))


def thing_question(name: str, references: Sequence[Introduced] = ()) -> str:
    """Whether the first picture shows one thing (as in VQAScore, TIFA and DSG: one short question a thing)."""
    lines = "".join(f"{line}\n" for line in _reference_lines(references))
    return THING.format(references=lines, concept=with_article(_quoted(name)))


def changed_question(text: str) -> str:
    """Whether the first picture shows the second one as words would have it."""
    return CHANGED.format(text=_quoted(text))


def translation_question(prompt: str, language: str) -> str:
    return TRANSLATION.format(prompt=_quoted(prompt), language=language)


def augmentation_question(prompt: str, facts: Sequence[str]) -> str:
    """`prompt` has the phrases that something is known of in [brackets]; `facts` are as `fact_line` gives them."""
    lines = "\n".join(f"- {_quoted(fact)}" for fact in facts)
    return AUGMENTATION.format(prompt=_quoted(prompt), facts=lines)


def fact_line(term: str, text: str) -> str:
    """A text of a knowledge base; its term stands before it where it does not say it itself."""
    return text if term.casefold() in text.casefold() else f"{term}: {text}"


def _reference_lines(references: Sequence[Introduced]) -> list[str]:
    """A line for each picture but the first, which is the judged one."""
    return [_reference_line(number, reference) for number, reference in enumerate(references, start=2)]


def _reference_line(number: int, reference: Introduced) -> str:
    concept = with_article(_quoted(reference.concept))
    if reference.alike is None:
        return REFERENCE_LINE.format(number=number, concept=concept)
    return NEAREST_LINE.format(number=number, concept=concept, alike=round(100 * reference.alike))


def concepts_question(prompt: str, feedback: str, limit: int) -> str:
    return CONCEPTS.format(prompt=_quoted(prompt), feedback=feedback.strip(), limit=limit)


def validation_question(concept: str) -> str:
    return VALIDATION.format(concept=_quoted(concept))


def concepts_reply(missing: Sequence[str]) -> str:
    """What an LLM lists when it keeps to the format."""
    return "\n".join(f"- {name}: a picture of {with_article(name)}" for name in missing) or "none"


def enhancing_prompt(template: str, concepts: Sequence[str], prompt: str) -> str:
    """Word the second generation, e.g. "According to this image of an owl, generate {prompt}"."""
    images = "this image" if len(concepts) == 1 else "these images"
    named = " and ".join(with_article(concept) for concept in concepts)
    return template.format(images=images, concepts=named, prompt=prompt)


def _quoted(text: str) -> str:
    """On one line and without double quotes, so that it cannot end the quotation it stands in."""
    return " ".join(text.replace('"', "'").split())


# Parsers: a reply is text from outside, so every one of them takes any string.

_LABEL = re.compile(
    r"\b(seen|match(?:es)?|missing)(?: things?| concepts?)?(?:\s*[:=]|\s+[-\u2013]\s)\s*", re.IGNORECASE
)
_OPINIONS: tuple[tuple[str, bool | None], ...] = (  # the first that is found counts
    (r"\A\W*(?:yes|true)\b", True),
    (r"\A\W*(?:no|false)\s*(?:[.,;:!(\n]|\Z)", False),
    (r"\bunable\b|\b(?:can't|cannot|can not) (?:tell|see|view|determine|say|help|assist|answer)\b", None),
    (
        r"\b(?:nothing|no)(?: \w+)? (?:is |are )?(?:missing|lacking|absent)\b|\bno missing\b|\black(?:s)? nothing\b",
        True,
    ),
    (r"\b(?:no|false|not|cannot|lack(?:s|ing)?|absent|missing)\b|n't\b|\bmismatch|\bpartial", False),
    (r"\b(?:yes|true|match(?:es|ed)?|everything)\b|\bcorrect", True),
)
_IS_MISSING = re.compile(
    r"(?:^|[.;,:\n]|\bbut\b)\s*([^.;,:\n]{1,80}?)\s+(?:is|are)\s+(?:missing|absent|lacking|not\s+\w+)",
    re.IGNORECASE,
)
_NOTHING = re.compile(
    r"(?:(?:it|(?:the|this) (?:picture|image|photo)) )?(?:lacks |misses )?"
    r"(?:none|nothing|nil|null|n/?a|no|nope|zero|not applicable|everything is (?:there|present|here))"
    r"(?: (?:is|are|at|all|else|of|the|them|in|picture|image|missing|lacking|things?|concepts?|elements?|items?))*",
    re.IGNORECASE,
)
_HEADING = re.compile(
    r"^(?:(?:the )?(?:missing|lacking)(?: (?:things?|concepts?|objects?|elements?|items?))?|concepts?|names?|answer)\s*[:=]",
    re.IGNORECASE,
)
_SENTENCE = re.compile(  # words that a sentence has and a thing's name has not
    r"\b(?:i|i'm|i'll|we|you|it|it's|he|she|they|this|that|there|these|those|here|sure|sorry|please|unable|cannot|"
    r"can't|unclear|unknown|is|are|was|were|be|does|do|did|don't|doesn't|isn't|aren't|should|would|could|has|have|"
    r"not|matches|missing|lacks?|shows|contains|includes|depicts|answer|feedback|prompt|none|nothing|yes|true|false)\b",
    re.IGNORECASE,
)
_MAX_NAME_WORDS = 6
_MAX_NAME = 60  # characters
_MAX_CAPTION = 300  # characters


def parse_verdict(reply: str) -> Verdict | None:
    """Read what a VLM says of an image; `None` if it says neither yes nor no nor what is missing.

    "yes" beside a list of missing things is a contradiction. The list is believed, because
    looking once more is cheap and the second verdict guards the result, while a believed "yes"
    would hide the fault; only what the same reply also lists as seen is taken off the list. A
    model looks before it concludes: where all that it calls missing was seen, nothing is missing.
    """
    text = _plain(reply)
    fields = _fields(text)
    seen = _names(fields.get("seen", ""))
    missing = _names(fields.get("missing", "")) if fields else _is_missing(text)
    matches = _opinion(fields.get("match", "") if fields else text)
    listed, there = missing, {name.casefold() for name in seen}
    missing = tuple(name for name in listed if name.casefold() not in there)
    if listed and not missing:
        matches = True
    if matches is None and not missing:
        if not _says_nothing(fields.get("missing", "")):
            return None
        matches = True
    return Verdict(matches=bool(matches) and not missing, missing=missing, seen=seen, raw=reply)


def parse_concepts(reply: str, prompt: str, limit: int) -> tuple[Concept, ...] | None:
    """Read an LLM's list of missing concepts, at most `limit`; `()` if it says "none".

    `None` if no line of it can be a name. A name that stands in the prompt is spelt as there.
    """
    text = _plain(reply)
    if _says_nothing(_HEADING.sub("", text)):
        return ()
    concepts: dict[str, Concept] = {}
    for found, caption in _named_captions(text):
        name = spelt_as_in(prompt, found)
        caption = caption.replace(found, name) or default_caption(name)
        concepts.setdefault(name.casefold(), Concept(name, caption))
    return tuple(concepts.values())[:limit] or None


def parse_yes_no(reply: str) -> bool | None:
    """The first plain yes or no of a reply; `None` if there is none."""
    found = re.search(
        r"\b(yes|yeah|yep|true|nope|false|no(?! (?:idea|way|clue)\b))\b", _plain(reply), re.IGNORECASE
    )
    return found.group(1).lower() in ("yes", "yeah", "yep", "true") if found else None


def parse_translation(reply: str) -> str | None:
    """The first line of a translation, without quotation marks; `None` if it is empty."""
    lines = [line.strip(" \"'\u201c\u201d") for line in _plain(reply).splitlines()]
    return next(filter(None, lines), None)


def parse_augmentation(reply: str) -> str | None:
    """The first line of a prompt written again, without label, quotation marks and brackets; `None` if it is empty."""
    lines = [
        re.sub(r"^prompt\s*:", "", line.strip(), flags=re.IGNORECASE) for line in _plain(reply).splitlines()
    ]
    said = (" ".join(line.replace("[", "").replace("]", "").split()).strip(" \"'") for line in lines)
    return next(filter(None, said), None)


def default_caption(name: str) -> str:
    """What a reference is searched by when nobody worded it."""
    return f"a picture of {with_article(name)}"


def spelt_as_in(prompt: str, name: str) -> str:
    """The prompt's own spelling of a name, also where a model has copied it with a slip of a letter.

    "Toolbox" -> "toolbox", "zorblux" -> "zorblax"; "dog" stays although the prompt says "dogs".
    """
    words = re.findall(r"[\w'-]+", prompt)
    count = len(name.split())
    phrases = {
        " ".join(words[i : i + count]).casefold(): " ".join(words[i : i + count]) for i in range(len(words))
    }
    wanted = name.casefold()
    near = difflib.get_close_matches(wanted, phrases, n=1, cutoff=0.8)
    if not near or (near[0] != wanted and (near[0].startswith(wanted) or wanted.startswith(near[0]))):
        return name
    return phrases[near[0]]


def _plain(reply: str) -> str:
    """Without reasoning, special tokens, code fences and emphasis; JSON becomes "key: value" lines."""
    text = re.sub(r"<think>.*?(?:</think>|\Z)|<\|[^|>]*\|>|```\w*", " ", reply, flags=re.DOTALL)
    text = text.replace("\u2019", "'").replace("\u201c", '"').replace("\u201d", '"').strip()
    if text[:1] in ("{", "["):
        with contextlib.suppress(ValueError, RecursionError):
            text = "\n".join(_lines(json.loads(text)) or ["none"])
    return re.sub(r"\*+|`|(?<!\w)_+|_+(?!\w)|^#+ ", "", text, flags=re.MULTILINE).strip()


def _lines(value: Any) -> list[str]:
    """The lines that a JSON reply would have been as text."""
    if isinstance(value, dict):
        if "name" in value:
            return [f"{value['name']}: {value.get('caption', '')}"]
        return [line for key, item in value.items() for line in (f"{key}:", *(_lines(item) or ["none"]))]
    if isinstance(value, list):
        return [line for item in value for line in _lines(item)]
    if value is None:
        return ["none"]
    return [("no", "yes")[value] if isinstance(value, bool) else str(value)]


def _fields(text: str) -> dict[str, str]:
    """The values of "Seen:", "Matches:" and "Missing:", whether on lines of their own or on one."""
    parts = _LABEL.split(text)
    keys = ("match" if key.lower().startswith("match") else key.lower() for key in parts[1::2])
    return dict(zip(keys, (value.strip() for value in parts[2::2]), strict=True))


def _opinion(text: str) -> bool | None:
    """Whether free wording says that an image matches, e.g. "<Content matches>"."""
    return next((value for pattern, value in _OPINIONS if re.search(pattern, text, re.IGNORECASE)), None)


def _is_missing(text: str) -> tuple[str, ...]:
    """ "No, the toolbox is missing." -> ("toolbox",)"""
    return _names("; ".join(found.group(1) for found in _IS_MISSING.finditer(text)))


def _says_nothing(text: str) -> bool:
    return _NOTHING.fullmatch(text.strip(" \t\n.,;:!-*()[]<>\"'")) is not None


def _names(text: str) -> tuple[str, ...]:
    """A list in any shape -> its names, without remarks in parentheses and without duplicates.

    It is split at lines, commas, semicolons, numbers and "and a"; "black & white photo" stays whole.
    """
    without = re.sub(r"(?<=\w)\s*\([^)]*\)", " ", text)
    parts = re.split(r"[\n,;]|(?:^|(?<=\s))\d+[.)]\s|\s+and\s+(?=(?:an?|the|some)\s)|\.\s+", without)
    names: dict[str, str] = {}
    for name in filter(None, map(_name, parts)):
        names.setdefault(name.casefold(), name)
    return tuple(names.values())


def _name(text: str) -> str | None:
    """A noun phrase without bullet, quotes and article; `None` if it cannot be a thing's name."""
    name = " ".join(text.replace('"', " ").split()).strip(" .,;:!?'<>[]{}()+#\u2022\u2013-")
    name = re.sub(r"^(?:(?:and|or|but|an?|the|some|no|any)\s+)+", "", name, flags=re.IGNORECASE)
    too_long = len(name) > _MAX_NAME or len(name.split()) > _MAX_NAME_WORDS
    if too_long or _SENTENCE.search(name) or _says_nothing(name) or not re.search(r"[^\W\d_]", name):
        return None
    return name


def _named_captions(text: str) -> Iterator[tuple[str, str]]:
    """(name, caption) of each item of an LLM's list, caption "" where there is none."""
    joined = re.sub(r"\n\W*caption\s*[:=]\s*", ": ", text, flags=re.IGNORECASE)
    for line in re.split(r"\n|(?<=\s)(?=\d+[.)]\s)", joined):
        line = re.sub(r"^[\s\-\u2022\u2013+]*(?:\d+[.):]\s*)?", "", line)
        head, *rest = re.split(r"\s*:\s*|\s+[-\u2013\u2014]\s+", _HEADING.sub("", line).strip(), maxsplit=1)
        names = _names(head)
        caption = " ".join("".join(rest).split()).strip(" \"',")[:_MAX_CAPTION]
        yield from ((name, caption if len(names) == 1 else "") for name in names)
