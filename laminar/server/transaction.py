"""A session's transaction: changes not yet committed, the epoch it reads, savepoints."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from laminar.engine.change import Change
from laminar.engine.serving import Layout, Writes
from laminar.errors import PgError
from laminar.server.notifications import Notifications

if TYPE_CHECKING:
    from laminar.engine.serving import EpochView, Snapshot
    from laminar.server.commit import PendingCommit
    from laminar.server.definitions import Definitions


@dataclass(frozen=True, slots=True)
class Savepoint:
    """How many changes, notifications and portals there were."""

    name: str
    changes: int
    notifications: int
    portals: int
    #: of the catalog's changes
    definitions: int = 0
    locks: int = 0


@dataclass(slots=True)
class Transaction:
    """What happens between BEGIN and COMMIT, or within one statement.

    Args:
        block: opened by BEGIN; otherwise implicit, ended by the protocol.
        changes: (relation oid, change) in the order they were made.
        view: the epoch that every read and write of the transaction sees; None before the first.
        failed: a statement failed, only ROLLBACK helps.
        savepoints: what there was at each of them, oldest first.
        started: microseconds since 1970: now() of the transaction.
    """

    block: bool
    started: int
    #: implicit, of a simple-query string with several statements
    script: bool = False
    changes: list[tuple[int, Change]] = field(default_factory=list)
    view: EpochView | None = None
    failed: bool = False
    savepoints: list[Savepoint] = field(default_factory=list)
    notifications: Notifications = field(default_factory=Notifications)
    #: SET LOCAL: values to go back to at the end, however it ends
    until_end: dict[str, str] = field(default_factory=dict)
    #: BEGIN READ ONLY
    read_only: bool = False
    #: the changes as the last statement checked them
    pending: PendingCommit | None = None
    #: DDL of the block
    definitions: Definitions | None = None
    _writes: dict[int, Writes] = field(default_factory=dict)
    _turn: asyncio.Lock | None = None

    async def take_turn(self, turn: asyncio.Lock) -> None:
        """Wait until nobody else has ``turn``; it is kept until the transaction ends."""
        if self._turn is not turn:
            self.release_turn()
            await turn.acquire()
            self._turn = turn

    def release_turn(self) -> None:
        """The transaction has ended, or has changed nothing so far."""
        if self._turn is not None:
            self._turn.release()
            self._turn = None

    def look(self, view: EpochView, oid: int, now: EpochView) -> Snapshot | None:
        """A relation in the transaction's epoch; one that is newer as it is ``now``, from now on."""
        found = view.snapshots.get(oid) or now.snapshots.get(oid)
        if found is not None and oid not in view.snapshots and self.view is view:
            self.view = replace(view, snapshots={**view.snapshots, oid: found})
        return found

    def writes(self, oid: int, layout: Layout) -> Writes | None:
        """What the transaction has done to a relation, None when nothing."""
        if oid not in self._writes:
            made = [change for relation, change in self.changes if relation == oid]
            if not made:
                return None
            self._writes[oid] = Writes(layout)
            for change in made:
                self._writes[oid].apply(change)
        return self._writes[oid]

    def add(self, oid: int, change: Change) -> None:
        """A statement changed a relation."""
        self.changes.append((oid, change))
        if oid in self._writes:
            self._writes[oid].apply(change)

    def undo_to(self, count: int) -> None:
        """Forget all changes but the first ``count``."""
        self.pending = None
        for oid, _ in self.changes[count:]:
            self._writes.pop(oid, None)
        del self.changes[count:]

    def savepoint(self, name: str, portals: int = 0, locks: int = 0) -> None:
        """SAVEPOINT. ``portals``: how many the connection has made; ``locks``: how many it holds."""
        mark = 0 if self.definitions is None else self.definitions.mark
        asked = len(self.notifications.asked)
        self.savepoints.append(Savepoint(name, len(self.changes), asked, portals, mark, locks))

    def release(self, name: str) -> None:
        """RELEASE SAVEPOINT: forget it and those after it."""
        del self.savepoints[self._find(name) :]

    def rollback_to(self, name: str) -> Savepoint:
        """ROLLBACK TO SAVEPOINT: undo what came after; the savepoint stays."""
        index = self._find(name)
        found = self.savepoints[index]
        self.undo_to(found.changes)
        del self.notifications.asked[found.notifications :]
        del self.savepoints[index + 1 :]
        self.failed = False
        return found

    def _find(self, name: str) -> int:
        for index in range(len(self.savepoints) - 1, -1, -1):
            if self.savepoints[index].name == name:
                return index
        raise PgError("3B001", f'savepoint "{name}" does not exist')
