"""All stored relations, changed one epoch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from laminar.engine.change import Change
from laminar.engine.serving.checkpoint import Checkpointer, Pending
from laminar.engine.serving.chunk import Snapshot
from laminar.engine.serving.layout import Layout
from laminar.engine.serving.relation import RelationStore
from laminar.engine.serving.segments import Segment
from laminar.errors import INTERNAL_ERROR, PgError


@dataclass(frozen=True, slots=True)
class Retention:
    """Bounds of a push source: age in microseconds, size in bytes of the rows kept."""

    age: int | None = None
    nbytes: int | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class EpochView:
    """Every relation as of one epoch. Immutable; any thread may read it."""

    epoch: int
    now: int
    snapshots: Mapping[int, Snapshot]

    def snapshot(self, oid: int) -> Snapshot:
        """KeyError for a relation that is not stored."""
        return self.snapshots[oid]


class ServingStore:
    """The current rows of tables, push sources and views.

    One thread (the event loop's) calls everything here; what ``read`` returns may go anywhere.
    ``publish`` makes an epoch visible in one step: a view taken before it keeps showing the old one.
    ``scratch``: folder for what the indexes have beyond the process's budget; None keeps them in memory.
    """

    def __init__(self, scratch: Path | None = None) -> None:
        self.scratch = scratch
        self.epoch = 0
        self.now = 0
        self._stores: dict[int, RelationStore] = {}
        self._checkpointers: dict[int, Checkpointer] = {}
        self._retention: dict[int, Retention] = {}
        self._view: EpochView | None = None

    def register(self, oid: int, layout: Layout, retention: Retention | None = None) -> RelationStore:
        """Add a relation without rows; it is part of the views read from now on."""
        if oid in self._stores:
            raise PgError(INTERNAL_ERROR, f"relation {oid} is stored already")
        age = retention.age if retention is not None else None
        span = None if age is None else age // 32
        store = self._stores[oid] = RelationStore(oid, layout, span, self.scratch)
        self._checkpointers[oid] = Checkpointer(store)
        if retention is not None:
            self._retention[oid] = retention
        self._view = None
        return store

    def drop(self, oid: int) -> None:
        """Forget a relation; views read before keep it."""
        del self._stores[oid]
        del self._checkpointers[oid]
        self._retention.pop(oid, None)
        self._view = None

    def relation(self, oid: int) -> RelationStore:
        """KeyError for a relation that is not stored."""
        return self._stores[oid]

    def __contains__(self, oid: int) -> bool:
        return oid in self._stores

    def publish(self, epoch: int, changes: Mapping[int, Sequence[Change]], now: int) -> None:
        """Apply an epoch (``now``: its time in microseconds); epochs already applied are ignored."""
        if epoch <= self.epoch:
            return
        for oid, list_of_changes in changes.items():
            self._stores[oid].apply(list_of_changes, now)
        for oid, retention in self._retention.items():
            self._stores[oid].retain(
                rows=retention.rows,
                nbytes=retention.nbytes,
                since=None if retention.age is None else now - retention.age,
            )
        self.epoch, self.now = epoch, now
        self._view = None

    def read(self) -> EpochView:
        """The newest epoch; the same object until something changes."""
        if self._view is None:
            self._view = EpochView(
                self.epoch, self.now, {oid: s.snapshot() for oid, s in self._stores.items()}
            )
        return self._view

    @property
    def unsaved(self) -> int:
        """Bytes of rows that are in memory until the next checkpoint."""
        return sum(store.unsaved for store in self._stores.values())

    # --- checkpoints ----------------------------------------------------------------

    def begin_checkpoint(self) -> dict[int, Pending]:
        """Note what is to be written, as of the newest epoch: O(chunks)."""
        return {oid: checkpointer.begin() for oid, checkpointer in self._checkpointers.items()}

    def write_checkpoint(self, pending: Mapping[int, Pending], directory: Path) -> None:
        """Write and fsync the new files; may run in a worker thread, meanwhile epochs are published."""
        for one in pending.values():
            Checkpointer.write(one, directory)

    def finish_checkpoint(self, pending: Mapping[int, Pending]) -> dict[int, list[Segment]]:
        """Serve the written rows from their files; returns each relation's files, old and new.

        Relations dropped meanwhile are left out. Files that no relation names any more may be removed
        once the manifest is committed (readers keep their maps).
        """
        return {
            oid: self._checkpointers[oid].finish(one)
            for oid, one in pending.items()
            if oid in self._checkpointers and self._checkpointers[oid].owns(one)
        }

    def abandon_checkpoint(self, pending: Mapping[int, Pending]) -> None:
        """Writing failed (53100, 58030): the last finished checkpoint stands."""
        for oid, one in pending.items():
            if oid in self._checkpointers and self._checkpointers[oid].owns(one):
                self._checkpointers[oid].abandon(one)

    def checkpoint(self, directory: Path) -> dict[int, list[Segment]]:
        """All three steps at once."""
        pending = self.begin_checkpoint()
        try:
            self.write_checkpoint(pending, directory)
        except BaseException:
            self.abandon_checkpoint(pending)
            raise
        return self.finish_checkpoint(pending)

    def restore(
        self, directory: Path, segments: Mapping[int, Sequence[Segment]], epoch: int, now: int
    ) -> None:
        """Fill registered relations from a checkpoint of ``epoch``; XX001 when a file is damaged."""
        for oid, files in segments.items():
            self._checkpointers[oid].restore(directory, files)
        self.epoch, self.now = epoch, now
        self._view = None

    def make_indexes(self, oids: Iterable[int]) -> None:
        """Make relations' indexes after ``restore``; in a thread, while nobody else uses the store."""
        for oid in oids:
            if self._stores[oid].num_rows:
                self._stores[oid].make_index()

    def stats(self) -> dict[int, dict[str, int]]:
        """Per relation: rows, chunks, bytes (of rows), index_bytes, files."""
        return {
            oid: store.stats() | {"files": len(self._checkpointers[oid].segments)}
            for oid, store in self._stores.items()
        }
