"""What the structure of a run makes of its drawings: the condition, the ControlNet lent to the generator, references alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from PIL import Image, ImageOps

from imgrag.engine.context import Context, Lender
from imgrag.errors import RequestError
from imgrag.models import Control
from imgrag.models.conditions import condition_of
from imgrag.models.controlling import ControlProfile
from imgrag.models.roles import EYES
from imgrag.runs.structure import OWN, Kind, Structure, Structured
from imgrag.runs.values import Run, StageName


def refuse_structure(structure: Structured | Structure | None, control: ControlProfile | None) -> None:
    """Raises RequestError: the profile draws along no structure, or none of this kind."""
    if structure is None:
        return
    if control is None:
        raise RequestError("These models draw along no structure. Leave it out, or choose another profile.")
    own = structure.initial if isinstance(structure, Structure) else structure.picture is None
    kind = OWN if own else structure.kind
    if kind not in control.kinds:
        raise RequestError(
            f"These models draw along no structure of the kind {kind}; they know {', '.join(control.kinds)}."
        )


def seen(picture: Image.Image, kind: Kind, size: int, residency: Lender) -> Image.Image:
    """The condition that a picture gives, RGB [size, size]. Raises what `condition_of` raises."""
    if kind not in EYES:
        return condition_of(picture, kind, size)
    with residency.use(kind) as eye:
        return condition_of(picture, kind, size, eye)


def structured(
    wanted: Structured, usual: ControlProfile, see: Callable[[Image.Image, Kind], Image.Image]
) -> Structure:
    """What is asked for, with the profile's own strength where that is left open.

    Args:
        see: makes a condition of a picture; what it raises is passed on.
    """
    scale = float(usual.scale if wanted.scale is None else wanted.scale)
    share = float(usual.share if wanted.share is None else wanted.share)
    if wanted.picture is None:
        return Structure(OWN, scale, share, initial=True)
    return Structure(wanted.kind, scale, share, see(wanted.picture, wanted.kind), similar=wanted.similar)


def structure_of(run: Run, context: Context) -> Structure | None:
    """What a run is drawn along: as it was corrected, or as it was asked for."""
    wanted, size = run.request.structure, run.settings["size"]
    if run.structure is not None or wanted is None or context.control is None:
        return run.structure
    return structured(
        wanted, context.control, lambda picture, kind: seen(picture, kind, size, context.residency)
    )


def with_condition(run: Run, context: Context) -> Run:
    """The run with the initial image's own structure, where the enhanced one is to keep that."""
    structure = run.structure
    if structure is None or not structure.initial or structure.image is not None:
        return run
    assert run.initial is not None
    try:
        image = condition_of(run.initial, structure.kind, run.settings["size"])
    except RequestError:
        context.note("The initial image has no edges to follow, so the enhanced one is drawn without.")
        return run
    return replace(run, structure=replace(structure, image=image))


@contextmanager
def along(run: Run, stage: StageName, context: Context) -> Iterator[Control | None]:
    """What the generator is to draw this image along; the ControlNet is borrowed for as long."""
    structure = run.structure
    if structure is None or structure.image is None or (structure.initial and stage == "initial"):
        yield None
        return
    with context.residency.use("control") as net:
        yield Control(net.net, structure.image, structure.kind, structure.scale, structure.share, net.lora)


def as_drawn(structure: Structure) -> Image.Image:
    """A condition as a person would have drawn it: dark lines on white, whatever it was made of."""
    assert structure.image is not None
    return ImageOps.invert(structure.image)
