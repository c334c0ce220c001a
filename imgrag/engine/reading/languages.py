"""In which language a prompt is, as far as it matters: the generator's, or another one."""

from __future__ import annotations

import re
import unicodedata

from simplemma.language_detector import in_target_language

LATIN = {"es": "Spanish", "fr": "French", "de": "German", "it": "Italian", "pt": "Portuguese", "nl": "Dutch"}
NAMES = {"en": "English", "zh": "Chinese", **LATIN}
MOSTLY = 0.6  # of the words are English, or so many that no other language is looked at
_SCRIPTS = {
    "CJK": "Chinese", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean", "CYRILLIC": "Russian",
    "ARABIC": "Arabic", "GREEK": "Greek", "HEBREW": "Hebrew", "THAI": "Thai", "DEVANAGARI": "Hindi",
}  # fmt: skip


def foreign_script(text: str) -> str:
    """The language of a text that is not in Latin letters, by the script of most of them; "" if it is in those."""
    found = [_SCRIPTS[script] for script in map(_script, filter(str.isalpha, text)) if script in _SCRIPTS]
    if "Japanese" in found:
        return "Japanese"
    return max(set(found), key=found.count) if found else ""


def foreign_words(text: str, languages: tuple[str, ...]) -> str:
    """The first of these languages that knows more of the words than English does; "" if none does."""
    words = re.findall(r"[^\W\d_]{2,}", text)
    if not words:
        return ""
    english = in_target_language(text, lang="en")
    if english >= MOSTLY:
        return ""
    for language in languages:
        share = in_target_language(text, lang=language) if language in LATIN else 0.0
        if share > english:
            return NAMES[language]
    return ""


def _script(letter: str) -> str:
    return unicodedata.name(letter, "").split(" ")[0].split("-")[0]
