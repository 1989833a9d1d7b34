"""Commands: server, version."""

from __future__ import annotations

import sys
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
    try:
        run(load(config, flags))
    except PgError as error:
        typer.echo(f"laminar: {error.message}", err=True)
        for label, text in (("detail", error.detail), ("hint", error.hint)):
            if text:
                typer.echo(f"{label}: {text}", err=True)
        sys.exit(1)
