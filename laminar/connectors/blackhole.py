"""The sink that keeps nothing: for measuring a dataflow without the cost of storing its result.

It reads every byte of every column, so that nothing upstream can be skipped, and keeps the
number of changes, the sum of their weights and a checksum that does not depend on order,
batch cuts or the number of reactors: two runs agree exactly when they produced the same Z-set
(up to 64-bit collisions).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar.connectors.base import SinkSpec, SinkWriter
from laminar.connectors.options import SINK_OPTIONS, Option, parse_options
from laminar.connectors.rowhash import row_hashes

_MASK = (1 << 64) - 1


class BlackholeWriter:
    """One reactor's part of the sink."""

    def __init__(self) -> None:
        self.rows = 0
        self.weight = 0
        self.checksum = 0

    def write(self, batch: pa.RecordBatch, weights: npt.NDArray[np.int64] | None) -> None:
        n = batch.num_rows
        hashes = row_hashes(batch)
        self.rows += n
        if weights is None:
            self.weight += n
            self.checksum = (self.checksum + int(hashes.sum(dtype=np.uint64))) & _MASK
        else:
            self.weight += int(weights.sum())
            with np.errstate(over="ignore"):
                weighted = hashes * weights.view(np.uint64)
            self.checksum = (self.checksum + int(weighted.sum(dtype=np.uint64))) & _MASK

    def barrier(self, epoch: int) -> None:
        pass

    def stats(self) -> dict[str, int]:
        """``checksum`` is the sum over all changes of weight times row hash, modulo 2**64."""
        return {"rows": self.rows, "weight": self.weight, "checksum": self.checksum}

    def state(self) -> bytes:
        return json.dumps(self.stats()).encode()

    def restore(self, state: bytes) -> None:
        kept = json.loads(state)
        self.rows, self.weight, self.checksum = kept["rows"], kept["weight"], kept["checksum"]

    def close(self) -> None:
        pass


class Blackhole:
    options: Mapping[str, Option] = SINK_OPTIONS

    def check(self, spec: SinkSpec) -> None:
        parse_options(spec.options, self.options, "connector blackhole")

    def open(self, spec: SinkSpec) -> SinkWriter:
        return BlackholeWriter()

    def combine(self, stats: Sequence[dict[str, int]]) -> dict[str, int]:
        total: dict[str, Any] = {"rows": 0, "weight": 0, "checksum": 0}
        for part in stats:
            total = {name: total[name] + part[name] for name in total}
        total["checksum"] &= _MASK
        return total


SINK = Blackhole()
