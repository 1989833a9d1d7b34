"""Python clients get the same answers from Laminar as from PostgreSQL 15: programs print what they get."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.environments import environment
from tests.harness.server import LaminarServer

HERE = Path(__file__).parent / "python"
#: program -> its environment
CLIENTS = dict.fromkeys(("psycopg2", "pg8000", "sqlalchemy", "pandas", "adbc", "pgcli", "odbc"), "drivers")
CLIENTS |= {"dbt": "dbt", "pgadmin": "pgadmin"}


def answers(program: Path, client: str, port: int) -> list[str]:
    dsn = f"host=127.0.0.1 port={port} user=laminar dbname=laminar"
    command = [program, HERE / f"{client}_client.py", dsn]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout.splitlines()


@pytest.mark.timeout(600)
@pytest.mark.xdist_group("python-clients")
@pytest.mark.parametrize(
    "client",
    [pytest.param(name, marks=() if of == "drivers" else pytest.mark.slow) for name, of in CLIENTS.items()],
)
def test_client(
    client: str, theirs: int, new_laminar: Callable[..., LaminarServer], request: pytest.FixtureRequest
) -> None:
    if client == "odbc" and not list(Path("/usr/lib").glob("*/odbc/psqlodbcw.so")):
        pytest.skip("psqlODBC is not installed")
    assert request.config.cache is not None
    python = environment(CLIENTS[client], request.config.cache.mkdir("client-environments")) / "python"
    wanted = answers(python, client, theirs)
    assert len(wanted) >= 5
    assert answers(python, client, new_laminar().port) == wanted
