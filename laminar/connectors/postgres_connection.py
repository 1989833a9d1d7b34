"""Connections to PostgreSQL servers as options of objects name them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import psycopg

from laminar.connectors.options import Option
from laminar.errors import CONNECTION_FAILURE, PgError

#: where a table is and who asks for it
OPTIONS: Final[Mapping[str, Option]] = {
    "host": Option(),
    "port": Option("int", 5432, minimum=1),
    "dbname": Option(),
    "user": Option(),
    "password": Option(secret=True),
    "sslmode": Option(),
    "table": Option(required=True),
    "schema": Option(),
}
_CONNECTION: Final = ("host", "port", "dbname", "user", "password", "sslmode")
_CONNECT_SECONDS: Final = 10
_SETTINGS: Final = (
    "-c DateStyle=ISO -c IntervalStyle=postgres -c TimeZone=UTC"
    " -c client_encoding=UTF8 -c standard_conforming_strings=on"
)


def table_of(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The table's name, with its schema if that is given."""
    return (values["schema"], values["table"]) if values["schema"] else (values["table"],)


def connection_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options that say where to connect."""
    return {name: values[name] for name in _CONNECTION if values[name] is not None}


def connect(
    where: Mapping[str, Any], what: str, settings: str = "", seconds: float = _CONNECT_SECONDS
) -> psycopg.Connection[Any]:
    """A connection whose texts are in the forms that are read here.

    Args:
        where: what ``connection_of`` gave.
        what: whose server it is, for messages.
        settings: further ones, as in the option ``options`` of libpq.
        seconds: to wait for it.

    Raises:
        PgError: 08006.
    """
    try:
        return psycopg.connect(
            **where,
            connect_timeout=max(2, round(seconds)),  # libpq takes 1 for 2
            application_name="laminar",
            options=f"{_SETTINGS} {settings}",
            keepalives_idle=10,
        )
    except psycopg.OperationalError as error:
        told = str(error).strip()
        raise PgError(CONNECTION_FAILURE, f"could not connect to {what}'s server: {told}") from error
