"""All databases of a server: their catalogs, and what they share."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Final

from laminar.catalog.acl import PUBLIC, AclItem
from laminar.catalog.catalog import PUBLIC_OID, SUPERUSER, Catalog, allows
from laminar.catalog.objects import Role, Schema, StoredDatabase
from laminar.catalog.sequences import Sequences
from laminar.catalog.store import ONLY_OID, CatalogFile

#: PostgreSQL's oid of the first superuser
SUPERUSER_OID: Final = 10
#: PostgreSQL gives user objects oids from here on; clients hide databases with lower ones, as the system's
DATABASE_OID: Final = 16384
FIRST_OID: Final = DATABASE_OID + 1
DATABASE: Final = "laminar"


class Cluster:
    """Databases by oid, with a catalog each; roles, sequences and oids of them all."""

    def __init__(self, directory: Path) -> None:
        self._file = CatalogFile(directory)
        databases, roles, next_oid = self._file.load()
        self.roles: dict[str, Role] = {role.name: role for role in roles}
        self.databases: dict[int, StoredDatabase] = {database.oid: database for database in databases}
        self.next_oid = max(next_oid, FIRST_OID)
        self.sequences = Sequences(self._file)
        self.catalogs: dict[int, Catalog] = {}
        self._versions = 0
        if not databases:
            self._bootstrap(new=not roles)
        for oid in self.databases:
            self.catalogs.setdefault(oid, Catalog(self, oid, self._file.store(oid)))

    def _bootstrap(self, *, new: bool) -> None:
        first = StoredDatabase(DATABASE_OID if new else ONLY_OID, DATABASE, SUPERUSER)
        store = self._file.create(first, self._schemas() if new else (), self.next_oid)
        self.databases[first.oid] = first
        catalog = self.catalogs[first.oid] = Catalog(self, first.oid, store)
        if new:
            catalog.put_role(Role(SUPERUSER, superuser=True, oid=SUPERUSER_OID))

    @staticmethod
    def _schemas() -> tuple[Schema, ...]:
        """What a new database has."""
        # As in PostgreSQL 15: everybody may look into public, nobody else may create in it.
        everybody = (AclItem(SUPERUSER, SUPERUSER, "UC"), AclItem(PUBLIC, SUPERUSER, "U"))
        return (Schema("public", SUPERUSER, PUBLIC_OID, everybody),)

    @property
    def first(self) -> Catalog:
        """The catalog of the database that every server begins with, or of another when that is gone."""
        return self.catalogs[min(self.catalogs)]

    def find(self, name: str) -> StoredDatabase | None:
        """The database of that name, or None."""
        return next((database for database in self.databases.values() if database.name == name), None)

    def create(self, database: StoredDatabase) -> Catalog:
        """Add an empty database whose name is free; it gets an oid. Raises 54000."""
        database = dataclasses.replace(database, oid=self.new_oid())
        store = self._file.create(database, self._schemas(), self.next_oid)
        self.databases[database.oid] = database
        self.catalogs[database.oid] = Catalog(self, database.oid, store)
        self.changed(self.catalogs[database.oid], shared=True)
        return self.catalogs[database.oid]

    def drop(self, oid: int) -> None:
        """Remove a database with everything in it."""
        catalog = self.catalogs[oid]
        sequences = [r.oid for r in catalog.relations.values() if r.kind == "sequence"]
        self._file.drop(oid, sequences)
        del self.databases[oid], self.catalogs[oid]
        for sequence in sequences:
            self.sequences.forget(sequence)
        self.changed(catalog, shared=True)

    def new_version(self) -> int:
        """A version that no catalog has had."""
        self._versions += 1
        return self._versions

    def changed(self, catalog: Catalog, *, shared: bool) -> None:
        """A catalog is not what it was, or what they all share is not."""
        for other in self.catalogs.values() if shared else ():
            other.version = self.new_version()
        catalog.version = self.new_version()

    def new_oid(self) -> int:
        """An oid nobody has had; durable with the next write."""
        oid = self.next_oid
        self.next_oid += 1
        return oid

    def needing_role(self, name: str, asking: Catalog) -> list[str]:
        """What of the databases belongs to a role or is about it, but for what is in the one that asks."""
        databases = self.databases.values()
        found = [f"owner of database {d.name}" for d in databases if d.owner == name]
        found += [f"privileges for database {d.name}" for d in databases if allows(d, name)]
        for oid, catalog in self.catalogs.items():
            count = len(catalog.needing_role(name)) if oid != asking.oid else 0
            if count:
                objects = "object" if count == 1 else "objects"
                found.append(f"{count} {objects} in database {catalog.database.name}")
        return found

    def copy(self, directory: Path) -> None:
        """Copy the catalog into a folder that is not there yet."""
        self._file.copy(directory)

    def close(self) -> None:
        """Release the store."""
        self.sequences.close()
        self._file.close()
