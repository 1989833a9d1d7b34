"""Lookup join: each left row with what a table outside has for its key, as of when the row came.

The answers are rows of the operator's right input: they come from the log, so that a replay gives every row
what it was given before. A left row whose key has an answer that still holds goes out at the barrier of its
epoch; others wait in the state until theirs has come, and hold the watermark where it was before them. What
is decided at a barrier depends on the epoch's rows and answers alone, not on their order.

Rows that may be taken back are kept with the answer that they were given; one that is there several times is
given the same every time.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from laminar._native.rowindex import group_rows
from laminar._native.rows import RowFormat
from laminar._native.statetable import OrderedTable, StateTable
from laminar.engine.change import NO_WATERMARK, Barrier, Change, Watermarks
from laminar.engine.nodes import LookupJoin
from laminar.engine.operators.base import Asked
from laminar.engine.operators.columns import (
    Expressions,
    added_up,
    of_prefix,
    positions,
    storage_schema,
    with_prefix,
    without_prefix,
)
from laminar.engine.operators.context import OperatorContext

Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
#: a waiting row's key: size of the lookup key, then that; behind it the epoch and the row
_SIZE = struct.Struct(">I")
_EPOCH = struct.Struct(">Q")
#: what checkpoint entries of each state begin with
_CACHED, _GIVEN, _WAITING, _OWN = b"c", b"g", b"w", b"o"
#: entries of the operator itself: the last barrier's watermarks, and those from before an epoch
_MARKS, _HELD = b"m", b"h"


class LookupJoinOperator:
    """A :class:`~laminar.engine.nodes.LookupJoin` node in one reactor."""

    def __init__(self, node: LookupJoin, context: OperatorContext) -> None:
        left = node.left.properties
        place, of_right = positions(left.columns), positions(node.right.properties.columns)
        by_id = {c.id: c for c in left.columns}
        self.node = node
        self.rows_in = self.rows_out = 0
        self._keys = [place[k] for k in node.left_keys]
        self._asked_at = [of_right[c] for c in node.asked]
        self._answered = [of_right[c.id] for c in node.right_columns]
        self._key_format = RowFormat(storage_schema([by_id[k] for k in node.left_keys]))
        self._left_format = RowFormat(storage_schema(left.columns))
        self._right_format = RowFormat(storage_schema(node.right_columns))
        self._schema = storage_schema(node.properties.columns)
        self._residual: Expressions | None = None
        if node.residual is not None:
            columns = (*left.columns, *node.right_columns)
            self._residual = Expressions([node.residual], columns, context.timezone)
        self._cache = StateTable(context.state_dir)
        self._given = None if left.append_only else StateTable(context.state_dir)
        self._waiting = OrderedTable(context.state_dir)
        self._own = StateTable(None)
        #: epoch -> rows that wait since then, and the watermarks from before them
        self._holds: dict[int, tuple[int, dict[int, int]]] = {}
        #: watermarks of the last barrier
        self._marks: dict[int, int] = {}
        #: keys to ask for, and those asked for with the epoch in which they were
        self._wanted: set[bytes] = set()
        self._asked: dict[bytes, int] = {}
        self._restored = False
        self._changes: list[Change] = []
        self._answers: list[pa.RecordBatch] = []

    def process(self, port: int, change: Change) -> list[Change]:
        if port == 0:
            self.rows_in += len(change)
            self._changes.append(change)
        else:
            self._answers.append(change.batch)
        return []

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[Iterator[Change], Watermarks]:
        if self._restored:
            self._take_up()
        out: list[Change] = []
        answers, self._answers = self._answers, []
        for batch in answers:
            out += self._answer(batch, barrier.now)
        for change in self._taken():
            out += self._arrived(change, barrier)
        self._shrink()
        marks = {c: w for c, w in inputs[0].by_column.items() if c in self.node.properties.watermarks}
        if marks != self._marks:
            self._own.put(_MARKS, json.dumps(list(marks.items())).encode())
            self._marks = marks
        if self._holds:
            before = self._holds[min(self._holds)][1]
            marks = {c: min(w, before.get(c, NO_WATERMARK)) for c, w in marks.items()}
        self.rows_out += sum(map(len, out))
        return iter(out), Watermarks(marks)

    def _taken(self) -> Iterator[Change]:
        """The epoch's left changes; where rows may be taken back, what they add up to."""
        changes, self._changes = self._changes, []
        if self._given is None or not changes:
            yield from changes
            return
        table = pa.Table.from_batches(
            [c.batch.rename_columns(self._left_format.schema.names) for c in changes]
        )
        weights = np.concatenate([_weights(c) for c in changes])
        (batch,) = table.combine_chunks().to_batches()
        yield added_up(batch, weights, self._left_format)

    # --- left rows ------------------------------------------------------------------

    def _arrived(self, change: Change, barrier: Barrier) -> Iterator[Change]:
        """Send on what can be answered; the others wait."""
        batch, weights = change.batch, _weights(change)
        keys = pa.RecordBatch.from_arrays(
            [batch.column(k) for k in self._keys], schema=self._key_format.schema
        )
        known = np.ones(len(weights), np.bool_)
        for column in keys.columns:
            if column.null_count:
                known &= column.is_valid().to_numpy(zero_copy_only=False)
        rows = self._left_format.encode(batch)
        if not known.all():
            yield from self._joined(rows.filter(pa.array(~known)), weights[~known], None, barrier.now)
            mask = pa.array(known)
            rows, weights, keys = rows.filter(mask), weights[known], keys.filter(mask)
        encoded = self._key_format.encode(keys)
        if self._given is not None and len(rows):
            values = self._given.get_batch(rows)
            there = values.is_valid().to_numpy(zero_copy_only=False)
            if there.any():
                mask = pa.array(there)
                yield from self._again(rows.filter(mask), weights[there], values.filter(mask), barrier.now)
                mask = pa.array(~there)
                rows, encoded, weights = rows.filter(mask), encoded.filter(mask), weights[~there]
            gone = weights < 0
            if gone.any():
                self._forget(rows.filter(pa.array(gone)), encoded.filter(pa.array(gone)), weights[gone])
                mask = pa.array(~gone)
                rows, encoded, weights = rows.filter(mask), encoded.filter(mask), weights[~gone]
        if not len(rows):
            return
        cached = self._cache.get_batch(encoded)
        holds = _fetched(cached) + self.node.ttl > barrier.now
        if holds.any():
            mask = pa.array(holds)
            yield from self._first(
                rows.filter(mask), weights[holds], without_prefix(cached.filter(mask), 8), barrier.now
            )
        if not holds.all():
            mask = pa.array(~holds)
            self._wait(rows.filter(mask), encoded.filter(mask), weights[~holds], barrier.epoch)

    def _first(
        self, rows: pa.BinaryArray, weights: Numbers, answers: pa.BinaryArray, now: int
    ) -> Iterator[Change]:
        """Rows that meet their answers; these are kept with them when they may be taken back."""
        if self._given is None:
            return self._joined(rows, weights, answers, now)
        group, firsts = group_rows([rows])
        sums = np.zeros(len(firsts), np.int64)
        np.add.at(sums, group, weights)
        places = pa.array(firsts)
        rows, answers = rows.take(places), answers.take(places)
        # one that waited while the same was given an answer
        values = self._given.get_batch(rows)
        there = values.is_valid()
        again, fresh = there.to_numpy(zero_copy_only=False), pc.invert(there)
        weights = sums[~again]
        answers = answers.filter(fresh)
        self._given.put_batch(rows.filter(fresh), _joined_bytes(_numbers(weights), answers))
        return chain(
            self._again(rows.filter(there), sums[again], values.filter(there), now),
            self._joined(rows.filter(fresh), weights, answers, now),
        )

    def _again(
        self, rows: pa.BinaryArray, weights: Numbers, values: pa.BinaryArray, now: int
    ) -> Iterator[Change]:
        """Changes of rows that were given an answer before."""
        assert self._given is not None
        answers = without_prefix(values, 8)
        left = _leading(values) + weights
        kept = _joined_bytes(_numbers(left), answers)
        self._given.put_batch(rows, pc.if_else(pa.array(left != 0), kept, pa.scalar(None, pa.binary())))
        return self._joined(rows, weights, answers, now)

    def _wait(self, rows: pa.BinaryArray, keys: pa.BinaryArray, weights: Numbers, epoch: int) -> None:
        stamp = pa.scalar(_EPOCH.pack(epoch), pa.binary())
        self._waiting.add_batch(
            pc.binary_join_element_wise(_sized(keys), stamp, rows, b""), np.ascontiguousarray(weights)
        )
        self._hold(epoch, int(weights.sum()))
        for key in keys.unique().to_pylist():
            # without a cache only what is read after the row came is good enough
            if not self.node.ttl or key not in self._asked:
                self._wanted.add(key)

    def _hold(self, epoch: int, rows: int) -> None:
        """Let so many more rows of an epoch hold the watermark, or fewer."""
        count, marks = self._holds.get(epoch, (0, self._marks))
        if count + rows:
            self._holds[epoch] = (count + rows, marks)
            self._own.put(
                _HELD + _EPOCH.pack(epoch), json.dumps([count + rows, list(marks.items())]).encode()
            )
        else:
            del self._holds[epoch]
            self._own.delete(_HELD + _EPOCH.pack(epoch))

    def _forget(self, rows: pa.BinaryArray, keys: pa.BinaryArray, weights: Numbers) -> None:
        """Waiting rows are taken back."""
        pairs = zip(rows.to_pylist(), _sized(keys).to_pylist(), weights.tolist(), strict=True)
        for row, key, change in pairs:
            weight = change
            for entry, there in _entries(self._waiting.range(key, key + b"\xff")):
                if weight and entry[len(key) + _EPOCH.size :] == row:
                    taken = min(there, -weight)
                    self._waiting.add(entry, -taken)
                    self._hold(_EPOCH.unpack_from(entry, len(key))[0], -taken)
                    weight += taken
            assert not weight, "a row is taken back that is not there"

    # --- answers -----------------------------------------------------------------------

    def _answer(self, batch: pa.RecordBatch, now: int) -> Iterator[Change]:
        """Answers have come: the rows that waited for them go on."""
        epochs, found, *keys = (batch.column(i) for i in self._asked_at)
        encoded = self._key_format.encode(pa.RecordBatch.from_arrays(keys, schema=self._key_format.schema))
        columns = [batch.column(i) for i in self._answered]
        rows = self._right_format.encode(
            pa.RecordBatch.from_arrays(columns, schema=self._right_format.schema)
        )
        values = _joined_bytes(pc.if_else(found, b"\1", b"\0").cast(pa.binary()), rows)
        known = self._cache.get_batch(encoded).is_valid().to_numpy(zero_copy_only=False).copy()
        waiting: list[pa.RecordBatch] = []
        sized = _sized(encoded)
        triples = zip(encoded.to_pylist(), sized.to_pylist(), epochs.to_pylist(), strict=True)
        for i, (key, prefix, epoch) in enumerate(triples):
            if self._asked.get(key, epoch + 1) <= epoch:
                del self._asked[key]
            # without a cache an answer is for rows that came before it was read
            waiting.append(
                self._waiting.range(prefix, prefix + (b"\xff" if self.node.ttl else _EPOCH.pack(epoch + 1)))
            )
            if waiting[-1].num_rows:
                known[i] = True
                self._wanted.discard(key)
        if self.node.ttl:
            stamp = pa.scalar(struct.pack("<q", now), pa.binary())
            kept = pc.binary_join_element_wise(stamp, values, b"")
            self._cache.put_batch(encoded.filter(pa.array(known)), kept.filter(pa.array(known)))
        sizes = pc.binary_length(sized).to_numpy()
        released: list[Iterator[Change]] = []
        for size in np.unique(sizes).tolist():
            places = [i for i in np.flatnonzero(sizes == size).tolist() if waiting[i].num_rows]
            if places:
                counts = [waiting[i].num_rows for i in places]
                answers = values.take(pa.array(np.repeat(places, counts)))
                entries = pa.Table.from_batches([waiting[i] for i in places])
                released.append(self._released(entries, size, answers, now))
        return chain.from_iterable(released)

    def _released(self, entries: pa.Table, size: int, answers: pa.BinaryArray, now: int) -> Iterator[Change]:
        """Waiting rows whose answers are there; ``size`` bytes of their names are the lookup key."""
        names = entries.column("key").combine_chunks()
        weights = entries.column("weight").to_numpy()
        self._waiting.add_batch(names, -weights)
        epochs = _parsed(pc.binary_slice(names, size, size + _EPOCH.size), ">u8")
        for epoch in np.unique(epochs).tolist():
            self._hold(epoch, -int(weights[epochs == epoch].sum()))
        return self._first(without_prefix(names, size + _EPOCH.size), weights, answers, now)

    def _joined(
        self, rows: pa.BinaryArray, weights: Numbers, answers: pa.BinaryArray | None, now: int
    ) -> Iterator[Change]:
        """Rows with their answers (None: there are none) as the kind of join wants them."""
        left = self._left_format.decode(rows)
        if answers is None:
            matched = np.zeros(len(rows), np.bool_)
            right = _nulls(self._right_format.schema, len(rows))
        else:
            found = pc.equal(pc.binary_slice(answers, 0, 1), pa.scalar(b"\1", pa.binary()))
            matched = found.to_numpy(zero_copy_only=False)
            right = self._right_format.decode(without_prefix(answers, 1))
            matched = self._fulfilled(left, right, matched, now)
        kind = self.node.kind
        if kind == "left":
            if not matched.all():
                right = right.take(pa.array(np.arange(len(matched)), mask=~matched))
        else:
            kept = pa.array(matched if kind != "anti" else ~matched)
            left, right, weights = left.filter(kept), right.filter(kept), weights[kept.to_numpy(False)]
        columns = left.columns if kind in ("semi", "anti") else [*left.columns, *right.columns]
        if len(weights):
            yield Change(pa.RecordBatch.from_arrays(columns, schema=self._schema), weights)

    def _fulfilled(self, left: pa.RecordBatch, right: pa.RecordBatch, matched: Mask, now: int) -> Mask:
        """Where there is a row that the residual condition accepts."""
        if self._residual is None or not matched.any():
            return matched
        places = np.flatnonzero(matched)
        pairs = [*left.columns, *right.columns]
        names = [str(i) for i in range(len(pairs))]
        accepted = np.zeros(len(matched), np.bool_)
        met = pa.RecordBatch.from_arrays(pairs, names).take(pa.array(places))
        accepted[places] = self._residual.holds(met, None, now)
        return accepted

    # --- the cache ---------------------------------------------------------------------------

    def _shrink(self) -> None:
        """Keep the cache within its size: the oldest answers go, a tenth more than must."""
        if len(self._cache) <= self.node.size:
            return
        entries = pa.Table.from_batches(list(self._cache.scan()))
        keys = entries.column("key").combine_chunks()
        fetched = pa.array(_fetched(entries.column("value").combine_chunks()))
        # by key too, so that a replay lets go of the same
        order = pc.sort_indices(
            pa.table({"fetched": fetched, "key": keys}), [("fetched", "ascending"), ("key", "ascending")]
        )
        self._cache.delete_batch(keys.take(order[: len(keys) - self.node.size * 9 // 10]))

    # --- what the world outside is asked ---------------------------------------------------

    def asks(self, epoch: int) -> Asked | None:
        if not self._wanted:
            return None
        self._asked.update(dict.fromkeys(self._wanted, epoch))
        keys = self._key_format.decode(pa.array(sorted(self._wanted), pa.binary()))
        self._wanted.clear()
        return Asked(self.node.relation, keys)

    def _take_up(self) -> None:
        """After a restart everything that waits has to be asked for again."""
        self._restored = False
        for batch in self._own.scan():
            for name, value in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                if name == _MARKS:
                    self._marks = dict(json.loads(value))
                else:
                    count, marks = json.loads(value)
                    self._holds[_EPOCH.unpack_from(name, 1)[0]] = (count, dict(marks))
        for name in self._waiting.range().column("key").to_pylist():
            self._wanted.add(name[_SIZE.size : _SIZE.size + _SIZE.unpack_from(name)[0]])

    # --- state -------------------------------------------------------------------------------

    def _states(self) -> list[tuple[bytes, Any]]:
        states: list[tuple[bytes, Any]] = [
            (_CACHED, self._cache),
            (_WAITING, self._waiting),
            (_OWN, self._own),
        ]
        return states if self._given is None else [*states, (_GIVEN, self._given)]

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        for prefix, state in self._states():
            yield from (with_prefix(entries, prefix) for entries in state.checkpoint())

    def restore(self, entries: pa.RecordBatch) -> None:
        self._restored = True
        for prefix, state in self._states():
            own = of_prefix(entries, prefix)
            if own.num_rows:
                state.restore(own)

    def stats(self) -> dict[str, int]:
        states = [state for _, state in self._states()]
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "entries": sum(map(len, states)),
            "state_bytes": sum(state.state_bytes for state in states),
            "waiting": sum(count for count, _ in self._holds.values()),
            "dropped_error": 0 if self._residual is None else self._residual.failed_rows,
        }

    def close(self) -> None:
        del self._cache, self._given, self._waiting, self._own


def _weights(change: Change) -> Numbers:
    return np.ones(len(change), np.int64) if change.weights is None else change.weights


def _entries(found: pa.RecordBatch) -> Iterator[tuple[bytes, int]]:
    """(key, weight) of an ordered table's entries."""
    return zip(found.column("key").to_pylist(), found.column("weight").to_pylist(), strict=True)


def _nulls(schema: pa.Schema, rows: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.nulls(rows, field.type) for field in schema], schema=schema)


def _numbers(values: Numbers) -> pa.BinaryArray:
    """Eight bytes each."""
    data = pa.py_buffer(np.ascontiguousarray(values, "<i8"))
    return pa.Array.from_buffers(pa.binary(8), len(values), [None, data]).cast(pa.binary())


def _sized(keys: pa.BinaryArray) -> pa.BinaryArray:
    """Keys with their size before them, so that none begins as another does."""
    sizes = np.ascontiguousarray(pc.binary_length(keys).to_numpy(), ">u4")
    prefix = pa.Array.from_buffers(pa.binary(_SIZE.size), len(keys), [None, pa.py_buffer(sizes)])
    return _joined_bytes(prefix.cast(pa.binary()), keys)


def _joined_bytes(first: pa.BinaryArray, second: pa.BinaryArray) -> pa.BinaryArray:
    return pc.binary_join_element_wise(first, second, b"")


def _parsed(values: pa.BinaryArray, dtype: str) -> npt.NDArray[Any]:
    """Numbers, one per value of just their size."""
    _, offsets, data = values.buffers()
    if not len(values):
        return np.empty(0, dtype)
    start = np.frombuffer(offsets, np.int32)[values.offset]
    return np.frombuffer(data, dtype, len(values), start)


def _leading(values: pa.BinaryArray) -> Numbers:
    """The number that each value begins with."""
    return _parsed(pc.binary_slice(values, 0, 8), "<i8")


def _fetched(cached: pa.BinaryArray) -> Numbers:
    """When each cached answer came; long ago where there is none."""
    never = _numbers(np.array([-(1 << 62)]))[0]
    return _leading(pc.fill_null(cached, never))
