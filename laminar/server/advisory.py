"""Advisory locks: numbers that sessions of a database lock (PostgreSQL, section 9.27.10)."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final

from laminar.errors import QUERY_CANCELED, PgError
from laminar.server import guc
from laminar.server.locks import ADVISORY_EXCLUSIVE, ADVISORY_SHARE, Mode, Resource

if TYPE_CHECKING:
    from laminar.server.session import Session

#: seconds after which a waiting thread looks whether its query was cancelled
_LOOK: Final = 0.1


def call(session: Session, name: str, keys: Sequence[int], cancelled: threading.Event | None) -> bool:
    """One of the functions, called by any thread: whether a lock was taken or let go.

    Raises:
        PgError: 40P01, 55P03; 57014 when ``cancelled``; 0A000 where it would have to wait and cannot.
    """
    mode = ADVISORY_SHARE if name.endswith("_shared") else ADVISORY_EXCLUSIVE
    resource = ("advisory", session.database.catalog.oid, *keys)
    if name.startswith("pg_advisory_unlock"):
        return _in_loop(session, _unlock(session, name, resource, mode), None)
    mine = "_xact_" not in name
    if not name.startswith("pg_try_"):
        return _in_loop(session, _lock(session, resource, mode, mine), cancelled)
    return _in_loop(session, _try(session, resource, mode, mine), None)


async def _unlock(session: Session, name: str, resource: Resource, mode: Mode) -> bool:
    if name == "pg_advisory_unlock_all":
        session.locks.release_session()
        return True
    return session.locks.unlock(resource, mode)


async def _try(session: Session, resource: Resource, mode: Mode, mine: bool) -> bool:
    mark = session.locks.mark
    taken = session.locks.take(resource, mode, session=mine)
    if taken:
        _taken(session, mark)
    return taken


async def _lock(session: Session, resource: Resource, mode: Mode, mine: bool) -> bool:
    mark = session.locks.mark
    if not session.locks.take(resource, mode, session=mine):
        limit = guc.milliseconds("lock_timeout", session.settings["lock_timeout"])
        await session.locks.wait(resource, mode, limit / 1000 if limit else None, session=mine)
    _taken(session, mark)
    return True


def _taken(session: Session, mark: int) -> None:
    session.see_accepted()
    if session.transaction is None:
        session.locks.release_to(mark)  # a query of its own ends with its transaction's locks


def _in_loop(session: Session, work: Coroutine[Any, Any, bool], cancelled: threading.Event | None) -> bool:
    """Run in the event loop's thread, which may be this one: there it must be done at once."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _awaited(asyncio.run_coroutine_threadsafe(work, session.loop), cancelled)
    try:
        work.send(None)
    except StopIteration as done:
        return bool(done.value)
    work.close()
    raise PgError(
        "0A000", "this query cannot wait for a lock", hint="Call the function in a SELECT of its own."
    )


def _awaited(future: concurrent.futures.Future[bool], cancelled: threading.Event | None) -> bool:
    while True:
        try:
            return future.result(_LOOK)
        except concurrent.futures.TimeoutError:
            if cancelled is not None and cancelled.is_set():
                future.cancel()
                raise PgError(QUERY_CANCELED, "canceling statement due to user request") from None
