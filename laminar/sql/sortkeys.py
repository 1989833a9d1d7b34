"""Keys for values whose equality is not that of their storage."""

from __future__ import annotations

from laminar.sql.plan import Expr, SortKey
from laminar.types import BPCHAR, BYTEA, FLOAT4, FLOAT8, INTERVAL, TEXT, UUID, PgType


def key_type(type_: PgType) -> PgType:
    """A type with the storage of ``kernels.sort_key`` of ``type_``."""
    if not type_.needs_sort_key or type_.oid in (FLOAT4, FLOAT8):
        return type_
    if type_.oid == BPCHAR:
        return PgType(TEXT)
    # 16 bytes that order as intervals do: uuid is the type with that storage.
    return PgType(UUID) if type_.oid == INTERVAL else PgType(BYTEA)


def sort_key(expr: Expr) -> Expr:
    """``expr`` itself, or its sort key where equal values may differ in storage."""
    return SortKey(expr, key_type(expr.type)) if expr.type.needs_sort_key else expr
