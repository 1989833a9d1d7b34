from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from laminar._native.textio import FormatSettings
from laminar.types import PgType

SYMBOLS: Final[frozenset[str]]

class Kernel:
    type: Final[pa.DataType]
    symbol: Final[str]
    def __init__(self, symbol: str, args: Sequence[PgType], result: PgType) -> None: ...
    def __call__(
        self, columns: Sequence[Any], settings: FormatSettings | None = None, rows: int | None = None
    ) -> pa.Array[Any]: ...
