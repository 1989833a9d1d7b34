"""Users' types in the system catalogs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from laminar.catalog.objects import StoredType
from laminar.catalog.system.builtin import ARRAY_TYPE, ROW_TYPE
from laminar.sql import facts

if TYPE_CHECKING:
    from laminar.catalog.catalog import Catalog

Made = Iterator[Mapping[str, Any]]

_ENUM: Final[dict[str, Any]] = {
    "typlen": 4, "typbyval": True, "typtype": "e", "typcategory": "E", "typinput": 3506, "typoutput": 3507,
    "typreceive": 3532, "typsend": 3533, "typalign": "i", "typstorage": "p",
}  # fmt: skip


def base_row(oid: int) -> dict[str, Any]:
    """pg_type's row of one of PostgreSQL's types; of an enum or composite type what attributes need of it."""
    found, fact = facts.type_rows().get(oid), facts.types().get(oid)
    if found is not None:
        return found
    return ROW_TYPE | _ENUM if fact is not None and fact.kind == "e" else ROW_TYPE


def pg_type(catalog: Catalog, where: dict[str, Any], t: StoredType) -> Made:
    """The type and its array type.

    Args:
        where: typnamespace and typowner.
    """
    own: dict[str, Any] = {"oid": t.oid, "typname": t.name, "typarray": t.array, "typrelid": t.relation}
    if t.kind == "e":
        yield ROW_TYPE | where | own | _ENUM
    elif t.kind == "c":
        yield ROW_TYPE | where | own
    else:
        assert t.base is not None
        over = next((oid for oid in t.depends_on if oid in catalog.types), t.base.oid)
        yield ROW_TYPE | base_row(t.base.oid) | where | own | {
            "typtype": "d", "typbasetype": over, "typtypmod": t.base.typmod, "typnotnull": t.not_null,
            "typdefault": t.default, "typispreferred": False, "typelem": 0, "typsubscript": 0,
            "typinput": 2597, "typreceive": 2598,
        }  # fmt: skip
    if t.array:
        array: dict[str, Any] = {"oid": t.array, "typname": f"_{t.name}"[:63], "typelem": t.oid}
        yield ARRAY_TYPE | where | array | ({"typalign": "i"} if t.kind == "e" else {})


def pg_enum(t: StoredType) -> Made:
    """An enum's values; sort orders are numbers from 1, as after a dump."""
    for place, (_, label, oid) in enumerate(t.labels, 1):
        yield {"oid": oid, "enumtypid": t.oid, "enumsortorder": float(place), "enumlabel": label}
