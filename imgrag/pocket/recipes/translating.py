"""Lessons in translation: what people type in Chinese or Spanish, and the same in the world's English.

A prompt has one to four things with numbers, adjectives and a background, in many forms; names that
nobody could translate stand among them and are to be copied, whatever their script.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np

from imgrag.engine import prompts
from imgrag.pocket.world import world
from imgrag.pocket.world.translations import (
    TO_TRADITIONAL,
    Noun,
    Translations,
    plural_of,
    translations,
    unaccented,
)
from imgrag.pocket.world.words import nonce_word
from imgrag.runs.plurals import english_plural

_T = TypeVar("_T")
NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
HAN = "一丁七万三上下不世中主久之书云人今他以们会位住体何作你使信元先光入全八公六冰冷出分刀力加化北南卡历去又友双口古可右合同名后向吧听周味命和品哈哥唐四回国图土在地城多夜大天太夫女好如子孔学安完官定宝家富小少尔尼山川工左巴市布希平年康德心志快思恩意成我所手打托技拉持故文斯新方日明星春晶普景晴智月有木本李来林果柯格梅森楼歌正武民水江波泰洛海清温湖漫火热烈爱特玛王玲珍球理琪生用电画白百皮盖盛真知石神福秀科秋空立章童竹笑第米精红约纳线罗美老者肯能色艾花英荣莉菲萨蒂蓝行西见观言记许诗语诺谢豆贝费路车轮达进远通道那里重金铁锁长门间阳阿陈雅雪雷霍青非面韩音顿风飞首香马高魔鲁黄黑龙"
KANA = "アイウエオカキクケコサシスセソタチツテトナニハヒフヘホマミムメモヤユヨラリルレロワンガギグゴジズダデドバビブベボパピプペポ"
CYRILLIC = "абвгдежзиклмнопрстуфхцчшыэюя"


@dataclass(frozen=True)
class Dialect:
    """The forms that prompts are put in. `held` ones are asked in examinations only."""

    openings: tuple[str, ...]
    held: tuple[str, ...]
    backgrounds: tuple[str, ...]  # of the things "{}" and a colour
    joins: tuple[str, ...]


CHINESE = Dialect(
    openings=(
        "请画{}", "画{}", "画{}", "画一下{}", "请帮我画{}", "帮我画{}", "给我画{}", "我想要{}", "我要{}", "我想看{}", "来{}",
        "请生成{}", "生成{}", "{}的图片", "一张{}的图片", "{}的照片", "一张{}的照片", "一幅{}的画", "{}的图", "请给我{}", "能画{}吗？",
        "能不能画{}", "画面上有{}", "图中有{}", "有{}", "请画一张有{}的图", "画一张图，有{}", "请你画{}，谢谢", "画{}好吗", "这是{}",
        "我想画{}", "一幅画：{}", "画个图：{}", "请绘制{}", "绘制{}", "展示{}", "请画出{}", "画出{}",
    ),
    held=("麻烦你画{}", "可以帮我画{}吗？", "想看一张{}的画", "给我来{}", "做一张{}的图片"),
    backgrounds=(
        "{}在{colour}背景上", "{}在{colour}的背景上", "{}，{colour}背景", "{} {colour}背景", "{}，{colour}的背景", "{}，背景是{colour}",
        "{}，背景是{colour}的", "{}，{short}底", "{}，以{colour}为背景", "{}放在{colour}背景上", "{colour}背景上的{}", "{colour}背景，{}",
        "{colour}背景的{}", "在{colour}背景上{}", "{}，背景{colour}", "{colour}背景上有{}", "{}在{colour}背景中", "{}{colour}背景", "{short}底{}",
    ),
    joins=("和", "和", "和", "、", "，", "与", "跟", "还有", "以及", " 和 ", "加", ", ", "旁边有", " ", "及", "并且有"),
)  # fmt: skip
SPANISH = Dialect(
    openings=(
        "dibuja {}", "dibuja {}", "dibújame {}", "por favor dibuja {}", "por favor, dibuja {}", "dibuja {} por favor", "dibuje {}",
        "quiero {}", "quiero ver {}", "quisiera {}", "me gustaría ver {}", "una foto de {}", "una imagen de {}", "un dibujo de {}",
        "haz un dibujo de {}", "hazme {}", "pinta {}", "genera {}", "genera una imagen de {}", "crea una imagen de {}", "muestra {}",
        "muéstrame {}", "hay {}", "¿puedes dibujar {}?", "puedes dibujar {}", "necesito {}", "quiero un dibujo de {}", "imagen con {}",
        "foto de {}", "dibujo de {}", "dibujar {}", "esto es {}", "una imagen con {}", "crea {}",
    ),
    held=("¿podrías dibujarme {}?", "quiero que dibujes {}", "píntame {}", "una ilustración de {}", "haz {} por favor"),
    backgrounds=(
        "{} sobre un fondo {colour}", "{} en un fondo {colour}", "{} sobre fondo {colour}", "{} con fondo {colour}", "{}, fondo {colour}",
        "{} fondo {colour}", "{} con un fondo {colour}", "{} sobre un fondo de color {colour}", "{} en fondo {colour}",
        "en un fondo {colour}, {}", "sobre un fondo {colour} {}", "{} con el fondo {colour}", "{} y un fondo {colour}",
    ),
    joins=(" y ", " y ", " y ", " y ", " con ", ", ", " junto a ", " al lado de ", " más ", " + ", " & ", " cerca de "),
)  # fmt: skip
Colour = tuple[str, str, str, str]
COLOURS: tuple[
    Colour, ...
] = (  # English, Chinese, and Spanish as said of a masculine and of a feminine thing
    ("white", "白", "blanco", "blanca"),
    ("gray", "灰", "gris", "gris"),
    ("red", "红", "rojo", "roja"),
    ("orange", "橙", "naranja", "naranja"),
    ("yellow", "黄", "amarillo", "amarilla"),
    ("green", "绿", "verde", "verde"),
    ("blue", "蓝", "azul", "azul"),
    ("purple", "紫", "morado", "morada"),
    ("purple", "紫", "violeta", "violeta"),
    ("black", "黑", "negro", "negra"),
    ("pink", "粉", "rosa", "rosa"),
    ("brown", "棕", "marrón", "marrón"),
)
QUALITIES = (
    ("small", "小小的", "pequeño", "pequeña"),
    ("big", "大大的", "grande", "grande"),
    ("cute", "可爱的", "lindo", "linda"),
    ("beautiful", "漂亮的", "bonito", "bonita"),
    ("beautiful", "美丽的", "hermoso", "hermosa"),
    ("old", "旧的", "viejo", "vieja"),
    ("new", "新的", "nuevo", "nueva"),
    ("happy", "快乐的", "feliz", "feliz"),
)
RESPELT = 0.25  # of the prompts: in traditional characters, without accents
_BEFORE_NOUNS = {"a", "an", *NUMBERS, *(row[0] for row in (*COLOURS, *QUALITIES))}
MEASURES = "个个个只只只把辆条台张朵本杯棵颗块件双支顶座架根片串瓶艘位头匹栋束副"


@dataclass(frozen=True)
class Phrase:
    """A thing as somebody names it, and in the world's English. `name` is the thing's own."""

    said: str
    english: str
    name: str


@dataclass(frozen=True)
class Exercise:
    """A prompt in another language, its translation, and the names in it."""

    prompt: str
    english: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Choice:
    """How exercises are drawn.

    Attributes:
        held: only openings that no training uses.
        rarer: of a thing's words all but the commonest.
        strange: the share of names that are to be copied.
        things: how likely 1, 2, ... of them are.
        background: the share of prompts that say one.
        opening: the share of prompts that have one.
    """

    held: bool = False
    rarer: bool = False
    strange: float = 0.14
    things: tuple[float, ...] = (0.25, 0.4, 0.25, 0.1)
    background: float = 0.3
    opening: float = 0.4


def translation(rng: np.random.Generator, choice: Choice = Choice()) -> tuple[str, str]:
    """A question for the translation of a prompt, and the answer."""
    made = exercise(rng, choice)
    return prompts.translation_question(made.prompt, "English"), made.english


def exercise(rng: np.random.Generator, choice: Choice = Choice()) -> Exercise:
    count = int(rng.choice(len(choice.things), p=choice.things)) + 1
    say, write, respell = _WRITERS[rng.integers(len(_WRITERS))]
    phrases = [say(rng, choice) for _ in range(count)]
    english = listed([phrase.english for phrase in phrases])
    colour = COLOURS[rng.integers(len(COLOURS))] if rng.random() < choice.background else None
    if colour is not None:
        english += f" on {prompts.with_article(colour[0])} background"
    text = write([phrase.said for phrase in phrases], colour, rng, choice)
    spelt = (
        respell if rng.random() < RESPELT else str
    )  # names too: what is copied is copied as it was written
    return Exercise(spelt(text), spelt(english), tuple(spelt(phrase.name) for phrase in phrases))


def listed(nouns: Sequence[str]) -> str:
    """ "a dog", "a dog and an owl", "a dog, an owl and a car"."""
    return " and ".join([", ".join(nouns[:-1]), nouns[-1]] if len(nouns) > 1 else nouns)


def found(english: str, names: Sequence[str]) -> bool:
    """Whether a look-up that forgives a letter or two finds just these names in a translation, in their order."""
    told = re.sub(r" on an? \w+ background$", "", english).replace(" and arrow", " & arrow")
    nouns = [_noun(part) for part in re.split(r", | and ", told)]
    return len(nouns) == len(names) and all(map(_alike, nouns, names))


def _noun(phrase: str) -> str:
    """Without article, number and adjective, and not in the plural: "two red boxes" -> "box"."""
    words = phrase.replace("&", "and").split()
    while len(words) > 1 and words[0] in _BEFORE_NOUNS:
        words = words[1:]
    noun = " ".join(words)
    return _plurals().get(noun, noun)


@cache
def _plurals() -> dict[str, str]:
    return {english_plural(name): name for name in world.names()}


def _alike(noun: str, name: str) -> bool:
    """Nearer to this name than to any of the world's, and four letters of five the same."""
    nearest = difflib.get_close_matches(noun.casefold(), {*world.names(), name.casefold()}, n=1, cutoff=0.8)
    return nearest == [name.casefold()]


def _pick(options: Sequence[_T], rng: np.random.Generator) -> _T:
    return options[int(rng.integers(len(options)))]


def _word(words: Sequence[_T], rng: np.random.Generator, choice: Choice) -> _T:
    """One of a thing's words, the first twice as often; `rarer` has the others where there are some."""
    if choice.rarer:
        return _pick(words[1:] or words, rng)
    return words[0] if rng.random() < 0.2 else _pick(words, rng)


def _strange(rng: np.random.Generator, native: Callable[[np.random.Generator], str]) -> str:
    """A name that has no translation: nonsense, a proper name, another script, the language's own letters."""
    luck = rng.random()
    if luck < 0.5:
        word = nonce_word(rng)
        if rng.random() < 0.2:
            word = f"{word} {nonce_word(rng)}"
        return word.title() if rng.random() < 0.3 else word
    if luck < 0.6:
        return "".join(_pick(_pick((KANA, CYRILLIC), rng), rng) for _ in range(int(rng.integers(3, 7))))
    if luck < 0.7:
        return _pick(world.names(), rng)
    return native(rng)


def _counted(name: str, number: int) -> str:
    """ "two dogs"; 1 has an article and 0 is "dogs"."""
    if number == 1:
        return prompts.with_article(name)
    return f"{NUMBERS[number - 2]} {english_plural(name)}" if number else english_plural(name)


def _adjective(rng: np.random.Generator) -> Colour | None:
    luck = rng.random()
    if luck < 0.06:
        return _pick(QUALITIES, rng)
    if luck < 0.12:
        english, chinese, masculine, feminine = _pick(COLOURS, rng)
        return english, f"{chinese}色的" if rng.random() < 0.8 else chinese, masculine, feminine
    return None


def _say_chinese(rng: np.random.Generator, choice: Choice) -> Phrase:
    measure = _pick(MEASURES, rng)
    if rng.random() < choice.strange:
        name = _strange(rng, _han)
        space = " " if name[0].isascii() and rng.random() < 0.3 else ""
        return Phrase(
            f"一{measure}{space}{name}" if rng.random() < 0.7 else name, prompts.with_article(name), name
        )
    thing: Translations = _pick(translations(), rng)
    word, adjective = _word(thing.chinese, rng, choice), _adjective(rng)
    name = thing.name
    if adjective:
        name, word = f"{adjective[0]} {name}", adjective[1] + word
    number = int(rng.choice([1, 2, 3, 4, 5, 6, 0], p=[0.88, 0.05, 0.02, 0.01, 0.01, 0.01, 0.02]))
    return Phrase(_counted_chinese(word, measure, number, rng), _counted(name, number), thing.name)


def _counted_chinese(word: str, measure: str, number: int, rng: np.random.Generator) -> str:
    if number == 0:
        return f"{_pick(('一些', '几' + measure, '许多'), rng)}{word}"
    if number == 1:
        luck = rng.random()
        if luck < 0.55:
            return f"一{measure}{word}"
        return word if luck < 0.92 else f"{_pick(('1', '这', '那', '某', ''), rng)}{measure}{word}"
    return f"{_pick(('两三四五六'[number - 2], str(number)), rng)}{measure}{word}"


def _han(rng: np.random.Generator) -> str:
    """Two to four characters that are no word, at times of words that are some."""
    size = int(rng.integers(2, 5))
    if rng.random() < 0.3:
        return "".join(_pick(_pick(_pick(translations(), rng).chinese, rng), rng) for _ in range(size))
    if rng.random() < 0.4:
        return "".join(chr(int(rng.integers(0x4E00, 0x9FA6))) for _ in range(size))
    return "".join(_pick(HAN, rng) for _ in range(size))


def _write_chinese(said: list[str], colour: Colour | None, rng: np.random.Generator, choice: Choice) -> str:
    text = _joined(said, CHINESE, lambda join, following: join + following, rng)
    if colour is not None:
        short = colour[1]
        text = _pick(CHINESE.backgrounds, rng).format(text, colour=f"{short}色", short=short)
    text = _opened(text, CHINESE, rng, choice)
    text += _pick(("", "", "", "。", "！", "谢谢"), rng) if rng.random() < 0.3 else ""
    return text


def _say_spanish(rng: np.random.Generator, choice: Choice) -> Phrase:
    if rng.random() < choice.strange:
        name = _strange(rng, _spliced)
        article = _pick(("un ", "un ", "una ", "el ", "la ", ""), rng)
        return Phrase(article + name, prompts.with_article(name), name)
    thing: Translations = _pick(translations(), rng)
    noun: Noun = _word(thing.spanish, rng, choice)
    number = (
        1
        if noun.plural
        else int(rng.choice([1, 2, 3, 4, 5, 6, 0], p=[0.87, 0.05, 0.02, 0.01, 0.01, 0.01, 0.03]))
    )
    adjective = _adjective(rng)
    name, text = thing.name, noun.text if number == 1 else noun.many
    if adjective:
        said = adjective[3 if noun.feminine else 2]
        said = plural_of(said) if number != 1 or noun.plural else said
        name, text = f"{adjective[0]} {name}", f"{text} {said}"
    return Phrase(_determined(noun, text, number, rng), _counted(name, number), thing.name)


def _determined(noun: Noun, text: str, number: int, rng: np.random.Generator) -> str:
    if number > 1:
        return f"{_pick((('dos', 'tres', 'cuatro', 'cinco', 'seis')[number - 2], str(number)), rng)} {text}"
    if number == 0:
        return f"{_pick((('unas', 'varias', 'muchas') if noun.feminine else ('unos', 'varios', 'muchos')), rng)} {text}"
    indefinite, definite = (("unas", "las"), ("unos", "los"), ("una", "la"), ("un", "el"))[
        2 * (not noun.plural) + (not noun.feminine)
    ]
    luck = rng.random()
    if luck < 0.66:
        return f"{indefinite} {text}"
    return f"{definite} {text}" if luck < 0.82 else text


def _spliced(rng: np.random.Generator) -> str:
    """The beginning of one word with the end of another: no word, and it looks like one."""
    one, other = (_pick(_pick(translations(), rng).spanish, rng).text.split()[0] for _ in range(2))
    return one[: (len(one) + 1) // 2] + other[len(other) // 2 :] + _pick(("", "", "r", "x", "ín"), rng)


def _write_spanish(said: list[str], colour: Colour | None, rng: np.random.Generator, choice: Choice) -> str:
    text = _joined(said, SPANISH, _spanish_join, rng)
    if colour is not None:
        text = _pick(SPANISH.backgrounds, rng).format(text, colour=colour[2])
    text = _opened(text, SPANISH, rng, choice)
    text += "." if rng.random() < 0.2 else ""
    if rng.random() < 0.35:
        text = text[0].upper() + text[1:]
    return text


def _spanish_join(join: str, following: str) -> str:
    if join == " y " and unaccented(following).lower().startswith(("i", "hi")):
        return f" e {following}"
    if join.endswith((" a ", " de ")) and following.startswith("el "):
        return f"{join[:-1]}l {following[3:]}"
    return join + following


def _joined(
    said: list[str], dialect: Dialect, join: Callable[[str, str], str], rng: np.random.Generator
) -> str:
    """The phrases one after the other; of three or more, the first ones often with commas."""
    commas = ("、", "，", ", ") if dialect is CHINESE else (", ",)
    text, comma, last = said[0], _pick(commas, rng), _pick(dialect.joins, rng)
    for i, phrase in enumerate(said[1:], start=2):
        text += join(comma if i < len(said) and rng.random() < 0.8 else last, phrase)
    return text


def _opened(text: str, dialect: Dialect, rng: np.random.Generator, choice: Choice) -> str:
    if choice.held:
        return _pick(dialect.held, rng).format(text)
    return _pick(dialect.openings, rng).format(text) if rng.random() < choice.opening else text


def traditional(text: str) -> str:
    """Simplified Chinese in traditional characters, as far as these lessons go."""
    return text.translate(TO_TRADITIONAL)


_WRITERS = ((_say_chinese, _write_chinese, traditional), (_say_spanish, _write_spanish, unaccented))
