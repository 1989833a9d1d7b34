"""json_agg, json_object_agg and their jsonb twins."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from laminar.errors import PgError
from laminar.sql.adhoc import segments
from laminar.sql.facts.own import ROW_JSON
from laminar.sql.kernels import jsonb
from laminar.sql.kernels.text import to_text

if TYPE_CHECKING:
    from laminar.sql.adhoc.aggregates import Input


def _joined(parts: list[str], data: Input, opening: str, closing: str, lead: str = "") -> pa.Array:
    """One document per group, null for empty ones; ``lead`` before values that are neither null nor first."""
    order = np.argsort(data.groups, kind="stable")
    at = segments.offsets(data.groups, data.count).tolist()
    ordered = [parts[i] for i in order.tolist()]
    texts: list[Any] = []
    for low, high in pairwise(at):
        inner = ordered[low:high]
        if lead:
            inner[1:] = [part if part == "null" else lead + part for part in inner[1:]]
        texts.append(opening + ", ".join(inner) + closing if inner else None)
    return jsonb.finish(texts, data.result)


def json_agg(data: Input) -> pa.Array:
    """All values, nulls too."""
    type_ = data.types[0]
    structured = type_.is_array or type_ == ROW_JSON
    values = jsonb.to_json(type_)(data.env, data.args[0])
    return _joined(values, data, "[", "]", "\n " if structured else "")


def json_object_agg(data: Input) -> pa.Array:
    """Keys with values in the order of the rows; jsonb keeps the last of equal keys."""
    keys = to_text(data.types[0])(data.env, data.args[0]).to_pylist()
    values = jsonb.to_json(data.types[1])(data.env, data.args[1])
    if None in keys:
        raise PgError("22023", "field name must not be null")
    parts = [f"{jsonb.key(k, data.types[0])} : {v}" for k, v in zip(keys, values, strict=True)]
    return _joined(parts, data, "{ ", " }")
