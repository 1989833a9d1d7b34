"""Plans of statements that come again and again, shared by all sessions.

A plan depends on the statement's text, the types given for its parameters, the names in view (search path,
role and catalog) and the settings under which its literals are read: these are the key. Privileges on
relations are no part of a plan; every action made from one checks them again.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from laminar.server.session import Session
    from laminar.server.statements.base import Action
    from laminar.sql.statements import Statement

PlanKey: TypeAlias = tuple[Any, ...]

_MAX_PLANS: Final = 1000
#: longer texts (INSERTs of many rows) are hardly ever the same again
_MAX_TEXT: Final = 8192
_MAX_SEEN: Final = 4000
#: literals that mean the time at which they are read
_CLOCK: Final = re.compile(r"\b(now|today|tomorrow|yesterday)\b(?!\s*\()", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SharedPlan:
    """A parsed statement and what makes its action for a session."""

    statement: Statement
    action: Callable[[Session], Action]


class PlanCache:
    """The plans used last. A statement's plan is kept from the second time on that its text comes."""

    def __init__(self) -> None:
        self._plans: OrderedDict[PlanKey, SharedPlan] = OrderedDict()
        self._seen: OrderedDict[int, None] = OrderedDict()

    def get(self, key: PlanKey) -> SharedPlan | None:
        """The plan under that key, or None."""
        found = self._plans.get(key)
        if found is not None:
            self._plans.move_to_end(key)
        return found

    def offer(self, key: PlanKey, statement: Statement, action: Callable[[Session], Action] | None) -> None:
        """Keep a plan that was just made, if it is worth it."""
        text = key[0]
        if action is None or len(text) > _MAX_TEXT or _CLOCK.search(text):
            return
        if not self.again(key):
            return
        self._plans[key] = SharedPlan(statement, action)
        if len(self._plans) > _MAX_PLANS:
            self._plans.popitem(last=False)

    def again(self, key: Hashable) -> bool:
        """Whether this was asked about the same key before, not too long ago."""
        number = hash(key)
        if number in self._seen:
            return True
        self._seen[number] = None
        if len(self._seen) > _MAX_SEEN:
            self._seen.popitem(last=False)
        return False
