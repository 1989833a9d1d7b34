"""Kernels for the type boolean beyond AND, OR and NOT, which the evaluator has itself."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from laminar.sql.kernels.registry import kernel


@kernel("booltext", total=True)
def _bool_text(_env: object, x: Any) -> Any:
    return pc.if_else(x, pa.scalar("true"), pa.scalar("false"))


@kernel("booland_statefunc", total=True)
def _and(_env: object, a: Any, b: Any) -> Any:
    return pc.and_(a, b)


@kernel("boolor_statefunc", total=True)
def _or(_env: object, a: Any, b: Any) -> Any:
    return pc.or_(a, b)
