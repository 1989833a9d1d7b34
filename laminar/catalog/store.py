"""The catalog's durable form: one LMDB environment, one transaction per DDL statement.

Each database has maps of its own for what is in it, named after its oid; roles, databases, sequences (by
oid) and the next oid are the whole server's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lmdb

from laminar.catalog.objects import (
    Role,
    Schema,
    StoredDatabase,
    StoredFunction,
    StoredRelation,
    StoredType,
    acl_from_json,
    database_from_json,
    function_from_json,
    relation_from_json,
    role_from_json,
    type_from_json,
)
from laminar.errors import DATA_CORRUPTED, DISK_FULL, IO_ERROR, PgError

FORMAT = 1
#: room for some hundred thousand objects; address space, not memory
_MAP_SIZE = 1 << 30


#: maps of a database, and how many databases there may be
_MAPS = ("relations", "schemas", "functions", "types", "notes")
_MAX_DATABASES = 400
#: the only database of versions that knew no others; its maps have no number in their names
ONLY_OID = 5


class CatalogFile:
    """The environment: what the databases share, and their stores.

    Raises:
        PgError: XX001 when the directory holds something else, 53100 or 58030 when a write fails.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        try:
            maps = len(_MAPS) * _MAX_DATABASES + 8
            self.env = lmdb.open(str(directory), map_size=_MAP_SIZE, max_dbs=maps, sync=True, metasync=True)
            self.roles = self.env.open_db(b"roles")
            self.databases = self.env.open_db(b"databases")
            self.meta = self.env.open_db(b"meta")
            self._sequences = self.env.open_db(b"sequences")
        except lmdb.Error as error:
            raise PgError(DATA_CORRUPTED, f'cannot open the catalog in "{directory}": {error}') from error
        stored = self._get_meta("format")
        if stored is not None and stored != FORMAT:
            raise PgError(
                DATA_CORRUPTED,
                f"the catalog has format {stored}, this server reads {FORMAT}",
                hint="Start the version of Laminar that wrote it, or restore a backup.",
            )

    def copy(self, directory: Path) -> None:
        """Copy what is stored into an empty folder; it is made."""
        directory.mkdir(parents=True)
        self.env.copy(str(directory), compact=True)

    def load(self) -> tuple[list[StoredDatabase], list[Role], int]:
        """All databases, roles, and the next free oid."""
        with self.env.begin() as txn:
            databases = [database_from_json(json.loads(v)) for _, v in txn.cursor(self.databases)]
            roles = [role_from_json(json.loads(v)) for _, v in txn.cursor(self.roles)]
        return databases, roles, int(self._get_meta("next_oid") or 0)

    def store(self, database: int) -> CatalogStore:
        """What is in a database."""
        return CatalogStore(self, self._maps(database))

    def _maps(self, database: int, txn: lmdb.Transaction | None = None) -> dict[str, Any]:
        suffix = "" if database == ONLY_OID else f" {database}"
        return {name: self.env.open_db(f"{name}{suffix}".encode(), txn=txn) for name in _MAPS}

    def create(self, database: StoredDatabase, schemas: tuple[Schema, ...], next_oid: int) -> CatalogStore:
        """Add a database with these schemas. Raises 54000 when there are too many."""
        try:
            with self.env.begin(write=True) as txn:
                if txn.stat(self.databases)["entries"] >= _MAX_DATABASES:
                    raise PgError("54000", f"cannot have more than {_MAX_DATABASES} databases")
                maps = self._maps(database.oid, txn)
                put_meta(txn, self.meta, next_oid)
                txn.put(_key(database.oid), json.dumps(asdict(database)).encode(), db=self.databases)
                for schema in schemas:
                    txn.put(schema.name.encode(), json.dumps(asdict(schema)).encode(), db=maps["schemas"])
        except lmdb.Error as error:
            raise _failed(error) from error
        return CatalogStore(self, maps)

    def drop(self, database: int, sequences: Iterable[int]) -> None:
        """Remove a database with all that is in it."""
        try:
            with self.env.begin(write=True) as txn:
                txn.delete(_key(database), db=self.databases)
                for oid in sequences:
                    txn.delete(_key(oid), db=self._sequences)
                for opened in self._maps(database, txn).values():
                    txn.drop(opened)
        except lmdb.Error as error:
            raise _failed(error) from error

    def sequences(self) -> dict[int, tuple[int, bool]]:
        """(last value, whether it was given out) by oid."""
        with self.env.begin() as txn:
            rows = {int.from_bytes(k, "big"): json.loads(v) for k, v in txn.cursor(self._sequences)}
        return {oid: (int(last), bool(called)) for oid, (last, called) in rows.items()}

    def write_sequence(self, oid: int, last: int | None, called: bool) -> None:
        """Make a sequence's state durable; None forgets it. May be called by any thread."""
        try:
            with self.env.begin(write=True) as txn:
                if last is None:
                    txn.delete(_key(oid), db=self._sequences)
                else:
                    txn.put(_key(oid), json.dumps([last, called]).encode(), db=self._sequences)
        except lmdb.Error as error:
            raise _failed(error) from error

    def close(self) -> None:
        """Release the environment."""
        self.env.close()

    def _get_meta(self, name: str) -> Any:
        with self.env.begin(db=self.meta) as txn:
            value = txn.get(name.encode())
        return None if value is None else json.loads(value)


class CatalogStore:
    """Objects of one database, by oid or name."""

    def __init__(self, file: CatalogFile, maps: Mapping[str, Any]) -> None:
        self._file = file
        self.env = file.env
        self._relations, self._schemas, self._functions, self._types, self._notes = (maps[n] for n in _MAPS)

    def load(self) -> tuple[list[StoredRelation], list[Schema]]:
        """All relations and schemas."""
        with self.env.begin() as txn:
            relations = [relation_from_json(json.loads(v)) for _, v in txn.cursor(self._relations)]
            schemas = [
                _schema({"owner": "laminar", **json.loads(v), "name": k.decode()})
                for k, v in txn.cursor(self._schemas)
            ]
        return relations, schemas

    def load_functions(self) -> list[StoredFunction]:
        """All users' functions."""
        with self.env.begin(db=self._functions) as txn:
            return [function_from_json(json.loads(value)) for _, value in txn.cursor()]

    def load_types(self) -> list[StoredType]:
        """All users' types."""
        with self.env.begin(db=self._types) as txn:
            return [type_from_json(json.loads(value)) for _, value in txn.cursor()]

    def notes(self) -> dict[str, Any]:
        """What was stored by :meth:`write` as ``put_notes``."""
        with self.env.begin() as txn:
            return {k.decode(): json.loads(v) for k, v in txn.cursor(self._notes)}

    def write(
        self,
        *,
        next_oid: int,
        put: tuple[StoredRelation, ...] = (),
        remove: tuple[int, ...] = (),
        put_schemas: tuple[Schema, ...] = (),
        drop_schemas: tuple[str, ...] = (),
        put_roles: tuple[Role, ...] = (),
        drop_roles: tuple[str, ...] = (),
        put_functions: tuple[StoredFunction, ...] = (),
        drop_functions: tuple[int, ...] = (),
        put_types: tuple[StoredType, ...] = (),
        drop_types: tuple[int, ...] = (),
        put_databases: tuple[StoredDatabase, ...] = (),
        put_notes: tuple[tuple[str, Any], ...] = (),
        drop_notes: tuple[str, ...] = (),
    ) -> None:
        """Make all the changes durable, or none."""
        try:
            with self.env.begin(write=True) as txn:
                put_meta(txn, self._file.meta, next_oid)
                for relation in put:
                    txn.put(_key(relation.oid), json.dumps(relation.to_json()).encode(), db=self._relations)
                for oid in remove:
                    txn.delete(_key(oid), db=self._relations)
                for schema in put_schemas:
                    txn.put(schema.name.encode(), json.dumps(asdict(schema)).encode(), db=self._schemas)
                for name in drop_schemas:
                    txn.delete(name.encode(), db=self._schemas)
                for role in put_roles:
                    txn.put(role.name.encode(), json.dumps(asdict(role)).encode(), db=self._file.roles)
                for name in drop_roles:
                    txn.delete(name.encode(), db=self._file.roles)
                for database in put_databases:
                    value = json.dumps(asdict(database)).encode()
                    txn.put(_key(database.oid), value, db=self._file.databases)
                for function in put_functions:
                    value = json.dumps(function.to_json()).encode()
                    txn.put(_key(function.oid), value, db=self._functions)
                for oid in drop_functions:
                    txn.delete(_key(oid), db=self._functions)
                for made in put_types:
                    txn.put(_key(made.oid), json.dumps(made.to_json()).encode(), db=self._types)
                for oid in drop_types:
                    txn.delete(_key(oid), db=self._types)
                for key, value in put_notes:
                    txn.put(key.encode(), json.dumps(value).encode(), db=self._notes)
                for key in drop_notes:
                    txn.delete(key.encode(), db=self._notes)
        except lmdb.Error as error:
            raise _failed(error) from error


def put_meta(txn: lmdb.Transaction, meta: Any, next_oid: int) -> None:
    """The format and the next oid."""
    txn.put(b"format", json.dumps(FORMAT).encode(), db=meta)
    txn.put(b"next_oid", json.dumps(next_oid).encode(), db=meta)


def _failed(error: lmdb.Error) -> PgError:
    full = isinstance(error, lmdb.DiskError | lmdb.MapFullError) or "No space left" in str(error)
    return PgError(DISK_FULL if full else IO_ERROR, f"could not write the catalog: {error}")


def _schema(data: dict[str, Any]) -> Schema:
    return Schema(**{**data, "acl": acl_from_json(data.get("acl"))})


def _key(oid: int) -> bytes:
    return oid.to_bytes(8, "big")
