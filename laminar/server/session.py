"""One client's session: settings, transaction, prepared statements, cancellation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pyarrow as pa

from laminar._native.textio import decode_binary
from laminar.catalog.objects import Role, StoredRelation
from laminar.errors import (
    IN_FAILED_SQL_TRANSACTION,
    INSUFFICIENT_PRIVILEGE,
    INTERNAL_ERROR,
    QUERY_CANCELED,
    UNDEFINED_PARAMETER,
    PgError,
    not_supported,
)
from laminar.pgwire.backend import Client, Field, Result
from laminar.pgwire.settings import input_settings, output_settings
from laminar.server import guc, privileges, shortcuts, temporary
from laminar.server.catalog_view import SessionCatalog
from laminar.server.commit import PendingCommit
from laminar.server.locks import Holder
from laminar.server.notifications import MAX_WAITING
from laminar.server.random import SessionRandom
from laminar.server.sequences import SessionSequences
from laminar.server.transaction import Transaction
from laminar.sql.evaluator import Env, rowtext
from laminar.sql.evaluator.conversions import through_text
from laminar.sql.lexer import tokenize
from laminar.sql.parse import parse, split
from laminar.sql.resolve.session import reading_literals
from laminar.sql.statements import Commit, Rollback, RollbackTo, Statement
from laminar.types import TEXT, PgType

if TYPE_CHECKING:
    from laminar.engine.serving import EpochView
    from laminar.server.database import Database
    from laminar.server.plancache import PlanKey
    from laminar.server.rowwrites import RowWrite
    from laminar.server.shortcuts import Shortcut
    from laminar.server.statements.base import Action
    from laminar.sql.catalog_view import Access

T = TypeVar("T")


@dataclass(slots=True)
class PreparedStatement:
    """A statement ready to run; bound again when the catalog has changed since."""

    sql: str
    statement: Statement
    action: Action
    version: int
    #: whose privileges have been checked
    role: str
    #: where its names were found (SET search_path)
    path: str
    asked_types: Sequence[int]
    _shortcut: Shortcut | RowWrite | None = None
    #: the action that the shortcut is for
    _shortcut_action: Action | None = None

    @property
    def shortcut(self) -> Shortcut | RowWrite | None:
        """The statement as a look-up by key or a write of one row, if it is one."""
        known = self._shortcut
        if self._shortcut_action is not self.action or (known is not None and known.stale):
            session = self.action.session
            if not session.is_current(self):
                return None  # running it binds it again
            known = self._shortcut = shortcuts.shortcut_of(session, self)
            self._shortcut_action = self.action
        return known

    @property
    def param_types(self) -> Sequence[PgType]:
        return self.action.param_types

    @property
    def fields(self) -> Sequence[Field] | None:
        return self.action.described()


class Session:
    """pgwire's Backend."""

    def __init__(self, database: Database, role: Role, client: Client) -> None:
        self.database = database
        self.client = client
        self.loop = asyncio.get_running_loop()
        #: who logged in
        self.authenticated = role.name
        self.settings = guc.defaults(database.setting_defaults | role.settings)
        self.settings["session_authorization"] = role.name
        self.note_role()
        #: values to go back to when the transaction of SET rolls back
        self.local_settings: dict[str, str] = {}
        self.transaction: Transaction | None = None
        self.catalog = SessionCatalog(database, self)
        self.sequences = SessionSequences(self)
        self.random = SessionRandom()
        self._lifted = shortcuts.LiftedQueries(self)
        #: the schema of its temporary tables, once it has some
        self.temp_schema: str | None = None
        self.locks = Holder(database.instance.locks, client.process_id)
        #: the epoch that holds this session's newest commit
        self.committed_epoch = 0
        self._running: asyncio.Task[Any] | None = None
        self._cancelled = False
        #: the statement that runs is a transaction of its own
        self._alone = False
        #: notifications that wait for the end of the transaction; None while they may be sent at once
        self._waiting: list[tuple[int, str, str]] | None = []
        self._idle_timer: asyncio.TimerHandle | None = None

    # --- protocol: settings and state -----------------------------------------------

    def apply_startup(self, options: dict[str, str]) -> None:
        """Settings that came with the start-up packet; unknown ones are refused."""
        for name, value in options.items():
            setting = guc.find(name)
            if setting.read_only:
                continue
            if setting.name in ("role", "session_authorization"):
                raise PgError(
                    "55P02", f'parameter "{setting.name}" cannot be set at start-up', severity="FATAL"
                )
            guc.check_changeable(setting, self.role.superuser)
            self.settings[setting.name] = setting.check(value)

    @property
    def transaction_status(self) -> Literal["I", "T", "E"]:
        if self.transaction is None or not self.transaction.block:
            return "I"
        return "E" if self.transaction.failed else "T"

    @property
    def search_path(self) -> tuple[str, ...]:
        """Schemas to look in, as SET search_path gave them."""
        return guc.split_path(self.settings["search_path"], self.role.name)

    # --- who it is ------------------------------------------------------------------

    @property
    def role(self) -> Role:
        """The role whose privileges count: SET ROLE's, or the session's user."""
        name = self.settings["role"]
        if name == "none":
            name = self.settings["session_authorization"]
        return self.database.catalog.roles.get(name) or Role(name, login=False)

    def named_role(self, name: str) -> str:
        """A role as statements name it: current_user and the like are somebody."""
        if name in ("current_user", "current_role"):
            return self.role.name
        return self.settings["session_authorization"] if name == "session_user" else name

    def note_role(self) -> None:
        """The role may have changed: what depends on it."""
        self.settings["is_superuser"] = "on" if self.role.superuser else "off"

    def check_access(self, relation: StoredRelation, privilege: str = "SELECT") -> None:
        """Raise 42501 unless the session's role has the privilege."""
        privileges.check_relation(self.database.catalog, self.role.name, relation, privilege)

    def check_owner(self, relation: StoredRelation) -> None:
        """Raise 42501 unless the session's role may change the relation."""
        privileges.check_owner(self.database.catalog, self.role.name, relation)

    def check_schema_owner(self, schema: str) -> None:
        """Raise 42501 unless the session's role may drop or change the schema."""
        catalog = self.database.catalog
        if not privileges.owns(catalog, self.role.name, catalog.schemas[schema].owner):
            raise PgError(INSUFFICIENT_PRIVILEGE, f"must be owner of schema {schema}")

    def check_accesses(self, accesses: Iterable[Access], *, streaming: bool = False) -> None:
        """Raise 42501 unless the role may do all that; what a view reads, its owner must be allowed to.

        Unless it is for changes (``streaming``), 0A000 for streams, which keep no rows.
        """
        relations = self.database.catalog.relations
        privileges.check_accesses(self.database.catalog, self.role.name, accesses)
        for access in accesses if not streaming else ():
            if access.relation in relations and relations[access.relation].kind == "stream":
                raise not_supported(
                    f'stream "{relations[access.relation].name}" keeps no rows to read',
                    hint="SUBSCRIBE to it, or create a materialized view or a sink of it.",
                )

    def split(self, script: str) -> list[str]:
        return split(script)

    # --- protocol: statements ---------------------------------------------------------

    async def prepare(self, sql: str, param_types: Sequence[int]) -> PreparedStatement:
        return await self._guard(self._prepare(sql, param_types))

    async def _prepare(self, sql: str, param_types: Sequence[int]) -> PreparedStatement:
        return self.prepare_now(sql, param_types)

    def lifted(self, sql: bytes) -> tuple[Shortcut | RowWrite, Sequence[bytes | None]] | None:
        return self._lifted.find(sql)

    def prepare_now(self, sql: str, param_types: Sequence[int]) -> PreparedStatement:
        """Parse and bind, or take the plan that there is."""
        from laminar.server.statements import action_for

        cache, key = self.database.plans_cache, self._plan_key(sql, param_types)
        shared = cache.get(key)
        # DDL by another session while this binds would be bound against half old, half new names.
        version = self.database.catalog.version
        if shared is not None:
            statement = shared.statement
            self._refuse_in_failed(statement)
            action = shared.action(self)
        else:
            statement = parse(sql)
            self._refuse_in_failed(statement)
            with reading_literals(input_settings(self.settings)):
                action = action_for(self, statement, sql, param_types)
            cache.offer(key, statement, action.shared())
        path = self.settings["search_path"]
        return PreparedStatement(sql, statement, action, version, self.role.name, path, param_types)

    def _plan_key(self, sql: str, param_types: Sequence[int]) -> PlanKey:
        """Everything that a statement's plan depends on."""
        settings = self.settings
        return (
            sql,
            tuple(param_types),
            self.database.catalog.version,
            # schemas that the role may not look into are not searched
            self.role.name,
            self.search_path,
            self.temp_schema,
            settings["TimeZone"],
            settings["DateStyle"],
            settings["IntervalStyle"],
        )

    async def current(self, prepared: PreparedStatement) -> PreparedStatement:
        """The statement as the catalog is now."""
        if self.is_current(prepared):
            return prepared
        again = await self.prepare(prepared.sql, prepared.asked_types)
        prepared.action, prepared.version = again.action, again.version
        prepared.role, prepared.path = again.role, again.path
        return prepared

    def is_current(self, prepared: PreparedStatement) -> bool:
        """Whether its names still mean what they meant when it was bound, to the same role."""
        return (
            prepared.version == self.database.catalog.version
            and prepared.role == self.role.name
            and prepared.path == self.settings["search_path"]
        )

    async def execute(self, prepared: Any, params: Sequence[pa.Scalar | None]) -> Result:
        self._refuse_in_failed(prepared.statement)
        prepared = await self.current(prepared)
        if len(params) < len(prepared.param_types):
            raise _no_parameter(prepared.sql)
        result: Result = await self._guard(self._execute(prepared.action, params))
        if result.rows is not None:
            result.rows = self.cancellable(result.rows)
        return result

    async def _execute(self, action: Action, params: Sequence[pa.Scalar | None]) -> Result:
        alone = self._alone = self.transaction is None
        if alone and action.starts_transaction:
            self.transaction = Transaction(block=False, started=_now())
        try:
            result = await action.run(params)
        except BaseException:
            self._abandon(alone)
            raise
        # COPY FROM goes on after this: its sink commits.
        if alone and result.copy_in is None and self.transaction is not None and not self.transaction.block:
            await self.commit()
        return result

    async def finish_statement(self) -> None:
        """A statement that went on after ``execute`` (COPY FROM) is done: commit unless more is to come."""
        if self._alone and self.transaction is not None and not self.transaction.block:
            await self.commit()

    def abandon_statement(self) -> None:
        """It failed."""
        self._abandon(self._alone)

    def _abandon(self, alone: bool) -> None:
        """Forget the transaction of a statement of its own."""
        if alone and self.transaction is not None and not self.transaction.block:
            self._end(self.transaction)
            self.transaction = None

    def _end(self, transaction: Transaction) -> None:
        """A transaction is over, one way or the other."""
        transaction.release_turn()
        self.locks.release_to(0)
        self.settings.update(transaction.until_end)
        self.note_role()

    def _refuse_in_failed(self, statement: Statement) -> None:
        if self.transaction_status != "E" or isinstance(statement, Commit | Rollback | RollbackTo):
            return
        raise PgError(
            IN_FAILED_SQL_TRANSACTION,
            "current transaction is aborted, commands ignored until end of transaction block",
        )

    def wire_form(self, pg_type: PgType, values: pa.Array, text: bool) -> pa.Array:
        """What regclass, rows and the like are sent as."""
        if not text:
            return rowtext.send(values, pg_type)
        result: pa.Array = through_text(pg_type, PgType(TEXT))(self.env(), values)
        return result

    def read_value(self, pg_type: PgType, value: bytes, text: bool) -> pa.Scalar:
        """A parameter of a row type or a user's type."""
        if not text:
            return rowtext.receive(value, pg_type)
        texts = decode_binary(pa.array([value], pa.binary()), PgType(TEXT))
        result: pa.Scalar = through_text(PgType(TEXT), pg_type)(self.env(), texts)[0]
        return result

    # --- protocol: transactions -------------------------------------------------------

    async def begin_implicit(self, script: bool = False) -> None:
        if self.transaction is None:
            self.transaction = Transaction(block=False, started=_now(), script=script)

    async def sync(self) -> None:
        if self.transaction is not None and not self.transaction.block:
            if self.transaction.failed:
                await self.rollback()
            else:
                await self.commit()

    def fail(self) -> None:
        if self.transaction is not None:
            self.transaction.failed = True

    async def commit(self) -> None:
        """Make the transaction's changes durable; raises without having changed anything."""
        if self.transaction is not None:
            await self.client.portals.persist()
        transaction, self.transaction = self.transaction, None
        self.local_settings.clear()
        if transaction is None:
            return
        try:
            await self._commit(transaction)
            if transaction.definitions is not None:
                await transaction.definitions.commit()
        except BaseException:
            await self._take_back(transaction)
            raise
        finally:
            self._end(transaction)
            await self.client.portals.end_transaction()
        if transaction.notifications.asked:
            self.database.channels.commit(self, transaction.notifications)

    async def _take_back(self, transaction: Transaction) -> None:
        """Undo the transaction's DDL, unless it is durable."""
        definitions, transaction.definitions = transaction.definitions, None
        if definitions is not None and self.database.definitions is definitions:
            await asyncio.shield(definitions.rollback())

    async def _commit(self, transaction: Transaction) -> None:
        if not transaction.changes:
            return
        durable = self.settings["synchronous_commit"] != "off"
        commit = transaction.pending
        if commit is None or commit.covers != len(transaction.changes):
            commit = PendingCommit(self.database, transaction)
        if transaction.definitions is None:
            commit.holder = self.locks
        # Not cancellable: once accepted, the client must not be told that it was not.
        accepting = asyncio.ensure_future(self.database.coordinator.commit(commit.changes, durable, commit))
        self.database.committing.add(commit)
        accepting.add_done_callback(lambda _: self.database.committing.discard(commit))
        epoch = await asyncio.shield(accepting)
        self.committed_epoch = max(self.committed_epoch, epoch)

    async def rollback(self) -> None:
        """Forget the transaction's changes and take back its SETs."""
        transaction, self.transaction = self.transaction, None
        if transaction is not None:
            self._end(transaction)
            await self._take_back(transaction)
            await self.client.portals.end_transaction()
        self.settings.update(self.local_settings)
        self.local_settings.clear()
        self.note_role()

    async def view(self, reads: Collection[int] = ()) -> EpochView:
        """The epoch that the next read sees: the transaction's, or the newest that has this session's
        commits (SET read_your_writes), in ``reads`` also behind joins with lookup tables."""
        transaction = self.transaction
        if transaction is not None and transaction.view is not None:
            return transaction.view
        coordinator = self.database.coordinator
        if self.settings["read_your_writes"] == "on":
            await coordinator.wait_published(self.committed_epoch, None)
            if self.committed_epoch:
                await coordinator.settled(self.committed_epoch, reads)
        view = coordinator.read()
        if transaction is not None and transaction.block:
            transaction.view = view
        return view

    def see_accepted(self) -> None:
        """Reads from now on see what others were told to be there, as who takes a lock expects."""
        self.committed_epoch = max(self.committed_epoch, *self.database.coordinator.pending, 0)

    def reading_settings(self) -> dict[str, str]:
        """The settings that decide what a literal's text means."""
        return {name: self.settings[name] for name in ("TimeZone", "DateStyle", "IntervalStyle")}

    def now(self) -> int:
        """now() of the transaction, or of a statement outside one; microseconds since 1970."""
        return self.transaction.started if self.transaction is not None else _now()

    def env(self, params: Sequence[pa.Scalar | None] = ()) -> Env:
        """What expressions may ask for: the time, the zone, the parameters, who is asking."""
        return Env(
            now=self.now(),
            timezone=self.settings["TimeZone"],
            params=tuple(params),
            settings=output_settings(self.settings),
            user=self.role.name,
            database=self.database.name,
            session_user=self.settings["session_authorization"],
            search_path=self.search_path,
            backend_pid=self.client.process_id,
            catalog=self.catalog,
        )

    @property
    def at_rest(self) -> bool:
        """Whether a statement that comes now is the only one: no transaction, nothing that runs, no time-out
        that it would have to stop."""
        return self.transaction is None and self._running is None and self._idle_timer is None

    # --- between statements -----------------------------------------------------------

    def idle(self) -> None:
        self._stop_idle_timer()
        in_transaction = self.transaction_status != "I"
        if not in_transaction:
            waiting, self._waiting = self._waiting or (), None
            for notification in waiting:
                self.client.notify(*notification)
        name = "idle_in_transaction_session_timeout" if in_transaction else "idle_session_timeout"
        limit = guc.milliseconds(name, self.settings[name])
        if limit:
            error = PgError("25P03", "terminating connection due to idle-in-transaction timeout")
            if not in_transaction:
                error = PgError("57P05", "terminating connection due to idle-session timeout")
            loop = asyncio.get_running_loop()
            self._idle_timer = loop.call_later(limit / 1000, self.client.terminate, error)

    def busy(self) -> None:
        self._stop_idle_timer()
        if self._waiting is None:
            self._waiting = []

    def _stop_idle_timer(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def notified(self, process_id: int, channel: str, payload: str) -> None:
        """Somebody's NOTIFY: told now, or when the session's transaction is over."""
        if self._waiting is None:
            self.client.notify(process_id, channel, payload)
        elif len(self._waiting) < MAX_WAITING:
            self._waiting.append((process_id, channel, payload))
        else:
            self.client.terminate(
                PgError("53400", "too many notifications wait for the end of a transaction")
            )

    # --- cancellation -----------------------------------------------------------------

    def cancel(self) -> None:
        if self._running is not None:
            self._cancelled = True
            self._running.cancel()

    async def close(self) -> None:
        self.cancel()
        self._stop_idle_timer()
        self.database.channels.forget(self)
        if self.transaction is not None:
            self._end(self.transaction)
            await self._take_back(self.transaction)
            self.transaction = None
        self.locks.release_session()
        self.database.sessions.discard(self)
        if self.temp_schema is not None:
            await temporary.drop_schema(self.database, self.temp_schema)

    async def _guard(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` so that cancel() and statement_timeout end it with 57014."""
        if self._running is not None:
            return await work
        limit = guc.milliseconds("statement_timeout", self.settings["statement_timeout"])
        task = self._running = asyncio.ensure_future(work)
        self._cancelled = False
        try:
            done, _ = await asyncio.wait((task,), timeout=limit / 1000 if limit else None)
            if not done:
                task.cancel()
                await asyncio.wait((task,))
                raise PgError(QUERY_CANCELED, "canceling statement due to statement timeout")
            return task.result()
        except asyncio.CancelledError:
            if not self._cancelled:
                task.cancel()
                raise
            raise PgError(QUERY_CANCELED, "canceling statement due to user request") from None
        except PgError:
            raise
        except Exception as error:
            self.database.log.exception("statement failed", error=repr(error))
            raise PgError(INTERNAL_ERROR, f"internal error: {error}") from error
        finally:
            self._running = None

    async def cancellable(self, rows: AsyncIterator[pa.RecordBatch]) -> AsyncIterator[pa.RecordBatch]:
        """Rows whose every batch can be cancelled."""
        while True:
            batch = await self._guard(_next(rows))
            if batch is None:
                return
            yield batch


async def _next(rows: AsyncIterator[pa.RecordBatch]) -> pa.RecordBatch | None:
    return await anext(rows, None)


def _no_parameter(sql: str) -> PgError:
    """A simple query with a parameter."""
    token = next(token for token in tokenize(sql)[0] if token.kind == "PARAM")
    return PgError(UNDEFINED_PARAMETER, f"there is no parameter ${token.value}", position=token.start + 1)


def _now() -> int:
    return time.time_ns() // 1000
