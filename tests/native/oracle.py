"""Asks PostgreSQL many small questions in one round trip."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pyarrow as pa

from laminar._native.kernels import Kernel
from laminar._native.textio import FormatSettings, format_text, parse_text
from laminar.errors import PgError
from laminar.types import PgType

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
    statement = "SELECT (" + re.sub(r"\$(\d+)", r"$1[\1]", expression) + ")::text"
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


def check_kernel(
    pg: psycopg.Connection,
    expression: str,
    kernel: Kernel,
    arguments: Sequence[tuple[str, PgType]],
    result: PgType,
    rows: Sequence[Sequence[str | None]],
    settings: FormatSettings | None = None,
) -> None:
    """Holds a kernel against PostgreSQL, value for value and error for error.

    Args:
        expression: SQL with the arguments as $1 …: the rows' texts cast to the arguments' types.
        arguments: name and type of each argument.
    """
    expression = re.sub(r"\$(\d+)", lambda m: f"(${m[1]}::{arguments[int(m[1]) - 1][0]})", expression)
    output = "CASE WHEN v IS NOT NULL THEN format('%s', v) END"  # the type's output function, NULL as NULL
    theirs = ask(pg, f"(SELECT {output} FROM (SELECT {expression} AS v) q)", rows)
    columns = [
        parse_text(pa.array([row[k] for row in rows], pa.string()), type, settings)
        for k, (_, type) in enumerate(arguments)
    ]
    ours: list[str | None] = []
    for i in range(len(rows)):
        try:
            answer = kernel([c.slice(i, 1) for c in columns], settings)
            ours.append(format_text(answer, result, settings)[0].as_py())
        except PgError as e:
            ours.append(told(e))
    check([(expression, *row) for row in rows], ours, theirs)
    good = [i for i, text in enumerate(ours) if not (text or "").startswith("!")]
    if good and arguments:
        whole = kernel([c.take(pa.array(good)) for c in columns], settings)
        assert format_text(whole, result, settings).to_pylist() == [ours[i] for i in good]
