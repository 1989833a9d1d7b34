"""Rows that a source cannot read: left out and counted, kept for a dead-letter table, or an error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

from laminar.errors import PgError

OnError = Literal["skip", "fail", "dead_letter"]

#: characters of a row that a dead-letter table keeps
MAX_RAW = 1 << 16


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that could not be read.

    Args:
        position: where it is in its partition, as the connector's ``offset`` counts.
        raw: its text; of formats that are no text, its values as JSON.
        reason, sqlstate: what is wrong with it.
    """

    position: int
    raw: str
    reason: str
    sqlstate: str


@dataclass(slots=True)
class Rejections:
    """What one reader leaves out.

    Args:
        on_error: ``fail`` raises what is wrong with a row, instead.
        wanted: rows are kept until they are taken.
        counts: rows by kind of trouble ("malformed", "not_null").
    """

    on_error: OnError = "skip"
    wanted: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    _found: list[Rejected] = field(default_factory=list)

    def add(
        self,
        bad: Iterable[tuple[int, str, PgError]],
        position: Callable[[int], int],
        raw: Callable[[int], str],
    ) -> None:
        """Leave out rows, each as (number, kind of trouble, what is wrong).

        Args:
            position, raw: of a row's number.
        """
        for row, kind, error in bad:
            if self.on_error == "fail":
                raise error
            self.counts[kind] = self.counts.get(kind, 0) + 1
            if self.wanted:
                self._found.append(Rejected(position(row), raw(row)[:MAX_RAW], error.message, error.sqlstate))

    def take(self) -> list[Rejected]:
        """Those since the last time, in order of position."""
        found, self._found = self._found, []
        return sorted(found, key=lambda one: one.position)


def row_as_json(batch: pa.RecordBatch, row: int) -> str:
    """A row's values by column name; what is no UTF-8 has its bytes replaced."""
    return json.dumps(
        {name: _value(batch.column(i), row) for i, name in enumerate(batch.schema.names)},
        default=str,
        ensure_ascii=False,
    )


def _value(column: pa.Array, row: int) -> object:
    try:
        return column[row].as_py()
    except (UnicodeDecodeError, ValueError, OverflowError):
        pass
    try:
        return bytes(column[row].as_buffer()).decode(errors="replace")
    except AttributeError:
        return str(column[row])
