"""Statements bound into actions, one module per family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from laminar.errors import not_supported
from laminar.server.statements.base import Action
from laminar.sql import statements as s

if TYPE_CHECKING:
    from laminar.server.session import Session

_TRANSACTION = (
    s.Begin,
    s.Commit,
    s.Rollback,
    s.Savepoint,
    s.Release,
    s.RollbackTo,
    s.SetTransaction,
)


def action_for(session: Session, statement: s.Statement, sql: str, param_types: Sequence[int]) -> Action:
    """Bind a statement for a session; raises PgError with position."""
    from laminar.server.statements import (
        alter,
        alterdomain,
        comments,
        copy,
        create,
        cursors,
        databases,
        drop,
        explain,
        functions,
        grants,
        indexes,
        lookups,
        maintenance,
        merge,
        modifying,
        notifications,
        pausing,
        plainviews,
        prepared,
        roles,
        sequences,
        settings,
        show,
        subscribe,
        tableas,
        transactions,
        usertypes,
        views,
        writes,
    )

    if isinstance(statement, _TRANSACTION):
        return transactions.TransactionAction(session, statement)
    match statement:
        case s.Query():
            return modifying.query_action(session, statement.query, param_types)
        case s.Insert() | s.Update() | s.Delete():
            return modifying.write_action(session, statement, param_types)
        case s.Merge():
            return merge.MergeAction.merging(session, statement, param_types)
        case s.Truncate():
            return writes.TruncateAction(session, statement)
        case s.Copy():
            return copy.copy_action(session, statement)
        case s.Subscribe():
            return subscribe.SubscribeAction(session, statement)
        case s.CreateTable() if statement.query is not None:
            return tableas.CreateTableAsAction(session, statement, param_types)
        case s.CommentOn():
            return comments.CommentAction(session, statement)
        case s.CreateTable() | s.CreateSource():
            return create.CreateRelationAction(session, statement, sql)
        case s.CreateLookupTable():
            return lookups.CreateLookupTableAction(session, statement, sql)
        case s.CreateMaterializedView() | s.CreateStream():
            return views.CreateMaterializedViewAction(session, statement, sql)
        case s.CreateView():
            return plainviews.CreateViewAction(session, statement, sql)
        case s.CreateSink():
            return views.CreateSinkAction(session, statement, sql)
        case s.CreateSequence():
            return sequences.CreateSequenceAction(session, statement)
        case s.CreateIndex():
            return indexes.CreateIndexAction(session, statement)
        case s.CreateSchema():
            return create.CreateSchemaAction(session, statement)
        case s.CreateFunction():
            return functions.CreateFunctionAction(session, statement, sql)
        case s.CreateType():
            return usertypes.CreateTypeAction(session, statement)
        case s.CreateDomain():
            return usertypes.CreateDomainAction(session, statement)
        case s.AlterDomain():
            return alterdomain.AlterDomainAction(session, statement)
        case s.AlterType():
            return usertypes.AlterTypeAction(session, statement)
        case s.CreateRole():
            return roles.RoleAction(session, statement)
        case s.AlterRoleSetting():
            return databases.RoleSettingAction(session, statement)
        case s.CreateDatabase():
            return databases.CreateDatabaseAction(session, statement)
        case s.AlterDatabase():
            return databases.AlterDatabaseAction(session, statement)
        case s.DropDatabase():
            return databases.DropDatabaseAction(session, statement)
        case s.Grant(kind=None):
            return grants.MembershipAction(session, statement)
        case s.Grant():
            return grants.GrantAction(session, statement)
        case s.Alter(kind="schema"):
            return alter.AlterSchemaAction(session, statement)
        case s.Alter(action="pause" | "resume"):
            return pausing.PauseAction(session, statement)
        case s.Alter():
            return alter.AlterAction(session, statement)
        case s.Drop():
            return drop.DropAction(session, statement)
        case s.SetVariable() | s.ResetAll():
            return settings.SetAction(session, statement)
        case s.Show() if show.is_object_list(statement.name):
            return show.ShowObjectsAction(session, statement)
        case s.Show():
            return settings.ShowAction(session, statement)
        case s.ShowCreate():
            return show.ShowCreateAction(session, statement)
        case s.Describe():
            return show.DescribeAction(session, statement)
        case s.Explain():
            return explain.ExplainAction(session, statement, param_types)
        case s.Flush():
            return maintenance.FlushAction(session)
        case s.Checkpoint():
            return maintenance.CheckpointAction(session)
        case s.Backup():
            return maintenance.BackupAction(session, statement)
        case s.Maintenance():
            return maintenance.NothingToDoAction(session, statement)
        case s.Refresh():
            return maintenance.RefreshAction(session, statement)
        case s.Lock():
            return maintenance.LockAction(session, statement)
        case s.Deallocate():
            return prepared.DeallocateAction(session, statement)
        case s.Prepare():
            return prepared.PrepareAction(session, statement, sql)
        case s.Execute():
            return prepared.ExecuteAction(session, statement)
        case s.Declare():
            return cursors.DeclareAction(session, statement, param_types, sql)
        case s.Fetch():
            return cursors.FetchAction(session, statement)
        case s.Close():
            return cursors.CloseAction(session, statement)
        case s.Listen() | s.Unlisten() | s.Notify():
            return notifications.NotificationAction(session, statement)
        case s.Discard():
            return maintenance.DiscardAction(session, statement)
    raise not_supported(f"{_words(type(statement).__name__)} is not supported yet")


def _words(name: str) -> str:
    """``CreateIndex`` as ``CREATE INDEX``."""
    return "".join(f" {c}" if c.isupper() else c for c in name).strip().upper()
