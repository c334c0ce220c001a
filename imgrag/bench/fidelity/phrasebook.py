"""Words that people type: other names for things of the world, slips, other languages, and what nobody has.

Written for the bench by hand and kept out of every training, but for `KEYWORDS`, which are those of the CLDR
annotations (English, version 48) that name the thing. Where several names serve, they are parted by "|".
"""

from __future__ import annotations


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """ "puppy=dog, ..." as (said, name) pairs."""
    said = (entry.split("=") for entry in " ".join(text.split()).split(", "))
    return tuple((word, name) for word, name in said)


PLURALS = _pairs("""
owls=owl, books=book, horses=horse, dogs=dog, cats=cat, wolves=wolf, foxes=fox, butterflies=butterfly, mice=mouse,
geese=goose, cherries=cherry, strawberries=strawberry, tomatoes=tomato, potatoes=potato, knives=knife,
leaves=leaf, churches=church, boxes=box, watches=watch, buses=bus, pianos=piano, keys=key, donkeys=donkey,
cactuses=cactus, hedgehogs=hedgehog, kangaroos=kangaroo, mushrooms=mushroom, sunflowers=sunflower, tractors=tractor,
violins=violin, pretzels=pretzel, penguins=penguin, candles=candle, trees=tree, flowers=flower, apples=apple,
bicycles=bicycle, rockets=rocket, robots=robot, trophies=trophy, ladybugs=ladybug, spoons=spoon, umbrellas=umbrella
""")

SLIPS = _pairs("""
tolbox=toolbox, hedghog=hedgehog, kangeroo=kangaroo, flamngo=flamingo, octupus=octopus, skatebord=skateboard,
pinapple=pineapple, avacado=avocado, helicoptor=helicopter, acordion=accordion, mashroom=mushroom, ambulence=ambulance,
parashute=parachute, volcanoe=volcano, snowflak=snowflake, microscpe=microscope, umberella=umbrella, elefant=elephant,
rabit=rabbit, buterfly=butterfly, strawbery=strawberry, bananna=banana, hamburgr=hamburger, bicylce=bicycle,
motorcicle=motorcycle, guittar=guitar, compuetr=computer, televison=television, pensil=pencil, sissors=scissors,
snowmann=snowman, castel=castle, rockett=rocket, airplne=airplane, balooon=balloon, giraf=giraffe, pengiun=penguin,
crocodil=crocodile, dolfin=dolphin, trumpt=trumpet, micropone=microphone, carott=carrot, tomatoo=tomato, tigr=tiger
""")

FIRST_SLIPS = _pairs("""
loolbox=toolbox, gangaroo=kangaroo, vlamingo=flamingo, pctopus=octopus, oineapple=pineapple, nushroom=mushroom,
belicopter=helicopter, ciolin=violin, zmbulance=ambulance, lotorcycle=motorcycle, wlephant=elephant,
vutterfly=butterfly, xtrawberry=strawberry, jamburger=hamburger, fuitar=guitar, yelevision=television, bmbrella=umbrella,
dastle=castle, wrocodile=crocodile, niraffe=giraffe, ocissors=scissors, gomputer=computer, enowman=snowman, acorpion=scorpion
""")

KEYWORDS = _pairs("""
puppy=dog, kitten=cat, kitty=cat, bunny=rabbit, hippo=hippopotamus, bike=bicycle, burger=hamburger, aeroplane=airplane,
automobile=car, telephone=phone|smartphone, maize=corn, loaf=bread, rucksack=backpack, satchel=backpack|bag,
doughnut=donut, ladybird=ladybug, toadstool=mushroom, tortoise=turtle, serpent=snake, aubergine=eggplant,
spanner=wrench, torch=flashlight, hatchet=axe, pail=bucket, sleigh=sled, cab=taxi, handbag=bag|purse,
luggage=suitcase, eyeglasses=glasses, sneaker=shoe, boulder=rock, lamb=sheep, elk=moose, buffalo=bison,
tv=television, gem=diamond, tombstone=gravestone, flame=fire, ale=beer, whirlwind=tornado, concertina=accordion,
masjid=mosque, yacht=sailboat, chapel=church, bumblebee=bee, sax=saxophone, mic=microphone, laptop=computer
""")

OTHER_WORDS = _pairs("""
hound=dog, pooch=dog, mutt=dog, feline=cat, tomcat=cat, stallion=horse, pony=horse, mare=horse, hog=pig|boar, swine=pig|boar,
hen=chicken, cobra=snake, viper=snake, stag=deer, alligator=crocodile, orca=whale, hare=rabbit, tarantula=spider,
spectacles=glasses, cutlass=sword, mallet=hammer, sofa=couch, armchair=chair, lorry=truck, jetliner=airplane,
chopper=helicopter, kayak=canoe, dinghy=boat, steamship=ship, fortress=castle, palace=castle, cottage=house, mansion=house,
fiddle=violin, tome=book, crate=box, padlock=lock, biscuit=cookie, spud=potato, espresso=coffee, lager=beer, twister=tornado,
android=robot, phantom=ghost, tiara=crown, fedora=hat, gown=dress, parka=coat, knapsack=backpack, cathedral=church, cot=bed
""")

OTHERS_LIKE_IT = {
    "dog": "poodle", "cat": "lion|tiger|leopard", "hat": "top hat|cap", "boat": "sailboat|speedboat|canoe",
    "house": "hut", "ship": "boat|sailboat", "chair": "couch", "crocodile": "lizard",
}  # fmt: skip
"""Names of the world that serve as well where a word for the first one is used."""

CHINESE = _pairs("""
一只狗=dog, 一只猫=cat, 一匹马=horse, 一头牛=cow, 一头猪=pig, 一只羊=sheep|goat|ram, 一只兔子=rabbit, 一只熊=bear, 一只鸟=bird,
一条鱼=fish|tropical fish, 一只青蛙=frog, 一只乌龟=turtle, 一条蛇=snake, 一只蝴蝶=butterfly, 一只蜜蜂=bee, 一只蜘蛛=spider,
一只老虎=tiger, 一头狮子=lion, 一头大象=elephant, 一只猴子=monkey, 一朵玫瑰=rose, 一棵树=tree|pine tree, 一个苹果=apple,
一根香蕉=banana, 一个柠檬=lemon, 一根胡萝卜=carrot, 一个蛋糕=cake|birthday cake, 一座房子=house, 一座城堡=castle, 一座桥=bridge,
一辆汽车=car, 一辆自行车=bicycle, 一列火车=train|locomotive, 一架飞机=airplane, 一艘船=boat|ship|sailboat,
一本书=book|open book, 一支铅笔=pencil, 一把钥匙=key, 一把锤子=hammer, 一把雨伞=umbrella, 一顶帽子=hat|top hat|cap, 一把吉他=guitar,
一张床=bed, 一把椅子=chair, 一个机器人=robot, 一只袋鼠=kangaroo, 一只章鱼=octopus, 一只螃蟹=crab, 一个蘑菇=mushroom,
一朵向日葵=sunflower, 一个西瓜=watermelon, 一个菠萝=pineapple, 一个背包=backpack, 一把小提琴=violin, 一座火山=volcano,
一只企鹅=penguin, 一只猫头鹰=owl, 一只熊猫=panda, 一条鲨鱼=shark, 一只长颈鹿=giraffe
""")
MEASURE = 2  # characters before the noun: the numeral and its measure word
CHINESE_PAIRS = (
    "{a}和{b}", "画{a}和{b}", "请帮我画{a}和{b}", "我想要一张{a}和{b}的图片", "{a}，{b}", "{a}与{b}", "{bare_a}和{bare_b}",
    "{a}旁边有{b}", "给我画{a}和{b}，谢谢", "能画{a}和{b}吗？", "有{a}，还有{b}。", "{bare_a} {bare_b}",
)  # fmt: skip

SPANISH = _pairs("""
un perro=dog, un gato=cat, un caballo=horse, una vaca=cow, un cerdo=pig, una oveja=sheep, un conejo=rabbit, un oso=bear,
un pez=fish|tropical fish, un pájaro=bird, una mariposa=butterfly, una araña=spider, una serpiente=snake, una rana=frog,
una tortuga=turtle, un elefante=elephant, un zorro=fox, un león=lion, un tigre=tiger, una flor=flower|cherry blossom,
un árbol=tree|pine tree, una manzana=apple, un plátano=banana, un limón=lemon, una fresa=strawberry, una zanahoria=carrot,
un queso=cheese, un huevo=egg, una guitarra=guitar, una corona=crown, un sombrero=hat|top hat, un paraguas=umbrella,
una silla=chair, una cama=bed, una espada=sword, un martillo=hammer, un barco=boat|ship|sailboat, un tren=train|locomotive,
un avión=airplane, un cohete=rocket, un coche=car, una bicicleta=bicycle, un libro=book|open book, una llave=key,
un reloj=clock|watch|alarm clock, un puente=bridge, un castillo=castle, una casa=house, una vela=candle, una nube=cloud,
un pingüino=penguin, un búho=owl, un tiburón=shark, una jirafa=giraffe, un canguro=kangaroo, un pulpo=octopus,
un cangrejo=crab, un girasol=sunflower, una mochila=backpack, un violín=violin, un volcán=volcano, una piña=pineapple,
una sandía=watermelon
""")
SPANISH_PAIRS = (
    "{a} y {b}", "dibuja {a} y {b}", "por favor, dibújame {a} con {b}", "quiero ver {a} y {b}",
    "una imagen de {a} y {b}", "{a} junto a {b}", "{bare_a} y {bare_b}", "¿puedes dibujar {a} y {b}?",
    "hay {a} y {b}", "{a}, {b}", "Me gustaría {a} al lado de {b}.", "{bare_a}, {bare_b}",
)  # fmt: skip

EMOJI = _pairs("""
🐕=dog|poodle, 🐈=cat, 🐎=horse, 🐄=cow, 🐖=pig, 🐇=rabbit, 🐅=tiger, 🐁=mouse|rat, 🐒=monkey, 📕=book, 🚘=car, 🏡=house, 🍏=apple,
🚚=truck, 🐤=chick, 🐻=bear, 🎁=gift, 🤖=robot, 👻=ghost, 🔨=hammer
""")
"""Beside those that the world's own pictures are of: others that show the same."""

INVENTED = """
drendle grumbix skarvel moffenet quavvex vundrel obluxen fentaroo glimmox harvound jibbet kolpra lumdish narquin
pellifrost rundalo swivvit tarnoch umbrix wexlor yalpeen zindra brovant drommaf eskimar gravnok ixolent thurmwick
opplesnook vaskeroon
""".split()

BRANDS = (
    "Pikachu", "Batman", "Mickey Mouse", "Darth Vader", "Hello Kitty", "Super Mario", "Shrek", "Totoro", "Spider-Man",
    "Godzilla", "a Coca-Cola", "a Tesla", "an iPhone", "Barbie", "Naruto", "Yoda", "Harry Potter", "Snoopy", "Garfield",
    "SpongeBob", "a Lego brick", "Taylor Swift", "Superman", "a Starbucks mug", "Gandalf", "the Joker",
)  # fmt: skip

OUTSIDE = """
lawyer dentist nurse refrigerator dishwasher fence elevator stapler harp tuba cello xylophone mermaid zombie goblin
ostrich pelican walrus platypus armadillo lighthouse windmill pyramid skyscraper waterfall submarine bulldozer
trampoline hammock carpet chandelier typewriter scarecrow artichoke lasagna
""".split()

NOTHING_TO_SEE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("hello", ("hello",)), ("asdfgh jkl", ("asdfgh",)), ("qwertyuiop", ("qwertyuiop",)), ("freedom", ("freedom",)),
    ("hi there, how are you?", ()), ("the meaning of life", ("meaning", "life")), ("???", ()), ("test", ("test",)),
    ("lorem ipsum dolor sit amet", ("lorem", "ipsum")), ("what can you do", ()), ("loyalty and patience", ("loyalty", "patience")),
    ("sdkfjhsdf", ("sdkfjhsdf",)), ("something nice", ()), ("aaaaaaaa", ("aaaaaaaa",)), ("democracy", ("democracy",)),
    ("an idea", ("idea",)), ("blah blah blah", ("blah",)), ("wisdom and a castle", ("wisdom",)), ("12345", ("12345",)),
    ("good morning", ()), ("jealousy", ("jealousy",)), ("tomorrow", ("tomorrow",)), ("zxcv", ("zxcv",)), ("a dream of tomorrow", ("dream", "tomorrow")),
)  # fmt: skip
"""Prompts, and their words that nobody has; "castle" in one of them is there to be drawn."""

ADJECTIVES = """
wooden golden rusty striped translucent velvet glowing ancient furry knitted marble plastic melted haunted invisible
enormous leather polka-dot frosted crumpled sparkly gloomy angry sleepy
""".split()

RELATIONS = (
    "under", "on top of", "behind", "inside", "in front of", "to the left of", "below", "above", "on", "over",
    "close to", "underneath", "to the right of", "leaning against",
)  # fmt: skip

ACTIONS = (
    "{a} sitting on {b}", "{a} eating {b}", "{a} holding {b}", "{a} chasing {b}", "{a} flying over {b}",
    "{a} is standing next to {b}", "{a} jumps over {b}", "{a} looking at {b}", "{a} that carries {b}", "{a} riding {b}",
    "{a} dancing with {b}", "{a} sleeping beside {b}", "{a} playing with {b}", "{a} hiding behind {b}",
)  # fmt: skip

PUNCTUATION = (
    "{a}, and {b}!", "{a} & {b}", "{a} + {b}", '"{a} and {b}"', "{a}; {b}.", "({a} and {b})", "{a} and {b}...",
    "- {a}\n- {b}", "*{a}* and *{b}*", "{a} and {b}?!", "{a} – {b}", "{a}, {b}.", "[{a}] [{b}]", "{a}/{b}",
)  # fmt: skip

POLITE = (
    "can you draw me {a} and {b}?", "please make a picture of {a} and {b}", "I would like to see {a} and {b}, please",
    "could you please show me {a} with {b}", "I want {a} and {b}", "draw {a} and {b} for me, thanks",
    "hey, generate an image of {a} and {b}", "Would you mind drawing {a} and {b}?", "let's see {a} next to {b}",
    "I'd love a picture of {a} and {b}", "Make me {a} and {b} please!", "how about {a} and {b}?",
    "we need an icon that shows {a} and {b}", "Hi! My daughter wants {a} and {b} :)",
)  # fmt: skip

TAGGED = (
    "masterpiece, best quality, {a}, {b}", "{a} and {b}, 4k", "{a} and {b}, highly detailed, 8k, trending on artstation",
    "{a} and {b}, HDR, sharp focus", "ultra detailed, {a} and {b}", "score_9, score_8_up, {a}, {b}",
    "best quality, absurdres, {bare_a}, {bare_b}", "{a} and {b}, award winning", "{a}, {b}, cinematic lighting, octane render",
    "{a} and {b}, unreal engine 5", "{a} and {b}, intricate details, professional", "high resolution, {a} with {b}",
)  # fmt: skip

STYLED: tuple[tuple[str, str], ...] = (
    ("{a} and {b} in the style of Van Gogh", "Van Gogh"), ("a watercolor of {a} and {b}", "watercolor"),
    ("{a} and {b}, pixel art", "pixel art"), ("an oil painting of {a} and {b}", "oil painting"),
    ("{a} and {b} in anime style", "anime"), ("a pencil sketch of {a} and {b}", "pencil sketch"),
    ("{a} and {b}, low poly", "low poly"), ("{a} and {b} as a cartoon", "cartoon"), ("a 3d render of {a} and {b}", "3d"),
    ("{a} and {b}, cyberpunk style", "cyberpunk"), ("{a} and {b} in the style of Studio Ghibli", "Studio Ghibli"),
    ("a minimalist line drawing of {a} and {b}", "line drawing"), ("black and white photo of {a} and {b}", "black and white"),
)  # fmt: skip

SETTINGS: tuple[tuple[str, str], ...] = (
    ("at the beach", ""), ("at night", "night"), ("in the park", "park"), ("in the kitchen", "kitchen"), ("under water", "water"),
    ("in the jungle", "jungle"), ("on the street", "street"), ("in winter", "winter"), ("in the living room", "living room"),
    ("at the airport", "airport"), ("in Paris", "Paris"), ("at sunset", "sunset"), ("in a classroom", "classroom"),
    ("at a wedding", "wedding"), ("during an earthquake", "earthquake"),
)  # fmt: skip
"""Where a scene is set, and the word of it that nobody has; a beach is a thing of the world."""

SYNTAX = (
    "({a}:1.3), {b}", "{a} and {b} <lora:detail_tweaker:0.8>", "{a} AND {b}", "{a} and {b} --ar 16:9 --v 6",
    "{{{a}|{c}}} and {b}", "{a} and {b}\nNegative prompt: blurry, low quality\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 12345",
    "/imagine prompt: {a} and {b} --stylize 250", "(({a})), [{b}]", "{a} BREAK {b}", "{a}::2 and {b}::1",
    "{{{{{{{bare_a}}}}}}}, {b}", "<lora:x:0.8> ({bare_a}:1.2), ({bare_b}:0.9), --no text", "{a}, {b}, embedding:EasyNegative",
)  # fmt: skip

SPELT_APART: tuple[tuple[str, str], ...] = (
    ("a owl", "owl"), ("an castle", "castle"), ("a apple", "apple"), ("a umbrella", "umbrella"), ("an robot", "robot"),
    ("a tool box", "toolbox"), ("a tool-box", "toolbox"), ("a back pack", "backpack"), ("a lady bug", "ladybug"),
    ("a sun flower", "sunflower"), ("an ice-cream", "ice cream"), ("a soccerball", "soccer ball"), ("a motor cycle", "motorcycle"),
    ("a hedge-hog", "hedgehog"), ("a snow man", "snowman"), ("an air-plane", "airplane"), ("a tea pot", "teapot"),
    ("a light-bulb", "light bulb"), ("a skate board", "skateboard"), ("a trafficlight", "traffic light"),
    ("a polarbear", "polar bear"), ("a teddy-bear", "teddy bear"), ("the elephant", "elephant"), ("a octopus", "octopus"),
)  # fmt: skip

GROUNDS: tuple[tuple[str, str], ...] = (
    ("{ab} on a plain blue backdrop", "blue"), ("{ab} with a solid green background", "green"),
    ("{ab} in front of a yellow backdrop", "yellow"), ("{ab}, white background", "white"), ("{ab} on white", "white"),
    ("{ab}, background: red", "red"), ("{ab} against a purple background", "purple"), ("{ab} with an orange backdrop", "orange"),
    ("{ab} on a grey background", "gray"), ("the background is blue, {ab}", "blue"), ("on a red background, {ab}", "red"),
    ("{ab} on a simple, yellow background", "yellow"), ("{ab} on an isolated white background", "white"),
    ("{ab} on a green coloured background", "green"),
)  # fmt: skip

WITHOUT = (
    "{a} without {c}", "{a} but not {c}", "{a} with no {bare_c}", "no {bare_c}, just {a}", "{a} and {b}, no {bare_c}",
    "{a} and {b} without {c}", "{a}, not {c}", "{a} --no {bare_c}", "{a} and {b} (no {bare_c})", "{a} instead of {c}",
    "{a} and {b}, but without any {bare_c}", "only {a}, no {bare_c}",
)  # fmt: skip
