"""Prompts that need knowledge, in words that neither a lesson nor the texts have, and what they truly ask for.

Each says of what `datasets/knowledge/pocket.csv` has a text about, in other words, another order or another form.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imgrag.bench.fidelity.asking import Wording, asked
from imgrag.bench.fidelity.cases import mixed_cases, pair_cases
from imgrag.bench.fidelity.wordings import wording_cases
from imgrag.engine.prompts import with_article
from imgrag.pocket.world import world

SEED = 1107
FIRST_SEED = 90_000
KINDS = ("sentence", "each_word", "styles", "adjectives", "polite", "grounds", "actions", "relations")

RIDDLES = (
    ("the beast that is king", "lion"), ("the jungle's own king", "lion"), ("the best friend that man has", "dog"),
    ("an animal that barked", "dog"), ("the guard who keeps the yard", "dog"), ("the hunter that howls", "wolf"),
    ("the pack's leader", "wolf"), ("the one that is so sly", "fox"), ("the henhouse thief", "fox"),
    ("an animal that always purrs", "cat"), ("the animal which has nine lives", "cat"), ("the hunter in stripes", "tiger"),
    ("the animal that gallops", "horse"), ("the companion of a rider", "horse"), ("the mount some knight has", "horse"),
    ("the animal that moos", "cow"), ("the animal whose tail is curly", "pig"), ("the truffle finder", "pig"),
    ("the wool giver", "sheep"), ("the animal that bleats", "sheep"), ("the land's largest animal", "elephant"),
    ("the animal that has a trunk", "elephant"), ("a giant who never forgets", "elephant"),
    ("the squeaker that is tiny", "mouse"), ("the pantry nibbler", "mouse"), ("the hopper with long ears", "rabbit"),
    ("the burrow digger", "rabbit"), ("the woods' shaggy giant", "bear"), ("the farmyard clucker", "chicken"),
    ("the animal that clucks", "chicken"), ("the swimmer that quacks", "duck"), ("the pond's croaker", "frog"),
    ("a prince who is enchanted", "frog"), ("the animal that hisses", "snake"), ("an animal that has gills", "fish"),
    ("the swimmer that is silent", "fish"), ("the beauty that flutters", "butterfly"), ("a worker that buzzes", "bee"),
    ("the hive dweller", "bee"), ("the weaver with eight legs", "spider"), ("the garden's queen", "rose"),
    ("the petal bearer", "flower"), ("the shade giver", "tree"), ("the vine's fruit", "grapes"),
    ("the fruit that is sour", "lemon"), ("the fruit that newton watched", "apple"), ("the cob that is golden", "corn"),
    ("the staple of every baker", "bread"), ("a treat that is frozen", "ice cream"), ("a brew that is roasted", "coffee"),
    ("the drink bacchus loves", "wine"), ("the kitchen's cutter", "knife"), ("the third of the planets", "globe"),
    ("the goal of each climber", "mountain"), ("the place for lessons", "school"), ("a fortress with its towers", "castle"),
    ("the place where a prayer is said", "church"), ("a traveller by rails", "train"), ("the hauler of a heavy load", "truck"),
    ("a two-wheeler that is pedalled", "bicycle"), ("the vessel of some rower", "boat"), ("the vessel that a captain steers", "ship"),
    ("a flyer made of metal", "airplane"), ("the machine of a pilot", "airplane"), ("the ride into space", "rocket"),
    ("the time teller", "clock"), ("the light that twinkles", "star"), ("a drifter that is fluffy", "cloud"),
    ("the arch of seven colours", "rainbow"), ("the sturdy invention that levi made", "jeans"), ("the thing that cobblers mend", "shoe"),
    ("a monarch's headgear", "crown"), ("the headgear that has a brim", "hat"), ("the marriage pledge", "ring"),
    ("the tool some singer holds", "microphone"), ("an instrument that has six strings", "guitar"),
    ("the favourite instrument of chopin", "piano"), ("an instrument made of brass", "trumpet"), ("the machine for thinking", "computer"),
    ("the screen for an evening", "television"), ("the tool of some photographer", "camera"), ("a light made from wax", "candle"),
    ("the joy of every reader", "book"), ("a container of cardboard", "box"), ("the tool that barbers need", "scissors"),
    ("the tool driving a nail", "hammer"), ("the weapon of thor", "hammer"), ("the samurai's weapon", "sword"),
    ("the place for dreams", "bed"), ("the smallest of rooms", "toilet"), ("the man who is a machine", "robot"),
)  # fmt: skip
SETTINGS = (
    ("by the calm sea", "blue"), ("on a flowery meadow", "green"), ("in fresh snow", "white"), ("in thick fog", "gray"),
    ("up on mars", "red"), ("in golden october", "orange"), ("among the high dunes", "yellow"), ("in a field of lavender", "purple"),
    ("beside a quiet lake", "blue"), ("in the dense jungle", "green"), ("during a long winter", "white"), ("on the busy street", "gray"),
    ("in a field of poppies", "red"), ("at a late sunset", "orange"), ("on warm sand", "yellow"), ("in far provence", "purple"),
    ("on the wide ocean", "blue"), ("in the dark forest", "green"), ("in a fierce blizzard", "white"), ("in a damp cellar", "gray"),
    ("on hot lava", "red"), ("in mild autumn", "orange"), ("in a field of wheat", "yellow"), ("on the wild moor", "purple"),
    ("near a warm lagoon", "blue"), ("in the quiet park", "green"), ("in frozen siberia", "white"), ("in heavy rain", "gray"),
    ("in the wide outback", "red"), ("in the deep canyon", "orange"), ("on dry hay", "yellow"), ("on the blooming heath", "purple"),
    ("under the wide sky", "blue"), ("on a mown lawn", "green"), ("in the icy arctic", "white"), ("in a dark alley", "gray"),
    ("in the hot furnace", "red"), ("at early dawn", "orange"), ("in late august", "yellow"), ("at soft twilight", "purple"),
)  # fmt: skip
WAYS = (
    "{riddle}",
    "{known} and {riddle}",
    "{riddle} next to {known}",
    "{known} and {riddle} {setting}",
    "{riddle} {setting}",
)


def knowing_cases(count: int) -> list[Wording]:
    """Riddles alone and beside a thing that the generator knows, somewhere or at some time.

    No place stands beside known things alone: of eight grounds the right one is drawn by luck now and then.
    """
    rng = np.random.default_rng(SEED)
    known = [icon.name for icon in world.icons() if icon.set == "known"]
    riddles, settings = _turns(RIDDLES, count, rng), _turns(SETTINGS, count, rng)
    cases = []
    for number, ((riddle, name), (setting, colour)) in enumerate(zip(riddles, settings, strict=True)):
        way = WAYS[number % len(WAYS)]
        other = str(rng.choice([one for one in known if one != name]))
        prompt = way.format(riddle=riddle, setting=setting, known=with_article(other))
        named = (*((name,) if "{riddle}" in way else ()), *((other,) if "{known}" in way else ()))
        ground = colour if "{setting}" in way else ""
        cases.append(
            Wording(prompt, tuple(map(asked, named)), ground=ground, kind="knowing", seed=FIRST_SEED + number)
        )
    return cases


def plain_prompts(count: int) -> list[str]:
    """Prompts in which nothing is unknown: pairs of things, half of them with one that only the library shows."""
    pairs = [case.prompt for case in (*pair_cases(count // 4), *mixed_cases(count // 4))]
    worded = [case.prompt for case in wording_cases(200, KINDS)]
    return [*pairs, *worded][:count]


def _turns(entries: Sequence[tuple[str, str]], count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """So many entries, all in random order before any comes again."""
    rounds = -(-count // len(entries))
    return [entries[i] for _ in range(rounds) for i in rng.permutation(len(entries))][:count]
