"""What a bound statement is: parameters, result columns, and how it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from laminar.errors import DUPLICATE_TABLE
from laminar.pgwire.backend import Field, Notice, Result
from laminar.types import INT8, TEXT, PgType

if TYPE_CHECKING:
    from laminar.server.session import Session


class Action:
    """One bound statement; may run any number of times.

    ``transactional``: runs inside a transaction, of its own when none is open.
    """

    transactional: ClassVar[bool] = True
    param_types: Sequence[PgType] = ()
    fields: Sequence[Field] | None = None

    def __init__(self, session: Session) -> None:
        self.session = session
        self.database = session.database

    @property
    def starts_transaction(self) -> bool:
        return self.transactional

    def described(self) -> Sequence[Field] | None:
        """The result's columns as they are now; None when there are none."""
        return self.fields

    def shared(self) -> Callable[[Session], Action] | None:
        """Makes the same action for any session under the same plan key; None: it is bound each time."""
        return None

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        """Run it. Raises PgError, having changed nothing."""
        raise NotImplementedError


async def batches(*items: pa.RecordBatch) -> AsyncIterator[pa.RecordBatch]:
    """Batches that are there already, as rows of a result."""
    for item in items:
        yield item


def text_fields(*names: str) -> list[Field]:
    """Result columns of type text."""
    return [Field(name, PgType(TEXT)) for name in names]


def text_batch(*columns: Sequence[str | None]) -> pa.RecordBatch:
    """A batch of text columns."""
    arrays = [pa.array(column, pa.string()) for column in columns]
    return pa.RecordBatch.from_arrays(arrays, [str(i) for i in range(len(arrays))])


def count_field(name: str) -> Field:
    """A bigint result column."""
    return Field(name, PgType(INT8))


def already_exists(tag: str, name: str) -> Result:
    """IF NOT EXISTS found it."""
    text = f'relation "{name}" already exists, skipping'
    return Result(tag, notices=[Notice("NOTICE", DUPLICATE_TABLE, text)])
