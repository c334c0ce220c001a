"""The closed classes of English that tell where a thing begins and ends, and what is said beside things.

Everything open (which nouns there are, which of them somebody knows) is looked up elsewhere; what stands here
are articles, numbers, relations, openings, and the tags that people put behind a prompt.
"""

from __future__ import annotations

import re

DETERMINERS = frozenset(
    "a an the some any my our your his her its their this that these those another each every no-one".split()
)
_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty"
NUMBERS = {word: number for number, word in enumerate(_ONES.split()) if number} | {
    "dozen": 12, "both": 2, "couple": 2, "several": 3, "few": 3, "many": 3, "multiple": 3, "various": 3,
    "numerous": 3, "lots": 3, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
    "hundred": 100, "hundreds": 100, "thousand": 1000, "thousands": 1000,
}  # fmt: skip
COMPARED = re.compile(r"\b(?:much\s+)?((?:more|less)\s+\w{1,30}|\w{1,30}er)\s+than\b", re.IGNORECASE)
SHORT_WORDS = (
    (re.compile(r"(?<!\w)w/o(?!\w)", re.IGNORECASE), "without"),
    (re.compile(r"(?<!\w)w/\s*", re.IGNORECASE), "with "),
)
HALF_A_DOZEN = re.compile(r"\bhalf\s+an?\s+dozen\b|\ba\s+half\s+dozen\b", re.IGNORECASE)
RELATIONS = frozenset(
    """
    and or with on in at under underneath over above below beneath behind beside besides near nearby by between among
    amongst against inside outside within into onto from to of for around across through throughout along alongside upon
    atop off but yet before after during plus versus vs then while who which that as like left right top bottom front middle
    center centre side next close together & + /
    """.split()
)
SMALL_WORDS = ("the", "and", "with", "without", "from")  # whose letters change places in typing
UNWANTED = frozenset(
    "without no not minus except excluding lacking nor neither isn't isn\u2019t aren't aren\u2019t".split()
)
UNWANTED_PHRASE = re.compile(
    r"""\b(?:(?:instead|in\s+place|in\s+lieu|free|devoid)\s+of|(?:rather|other)\s+than|(?:apart|aside|free)\s+from|except\s+for
    |anything\s+but|leav(?:e|ing)\s+out|(?:do\s+not|don['\u2019]?t|never)\s+(?:draw|include|show|add|paint|want|put|use)(?:\s+me)?)\b""",
    re.IGNORECASE | re.VERBOSE,
)
NOTHING_BUT = re.compile(
    r"\b(?:nothing|no\s+one|nobody)\s+(?:but|except|other\s+than|else(?:\s+(?:but|than))?)\b", re.IGNORECASE
)
BESIDE = frozenset(  # say nothing of what there is
    """
    please thanks thank just only also very really so too here there now today up down away out again maybe perhaps
    it them they he she we i me you us one's something anything everything nothing else thing things stuff
    much more most less least enough quite rather pretty almost nearly even still already always never ever often
    sometimes soon later once twice ago yesterday tomorrow tonight asap if when where why how what because though although
    unless until since whether instead anyway etc ok okay yes lol omg wow oops
    i'm i'd i've i'll it's that's there's here's what's let's we're they're you're he's she's who's
    """.split()
)
SUBJECTS = frozenset("i you we they he she it who i've we've they've you've i'd we'd i'll we'll".split())
"""What stands right behind one of these is a verb, whatever else it may be: "I watch a train"."""
RELATIVES = frozenset("that which who".split())  # behind a thing they begin what it does
VERBS_TOO = frozenset(
    """
    watch fly fish duck park ring drum shower bow bear seal train box can pin nail hammer brush comb iron paddle ski surf
    skate dress ship book plant water fire rock roll swallow milk bat ram hand eye face light flag drink cook ride kiss fan
    gift present drill saw axe lock mail phone squash star rose tie snow rain cloud bridge tent bomb dart knife
    """.split()
)
"""Names of things that are verbs as well."""
ADJECTIVES = frozenset(
    """
    red orange yellow green blue purple pink brown black white gray grey gold golden silver big small little large tiny huge old new young hot cold
    warm cool high low long short tall wide narrow thick thin fat wet dry hard soft sweet sour fast slow free good bad best dark bright deep
    flat round square sharp blunt clean dirty full empty heavy loud quiet rough smooth strong weak wild tame cute pretty nice fine fresh raw
    left right half double single main grand super mini micro mega ultra plain wooden
    """.split()
)
"""What stands before a noun without making it another thing, though some are written in one word with it."""
OTHER_THINGS = frozenset(
    " ".join(line.split())
    for line in """
    guinea pig|prairie dog|sea horse|sea star|sea cucumber|sea urchin|sea dragon|sea snail|water bear|ant lion|horse chestnut|star fruit|dragon fruit
    |piggy bank|power bank|river bank|food bank|blood bank|memory bank|snow bank|onion ring|boxing ring|nose ring|napkin ring|teething ring
    |rolling pin|clothes pin|hair pin|sleeping bag|tea bag|punching bag|air bag|bean bag|bin bag|bird house|tree house|opera house|coffee house|power house
    |bus stop|bus station|train station|gas station|hot dog stand|fire station|police station|subway station|space station|pop star|rock star|movie star
    |film star|traffic jam|traffic cone|computer virus|oil drum|ear drum|ice pick|jelly bean|coffee bean|jumping bean|power plant|chemical plant
    |black box|ballot box|window box|fuse box|phone box|tape measure|tank top|crab apple|crane fly|fruit fly|fruit bat|baseball bat|cricket bat|vampire bat
    |garden hose|car wash|clothes horse|rocking horse|saw horse|pommel horse|hammer shark|hobby horse|dust mite|paper plane|paper airplane
    |paper boat|ship wreck|plane tree|shoe tree|family tree|decision tree|hat stand|book stand|ball bearing|cannon ball|meat ball|cotton candy
    |snow globe|light saber|pepper mill|wind mill|water wheel|steering wheel|spinning wheel|potter's wheel|roulette wheel|cheese wheel|wheel barrow
    |key chain|key ring|daisy chain|food chain|fish hook|crochet hook|coat hook|boat hook|fire hydrant|fire place|fire work|fire truck driver
    |mouse pad|mouse mat|door mat|door knob|door handle|window sill|bed side table|bath tub toy|egg timer|egg beater|egg carton|milk carton
    |milk tooth|wisdom tooth|lion tamer|snake charmer|dog collar|dog leash|dog bowl|cat litter|cat food|dog food|bird cage|bird bath|bird feeder
    |banana split|banana bread|carrot cake mix|apple juice|apple sauce|orange juice|lemon juice|tomato juice|tomato soup|mushroom soup|chicken soup
    |onion soup|pumpkin soup|pumpkin seed|sunflower seed|sunflower oil|olive oil|coconut oil|coconut milk|almond milk|peanut butter|potato chip
    |tortoise shell|tree stump|tree trunk|rose garden|flower pot|flower bed|river bed|sea bed|oyster bed|road block|cloud computing
    """.replace("\n", " ").split("|")
)
"""What is no kind of its last word, nor of its first: a guinea pig is no pig. Those written in one word too are in dictionaries."""
VERB_FORMS = frozenset(f"{verb}{end}" for verb in VERBS_TOO for end in ("s", "es")) | {"flies"}
"""How they go with "an owl", which is also how most of them look in the plural."""
PARTS = frozenset("half quarter third".split())
NOT_ONE = frozenset("zero 0".split())
BESIDE_EACH_OTHER = frozenset(
    """
    and or with next to beside besides near nearby by & + / plus together as like which who that then versus vs while at
    side along alongside around between among of for
    be have see show contain feature include depict appear place put set locate position arrange bring add
    """.split()
)
"""Between two things these say no more than that both are there, as lemmas."""
ACTIONS = frozenset(
    """
    be have do sit stand eat play wear hold ride lie look run jump fly swim drive read watch chase carry drink sleep walk
    dance sing hang float lean climb follow face smile wait bring use place put surround cover fill make stack pile set
    travel drift rest touch kiss hug fight bite throw catch kick push pull cook bake write draw paint cut open close show
    contain feature include depict see appear stay live grow shine burn fall rise sail row hike visit meet join enjoy
    go come move leave arrive start stop begin end get turn try ask call wish want lose find give take send
    hide peek perch balance lay locate arrange position isolate standalone build shape carve
    """.split()
)
MEASURES = frozenset(
    """
    bunch piece slice cup group herd flock pile pair couple lot lots plenty bowl plate bit kind type sort set number
    variety collection bouquet basket box can tin pack bag bar row drop handful swarm pack school team crowd dozen
    """.split()
)
HERDS = frozenset("school flock herd swarm pack pod litter colony bevy gaggle brood shoal".split())
"""Of these some are things too, but not before "of": no building is asked for by "a school of fish"."""
KINDS_OF_PICTURE = (
    "picture|photo|photograph|pic|image|drawing|painting|illustration|icon|emoji|sketch|render|rendering|portrait|"
    "close-?up|shot|scene|view|depiction|artwork|logo|sticker|clip-?art|poster|wallpaper|snapshot|selfie|avatar|gif|thumbnail"
)
OPENING = re.compile(
    rf"""^\W*(?:
    (?:hi|hello|hey|ok|okay|so|well|dear\s+\w+|good\s+(?:morning|day|evening))\b(?=\W+\w)\W+
    |(?:please|pls|plz|kindly|just|now)\b\W*
    |(?:(?:can|could|would|will|may)\s+(?:you|u|ya|we|i)\s+(?:(?:please|pls|plz|kindly)\s+)?(?:try\s+to\s+|help\s+me\s+(?:to\s+)?)?)
    |(?:i(?:\s*['\u2019]?d|\s+would|\s+just|\s+really)?\s+(?:want|need|wish|like|love|prefer|wanna)
        (?:\s+(?:you|for\s+you))?(?:\s+to)?)\b\s*
    |(?:let(?:['\u2019]?s|\s+us|\s+me)\s+(?=\w))
    |(?:draw|paint|make|show|create|generate|render|design|give|sketch|illustrate|depict|produce|imagine|see|have|get|
        visuali[sz]e|display|do)\b(?:\s+(?:me|us|for\s+me))?\s*:?\s*(?=\S)
    |(?:(?:an?|the|some|one|my)\s+)?(?:\w[\w-]{{0,40}}\s+){{0,3}}?(?:{KINDS_OF_PICTURE})s?\s+(?:of|with|showing|depicting|containing)\s+
    |(?:there\s+(?:is|are|should\s+be)|this\s+is|here\s+is|it\s+is)\s+
    )""",
    re.IGNORECASE | re.VERBOSE,
)
CLOSING = re.compile(
    r"\b(?:please|pls|plz|thanks(?:\s+a\s+lot)?|thank\s+you(?:\s+(?:so|very)\s+much)?|for\s+me|if\s+you\s+can|cheers)$",
    re.IGNORECASE,
)
LONGEST_CLOSING = 40  # characters of one
QUALITY = re.compile(
    r"""\b(?:masterpiece|(?:(?:best|high|highest|top|good|amazing|great|ultra|super)[\s-]{1,3}){1,6}(?:quality|resolution|res|detail(?:s|ed)?)
    |(?:(?:very|ultra|highly|extremely|super|insanely|hyper|intricate(?:ly)?)[\s-]{1,3}){0,6}(?:detailed|intricate)(?:\s+details?)?
    |absurd\s?res|high\s?res|(?:ultra[\s-]?)?(?:hd|hdr|uhd)|\d{1,2}\s?k(?:\s+(?:uhd|hdr|resolution|wallpaper|quality))?
    |trending\s+on\s+\w{1,40}|art\s?station(?:\s?hq)?|deviantart|award[\s-]winning|sharp\s+focus|in\s+focus|unreal\s+engine(?:\s+\d)?|octane(?:\s+render)?
    |ray\s?trac(?:ing|ed)|vivid\s+colou?rs?|(?:cinematic|studio|soft|dramatic|natural|volumetric|beautiful|golden\s+hour)\s+light(?:ing)?
    |depth\s+of\s+field|bokeh|professional(?:\s+photo(?:graphy)?)?|score_\d+(?:_up)?|rating_\w+|solo|no\s+humans|aesthetic|stunning|breathtaking
    |f/?\d(?:\.\d)?|\d{2,3}\s?mm(?:\s+lens)?|dslr|extremely\s+beautiful|perfect(?:\s+composition)?|centered(?:\s+composition)?)(?![\w-])""",
    re.IGNORECASE | re.VERBOSE,
)
_MANNERS = (
    "water\\s?colou?r|oil|acrylic|pixel|line|vector|concept|digital|pop|folk|street|low[\\s-]?poly|isometric|anime|manga|"
    "cartoon|comic|cyberpunk|steampunk|vintage|retro|minimalist(?:ic)?|abstract|realistic|photo-?realistic|hyper-?realistic|"
    "impressionist|expressionist|surreal(?:ist)?|cubist|baroque|gothic|art\\s+nouveau|art\\s+deco|ukiyo-?e|pencil|charcoal|"
    "ink|chalk|crayon|pastel|3-?d|2-?d|flat|kawaii|chibi|disney|pixar|ghibli|studio\\s+ghibli|noir|fantasy|black\\s+and\\s+white|"
    "black\\s*&\\s*white|monochrome|sepia|claymation|origami|stained\\s+glass|mosaic|embroidery|graffiti|doodle|psychedelic|vaporwave"
)
MANNER = re.compile(rf"\b(?:{_MANNERS})\b", re.IGNORECASE)
SAYS_STYLE = re.compile(
    r"\b(?:styled?|manner|spirit|art|painting|drawing|illustration|render(?:ing)?|sketch|look|aesthetic)\b",
    re.IGNORECASE,
)
PICTURE = re.compile(rf"(?:{KINDS_OF_PICTURE})s?", re.IGNORECASE)
STYLE = re.compile(
    rf"""(?:[,;\s]{{0,4}}\b(?:in|as|with|drawn\s+(?:in|as)|painted\s+(?:in|as)|done\s+in|made\s+(?:in|of))?\s{{0,4}}
    (?:(?:the|an?)\s+)?(?:
        (?:style|manner|spirit)\s+(?:of|by)\s+[\w\s.'-]{{1,120}}?(?=[,;.]|\s+(?:on|with|at)\s|$)
        |(?:{_MANNERS})(?:[\s-]{{1,3}}(?:{_MANNERS})){{0,4}}(?:[\s-]{{1,3}}(?:style|styled|art|painting|drawing|illustration|render(?:ing)?|sketch|photo(?:graph)?|look|aesthetic|colou?rs?|design|icon|logo|sticker|clip-?art|graphics?)){{1,3}}
        |(?:by|after)\s+(?:van\s+gogh|picasso|monet|rembrandt|hokusai|dali|banksy|greg\s+rutkowski|\w{{1,40}}\s+style)
        |(?:{_MANNERS})(?=\s*(?:[,;.]|$))
        |[\w-]{{1,40}}[\s-]styled?\b(?!\s+\w)
        |(?:photo|photograph|illustration|painting|drawing|sketch|render)(?=\s*(?:[,;.]|$))
    ))""",
    re.IGNORECASE | re.VERBOSE,
)
PLAIN = frozenset(
    "plain solid simple flat clean empty uniform bright dark light pale deep coloured colored single-colour".split()
)
