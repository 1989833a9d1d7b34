"""What runs: the engine, the open databases over it, and the sessions."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from laminar import logging
from laminar.catalog.cluster import Cluster
from laminar.engine import backup
from laminar.engine.coordinator import Coordinator
from laminar.server import guc
from laminar.server.conflicts import WriteGuard
from laminar.server.database import Database
from laminar.server.locks import Locks
from laminar.server.uniques import Uniques

if TYPE_CHECKING:
    from laminar.catalog.objects import StoredDatabase
    from laminar.config import Settings
    from laminar.server.commit import PendingCommit
    from laminar.server.session import Session


class Instance:
    """One per server: databases by oid over one engine; no two have relations of the same oid."""

    def __init__(self, cluster: Cluster, coordinator: Coordinator, settings: Settings) -> None:
        self.cluster = cluster
        self.coordinator = coordinator
        self.settings = settings
        self.setting_defaults = guc.server_defaults(settings.work_mem, settings.max_connections)
        self.log = logging.get("server")
        self.sessions: set[Session] = set()
        #: transactions that are no session's any more and not yet accepted
        self.committing: set[PendingCommit] = set()
        #: when the server was started, microseconds since 1970
        self.started = time.time_ns() // 1000
        #: one DDL statement at a time
        self.ddl = asyncio.Lock()
        #: relations whose rows are being given another form: nobody may change them
        self.frozen: set[int] = set()
        self.guard = WriteGuard(coordinator.store)
        #: the epoch in which it was pruned last
        self._pruned = 0
        self.locks = Locks()
        self.uniques = Uniques(coordinator.store)
        self.ready = False
        self.databases = {oid: Database(self, catalog) for oid, catalog in cluster.catalogs.items()}

    def find(self, name: str) -> Database | None:
        """The database of that name, or None."""
        found = self.cluster.find(name)
        return None if found is None else self.databases[found.oid]

    async def start(self) -> None:
        """Recover: register stored relations, plan the views again, start the engine."""
        recovered = [database.recover() for database in self.databases.values()]
        relations = [spec for found, _ in recovered for spec in found]
        dataflows = [spec for _, found in recovered for spec in found]
        await self.coordinator.start(relations, dataflows, self.cluster.next_oid)
        self.ready = True

    async def stop(self) -> None:
        """Drain, checkpoint, stop the reactors, close the catalog."""
        self.ready = False
        await self.coordinator.stop()
        self.cluster.close()

    async def backup(self, uri: str) -> None:
        """Write a backup of everything accepted so far; statements go on, but for DDL at its beginning.

        Raises:
            PgError: 22023, 58P02 for the location, 53100, 58030.
        """
        target = backup.folder_of(uri)
        await asyncio.to_thread(backup.check_new, target)
        async with contextlib.AsyncExitStack() as stack:
            async with self.ddl:
                folder, manifest = await stack.enter_async_context(self.coordinator.linked())
                await asyncio.to_thread(self.cluster.copy, folder / "catalog")
            await asyncio.to_thread(backup.copy_out, folder, target, manifest)

    def prune_guard(self) -> None:
        """Forget what every open transaction has seen, once an epoch."""
        if self._pruned != self.coordinator.store.epoch:
            self._pruned = self.coordinator.store.epoch
            self.guard.prune(self.oldest_view())

    def oldest_view(self) -> int:
        """The lowest epoch that an open or committing transaction reads."""
        views = (s.transaction.view for s in self.sessions if s.transaction is not None)
        epochs = [v.epoch for v in views if v is not None] + [c.seen for c in self.committing]
        return min(epochs, default=self.coordinator.store.epoch)

    def create(self, database: StoredDatabase) -> None:
        """Add an empty database."""
        catalog = self.cluster.create(database)
        self.databases[catalog.oid] = Database(self, catalog)

    async def drop(self, oid: int) -> None:
        """Remove a database that nobody is connected to."""
        database = self.databases.pop(oid)
        relations = list(database.catalog.relations.values())
        # The catalog decides: after a crash from here on, a start removes what it does not have.
        self.cluster.drop(oid)
        await database.retire(relations)
