"""BACKUP TO, laminar restore and laminar doctor."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.dataset as ds
import pytest

from tests.harness.processes import wait_until
from tests.harness.server import ROOT, LaminarServer

pytestmark = [pytest.mark.timeout(180)]


def laminar(*arguments: str) -> tuple[int, str]:
    """Run the command line; returns status and output."""
    command = [sys.executable, "-m", "laminar", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def fill(db: Any) -> None:
    db.execute("CREATE TABLE t (k int PRIMARY KEY, v int)")
    db.execute("CREATE MATERIALIZED VIEW g AS SELECT v, count(*)::int AS n FROM t GROUP BY v")
    db.execute("INSERT INTO t SELECT i, i % 5 FROM generate_series(1, 1000) i")


def test_backup_under_load(new_laminar: Any, tmp_path: Path) -> None:
    """It has everything accepted before it, views equal their queries, and the server goes on."""
    server: LaminarServer = new_laminar("--reactors", "2")
    target = tmp_path / "a backup"
    stop = threading.Event()

    def load() -> None:
        with server.connect() as db:
            key = 10_000
            while not stop.is_set():
                key += 1
                db.execute(f"INSERT INTO t VALUES ({key}, {key % 7})")

    with server.connect() as db:
        fill(db)
        db.execute(
            f"CREATE SINK s FROM t WITH (connector = 'file', path = '{tmp_path}/out', envelope = 'diff')"
        )
        writer = threading.Thread(target=load)
        writer.start()
        try:
            db.execute("INSERT INTO t VALUES (2000, 2000)")
            db.execute(f"BACKUP TO 'file://{str(target).replace(' ', '%20')}'")
        finally:
            stop.set()
            writer.join()
        with pytest.raises(psycopg.errors.DuplicateFile):
            db.execute(f"BACKUP TO 'file://{str(target).replace(' ', '%20')}'")
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            db.execute("BACKUP TO 's3://bucket/x'")
    server.stop()
    (tmp_path / "restored").mkdir()
    again = LaminarServer(tmp_path / "restored", "--reactors", "2")
    uri = f"file://{str(target).replace(' ', '%20')}"
    status, text = laminar("restore", uri, "--data-dir", str(again.data_dir))
    assert status == 0, text
    assert laminar("restore", uri, "--data-dir", str(again.data_dir))[0] == 1
    again.start()
    try:
        with again.connect() as db:
            assert db.execute("SELECT count(*) FROM t WHERE k <= 2000").fetchall() == [(1001,)]
            wanted = db.execute("SELECT v, count(*)::int FROM t GROUP BY v ORDER BY v").fetchall()
            assert db.execute("SELECT v, n FROM g ORDER BY v").fetchall() == wanted
            db.execute("INSERT INTO t VALUES (3000, 3000)")
            assert db.execute("SELECT n FROM g WHERE v = 3000").fetchall() == [(1,)]
            (error,) = db.execute("SELECT error FROM laminar_catalog.sinks").fetchone()  # type: ignore[misc]
            assert "would be delivered again (its target has changes up to epoch" in error
    finally:
        again.stop()


def events(folder: Path) -> list[int]:
    """What the files of a sink have."""
    found = ds.dataset(str(folder), format="parquet") if any(folder.glob("*.parquet")) else None
    return sorted(found.to_table().column("i").to_pylist()) if found is not None else []


def await_events(server: LaminarServer, folder: Path, count: int) -> None:
    assert server.process is not None
    arrived = lambda: len(events(folder)) >= count  # noqa: E731
    wait_until(arrived, process=server.process, log=server.log, what="the delivery", seconds=60)


@pytest.mark.parametrize("delivered", [True, False])
def test_a_sink_goes_on_from_a_backup(new_laminar: Any, tmp_path: Path, delivered: bool) -> None:
    """When its target has nothing from after it, whether it had what the backup promises or not."""
    server: LaminarServer = new_laminar("--reactors", "1")
    out = tmp_path / "out"
    with server.connect() as db:
        db.execute("CREATE SOURCE e (i int)")
        db.execute(
            f"CREATE SINK s FROM e WITH (connector = 'file', path = '{out}', commit_interval = '200ms')"
        )
        server.stop()
    if not delivered:
        server.environment["LAMINAR_FAILPOINTS"] = "file sink: written=error:1000000"
    server.start()
    with server.connect() as db:
        db.execute("INSERT INTO e SELECT generate_series(0, 99)")
        db.execute("CHECKPOINT")
        if delivered:
            await_events(server, out, 100)
        db.execute(f"BACKUP TO 'file://{tmp_path}/b'")
    server.kill()
    (tmp_path / "restored").mkdir()
    again = LaminarServer(tmp_path / "restored", "--reactors", "1")
    status, text = laminar("restore", f"file://{tmp_path}/b", "--data-dir", str(again.data_dir))
    assert status == 0 and "cannot go on" not in text, text
    again.start()
    try:
        with again.connect() as db:
            db.execute("INSERT INTO e SELECT generate_series(100, 149)")
            db.execute("CHECKPOINT")
            await_events(again, out, 150)
            assert db.execute("SELECT error FROM laminar_catalog.sinks").fetchall() == [(None,)]
    finally:
        again.stop()
    assert events(out) == list(range(150))
    if delivered:
        shutil.rmtree(out)
        status, text = laminar("restore", f"file://{tmp_path}/b", "--data-dir", str(tmp_path / "third"))
        assert status == 0 and "its target has changes up to epoch 0 only" in text, text


def test_a_damaged_backup_is_refused(new_laminar: Any, tmp_path: Path) -> None:
    server: LaminarServer = new_laminar("--reactors", "1")
    with server.connect() as db:
        fill(db)
        db.execute(f"BACKUP TO 'file://{tmp_path}/b'")
    (victim, *_) = (tmp_path / "b" / "store").iterdir()
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    status, text = laminar("restore", f"file://{tmp_path}/b", "--data-dir", str(tmp_path / "d"))
    assert status == 1 and "wrong checksum" in text and victim.name in text
    assert not (tmp_path / "d").exists()


def test_doctor(new_laminar: Any) -> None:
    server: LaminarServer = new_laminar("--reactors", "1")
    with server.connect() as db:
        fill(db)
    data = str(server.data_dir)
    status, text = laminar("doctor", data)
    assert status == 1 and "in use by another server" in text
    server.kill()
    status, text = laminar("doctor", data)
    assert status == 0 and "epochs behind the checkpoint" in text and "error" not in text, text
    server.start()
    server.stop()
    for folder, found in (("state", "is damaged"), ("store", "checksum is wrong"), ("wal", None)):
        for victim in sorted((server.data_dir / "engine" / folder).iterdir()):
            whole = victim.read_bytes()
            damaged = bytearray(whole)
            damaged[8 if folder == "wal" else len(whole) // 2] ^= 1
            victim.write_bytes(damaged)
            status, text = laminar("doctor", data)
            if found is not None:
                assert status == 1 and found in text and victim.name in text, text
            victim.write_bytes(whole)
            break
    status, text = laminar("doctor", data)
    assert status == 0, text
    assert laminar("doctor", data + "/nowhere")[0] == 1


def test_checkpoints_are_shown(new_laminar: Any) -> None:
    """What they write follows what has changed, not the size of the state."""
    server: LaminarServer = new_laminar("--reactors", "1")
    with server.connect() as db:
        db.execute("CREATE TABLE t (k int PRIMARY KEY, v int)")
        db.execute("CREATE MATERIALIZED VIEW g AS SELECT v, sum(k) AS s, count(*) AS n FROM t GROUP BY v")
        newest = (
            "SELECT entries, written_bytes, state_bytes, pause_us, duration_us"
            " FROM laminar_catalog.checkpoints ORDER BY epoch DESC LIMIT 1"
        )
        found = []
        for first, count in ((0, 40_000), (100_000, 10)):
            db.execute(f"INSERT INTO t SELECT i, i FROM generate_series({first}, {first + count - 1}) i")
            db.execute("CHECKPOINT")
            found.append(db.execute(newest).fetchone())
        (many, bytes_of_many, *_), (few, bytes_of_few, size, pause, duration) = found  # type: ignore[misc]
        assert many >= 40_000 and 10 <= few < 100
        assert bytes_of_few * 50 < bytes_of_many <= size
        assert 0 < pause < duration
