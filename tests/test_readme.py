"""What README.md tells people to do, done."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from laminar.sql.parse import split
from tests.harness.processes import free_port, stop, wait_until

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def commands() -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines() if line.strip()]


def test_make_targets_exist() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    named = {word for text in re.findall(r"make ([a-z]+)", README) for word in text.split()}
    assert {"demo", "build", "test", "bench", "lint"} <= named
    assert named <= set(targets)


def test_every_package_says_what_its_files_are() -> None:
    tracked = subprocess.run(["git", "ls-files", "laminar"], cwd=ROOT, capture_output=True, check=True)
    paths = tracked.stdout.decode().split()
    modules = [Path(p) for p in paths if p.endswith(".py") and not p.endswith("__.py")]
    unnamed = []
    for module in modules:
        readme = ROOT / module.parent / "README.md"
        if not readme.exists() or not re.search(rf"\b{module.stem}\b", readme.read_text()):
            unnamed.append(str(module))
    assert not unnamed


@pytest.fixture
def readme_server(tmp_path: Path) -> Iterator[int]:
    """The server that README.md starts, with a data directory and a port of the test's own."""
    line = next(c for c in commands() if "laminar server" in c)
    port = free_port()
    words = shlex.split(line.replace("my-data", str(tmp_path / "data")).replace("5433", str(port)))
    assert words[0] == ".venv/bin/laminar"
    command = [sys.executable, "-m", "laminar", *words[1:]]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def answers() -> bool:
        try:
            psycopg.connect(f"host=127.0.0.1 port={port} user=laminar dbname=laminar").close()
        except psycopg.OperationalError:
            return False
        return True

    wait_until(answers, process=process, log=tmp_path / "log", what="Laminar")
    yield port
    stop(process, signal.SIGTERM, seconds=60)


def test_the_sql_works(readme_server: int) -> None:
    line = re.search(r"`(psql [^`]*)`", README)
    assert line is not None and line[1] == "psql -h 127.0.0.1 -p 5433 -U laminar laminar"
    answers: dict[str, list[tuple[object, ...]]] = {}
    with psycopg.connect(
        f"host=127.0.0.1 port={readme_server} user=laminar dbname=laminar", autocommit=True
    ) as db:
        for statement in split(blocks("sql")[0]):
            text = re.sub(r"--.*", "", statement).strip()
            if text.startswith("SUBSCRIBE"):
                answers["subscribe"] = [next(iter(db.cursor().stream(text)))]
                break
            cursor = db.execute(text)
            if cursor.description is not None:
                answers[text] = cursor.fetchall()
    assert answers["SELECT * FROM per_customer"] == [("ada", 2, Decimal("19.75"))]
    minutes = answers["SELECT * FROM per_minute"]
    assert [row[1:] for row in minutes] == [(1, Decimal("12.50"))]
    assert answers["subscribe"][0][1:] == (1, "ada", 2, Decimal("19.75"))


def test_the_demo_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.flights.demo", "--data-dir", str(tmp_path), "--limit", "8000"]
    done = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8,000 flights in" in done.stdout
    assert "psql -h 127.0.0.1 -p" in done.stdout
    for view in ("airport_ranking", "delay_per_carrier_hour", "delay_by_visibility"):
        assert view in done.stdout
    assert "Delta Air Lines Inc." in done.stdout
