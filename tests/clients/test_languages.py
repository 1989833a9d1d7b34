"""Drivers of other languages see the same answers from Laminar as from PostgreSQL 15.

Each folder holds a program that uses its language's usual driver and prints what it gets. Its
dependencies come from the language's own package manager; a language that is not installed is skipped.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.server import LaminarServer

HERE = Path(__file__).parent
JDBC = "org.postgresql:postgresql:42.7.5"
Command = list[str]
#: makes the program ready in a folder; the command that runs it, whose last argument is the URL
Build = Callable[[Path], Command]


def shell(*command: str | Path, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])


def java(folder: Path) -> Command:
    shell(
        "mvn", "-q", "-B", "dependency:copy", f"-Dartifact={JDBC}", f"-DoutputDirectory={folder}", cwd=folder
    )
    jar = next(folder.glob("postgresql-*.jar"))
    return ["java", "-cp", str(jar), str(HERE / "java" / "Client.java")]


def node(folder: Path) -> Command:
    for name in ("package.json", "client.js"):
        shutil.copy(HERE / "node" / name, folder)
    shell("npm", "install", "--silent", "--no-audit", "--no-fund", cwd=folder)
    return ["node", str(folder / "client.js")]


def go(folder: Path) -> Command:
    shell("go", "build", "-o", folder / "client", ".", cwd=HERE / "go")
    return [str(folder / "client")]


def rust(folder: Path) -> Command:
    shell("cargo", "build", "-q", "--target-dir", folder, cwd=HERE / "rust")
    return [str(folder / "debug" / "clienttest")]


LANGUAGES: dict[str, tuple[tuple[str, ...], Build]] = {
    "java": (("java", "mvn"), java),
    "node": (("node", "npm"), node),
    "go": (("go",), go),
    "rust": (("cargo",), rust),
}


def answers(command: Command, user: str, port: int, language: str) -> list[str]:
    options = {"java": f"?user={user}", "go": "?sslmode=disable"}.get(language, "")
    scheme = "jdbc:postgresql" if language == "java" else "postgres"
    who = "" if language == "java" else f"{user}@"
    url = f"{scheme}://{who}127.0.0.1:{port}/laminar{options}"
    done = subprocess.run([*command, url], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout.splitlines()


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "language",
    [
        "java",
        "node",
        "go",
        "rust",
    ],
)
def test_driver(
    language: str, theirs: int, new_laminar: Callable[..., LaminarServer], request: pytest.FixtureRequest
) -> None:
    tools, build = LANGUAGES[language]
    if missing := [tool for tool in tools if shutil.which(tool) is None]:
        pytest.skip(f"{', '.join(missing)} not installed")
    assert request.config.cache is not None
    command = build(request.config.cache.mkdir(f"client-{language}"))
    wanted = answers(command, "laminar", theirs, language)
    assert len(wanted) > 15
    assert answers(command, "laminar", new_laminar().port, language) == wanted
