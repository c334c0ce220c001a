"""What the world's things are called in Chinese and Spanish, and how those words are put into a phrase.

`translations.csv` has, for each name, its words with the commonest first: CLDR's names and keywords
(Unicode-3.0), chosen by hand, and everyday words that CLDR lacks. Spanish ones have their article,
which says gender and number. A word stands at one name only.
"""

from __future__ import annotations

import csv
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TRANSLATIONS_FILE = Path(__file__).with_name("translations.csv")
SIMPLIFIED = (
    "只万与业东丝两个为丽乌乐书云仓仪们会伞体儿兰兽写凉几凤击创别剑剧办务动医华单卖卫厂历厕双发叶号后吗听喷团围国图圆圣场块墙声壳壶头夹奖妇学宝实宾寿尔屿岛币帐带帮干并庙开异张弯弹强当录懒"
    "戏户扩扫扬护报挂摄摇无旧时显机条来极枪枫柜柠标栋树桥楼榄榈槟樱毕气汉汤洒温游满滩潜灭灯灵烛烟烦烧热熏爱犸独狮猎猕猪猫猬獭玛电画盐盖盘砖礼窝笔笼筝签篮红约纳纵纸线练绒结绘给绣绳绵绷绿"
    "缆缝网罗脑脚苍苹荚荣药莲莴萝萨葱蓝虫虾蚁蚂蚝蛎蜗蜡蝇蝎衬袜装裤见观视计记许诊试诗话诞语请诺调谢贝货购贴贵费贼赛车轨转轮软轴轿辆边达过运还这进远连邮郁里针钉钓钞钟钢钥钩钱钻铁铃铅铛银"
    "链锁锄锚锤锥键锯镐镖镜长门闪间闹阳阵际陆陈雏韩顶项须顿颂领颈颗风飞饭饮饺饼馅馆馏马驴驼骆验骡髅鱼鱿鲁鲜鲨鲸鳄鸟鸡鸭鸽鹅鹉鹤鹦鹰鹳麦黄齿龄龙龟"
)
TRADITIONAL = (
    "隻萬與業東絲兩個為麗烏樂書雲倉儀們會傘體兒蘭獸寫涼幾鳳擊創別劍劇辦務動醫華單賣衛廠歷廁雙發葉號後嗎聽噴團圍國圖圓聖場塊牆聲殼壺頭夾獎婦學寶實賓壽爾嶼島幣帳帶幫乾並廟開異張彎彈強當錄懶"
    "戲戶擴掃揚護報掛攝搖無舊時顯機條來極槍楓櫃檸標棟樹橋樓欖櫚檳櫻畢氣漢湯灑溫遊滿灘潛滅燈靈燭煙煩燒熱燻愛獁獨獅獵獼豬貓蝟獺瑪電畫鹽蓋盤磚禮窩筆籠箏籤籃紅約納縱紙線練絨結繪給繡繩綿繃綠"
    "纜縫網羅腦腳蒼蘋莢榮藥蓮萵蘿薩蔥藍蟲蝦蟻螞蠔蠣蝸蠟蠅蠍襯襪裝褲見觀視計記許診試詩話誕語請諾調謝貝貨購貼貴費賊賽車軌轉輪軟軸轎輛邊達過運還這進遠連郵鬱裡針釘釣鈔鐘鋼鑰鉤錢鑽鐵鈴鉛鐺銀"
    "鏈鎖鋤錨錘錐鍵鋸鎬鏢鏡長門閃間鬧陽陣際陸陳雛韓頂項須頓頌領頸顆風飛飯飲餃餅餡館餾馬驢駝駱驗騾髏魚魷魯鮮鯊鯨鱷鳥雞鴨鴿鵝鵡鶴鸚鷹鸛麥黃齒齡龍龜"
)
TO_TRADITIONAL = str.maketrans(SIMPLIFIED, TRADITIONAL)
ACUTE = "\u0301"


@dataclass(frozen=True)
class Noun:
    """A Spanish noun phrase without its article, such as "oso polar" or "gafas"."""

    text: str
    feminine: bool
    plural: bool

    @property
    def many(self) -> str:
        """Its plural: "osos polares", "ratones", "copos de nieve"."""
        if self.plural:
            return self.text
        words = self.text.split()
        end = next(
            (i for i, word in enumerate(words) if word in ("de", "del", "para", "y", "sobre")), len(words)
        )
        return " ".join([*map(plural_of, words[:end]), *words[end:]])


@dataclass(frozen=True)
class Translations:
    """The words of one thing, the commonest first."""

    name: str
    chinese: tuple[str, ...]
    spanish: tuple[Noun, ...]


@cache
def translations() -> tuple[Translations, ...]:
    """Every thing's words, in the order of `concepts.csv`."""
    with TRANSLATIONS_FILE.open(newline="", encoding="utf-8") as file:
        return tuple(
            Translations(
                row["name"],
                tuple(row["chinese"].split(";")),
                tuple(_noun(word) for word in row["spanish"].split(";")),
            )
            for row in csv.DictReader(file)
        )


def _noun(word: str) -> Noun:
    article, text = word.split(" ", 1)
    return Noun(text, article in ("la", "las"), article in ("los", "las"))


def plural_of(word: str) -> str:
    """The plural of a Spanish noun or adjective: "luz" -> "luces", "camión" -> "camiones"."""
    if word[-1] in "aeiouáéó":
        return f"{word}s"
    if word.endswith("z"):
        return f"{word[:-1]}ces"
    if len(word) > 2 and word[-1] in "ns" and word[-2] in "áéíóú":
        return f"{unaccented(word)}es"
    return word if word.endswith("s") else f"{word}es"


def unaccented(text: str) -> str:
    """ "camión" -> "camion"; ñ and ü stay."""
    parts = unicodedata.normalize("NFD", text).replace(ACUTE, "")
    return unicodedata.normalize("NFC", parts)
