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


_SMALL = {
    "en": "a an the and of with on at to from by his her its my your under next behind beside between without not is are two three four some",
    "es": "un una unos unas el la los las y de del con en sobre bajo sin por para mi su que es al junto dos tres cuatro cinco lo quiero estilo",
    "fr": "un une des le la les et du de avec dans sur sous sans pour mon ma mes son sa ses est au aux deux trois quatre moi dessine qui en vers chez à",
    "de": "ein eine einen einem einer eines der die das den dem und mit auf im in am unter ohne für von zum zur sein seine seinem mein meine ist neben bitte zwei drei vier vor",
    "it": "un uno una il lo la gli le i e di del della con in nel nella su sul sotto senza per mio mia due tre quattro al alla che disegna sulla nello",
    "pt": "um uma uns umas o a os as e de do da dos das com em no na nos nas sobre sob sem por para meu minha dois duas três quatro ao à que",
    "nl": "een het de en van met op in onder zonder voor aan bij mijn zijn is naast twee drie vier over door hun deze die uit te",
}  # fmt: skip
_SMALL_WORDS = {language: frozenset(words.split()) for language, words in _SMALL.items()}
LEAST_SMALL = 2  # articles and the like from which on a language is told by them


def is_in_english(text: str) -> bool:
    """Whether a text has articles and the like, and more of English than of any other language."""
    found = _small_words(text)
    return found.pop("en") > max(found.values())


def has_small_words(text: str, language: str) -> bool:
    """Whether a text has articles and the like of this language, "es", and none of English: "el perro"."""
    found = _small_words(text)
    return bool(found.get(language)) and not found["en"]


def by_small_words(text: str) -> str:
    """The language whose articles, prepositions and numbers a text has most of; "" if that is English or too few.

    Where two languages have as many, or there is one such word only, it is the one that knows more of all words.
    """
    counts = _small_words(text)
    most = max(counts.values())
    if not most or counts["en"] * 2 >= most:
        return ""
    best = [language for language, count in counts.items() if count == most]
    shares = {language: in_target_language(text, lang=language) for language in (*best, "en")}
    likely = max(best, key=lambda language: shares[language])
    return NAMES[likely] if most >= LEAST_SMALL or shares[likely] > shares["en"] else ""


def _small_words(text: str) -> dict[str, int]:
    """How many different ones of each language a text has."""
    words = set(re.findall(r"[^\W\d_]+", text.casefold()))
    return {language: len(words & small) for language, small in _SMALL_WORDS.items()}


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
