"""Connections to PostgreSQL servers as options of objects name them."""

from __future__ import annotations

import os
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
    # superusers' to say; of others' objects it is true, as of postgres_fdw's user mappings
    "password_required": Option("bool", False),
}
_CONNECTION: Final = ("host", "port", "dbname", "user", "password", "sslmode", "password_required")
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
        PgError: 08006; 2F003 when a password is required and there is none, or the server wants none.
    """
    required = where.get("password_required", False)
    if required and not where.get("password"):
        raise _password_required(what)
    try:
        connection = psycopg.connect(
            **{name: value for name, value in where.items() if name != "password_required"},
            passfile=os.devnull,
            connect_timeout=max(2, round(seconds)),  # libpq takes 1 for 2
            application_name="laminar",
            options=f"{_SETTINGS} {settings}",
            keepalives_idle=10,
        )
    except psycopg.OperationalError as error:
        told = str(error).strip()
        raise PgError(CONNECTION_FAILURE, f"could not connect to {what}'s server: {told}") from error
    if required and not connection.pgconn.used_password:
        connection.close()
        raise _password_required(what)
    return connection


def _password_required(what: str) -> PgError:
    """Else whom the server outside trusts for the sake of this machine, anybody here could be."""
    return PgError(
        "2F003",
        "password is required",
        detail=f"Of non-superusers, {what}'s server must have asked for a password, and got one.",
        hint="Give the option password; or let a superuser create it.",
    )
