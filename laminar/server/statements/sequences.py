"""CREATE and ALTER SEQUENCE; the sequences of serial and identity columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from laminar.catalog.objects import StoredColumn, StoredRelation
from laminar.catalog.sequences import Definition, define, definition_of
from laminar.errors import INVALID_PARAMETER_VALUE, UNDEFINED_COLUMN, PgError, not_supported
from laminar.pgwire.backend import Result
from laminar.server.definitions import defining
from laminar.server.sequences import qualified
from laminar.server.statements.base import Action, already_exists
from laminar.sql import facts
from laminar.sql import statements as s
from laminar.types import BOOL, INT8, PgType

if TYPE_CHECKING:
    from laminar.server.session import Session

#: a sequence is also a relation of one row
COLUMNS = (
    StoredColumn("last_value", PgType(INT8), not_null=True),
    StoredColumn("log_cnt", PgType(INT8), not_null=True),
    StoredColumn("is_called", PgType(BOOL), not_null=True),
)
_TYPES = {
    "smallint": "int2", "integer": "int4", "int": "int4", "bigint": "int8", "int2": "int2", "int4": "int4",
    "int8": "int8",
}  # fmt: skip


def new_sequence(
    session: Session, schema: str, name: str, definition: Definition, owned_by: tuple[int, int] | None = None
) -> StoredRelation:
    """A sequence's catalog entry."""
    return StoredRelation(
        oid=0,
        schema=schema,
        name=name,
        kind="sequence",
        owner=session.role.name,
        columns=COLUMNS,
        sql=f"CREATE SEQUENCE {qualified(schema, name)}",
        options=definition.to_options(),
        owned_by=owned_by,
    )


def column_sequence(
    session: Session, schema: str, table: str, attnum: int, column: s.ColumnDef, type_: PgType
) -> StoredRelation:
    """The sequence of a serial or identity column; its relation's oid is filled in later."""
    fact = facts.types()[type_.oid].name
    if fact not in ("int2", "int4", "int8"):
        raise PgError(
            INVALID_PARAMETER_VALUE,
            "identity column type must be smallint, integer, or bigint",
            position=column.pos or None,
        )
    definition = define({"as": fact, **options_of(column.sequence)})
    name = session.database.catalog.free_name(schema, table, column.name, "seq")
    return new_sequence(session, schema, name, definition, (0, attnum))


def default_of(sequence: StoredRelation) -> str:
    """The DEFAULT that takes a sequence's next value."""
    name = qualified(sequence.schema, sequence.name).replace("'", "''")
    return f"nextval('{name}'::regclass)"


def options_of(options: list[s.Option]) -> dict[str, str | None]:
    """Options as :func:`laminar.catalog.sequences.define` takes them."""
    found: dict[str, str | None] = {}
    for option in options:
        if option.name == "as":
            word = (option.items or ("",))[0]
            found["as"] = _TYPES.get(word, word)
        elif option.name not in ("owned by", "restart"):
            found[option.name] = option.value
    return found


def owner_of(session: Session, options: list[s.Option], sequence_owner: str) -> tuple[int, int] | None:
    """OWNED BY table.column."""
    option = next((o for o in options if o.name == "owned by"), None)
    if option is None or not option.items:
        return None
    if len(option.items) < 2:
        raise PgError(
            "42601", "invalid OWNED BY option", hint="Specify OWNED BY table.column or OWNED BY NONE."
        )
    table = session.catalog.stored(s.QName(option.items[:-1], option.pos))
    if table.owner != sequence_owner:
        raise PgError(
            "55000", "sequence must have same owner as table it is linked to", position=option.pos or None
        )
    for attnum, column in enumerate(table.columns, 1):
        if column.name == option.items[-1]:
            return table.oid, attnum
    raise PgError(UNDEFINED_COLUMN, f'column "{option.items[-1]}" of relation "{table.name}" does not exist')


class CreateSequenceAction(Action):
    """CREATE SEQUENCE."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.CreateSequence) -> None:
        super().__init__(session)
        self.statement = statement
        if statement.temporary:
            raise not_supported("temporary sequences are not supported yet", position=statement.name.pos)
        self.exists = session.catalog.taken(statement.name, statement.if_not_exists)
        if self.exists:
            return
        schema, name = session.catalog.creation_name(statement.name)
        definition = define(options_of(statement.options))
        owned_by = owner_of(session, statement.options, session.role.name)
        self.sequence = new_sequence(session, schema, name, definition, owned_by)

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        if self.exists:
            return already_exists("CREATE SEQUENCE", self.statement.name.name)
        async with defining(self.session, "CREATE SEQUENCE"):
            catalog = self.database.catalog
            catalog.check_free(self.sequence.schema, self.sequence.name, self.statement.name.pos or None)
            catalog.create(replace(self.sequence, oid=catalog.new_oid()))
        return Result("CREATE SEQUENCE")


def alter_sequence(session: Session, sequence: StoredRelation, options: list[s.Option]) -> StoredRelation:
    """ALTER SEQUENCE's options; RESTART takes effect at once."""
    before = definition_of(sequence)
    definition = define(options_of(options), before)
    changed = replace(sequence, options=definition.to_options())
    if any(option.name == "owned by" for option in options):
        changed = replace(changed, owned_by=owner_of(session, options, sequence.owner))
    restart = next((o for o in options if o.name == "restart"), None)
    sequences = session.database.catalog.sequences
    if restart is not None:
        value = int(restart.value) if restart.value is not None else definition.start
        if not definition.minimum <= value <= definition.maximum:
            bound = "less than MINVALUE" if value < definition.minimum else "greater than MAXVALUE"
            limit = definition.minimum if value < definition.minimum else definition.maximum
            raise PgError(INVALID_PARAMETER_VALUE, f"RESTART value ({value}) cannot be {bound} ({limit})")
        sequences.set(changed, value, False)
    else:
        last, _ = sequences.last(sequence)
        if not definition.minimum <= last <= definition.maximum:
            bound = "less than MINVALUE" if last < definition.minimum else "greater than MAXVALUE"
            limit = definition.minimum if last < definition.minimum else definition.maximum
            raise PgError(INVALID_PARAMETER_VALUE, f"RESTART value ({last}) cannot be {bound} ({limit})")
    return changed
