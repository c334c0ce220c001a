"""Whether a run that is known can be gone on with by this profile's models."""

from __future__ import annotations

from imgrag.engine.structuring import refuse_structure
from imgrag.errors import RequestError
from imgrag.models.profile import Profile
from imgrag.runs.values import Run


def resumed(run: Run, profile: Profile) -> Run:
    """The run, if it can be gone on with.

    Raises:
        RequestError: it is finished, it asks for more than is drawn, or `refuse_stranger` refuses it.
    """
    if run.state == "finished":
        raise RequestError("This run is finished. Correct one of its stages, and it goes on from there.")
    refuse_stranger(run, profile)
    most = profile.reading.most
    if most and run.reading is not None and sum(thing.drawn for thing in run.reading.things) > most:
        raise RequestError(
            f"This run asks for more than the {most} things that are drawn in one image. Start a new one."
        )
    return run


def refuse_stranger(run: Run, profile: Profile) -> None:
    """Raises RequestError: other models made the run, or it is drawn along a structure that these do not know."""
    if run.profile != profile.name:
        raise RequestError(
            f"This run was made by the profile {run.profile!r}, and {profile.name!r} is at work here. "
            f"Start the app with --profile {run.profile} to go on with it."
        )
    refuse_structure(run.structure, profile.control)
