"""Set-returning functions: their kernels give a list of results per row.

Several in a select list go in lock-step, the shorter ones padded with nulls. Ad-hoc execution and
views do the same: :class:`Lifted` takes the calls out of the expressions, :class:`Expansion` says
which rows come out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from laminar.errors import not_supported
from laminar.sql.expressions import rewrite, walk
from laminar.sql.kernels import registry
from laminar.sql.plan import Call, ColumnRef, Expr

Indices = npt.NDArray[np.int64]


def returns_set(expr: Expr) -> bool:
    """Whether it is a call of a set-returning function."""
    return isinstance(expr, Call) and registry.returns_set(expr.function)


class Lifted:
    """A select list whose set-returning calls became columns.

    Args:
        exprs: the select list.
        column: id of the column that stands for the n-th call (from 0).

    Attributes:
        calls: the calls, equal ones once.
        exprs: the list over the input's columns and the calls'.

    Raises:
        PgError: 0A000 for a call within another's arguments.
    """

    def __init__(self, exprs: Sequence[Expr], column: Callable[[int], int]) -> None:
        self._column = column
        self.calls: list[Call] = []
        self.ids: list[int] = []
        self.exprs = tuple(rewrite(e, self._lifted) for e in exprs)
        for call in self.calls:
            inside = [e for arg in call.args for e in walk(arg)]
            if any(returns_set(e) or (isinstance(e, ColumnRef) and e.id in self.ids) for e in inside):
                raise not_supported(
                    "nested set-returning functions are not supported", position=call.position or None
                )

    def _lifted(self, expr: Expr) -> Expr:
        if not returns_set(expr):
            return expr
        assert isinstance(expr, Call)
        if expr not in self.calls:
            self.ids.append(self._column(len(self.calls)))
            self.calls.append(expr)
        return ColumnRef(self.ids[self.calls.index(expr)], expr.type)


@dataclass(slots=True)
class Expansion:
    """Which rows come out of lists that go in lock-step.

    Args:
        row: the input row behind each output row.
        nth: the place of each output row among those of its input row, from 0.
        lengths: per list, its length in every row.
    """

    row: Indices
    nth: Indices
    lengths: list[Indices]

    def elements(self, lists: pa.Array, which: int) -> pa.Array:
        """The values of list ``which`` for the output rows, null past its end."""
        lengths = self.lengths[which]
        starts = np.cumsum(lengths) - lengths
        inside = self.nth < lengths[self.row]
        places = np.where(inside, starts[self.row] + self.nth, 0)
        return lists.flatten().take(pa.array(places, mask=~inside))


def expand(lists: Sequence[pa.Array], rows: int) -> Expansion:
    """One output row per element of the longest list of each of ``rows`` input rows."""
    lengths = [_lengths(a) for a in lists]
    counts = np.max(lengths, axis=0) if lengths else np.zeros(rows, dtype=np.int64)
    row = np.repeat(np.arange(rows), counts)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    return Expansion(row, nth, lengths)


def _lengths(lists: pa.Array) -> Indices:
    lengths: Indices = np.asarray(pc.list_value_length(lists).fill_null(0)).astype(np.int64)
    return lengths
