"""Functions that PostgreSQL does not have (oids from 10000, below user objects).

Those that stand for syntax rather than for a name a user may call have names no
identifier can be (``array[]``): the binder makes calls of them by oid.
"""

from __future__ import annotations

from typing import Final, Literal

from laminar.sql.facts import ProcFact
from laminar.types import DATE, INT4, INT8, JSON, RECORD, TIME, TIMESTAMP, TIMESTAMPTZ, PgType

_ANYARRAY, _ANYELEMENT = 2277, 2283


def _own(
    oid: int,
    name: str,
    symbol: str,
    result: int,
    args: tuple[int, ...] = (),
    volatility: Literal["i", "s"] = "s",
) -> ProcFact:
    return ProcFact(oid, name, symbol, "f", False, True, volatility, result, args, 0, (), (), (), ())


#: the key of approx_count_distinct
APPROXIMATE: Final = "approx_count_distinct(any)"
#: json made from a row of FROM or ROW(…): json_agg puts such values on lines of their own
ROW_JSON: Final = PgType(JSON, 1)

#: functions of information_schema that clients call
SCHEMA_FUNCTIONS: Final = {
    "information_schema": (
        # an array's elements x with their places n, from 1
        ProcFact(
            10009, "_pg_expandarray", "laminar_expandarray", "f", True, True, "i", RECORD, (_ANYARRAY,), 0,
            ("", "x", "n"), ("i", "o", "o"), (_ANYARRAY, _ANYELEMENT, INT4), (),
        ),
    ),
}  # fmt: skip

OWN_FUNCTIONS: Final[tuple[ProcFact, ...]] = (
    # PROCTIME(): the time at which a row's epoch runs (SQL.md)
    _own(10001, "proctime", "now", TIMESTAMPTZ),
    # CURRENT_DATE, LOCALTIMESTAMP, LOCALTIME: key words, not functions, in PostgreSQL
    _own(10002, "current_date", "sql_current_date", DATE),
    _own(10003, "localtimestamp", "sql_localtimestamp", TIMESTAMP),
    _own(10004, "localtime", "sql_localtime", TIME),
    _own(10005, "current_timestamp", "sql_current_timestamp", TIMESTAMPTZ),
    # a[i] and a[i:j]
    _own(10006, "array[]", "laminar_array_element", _ANYELEMENT, (_ANYARRAY, INT4), "i"),
    # a row as JSON: the names of its fields, then their values
    ProcFact(10008, "row{}", "laminar_row_to_json", "f", False, False, "s", JSON, (), 2276, (), (), (), ()),
    _own(10007, "array[:]", "laminar_array_slice", _ANYARRAY, (_ANYARRAY, INT4, INT4), "i"),
    # about how many different values there are
    ProcFact(
        10021,
        "approx_count_distinct",
        APPROXIMATE,
        "a",
        False,
        False,
        "i",
        INT8,
        (2276,),
        0,
        (),
        (),
        (),
        (),
    ),
)
