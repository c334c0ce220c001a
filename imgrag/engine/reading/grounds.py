"""What a prompt says of the ground behind its things: "on a plain red background", "background: red"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from imgrag.engine.reading.words import PLAIN
from imgrag.runs.decisions import listed
from imgrag.runs.reading import LeftOut
from imgrag.texts import clean_line

_GROUND = r"(?:background|backdrop|bg)\b(?:\s+colou?r\b)?"
_SURFACE = r"(?:ground|canvas|surface|wall|paper|sheet|page|base|cloth|card)\b"
_NEVER = r"(?:on|in|with|against|before|over|of|an?|the|and|some)\s"
_BEHIND = r"(?:on|in|with|against|before|over|upon|in\s+front\s+of)"
_ARTICLE = r"(?:an?|the|some|its|their)\s+"
_MANNER = rf"(?:(?:{'|'.join(sorted(PLAIN))})[\s,]{{1,3}}){{0,4}}"
_SAID = re.compile(  # "the background is blue", "background: red"; but not "on red background: a dog"
    rf"""(?:^|[,;.(]|\b(?:and|with|while|where|whose)\s)\s*(?:{_ARTICLE})?{_GROUND}
    (?:\s*[:=]\s*|\s+(?:is|be|being|to\s+be|(?:should|must|shall|may|can)\s+be)\s+)
    (?:{_ARTICLE})?({_MANNER}[\w-]{{1,40}})(?:\s+colou?r(?:ed)?\b)?""",
    re.IGNORECASE | re.VERBOSE,
)
_NAMED = re.compile(  # "on a plain blue background"
    rf"""(?:[,;\s]{{0,4}}\b{_BEHIND}\s+)?(?:{_ARTICLE})?
    \b({_MANNER}(?:(?!{_NEVER})[\w-]{{1,40}}\s+){{1,4}}?)(?:colou?red\s+)?{_GROUND}""",
    re.IGNORECASE | re.VERBOSE,
)
_GREYS = {"grey": "gray"}
_SAYS_NOTHING = frozenset(
    "a an the some its their on in with against before over upon front of background backdrop bg color colour is be being "
    "to should must shall may can and while where make".split()
)


def grounded(text: str, grounds: Sequence[str], closed: bool) -> tuple[str, str, list[LeftOut]]:
    """The text without its ground, that ground, and what is left out of it.

    Args:
        grounds: the colours that can be drawn.
        closed: whether there are no others; else the ground is any that is named.
    """
    found = _found(text, grounds)
    if found is None:
        return text, "", []
    rest = f"{text[: found.start()]} , {text[found.end() :]}"
    if not closed:
        return rest, " ".join(found.group(1).split()), []
    words = [word for word in re.findall(r"[\w-]+", found.group().casefold()) if word not in PLAIN]
    if near := [colour for word in words if (colour := _GREYS.get(word, word)) in grounds]:
        return rest, near[0], []
    return rest, "", [_declined(found.group(), grounds)] if set(words) - _SAYS_NOTHING else []


def _found(text: str, grounds: Sequence[str]) -> re.Match[str] | None:
    patterns = (_SAID, *_of_colours((*grounds, *_GREYS)), _NAMED)
    return next((found for pattern in patterns if (found := pattern.search(text))), None)


def _of_colours(colours: Iterable[str]) -> tuple[re.Pattern[str], ...]:
    """ "the background in red", "on red paper", and "on red" where nothing follows; other colours are things."""
    colour = rf"(?:{_ARTICLE})?({_MANNER}(?:{'|'.join(colours)}))(?:\s+colou?red)?"
    end = r"(?=\s*(?:[,.;!?)]|$|\band\b|\bwith\b))"
    ground = rf"(?:^|[,;.(\s])\s*(?:(?:with|make)\s+)?(?:{_ARTICLE})?\b{_GROUND}"
    sources = (
        rf"{ground}\s+(?:in|of)\s+{colour}\b",
        rf"{ground}\s+{colour}{end}",
        rf",?\s+{_BEHIND}\s+{colour}\s+{_SURFACE}",
        rf"(?:^|,?\s+){_BEHIND}\s+{colour}(?=\s*(?:[,.;!?]|$))",
    )
    return tuple(re.compile(source, re.IGNORECASE) for source in sources)


def _declined(words: str, grounds: Sequence[str]) -> LeftOut:
    said = clean_line(words).strip(" ,;")
    return LeftOut(said, f"the grounds are {listed(grounds)}", seen=True)
