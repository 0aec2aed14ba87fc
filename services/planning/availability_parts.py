"""Parts of answers about availability that were written before: the text of one sku in one scene.

Most skus do not change between two questions about them, and writing a sku anew costs twenty times
as much as copying what was written. A part is good as long as the stamp that its sku had in the
view when it was written, which changes with everything about a sku: its records, what is pending,
its item, its buffers and its supply. So no time is set and nothing needs to be told: a part that is
out of date is never given.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from inventory.slices import STAMP
from inventory.view import StockView
from services.planning.prospects import Prospect

Scene = tuple[Prospect, str]
"""What a part follows from beside its sku: where it would go, and the channel that asks."""
Part = tuple[int, int, bytes]
"""The slot of a sku, its stamp when the text was written, and the text."""

PART_BYTES = 200
"""What a part takes beside its text."""
SCENE_BYTES = 1_000
"""What a scene takes beside its prospect."""


class Parts:
    """The parts of one worker.

    They are kept in two generations. When the young one has half of the bytes allowed, it becomes
    the old one and what was old is forgotten, so that what is asked for often stays.
    """

    def __init__(self, bytes_max: int) -> None:
        """Keep at most about `bytes_max`; with 0 nothing is kept."""
        self.bytes_max = bytes_max
        self.young: dict[Scene, dict[str, Part]] = {}
        self.old: dict[Scene, dict[str, Part]] = {}
        self.young_bytes = 0

    def find(self, scene: Scene, skus: Sequence[str], view: StockView) -> list[bytes | None]:
        """Return the text of each sku; none where it was never written or is out of date."""
        young = self.young.get(scene, {})
        stamp_of = view.slices.arrays.bounds[:, STAMP].item
        found: list[bytes | None] = []
        for sku in skus:
            part = young.get(sku) or self.revive(scene, sku)
            found.append(part[2] if part and stamp_of(part[0]) == part[1] else None)
        return found

    def revive(self, scene: Scene, sku: str) -> Part | None:
        """Return a part of the old generation, which is young again by being asked for."""
        old = self.old.get(scene)
        part = old.pop(sku, None) if old else None
        if part is not None:
            self.add(scene, sku, part)
        return part

    def keep(
        self, scene: Scene, skus: Sequence[str], texts: Mapping[str, bytes], view: StockView
    ) -> None:
        """Remember the texts of skus that were written a moment ago."""
        if not self.bytes_max or not skus:
            return
        slots = [view.slots[sku] for sku in skus]
        stamps = view.slices.stamps(np.array(slots, np.int64)).tolist()
        for sku, slot, stamp in zip(skus, slots, stamps, strict=True):
            self.add(scene, sku, (slot, stamp, texts[sku]))

    def add(self, scene: Scene, sku: str, part: Part) -> None:
        """Put a part into the young generation, in place of one that was there."""
        young = self.young.get(scene)
        if young is None:
            young = self.young[scene] = {}
            self.young_bytes += SCENE_BYTES + scene[0].bytes
        before = young.get(sku)
        self.young_bytes += len(part[2]) - len(before[2]) if before else len(part[2]) + PART_BYTES
        young[sku] = part
        if self.young_bytes * 2 > self.bytes_max:
            self.old, self.young, self.young_bytes = self.young, {}, 0

    def forget(self) -> None:
        """Forget all."""
        self.young, self.old, self.young_bytes = {}, {}, 0
