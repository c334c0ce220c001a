"""The closed classes of the languages that prompts are put into English from: numbers, joints, colours, polite words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_DIGITS = "one two three four five six seven eight nine ten".split()


@dataclass(frozen=True)
class Dialect:
    """The closed classes of a language.

    Attributes:
        numbers: what says how many -> that in English.
        without: what says that something is not to be there.
        joins: what stands between things -> that in English.
        colours: of a ground, too -> those in English.
        ground: what says that a colour is the ground's.
        silent: what says nothing of what is to be seen.
        measures: what stands between a number and its thing, or says how much of it.
        qualities: common adjectives -> that in English.
        materials: what a thing may be made of -> that in English.
        actions: verbs of one word, and other words that are no part of a name.
        manners: styles -> those in English, as `words.STYLE` finds them.
        style: what says that a style is one.
        others: names of something else than their last word, or than their parts.
        scenes: where something is -> that in English, with its relation.
        pairs: two things side by side that are no name of a third.
    """

    numbers: Mapping[str, str]
    without: frozenset[str]
    joins: Mapping[str, str]
    colours: Mapping[str, str]
    ground: re.Pattern[str]
    silent: frozenset[str]
    measures: frozenset[str]
    qualities: Mapping[str, str]
    materials: Mapping[str, str]
    actions: frozenset[str]
    manners: Mapping[str, str]
    style: re.Pattern[str]
    others: frozenset[str] = field(default_factory=frozenset)
    scenes: Mapping[str, str] = field(default_factory=dict)
    pairs: frozenset[str] = field(default_factory=frozenset)


_MANNERS_ZH = {
    "水彩": "watercolor style", "油画": "oil painting", "油畫": "oil painting", "素描": "pencil sketch", "铅笔画": "pencil sketch",
    "像素": "pixel art", "卡通": "cartoon style", "动漫": "anime style", "動漫": "anime style", "漫画": "comic style", "漫畫": "comic style",
    "水墨": "ink painting", "国画": "ink painting", "國畫": "ink painting", "赛博朋克": "cyberpunk style", "賽博朋克": "cyberpunk style",
    "蒸汽朋克": "steampunk style", "写实": "realistic style", "寫實": "realistic style", "极简": "minimalist style", "極簡": "minimalist style",
    "复古": "retro style", "復古": "retro style", "扁平": "flat style", "简笔": "line drawing", "簡筆": "line drawing", "版画": "woodcut style",
    "吉卜力": "ghibli style", "浮世绘": "ukiyo-e style", "印象派": "impressionist style", "涂鸦": "doodle style", "黑白": "black and white style",
    "3D": "3d style", "剪纸": "paper-cut style", "剪紙": "paper-cut style", "彩铅": "pencil style", "蜡笔画": "crayon style",
}  # fmt: skip
_COLOURS_ZH = {
    "白": "white", "灰": "gray", "红": "red", "紅": "red", "橙": "orange", "橘": "orange", "黄": "yellow", "黃": "yellow",
    "绿": "green", "綠": "green", "蓝": "blue", "藍": "blue", "紫": "purple", "黑": "black", "粉": "pink", "棕": "brown", "粉红": "pink",
    "粉紅": "pink", "褐": "brown", "青": "green", "咖啡色": "brown", "金色": "golden", "银色": "silver", "銀色": "silver", "彩色": "colourful",
}  # fmt: skip
_SINGLE_ZH = "粉红|[白灰红紅橙橘黄黃绿綠蓝藍紫黑粉棕]"
_MATERIALS_ZH = {
    "木头": "wooden", "木頭": "wooden", "木制": "wooden", "木製": "wooden", "木质": "wooden", "木": "wooden", "金": "golden", "银": "silver",
    "銀": "silver", "黄金": "golden", "纯金": "golden", "玻璃": "glass", "塑料": "plastic", "塑膠": "plastic", "石头": "stone", "石頭": "stone",
    "石": "stone", "铁": "iron", "鐵": "iron", "纸": "paper", "紙": "paper", "布": "cloth", "皮": "leather", "真皮": "leather", "皮革": "leather",
    "金属": "metal", "金屬": "metal", "陶瓷": "ceramic", "水晶": "crystal", "毛绒": "plush", "毛絨": "plush", "不锈钢": "steel", "不鏽鋼": "steel",
    "铜": "bronze", "銅": "bronze", "青铜": "bronze", "竹": "bamboo", "竹子": "bamboo", "丝绸": "silk", "羊毛": "woollen", "冰雪": "icy",
}  # fmt: skip
CHINESE = Dialect(
    numbers={
        **dict(zip("一二三四五六七八九十", _DIGITS, strict=True)), "两": "two", "兩": "two", "几": "three", "幾": "three",
        "一些": "three", "一对": "two", "一對": "two", "一双": "", "一雙": "", "一群": "three", "许多": "three", "很多": "three",
        "許多": "three", "好多": "three", "好几": "three", "俩": "two", "仨": "three", "零": "zero",
    },
    without=frozenset(
        """
        没有 沒有 没 沒 无 無 不 不要 不要有 不带 不帶 不含 不是 别 別 别画 別畫 不画 不畫 而不是 除了 不想要 不需要 勿 不能有 不许有
        别加 別加 不加 别放 別放 不放 不用 不包括 不包含 去掉 除去
        """.split()
    ),
    joins=dict.fromkeys(
        """
        和 与 與 跟 同 及 以及 还有 還有 加 加上 并 并且 在 上 下 里 裡 旁 边 邊 旁边 旁邊 前面 后面 後面 上面 下面 里面 裡面 中间 中間 之间 左边 右边 左邊
        右邊 对面 對面 附近 周围 周圍 身边 身旁 前 后 後 中 内 外 、 ， , 。 . ; ； ： : ! ！ ? ？ + & 或 或者
        """.split(),
        "and",
    ),
    colours=_COLOURS_ZH | {f"{colour}色": name for colour, name in _COLOURS_ZH.items() if not colour.endswith("色")},
    ground=re.compile(
        rf"(?:，|,)?(?:在|以|放在)?(?:纯|淡|浅|深)?({_SINGLE_ZH})(?:色)?(?:的)?(?:为|為)?(?:背景|底色|底)(?:上|中|里|下)?(?:的|有)?"
        rf"|(?:，|,)?背景(?:是|为|為)?(?:纯|淡|浅|深)?({_SINGLE_ZH})(?:色)?(?:的)?"
        r"|(?:，|,)?背景(?:是|为|為)([^\x00-\u024f，。、；]{1,8})"
        r"|(?:，|,)?(?:在|以)([^\x00-\u024f，。、；]{1,8}?)(?:为|為)?背景(?:上|中|里|下)?(?:的|有)?"
    ),
    silent=frozenset(
        """
        请 請 画 畫 绘制 繪製 绘 一下 帮 幫 帮我 幫我 给 給 给我 給我 我 你 您 色 色的 我们 想 想要 要 想看 看看 看到 来 來 生成 做 制作 製作 创建
        展示 显示 图片 圖片 图 圖 照片 相片 图像 圖像 插画 插畫 头像 壁纸 出 能 能不能 可以 可不可以 吗 嗎 吧 呢 好 好吗 好嗎 谢谢 謝謝 麻烦 麻煩 画面 图中
        有 是 这 這 那 它 他 她 正在 正 着 著 了 放 放着 一张图 画个 畫個 只有 只要 而是 只 以外 之外 很 非常 也 都 就 还 還 再 需要 希望 喜欢 喜歡 最 让 讓
        把 被 将 可 真 特别 十分 一起 我要 我想要 我想 求 来个 來個 创作 描绘 您好 你好 嗨 一样 那样 这样 里有 上有 您能 帮忙 幫忙 会 會
        """.split()
    ),
    measures=frozenset(
        """
        个 個 只 隻 把 辆 輛 条 條 台 臺 朵 本 杯 棵 颗 顆 块 塊 件 双 雙 支 枝 顶 頂 座 架 根 片 串 瓶 艘 位 头 頭 匹 栋 棟 束 副 对 對 些 群 种 種 份 碗
        盒 包 张 張 幅 桶 盘 盤 壶 壺 锅 鍋 篮 籃 袋 箱 罐 株 间 間 所 盏 盞 枚 粒 封 幢 列 节 節 扇 面 尊 堆 排 团 團 口 名 筐 滴 队 部 套 则 大碗 小碗 大杯 小杯
        大盘 小盘 大堆
        """.split()
    ),
    qualities={
        "大": "big", "小": "small", "可爱": "cute", "可愛": "cute", "漂亮": "pretty", "美丽": "beautiful", "美麗": "beautiful",
        "老": "old", "旧": "old", "舊": "old", "新": "new", "快乐": "happy", "快樂": "happy", "巨大": "huge", "高": "tall", "长": "long",
        "長": "long", "胖": "fat", "超大": "huge", "迷你": "tiny", "开心": "happy", "開心": "happy", "古老": "ancient", "破旧": "shabby",
        **{f"{material}{made}": name for material, name in _MATERIALS_ZH.items() for made in ("做", "制", "製", "质", "做成", "制成")},
        "毛茸茸": "fluffy", "胖胖": "fat", "圆": "round", "圓": "round", "短": "short", "瘦": "thin", "大大": "big", "小小": "small",
    },
    materials=_MATERIALS_ZH,
    actions=frozenset(
        """
        追 踢 弹 彈 拉 吹 打 敲 抱 举 舉 提 推 开 開 读 讀 喝 飞 飛 跑 跳 游 爬 睡 躺 趴 蹲 唱 咬 抓 捉 钓 釣 看 吃 骑 騎 骑着 戴 戴着 穿 穿着 坐 坐在 站在
        拿 拿着 吃着 抱着 举着 带 帶 带着 背 背着 挂 掛 挂着 走 走在 躺在 趴在 飞过 骑在 坐着 躺着 趴着 看着 推着 开着 飞在 睡在 住在 摸 闻 站着
        """.split()
    ),
    manners=_MANNERS_ZH,
    style=re.compile(
        rf"(?:以|用)?(?:一[张幅張])?({'|'.join(sorted(_MANNERS_ZH, key=len, reverse=True))})(?:画|畫)?(?:的)?"
        r"(?:(?:风格|風格|画风|畫風|风|風|效果|质感|画|畫|版)(?:的)?|的|(?=[，,、。；]|\s*$)|(?<=卡通)|(?<=像素))"
        r"|(?<![^\s，,、。；])([^\s，,、。；的]{1,8})(?:的)?(?:风格|風格|画风|畫風)(?:的)?"
    ),
    others=frozenset(
        """
        粉笔 粉筆 红包 紅包 小熊猫 小熊貓 小龙虾 小龍蝦 小票 小结 小結 大兵 小鬼 大麻 黄牛 黃牛 无线 無線 无花果 無花果 短信 白糖 红糖 紅糖 黑糖 黑箱 红茶 紅茶
        绿茶 綠茶 黑茶 白茶 白药 白藥 老板 老闆 黄花 黃花 短线 短線 打包 打结 打結 打针 打針 打火 打票 看台 提包 开火 開火 高桥 高橋 老虎机 老虎機 不象 弹药 彈藥 弹窗 坐药 坐票 骑兵 騎兵
        骑墙 看门 黑桃 红桃 紅桃 红新月 红火 紅火 黑鬼 圆白菜 圓白菜 长枪 長槍 青花 黑枪 白票 黑票 青豆 长短 大书 大票 大线 小派 老花 老派 老火 老包
        """.split()
    ),
    scenes={
        "海边": "at the sea", "海邊": "at the sea", "湖边": "at the lake", "湖邊": "at the lake", "河边": "at the river", "河邊": "at the river",
        "路边": "at the road", "路邊": "at the road", "水边": "at the water", "水邊": "at the water",
    },
    pairs=frozenset("猫狗 貓狗 狗猫 狗貓 鸡鸭 雞鴨 鸭鹅 鴨鵝 鸡狗 雞狗 牛羊 马牛 馬牛 牛马 牛馬 猪羊 豬羊 猪牛 豬牛 虎豹 龙虎 龍虎 鱼虾 魚蝦 虾蟹 蝦蟹 车船 車船 刀剑 刀劍".split()),
)  # fmt: skip
_ADJECTIVES_ES = (
    "grande=big pequeno=small lindo=cute bonito=pretty hermoso=beautiful viejo=old nuevo=new feliz=happy dorado=golden gigante=huge "
    "rojo=red azul=blue verde=green blanco=white negro=black amarillo=yellow gordo=fat flaco=thin alto=tall largo=long corto=short "
    "antiguo=ancient moderno=modern triste=sad enojado=angry enfadado=angry dormido=asleep joven=young gracioso=funny divertido=funny "
    "adorable=adorable tierno=cute colorido=colourful brillante=shiny redondo=round magico=magic salvaje=wild plateado=silver "
    "rosado=pink morado=purple marron=brown gris=gray naranja=orange diminuto=tiny enorme=huge loco=crazy peludo=furry abierto=open "
    "cerrado=closed roto=broken antigua=ancient comun=common rapido=fast elegante=elegant simpatico=nice delicioso=delicious"
)
_MANNERS_ES = {
    "acuarela": "watercolor style", "oleo": "oil painting", "pintura al oleo": "oil painting", "dibujo a lapiz": "pencil sketch",
    "lapiz": "pencil sketch", "anime": "anime style", "manga": "manga style", "caricatura": "cartoon style", "dibujos animados": "cartoon style",
    "pixel art": "pixel art", "realista": "realistic style", "minimalista": "minimalist style", "comic": "comic style",
}  # fmt: skip


def _inflected(pairs: str) -> dict[str, str]:
    """Adjectives in both genders and numbers: "rojo=red" -> rojo, roja, rojos, rojas."""
    said: dict[str, str] = {}
    for pair in pairs.split():
        word, name = pair.split("=")
        stems = (word, f"{word[:-1]}a") if word.endswith("o") else (word,)
        said |= {form: name for stem in stems for form in (stem, f"{stem}s", f"{stem}es")}
    return said


SPANISH = Dialect(
    numbers={
        **dict(zip("uno dos tres cuatro cinco seis siete ocho nueve diez".split(), _DIGITS, strict=True)),
        "un": "a", "una": "a", "el": "the", "la": "the", "los": "the", "las": "the", "unos": "some", "unas": "some", "al": "the", "del": "the",
        "varios": "several", "varias": "several", "muchos": "many", "muchas": "many", "mi": "a", "mis": "some", "algunos": "some", "algunas": "some",
        "su": "a", "sus": "some", "este": "the", "esta": "the", "ese": "the", "esa": "the", "otro": "a", "otra": "a", "cero": "zero",
    },
    without=frozenset("sin|no|ni|excepto|salvo|menos|tampoco|ningun|ninguna|en lugar de|en vez de|no hay|no quiero|nada de|no dibujes".split("|")),
    joins=dict.fromkeys(
        """
        y e con o u junto en sobre bajo debajo encima lado dentro cerca entre detras delante ante contra por hacia desde mas a para + & ; .
        """.split(),
        "and",
    ) | {",": ","},
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
        dibuja dibujame dibuje dibujes dibujar dibujarme dibujo favor quiero quisiera me gustaria ver foto imagen haz hazme pinta pintame
        genera generar crea crear muestra muestrame hay puedes podrias que necesito esto es ilustracion fotografia imagenes gracias hola te lo le
        estan sentado sentada comiendo montando corriendo llevando jugando nos se de retrato dame deseo solo muy
        """.split()
    ),
    measures=frozenset("vaso taza copa botella ramo trozo pedazo par plato grupo monton puñado rebanada lata bolsa jarra cuenco caja cesta porcion".split()),
    qualities=_inflected(_ADJECTIVES_ES),
    materials={
        "madera": "wooden", "oro": "golden", "plata": "silver", "cristal": "glass", "vidrio": "glass", "plastico": "plastic", "papel": "paper",
        "piedra": "stone", "metal": "metal", "cuero": "leather", "tela": "cloth", "hierro": "iron", "bronce": "bronze", "peluche": "plush",
    },
    actions=frozenset(),
    manners=_MANNERS_ES,
    style=re.compile(
        rf"(?:\b(?:al|en|con|de)\s+)?(?:un\s+)?\bestilo\s+(?:de\s+)?(?:({'|'.join(sorted(_MANNERS_ES, key=len, reverse=True))})\b|([\w'-]{{1,30}}(?:\s+[A-Z][\w'-]{{1,30}})?))"
        rf"|(?:(?<=,)|^)\s*(?:en\s+)?({'|'.join(sorted(set(_MANNERS_ES) - {'lapiz', 'oleo'}, key=len, reverse=True))})(?:\s+de(?=\s))?(?=\s*(?:,|$|\sde\s))",
        re.IGNORECASE,
    ),
    others=frozenset({"hoja de papel", "avion de papel", "caballo de madera"}),
)  # fmt: skip
DIALECTS: Mapping[str, Dialect] = {"zh": CHINESE, "es": SPANISH}
