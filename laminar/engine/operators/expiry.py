"""When rows of a join between bounded times are late, and when nothing can match them any more.

With low <= left - right <= high, spans reach from a row's time to that of its last possible match: -low
for the left side, high for the right, if positive. A row is late when its watermark has passed its time
plus the span and the allowed lateness. So what is accepted is at least the watermark less these, which
bounds what the other side's rows can still meet, and the times that can still come out.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar.engine.change import END_OF_TIME, NO_WATERMARK, Watermarks
from laminar.engine.nodes import TimeBound
from laminar.engine.operators.columns import shift_watermark


@dataclass(frozen=True, slots=True)
class Horizon:
    """Of one side at a barrier: the least time a row can have.

    Args:
        own: among those that are still accepted.
        matched: among those that rows still to come of the other side can match.
    """

    own: int
    matched: int

    @property
    def changing(self) -> int:
        """Times below it do not come out any more."""
        return min(self.own, self.matched)


class Expiry:
    """The arithmetic of one :class:`~laminar.engine.nodes.TimeBound`."""

    def __init__(self, bound: TimeBound) -> None:
        self.columns = bound.left, bound.right
        slack = max(0, -bound.low) + bound.lateness, max(0, bound.high) + bound.lateness
        self._slack = slack
        #: from a row's least accepted time to the least time that it matches on the other side
        self._reach = -bound.high, bound.low
        self._watermarks = [NO_WATERMARK, NO_WATERMARK]

    def late(self, port: int, times: pa.Array, row_watermarks: pa.Array | None) -> npt.NDArray[np.bool_]:
        """Which rows come too late; without watermarks of their own, by the last barrier's."""
        slack = self._slack[port]
        values = times.view(pa.int64()).fill_null(END_OF_TIME).to_numpy(zero_copy_only=False)
        if row_watermarks is None:
            return np.asarray(values < shift_watermark(self._watermarks[port], -slack))
        marks = row_watermarks.fill_null(NO_WATERMARK).to_numpy(zero_copy_only=False)
        known = marks >= NO_WATERMARK + slack
        return np.asarray(known & (values < np.where(known, marks, 0) - slack))

    def barrier(self, inputs: list[Watermarks]) -> tuple[Horizon, Horizon]:
        """What the watermarks say of the left and of the right side."""
        found = [w.by_column.get(c, NO_WATERMARK) for w, c in zip(inputs, self.columns, strict=True)]
        self._watermarks = [max(a, b) for a, b in zip(self._watermarks, found, strict=True)]
        own = [shift_watermark(w, -slack) for w, slack in zip(self._watermarks, self._slack, strict=True)]
        left = Horizon(own[0], shift_watermark(own[1], self._reach[1]))
        right = Horizon(own[1], shift_watermark(own[0], self._reach[0]))
        return left, right

    def saved(self) -> bytes:
        """The last barrier's watermarks, for a checkpoint."""
        return struct.pack("<qq", *self._watermarks)

    def restore(self, saved: bytes) -> None:
        self._watermarks = list(struct.unpack("<qq", saved))
