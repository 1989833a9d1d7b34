"""How far the creation of a view or sink has come, for laminar_catalog.ddl_progress."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from laminar.catalog.objects import StoredRelation


@dataclass(slots=True)
class Building:
    """A view or sink that is being created.

    Args:
        statement: its command tag.
        started: microseconds since 1970.
        done, total: rows of stored inputs that were sent, and in all (None: not known yet).
    """

    relation: StoredRelation
    statement: str
    started: int = field(default_factory=lambda: time.time_ns() // 1000)
    done: int = 0
    total: int | None = None

    def sent(self, done: int, total: int) -> None:
        """So many rows of stored inputs have been sent."""
        self.done, self.total = done, total
