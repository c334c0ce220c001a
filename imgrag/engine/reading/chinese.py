"""Chinese, cut into words and put into English word by word.

jieba's dictionary says where words begin and end, the vocabulary which of them are things. Words that stand side
by side without anything between them are one name, and of something else than its parts: 苹果手机 is no apple.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Literal

from imgrag.engine.reading.dialects import Dialect
from imgrag.engine.reading.spelling import key

if TYPE_CHECKING:
    from rjieba import Jieba

LONGEST = 8  # characters of a name
MOST = 99  # of a number
_PART = re.compile(r"\d*[a-zA-Z\u00c0-\u024f][\w'-]*|\d+(?:\.\d+)?|[^\x00-\u024f\s]+|\s+|\S")
_LATIN = re.compile(r"[\x00-\u024f]+")
_NUMERAL = re.compile(r"([二两三四五六七八九])?十([一二三四五六七八九])?")
_PUNCTUATION = frozenset("，,。.;；：:!！?？")
_OR = frozenset("和 与 與 跟 同 及 或 或者 、 以及 还有 還有".split())
_PLACES = "上下里裡中内外旁前后後边邊"
_HANDLING = frozenset(
    "戴 穿 骑 騎 踢 弹 彈 吃 喝 打 看 读 讀 坐 敲 钓 釣 拿".split()
)  # 戴帽子; but 飞船 is no boat
_COOKING = frozenset("炒烧烤炖蒸煮煎炸焖卤拌燒燉滷")
_THIS = frozenset("这 這 那 每 哪 某".split())
_GROUND = ("背景", "背景上", "底色")

Kind = Literal[
    "thing", "word", "quality", "number", "measure", "of", "verb", "not", "join", "scene", "silent", "gap"
]
CONTENT = ("thing", "word", "quality")


@dataclass(frozen=True)
class Token:
    """A word of a prompt, and what that is in English, as far as somebody can say it."""

    text: str
    kind: Kind
    said: str = ""


def english(
    text: str, dialect: Dialect, words: Mapping[str, str], several: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """The words in English, and the verbs that are left out."""
    walk = _Walk(dialect)
    tokens = [*Cutter(dialect, words).tokens(text), Token("", "gap")]
    for token, following in zip(tokens, [*tokens[1:], Token("", "gap")], strict=True):
        walk.take(token, following)
    walk.end()
    return walk.said, walk.verbs


@cache
def _jieba(names: tuple[str, ...]) -> Jieba:
    """A dictionary of its own, with these names too."""
    from rjieba import Jieba  # it brings its dictionary along, which takes a moment to open

    jieba = Jieba()
    for name in names:
        if not jieba.has_word(name):
            jieba.add_word(name, None, "n")
    return jieba


class Cutter:
    """Cuts a text into tokens, with the names of a vocabulary and the closed classes of Chinese."""

    def __init__(self, dialect: Dialect, words: Mapping[str, str]) -> None:
        self._dialect = dialect
        self._words = words
        self._jieba = _jieba(tuple(sorted(words)))

    def tokens(self, text: str) -> Iterator[Token]:
        """The tokens of a text in order."""
        for part in _PART.findall(text):
            if part.isspace():
                yield Token(part, "gap")
            elif part.isascii():
                yield self._latin(part)
            else:
                yield from self._cut(part)

    def _latin(self, part: str) -> Token:
        if part.isdecimal():
            return Token(part, "number", str(min(int(part[:4]), MOST)))
        kind: Kind = "number" if part.replace(".", "", 1).isdecimal() else "word"  # 1.5只猫
        return self._closed(part) or Token(part, kind, part)

    def _cut(self, run: str) -> Iterator[Token]:
        """Characters without a space between them, cut anew behind a number that jieba takes for a part of a word."""
        while run:
            tagged, run = self._jieba.tag(run, hmm=False), ""
            at = 0
            while at < len(tagged) and not run:
                length = self._length(tagged[at : at + LONGEST])
                word, tag = "".join(word for word, _ in tagged[at : at + length]), tagged[at][1]
                if not self._known(word) and (counted := self._counted(word)):
                    yield from counted  # 五颗星|星 are five stars
                    rest = "".join(word for word, _ in tagged[at:])
                    run = rest[sum(len(token.text) for token in counted) :]
                else:
                    yield from self._known(word) or self._parts(word, tag) or [self._by_tag(word, tag)]
                at += length

    def _length(self, tagged: Sequence[tuple[str, str]]) -> int:
        """How many of jieba's words are one name, or one word of a closed class."""
        return next((size for size in range(len(tagged), 1, -1) if self._is_one(tagged[:size])), 1)

    def _counted(self, word: str) -> list[Token]:
        """The number and the measure at the beginning of a word that goes on; empty without them."""
        for size in (3, 2, 1):
            number = self._closed(word[:size])
            for length in (2, 1) if number and number.kind == "number" else ():
                measure = word[size : size + length]
                if measure in self._dialect.measures and len(word) > size + length:
                    return [number, Token(measure, "measure")] if number else []
        return []

    def _is_one(self, tagged: Sequence[tuple[str, str]]) -> bool:
        word = "".join(word for word, _ in tagged)
        return len(word) <= LONGEST and (
            key(word) in self._words or word in self._dialect.others or self._closed(word) is not None
        )

    def _known(self, word: str) -> list[Token]:
        """A name or a word of a closed class as a list of one, a pair as two; empty if it is none of these."""
        if word in self._dialect.pairs:
            return [token for character in word for token in self._known(character)]
        if word in self._dialect.others:
            return [Token(word, "word")]
        if name := self._words.get(key(word)):
            return [Token(word, "thing", name)]
        token = self._closed(word)
        return [token] if token else []

    def _closed(self, word: str) -> Token | None:
        dialect = self._dialect
        kinds: tuple[tuple[Kind, Mapping[str, str]], ...] = (
            ("number", dialect.numbers), ("join", dialect.joins), ("scene", dialect.scenes), ("quality", dialect.colours), ("quality", dialect.qualities),
        )  # fmt: skip
        for kind, known in kinds:
            if word in known:
                return Token(word, kind, known[word])
        if word in ("的", "之"):
            return Token(word, "of")
        if word in dialect.without:
            return Token(word, "not", "without")
        if found := _NUMERAL.fullmatch(word):
            return Token(word, "number", str(_value(found, dialect)))
        sets: tuple[tuple[Kind, frozenset[str]], ...] = (
            ("verb", dialect.actions), ("measure", dialect.measures), ("silent", dialect.silent),
        )  # fmt: skip
        return next((Token(word, kind) for kind, known in sets if word in known), None)

    def _parts(self, word: str, tag: str) -> list[Token]:
        """A word of jieba's that is made of others that are known: 一只, 黑猫, 戴帽子, 床上; empty if it is not."""
        for size in range(min(3, len(word) - 1), 0, -1):
            head, rest = self._closed(word[:size]), word[size:]
            if head and (tail := self._rest(head, rest, tag)):
                return [head, *tail]
        place, inside = word[-1], word[:-1]
        if tag == "d" or place not in _PLACES:
            return []
        named = self._known(inside) or (
            [Token(inside, "word")]
            if tag == "s" or (len(inside) > 1 and self._jieba.has_word(inside))
            else []
        )
        return [*named, *self._known(place)] if named else []

    def _rest(self, head: Token, rest: str, tag: str) -> list[Token]:
        """What follows a word of a closed class within a word."""
        known = self._known(rest) or self._parts(rest, tag)
        if head.kind == "verb" and head.text not in _HANDLING:
            return []
        if head.kind in ("quality", "verb", "number"):
            return known if known and known[-1].kind in ("thing", "measure") else []
        return known if head.kind in ("not", "silent", "measure") else []

    def _by_tag(self, word: str, tag: str) -> Token:
        """What a longer word is by its part of speech; one of a single character may be a piece of any name."""
        if len(word) == 1:
            return Token(word, "word")
        if tag == "v" and word[0] in _COOKING:  # 炒蛋 is a dish
            return Token(word, "word")
        if tag in ("c", "p", "f"):
            return Token(word, "join", "and")
        if tag in ("a", "ad", "z", "b"):
            return Token(word, "quality", word)
        if tag == "m":
            return Token(word, "number", str(MOST))
        kinds: Mapping[str, Kind] = {
            "v": "verb",
            "vd": "verb",
            "q": "measure",
            "d": "silent",
            "r": "silent",
            "y": "silent",
            "u": "silent",
        }
        return Token(word, kinds.get(tag, "word"))


def _value(found: re.Match[str], dialect: Dialect) -> int:
    digits = "零一二三四五六七八九"
    tens, ones = (group.replace("两", "二") if group else "" for group in found.groups())
    return 10 * (digits.index(tens) if tens else 1) + (digits.index(ones) if ones else 0)


@dataclass
class _Walk:
    """Takes tokens one after the other, and puts together what stands side by side."""

    dialect: Dialect
    said: list[str] = field(default_factory=list)
    verbs: list[str] = field(default_factory=list)
    group: list[Token] = field(default_factory=list)
    before: Token = field(default_factory=lambda: Token("", "gap"))
    unwanted: bool = False
    named: bool = False  # whether what is not wanted has been named
    subject: bool = False  # whether a thing stands before, in the same clause
    number: str = ""  # how many of what follows the next 的
    held: bool = False  # whether the last word describes what is to follow

    def take(self, token: Token, following: Token) -> None:
        if self._is_content(token, following):
            self.group.append(token)
            token = token if token.kind in CONTENT else replace(token, kind="word")
        elif token.kind == "of":
            self._of(following)
        else:
            self._flush()
            self._closed(token, following)
        if token.kind != "gap":
            self.before = token

    def end(self) -> None:
        self._flush()
        self._release()

    def _is_content(self, token: Token, following: Token) -> bool:
        """Whether it is a part of a name, or describes it."""
        counted = self.before.kind in ("number", "measure") or self.before.text in _THIS
        if token.kind == "thing" and token.text in self._MEASURES and self.before.kind == "number":
            return following.kind not in CONTENT
        if token.kind == "measure":
            return not counted and bool(self.group) and not self.unwanted
        if token.kind != "verb":
            return token.kind in CONTENT
        alone = counted or following.kind in ("gap", "join")
        if self.group and following.kind == "measure":  # 猫爬架
            return True
        begins = len(token.text) > 1 and not (self.subject or self.group)
        return begins and (following.kind == "word" or (alone and following.kind not in CONTENT))

    _MEASURES = frozenset("碗 桶 盘 盤 包 筐 车 車 船 箱子 盒子 盘子 盤子 篮子 籃子 罐子".split())

    def _closed(self, token: Token, following: Token) -> None:
        if token.kind == "gap" or token.kind == "measure":
            return
        if token.kind == "not":
            self._release()
            self._say("without")
            self.unwanted, self.named = True, False
        elif self.unwanted and not (token.kind == "silent" and not self.named) and not self._goes_on(token):
            self.unwanted = False
            self._say(",")
        if token.kind == "verb" and not self.unwanted:
            self._act(token, following)
        elif token.kind == "number":
            self._release()
            self._say(token.said)
        elif token.kind == "scene":
            self._place(token)
        elif token.kind == "join":
            self._join("or" if self.unwanted else "and")
            self.subject &= token.text not in _PUNCTUATION | _OR

    def _place(self, token: Token) -> None:
        """Where it is: 在海边 is at the sea, and no "and" stands before it."""
        self._release()
        if self.unwanted:
            self._say(token.said.split()[-1])
            self.named = True
            return
        while self.said and self.said[-1] in ("and", ","):
            self.said.pop()
        self.said += [token.said, ","]

    def _act(self, token: Token, following: Token) -> None:
        """A verb: 三只戴帽子的狗 are three dogs."""
        self.verbs.append(token.text)
        if self.before.kind in ("number", "measure") and self.said and following.kind != "of":
            self.number = self.said.pop()
        elif following.kind != "of":
            self._join(",")

    def _goes_on(self, token: Token) -> bool:
        """Whether it still is of what is not wanted that a token speaks: 不要猫和狗, 没有戴帽子."""
        return token.text in _OR if self.named else token.text not in _PUNCTUATION

    def _join(self, word: str) -> None:
        self._release()
        if not self.unwanted or self.named:
            self._say(word)

    def _of(self, following: Token) -> None:
        """What stands before 的 describes what follows, unless it is a thing itself."""
        words = [token for token in self.group if token.kind != "quality"]
        plain = bool(words) and not any(token.kind == "thing" for token in words)
        if len(words) == 1 and words[0].text in self.dialect.materials and following.kind in CONTENT:
            self._say(self.dialect.materials[words[0].text])
            self.group.clear()
        elif self.before.kind == "verb" and not words and self.verbs:
            self._say(self.verbs.pop())
            self.held = True
        elif plain and not self.unwanted and following.kind in CONTENT:
            self.said += [token.said or token.text for token in self.group if token.kind == "quality"]
            self._say("".join(token.text for token in words))
            self.group.clear()
            self.held = True
        else:
            self._flush()
        self._say(self.number)
        self.number = ""
        if self.unwanted:
            self.unwanted = False
            self._say(",")

    def _release(self) -> None:
        """What was to describe something stands for itself."""
        if self.held:
            self._say(",")
        self.held = False

    def _flush(self) -> None:
        """Say what stands side by side: its adjectives, and one name."""
        group, self.group = self.group, []
        while group and group[0].kind == "quality":
            self._say(group.pop(0).said)
        if not group:
            return
        self._say(self._name(group))
        if not self.unwanted and not group[-1].text.isascii():  # an emoji's name may have several words
            self._say(",")
        self.named = self.unwanted
        self.subject, self.held = True, False

    def _name(self, group: Sequence[Token]) -> str:
        """What stands side by side in English: a thing and what it is made of, or the name of another thing."""
        *rest, last = group
        materials = [self.dialect.materials.get(token.text, "") for token in rest]
        if last.kind == "thing" and all(materials):
            return " ".join((*materials, last.said))
        if len(group) > 1 and "".join(token.text for token in group) in self.dialect.pairs:
            return f"{rest[0].said} , {last.said}"  # 猫狗, but 龙猫 is no dragon and a cat
        if last.text in _GROUND and rest:
            return f", on a {''.join(token.text for token in rest)} background"
        return last.said if not rest and last.said else "".join(token.text for token in group)

    def _say(self, word: str) -> None:
        self.said += [word] if word else []
