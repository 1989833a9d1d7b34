"""Record what PostgreSQL 15 says to the statements beside this file: ``python record.py 'host=… user=…'``.

Writes syntax.json: [statement, null | [sqlstate, position, message]],
null where the statement is no syntax error.
Use a scratch server: the good statements run.
"""

import json
import sys
from pathlib import Path

from psycopg.pq import DiagnosticField, PGconn

HERE = Path(__file__).parent
SYNTAX = ("42601", "42P20", "22023")


def statements(name: str) -> list[str]:
    """One per line; a line that begins with a quote belongs to the one before."""
    lines: list[str] = []
    for line in (HERE / name).read_text().splitlines():
        if line.startswith("'") and lines:
            lines[-1] += "\n" + line
        else:
            lines.append(line)
    return lines


def main() -> None:
    results: list[tuple[str, object]] = []
    for sql in statements("bad_statements.sql") + statements("good_statements.sql"):
        # a fresh session each: some statements change it, or leave it in COPY
        session = PGconn.connect(sys.argv[1].encode())
        result = session.exec_(sql.encode())
        state = result.error_field(DiagnosticField.SQLSTATE)
        if state is None or state.decode() not in SYNTAX:
            results.append((sql, None))
        else:
            message = result.error_field(DiagnosticField.MESSAGE_PRIMARY).decode()
            position = result.error_field(DiagnosticField.STATEMENT_POSITION)
            results.append((sql, [state.decode(), int(position) if position else None, message]))
        session.finish()
    (HERE / "syntax.json").write_text(json.dumps(results, indent=0, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
