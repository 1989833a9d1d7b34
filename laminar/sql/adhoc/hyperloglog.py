"""approx_count_distinct: how many different values, from a sketch of bounded size.

HyperLogLog (Flajolet, Fusy, Gandouet, Meunier: "HyperLogLog: the analysis of a near-optimal cardinality
estimation algorithm", 2007) with 2**14 registers over 64-bit hashes, and the estimator that needs no tables
of corrections (Ertl: "New cardinality estimation algorithms for HyperLogLog sketches", 2017): the standard
error is 1.04 / sqrt(2**14) = 0.81 %. Up to 2048 different hashes are kept as they are (as in HyperLogLog++,
Heule, Nunkesser, Hall, 2013), so that small counts are exact. The estimate depends on the set of values
alone, so queries and views agree whatever way they came to it.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar._native.hashing import hash_columns
from laminar._native.rowindex import group_rows
from laminar.sql.adhoc import segments
from laminar.sql.adhoc.batches import Indices
from laminar.sql.adhoc.calls import sort_key
from laminar.types import PgType

Hashes = npt.NDArray[np.uint64]
Registers = npt.NDArray[np.uint8]

#: index bits, and what is left of a hash
_P: Final = 14
_Q: Final = 64 - _P
REGISTERS: Final = 1 << _P
#: different hashes that are kept as they are: as many bytes as the registers
KEPT: Final = REGISTERS // 8
_ALPHA: Final = 1 / (2 * math.log(2))


def hashes(values: pa.Array, type_: PgType) -> Hashes:
    """One per value, the same for equal ones; the same in every process and version."""
    key = sort_key(values, type_)
    return hash_columns(pa.RecordBatch.from_arrays([key], names=["v"]), [0])


def estimates(found: Hashes, groups: Indices, count: int) -> Indices:
    """How many different hashes each group has, about."""
    _, first = group_rows([pa.array(groups), pa.array(found)])
    found, groups = found[first], groups[first]
    result: Indices = segments.counts(groups, count)
    large = np.flatnonzero(result > KEPT)
    if len(large):
        found = found[np.argsort(groups, kind="stable")]
        ends = np.cumsum(result)
        for group in large.tolist():
            registers = np.zeros(REGISTERS, np.uint8)
            add(registers, found[ends[group] - result[group] : ends[group]])
            result[group] = estimate(registers)
    return result


def add(registers: Registers, found: Hashes) -> None:
    """Each register holds the most leading zeros, plus one, of the hashes with its index."""
    index = (found >> np.uint64(_Q)).astype(np.int64)
    rest = found & np.uint64((1 << _Q) - 1)
    length = np.frexp(rest.astype(np.float64))[1]  # of the binary number, exact below 2**53
    np.maximum.at(registers, index, (_Q + 1 - length).astype(np.uint8))


def estimate(registers: Registers) -> int:
    """Ertl's algorithm 6."""
    having = np.bincount(registers, minlength=_Q + 2).tolist()
    z = REGISTERS * _tau(1 - having[_Q + 1] / REGISTERS)
    for k in range(_Q, 0, -1):
        z = 0.5 * (z + having[k])
    z += REGISTERS * _sigma(having[0] / REGISTERS)
    return round(_ALPHA * REGISTERS * REGISTERS / z)


def _sigma(x: float) -> float:
    if x == 1:
        return math.inf
    y, z, before = 1.0, x, -1.0
    while z != before:
        x *= x
        before = z
        z += x * y
        y += y
    return z


def _tau(x: float) -> float:
    if x in (0, 1):
        return 0.0
    y, z, before = 1.0, 1 - x, -1.0
    while z != before:
        x = math.sqrt(x)
        before = z
        y *= 0.5
        z -= (1 - x) ** 2 * y
    return z / 3


# --- kept from epoch to epoch ---------------------------------------------------------------


def merged(state: bytes, found: Hashes) -> tuple[bytes, int]:
    """A sketch with further hashes in it, and its estimate; ``b""`` is the empty one.

    A sketch is at most KEPT sorted hashes, or a byte more than that: one per register after a mark.
    """
    if len(state) > 8 * KEPT:
        registers = np.frombuffer(state, np.uint8, offset=1).copy()
    else:
        known = np.union1d(np.frombuffer(state, np.uint64), found)
        if len(known) <= KEPT:
            return known.tobytes(), len(known)
        registers, found = np.zeros(REGISTERS, np.uint8), known
    add(registers, found)
    return b"r" + registers.tobytes(), estimate(registers)
