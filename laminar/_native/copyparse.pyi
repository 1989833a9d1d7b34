from collections.abc import Sequence

import pyarrow as pa

from laminar._native.textio import FormatSettings
from laminar.pgwire.backend import CopyOptions
from laminar.types import PgType

class CopyParser:
    def __init__(
        self,
        relation: str,
        names: Sequence[str],
        types: Sequence[PgType],
        options: CopyOptions,
        settings: FormatSettings,
        max_row: int = ...,
    ) -> None: ...
    @property
    def ready(self) -> int: ...
    def feed(self, data: bytes) -> None: ...
    def parse(self, rows: int, size: int, last: bool = False) -> bool: ...
    def place_row(self, row: int, shown: bool) -> str: ...
    def take(self) -> pa.RecordBatch: ...

def gather(buffer: bytearray, limit: int) -> tuple[bytes, int]: ...
