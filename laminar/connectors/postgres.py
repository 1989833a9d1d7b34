"""The connector ``postgres``. Its sink: a delivery is one transaction, which also notes its number.

The table ``laminar_sinks`` in the target database says which delivery was the last of each sink, so one
that is repeated after a crash, or after a COMMIT whose outcome was never heard, does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.csv as pa_csv
from psycopg import sql

from laminar import failpoints
from laminar.connectors import postgres_connection
from laminar.connectors.base import SinkBatch, SinkSpec, SinkTarget, SourceColumn, bad_option
from laminar.connectors.file.output import csv_bytes
from laminar.connectors.net import net_changes
from laminar.connectors.options import SINK_OPTIONS, Option, parse_options
from laminar.connectors.postgres_lookup import PostgresLookup
from laminar.errors import UNDEFINED_COLUMN, UNDEFINED_TABLE, PgError, not_supported

_OPTIONS: Final[Mapping[str, Option]] = {
    **SINK_OPTIONS,
    **postgres_connection.OPTIONS,
    "mode": Option("choice", choices=("upsert", "append")),
    "primary_key": Option(),
    "commit_interval": Option("duration", 1_000_000, minimum=10_000),
}
_CSV: Final = pa_csv.WriteOptions(include_header=False, quoting_style="all_valid")
_NOTES: Final = """CREATE TABLE IF NOT EXISTS laminar_sinks
    (sink text PRIMARY KEY, delivery bigint NOT NULL, delivered_at timestamptz NOT NULL DEFAULT now())"""


@dataclass(frozen=True, slots=True)
class PostgresConfig:
    """The options, read.

    Args:
        key: positions of the columns that identify a row of the table; () when rows are only added.
    """

    connection: dict[str, Any]
    table: tuple[str, ...]
    key: tuple[int, ...]
    interval: float

    @classmethod
    def of(cls, spec: SinkSpec) -> PostgresConfig:
        """Raises 22023, 0A000."""
        values = parse_options(spec.options, _OPTIONS, "connector postgres")
        names = [column.name for column in spec.columns]
        mode = values["mode"] or ("append" if spec.append_only else "upsert")
        if spec.format is not None:
            raise bad_option("connector postgres takes no FORMAT")
        if mode == "append" and not spec.append_only:
            raise not_supported(
                "mode = 'append' cannot take back rows, and the sink's query updates or deletes some",
                hint="Use mode = 'upsert', or EMIT ON WINDOW CLOSE.",
            )
        key: tuple[int, ...] = ()
        if mode == "upsert":
            key = _key(values["primary_key"], names, spec)
        elif values["primary_key"]:
            raise bad_option("option \"primary_key\" is for mode = 'upsert'")
        connection, table = postgres_connection.connection_of(values), postgres_connection.table_of(values)
        return cls(connection, table, key, values["commit_interval"] / 1_000_000)


def _key(option: str | None, names: list[str], spec: SinkSpec) -> tuple[int, ...]:
    if option is None:
        if spec.key:
            return spec.key
        raise bad_option(
            "connector postgres needs option \"primary_key\" for mode = 'upsert'",
            hint="The query does not show the columns that tell its rows apart.",
        )
    wanted = [name.strip() for name in option.split(",")]
    for name in wanted:
        if name not in names:
            raise bad_option(
                f'column "{name}" of option "primary_key" does not exist',
                hint=f"Columns: {', '.join(names)}.",
            )
    return tuple(names.index(name) for name in wanted)


class PostgresTarget:
    """A connection to the target's database; any error of it ends it."""

    def __init__(self, spec: SinkSpec) -> None:
        self.config = PostgresConfig.of(spec)
        self.spec = spec
        self.table = sql.Identifier(*self.config.table)
        self.columns = [column.name for column in spec.columns]
        # What was delivered is forgotten here, so it must survive there.
        self.connection = postgres_connection.connect(
            self.config.connection, "the sink", "-c synchronous_commit=on"
        )
        try:
            self._check()
        except BaseException:
            self.connection.close()
            raise

    def _check(self) -> None:
        """The table has the columns and, for upserts, takes the key as one."""
        with self.connection.transaction(), self.connection.cursor() as cursor:
            cursor.execute(_NOTES)
            names = sql.SQL(", ").join(map(sql.Identifier, self.columns))
            try:
                cursor.execute(sql.SQL("SELECT {} FROM {} LIMIT 0").format(names, self.table))
                if self.config.key:
                    cursor.execute(sql.SQL("EXPLAIN ") + self._upsert(self.table))
            except psycopg.errors.UndefinedTable as error:
                raise PgError(UNDEFINED_TABLE, _told(error), hint="Create it first.") from error
            except psycopg.errors.UndefinedColumn as error:
                raise PgError(UNDEFINED_COLUMN, _told(error)) from error
            except psycopg.errors.InvalidColumnReference as error:
                hint = "Give the table a primary key or unique index on the sink's key."
                raise PgError(error.sqlstate or "42P10", _told(error), hint=hint) from error

    def deliver(self, number: int, changes: Callable[[], Iterator[SinkBatch]]) -> None:
        with self.connection.transaction(), self.connection.cursor() as cursor:
            if not self._begin(cursor, number):
                return
            if self.config.key:
                self._change(cursor, changes)
            else:
                for change in changes():
                    self._copy(cursor, self.table, _repeated(change))
            failpoints.reach("postgres sink: written")
        failpoints.reach("postgres sink: committed")

    def delivered(self) -> int:
        with self.connection.transaction(), self.connection.cursor() as cursor:
            cursor.execute("SELECT delivery FROM laminar_sinks WHERE sink = %s", (self.spec.id,))
            found = cursor.fetchone()
        return found[0] if found is not None else 0

    def _begin(self, cursor: psycopg.Cursor[Any], number: int) -> bool:
        """Note the delivery; False when it was made before."""
        cursor.execute(
            """INSERT INTO laminar_sinks AS s (sink, delivery) VALUES (%s, %s)
               ON CONFLICT (sink) DO UPDATE SET delivery = EXCLUDED.delivery, delivered_at = now()
               WHERE s.delivery < EXCLUDED.delivery""",
            (self.spec.id, number),
        )
        return cursor.rowcount == 1

    def _change(self, cursor: psycopg.Cursor[Any], changes: Callable[[], Iterator[SinkBatch]]) -> None:
        """Deletions, then insertions and updates, of what the delivery comes to."""
        deletes, inserts = net_changes(changes(), self.spec.columns, self.config.key)
        key = [self.spec.columns[i] for i in self.config.key]
        if deletes is not None:
            gone = self._stage(cursor, "laminar_gone", key, deletes.select(list(self.config.key)))
            # IS NOT DISTINCT FROM would not use the table's index.
            nulls = any(deletes.column(i).null_count for i in self.config.key)
            equal = sql.SQL("t.{0} IS NOT DISTINCT FROM g.{0}" if nulls else "t.{0} = g.{0}")
            same = sql.SQL(" AND ").join(equal.format(sql.Identifier(c.name)) for c in key)
            cursor.execute(sql.SQL("DELETE FROM {} t USING {} g WHERE {}").format(self.table, gone, same))
        if inserts is not None:
            cursor.execute(self._upsert(self._stage(cursor, "laminar_new", self.spec.columns, inserts)))

    def _stage(
        self,
        cursor: psycopg.Cursor[Any],
        name: LiteralString,
        columns: tuple[SourceColumn, ...] | list[SourceColumn],
        rows: pa.RecordBatch,
    ) -> sql.Composable:
        """A temporary table with the rows, its types the target's."""
        stage = sql.Identifier("pg_temp", name)
        names = sql.SQL(", ").join(sql.Identifier(column.name) for column in columns)
        cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(stage))
        cursor.execute(
            sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
                sql.Identifier(name), names, self.table
            )
        )
        self._copy(cursor, stage, rows, columns)
        return stage

    def _upsert(self, stage: sql.Composable) -> sql.Composed:
        key = {self.columns[i] for i in self.config.key}
        rest = [name for name in self.columns if name not in key]
        names = sql.SQL(", ").join(map(sql.Identifier, self.columns))
        action = sql.SQL("NOTHING")
        if rest:
            sets = (sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in rest)
            action = sql.SQL("UPDATE SET ") + sql.SQL(", ").join(sets)  # type: ignore[assignment]
        return sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} ON CONFLICT ({}) DO {}").format(
            self.table, names, names, stage, sql.SQL(", ").join(map(sql.Identifier, sorted(key))), action
        )

    def _copy(
        self,
        cursor: psycopg.Cursor[Any],
        table: sql.Composable,
        rows: pa.RecordBatch,
        columns: tuple[SourceColumn, ...] | list[SourceColumn] | None = None,
    ) -> None:
        columns = self.spec.columns if columns is None else columns
        names = sql.SQL(", ").join(sql.Identifier(column.name) for column in columns)
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(table, names)
        with cursor.copy(statement) as copy:
            for start in range(0, rows.num_rows, 1 << 16):
                copy.write(csv_bytes(rows.slice(start, 1 << 16), columns, _CSV))

    def close(self) -> None:
        self.connection.close()


def _repeated(change: SinkBatch) -> pa.RecordBatch:
    """Rows as often as their weight says."""
    if change.weights is None:
        return change.batch
    return change.batch.take(pa.array(np.repeat(np.arange(len(change.weights)), change.weights)))


def _told(error: psycopg.Error) -> str:
    return f"the sink's server says: {error.diag.message_primary or str(error).strip()}"


class PostgresSink:
    options: Mapping[str, Option] = _OPTIONS

    def check(self, spec: SinkSpec) -> None:
        PostgresConfig.of(spec)

    def interval(self, spec: SinkSpec) -> float:
        return PostgresConfig.of(spec).interval

    def target(self, spec: SinkSpec) -> SinkTarget:
        return PostgresTarget(spec)


SINK = PostgresSink()
LOOKUP = PostgresLookup()
