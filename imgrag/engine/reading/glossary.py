"""A prompt in a language of which a profile's vocabulary has the words, put into English word by word.

What it cannot place, a model has to translate: the glossary says what it left over. It knows the things by their
names, and the closed classes: articles, numbers, relations, colours of the ground, polite words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import simplemma

from imgrag.engine.reading.spelling import key

_DIGITS = "one two three four five six seven eight nine ten".split()
ENGLISH_ALONE = frozenset("and the with of an under next behind two three".split())
LONGEST = 6  # words of a name
LONGEST_HAN = 8  # characters of one


@dataclass(frozen=True)
class Dialect:
    """The closed classes of a language.

    Attributes:
        spaced: whether its words stand apart.
        numbers: what says how many -> that in English.
        joins: what stands between things -> that in English.
        colours: of a ground -> that in English.
        ground: what says that a colour is the ground's.
        silent: what says nothing of what is to be seen.
        qualities: common adjectives -> that in English.
    """

    spaced: bool
    numbers: Mapping[str, str]
    joins: Mapping[str, str]
    colours: Mapping[str, str]
    ground: re.Pattern[str]
    silent: frozenset[str]
    qualities: Mapping[str, str]


_WITHOUT_ZH = dict.fromkeys(
    "没有 沒有 没 沒 无 無 不要 不要有 不带 不帶 不含 不是 别 別 别画 別畫 不画 不畫 而不是 除了 不想要 不需要".split(),
    "without",
)
_WITHOUT_ES = dict.fromkeys("sin no ni excepto salvo menos tampoco ningun ninguna".split(), "without") | {
    "en lugar de": "without", "en vez de": "without",
}  # fmt: skip
CHINESE = Dialect(
    spaced=False,
    numbers={
        **dict(zip("一二三四五六七八九十", _DIGITS, strict=True)), "两": "two", "兩": "two", "几": "three", "幾": "three",
        "一些": "three", "一对": "two", "一對": "two", "一双": "", "一雙": "", "一群": "three", "许多": "three", "很多": "three",
    },
    joins=_WITHOUT_ZH | dict.fromkeys(
        "和 与 與 跟 同 及 以及 还有 還有 加 在 上 下 里 裡 旁边 旁邊 前面 后面 後面 上面 下面 里面 裡面 中间 中間 之间 左边 右边 对面 、 ， , 。 . ; ； ! ！ ? ？ + & 或 或者".split(),
        "and",
    ),
    colours={
        "白": "white", "灰": "gray", "红": "red", "紅": "red", "橙": "orange", "橘": "orange", "黄": "yellow", "黃": "yellow",
        "绿": "green", "綠": "green", "蓝": "blue", "藍": "blue", "紫": "purple", "黑": "black", "粉": "pink", "棕": "brown", "粉红": "pink",
    },
    ground=re.compile(
        r"(?:，|,)?(?:在|以|放在)?(?:纯|淡|浅|深)?(粉红|[白灰红紅橙橘黄黃绿綠蓝藍紫黑粉棕])(?:色)?(?:的)?(?:为|為)?(?:背景|底色|底)(?:上|中|里|下)?(?:的|有)?"
        r"|(?:，|,)?背景(?:是|为|為)?(?:纯|淡|浅|深)?(粉红|[白灰红紅橙橘黄黃绿綠蓝藍紫黑粉棕])(?:色)?(?:的)?"
    ),
    silent=frozenset(
        """
        请 請 画 畫 绘制 繪製 绘 一下 帮 幫 帮我 幫我 给 給 给我 給我 我 你 您 色 色的 我们 想 想要 要 想看 看 看看 看到 来 來 生成 做 制作 製作 创建 展示 显示 的 图片 圖片 图 圖 照片 一张
        一張 一幅 幅 张 張 出 能 能不能 可以 可不可以 吗 嗎 吧 呢 好 好吗 好嗎 谢谢 謝謝 麻烦 麻煩 画面 图中 有 是 这 這 那 个 個 只 隻 把 辆 輛 条 條 台 臺 朵 本 杯 棵 颗 顆 块 塊 件 双 雙 支 顶 頂
        座 架 根 片 串 瓶 艘 位 头 頭 匹 栋 棟 束 副 对 對 些 群 种 種 份 碗 盒 包 它 他 她 正在 着 著 了 旁 边 邊 放 站 站在 坐 坐在 拿 拿着 骑 騎 骑着 戴 戴着 吃 吃着 穿 一 张图 這張 这张 画个 畫個 个图
        """.split()
    ),
    qualities={
        "大": "big", "小": "small", "可爱": "cute", "可爱的": "cute", "可愛": "cute", "漂亮": "pretty", "美丽": "beautiful", "美麗": "beautiful",
        "老": "old", "旧": "old", "舊": "old", "新": "new", "快乐": "happy", "快樂": "happy", "金色": "golden", "木头": "wooden", "木制": "wooden",
        "粉色": "pink", "金": "golden", "银色": "silver", "巨大": "huge", "高": "tall", "长": "long", "長": "long", "胖": "fat",
    },
)  # fmt: skip
SPANISH = Dialect(
    spaced=True,
    numbers={
        **dict(zip("uno dos tres cuatro cinco seis siete ocho nueve diez".split(), _DIGITS, strict=True)),
        "un": "a", "una": "a", "el": "the", "la": "the", "los": "the", "las": "the", "unos": "some", "unas": "some", "al": "the", "del": "the",
        "varios": "several", "varias": "several", "muchos": "many", "muchas": "many", "mi": "a", "mis": "some", "algunos": "some", "algunas": "some",
    },
    joins=_WITHOUT_ES | dict.fromkeys(
        """
        y e con o u junto a en sobre bajo debajo encima al lado de dentro cerca entre detras delante ante contra por hacia desde mas + & , ; .
        """.split(),
        "and",
    ),
    colours={
        "blanco": "white", "blanca": "white", "gris": "gray", "rojo": "red", "roja": "red", "naranja": "orange", "amarillo": "yellow",
        "amarilla": "yellow", "verde": "green", "azul": "blue", "morado": "purple", "morada": "purple", "violeta": "purple", "purpura": "purple",
        "negro": "black", "rosa": "pink", "marron": "brown",
    },
    ground=re.compile(
        r"(?:,?\s*\b(?:sobre|en|con|y)\s+)?(?:(?:un|el)\s+)?\bfondo\s+(?:de\s+color\s+|color\s+|liso\s+)?(\w+)(?:\s+(?:liso|claro|oscuro))?", re.IGNORECASE
    ),
    silent=frozenset(
        """
        dibuja dibujame dibuje dibujes dibujar dibujarme dibujo por favor quiero quisiera me gustaria ver una foto imagen un haz hazme pinta pintame
        genera generar crea crear muestra muestrame hay puedes podrias que necesito esto es ilustracion fotografia imagenes gracias hola te lo la le
        esta estan sentado sentada comiendo montando corriendo llevando jugando nos se
        """.split()
    ),
    qualities={
        "grande": "big", "grandes": "big", "pequeno": "small", "pequena": "small", "pequenos": "small", "lindo": "cute", "linda": "cute",
        "bonito": "pretty", "bonita": "pretty", "hermoso": "beautiful", "hermosa": "beautiful", "viejo": "old", "vieja": "old", "nuevo": "new",
        "nueva": "new", "feliz": "happy", "dorado": "golden", "dorada": "golden", "de madera": "wooden", "gigante": "huge", "rojos": "red",
        "rojas": "red", "azules": "blue", "verdes": "green", "blancos": "white", "negros": "black", "amarillos": "yellow", "negra": "black",
    },
)  # fmt: skip
DIALECTS: Mapping[str, Dialect] = {"zh": CHINESE, "es": SPANISH}


@dataclass(frozen=True)
class Glossary:
    """The words of one language.

    Args:
        words: as `key` spells them -> the English name.
        several: likewise, where the form says that there are several.
    """

    dialect: Dialect
    words: Mapping[str, str]
    several: Mapping[str, str]

    def is_in(self, prompt: str) -> bool:
        """Whether a prompt in Latin letters may be in this language: some word of it is not English, none is English alone."""
        words = [key(word) for word in re.findall(r"[^\W\d_]+", prompt)]
        told = any(word in self.dialect.numbers or not simplemma.is_known(word, "en") for word in words)
        return self.dialect.spaced and told and not ENGLISH_ALONE.intersection(words)

    def english(self, prompt: str) -> str:
        """The prompt, its things by their English names; what it could not place stands where it stood."""
        grounds: list[str] = []
        text = self.dialect.ground.sub(lambda found: self._ground(found, grounds), prompt)
        said = " ".join(self._spaced(text) if self.dialect.spaced else self._unspaced(text))
        return " ".join((said, *grounds))

    def _ground(self, found: re.Match[str], grounds: list[str]) -> str:
        colour = self.dialect.colours.get(key(next(filter(None, found.groups()))))
        if colour is None:
            return found.group()
        grounds.append(f"on a {colour} background")
        return " "

    def _spaced(self, text: str) -> list[str]:
        """Word by word; a colour, which stands behind its thing, comes before it."""
        tokens = re.findall(r"[^\W_]+(?:-[^\W_]+)*|[,;+&.]", text)
        behind = {**self.dialect.colours, **self.dialect.qualities}
        said: list[str] = []
        at = 0
        while at < len(tokens):
            lengths = range(min(LONGEST, len(tokens) - at), 0, -1)
            parts = ((key(" ".join(tokens[at : at + length])), length) for length in lengths)
            word, length = next(((w, n) for w, n in parts if self._placed(w) is not None), (tokens[at], 1))
            placed = self._placed(word)
            if word in behind and word not in self.words:
                said.insert(max(0, len(said) - 1), behind[word])
            else:
                said.append(tokens[at] if placed is None else placed)
            at += length
        return said

    def _unspaced(self, text: str) -> Iterator[str]:
        for run in re.findall(r"[a-zA-Z\u00c0-\u024f][\w'-]*|\d+|[^\x00-\u024f\s]+|\S", _together(text)):
            if run.isascii():
                yield run
            else:
                yield from self._run(run)

    def _run(self, run: str) -> Iterator[str]:
        """Characters without a space. What nobody can place next to a name is part of another word."""
        unplaced, held = "", ""  # held: a name that such characters may still follow
        at = 0
        while at < len(run):
            lengths = range(min(LONGEST_HAN, len(run) - at), 0, -1)
            length = next((n for n in lengths if self._placed(run[at : at + n]) is not None), 0)
            part = run[at : at + (length or 1)]
            at += len(part)
            if not length or (unplaced and part in self.words):
                unplaced, held = (unplaced or held) + part, ""
                continue
            if unplaced or held:
                yield unplaced or self._placed(held) or ""
            unplaced, held = "", part if part in self.words else ""
            if not held:
                yield self._placed(part) or ""
        if unplaced or held:
            yield unplaced or self._placed(held) or ""

    def _placed(self, word: str) -> str | None:
        """What a word is in English, "" where that is nothing; `None` if it is not known."""
        if word in self.words:
            return self.words[word] if self.dialect.spaced else f"{self.words[word]} ,"
        if word in self.several:
            name = self.several[word]
            return _plural(name)
        dialect = self.dialect
        for closed in (dialect.numbers, dialect.joins, dialect.colours, dialect.qualities):
            if word in closed:
                return closed[word]
        return "" if word in dialect.silent else None


def _plural(name: str) -> str:
    """An English name in the plural; one that ends so already is left."""
    if name.endswith("s"):
        return name
    if name.endswith("y") and name[-2] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith(("x", "z", "ch", "sh")) else f"{name}s"


def _together(text: str) -> str:
    """Chinese is written without spaces; those between its characters say nothing."""
    return re.sub(r"(?<=[^\x00-\u024f])\s+(?=[^\x00-\u024f])", "", text)


def glossary(code: str, things: Sequence[Mapping[str, list[str]]]) -> Glossary | None:
    """The glossary of a language; `None` if the vocabulary has no words of it."""
    if code not in DIALECTS or not any(thing.get(code) for thing in things):
        return None
    words = {key(word): str(thing["name"]) for thing in things for word in thing.get(code, ())}
    several = {key(word): str(thing["name"]) for thing in things for word in thing.get(f"{code}-several", ())}
    return Glossary(
        DIALECTS[code], words, {word: name for word, name in several.items() if word not in words}
    )
