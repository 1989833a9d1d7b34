"""The state store: hash table and sorted multiset in memory-mapped arenas. See statetable.hpp, btree.hpp."""

import time

import numpy as np
import pyarrow as pa

from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

from laminar._native.checkpointed import ENTRIES

from laminar._native.checkpointed cimport BatchOut, Checkpointed
from laminar._native.columns cimport Batch, BatchBuilder, Builder, Column, read_batch

KEYS = pa.schema([("key", pa.binary())])
VALUES = pa.schema([("value", pa.binary())])
WEIGHTED = pa.schema([("key", pa.binary()), ("weight", pa.int64())])


cdef extern from "tablescan.hpp" namespace "laminar::engine" nogil:
    size_t scan_table(const Table&, size_t, const uint8_t*, size_t, BatchBuilder&) except +raise_pg_error
    cbool table_changes(Table&, Place&, BatchBuilder&) except +raise_pg_error
    void get_many(const Table&, const Column&, Builder&) except +raise_pg_error
    void put_many(Table&, const Column&, const Column&, cbool) except +raise_pg_error

    cdef cppclass OrderedStrings:
        OrderedStrings(const string&) except +raise_pg_error
        int64_t add(const uint8_t*, size_t, int64_t) except +raise_pg_error
        void add_all(const Column&, const int64_t*) except +raise_pg_error
        int64_t take(const string&, BatchBuilder&) except +raise_pg_error
        int64_t get(const uint8_t*, size_t)
        void range(const string&, const string&, cbool, cbool, int64_t, BatchBuilder&) except +raise_pg_error
        cbool changes(Place&, BatchBuilder&) except +raise_pg_error
        void checkpointed() except +raise_pg_error
        void restore(const uint8_t*, size_t, int64_t) except +raise_pg_error
        size_t entries()
        size_t bytes()


cdef extern from "fixedtable.hpp" namespace "laminar::engine" nogil:
    size_t scan_fixed(const FixedTable&, size_t, const uint8_t*, size_t, BatchBuilder&) except +raise_pg_error
    cbool fixed_changes(FixedTable&, Place&, BatchBuilder&) except +raise_pg_error
    void get_fixed(const FixedTable&, const Column&, Builder&) except +raise_pg_error
    void put_fixed(FixedTable&, const Column&, const Column&, cbool) except +raise_pg_error


cdef extern from "arena.hpp" namespace "laminar::engine" nogil:
    int64_t set_memory_budget(int64_t)


def memory_budget(left=None):
    """See statetable.pyi."""
    return set_memory_budget(-1 if left is None else left)


cdef inline const uint8_t* raw(bytes b) noexcept:
    return <const uint8_t*>PyBytes_AsString(b)


cdef class Entries(Checkpointed):
    """What tables of all kinds do with many entries at a time. See statetable.pyi."""

    cdef int read(self, const Column& keys, Builder* out) except -1:
        raise NotImplementedError

    cdef int write(self, const Batch& entries, bint restoring) except -1:
        raise NotImplementedError

    cdef size_t collect(self, size_t place, const uint8_t* prefix, size_t n, BatchBuilder* out) except? 1:
        raise NotImplementedError

    cdef bint changes(self, Place* place, BatchBuilder* out) except -1:
        raise NotImplementedError

    cdef int settled(self) except -1:
        raise NotImplementedError

    def get_batch(self, keys):
        cdef tuple held = pa.RecordBatch.from_arrays([keys], schema=KEYS).__arrow_c_array__()
        cdef Batch view = read_batch(held)
        cdef BatchOut out = BatchOut(VALUES)
        self.read(view.columns[0], &out.builder.columns[0])
        return out.finish().column(0)

    def put_batch(self, keys, values):
        cdef tuple held = pa.RecordBatch.from_arrays([keys, values], schema=ENTRIES).__arrow_c_array__()
        self.write(read_batch(held), False)

    def delete_batch(self, keys):
        self.put_batch(keys, pa.nulls(len(keys), pa.binary()))

    def scan(self, bytes prefix=b""):
        cdef size_t place = 0, n = PyBytes_GET_SIZE(prefix)
        cdef const uint8_t* p = raw(prefix)
        cdef BatchOut out
        while True:
            out = BatchOut(ENTRIES)
            place = self.collect(place, p, n, out.builder)
            if out.builder.columns[0].length():
                yield out.finish()
            if not place:
                return

    def snapshot(self):
        return list(self.scan())

    cdef bint next_entries(self, BatchBuilder* out) except -1:
        if self.changes(&self.place, out):
            return True
        self.settled()
        self.place = Place()
        return False

    cdef int put_back(self, const Batch& entries) except -1:
        return self.write(entries, True)

    @property
    def allocated_bytes(self):
        return self.arena.allocated()


cdef class StateTable(Entries):
    """Bytes to bytes, unordered. See statetable.pyi."""

    def __cinit__(self, directory=None):
        self.arena = new Arena(str(directory or "").encode())
        self.table = new Table(self.arena)

    def __dealloc__(self):
        del self.table
        del self.arena

    cdef const Row* lookup(self, const uint8_t* key, size_t size) noexcept nogil:
        return self.table.find(key, size, Table.hash(key, size))

    cdef Row* store(self, const uint8_t* key, size_t size, const uint8_t* value, size_t value_size) except NULL nogil:
        cdef Row* row = self.table.upsert(key, size, Table.hash(key, size), value_size, NULL)
        if value_size:
            memcpy(row.value(), value, value_size)
        return row

    cdef bint remove(self, const uint8_t* key, size_t size) except -1 nogil:
        return self.table.erase(key, size, Table.hash(key, size))

    def get(self, bytes key not None):
        cdef const Row* row = self.lookup(raw(key), PyBytes_GET_SIZE(key))
        if row is NULL:
            return None
        return PyBytes_FromStringAndSize(<const char*>(<Row*>row).value(), row.vlen)

    def put(self, bytes key not None, bytes value not None):
        self.store(raw(key), PyBytes_GET_SIZE(key), raw(value), PyBytes_GET_SIZE(value))

    def delete(self, bytes key not None):
        return bool(self.remove(raw(key), PyBytes_GET_SIZE(key)))

    def __len__(self):
        return self.table.entries()

    cdef int read(self, const Column& keys, Builder* out) except -1:
        with nogil:
            get_many(self.table[0], keys, out[0])
        return 0

    cdef int write(self, const Batch& entries, bint restoring) except -1:
        with nogil:
            put_many(self.table[0], entries.columns[0], entries.columns[1], restoring)
        return 0

    cdef size_t collect(self, size_t place, const uint8_t* prefix, size_t n, BatchBuilder* out) except? 1:
        with nogil:
            return scan_table(self.table[0], place, prefix, n, out[0])

    cdef bint changes(self, Place* place, BatchBuilder* out) except -1:
        with nogil:
            return table_changes(self.table[0], place[0], out[0])

    cdef int settled(self) except -1:
        self.table.checkpointed()
        return 0

    def clear(self):
        self.table.clear()

    @property
    def state_bytes(self):
        return self.table.bytes()


cdef class FixedStateTable(Entries):
    """As StateTable, for keys and values of one size each, which lie in the slots. See statetable.pyi."""

    def __cinit__(self, size_t key_size, size_t value_size, directory=None):
        self.arena = new Arena(str(directory or "").encode())
        self.table = new FixedTable(self.arena, key_size, value_size)

    def __dealloc__(self):
        del self.table
        del self.arena

    cdef const uint8_t* lookup(self, const uint8_t* key) noexcept nogil:
        return self.table.find(key)

    cdef uint8_t* store(self, const uint8_t* key) except NULL nogil:
        return self.table.upsert(key, NULL)

    cdef _check(self, bytes key):
        if <size_t>PyBytes_GET_SIZE(key) != self.table.key_size():
            raise ValueError(f"keys of this table have {self.table.key_size()} bytes")

    def get(self, bytes key not None):
        self._check(key)
        cdef const uint8_t* value = self.table.find(raw(key))
        return None if value is NULL else PyBytes_FromStringAndSize(<const char*>value, self.table.value_size())

    def put(self, bytes key not None, bytes value not None):
        self._check(key)
        if <size_t>PyBytes_GET_SIZE(value) != self.table.value_size():
            raise ValueError(f"values of this table have {self.table.value_size()} bytes")
        memcpy(self.table.upsert(raw(key), NULL), raw(value), PyBytes_GET_SIZE(value))

    def delete(self, bytes key not None):
        self._check(key)
        return bool(self.table.erase(raw(key)))

    def __len__(self):
        return self.table.entries()

    cdef int read(self, const Column& keys, Builder* out) except -1:
        with nogil:
            get_fixed(self.table[0], keys, out[0])
        return 0

    cdef int write(self, const Batch& entries, bint restoring) except -1:
        with nogil:
            put_fixed(self.table[0], entries.columns[0], entries.columns[1], restoring)
        return 0

    cdef size_t collect(self, size_t place, const uint8_t* prefix, size_t n, BatchBuilder* out) except? 1:
        with nogil:
            return scan_fixed(self.table[0], place, prefix, n, out[0])

    cdef bint changes(self, Place* place, BatchBuilder* out) except -1:
        with nogil:
            return fixed_changes(self.table[0], place[0], out[0])

    cdef int settled(self) except -1:
        self.table.checkpointed()
        return 0

    def clear(self):
        self.table.clear()

    @property
    def state_bytes(self):
        return self.table.bytes()


def time_lookups(table, const uint8_t[:, ::1] keys):
    """See statetable.pyi."""
    cdef StateTable any_size
    cdef FixedStateTable one_size
    cdef size_t n = keys.shape[0], size = keys.shape[1], i
    out = np.empty(n, dtype=np.uint64)
    cdef uint64_t[::1] ticks = out
    cdef uint64_t before, total = 0
    cdef const Row* row
    cdef const uint8_t* value
    start_ns, start = time.perf_counter_ns(), rdtscp()
    if isinstance(table, FixedStateTable):
        one_size = table
        one_size._check(bytes(keys[0]))
        with nogil:
            for i in range(n):
                before = rdtscp()
                value = one_size.lookup(&keys[i, 0])
                if value is not NULL:
                    total += value[0]
                ticks[i] = rdtscp() - before
    elif isinstance(table, StateTable):
        any_size = table
        with nogil:
            for i in range(n):
                before = rdtscp()
                row = any_size.lookup(&keys[i, 0], size)
                if row is not NULL:
                    total += (<Row*>row).value()[0]
                ticks[i] = rdtscp() - before
    else:
        with nogil:
            for i in range(n):
                before = rdtscp()
                ticks[i] = rdtscp() - before
    spent = (time.perf_counter_ns() - start_ns) / (rdtscp() - start)
    return out * spent, total


cdef extern from *:
    """
    #if defined(__x86_64__)
    #include <x86intrin.h>
    static inline unsigned long long laminar_ticks() { unsigned aux; unsigned long long t = __rdtscp(&aux); _mm_lfence(); return t; }
    #else
    #include <time.h>
    static inline unsigned long long laminar_ticks() {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * 1000000000ull + t.tv_nsec;
    }
    #endif
    """
    uint64_t rdtscp "laminar_ticks" () noexcept nogil


cdef class OrderedTable(Checkpointed):
    """Byte strings with weights, in memcmp order. See statetable.pyi."""

    cdef OrderedStrings* strings
    cdef Place place  # of the checkpoint that is being taken

    def __cinit__(self, directory=None):
        self.strings = new OrderedStrings(str(directory or "").encode())

    def __dealloc__(self):
        del self.strings

    def add(self, bytes key not None, int64_t weight=1):
        return self.strings.add(raw(key), PyBytes_GET_SIZE(key), weight)

    def add_batch(self, keys, weights):
        cdef tuple held = pa.RecordBatch.from_arrays([keys], schema=KEYS).__arrow_c_array__()
        cdef Batch view = read_batch(held)
        cdef const int64_t[::1] w = weights
        if w.shape[0] != view.rows:
            raise ValueError("one weight per key")
        if not view.rows:
            return
        with nogil:
            self.strings.add_all(view.columns[0], &w[0])

    def take(self, bytes high not None):
        cdef BatchOut out = BatchOut(WEIGHTED)
        cdef string bound = high
        with nogil:
            self.strings.take(bound, out.builder[0])
        return out.finish()

    def get(self, bytes key not None):
        return self.strings.get(raw(key), PyBytes_GET_SIZE(key))

    def __len__(self):
        return self.strings.entries()

    def range(self, bytes low not None=b"", high=None, bint descending=False, int64_t limit=2**62):
        cdef BatchOut out = BatchOut(WEIGHTED)
        cdef string first = low, last = high or b""
        cdef bint bounded = high is not None
        with nogil:
            self.strings.range(first, last, bounded, descending, limit, out.builder[0])
        return out.finish()

    cdef bint next_entries(self, BatchBuilder* out) except -1:
        with nogil:
            if self.strings.changes(self.place, out[0]):
                return True
            self.strings.checkpointed()
        self.place = Place()
        return False

    def restore(self, entries):
        cdef bytes key, value
        cdef int64_t weight
        for key, value in zip(entries.column(0).to_pylist(), entries.column(1).to_pylist()):
            weight = 0 if value is None else int.from_bytes(value, "little", signed=True)
            self.strings.restore(raw(key), PyBytes_GET_SIZE(key), weight)

    @property
    def state_bytes(self):
        return self.strings.bytes()
