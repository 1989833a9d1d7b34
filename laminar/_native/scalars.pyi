from typing import Any

import pyarrow as pa

class Constant:
    """A scalar in the form native kernels read: one value that stands for every row."""

    scalar: pa.Scalar[Any]
    def __init__(self, scalar: pa.Scalar[Any]) -> None: ...

class Binary:
    """One operator on two integer or two float columns; called as ``kernel(env, left, right)``.

    ``op`` is one of ``+ - * / %`` (result of the wider type) or ``= ! < > l g``
    (boolean: equal, not equal, less, greater, less or equal, greater or equal).
    Operands are arrays, scalars or :class:`Constant`; the result is a scalar if both are.

    Raises:
        PgError: 22003 out of range, 22012 division by zero, of a row where neither is null.
        TypeError: no such operator for these types.
    """

    type: pa.DataType
    def __init__(self, op: str, left: pa.DataType, right: pa.DataType) -> None: ...
    def __call__(self, env: object, left: Any, right: Any) -> Any: ...

class Math:
    """A function of maths.hpp over one or two float8 columns, called as ``kernel(env, x[, y])``.

    Raises:
        PgError: 22003, 2201E, 2201F as PostgreSQL does for the function.
        KeyError: no such function.
    """

    def __init__(self, name: str) -> None: ...
    def __call__(self, env: object, x: Any, y: Any = None) -> Any: ...
