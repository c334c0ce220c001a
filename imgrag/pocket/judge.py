"""The independent judge: which icons a scene holds, by plain correlation with all of them.

It shares nothing with the loop it grades: no network, no text, no training. A slot of the
picture, less the background, is compared with every icon as it would look on that background,
at a few sizes and shifts; the cosine of the two decides. The whole slot is compared, not the
icon's own area only, because otherwise a small icon finds itself in a part of a larger one. The
background is taken away first, since it would make all pictures on it alike. The cosine does not
mind a picture that is paler than the true one; a squared distance does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms.functional import pil_to_tensor

from imgrag.pocket.world import world

SHIFT = 2  # px, how far an object may lie from its slot
SCALES = (0.9, 1.0, 1.1)
BAND = 8  # px, the rows at the top and at the bottom that are background in every scene
FLOOR = 0.5  # cosine below which a slot holds nothing that has a name
NEAR = 0.9  # of the second's distance from 1 is the first's at most; a smear is as near to many icons
CLEAR = 0.6  # likewise of what is named without being asked for
SLOTS = {"left": world.SLOTS_TWO[0], "right": world.SLOTS_TWO[1], "middle": world.SLOTS_ONE[0]}


class Judge:
    """Knows `pictures` (RGBA, square) by `names`.

    Scores are cosines in -1..1; an image takes some 40 ms of one thread.

    Raises:
        ValueError: there are not as many pictures as names, or a name comes twice.
    """

    def __init__(self, pictures: Sequence[Image.Image], names: Sequence[str]) -> None:
        if len(pictures) != len(names):
            raise ValueError(f"The judge got {len(pictures)} pictures but {len(names)} names.")
        if len(set(names)) != len(names):
            raise ValueError(f"Of the judge's {len(names)} names only {len(set(names))} differ.")
        self.names = tuple(names)
        slots = torch.stack([torch.from_numpy(world.slot_picture(picture)) for picture in pictures])
        bank = _sizes(slots.permute(0, 3, 1, 2))  # [n * sizes, 4, 32, 32]
        self._bank = bank.flatten(1)
        colour, alpha = bank[:, :3].flatten(2), bank[:, 3].flatten(1)
        # |colour - alpha * background|^2 is a quadratic form of the background: keep its parts.
        self._squares = (colour**2).sum((1, 2))
        self._mixed = torch.einsum("ncp,np->nc", colour, alpha)
        self._areas = (alpha**2).sum(1)

    def scores(self, image: Image.Image) -> torch.Tensor:
        """The best cosine of every slot with every picture, float32 [slots, n], slots as in `SLOTS`."""
        scene = _scene(image)
        background = _background(scene)
        seen = _shifted(scene - background[:, None, None])  # [slots * shifts, 3, 1024]
        shade = torch.einsum("spc,p->sc", seen, background)
        products = self._bank @ torch.cat([seen.flatten(1), -shade], dim=1).T  # [n * sizes, slots * shifts]
        norms = self._squares - 2 * self._mixed @ background + self._areas * (background @ background)
        lengths = norms.clamp(min=1e-6).sqrt()[:, None] * seen.flatten(1).norm(dim=1).clamp(min=1e-3)
        cosines = (products / lengths).view(len(self.names), len(SCALES), len(SLOTS), -1)
        return cosines.amax((1, 3)).T

    def rank(self, image: Image.Image, slot: str) -> list[str]:
        """All names, the one that the slot ("left", "right", "middle") shows most likely first."""
        order = self.scores(image)[list(SLOTS).index(slot)].argsort(descending=True)
        return [self.names[i] for i in order.tolist()]

    def shown(self, image: Image.Image) -> tuple[str, ...]:
        """The name that comes first in each slot, as in `SLOTS`; "" where even that one is too far."""
        best = self.scores(image).topk(2, dim=1)
        names = [self.names[place] for place in best.indices[:, 0].tolist()]
        near = _is_near(best.values, NEAR).tolist()
        return tuple(name if is_near else "" for name, is_near in zip(names, near, strict=True))

    def present(self, image: Image.Image, name: str) -> bool:
        """Whether `name` comes first among all in any slot, and near enough.

        Raises:
            ValueError: the judge does not know the name.
        """
        if name not in self.names:
            raise ValueError(f"The judge does not know '{name}'.")
        return name in self.shown(image)

    def objects(self, image: Image.Image) -> set[str]:
        """The names of all it recognises, in either layout; a smear is none of them."""
        best = self.scores(image).topk(2, dim=1)
        first = best.values[:, 0]
        left, right, middle = range(len(SLOTS))
        looked_at = [middle] if first[middle] >= first[[left, right]].max() else [left, right]
        clear = _is_near(best.values, CLEAR)
        return {self.names[int(best.indices[slot, 0])] for slot in looked_at if clear[slot]}


@cache
def bundled() -> Judge:
    """The judge of the pictures in the pocket library."""
    pictures = [Image.open(world.LIBRARY / icon.file_name) for icon in world.icons()]
    return Judge(pictures, world.names())


def ground(image: Image.Image) -> str:
    """The world's colour that the background is nearest to."""
    colours = world.colour_values()
    distances = (colours - _background(_scene(image))).norm(dim=1)
    return list(world.COLOURS)[int(distances.argmin())]


def _is_near(best: torch.Tensor, share: float) -> torch.Tensor:
    """Whether the first of the two best cosines [slots, 2] is near, and its distance so small a share of the second's."""
    first, second = best.T
    return (first >= FLOOR) & (1 - first <= share * (1 - second))


def _background(scene: torch.Tensor) -> torch.Tensor:
    """What the empty rows show, float32 [3] in 0..1."""
    return scene[:, [*range(BAND), *range(-BAND, 0)]].flatten(1).median(1).values


def _sizes(slots: torch.Tensor) -> torch.Tensor:
    """Slots [n, 4, 32, 32] at every scale, centred, icon by icon: [n * scales, 4, 32, 32]."""
    scaled = []
    for scale in SCALES:
        side = round(world.SLOT * scale)
        resized = F.interpolate(slots, size=(side, side), mode="bicubic", antialias=True).clamp(0, 1)
        margin = world.SLOT - side  # a negative one crops
        scaled.append(F.pad(resized, (margin // 2, margin - margin // 2) * 2))
    return torch.stack(scaled, dim=1).flatten(0, 1)


def _scene(image: Image.Image) -> torch.Tensor:
    """Float32 [3, 64, 64] in 0..1; a picture of another size is brought to this one."""
    size = (world.SCENE, world.SCENE)
    picture = image.convert("RGB")
    return (
        pil_to_tensor(picture if picture.size == size else picture.resize(size, Image.Resampling.BOX)) / 255
    )


def _shifted(scene: torch.Tensor) -> torch.Tensor:
    """Every slot at every shift: [slots * shifts, 3, 1024]; beyond the picture's edge lies background."""
    padded = F.pad(scene, (SHIFT,) * 4)
    steps = range(2 * SHIFT + 1)
    windows = [
        padded[:, world.SLOT_TOP + dy :, left + dx :][:, : world.SLOT, : world.SLOT]
        for left in SLOTS.values()
        for dy in steps
        for dx in steps
    ]
    return torch.stack(windows).flatten(2)
