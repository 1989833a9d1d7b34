"""Asks PostgreSQL many small questions in one round trip."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import psycopg

from laminar.errors import PgError

_FUNCTION = """
CREATE OR REPLACE FUNCTION pg_temp.ask(statement text, args text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text; message text; state text;
BEGIN
    EXECUTE statement INTO answer USING args;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
    RETURN '!' || state || ' ' || message;
END $$
"""


def texts_of(name: str) -> list[str]:
    """Inputs kept in data/: good and bad ones, the same for every type that might take them."""
    texts: list[str] = json.loads((Path(__file__).parent / "data" / f"{name}.json").read_text())
    return texts


def ask(pg: psycopg.Connection, expression: str, rows: Sequence[Sequence[str | None]]) -> list[str | None]:
    """The text of ``expression`` for every row, whose texts are ``$1`` …; errors as '!SQLSTATE message'."""
    if not rows:
        return []
    statement = "SELECT (" + expression + ")::text"
    for i in range(len(rows[0]), 0, -1):
        statement = statement.replace(f"${i}", f"$1[{i}]")
    with pg.cursor() as cursor:
        cursor.execute(_FUNCTION)
        width = len(rows[0])
        names = ", ".join(f"a{i}" for i in range(width))
        unnest = ", ".join("%s::text[]" for _ in range(width))
        cursor.execute(
            f"SELECT pg_temp.ask(%s, ARRAY[{names}]) FROM unnest({unnest}) WITH ORDINALITY AS t({names}, n) "
            "ORDER BY n",
            [statement, *([row[i] for row in rows] for i in range(width))],
        )
        return [row[0] for row in cursor.fetchall()]


def told(error: PgError) -> str:
    """An error in the form that ``ask`` gives PostgreSQL's."""
    return f"!{error.sqlstate} {error.message}"


def check(questions: Sequence[object], ours: Sequence[object], theirs: Sequence[object]) -> None:
    """Fails with one line for each answer that is not PostgreSQL's."""
    wrong = [
        f"{question!r}: {mine!r}, PostgreSQL: {right!r}"
        for question, mine, right in zip(questions, ours, theirs, strict=True)
        if mine != right
    ]
    assert not wrong, "\n" + "\n".join(wrong[:40])
