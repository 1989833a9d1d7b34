"""Lookup tables on PostgreSQL: one query for the rows of many keys, joined with their list by an index."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql

from laminar._native.copyparse import CopyParser
from laminar._native.textio import FormatSettings
from laminar.connectors import postgres_connection
from laminar.connectors.base import LookupLimits, LookupSpec, SourceColumn, type_mismatch
from laminar.connectors.options import LOOKUP_OPTIONS, Option, parse_options, type_label
from laminar.errors import UNDEFINED_COLUMN, UNDEFINED_TABLE, PgError
from laminar.pgwire.backend import CopyOptions
from laminar.sql.evaluator.rowtext import format_values
from laminar.sql.plan import ColumnRef
from laminar.sql.resolve import coerce, oid_name
from laminar.types import INT8, TEXT, VARCHAR, PgType

_OPTIONS: Final[Mapping[str, Option]] = {**LOOKUP_OPTIONS, **postgres_connection.OPTIONS}
_SETTINGS: Final = FormatSettings()
_MOST_ROWS: Final = 1 << 30


class PostgresLookupReader:
    """A connection to the table's server; any error of it ends it."""

    def __init__(self, spec: LookupSpec) -> None:
        values = parse_options(spec.options, _OPTIONS, "connector postgres")
        timeout = values["timeout"] / 1_000_000
        self.spec = spec
        self._table = sql.Identifier(*postgres_connection.table_of(values))
        self._types = [PgType(INT8), *(column.type for column in spec.columns)]
        self._names = ["n", *(column.name for column in spec.columns)]
        self._connection = postgres_connection.connect(
            postgres_connection.connection_of(values),
            "the lookup table",
            f"-c statement_timeout={round(timeout * 1000)} -c default_transaction_read_only=on",
            timeout,
        )
        self._connection.autocommit = True
        try:
            self._check()
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        """The table has the columns, with types whose values the declared ones have."""
        with self._connection.cursor() as cursor:
            names = sql.SQL(", ").join(sql.Identifier(column.name) for column in self.spec.columns)
            try:
                cursor.execute(sql.SQL("SELECT {} FROM {} LIMIT 0").format(names, self._table))
            except psycopg.errors.UndefinedTable as error:
                raise PgError(UNDEFINED_TABLE, _told(error), hint="Create it first.") from error
            except psycopg.errors.UndefinedColumn as error:
                raise PgError(UNDEFINED_COLUMN, _told(error)) from error
            for i, column in enumerate(self.spec.columns):
                result = cursor.pgresult
                assert result is not None
                _check_type(column, PgType(result.ftype(i), result.fmod(i)))

    def fetch(self, keys: pa.RecordBatch) -> tuple[pa.Array, pa.RecordBatch]:
        parser = CopyParser("", self._names, self._types, CopyOptions(), _SETTINGS)
        with self._connection.cursor() as cursor, cursor.copy(self._query(keys)) as copy:
            for data in copy:
                parser.feed(bytes(data))
        parser.parse(_MOST_ROWS, _MOST_ROWS, True)
        found = parser.take()
        numbers = found.column(0).to_numpy() - 1
        # where the table does not keep keys apart, the first row stands for all
        _, firsts = np.unique(numbers, return_index=True)
        rows = pa.RecordBatch.from_arrays(found.columns[1:], self._names[1:])
        if len(firsts) < len(numbers):
            rows, numbers = rows.take(pa.array(firsts)), numbers[firsts]
        return pa.array(numbers, pa.int64()), rows

    def _query(self, keys: pa.RecordBatch) -> sql.Composed:
        columns = [self.spec.columns[i] for i in self.spec.key]
        lists = [_list(array, column.type) for array, column in zip(keys.columns, columns, strict=True)]
        places = [sql.Identifier(f"k{i}") for i in range(len(columns))]
        equal = (
            sql.SQL("t.{} = q.{}").format(sql.Identifier(column.name), place)
            for column, place in zip(columns, places, strict=True)
        )
        shown = (
            sql.SQL("t.{}::{}").format(sql.Identifier(c.name), sql.SQL(oid_name(c.type.oid)))
            for c in self.spec.columns
        )
        return sql.SQL(
            "COPY (SELECT q.n, {} FROM unnest({}) WITH ORDINALITY AS q ({}, n) JOIN {} AS t ON {}) TO STDOUT"
        ).format(
            sql.SQL(", ").join(shown),
            sql.SQL(", ").join(lists),
            sql.SQL(", ").join(places),
            self._table,
            sql.SQL(" AND ").join(equal),
        )

    def abort(self) -> None:
        with (
            suppress(OSError, psycopg.Error),
            socket.socket(fileno=os.dup(self._connection.fileno())) as connected,
        ):
            connected.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._connection.close()


def _list(values: pa.Array, type_: PgType) -> sql.Composable:
    """An array of the values."""
    texts = [sql.Literal(text) for text in format_values(values, type_, _SETTINGS).to_pylist()]
    return sql.SQL("ARRAY[{}]::{}[]").format(
        sql.SQL(",").join(texts),
        sql.SQL(oid_name(type_.oid)),
    )


def _check_type(column: SourceColumn, actual: PgType) -> None:
    """42804 when not every value of the actual type is one of the declared type."""
    declared = column.type
    same = (actual.oid, actual.typmod) == (declared.oid, declared.typmod)
    if same or (declared.oid in (TEXT, VARCHAR) and declared.typmod < 0):
        return
    try:
        if declared.typmod >= 0:
            raise type_mismatch(column, type_label(actual), "the lookup table's server")
        coerce(ColumnRef(0, actual), declared, "implicit", None)
    except PgError:
        raise type_mismatch(column, type_label(actual), "the lookup table's server") from None


def _told(error: psycopg.Error) -> str:
    return f"the lookup table's server says: {error.diag.message_primary or str(error).strip()}"


class PostgresLookup:
    options: Mapping[str, Option] = _OPTIONS

    def limits(self, spec: LookupSpec) -> LookupLimits:
        values = parse_options(spec.options, _OPTIONS, "connector postgres")
        return LookupLimits(values["cache.ttl"], values["cache.size"], values["timeout"] / 1_000_000)

    def open(self, spec: LookupSpec) -> PostgresLookupReader:
        return PostgresLookupReader(spec)
