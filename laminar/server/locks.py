"""Locks on tables, rows and numbers of the users' own (PostgreSQL, section 13.3).

Whoever finds a lock taken waits in line; a circle of sessions that wait for each other is found when it
closes (40P01). Locks end with the transaction, or ROLLBACK TO a savepoint before them; advisory locks may
be a session's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from laminar.errors import PgError

LOCK_NOT_AVAILABLE: Final = "55P03"
#: ("table", oid), ("row", oid, digest of its key) or ("advisory", database, number[, number])
Resource = tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class Mode:
    """``conflicts``: the numbers of the modes of the same kind that nobody else may hold."""

    number: int
    name: str
    conflicts: frozenset[int]

    @property
    def pg_name(self) -> str:
        """``RowExclusiveLock``: as pg_locks has it."""
        return self.name.title().replace(" ", "") + "Lock"


def _modes(*rows: tuple[str, str]) -> tuple[Mode, ...]:
    return tuple(Mode(i, name, frozenset(map(int, bad))) for i, (name, bad) in enumerate(rows))


#: of tables, weakest first, as LOCK TABLE names them
ACCESS_SHARE, ROW_SHARE, ROW_EXCLUSIVE, SHARE_UPDATE, SHARE, SHARE_ROW, EXCLUSIVE, ACCESS_EXCLUSIVE = _modes(
    ("access share", "7"), ("row share", "67"), ("row exclusive", "4567"),
    ("share update exclusive", "34567"), ("share", "23567"), ("share row exclusive", "234567"),
    ("exclusive", "1234567"), ("access exclusive", "01234567"),
)  # fmt: skip
TABLE_MODES: Final = {
    mode.name: mode
    for mode in (
        ACCESS_SHARE, ROW_SHARE, ROW_EXCLUSIVE, SHARE_UPDATE, SHARE, SHARE_ROW, EXCLUSIVE, ACCESS_EXCLUSIVE,
    )
}  # fmt: skip
#: of rows, weakest first, as SELECT … FOR names them
ROW_MODES: Final = {
    mode.name: mode
    for mode in _modes(("key share", "3"), ("share", "23"), ("no key update", "123"), ("update", "0123"))
}
ADVISORY_SHARE, ADVISORY_EXCLUSIVE = _modes(("share", "1"), ("exclusive", "01"))


class Holder:
    """What one session holds and waits for."""

    def __init__(self, locks: Locks, process_id: int) -> None:
        self._locks = locks
        self.process_id = process_id
        #: of its transaction, in the order in which they were taken
        self.transaction: dict[tuple[Resource, Mode], None] = {}
        #: of the session itself, and how often
        self.session: Counter[tuple[Resource, Mode]] = Counter()
        self.waiting: _Waiter | None = None

    def holds(self, resource: Resource, mode: Mode) -> bool:
        """Whether it holds the lock in this mode."""
        return (resource, mode) in self.transaction or (resource, mode) in self.session

    def held(self) -> Iterator[tuple[Resource, Mode]]:
        """All that it holds, each once."""
        yield from self.transaction
        yield from (key for key in self.session if key not in self.transaction)

    def take(self, resource: Resource, mode: Mode, *, session: bool = False) -> bool:
        """Take a lock if it is free."""
        if not self.holds(resource, mode):
            if not self._locks.free(resource, mode, self):
                return False
            self._locks.give(resource, mode, self)
        self._note(resource, mode, session)
        return True

    async def wait(
        self, resource: Resource, mode: Mode, timeout: float | None, *, session: bool = False
    ) -> None:
        """Wait for a lock, ``timeout`` seconds at most.

        Raises:
            PgError: 40P01, 55P03.
        """
        if not self.holds(resource, mode):
            await self._locks.wait(resource, mode, self, timeout)
        self._note(resource, mode, session)

    def _note(self, resource: Resource, mode: Mode, session: bool) -> None:
        if session:
            self.session[resource, mode] += 1
        else:
            self.transaction[resource, mode] = None

    @property
    def mark(self) -> int:
        """How many locks the transaction holds."""
        return len(self.transaction)

    def release_to(self, mark: int) -> None:
        """Let go of all of the transaction's locks but the first ``mark``."""
        while len(self.transaction) > mark:
            resource, mode = self.transaction.popitem()[0]
            self._let_go(resource, mode)

    def unlock(self, resource: Resource, mode: Mode) -> bool:
        """Let go of a lock of the session, once; whether there was one."""
        key = resource, mode
        if key not in self.session:
            return False
        self.session[key] -= 1
        if not self.session[key]:
            del self.session[key]
            self._let_go(*key)
        return True

    def release_session(self) -> None:
        """Let go of the session's locks."""
        keys, self.session = list(self.session), Counter()
        for key in keys:
            self._let_go(*key)

    def _let_go(self, resource: Resource, mode: Mode) -> None:
        if not self.holds(resource, mode):
            self._locks.take_back(resource, mode, self)


@dataclass(eq=False, slots=True)
class _Waiter:
    holder: Holder
    resource: Resource
    mode: Mode
    granted: asyncio.Future[None]


class Locks:
    """All locks of the server. For the event loop's thread alone."""

    def __init__(self) -> None:
        self._held: dict[Resource, dict[Holder, list[Mode]]] = {}
        self._lines: dict[Resource, list[_Waiter]] = {}
        #: locked rows by table
        self.rows: Counter[Hashable] = Counter()

    def free(self, resource: Resource, mode: Mode, holder: Holder) -> bool:
        """Whether nobody else holds or, earlier, waits for what conflicts."""
        return not self._blockers(resource, mode, holder, self._lines.get(resource, ()))

    def _blockers(
        self, resource: Resource, mode: Mode, holder: Holder, ahead: Sequence[_Waiter]
    ) -> list[Holder]:
        """Who keeps a holder from a lock; who holds the resource already does not stand in line."""
        held = self._held.get(resource, {})
        found = [
            other
            for other, modes in held.items()
            if other is not holder and any(m.number in mode.conflicts for m in modes)
        ]
        if holder not in held:
            found += [w.holder for w in ahead if w.mode.number in mode.conflicts and w.holder is not holder]
        return found

    def give(self, resource: Resource, mode: Mode, holder: Holder) -> None:
        """Note that it holds the lock."""
        self._held.setdefault(resource, {}).setdefault(holder, []).append(mode)
        if resource[0] == "row":
            self.rows[resource[1]] += 1

    def take_back(self, resource: Resource, mode: Mode, holder: Holder) -> None:
        """It holds the lock no longer."""
        holders = self._held[resource]
        holders[holder].remove(mode)
        if not holders[holder]:
            del holders[holder]
        if not holders:
            del self._held[resource]
        if resource[0] == "row":
            self.rows[resource[1]] -= 1
            if not self.rows[resource[1]]:
                del self.rows[resource[1]]
        self._wake(resource)

    async def wait(self, resource: Resource, mode: Mode, holder: Holder, timeout: float | None) -> None:
        """Stand in line. See :meth:`Holder.wait`."""
        if self.free(resource, mode, holder):
            self.give(resource, mode, holder)
            return
        waiter = _Waiter(holder, resource, mode, asyncio.get_running_loop().create_future())
        self._lines.setdefault(resource, []).append(waiter)
        holder.waiting = waiter
        try:
            self._check_deadlock(waiter)
            async with asyncio.timeout(timeout):
                await waiter.granted
        except BaseException as error:
            if waiter.granted.done() and not waiter.granted.cancelled():
                self.take_back(resource, mode, holder)
            if isinstance(error, TimeoutError):
                text = "canceling statement due to lock timeout"
                raise PgError(LOCK_NOT_AVAILABLE, text) from None
            raise
        finally:
            holder.waiting = None
            self._leave(waiter)

    def _leave(self, waiter: _Waiter) -> None:
        line = self._lines.get(waiter.resource)
        if line is None or waiter not in line:
            return
        line.remove(waiter)
        if not line:
            del self._lines[waiter.resource]
        self._wake(waiter.resource)

    def _wake(self, resource: Resource) -> None:
        """Give the lock to those whose turn it is."""
        for waiter in list(self._lines.get(resource, ())):
            line = self._lines[resource]
            ahead = line[: line.index(waiter)]
            if waiter.granted.done():
                continue  # its statement was cancelled: it is about to leave
            if not self._blockers(resource, waiter.mode, waiter.holder, ahead):
                self.give(resource, waiter.mode, waiter.holder)
                line.remove(waiter)
                waiter.granted.set_result(None)
                if not line:
                    del self._lines[resource]

    # --- deadlocks

    def _check_deadlock(self, waiter: _Waiter) -> None:
        """Raise 40P01 if somebody whom the new waiter waits for waits for it."""
        circle = self._circle(waiter, waiter.holder, set())
        if circle is None:
            return
        lines = [
            f"Process {w.holder.process_id} waits for {_lock_name(w)}; blocked by process {b.process_id}."
            for w, b in circle
        ]
        raise PgError(
            "40P01", "deadlock detected", detail="\n".join(lines), hint="See server log for query details."
        )

    def _circle(
        self, waiter: _Waiter, start: Holder, seen: set[Holder]
    ) -> list[tuple[_Waiter, Holder]] | None:
        """The chain of waiters and whom they wait for that leads back to ``start``."""
        for blocker in self._blocking(waiter):
            if blocker is start:
                return [(waiter, blocker)]
            if blocker in seen or blocker.waiting is None:
                continue
            seen.add(blocker)
            rest = self._circle(blocker.waiting, start, seen)
            if rest is not None:
                return [(waiter, blocker), *rest]
        return None

    def _blocking(self, waiter: _Waiter) -> list[Holder]:
        line = self._lines.get(waiter.resource, [])
        ahead = line[: line.index(waiter)] if waiter in line else []
        return self._blockers(waiter.resource, waiter.mode, waiter.holder, ahead)

    def blocking(self, process_id: int) -> list[int]:
        """Process ids of the sessions that one waits for."""
        lines = list(self._lines.values())
        waiters = [one for line in lines for one in line if one.holder.process_id == process_id]
        return sorted({holder.process_id for waiter in waiters for holder in self._blocking(waiter)})

    def all(self) -> Iterator[tuple[Resource, Mode, Holder, bool]]:
        """Every lock that is held (True) or waited for (False)."""
        for resource, holders in self._held.items():
            yield from ((resource, mode, holder, True) for holder, modes in holders.items() for mode in modes)
        for resource, line in self._lines.items():
            yield from ((resource, waiter.mode, waiter.holder, False) for waiter in line)


def _lock_name(waiter: _Waiter) -> str:
    kind, *rest = waiter.resource
    where: Any = f"relation {rest[0]}"
    if kind == "row":
        where = f"a row of relation {rest[0]}"
    elif kind == "advisory":
        where = f"advisory lock [{','.join(map(str, rest))}]"
    return f"{waiter.mode.pg_name} on {where}"
