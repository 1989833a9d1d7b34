"""COPY FROM STDIN: the copy-in sub-protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from laminar import errors

if TYPE_CHECKING:
    from laminar.pgwire.backend import Result
    from laminar.pgwire.session import Session


async def copy_in(session: Session, result: Result) -> str:
    """Feed the client's data into the sink; returns the command tag."""
    sink = result.copy_in
    assert sink is not None
    await sink.abort("COPY FROM STDIN is not supported yet")
    raise errors.not_supported("COPY FROM STDIN is not supported yet")
