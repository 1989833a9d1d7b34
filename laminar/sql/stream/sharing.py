"""Aggregations that a query has twice are kept once: counts and their maximum, a subquery joined to itself.

Such a dataflow is no tree any more: the node's changes go to all that read it, in the same epoch.
Nexmark's q5 counts bids for the windows and for their maximum: once now.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING

from laminar.engine.nodes import Node
from laminar.engine.relations import children
from laminar.sql import plan as logical
from laminar.sql.plan import Column, ColumnRef
from laminar.sql.stream import grouping

if TYPE_CHECKING:
    from laminar.sql.stream.planner import Planner

#: an aggregation as :func:`form` has it -> its node, and the logical columns that this has
Known = dict[object, tuple[Node, tuple[Column, ...]]]


def group_by(planner: Planner, node: logical.GroupBy) -> Node:
    """The stream node of a grouping, or its columns of an equal one that the query has already."""
    if planner.known is None or planner.carried is not None:
        return grouping.group_by(planner, node)
    key = (planner.outermost, form(node, {}))
    found = planner.known.get(key)
    if found is None:
        built = grouping.group_by(planner, node)
        planner.known[key] = built, node.columns
        return built
    shared, columns = found
    pairs = zip(node.columns, columns, strict=True)
    return planner.project(shared, [(new, ColumnRef(old.id, old.type)) for new, old in pairs])


def form(value: object, numbers: dict[int, int]) -> object:
    """A plan but for the numbers and names of its columns and its place in the text: equal for equal plans.

    Values stand as their text, because 1.0 and 1.00 are equal and do not print alike.
    """
    if isinstance(value, Column | ColumnRef):
        number = numbers.setdefault(value.id, len(numbers))
        return type(value).__name__, number, form(value.type, numbers)
    if isinstance(value, tuple):
        return tuple(form(each, numbers) for each in value)
    if is_dataclass(value):
        kept = (f.name for f in fields(value) if f.name != "position")
        return type(value).__name__, *(form(getattr(value, name), numbers) for name in kept)
    return repr(value)


def consistent(root: Node) -> bool:
    """Whether a node that several read is the same for all: nobody has changed it for himself."""
    seen: dict[int, Node] = {}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.id in seen:
            if seen[node.id] is not node and seen[node.id] != node:
                return False
            continue
        seen[node.id] = node
        waiting += children(node)
    return True
