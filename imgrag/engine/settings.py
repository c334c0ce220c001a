"""A request's values, filled in by the profile."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from imgrag.models.profile import Profile
from imgrag.runs.values import Request


def settings(request: Request, profile: Profile) -> dict[str, Any]:
    """The request's values, and the profile's where the request leaves them open."""
    return {
        "seed": int(request.seed),
        "negative_prompt": request.negative_prompt or profile.generator.negative_prompt,
        "steps": int(_or(request.steps, profile.generator.steps)),
        "guidance_scale": float(_or(request.guidance_scale, profile.generator.guidance_scale)),
        "adapter_scale": float(_or(request.adapter_scale, profile.adapter.scale)),
        "guided_share": float(_or(request.guided_share, profile.adapter.guided_share)),
        "similarity_floor": float(_or(request.similarity_floor, profile.retrieval.similarity_floor)),
        "max_concepts": int(_or(request.max_concepts, profile.retrieval.max_concepts)),
        "weights": [float(weight) for weight in request.weights],
        "rounds": int(request.rounds),
        "images": int(request.images),
        "size": profile.generator.size,
        "knowledge": request.knowledge or profile.knowledge.when,
        "knowledge_base": profile.knowledge.base
        if request.knowledge_base is None
        else request.knowledge_base,
        "styles": [asdict(style) for style in request.styles],
        "look_twice": profile.ranking.look_twice if request.look_twice is None else request.look_twice,
        "larger": _larger(request, profile),
    }


def _larger(request: Request, profile: Profile) -> bool:
    usual = profile.upscaler is not None and profile.upscaler.usual
    return usual if request.larger is None else request.larger


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
