"""Short questions the pocket VLM learns to answer by yes or no: is this thing in the picture?

Asked by name alone, beside a reference that is called so, beside one that is only the nearest, or by a
reference alone. Every picture is asked about several times, since looking costs more than asking, and by
as many names that are there as that are not, so that no kind of question has a usual answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from imgrag.engine import prompts
from imgrag.pocket.recipes import judging
from imgrag.pocket.recipes.judging import Lesson, Scribe, Studio, Thing
from imgrag.pocket.world import world

PRESENT = 0.6  # of the asked things are there; names that nothing has make up for it
LEFT_OUT = 0.1  # of what is missing and has company stands nowhere, not even as something else

Way = Callable[[Scribe], Thing]


@dataclass(frozen=True)
class Kind:
    """How the things of a picture come to be; `shown` asks for the first one by its reference alone, too."""

    asked: Way
    beside: Way = Scribe.unreferred
    shown: bool = False
    accompanied: float = 0.7  # of the asked things have another beside them


def _either(scribe: Scribe) -> Thing:
    return scribe.referred() if scribe.rng.random() < 0.6 else scribe.nearest()


KINDS = {
    "alone": Kind(Scribe.unreferred),
    "referred": Kind(Scribe.referred, shown=True),
    "nearest": Kind(Scribe.nearest),
    "two": Kind(_either, _either, accompanied=1.0),
    "same": Kind(Scribe.referred, shown=True, accompanied=0.25),
}


ASKED = {"alone": 48, "referred": 24, "two": 16, "same": 32}  # pictures that are asked about at once
ASKED_OF = (("alone",), ("referred", "nearest"), ("two",), ("same",))
SHARES = (0.4, 0.48, 0.12, 0.0)
COMPARED_SHARES = (0.2, 0.3, 0.1, 0.4)
ALL_SHARES = (0.35, 0.35, 0.12, 0.18)


@dataclass(frozen=True)
class Row:
    """A picture's questions and their answers; `things` stand from left to right."""

    things: list[Thing]
    referred: list[Thing]
    asked: list[tuple[str, bool]]


def lesson(
    kinds: Sequence[str], rng: np.random.Generator, count: int, studio: Studio, words: Sequence[str]
) -> Lesson:
    """Questions about pictures of these `KINDS`, which have as many references each; `words` are a scribe's."""
    colours = rng.integers(len(world.COLOURS), size=count)
    rows = [
        row(KINDS[kinds[int(rng.integers(len(kinds)))]], Scribe(studio, int(colour), rng, words))
        for colour in colours
    ]
    return written(rows, colours, rng)


def mixed(
    rng: np.random.Generator, studio: Studio, words: Sequence[str], shares: Sequence[float] = SHARES
) -> Lesson:
    """Questions about pictures that all come with as many references; `shares` are of `ASKED_OF`."""
    kinds = ASKED_OF[int(rng.choice(len(ASKED_OF), p=shares))]
    return lesson(kinds, rng, ASKED[kinds[0]], studio, words)


def earlier(rng: np.random.Generator, studio: Studio, count: int, words: Sequence[str] = ()) -> Lesson:
    """What must not be forgotten: mostly verdicts on one picture, a third with references, now and then naming."""
    luck = rng.random()
    if luck < 0.12:
        return judging.captions(rng, count, studio)
    if luck < 0.58:
        return judging.verdicts(rng, count, 0, studio, words)
    if luck < 0.93:
        return judging.verdicts(rng, count, 1, studio, words)
    return judging.verdicts(rng, count // 2, 2, studio, words)


def written(rows: Sequence[Row], colours: np.ndarray, rng: np.random.Generator) -> Lesson:
    """Rows on their backgrounds as pictures, questions and answers."""
    things = [row.things for row in rows]
    pictures = judging.view(judging.wear(judging.scenes(things, colours), rng))[:, None]
    shown = [[judging.on_plain(thing.portrait, rng) for thing in row.referred] for row in rows]
    if shown[0]:
        pictures = torch.cat([pictures, torch.stack([torch.stack(references) for references in shown])], 1)
    asked = [(place, *pair) for place, row in enumerate(rows) for pair in row.asked]
    return Lesson(
        pictures,
        [question for _, question, _ in asked],
        ["yes" if answer else "no" for _, _, answer in asked],
        [judging.token_labels(row.things) for row in rows],
        [place for place, _, _ in asked],
    )


def row(kind: Kind, scribe: Scribe) -> Row:
    """A picture, and questions with about as many yes as no."""
    rng = scribe.rng
    wanted = bool(rng.random() < PRESENT)
    asked = _until(lambda: kind.asked(scribe), lambda thing: thing.present == wanted)
    things = [asked]
    if rng.random() < kind.accompanied:
        names = (asked.name, asked.seen)
        things.append(
            _until(lambda: kind.beside(scribe), lambda thing: not {thing.name, thing.seen} & {*names})
        )
        if not wanted and rng.random() < LEFT_OUT:
            things[0] = replace(asked, slot=None)
    things = [things[i] for i in rng.permutation(len(things))]
    referred = [things[i] for i in rng.permutation(len(things)) if things[i].reference is not None]
    lines = [thing.introduced for thing in referred]
    questions = [(prompts.thing_question(name, lines), answer) for name, answer in _names(things, scribe)]
    if kind.shown:
        questions.append((prompts.SAME, wanted))
    return Row(things, referred, questions)


def _names(things: Sequence[Thing], scribe: Scribe) -> list[tuple[str, bool]]:
    """Names to ask for: what is there, and as many that are not, one at least."""
    there = [thing for thing in things if thing.present]
    absent = [thing.name for thing in things if not thing.present]
    taken = {name for thing in things for name in (thing.name, thing.seen)}
    while len(absent) < len(there):
        if (name := _elsewhere(scribe)) not in taken:
            absent.append(name)
    asked = [(_worded(thing, scribe.rng), True) for thing in there]
    return asked + [(name, False) for name in absent[: max(1, len(there))]]


def _elsewhere(scribe: Scribe) -> str:
    """A name of what is not in the picture."""
    if scribe.rng.random() < 0.5:
        return scribe.strange()
    return world.names()[scribe.pick()]


def _until(draw: Callable[[], Thing], fits: Callable[[Thing], bool]) -> Thing:
    while not fits(thing := draw()):
        pass
    return thing


def _worded(thing: Thing, rng: np.random.Generator) -> str:
    """Its name, now and then as people write names."""
    luck = rng.random()
    if luck < 0.03:
        return thing.name.capitalize()
    if luck < 0.08 and thing.reference is None:
        return f"{world.ADJECTIVES[rng.integers(len(world.ADJECTIVES))]} {thing.name}"
    return f"the {thing.name}" if luck < 0.1 else thing.name


NOUNS = tuple(
    """
    acrobat airport album alley almanac almond altar amulet antenna antler apron aquarium arcade arch archer
    arm armchair armor artist asparagus astronaut attic auditorium avenue awning bacteria badge baker
    balcony ballerina ballroom bamboo bark barley barn basement bather bay bead beak beam beard bellhop belt
    bench billboard binoculars biscuit blacksmith blanket blender blimp bobsled bonfire bonnet bookshelf
    boulevard bracelet brain branch bride broth brush bugle bulldozer bunk bush butcher button cabbage cafe
    cage calculator canal canary cane cannon canopy canyon cape caravan cardigan carpenter carpet carriage
    cashew catapult cauliflower cave celery cellar cello cemetery centaur chalk chalkboard chameleon
    chandelier chariot chef chestnut child chimney china chisel choir cigar cinema cinnamon clam clarinet
    claw clay cliff clinic cloak cloth clown coast cobweb cockpit collar column compost concert condor
    conductor cone corkscrew cotton counter coyote cradle crater crayfish creek crib croquet crossbow crowd
    cub cupboard curtain cushion cyclist cyclops cymbal daffodil dagger dancer dandelion dashboard dentist
    desk detective diner diploma diver dock doctor doorbell doorway drawbridge drawer drill driver driveway
    drone dune dustpan dwarf earring easel eel elbow elevator elf elk ember emerald emu engineer eraser
    escalator eye eyebrow eyelash face fairy farm farmer faucet fence fern fiddle field fig finger
    firefighter fireplace fisherman fist fjord flame flea fleet flock flood floor flour foam fog foot
    footprint forest forge fork freezer freight fridge fringe fungus fur furnace gallery galley garage
    garden gargoyle garment gazebo gazelle geyser giant glacier glider glue gnome gondola gong gown grain
    grandmother granite grass gravel graveyard griffin grill grocery guard guest guide gum gutter gym hail
    hair hairbrush hall hallway halo hammock hand handle hangar harbor harmonica harness harp harvest hatch
    hay heart hearth heather hedge helmsman hermit heron highland hill hinge hive hoe hood hoof horizon horn
    hornet hose hunter hydrant hyena iceberg icicle igloo iguana incense infant ink iron ivory ivy jackal
    jacket jade jail jelly jester jug juggler jungle keg kennel ketchup kettle kid king kingfisher kitchen
    knee knight knob koi laboratory lace lagoon lake land landscape laser lasso lavender lawn lawyer leash
    leg lemonade lens lentil leprechaun letter library lichen lid lighter lighthouse lilac lime line lip
    lobby locker lodge loom lumberjack lung macaroni machine magazine magician magpie maid maker mall mallet
    mannequin manor mansion mantis marble marigold marionette market marlin marsh mason mast mat match
    mattress meadow meatball mechanic melon mermaid mill miner minnow minotaur mint mitten moat monastery
    mongoose monk monster monument moss motor mouth muffin mule mural muscle musician musket mussel mustache
    mustard nail napkin neck net newt nightingale ninja nose nurse nut nutmeg oar oasis oats oboe ocean ogre
    ointment omelet opal opera orca orchard orchestra organ ostrich oven overcoat padlock pagoda painter
    painting pajamas pan pansy pants papaya parade parasol park parsley passport pasta pastry path patio
    pavement pavilion pearl pebble pedal pelican pendulum percussion perfume pharaoh pheasant phoenix
    photographer pickle picnic pier pillar pillow pilot pinecone pipe pirate pitcher plain plant plaster
    playground plaza pliers plow plum pocket podium poet pomegranate pond pool poppy porch porcupine
    porridge port porter postcard poster pottery powder priest prince princess prison prune pudding puddle
    puffin pulpit puma puppet pyramid quail quarry queen quill quilt rabbi radish raft rail rain raincoat
    raisin rake ranch raspberry ray receipt reef referee refrigerator reptile restaurant rhubarb rib rider
    rifle rink river road roast robe roof room root rope rubber rubble ruby rug ruin sailor salamander salt
    sand sapling sapphire sardine sauce sauna sausage scaffold scarecrow scientist sculpture seaweed seed
    sergeant shade shadow shawl shed shelf shell shepherd shop shore shovel shrub sidewalk sign silk silo
    silver singer sink skirt sky skyscraper slipper smoke snack snorkel snow soil soldier soup spear sphinx
    spice spinach spire sprout square stable stage stair staircase stamp starfish station steam steel stem
    step stew stingray stool stork stove stream street string student submarine sugar suit sultan summer
    surgeon swallow swamp sweater swing swordfish table tadpole tail tailor tambourine tank tap tapestry tar
    tarantula tart tattoo tavern teacher team tentacle termite terrace thief thistle thorn throne thumb
    thunder tile tire toast toaster tobacco tofu tomb tongue tools tooth torch toucan towel town toy trail
    trailer trapeze tray treasure trench tribe tricycle troll trolley trombone troop trunk tub tuba tuna
    tunnel turban turbine turnip turquoise tusk twig typewriter uncle universe vacuum valley valve vampire
    vanilla vault veil velvet vent veranda vessel village vine vinegar vineyard vulture wagon waist waiter
    wallet walnut walrus wardrobe warehouse warrior waterfall waterwheel wax weed well werewolf wheat
    wheelbarrow whip whirlpool whiskers whistle wick wig willow windmill wing winter witch wizard wolverine
    wood woodpecker wool workshop wreath wrist yak yard yeast yogurt zeppelin zipper zoo zucchini
    """.split()
)
HELD_OUT = 6  # every sixth noun is kept from training, to measure by


def taught() -> tuple[str, ...]:
    """Nouns of ordinary English that the world has not, for a scribe."""
    return tuple(noun for place, noun in enumerate(NOUNS) if place % HELD_OUT)


def untaught() -> tuple[str, ...]:
    """Likewise, of which no training knows."""
    return NOUNS[::HELD_OUT]
