"""Commands: server, doctor, restore, version."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from laminar import __version__
from laminar.errors import PgError

app = typer.Typer(
    name="laminar",
    help="A streaming database that speaks PostgreSQL's wire protocol.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"laminar {__version__}")


@app.command()
def server(
    data_dir: Annotated[Path | None, typer.Option(help="Where everything durable lives.")] = None,
    listen: Annotated[str | None, typer.Option(help="host:port for clients.")] = None,
    reactors: Annotated[int | None, typer.Option(help="Computing processes, one per core.")] = None,
    config: Annotated[Path | None, typer.Option(help="A laminar.toml.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
) -> None:
    """Run the server until SIGTERM or SIGINT, which drain and checkpoint."""
    from laminar.arrowsetup import leave_pandas_out

    # Before anything else asks Arrow for a scalar.
    leave_pandas_out()
    from laminar.config import load
    from laminar.server.app import run

    flags = {"data_dir": data_dir, "listen": listen, "reactors": reactors, "log_level": log_level}
    with errors_told():
        run(load(config, flags))


@app.command()
def doctor(data_dir: Annotated[Path, typer.Argument(help="The data directory of a stopped server.")]) -> None:
    """Verify a data directory and say what it holds; status 1 when something is damaged."""
    from laminar.server.doctor import examine

    damaged = False
    with errors_told():
        for finding in examine(data_dir):
            typer.echo(f"{finding.level + ':':<9}{finding.text}")
            damaged |= finding.level == "error"
    sys.exit(damaged)


@app.command()
def restore(
    uri: Annotated[str, typer.Argument(help="What BACKUP TO wrote: file:///absolute/path.")],
    data_dir: Annotated[Path, typer.Option(help="A new data directory.")] = Path("laminar-data"),
) -> None:
    """Make a data directory from a backup."""
    from laminar.engine.backup import folder_of
    from laminar.engine.backup import restore as restore_backup

    with errors_told():
        label, left = restore_backup(folder_of(uri), data_dir)
        typer.echo(f"restored epoch {label.epoch}: {len(label.files)} files into {data_dir}")
        for oid, reason in left.items():
            typer.echo(f"sink {oid} cannot go on: {reason}")


@contextmanager
def errors_told() -> Iterator[None]:
    """An error ends the command with status 1 and its text."""
    try:
        yield
    except PgError as error:
        typer.echo(f"laminar: {error.message}", err=True)
        for label, text in (("detail", error.detail), ("hint", error.hint)):
            if text:
                typer.echo(f"{label}: {text}", err=True)
        sys.exit(1)
