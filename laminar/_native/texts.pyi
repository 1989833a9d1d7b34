from collections.abc import Mapping
from typing import Any

class TextKernel:
    """A strict text function, called as ``kernel(env, *columns)``.

    Args:
        name: the function in texts.hpp.
        result: ``t`` text, ``i`` integer, ``b`` boolean.
        errors: (SQLSTATE, message) that replace the usual ones of an error number.

    Columns are string and integer arrays, scalars or Constants. Text arguments reach the
    function in their order, integers in theirs.

    Raises:
        PgError: what the function finds wrong with a row.
        KeyError: no such function.
    """

    def __init__(
        self, name: str, result: str = "t", errors: Mapping[int, tuple[str, str]] | None = None
    ) -> None: ...
    def __call__(self, env: object, *columns: Any) -> Any: ...
