"""Plans, relations and sinks as plain data for the manifest, in a form that later versions can read.

A document is ``{"objects": […], "root": value}``. An object is ``[class, {field: value}]``; the objects that
it holds come before it and are named by their place, so what is shared stays shared. Fields that have their
default are left out: a field added later, with the default that means what was before, changes nothing.
Classes and fields are never renamed or given another meaning without a new ``FORMAT`` of the manifest.

Only what is listed here is ever made from a file: reading one runs no code of its choice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, cast

from laminar.connectors.base import LookupSpec, SinkSpec, SourceColumn, SourceSpec
from laminar.engine import nodes, relations
from laminar.errors import DATA_CORRUPTED, PgError
from laminar.sql import plan
from laminar.types import PgType

_CLASSES: dict[str, type] = {
    each.__name__: each
    for each in (
        PgType,
        SinkSpec,
        SourceColumn,
        SourceSpec,
        LookupSpec,
        relations.ComputedColumn,
        relations.DataflowSpec,
        relations.RelationSpec,
        plan.Column,
        *(plan.ColumnRef, plan.Const, plan.Routine, plan.Function, plan.Call, plan.Cast, plan.BoolOp),
        *(plan.Test, plan.Distinct, plan.Case, plan.Coalesce, plan.ArrayCompare, plan.MakeArray),
        *(plan.SortKey, plan.SortItem, plan.Aggregate, plan.Frame, plan.WindowCall, plan.Emit),
        nodes.Properties,
        *(nodes.Input, nodes.Linear, nodes.Hop, nodes.Constant, nodes.UnionAll, nodes.FlatMap),
        *(nodes.Repeat, nodes.ClockBound, nodes.TemporalFilter, nodes.SessionWindow, nodes.Exchange),
        *(nodes.GroupAggregate, nodes.TopN, nodes.OverWindow, nodes.GroupReduce, nodes.GroupFold),
        nodes.Slices,
        *(nodes.TimeBound, nodes.HashJoin, nodes.AsofJoin, nodes.Versions, nodes.TemporalJoin),
        *(nodes.LookupJoin, nodes.FailedRows, nodes.ProcessingTime, nodes.Closing),
        *(nodes.EmitGate, nodes.EmitEvery, nodes.LateRows, nodes.Append, nodes.Materialize, nodes.Sink),
    )
}

#: values that JSON has no form of, by the name that they have in a document
_TAGGED: dict[type, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = {
    bytes: ("bytes", bytes.hex, bytes.fromhex),
    Decimal: ("decimal", str, Decimal),
    date: ("date", date.isoformat, date.fromisoformat),
    datetime: ("timestamp", datetime.isoformat, datetime.fromisoformat),
    time: ("time", time.isoformat, time.fromisoformat),
    timedelta: (
        "interval",
        lambda span: [span.days, span.seconds, span.microseconds],
        lambda parts: timedelta(*parts),
    ),
}
_READERS = {name: read for name, _, read in _TAGGED.values()}
_REFERENCE = "#"
#: where an object was in a statement's text is nothing that it means
_POSITION = "position"


def to_data(value: object) -> dict[str, Any]:
    """A document of plain lists, dicts and scalars; TypeError for what no plan may hold."""
    writer = _Writer()
    root = writer.write(value)
    return {"objects": writer.objects, "root": root}


def from_data(data: object) -> Any:
    """What ``to_data`` described; XX001 when this version cannot make it."""
    try:
        return _read(cast(dict[str, Any], data))
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError) as error:
        raise PgError(
            DATA_CORRUPTED,
            f"a plan in the manifest cannot be read: {error}",
            hint="It may have been written by a later version.",
        ) from error


def fingerprint(root: nodes.Node) -> str:
    """Hexadecimal hash of what a plan means: the same for equal plans, in all versions."""
    writer = _Writer(without=_POSITION)
    writer.write(root)
    return hashlib.sha256(json.dumps(writer.objects, separators=(",", ":")).encode()).hexdigest()


class _Writer:
    """Lists objects, equal ones once; ``without`` is a field to leave out of all."""

    def __init__(self, without: str = "") -> None:
        self.objects: list[tuple[str, dict[str, Any]]] = []
        self._without = without
        #: by what is written of them, and by identity, so that shared plans are not walked again
        self._places: dict[str, int] = {}
        self._known: dict[int, int] = {}

    def write(self, value: object) -> Any:
        if value is None or type(value) in (bool, int, float, str):
            return value
        if type(value) is tuple:
            return [self.write(item) for item in value]
        if type(value) is list:
            return {"list": [self.write(item) for item in value]}
        if type(value) is frozenset:
            return {"set": [self.write(item) for item in sorted(value)]}
        if type(value) in _TAGGED:
            name, form, _ = _TAGGED[type(value)]
            return {name: form(value)}
        return {_REFERENCE: self._place(value)}

    def _place(self, value: object) -> int:
        place = self._known.get(id(value))
        if place is None:
            name = type(value).__name__
            if _CLASSES.get(name) is not type(value):
                raise TypeError(f"{type(value)} has no place in a manifest")
            held = {
                field: self.write(found)
                for field, default in _fields(name).items()
                if field != self._without and not _same(found := getattr(value, field), default)
            }
            place = self._places.setdefault(json.dumps([name, held]), len(self.objects))
            if place == len(self.objects):
                self.objects.append((name, held))
            self._known[id(value)] = place
        return place


def _same(value: object, default: object) -> bool:
    return type(value) is type(default) and value == default


@cache
def _fields(name: str) -> dict[str, object]:
    """The default of each field of a class, ``MISSING`` for those that must be there."""
    kind = _CLASSES[name]
    assert is_dataclass(kind)
    return {field.name: field.default for field in fields(kind)}


def _read(data: dict[str, Any]) -> Any:
    made: list[object] = []

    def value(found: Any) -> Any:
        if isinstance(found, list):
            return tuple(value(item) for item in found)
        if not isinstance(found, dict):
            return found
        ((name, held),) = found.items()
        if name == _REFERENCE:
            if not 0 <= held < len(made):
                raise ValueError(f"object {held} does not come before what holds it")
            return made[held]
        if name in ("list", "set"):
            return (list if name == "list" else frozenset)(value(item) for item in held)
        return _READERS[name](held)

    for name, values in data["objects"]:
        unknown = values.keys() - _fields(name).keys()
        if unknown:
            raise ValueError(f"{name} has no {', '.join(sorted(unknown))}")
        made.append(_CLASSES[name](**{field: value(held) for field, held in values.items()}))
    return value(data["root"])
