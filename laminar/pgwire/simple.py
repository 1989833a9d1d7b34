"""The simple query protocol: a string of statements, one implicit transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from laminar.errors import PgError
from laminar.pgwire import messages as m

if TYPE_CHECKING:
    from laminar.pgwire.session import Session


async def simple_query(session: Session, body: bytes) -> None:
    """Run the statements of a Query message; the first error ends them all.

    ReadyForQuery is the caller's to send.
    """
    backend = session.backend
    implicit = False
    start = 0
    try:
        reader = m.Body(body)
        script = reader.string()
        reader.end()
        statements = backend.split(script)
        implicit = len(statements) > 1
        for statement in statements:
            if implicit:  # each time: there may have been a COMMIT or ROLLBACK among them
                await backend.begin_implicit(script=True)
            start = max(script.find(statement, start), 0)
            prepared = await backend.prepare(statement, ())
            result = await backend.execute(prepared, ())
            await session.send_result(result)
            start += len(statement)
        if not statements:
            session.wire.write(m.EMPTY_QUERY_RESPONSE)
    except Exception as error:
        if isinstance(error, PgError) and error.position is not None:
            error.position += start  # clients count from the start of what they sent
        session.fail(error)
    if implicit:
        await session.sync()
