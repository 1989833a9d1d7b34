"""Every file under sql_tests: portable ones on PostgreSQL and on Laminar, the others on Laminar.

``sql_tests/gaps.txt`` names what Laminar cannot do yet: ``path: reason`` a line. Such a file must fail;
once it passes, its line has to go.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.postgres import Postgres
from tests.harness.server import LaminarServer
from tests.harness.sqllogic import Protocol, Runner, parse

ROOT = Path(__file__).parents[1] / "sql_tests"
PORTABLE = sorted((ROOT / "portable").rglob("*.test"))
OWN = sorted((ROOT / "laminar").rglob("*.test"))
PROTOCOLS: tuple[Protocol, ...] = ("simple", "extended")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def gaps() -> dict[str, str]:
    found = {}
    for line in (ROOT / "gaps.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            path, _, reason = line.partition(":")
            found[path.strip()] = reason.strip()
    return found


def on_laminar() -> list[object]:
    known = gaps()
    return [
        pytest.param(
            path,
            id=name(path),
            marks=[pytest.mark.xfail(strict=True, reason=known[name(path)])] if name(path) in known else [],
        )
        for path in (*PORTABLE, *OWN)
    ]


def test_every_file_is_run() -> None:
    files = {p for p in ROOT.rglob("*") if p.is_file()}
    others = files - {*PORTABLE, *OWN}
    assert {name(p) for p in others} == {"README.md", "gaps.txt"}
    assert all(reason for reason in gaps().values())
    assert gaps().keys() <= {name(p) for p in files}


def test_every_file_says_what_it_tests() -> None:
    for path in (*PORTABLE, *OWN):
        lines = path.read_text().splitlines()
        assert lines[0].startswith("# ") and len(lines[0]) > 10, f"{path}: no description in its first line"
        assert any(True for _ in parse(path).records), f"{path} has no records"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("path", PORTABLE, ids=name)
def test_postgres(path: Path, protocol: Protocol, postgres: Postgres) -> None:
    Runner(postgres.dsn, protocol, "postgres").run_file(parse(path))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("path", on_laminar())
def test_laminar(path: Path, protocol: Protocol, laminar: LaminarServer) -> None:
    Runner(laminar.dsn, protocol, "laminar").run_file(parse(path))
