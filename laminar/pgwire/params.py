"""Parameters of Bind as Arrow scalars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from laminar._native import pgcodec
from laminar.errors import PgError
from laminar.types import PgType


def decode_params(
    types: Sequence[PgType],
    formats: Sequence[int],
    values: Sequence[bytes | None],
    settings: Mapping[str, str],
) -> list[pa.Scalar | None]:
    """One scalar of the type's storage per value, None for null.

    Args:
        formats: none (all text), one for all, or one per value.

    Raises:
        PgError: as the type's input function (22P02, 22003, ...), 22P03 for malformed binary.
    """
    params: list[pa.Scalar | None] = []
    for i, (pg_type, value) in enumerate(zip(types, values, strict=True)):
        code = 0 if not formats else formats[0] if len(formats) == 1 else formats[i]
        try:
            params.append(None if value is None else pgcodec.decode_value(value, pg_type, code, settings))
        except PgError as error:
            error.fields.setdefault("W", f"unnamed portal parameter ${i + 1}")
            raise
    return params
