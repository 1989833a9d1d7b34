"""The state store beside LMDB and a dict: put, get, delete, scan, snapshot and recovery, in one run.

    python -m benchmarks.store [--millions 1 10 50] [--peers-to 50]

One store after the other, since 50 million entries take up to 12 GB in each.
Entries have random 16-byte keys and 64-byte values. Single operations go through each one's Python
interface and are timed one by one, less what an empty call takes; the rest is per entry of all of them.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import lmdb
import numpy as np
import pyarrow as pa

from laminar._native.statetable import FixedStateTable
from laminar.engine.statefile import read_states, write_states

_BATCH = 1 << 16
_SAMPLES = 200_000
_KEY, _VALUE = 16, 64


class Store(Protocol):
    """What is compared."""

    name: str

    def load(self, keys: np.ndarray) -> None: ...
    def get(self, key: bytes) -> object: ...
    def put(self, key: bytes, value: bytes) -> object: ...
    def delete(self, key: bytes) -> object: ...
    def scan(self) -> int: ...
    def snapshot(self) -> object: ...
    def recover(self) -> float: ...
    def size(self) -> float: ...


class Laminar:
    name = "state store"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.table = FixedStateTable(_KEY, _VALUE, folder)
        self.get, self.put, self.delete = self.table.get, self.table.put, self.table.delete

    def load(self, keys: np.ndarray) -> None:
        values = _binary(np.zeros((_BATCH, _VALUE), np.uint8))
        for first in range(0, len(keys), _BATCH):
            part = _binary(keys[first : first + _BATCH])
            self.table.put_batch(part, values[: len(part)])

    def scan(self) -> int:
        return sum(batch.num_rows for batch in self.table.scan())

    def snapshot(self) -> object:
        return self.table.snapshot()

    def recover(self) -> float:
        """Seconds from a checkpoint's file to the same table."""
        path = self.folder / "all.state"
        write_states(path, ((1, 1, [entries]) for entries in self.table.checkpoint()))
        started = time.perf_counter()
        again = FixedStateTable(_KEY, _VALUE, self.folder)
        for _, _, entries in read_states(path):
            again.restore(entries)
        assert len(again) == len(self.table)
        return time.perf_counter() - started

    def size(self) -> float:
        return self.table.state_bytes / len(self.table)


class Lmdb:
    name = "LMDB"

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder / "lmdb"
        self.env = stack.enter_context(
            lmdb.open(str(self.folder), map_size=32 << 30, sync=False, writemap=True)
        )
        self.transaction: Any = None

    def load(self, keys: np.ndarray) -> None:
        with self.env.begin(write=True) as transaction:
            for key in keys:
                transaction.put(key.tobytes(), bytes(_VALUE))
        self.transaction = self.env.begin(write=True)
        self.get, self.put, self.delete = self.transaction.get, self.transaction.put, self.transaction.delete

    def scan(self) -> int:
        return sum(1 for _ in self.transaction.cursor())

    def snapshot(self) -> object:
        """Transactions see one: nothing is copied."""
        return None

    def recover(self) -> float:
        """Opening is all there is; the pages are read when they are wanted."""
        self.transaction.commit()
        entries = self.env.stat()["entries"]
        self.env.close()
        started = time.perf_counter()
        with lmdb.open(str(self.folder), map_size=32 << 30) as again:
            assert again.stat()["entries"] == entries
        return time.perf_counter() - started

    def size(self) -> float:
        stat = self.transaction.stat()
        pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return float(pages * stat["psize"] / stat["entries"])


class Dict:
    name = "dict"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "dict.pickle"
        self.held: dict[bytes, bytes] = {}
        self.get, self.put = self.held.get, self.held.__setitem__
        self.delete = self.held.pop

    def load(self, keys: np.ndarray) -> None:
        for key in keys:
            self.held[key.tobytes()] = bytes(_VALUE)

    def scan(self) -> int:
        return sum(1 for _ in self.held.items())

    def snapshot(self) -> object:
        return self.held.copy()

    def recover(self) -> float:
        with self.path.open("wb") as file:
            pickler = pickle.Pickler(file, protocol=5)
            pickler.fast = True  # no object is there twice, and a note of each would take more than they do
            pickler.dump(self.held)
        entries = len(self.held)
        self.held.clear()
        started = time.perf_counter()
        with self.path.open("rb") as file:
            assert len(pickle.load(file)) == entries
        return time.perf_counter() - started

    def size(self) -> float:
        one = sys.getsizeof(bytes(_KEY)) + sys.getsizeof(bytes(_VALUE))
        return sys.getsizeof(self.held) / len(self.held) + one


def timed(call: Callable[..., object], arguments: list[tuple[bytes, ...]]) -> np.ndarray:
    """Nanoseconds of each call."""
    out = np.empty(len(arguments))
    clock = time.perf_counter_ns
    for i, one in enumerate(arguments):
        started = clock()
        call(*one)
        out[i] = clock() - started
    return out


def measure(store: Store, keys: np.ndarray) -> list[str]:
    """The cells of a store's row."""
    started = time.perf_counter()
    store.load(keys)
    loading = (time.perf_counter() - started) / len(keys) * 1e9
    size = store.size()
    chosen = np.random.default_rng(4).choice(len(keys), _SAMPLES, replace=False)
    present = [(keys[i].tobytes(),) for i in chosen]
    value = bytes(range(_VALUE))
    cells = [f"{size:.0f}", f"{loading:.0f}"]
    for call, arguments in (
        (store.get, present),
        (store.put, [(key, value) for (key,) in present]),
        (store.delete, present),
    ):
        nothing = float(np.median(timed(lambda *_: None, arguments[:10_000])))
        p50, p99, p999 = np.percentile(timed(call, arguments), [50, 99, 99.9]) - nothing
        cells.append(f"{p50:.0f} / {p99:.0f} / {p999:.0f}")
    for every in (store.scan, store.snapshot):
        started = time.perf_counter()
        every()
        cells.append(f"{(time.perf_counter() - started) / len(keys) * 1e9:.0f}")
    cells.append(f"{store.recover():.2f}")
    return cells


def _binary(rows: np.ndarray) -> pa.BinaryArray:
    fixed = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(rows.shape[1]), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows))]
    )
    return fixed.cast(pa.binary())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=__doc__)
    parser.add_argument("--millions", type=int, nargs="*", default=[1, 10, 50])
    parser.add_argument("--peers-to", type=int, default=50, help="millions of entries that peers get")
    options = parser.parse_args()
    print("| entries | | bytes | load | get p50/p99/p99.9 | put | delete | scan | snapshot | recovery, s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for millions in options.millions:
        keys = np.random.default_rng(3).integers(0, 256, (millions * 1_000_000, _KEY), dtype=np.uint8)
        for number in range(1 if millions > options.peers_to else 3):
            with ExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="laminar-store-")))
                makers: list[Callable[[], Any]] = [
                    lambda: Laminar(folder),  # noqa: B023
                    lambda: Lmdb(folder, stack),  # noqa: B023
                    lambda: Dict(folder),  # noqa: B023
                ]
                store = makers[number]()
                print(f"| {millions} M | {store.name} | {' | '.join(measure(store, keys))} |", flush=True)


if __name__ == "__main__":
    main()
