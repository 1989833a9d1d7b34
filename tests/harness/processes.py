"""Starting, awaiting and stopping the processes that tests talk to."""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def free_port() -> int:
    """A TCP port on loopback that nobody listened on a moment ago."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def die_with_parent(sig: int) -> Callable[[], None]:
    """For ``Popen(preexec_fn=...)``: the child gets ``sig`` when the test process ends, however it ends."""

    def arm() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, sig, 0, 0, 0)

    return arm


def wait_until(
    ready: Callable[[], bool],
    *,
    process: subprocess.Popen[bytes],
    log: Path,
    what: str,
    seconds: float = 180,
    interval: float = 0.02,
) -> None:
    """Poll until ``ready``; fails with the log's end when the process dies or time is up."""
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None:
            raise RuntimeError(f"{what} ended with status {process.returncode}:\n{tail(log)}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} is not ready after {seconds:g} s:\n{tail(log)}")
        time.sleep(interval)


def listening(port: int) -> bool:
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


def stop(process: subprocess.Popen[bytes], sig: signal.Signals, seconds: float = 30) -> int:
    """Send ``sig`` to that process alone, wait for its end, kill it if that takes too long."""
    if process.poll() is None:
        process.send_signal(sig)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


def tail(log: Path, lines: int = 40) -> str:
    """The end of a log file."""
    if not log.exists():
        return "(no log)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
