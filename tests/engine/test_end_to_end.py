"""The whole loop through the real classes, on tiny checkpoints with random weights.

They say nothing sensible, so every fallback is walked; that the result makes sense is for the
fakes of `test_pipeline.py` and for the bench on the trained checkpoints.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.models.profile import Profile
from imgrag.runs.values import STAGES, Request
from tests import tiny
from tests.fakes import make_library

REQUEST = Request("a dog and an owl", steps=2, seed=3, similarity_floor=-1)


@pytest.fixture(scope="module", params=["sdxl", "pocket"])
def profile(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    build = tiny.build_sdxl if request.param == "sdxl" else tiny.build_pocket
    return build(tmp_path_factory.mktemp(request.param))


def test_the_loop_runs_on_real_classes(profile: Profile, tmp_path: Path) -> None:
    folder = make_library(tmp_path / "libraries" / "pocket", "dog", "owl")
    pipeline = ImageRAGPipeline(
        profile, device="cpu", policy="resident", results=tmp_path / "results", libraries=folder.parent,
        cache=tmp_path / "cache",
    )  # fmt: skip
    first, second = pipeline(REQUEST), pipeline(REQUEST)
    assert [stage.name for stage in first.stages] == list(STAGES)
    assert (first.loads, second.loads) == (4, 0)
    drawn = [first.initial, first.round.enhanced], [second.initial, second.round.enhanced]
    assert first.round.references and all(image is not None for image in drawn[0])
    for once, again in zip(*drawn, strict=True):
        assert once is not None and again is not None
        assert once.size == (profile.generator.size,) * 2
        assert once.tobytes() == again.tobytes()
    other = pipeline(replace(REQUEST, seed=4))
    assert other.initial is not None and other.initial.tobytes() != drawn[0][0].tobytes()  # type: ignore[union-attr]
