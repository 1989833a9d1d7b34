"""Dataflows that reactors die of: given up after some deaths, so that the others run."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable

from laminar import logging
from laminar.engine.state import EngineState

log = logging.get(__name__)

#: deaths at the same dataflow, without a checkpoint in between, until it is given up
_STRIKES = 3


class Failures:
    """Counts deaths by dataflow; ``EngineState.failed`` has what was given up, and why.

    Args:
        on_failure: called with each dataflow's number.
    """

    def __init__(self, state: EngineState, on_failure: Callable[[int], None]) -> None:
        self.state = state
        self.on_failure = on_failure
        self._strikes: Counter[int] = Counter()
        #: table -> the failed sink that fills it
        self._tables: dict[int, int] = {}

    def blame(self, dataflow: int, reason: str) -> None:
        """A reactor has died while it worked on a dataflow (0: on none)."""
        self._strikes[dataflow] += 1
        if self._strikes[dataflow] >= _STRIKES and dataflow in self.state.dataflows:
            self.fail(dataflow, reason)

    def settle(self) -> None:
        """A checkpoint is durable: what was survived is not held against anybody."""
        self._strikes.clear()

    def fail(self, dataflow: int, reason: str) -> None:
        """Give a dataflow up, and those that read it; the next reactors do without."""
        state = self.state
        log.error("a dataflow has failed", dataflow=dataflow, reason=reason)
        state.failed[dataflow] = reason
        spec = state.dataflows.get(dataflow)
        state.forget_dataflow(dataflow)
        self.on_failure(dataflow)
        for fed in spec.outputs if spec is not None else ():
            if fed != dataflow:
                state.failed[fed] = f"the view or sink that fills it has failed: {reason}"
                self._tables[fed] = dataflow
                self.on_failure(fed)
            for reader in [flow.id for flow in state.dataflows.values() if fed in flow.inputs]:
                name = state.relations[fed].name if fed in state.relations else str(fed)
                self.fail(reader, f'it reads "{name}", which has failed')

    def forgive(self, dataflow: int) -> None:
        """The dataflow is dropped."""
        for oid in [dataflow, *(table for table, sink in self._tables.items() if sink == dataflow)]:
            self.state.failed.pop(oid, None)
            self._tables.pop(oid, None)


def describe_death(code: int) -> str:
    """The end of a process in words; ``code`` as in ``Popen.returncode``."""
    if code >= 0:
        return f"the reactor ended with status {code}"
    name = signal.Signals(-code).name if -code in signal.valid_signals() else str(-code)
    return f"the reactor was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
