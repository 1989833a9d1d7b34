"""Parameters of Bind as Arrow scalars."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from laminar._native.pgcodec import decode_value
from laminar.errors import PgError
from laminar.pgwire.settings import input_settings
from laminar.types import REG_TYPES, PgType


def decode_params(
    types: Sequence[PgType],
    formats: Sequence[int],
    values: Sequence[bytes | None],
    settings: Mapping[str, str],
    special: Callable[[PgType, bytes, bool], pa.Scalar],
) -> list[pa.Scalar | None]:
    """One scalar of the type's storage per value, None for null.

    Args:
        formats: none (all text), one for all, or one per value.
        special: reads the text (True) or binary form of types that native code does not know.

    Raises:
        PgError: as the type's input or receive function (22P02, 22003, 22P03, ...).
    """
    if not values:
        return []
    native = input_settings(settings)
    params: list[pa.Scalar | None] = []
    for i, (pg_type, value) in enumerate(zip(types, values, strict=True)):
        code = 0 if not formats else formats[0] if len(formats) == 1 else formats[i]
        try:
            if value is not None and (pg_type.special or (not code and pg_type.oid in REG_TYPES)):
                params.append(special(pg_type, value, not code))
            else:
                params.append(None if value is None else decode_value(value, pg_type, code, native))
        except PgError as error:
            if code and error.message == "incorrect binary data format":
                error.message += f" in bind parameter {i + 1}"
            error.fields["W"] = f"unnamed portal parameter ${i + 1}" + ("" if code else _quoted(value))
            raise
    return params


def _quoted(value: bytes | None) -> str:
    """As PostgreSQL with log_parameter_max_length_on_error = 0, which shows nothing of the value."""
    return f" = '{'...' if value else ''}'"
