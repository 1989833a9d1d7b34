"""A server that dies at a given moment of a DDL statement, as a kill -9 would make it.

Usage: ddl_crash_child.py POINT ARGUMENTS-OF-LAMINAR...
POINT is ``installed`` (the engine has the view, the catalog not yet) or ``dropped`` (the catalog has
dropped it, the engine not yet).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from laminar.__main__ import main
from laminar.catalog.catalog import Catalog
from laminar.catalog.objects import StoredRelation
from laminar.engine.coordinator import Coordinator


def die_at(point: str) -> None:
    """Put the failpoint in."""
    create = Catalog.create

    def dying_create(self: Catalog, relation: StoredRelation) -> None:
        if relation.kind == "mview":
            os._exit(9)
        create(self, relation)

    async def dying_remove(self: Coordinator, dataflows: Sequence[int]) -> None:
        os._exit(9)

    if point == "installed":
        Catalog.create = dying_create  # type: ignore[method-assign]
    else:
        Coordinator.remove = dying_remove  # type: ignore[method-assign]


if __name__ == "__main__":
    die_at(sys.argv[1])
    sys.argv[1:] = sys.argv[2:]
    main()
