"""Record how PostgreSQL 15 describes the queries of bind.sql: ``python record_bind.py 'host=… user=…'``.

Writes bind.json: [sql, {"columns": [[name, type oid, typmod]], "params": [oid]}] or
[sql, {"error": [sqlstate, position, message, hint]}].
"""

import json
import sys
from pathlib import Path

from psycopg.pq import DiagnosticField, ExecStatus, PGconn

HERE = Path(__file__).parent
SCHEMA = (HERE / "bind_schema.sql").read_text()


def describe(session: PGconn, sql: str) -> dict[str, object]:
    prepared = session.prepare(b"", sql.encode())
    if prepared.status == ExecStatus.FATAL_ERROR:
        state, message, hint, position = (
            prepared.error_field(field)
            for field in (
                DiagnosticField.SQLSTATE,
                DiagnosticField.MESSAGE_PRIMARY,
                DiagnosticField.MESSAGE_HINT,
                DiagnosticField.STATEMENT_POSITION,
            )
        )
        at = int(position) if position else None
        return {"error": [state.decode(), at, message.decode(), hint.decode() if hint else None]}
    told = session.describe_prepared(b"")
    columns = [[told.fname(i).decode(), told.ftype(i), told.fmod(i)] for i in range(told.nfields)]
    return {"columns": columns, "params": [told.param_type(i) for i in range(told.nparams)]}


def main() -> None:
    session = PGconn.connect(sys.argv[1].encode())
    session.exec_(b"DROP SCHEMA IF EXISTS bind CASCADE; CREATE SCHEMA bind; SET search_path TO bind")
    session.exec_(SCHEMA.encode())
    queries = (HERE / "bind.sql").read_text().splitlines()
    results = [[sql, describe(session, sql)] for sql in queries]
    (HERE / "bind.json").write_text(json.dumps(results, indent=0, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
