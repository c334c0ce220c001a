"""The part of a profile that says what its generator can be made to draw along."""

from __future__ import annotations

from dataclasses import dataclass

from imgrag.models.places import Checkpoint, require
from imgrag.runs.structure import KINDS


@dataclass(frozen=True, kw_only=True)
class ControlProfile:
    """A ControlNet: what the generator can be made to draw along.

    Attributes:
        kinds: of conditions that it was trained on, some of `structure.KINDS`.
        scale: how strongly a condition guides.
        share: of the denoising steps, the first ones, that it guides.
        lora: a file beside it, a LoRA that the generator wears while it draws along a structure; "" without one.
        depth: a model that sees how far things are (Depth Anything); it leaves memory as soon as it has.
        pose: likewise one that sees a person's limbs (ViTPose).
    """

    checkpoint: Checkpoint
    kinds: tuple[str, ...]
    scale: float = 1.0
    share: float = 1.0
    lora: str = ""
    depth: Checkpoint | None = None
    pose: Checkpoint | None = None

    def __post_init__(self) -> None:
        strange = [kind for kind in self.kinds if kind not in KINDS]
        known = f"some of {', '.join(KINDS)}"
        require(bool(self.kinds) and not strange, f"control.kinds is {list(self.kinds)}, not {known}")
        require(0 <= self.scale <= 2, f"control.scale is {self.scale}, not from 0 to 2")
        require(0 <= self.share <= 1, f"control.share is {self.share}, not from 0 to 1")
        require(
            not self.lora or self.lora.endswith(".safetensors"),
            f"control.lora {self.lora!r} is no safetensors",
        )
        for kind in ("depth", "pose"):
            held = getattr(self, kind) is not None
            require(
                held == (kind in self.kinds),
                f"control.kinds names {kind} without control.{kind}, or the other way",
            )

    @property
    def checkpoints(self) -> dict[str, Checkpoint]:
        """Its own and those of the models that see for it, by role."""
        parts = {"control": self.checkpoint, "depth": self.depth, "pose": self.pose}
        return {role: part for role, part in parts.items() if part is not None}
