from collections.abc import Mapping, Sequence

import pyarrow as pa

from laminar.pgwire.backend import CopyOptions
from laminar.types import PgType

class Encoder:
    """Rows of batches, a chunk at a time: load a batch, encode until nothing remains."""

    @property
    def remaining(self) -> int: ...
    def load(self, batch: pa.RecordBatch) -> None: ...
    def encode(self, limit: int, enough: int) -> tuple[bytes, int]: ...

class RowEncoder(Encoder):
    """DataRow messages."""
    def __init__(self, types: Sequence[PgType], formats: Sequence[int], settings: Mapping[str, str]) -> None: ...

class CopyEncoder(Encoder):
    """CopyData messages of COPY TO STDOUT."""
    def __init__(
        self, types: Sequence[PgType], names: Sequence[str], options: CopyOptions, settings: Mapping[str, str]
    ) -> None: ...
    def header(self) -> bytes: ...
    def trailer(self) -> bytes: ...

def decode_value(value: bytes, pg_type: PgType, code: int, settings: Mapping[str, str]) -> pa.Scalar: ...
