"""Streams a year of flights into a server of its own and shows the views change.

Run with ``make demo``. On a terminal the server stays until Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from examples.flights import data

BATCH = 4000
SCHEMA = Path(__file__).with_name("schema.sql")

RANKING = "SELECT place, airport, flights, avg_delay FROM airport_ranking ORDER BY place, airport LIMIT 8"
HOURS = """SELECT a.name, to_char(d.window_start, 'Mon DD HH24:MI') AS hour, d.flights, d.cancelled,
                  round(d.avg_delay, 1) AS avg_delay
           FROM delay_per_carrier_hour d JOIN airlines a USING (carrier)
           ORDER BY d.window_start DESC, d.flights DESC, a.name LIMIT 8"""
VISIBILITY = """SELECT visibility, flights, round(avg_delay, 1) AS avg_delay
                FROM delay_by_visibility ORDER BY avg_delay DESC"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running_server(data_dir: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server on loopback, stopped with SIGTERM at the end."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "server.log").open("ab") as log:
        command = [sys.executable, "-m", "laminar", "server", "--data-dir", str(data_dir)]
        process = subprocess.Popen(
            [*command, "--listen", f"127.0.0.1:{port}"], stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def connect(port: int, process: subprocess.Popen[bytes], log: Path) -> psycopg.Connection:
    """A connection as soon as the server answers."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return psycopg.connect(
                host="127.0.0.1", port=port, user="laminar", dbname="laminar", autocommit=True
            )
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"The server did not start; its log is {log}") from None
            time.sleep(0.05)


def copy_in(connection: psycopg.Connection, table: str, rows: bytes) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN (FORMAT csv)") as copy:
        copy.write(rows)


def table_of(connection: psycopg.Connection, title: str, query: str) -> Table:
    """A query's answer as it is now."""
    cursor = connection.execute(query)
    table = Table(title=title, title_justify="left", expand=True)
    for column in cursor.description or ():
        table.add_column(column.name, justify="left" if column.type_code in (25, 1043) else "right")
    for row in cursor:
        table.add_row(*("" if value is None else str(value) for value in row))
    return table


def views(connection: psycopg.Connection) -> Group:
    """All three views side by side in time: the same epoch each, a moment apart."""
    return Group(
        table_of(connection, "airport_ranking: where New York flies to", RANKING),
        table_of(connection, "delay_per_carrier_hour: the hours that have just closed", HOURS),
        table_of(connection, "delay_by_visibility: flights joined with the weather of the hour", VISIBILITY),
    )


def stream(connection: psycopg.Connection, console: Console, limit: int | None) -> float:
    """Send the flights in order, showing the views twice a second; returns seconds of streaming."""
    flights = data.flights().slice(0, limit)
    progress = Progress(
        TextColumn("flights"), BarColumn(None), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )
    task = progress.add_task("flights", total=len(flights))
    shown = busy = 0.0
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for start in range(0, len(flights), BATCH):
            batch = flights.slice(start, BATCH)
            rows = data.as_csv(batch)
            began = time.monotonic()
            copy_in(connection, "flights", rows)
            busy += time.monotonic() - began
            progress.advance(task, len(batch))
            if console.is_terminal and time.monotonic() - shown > 0.5:
                live.update(Group(progress, views(connection)), refresh=True)
                shown = time.monotonic()
    return busy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path("demo-data"))
    parser.add_argument("--limit", type=int, help="stream only the first N flights")
    options = parser.parse_args()
    console = Console()
    data_dir: Path = options.data_dir / time.strftime("%Y%m%d-%H%M%S")
    port = free_port()
    with running_server(data_dir, port) as process:
        connection = connect(port, process, data_dir / "server.log")
        connection.execute(SCHEMA.read_text())
        copy_in(connection, "airlines", data.as_csv(data.airlines()))
        copy_in(connection, "weather", data.as_csv(data.weather()))
        seconds = stream(connection, console, options.limit)
        connection.execute("FLUSH")
        count = connection.execute("SELECT count(*) FROM flights").fetchone()
        console.print(views(connection))
        assert count is not None
        console.print(f"{count[0]:,} flights in {seconds:.1f} s, every COPY durable, every view up to date.")
        psql = f"psql -h 127.0.0.1 -p {port} -U laminar laminar"
        console.print(f"Go on with:  [bold]{psql}[/bold]", highlight=False)
        if sys.stdin.isatty():
            console.print("The server runs until Ctrl-C.")
            with contextlib.suppress(KeyboardInterrupt):
                process.wait()
        else:
            again = f"laminar server --data-dir {data_dir} --listen 127.0.0.1:{port}"
            console.print(f"The server stops now; start it again with:  {again}", highlight=False)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("stopped")
