"""What every operator is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import pyarrow as pa

from laminar.engine.change import Barrier, Change, Watermarks


class Operator(Protocol):
    """One node's work in one reactor.

    Changes of an epoch come through ``process`` in any number of batches; ``barrier`` ends
    the epoch on all ports at once. What an operator returns belongs to the same epoch.
    The result must not depend on how an epoch's changes were cut into batches.
    """

    def process(self, port: int, change: Change) -> Iterable[Change]:
        """Take changes of input ``port``; return what can be passed on at once.

        An iterator is exhausted before the operator is called again.
        """

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[Iterable[Change], Watermarks]:
        """End the epoch: return the rest of its changes and the output's watermarks."""

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        """Entries changed since the last checkpoint: key binary, value binary (null: deleted).

        Called right after ``barrier`` with ``checkpoint`` set; the operator's changed list is
        cleared once the iterator is exhausted.
        """

    def restore(self, entries: pa.RecordBatch) -> None:
        """Put back entries that ``checkpoint`` gave, oldest segment first."""

    def stats(self) -> dict[str, int]:
        """Counters for ``laminar_catalog.operators``: rows_in, rows_out, entries, state_bytes,
        and ``dropped_<reason>`` (late, error, ...) since the start."""

    def close(self) -> None:
        """Free the state."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Keys that a lookup table's rows are wanted for."""

    relation: int
    keys: pa.RecordBatch


@runtime_checkable
class Asking(Protocol):
    """An operator that waits for answers from outside, which come as rows of a relation in a later epoch."""

    def asks(self, epoch: int) -> Asked | None:
        """What it wants to know and has not asked yet, at the end of ``epoch``."""


@runtime_checkable
class Timed(Protocol):
    """An operator whose output changes as time passes, without input."""

    def due(self) -> int | None:
        """When (microseconds since 1970) it wants a barrier next, as of the last one; None: never."""
