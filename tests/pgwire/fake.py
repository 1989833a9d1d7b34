"""A small database behind the protocol: enough statements to show what the wire does.

Statements: transaction control, ``SET name = value``, ``SELECT 1, 'a', $1::int4`` (constants and
parameters), ``TABLE name`` (batches given by the test), ``COPY name FROM|TO``, ``ERROR code message``,
``NOTICE text``, ``SLEEP`` (until cancelled), ``ENDLESS`` (rows without end), ``COUNT n`` (n rows),
``TRICKLE`` (one row, then nothing until cancelled).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from laminar import types as t
from laminar.errors import PgError
from laminar.pgwire.backend import Client, CopyOptions, Field, Notice, Result
from laminar.types import PgType

TYPE_OIDS = {
    "bool": t.BOOL, "int2": t.INT2, "int4": t.INT4, "int8": t.INT8, "float4": t.FLOAT4, "float8": t.FLOAT8,
    "numeric": t.NUMERIC, "text": t.TEXT, "varchar": t.VARCHAR, "bpchar": t.BPCHAR, "name": t.NAME,
    "char": t.CHAR, "bytea": t.BYTEA, "date": t.DATE, "time": t.TIME, "timestamp": t.TIMESTAMP,
    "timestamptz": t.TIMESTAMPTZ, "interval": t.INTERVAL, "uuid": t.UUID, "json": t.JSON, "jsonb": t.JSONB,
    "oid": t.OID, "regclass": t.REGCLASS,
}  # fmt: skip
TYPE_OIDS |= {f"{name}[]": t.ARRAY_OF[oid] for name, oid in TYPE_OIDS.items() if oid in t.ARRAY_OF}

SETTINGS = {
    "application_name": "",
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "default_transaction_read_only": "off",
    "in_hot_standby": "off",
    "integer_datetimes": "on",
    "IntervalStyle": "postgres",
    "is_superuser": "on",
    "server_encoding": "UTF8",
    "server_version": "15.0 (Laminar test)",
    "session_authorization": "test",
    "standard_conforming_strings": "on",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
}


@dataclass
class Relation:
    names: list[str]
    types: list[PgType]
    batches: list[pa.RecordBatch] = field(default_factory=list)

    def rows(self) -> list[dict[str, object]]:
        return [row for batch in self.batches for row in batch.to_pylist()]


@dataclass
class FakeDatabase:
    """What the sessions share; also the authenticator."""

    relations: dict[str, Relation] = field(default_factory=dict)
    verifiers: dict[str, str] = field(default_factory=dict)
    auth: str = "trust"
    log: list[str] = field(default_factory=list)
    sessions: list[FakeBackend] = field(default_factory=list)
    copy_options: CopyOptions = field(default_factory=CopyOptions)

    def add(self, name: str, columns: dict[str, PgType], *batches: pa.RecordBatch) -> Relation:
        relation = Relation(list(columns), list(columns.values()), list(batches))
        self.relations[name] = relation
        return relation

    def method(self, user: str, database: str, peer: str, tls: bool) -> str:
        return self.auth

    def scram_verifier(self, user: str) -> str | None:
        return self.verifiers.get(user)

    async def open(
        self, user: str, database: str, options: dict[str, str], peer: str, client: Client
    ) -> FakeBackend:
        if database == "nowhere":
            raise PgError("3D000", 'database "nowhere" does not exist', severity="FATAL")
        session = FakeBackend(self, client, user, options)
        self.sessions.append(session)
        return session


@dataclass
class FakePrepared:
    sql: str
    param_types: Sequence[PgType] = ()
    fields: Sequence[Field] | None = None
    shortcut: None = None


class FakeBackend:
    def __init__(self, db: FakeDatabase, client: Client, user: str, options: dict[str, str]) -> None:
        self.db = db
        self.client = client
        self.settings = SETTINGS | {"session_authorization": user} | options
        self.status = "I"
        self.implicit = False
        self.failed = False
        self.cancelled: asyncio.Event = asyncio.Event()
        self.closed = False

    @property
    def transaction_status(self) -> str:
        return self.status

    def split(self, script: str) -> list[str]:
        if "syntax error" in script:
            raise PgError("42601", 'syntax error at or near "syntax"', position=script.index("syntax") + 1)
        return [part.strip() for part in script.split(";") if part.strip()]

    def lifted(self, sql: bytes) -> None:
        return None

    async def prepare(self, sql: str, param_types: Sequence[int]) -> FakePrepared:
        if self.status == "E" and not sql.upper().startswith(("ROLLBACK", "COMMIT")):
            raise PgError("25P02", "current transaction is aborted, commands ignored")
        sql = sql.strip().rstrip(";")
        words = sql.split()
        verb = words[0].upper()
        if verb == "SELECT":
            return self._select(sql, param_types)
        if verb == "TABLE":
            relation = self._relation(words[1])
            pairs = zip(relation.names, relation.types, strict=True)
            return FakePrepared(sql, (), [Field(n, ty, 16384, i + 1) for i, (n, ty) in enumerate(pairs)])
        if verb in ("ENDLESS", "COUNT", "TRICKLE"):
            return FakePrepared(sql, (), [Field("n", PgType(t.INT8))])
        return FakePrepared(sql)

    def _relation(self, name: str) -> Relation:
        try:
            return self.db.relations[name]
        except KeyError:
            raise PgError("42P01", f'relation "{name}" does not exist', position=7) from None

    def _select(self, sql: str, given: Sequence[int]) -> FakePrepared:
        fields: list[Field] = []
        params: dict[int, PgType] = {}
        for item in re.findall(r"(\$\d+::[\w\[\]]+|'(?:[^']|'')*'|-?\d+|NULL)", sql[6:]):
            if item.startswith("$"):
                number, name = item[1:].split("::")
                oid = given[int(number) - 1] if int(number) <= len(given) else 0
                params[int(number)] = PgType(oid or TYPE_OIDS[name])
                fields.append(Field(name.removesuffix("[]"), params[int(number)]))
            else:
                is_text = item.startswith("'") or item == "NULL"
                fields.append(Field("?column?", PgType(t.TEXT if is_text else t.INT4)))
        return FakePrepared(sql, [params[i] for i in sorted(params)], fields)

    async def execute(self, prepared: FakePrepared, params: Sequence[pa.Scalar | None]) -> Result:
        self.cancelled.clear()
        self.db.log.append(prepared.sql)
        words = prepared.sql.split()
        match words[0].upper():
            case "BEGIN":
                self.status = "T"
                return Result("BEGIN")
            case "COMMIT" | "ROLLBACK":
                tag = "ROLLBACK" if self.status == "E" else words[0].upper()
                self.status = "I"
                return Result(tag)
            case "SET":
                match = re.fullmatch(r"(?i)set (\w+)\s*(?:=|to)\s*'?([^']*)'?", prepared.sql)
                assert match, prepared.sql
                name = next((k for k in self.settings if k.lower() == match[1].lower()), match[1])
                self.settings[name] = match[2]
                return Result("SET")
            case "SELECT":
                return self._constants(prepared, params)
            case "TABLE":
                relation = self._relation(words[1])
                return Result("SELECT", prepared.fields, _iterate(relation.batches), counts_rows=True)
            case "ERROR":
                raise PgError(
                    words[1], " ".join(words[2:]), detail="the detail", hint="the hint", position=3,
                    fields={"s": "sch", "t": "tab", "c": "col", "n": "con", "d": "typ", "W": "the where"},
                )  # fmt: skip
            case "CRASH":
                raise ZeroDivisionError("a defect")
            case "NOTICE":
                return Result("NOTICE", notices=[Notice("NOTICE", "00000", " ".join(words[1:]), hint="see")])
            case "SLEEP":
                await self.cancelled.wait()
                raise PgError("57014", "canceling statement due to user request")
            case "ENDLESS":
                return Result("SELECT", prepared.fields, self._endless(), counts_rows=True)
            case "TRICKLE":
                return Result("SELECT", prepared.fields, self._trickle(), counts_rows=True)
            case "COUNT":
                return Result("SELECT", prepared.fields, self._count(int(words[1])), counts_rows=True)
            case "COPY":
                return self._copy(words)
        raise PgError("42601", f'syntax error at or near "{words[0]}"', position=1)

    def _constants(self, prepared: FakePrepared, params: Sequence[pa.Scalar | None]) -> Result:
        fields = prepared.fields or ()
        items = re.findall(r"(\$\d+::[\w\[\]]+|'(?:[^']|'')*'|-?\d+|NULL)", prepared.sql[6:])
        columns = []
        for item, column in zip(items, fields, strict=True):
            if item.startswith("$"):
                value = params[int(item[1:].split("::")[0]) - 1]
                if value is not None:
                    assert value.type == column.type.storage, (value.type, column.type)
                    columns.append(pa.array([value], column.type.storage))
                else:
                    columns.append(pa.nulls(1, column.type.storage))
            elif item == "NULL":
                columns.append(pa.nulls(1, pa.string()))
            elif item.startswith("'"):
                columns.append(pa.array([item[1:-1].replace("''", "'")]))
            else:
                columns.append(pa.array([int(item)], pa.int32()))
        schema = pa.schema([(f.name, f.type.storage) for f in fields])
        batch = (
            pa.RecordBatch.from_arrays(columns, schema=schema)
            if fields
            else pa.RecordBatch.from_struct_array(pa.array([{}], pa.struct([])))
        )
        return Result("SELECT", fields, _iterate([batch]), counts_rows=True)

    async def _endless(self) -> AsyncIterator[pa.RecordBatch]:
        n = 0
        while not self.cancelled.is_set():
            yield pa.record_batch({"n": pa.array(range(n, n + 1000), pa.int64())})
            n += 1000
            await asyncio.sleep(0)
        raise PgError("57014", "canceling statement due to user request")

    async def _trickle(self) -> AsyncIterator[pa.RecordBatch]:
        yield pa.record_batch({"n": pa.array([1], pa.int64())})
        await self.cancelled.wait()
        raise PgError("57014", "canceling statement due to user request")

    async def _count(self, rows: int) -> AsyncIterator[pa.RecordBatch]:
        for n in range(0, rows, 1000):
            yield pa.record_batch({"n": pa.array(range(n, min(n + 1000, rows)), pa.int64())})

    def _copy(self, words: list[str]) -> Result:
        relation = self._relation(words[1])
        if words[2].upper() == "FROM":
            sink = FakeSink(self.db, words[1], relation)
            return Result("COPY", copy_in=sink, copy_options=self.db.copy_options)
        fields = [Field(n, ty) for n, ty in zip(relation.names, relation.types, strict=True)]
        return Result(
            "COPY", fields, _iterate(relation.batches), copy_out=self.db.copy_options, counts_rows=True
        )

    def read_value(self, pg_type: PgType, value: bytes, text: bool) -> pa.Scalar:
        raise NotImplementedError

    def wire_form(self, pg_type: PgType, oids: pa.Array, text: bool) -> pa.Array:
        return pa.array([oid if oid is None else f"name{oid}" for oid in oids.to_pylist()], pa.string())

    def idle(self) -> None:
        pass

    def busy(self) -> None:
        pass

    async def begin_implicit(self, script: bool = False) -> None:
        self.implicit = True

    async def sync(self) -> None:
        self.db.log.append("<rollback>" if self.failed else "<commit>")
        self.implicit = self.failed = False

    def fail(self) -> None:
        if self.status == "T":
            self.status = "E"
        self.failed = True

    def cancel(self) -> None:
        self.cancelled.set()

    async def close(self) -> None:
        self.closed = True


class FakeSink:
    def __init__(self, db: FakeDatabase, name: str, relation: Relation) -> None:
        self.relation = name
        self.names = relation.names
        self.types = relation.types
        self._db = db
        self._target = relation
        self._batches: list[pa.RecordBatch] = []

    async def write(self, batch: pa.RecordBatch) -> None:
        assert batch.schema.types == [ty.storage for ty in self.types]
        batch.validate(full=True)
        self._batches.append(batch)

    async def finish(self) -> str:
        self._target.batches.extend(self._batches)
        return f"COPY {sum(b.num_rows for b in self._batches)}"

    async def abort(self, reason: str) -> None:
        self._batches.clear()
        self._db.log.append(f"<abort: {reason}>")


async def _iterate(batches: list[pa.RecordBatch]) -> AsyncIterator[pa.RecordBatch]:
    for batch in batches:
        yield batch
