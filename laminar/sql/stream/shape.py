"""What the planner knows of a stored relation as an input of a view."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from laminar.types import PgType


@dataclass(frozen=True, slots=True)
class WindowRole:
    """A column that is a window's bound.

    Args:
        bound: which one.
        size: microseconds between the bounds; None when the calendar decides.
    """

    bound: Literal["start", "end"]
    size: int | None


@dataclass(frozen=True, slots=True)
class Upserts:
    """An input whose rows take the place of earlier ones with their key.

    Args:
        order: attributes by which a row is later than another; never null.
        deletions: boolean attributes of which one is true in rows that only remove the key's row.
        hidden: names and types of those that are no columns of the relation.
    """

    order: tuple[int, ...]
    deletions: tuple[int, ...]
    hidden: dict[int, tuple[str, PgType]]


@dataclass(frozen=True, slots=True)
class LookupShape:
    """A lookup table: its name, microseconds for which an answer holds, how many a join keeps."""

    name: str
    ttl: int
    size: int


@dataclass(frozen=True, slots=True)
class Shape:
    """An input relation's properties, by attribute number.

    Args:
        key: attributes that identify a row, () for whole rows.
        append_only: rows are never taken back.
        watermarks: attributes that carry a watermark.
        windows: attributes that are window bounds.
        row_watermarks: whether rows come with the watermark of their source partition.
        columns: names and types.
        upserts: the rows are still to be made the last ones of their keys.
        lookup: rows are elsewhere, and found by the key only.
    """

    key: tuple[int, ...] = ()
    append_only: bool = False
    watermarks: frozenset[int] = frozenset()
    windows: dict[int, WindowRole] = field(default_factory=dict)
    row_watermarks: bool = False
    columns: dict[int, tuple[str, PgType]] = field(default_factory=dict)
    upserts: Upserts | None = None
    lookup: LookupShape | None = None


class Shapes(Protocol):
    """Where shapes come from: the catalog and the plans of the views in it."""

    #: how many reactors will run the plan
    reactors: int

    def is_lookup(self, relation: int) -> bool:
        """Whether a relation is a lookup table."""

    def shape(self, relation: int) -> Shape:
        """The shape of a relation; raises 0A000 for what no view can read."""
