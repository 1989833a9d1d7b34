from typing import Any, Final

import pyarrow as pa

from laminar.types import PgType

class FormatSettings:
    date_style: Final[str]
    interval_style: Final[str]
    timezone: Final[str]
    extra_float_digits: Final[int]
    bytea_output: Final[str]
    now: Final[int]
    def __init__(
        self,
        date_style: str = ...,
        interval_style: str = ...,
        timezone: str = ...,
        extra_float_digits: int = ...,
        bytea_output: str = ...,
        now: int = ...,
    ) -> None: ...

def timezone_name(name: str) -> str | None: ...
def parse_text(strings: pa.StringArray, type: PgType, settings: FormatSettings | None = None) -> pa.Array[Any]: ...
def parse_one(text: str, type: PgType, settings: FormatSettings | None = None) -> Any: ...
def format_text(array: pa.Array[Any], type: PgType, settings: FormatSettings | None = None) -> pa.StringArray: ...
def encode_binary(array: pa.Array[Any], type: PgType) -> pa.BinaryArray: ...
def decode_binary(values: pa.BinaryArray, type: PgType) -> pa.Array[Any]: ...
