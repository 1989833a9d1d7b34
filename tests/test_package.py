"""A wheel builds, has everything in it and runs by itself."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_wheel(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        tmp_path,
        ROOT,
    ]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = tmp_path.glob("laminar-*.whl")
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(unpacked)
    for source in (ROOT / "laminar").rglob("*"):
        relative = str(source.relative_to(ROOT))
        if source.suffix in (".py", ".pyi", ".pxd", ".hpp") or source.name == "py.typed":
            assert relative in names, f"{relative} is not in the wheel"
    for module in (ROOT / "laminar/_native").glob("*.pyx"):
        assert any(n.startswith(f"laminar/_native/{module.stem}.") and n.endswith(".so") for n in names), (
            module
        )
    assert not any(n.startswith("tests/") or n.endswith(".pyx.cpp") for n in names)
    run = [sys.executable, "-P", "-c", "import laminar, sys; print(laminar.__file__)"]
    done = subprocess.run(
        run, cwd=tmp_path, env={"PYTHONPATH": str(unpacked)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(str(unpacked))
    version = [sys.executable, "-P", "-m", "laminar", "version"]
    done = subprocess.run(
        version, cwd=tmp_path, env={"PYTHONPATH": str(unpacked)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("laminar "), done.stdout
