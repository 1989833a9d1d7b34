"""Functions that PostgreSQL does not have (oids from 10000, below user objects)."""

from __future__ import annotations

from typing import Final

from laminar.sql.facts import ProcFact
from laminar.types import TIMESTAMPTZ

#: PROCTIME(): the time at which a row's epoch runs (SQL.md)
OWN_FUNCTIONS: Final[tuple[ProcFact, ...]] = (
    ProcFact(10001, "proctime", "proctime", "f", False, True, "s", TIMESTAMPTZ, (), 0, (), (), (), ()),
)
