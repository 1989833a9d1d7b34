# distutils: language = c++
"""Hash index from key columns to row ids of Arrow chunks, and hashes of whole rows."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t, uintptr_t
from libcpp.string cimport string
from libcpp.vector cimport vector

import secrets

import numpy as np
import pyarrow as pa

from laminar._native.columns cimport raise_pg_error

# nobody can choose keys that collide
cdef uint64_t _SEED = secrets.randbits(64)


cdef extern from "rowkeys.hpp" namespace "laminar" nogil:
    cdef struct KeyColumn:
        const uint8_t* valid
        const uint8_t* data
        const int32_t* offsets
        int64_t start
        int width

    ctypedef vector[KeyColumn] KeyColumns
    void hash_column(const KeyColumn&, int64_t, uint64_t*)
    int64_t c_group_rows "laminar::group_rows"(
        const KeyColumns&, const uint64_t*, int64_t, int64_t*, vector[int64_t]&
    ) except +
    void c_group_sums "laminar::group_sums"(const double*, const int64_t*, int64_t, double*, double*)
    void hash_lists(const KeyColumn&, const uint64_t*, int64_t, uint64_t*)


cdef extern from "rowindex.hpp" namespace "laminar" nogil:
    cdef cppclass CRowIndex "laminar::RowIndex":
        CRowIndex(bint, const string&) except +raise_pg_error
        void set_chunk(uint64_t, const KeyColumns&, int64_t) except +raise_pg_error
        void drop_chunk(uint64_t)
        void take(const KeyColumns&, const uint64_t*, int64_t, int64_t*)
        int64_t insert(uint64_t, const uint64_t*, int64_t, const uint8_t*) except +raise_pg_error
        void find(const KeyColumns&, const uint64_t*, int64_t, int64_t*)
        int64_t erase(const uint64_t*, const int64_t*, int64_t)
        int64_t move(const uint64_t*, const int64_t*, const int64_t*, int64_t)
        uint64_t size()
        uint64_t bytes()


cdef const uint8_t* _address(object buffer):
    return <const uint8_t*><uintptr_t>buffer.address if buffer is not None else NULL


cdef KeyColumn _column(object array) except *:
    cdef KeyColumn column
    kind = array.type
    buffers = array.buffers()
    column.valid = _address(buffers[0]) if array.null_count else NULL
    column.start = array.offset
    column.offsets = NULL
    column.data = NULL
    column.width = -1
    if pa.types.is_boolean(kind):
        column.width = 0
        column.data = _address(buffers[1])
    elif pa.types.is_string(kind) or pa.types.is_binary(kind):
        column.offsets = <const int32_t*>_address(buffers[1])
        column.data = _address(buffers[2])
    elif pa.types.is_list(kind):
        column.offsets = <const int32_t*>_address(buffers[1])
    elif pa.types.is_primitive(kind) or pa.types.is_decimal128(kind) or pa.types.is_fixed_size_binary(kind):
        column.width = kind.bit_width // 8
        column.data = _address(buffers[1])
    else:
        raise TypeError(f"no key of storage type {kind}")
    return column


cdef uint64_t[::1] _hash(list arrays, int64_t rows, uint64_t seed):
    cdef uint64_t[::1] hashes = np.full(rows, seed, dtype=np.uint64)
    cdef uint64_t[::1] elements
    cdef KeyColumn column
    if rows == 0:
        return hashes
    for array in arrays:
        if len(array) != rows:
            raise ValueError("key columns of different lengths")
        column = _column(array)
        if pa.types.is_list(array.type):
            values = array.values
            elements = _hash([values], len(values), seed)
            hash_lists(column, &elements[0] if len(values) else NULL, rows, &hashes[0])
        else:
            with nogil:
                hash_column(column, rows, &hashes[0])
    return hashes


def hash_rows(list arrays not None, uint64_t seed=0):
    """uint64 hash of each row over all columns; any storage type, null equal to null."""
    return np.asarray(_hash(arrays, len(arrays[0]) if arrays else 0, seed))


cdef struct OneKey:
    KeyColumns columns
    int64_t numbers[8]
    int32_t offsets[8][2]


cdef _fill(OneKey* key, tuple values, tuple widths):
    """One row of columns over values, which must outlive it; ``key`` must not move."""
    cdef KeyColumn column
    cdef Py_ssize_t i
    cdef bytes text
    if not 0 < len(values) <= 8 or len(widths) != len(values):
        raise ValueError("1 to 8 values with a width each")
    for i in range(len(values)):
        column.valid = NULL
        column.start = 0
        column.width = widths[i]
        if column.width > 0:
            key.numbers[i] = values[i]
            column.data = <const uint8_t*>&key.numbers[i]
            column.offsets = NULL
        else:
            text = values[i]
            key.offsets[i][0] = 0
            key.offsets[i][1] = <int32_t>len(text)
            column.data = <const uint8_t*>text
            column.offsets = &key.offsets[i][0]
        key.columns.push_back(column)


cdef void _hash_one(OneKey* key, uint64_t* hashed) noexcept:
    cdef size_t i
    for i in range(key.columns.size()):
        hash_column(key.columns[i], 1, hashed)


def key_digest(tuple values not None, tuple widths not None, uint64_t first, uint64_t second):
    """The same 16 bytes for one row of values as ``RowIndex.find_row`` takes them."""
    cdef OneKey key
    cdef uint64_t halves[2]
    _fill(&key, values, widths)
    halves[0] = first
    halves[1] = second
    _hash_one(&key, &halves[0])
    _hash_one(&key, &halves[1])
    return (<char*>halves)[:16]


def row_digests(list arrays not None, uint64_t first, uint64_t second):
    """16 bytes for each row, of two hashes with these seeds."""
    cdef int64_t rows = len(arrays[0]) if arrays else 0
    cdef int64_t i
    cdef uint64_t halves[2]
    cdef uint64_t[::1] left = _hash(arrays, rows, first)
    cdef uint64_t[::1] right = _hash(arrays, rows, second)
    found = []
    for i in range(rows):
        halves[0] = left[i]
        halves[1] = right[i]
        found.append((<char*>halves)[:16])
    return found


def group_rows(list arrays not None):
    """Number the distinct rows: (group of each row, first row of each group), int64 both.

    Groups are numbered by first appearance; null equals null. Not for list columns.
    """
    cdef int64_t rows = len(arrays[0])
    cdef uint64_t[::1] hashes = _hash(arrays, rows, _SEED)
    cdef KeyColumns columns
    cdef vector[int64_t] firsts
    cdef int64_t i
    groups = np.empty(rows, dtype=np.int64)
    cdef int64_t[::1] out = groups
    if rows == 0:
        return groups, np.empty(0, dtype=np.int64)
    for array in arrays:
        if pa.types.is_list(array.type):
            raise TypeError("lists are grouped by their sort key")
        columns.push_back(_column(array))
    with nogil:
        c_group_rows(columns, &hashes[0], rows, &out[0], firsts)
    result = np.empty(firsts.size(), dtype=np.int64)
    cdef int64_t[::1] first = result
    for i in range(<int64_t>firsts.size()):
        first[i] = firsts[i]
    return groups, result


def group_sums(const double[::1] values not None, const int64_t[::1] groups not None, int64_t count):
    """float64 sum of the values of each group (numbered below ``count``), compensated."""
    cdef int64_t rows = values.shape[0]
    sums, lost = np.zeros(count), np.zeros(count)
    cdef double[::1] out = sums
    cdef double[::1] rest = lost
    if groups.shape[0] != rows:
        raise ValueError("a group for every value")
    if rows and count:
        if np.min(groups) < 0 or np.max(groups) >= count:
            raise IndexError("group out of range")
        with nogil:
            c_group_sums(&values[0], &groups[0], rows, &out[0], &rest[0])
    return np.where(np.isfinite(sums), sums + lost, sums)


cdef class RowIndex:
    """Key columns -> row id (chunk << 32 | offset). Keeps the chunks' key columns alive.

    A ``multiset`` index may hold a key many times. Beyond the process's budget (statetable.memory_budget)
    it lies in a file in ``directory``; without one it lies in memory.
    """

    cdef CRowIndex* index
    cdef uint64_t seed
    cdef dict columns

    def __cinit__(self, uint64_t seed=0, bint multiset=False, directory=None):
        self.index = new CRowIndex(multiset, str(directory or "").encode())
        self.seed = seed
        self.columns = {}

    def __dealloc__(self):
        del self.index

    def __len__(self):
        return self.index.size()

    @property
    def nbytes(self):
        return self.index.bytes()

    def set_chunk(self, uint64_t chunk, list arrays not None):
        """Tell where the chunk's key columns are (again, when they moved)."""
        cdef KeyColumns columns
        for array in arrays:
            columns.push_back(_column(array))
        self.index.set_chunk(chunk, columns, len(arrays[0]))
        self.columns[chunk] = arrays

    def drop_chunk(self, uint64_t chunk):
        """Let go of a chunk's columns; its rows must have been erased or moved."""
        if self.columns.pop(chunk, None) is not None:
            self.index.drop_chunk(chunk)

    def insert(self, uint64_t chunk, const uint8_t[::1] live=None):
        """Insert a chunk's (live) rows. Returns the offset of the first duplicate key, or -1
        (always in a multiset)."""
        arrays = self.columns[chunk]
        cdef int64_t rows = len(arrays[0])
        cdef uint64_t[::1] hashes = _hash(arrays, rows, self.seed)
        cdef int64_t duplicate
        cdef const uint8_t* bits = &live[0] if live is not None and rows else NULL
        if rows == 0:
            return -1
        with nogil:
            duplicate = self.index.insert(chunk, &hashes[0], rows, bits)
        return duplicate

    def find(self, list keys not None):
        """int64 row ids of the keys, -1 where there is none."""
        return self._probe(keys, False)

    def find_row(self, tuple values not None, tuple widths not None):
        """Row id of one key, -1 where there is none.

        Args:
            values: an int for a column of fixed width, bytes for one of variable width; at most 8.
            widths: bytes of each column's values (2, 4 or 8; the int must fit), or -1.
        """
        cdef OneKey key
        cdef uint64_t hashed = self.seed
        cdef int64_t found
        _fill(&key, values, widths)
        _hash_one(&key, &hashed)
        self.index.find(key.columns, &hashed, 1, &found)
        return found

    def take(self, list keys not None):
        """As ``find``, and takes the rows out: equal keys find different rows of a multiset."""
        return self._probe(keys, True)

    cdef _probe(self, list keys, bint take):
        cdef int64_t rows = len(keys[0])
        found = np.empty(rows, dtype=np.int64)
        cdef int64_t[::1] out = found
        cdef uint64_t[::1] hashes = _hash(keys, rows, self.seed)
        cdef KeyColumns columns
        if rows == 0:
            return found
        for array in keys:
            columns.push_back(_column(array))
        with nogil:
            if take:
                self.index.take(columns, &hashes[0], rows, &out[0])
            else:
                self.index.find(columns, &hashes[0], rows, &out[0])
        return found

    def erase(self, list keys not None, const int64_t[::1] rows not None):
        """Remove the rows with these keys and ids; returns how many were there."""
        cdef uint64_t[::1] hashes = _hash(keys, rows.shape[0], self.seed)
        cdef int64_t removed
        if rows.shape[0] == 0:
            return 0
        with nogil:
            removed = self.index.erase(&hashes[0], &rows[0], rows.shape[0])
        return removed

    def move(self, list keys not None, const int64_t[::1] rows not None, const int64_t[::1] moved not None):
        """Rows with these keys and ids have new ids; returns how many were there."""
        cdef uint64_t[::1] hashes = _hash(keys, rows.shape[0], self.seed)
        cdef int64_t done
        if rows.shape[0] == 0:
            return 0
        with nogil:
            done = self.index.move(&hashes[0], &rows[0], &moved[0], rows.shape[0])
        return done


def clear_bits(uint8_t[::1] bits not None, const int64_t[::1] positions not None):
    """Clear the bits at these positions; returns how many were set."""
    cdef int64_t i, at, cleared = 0
    cdef int64_t size = bits.shape[0] * 8
    for i in range(positions.shape[0]):
        at = positions[i]
        if at < 0 or at >= size:
            raise IndexError(at)
        if bits[at >> 3] >> (at & 7) & 1:
            bits[at >> 3] &= ~(1 << (at & 7))
            cleared += 1
    return cleared
