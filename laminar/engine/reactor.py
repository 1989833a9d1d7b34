"""A reactor's process: ``python -m laminar.engine.reactor SETTINGS``, exec'd by the server.

What must happen before Arrow starts its threads happens here: die with the server, run on one
core, one thread for everything. The reactor itself is in ``worker``.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def prepare(parent: int, cpu: int | None) -> None:
    """Bind the process to its server and its core."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit(0)  # the server died before the signal was armed
    # A terminal's Ctrl-C goes to the whole group; the server decides when reactors stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    os.environ.update(OMP_NUM_THREADS="1", ARROW_NUM_THREADS="1", ARROW_IO_THREADS="1")


def main() -> None:
    settings = json.loads(sys.argv[1])
    prepare(settings["parent"], settings["cpu"])

    import pyarrow as pa

    from laminar.arrowsetup import leave_pandas_out

    pa.set_cpu_count(1)
    leave_pandas_out()
    from laminar.engine.worker import Reactor, settings_from

    reactor = Reactor(settings_from(settings))
    # What is there now stays; collecting it again and again took 7 % of a busy reactor's time.
    gc.collect()
    gc.freeze()
    reactor.run()


if __name__ == "__main__":
    main()
