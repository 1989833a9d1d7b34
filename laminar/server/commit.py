"""What a transaction asks of the engine when it commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from laminar.engine.change import Change
from laminar.engine.serving import Layout
from laminar.engine.serving.consolidate import split
from laminar.errors import SERIALIZATION_FAILURE, PgError
from laminar.server.dml import commit_change

if TYPE_CHECKING:
    from laminar.server.database import Database
    from laminar.server.locks import Holder
    from laminar.server.transaction import Transaction


class PendingCommit:
    """A transaction's net changes, and the coordinator's CommitGate for them.

    First committer wins: a row that somebody else changed since the transaction's epoch is 40001,
    a key that somebody else inserted 23505.
    """

    def __init__(self, database: Database, transaction: Transaction) -> None:
        self._database = database
        self._transaction = transaction
        #: the epoch that the transaction read
        self.seen = (
            transaction.view.epoch if transaction.view is not None else database.coordinator.store.epoch
        )
        #: whose locks end when the changes are accepted
        self.holder: Holder | None = None
        #: how many changes of the transaction are in it
        self.covers = len(transaction.changes)
        by_relation: dict[int, list[Change]] = {}
        for oid, change in transaction.changes:
            by_relation.setdefault(oid, []).append(change)
        self.changes: list[tuple[int, Change]] = []
        #: how much had been accepted and published when it passed the check
        self._checked: tuple[int, int] | None = None
        #: what can meet others' changes: all of a table with a primary key, deletions of other tables
        self._guarded: list[tuple[int, Change]] = []
        for oid, made in by_relation.items():
            self._check_there(oid)
            layout = database.coordinator.store.relation(oid).layout
            net = commit_change(made, layout)
            if net is None:
                continue
            self.changes.append((oid, net))
            keyed = bool(database.catalog.relations[oid].primary_key)
            guarded = net if keyed else _deletions(net, layout)
            if guarded is not None:
                self._guarded.append((oid, guarded))

    def check(self) -> None:
        """See :class:`laminar.engine.intake.CommitGate`."""
        for oid, _ in self.changes:
            self._check_there(oid)
        state = (self._database.guard.accepts, self._database.coordinator.store.epoch)
        if state == self._checked:
            return  # nobody has changed anything since
        for oid, change in self.changes:
            uniques = self._database.catalog.uniques_of(oid)
            if uniques:
                self._database.uniques.check(self._database.relation(oid), uniques, change)
        for oid, change in self._guarded:
            self._database.guard.check(self._database.relation(oid), change, self.seen)
        self._checked = state

    def _check_there(self, oid: int) -> None:
        if oid not in self._database.catalog.relations or oid in self._database.frozen:
            raise PgError(
                SERIALIZATION_FAILURE,
                "could not serialize access due to concurrent change of a table",
                hint="The transaction writes to a table that was altered or dropped: run it again.",
            )

    def accepted(self, epoch: int) -> None:
        """See :class:`laminar.engine.intake.CommitGate`."""
        for oid, change in self.changes:
            uniques = self._database.catalog.uniques_of(oid)
            if uniques:
                self._database.uniques.accepted(oid, uniques, change)
        self._database.guard.accepts += 1
        for oid, change in self._guarded:
            self._database.guard.accepted(oid, change, epoch)
        self._transaction.release_turn()
        if self.holder is not None:
            self.holder.release_to(0)
        self._database.guard.prune(self._database.instance.oldest_view())


def _deletions(change: Change, layout: Layout) -> Change | None:
    _, deletes = split([change], layout)
    if deletes is None or not deletes.num_rows:
        return None
    return Change(deletes, np.full(deletes.num_rows, -1, dtype=np.int64))
