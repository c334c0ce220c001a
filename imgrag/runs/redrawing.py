"""What a person changes in how a run is drawn: its styles, its structure. Pure functions, as in `corrections`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from imgrag.errors import RequestError
from imgrag.runs.corrections import anew, rewind
from imgrag.runs.decisions import listed
from imgrag.runs.drafts import DRAFT, name_of
from imgrag.runs.structure import Structure
from imgrag.runs.styles import MAX_STYLES, Styling
from imgrag.runs.values import Correction, Run


def restyle(run: Run, styles: Sequence[Styling]) -> Run:
    """Other styles to draw in, from the initial image on; none for none.

    Raises:
        RequestError: there are too many, or the run has not come to its initial image.
    """
    if len(styles) > MAX_STYLES:
        raise RequestError(
            f"{len(styles)} styles are named; at most {MAX_STYLES} go into one image. Drop some."
        )
    back = rewind(run, "initial")
    assert back.reading is not None
    before, after = (
        listed([f"{s.title} ({s.weight:g})" for s in some]) or "none"
        for some in (back.reading.styles, styles)
    )
    back = replace(back, reading=replace(back.reading, styles=tuple(styles)))
    return replace(back, corrections=(*back.corrections, Correction("reading", 1, "styles", before, after)))


def take_draft(run: Run, number: int) -> Run:
    """Another of the images that were drawn at once as the initial one, by its index.

    Raises:
        RequestError: there is no such image.
    """
    if not 0 <= number < len(run.drafts):
        raise RequestError("That image has not been drawn, so the run cannot go on with it.")
    back = rewind(run, "verdict")
    earlier = tuple(c for c in back.corrections if c.what != DRAFT)
    taken = Correction("initial", 1, DRAFT, name_of(run.chosen), name_of(number))
    initial = run.drafts[number].image
    structure = anew(back.structure)  # the other image has edges of its own
    return replace(back, chosen=number, initial=initial, structure=structure, corrections=(*earlier, taken))


def restructure(run: Run, structure: Structure | None) -> Run:
    """Another structure to draw along, from the first image on that it changes; `None` for none.

    Raises:
        RequestError: the run has not come to that image.
    """
    old = run.structure
    later = all(one is None or one.initial for one in (old, structure))
    back = rewind(run, "enhanced" if later else "initial")
    words = [one.in_words if one is not None else "none" for one in (old, structure)]
    return replace(
        back,
        structure=structure,
        request=replace(back.request, structure=None),
        corrections=(*back.corrections, Correction("reading", 1, "structure", *words)),
    )
