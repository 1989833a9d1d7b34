"""Python environments for clients, each with its own packages, kept in a cache folder."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

#: name -> packages, and options of pip; those of one environment live together well
PACKAGES = {
    "drivers": (
        *("psycopg2-binary", "pg8000", "sqlalchemy>=2", "pandas", "adbc-driver-postgresql", "pyarrow"),
        *("pgcli", "pexpect", "pyodbc"),
    ),
    "pgadmin": ("pgadmin4",),
    # the parser's source package fetches its wheel from elsewhere
    "dbt": ("dbt-core<2", "dbt-postgres<2", "--only-binary=dbt-core-experimental-parser"),
}


def environment(name: str, cache: Path) -> Path:
    """The environment's folder of programs; made when it is not there yet."""
    folder, done = cache / name, cache / f"{name}.done"
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test process may be at it
        if not done.exists():
            _run(sys.executable, "-m", "venv", "--clear", folder)
            _run(folder / "bin" / "pip", "install", "-q", "--prefer-binary", *PACKAGES[name])
            done.touch()
    return folder / "bin"


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
