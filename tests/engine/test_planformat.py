"""What a manifest keeps of plans: equal plans come back, and nothing else can be made from a file."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import is_dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from laminar.engine import planformat
from laminar.engine.nodes import Exchange, HashJoin, Input, Properties
from laminar.engine.planformat import fingerprint, from_data, to_data
from laminar.engine.relations import DataflowSpec, RelationSpec
from laminar.errors import PgError
from laminar.sql import plan
from laminar.sql.plan import Call, Column, Const, Function
from laminar.types import BOOL, INT8, PgType

ROOT = Path(__file__).parents[2]
_NOT_STREAMED = [
    "Param", "Outer", "Subquery", "Scan", "Values", "Filter", "Project", "ProjectSet", "Join", "Apply",
    "GroupBy", "DistinctOn", "SetOp", "Recursive", "WorkTable", "Sort", "Limit", "Window",
    "TableFunction", "TimeWindow",
]  # fmt: skip
EQUAL = Function(467, "int8eq", "int8eq", True, "i")


def back(value: object) -> Any:
    return from_data(json.loads(json.dumps(to_data(value))))


@pytest.mark.parametrize(
    "value",
    [None, True, 1, 1.0, -0.0, "ü", b"\0\xff", (), (1, (True, None)), [1, [2]], frozenset({3, 4}),
     Decimal("1.50"), Decimal("NaN"), date(2026, 1, 2), timedelta(-1, 2, 3), float("inf")],
    ids=repr,
)  # fmt: skip
def test_values(value: object) -> None:
    got = back(Const(value, PgType(INT8))).value
    assert type(got) is type(value)
    assert repr(got) == repr(value)


def join(position: int = 0) -> HashJoin:
    """A plan whose both sides come from one input."""
    column = Column(1, "a", PgType(INT8))
    scan = Input(1, 100, (1,), Properties((column,), watermarks=frozenset({1})))
    sides = [Exchange(n, scan, (1,), scan.properties) for n in (2, 3)]
    condition = Call(EQUAL, (Const(1, PgType(INT8)), Const(True, PgType(BOOL))), PgType(BOOL), position)
    return HashJoin(4, *sides, (1,), (1,), condition, Properties((column,)))  # type: ignore[arg-type]


def test_what_is_shared_stays_shared() -> None:
    plan = join()
    got = back(plan)
    assert got == plan
    assert got.left.input is got.right.input
    assert got.residual.args[1].value is True


def test_equal_plans_have_one_fingerprint() -> None:
    assert fingerprint(join(7)) == fingerprint(join(8)) == fingerprint(back(join()))
    other = HashJoin(*(getattr(join(), f) for f in HashJoin.__slots__[:-3]), null_safe=(0,))  # type: ignore[misc]
    assert fingerprint(other) != fingerprint(join())


def test_a_default_is_not_written() -> None:
    (column,) = [held for name, held in to_data(join())["objects"] if name == "Column"]
    assert column == {"id": 1, "name": "a", "type": {"#": 0}}


@pytest.mark.parametrize(
    "data",
    [
        {"objects": [["Popen", {"args": "true"}]], "root": {"#": 0}},
        {"objects": [["Column", {"id": 1, "name": "a", "type": {"#": 0}}]], "root": {"#": 0}},
        {"objects": [["Const", {"value": 1, "type": 2, "more": 3}]], "root": {"#": 0}},
        {"objects": [["Const", {"value": 1}]], "root": {"#": 0}},
        {"objects": [], "root": {"#": -1}},
        {"objects": [], "root": {"date": "tomorrow"}},
        {"objects": [], "root": {"eval": "1"}},
        {"objects": [["Const", 5]], "root": None},
        {"root": None},
        [],
    ],
    ids=repr,
)  # fmt: skip
def test_what_it_does_not_know_is_damage(data: object) -> None:
    with pytest.raises(PgError) as caught:
        from_data(data)
    assert caught.value.sqlstate == "XX001"


def test_every_class_that_plans_are_made_of_is_known() -> None:
    def reach(kind: object) -> None:
        for inner in get_args(kind):
            reach(inner)
        if is_dataclass(kind) and isinstance(kind, type) and kind not in reached:
            reached.add(kind)
            names = {**vars(sys.modules[kind.__module__]), **vars(plan)}
            for hint in get_type_hints(kind, names).values():
                reach(hint)

    reached: set[type] = set()
    reach(DataflowSpec)
    reach(RelationSpec)
    # Subqueries, parameters and outer references, with the logical plan below, are gone from stream plans.
    logical = {getattr(plan, name) for name in _NOT_STREAMED}
    missing = {kind.__name__ for kind in reached - logical if kind not in planformat._CLASSES.values()}
    assert not missing


def test_what_is_no_plan_is_not_written() -> None:
    with pytest.raises(TypeError, match="no place in a manifest"):
        to_data(Const(object(), PgType(INT8)))


def test_plans_are_no_pickles() -> None:
    """Only messages between the processes of one server are, and states of aggregates in Python."""
    found = subprocess.run(
        ["grep", "-rlE", r"^\s*(import|from) (c?pickle|marshal|shelve|dill)", "--include=*.py", "laminar"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert set(found.stdout.split()) == {
        "laminar/engine/messages.py",
        "laminar/engine/operators/folding.py",
        "laminar/engine/operators/group_fold.py",
    }
