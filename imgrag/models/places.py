"""The part of a profile that says where a checkpoint lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imgrag.errors import ProfileError

SAFE_FILES = ("*.safetensors", "*.json", "*.txt", "*.jinja")
"""What a download fetches unless a profile says otherwise: no pickle and no code among it."""


def require(holds: bool, what: str) -> None:
    """Raises ProfileError, which says `what` is wrong, unless it holds."""
    if not holds:
        raise ProfileError(what)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Where a model lies: a local folder first, a hub repository second.

    Attributes:
        local: a folder, relative to the project or absolute; "" if it only lies on the hub.
        hub: a repository of the Hugging Face hub, "owner/name"; "" if there is none.
        revision: the branch, tag or commit that the first download resolves.
        variant: "fp16" picks `*.fp16.safetensors`.
        files: patterns of the files a download fetches.
        needs: packages without which the checkpoint cannot be opened; the role's fallback serves then.
    """

    local: str = ""
    hub: str = ""
    revision: str = "main"
    variant: str = ""
    files: tuple[str, ...] = SAFE_FILES
    needs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(
            bool(self.local or self.hub), "a checkpoint names neither a local folder nor a hub repository"
        )

    @property
    def label(self) -> str:
        """What to call it on a page or in a record: no path of this machine."""
        return self.hub or (Path(self.local).name if Path(self.local).is_absolute() else self.local)
