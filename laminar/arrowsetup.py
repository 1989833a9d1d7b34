"""Settles Arrow's optional parts before they are needed."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from typing import Any


class _NoPandas(MetaPathFinder):
    """An import system without pandas."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is left out", name=fullname)


def leave_pandas_out() -> None:
    """Keep Arrow from importing pandas, should it be installed.

    ``pa.array`` of a numpy array asks whether its argument is a pandas object and imports pandas to
    find out: half a second and 60 MB in every process. Arrow asks once and remembers that it is not there.
    """
    if "pandas" in sys.modules:
        return
    import numpy as np
    import pyarrow as pa

    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array(np.zeros(1))
        pa.scalar(0)  # guessing a type asks once more
    finally:
        sys.meta_path.remove(finder)
