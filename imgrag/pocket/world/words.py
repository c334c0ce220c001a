"""Words that are not in the world: names nobody has heard, and nouns no picture can show."""

from __future__ import annotations

import numpy as np

ONSETS = (
    "b c d f g h j k l m n p qu r s t v w x y z bl br ch cl cr dr fl fr gl gr kn pl pr sc sh sk sl sm "
    "sn sp st str sw th tr tw wh zh kr vl zr"
).split()
NUCLEI = "a e i o u a e i o u ai au ea ee ei ia ie oa oo ou ui y".split()
CODAS = (
    ["", "", ""] * 4
) + "b ck d ff g k l ll m n ng nk p r rb rd rf rg rk rm rn rt s sh ss st t th x z zz".split()


def nonce_word(rng: np.random.Generator) -> str:
    """A pronounceable word of one to three syllables, such as "zorblax" or "mirfen"."""
    syllables = rng.choice([1, 2, 3], p=[0.15, 0.6, 0.25])
    word = "".join(_pick(part, rng) for _ in range(syllables) for part in (ONSETS, NUCLEI, CODAS))
    return word if len(word) > 2 else word + "ax"


def _pick(parts: list[str], rng: np.random.Generator) -> str:
    return parts[rng.integers(len(parts))]


ABSTRACT = tuple(
    """
    ability absence advantage advice age agreement ambition amount anger anxiety argument attempt attention
    attitude authority awareness balance beauty beginning behavior belief benefit blame boredom bravery
    calm capacity care cause certainty chance change chaos charity choice comfort commitment concept
    confidence confusion consequence control courage creativity culture curiosity custom danger debt deceit
    decision defeat delay democracy desire destiny dignity discipline doubt dream duty economy education
    effort elegance emotion energy enthusiasm envy equality error essence eternity ethics event evil
    existence experience fact failure fairness faith fame fate fear feeling fiction forgiveness fortune
    freedom friendship future generosity goal good grace gratitude greed grief growth guilt habit happiness
    harmony hate health honesty honor hope humanity humility humor hunger hypothesis idea identity ignorance
    imagination independence infinity influence innocence insight inspiration instinct integrity intelligence
    intention interest intuition irony jealousy joy judgment justice kindness knowledge law laziness
    leadership liberty lie life logic loneliness loss love loyalty luck luxury magic maturity meaning memory
    mercy method mind misery mistake mood morality motivation mystery myth nature necessity need nostalgia
    nothing notion obligation opinion opportunity optimism pain panic paradox passion past patience peace
    perception permission philosophy pity pleasure plan policy possibility poverty power precision prejudice
    pride principle privacy problem progress promise proof prosperity purpose quality question reality reason
    reasoning reflection regret relief religion reputation respect responsibility revenge risk romance sadness
    safety satisfaction science secret security sense serenity shame silence simplicity sincerity skill
    solitude solution sorrow spirit stability strategy strength stress success suffering surprise suspicion
    sympathy talent theory thought thinking time tolerance tradition tragedy trend trouble trust truth
    uncertainty understanding unity value vanity victory violence virtue vision warmth weakness wealth wisdom
    wish wonder worry worth youth zeal
    """.split()
)
