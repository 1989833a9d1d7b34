"""Rows as bytes: compact and comparable forms; the work is in rows.hpp."""

import pyarrow as pa

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy

from laminar._native.columns cimport (
    ArrowArray, ArrowSchema, Batch, BatchBuilder, Builder, Column, Layout, cbool, int32_t, int64_t, raise_pg_error,
    read_batch, read_layouts, uintptr_t, vector,
)


cdef extern from "columns.hpp" namespace "laminar::engine" nogil:
    cdef cppclass Bytes:
        Bytes()
        uint8_t* p
        size_t size
        uint8_t* grow(size_t) except +raise_pg_error
        void append(const void*, size_t) except +raise_pg_error

    cdef cppclass ColumnView "laminar::engine::Column":
        cbool is_null(int64_t)
        const uint8_t* data
        const int32_t* offsets


cdef extern from "rows.hpp" namespace "laminar::engine" nogil:
    cdef cppclass RowCodec:
        RowCodec()
        RowCodec(vector[Layout])
        void measure(const Column* const*, int64_t, uint32_t*) except +raise_pg_error
        void encode(const Column* const*, int64_t, uint8_t**) except +raise_pg_error
        void decode(const uint8_t* const*, const uint32_t*, int64_t, Builder*) except +raise_pg_error

    void put_comparable(const Column&, int64_t, Bytes&) except +raise_pg_error
    void get_comparable(const Layout&, const uint8_t*&, const uint8_t*, uint8_t, Builder&) except +raise_pg_error


BINARY_SCHEMA = pa.schema([("bytes", pa.binary())])


cdef class RowFormat:
    """Rows of one schema as bytes. See rows.pyi."""

    cdef readonly object schema
    cdef RowCodec codec
    cdef vector[Layout] layouts
    cdef vector[Layout] binary

    def __cinit__(self, schema):
        self.schema = schema
        self.layouts = read_layouts(schema)
        self.binary = read_layouts(BINARY_SCHEMA)
        self.codec = RowCodec(self.layouts)

    def encode(self, batch):
        cdef tuple held = batch.__arrow_c_array__()
        cdef Batch view = read_batch(held)
        cdef vector[const Column*] columns
        cdef vector[uint32_t] lengths
        cdef vector[uint8_t*] at, start
        cdef Bytes bytes
        cdef BatchBuilder* builder = new BatchBuilder(self.binary)
        cdef ArrowArray array
        cdef int64_t n = view.rows, i
        cdef size_t c, total = 0
        cdef uint8_t* p
        try:
            with nogil:
                for c in range(view.columns.size()):
                    columns.push_back(&view.columns[c])
                lengths.resize(n)
                at.resize(n)
                start.resize(n)
                self.codec.measure(columns.data(), n, lengths.data())
                for i in range(n):
                    total += lengths[i]
                p = bytes.grow(total)
                for i in range(n):
                    at[i] = start[i] = p
                    p += lengths[i]
                self.codec.encode(columns.data(), n, at.data())
                for i in range(n):
                    builder.columns[0].var(start[i], lengths[i])
                builder.finish(&array, n)
        finally:
            del builder
        return pa.RecordBatch._import_from_c(<uintptr_t>&array, BINARY_SCHEMA).column(0)

    def decode(self, rows):
        cdef tuple held = pa.RecordBatch.from_arrays([rows], schema=BINARY_SCHEMA).__arrow_c_array__()
        cdef Batch view = read_batch(held)
        cdef const ColumnView* column = <const ColumnView*>&view.columns[0]
        cdef vector[const uint8_t*] at
        cdef vector[uint32_t] lengths
        cdef int64_t n = view.rows, i
        cdef BatchBuilder* builder = new BatchBuilder(self.layouts)
        cdef ArrowArray array
        try:
            with nogil:
                for i in range(n):
                    at.push_back(column.data + column.offsets[i])
                    lengths.push_back(<uint32_t>(column.offsets[i + 1] - column.offsets[i]))
                self.codec.decode(at.data(), lengths.data(), n, builder.columns.data())
                builder.finish(&array, n)
        finally:
            del builder
        return pa.RecordBatch._import_from_c(<uintptr_t>&array, self.schema)


def comparable(batch, descending=()):
    cdef tuple held = batch.__arrow_c_array__()
    cdef Batch view = read_batch(held)
    cdef vector[cbool] flip
    cdef cbool inverted
    cdef vector[Layout] binary = read_layouts(BINARY_SCHEMA)
    cdef Bytes bytes
    cdef BatchBuilder* builder = new BatchBuilder(binary)
    cdef ArrowArray array
    cdef int64_t i
    cdef size_t c, k, before
    for c in range(view.columns.size()):
        inverted = c in descending
        flip.push_back(inverted)
    try:
        with nogil:
            for i in range(view.rows):
                bytes.size = 0
                for c in range(view.columns.size()):
                    before = bytes.size
                    put_comparable(view.columns[c], i, bytes)
                    if flip[c]:
                        for k in range(before, bytes.size):
                            bytes.p[k] = bytes.p[k] ^ 0xff
                builder.columns[0].var(bytes.p, bytes.size)
            builder.finish(&array, view.rows)
    finally:
        del builder
    return pa.RecordBatch._import_from_c(<uintptr_t>&array, BINARY_SCHEMA).column(0)


def from_comparable(keys, schema, descending=()):
    cdef tuple held = pa.RecordBatch.from_arrays([keys], schema=BINARY_SCHEMA).__arrow_c_array__()
    cdef Batch view = read_batch(held)
    cdef const ColumnView* column = <const ColumnView*>&view.columns[0]
    cdef vector[Layout] layouts = read_layouts(schema)
    cdef vector[uint8_t] flip
    cdef uint8_t inverted
    cdef BatchBuilder* builder = new BatchBuilder(layouts)
    cdef ArrowArray array
    cdef int64_t i
    cdef size_t c
    cdef const uint8_t* p
    cdef const uint8_t* end
    for c in range(layouts.size()):
        inverted = 0xff if c in descending else 0
        flip.push_back(inverted)
    try:
        with nogil:
            for i in range(view.rows):
                p = column.data + column.offsets[i]
                end = column.data + column.offsets[i + 1]
                for c in range(layouts.size()):
                    get_comparable(layouts[c], p, end, flip[c], builder.columns[c])
            builder.finish(&array, view.rows)
    finally:
        del builder
    return pa.RecordBatch._import_from_c(<uintptr_t>&array, schema)


def pack(order, payload):
    """Binary column: comparable form of ``order``, then the payload, then its length."""
    encoded = RowFormat(pa.schema([("", payload.type)])).encode(pa.RecordBatch.from_arrays([payload], names=[""]))
    names = ["order", "payload", "encoded"]
    cdef tuple held = pa.RecordBatch.from_arrays(
        [payload if order is None else order, payload, encoded], names=names).__arrow_c_array__()
    cdef Batch view = read_batch(held)
    cdef cbool ordered = order is not None
    cdef const ColumnView* valid = <const ColumnView*>&view.columns[1]
    cdef const ColumnView* blob = <const ColumnView*>&view.columns[2]
    cdef vector[Layout] binary = read_layouts(BINARY_SCHEMA)
    cdef Bytes bytes
    cdef BatchBuilder* builder = new BatchBuilder(binary)
    cdef ArrowArray array
    cdef int64_t i
    cdef uint32_t size
    try:
        with nogil:
            for i in range(view.rows):
                if valid.is_null(i):
                    builder.columns[0].null()
                    continue
                bytes.size = 0
                if ordered:
                    put_comparable(view.columns[0], i, bytes)
                size = <uint32_t>(blob.offsets[i + 1] - blob.offsets[i])
                bytes.append(blob.data + blob.offsets[i], size)
                bytes.append(&size, 4)
                builder.columns[0].var(bytes.p, bytes.size)
            builder.finish(&array, view.rows)
    finally:
        del builder
    return pa.RecordBatch._import_from_c(<uintptr_t>&array, BINARY_SCHEMA).column(0)


def unpack(packed, type):
    """The payloads of a column that :func:`pack` made."""
    cdef tuple held = pa.RecordBatch.from_arrays([packed], schema=BINARY_SCHEMA).__arrow_c_array__()
    cdef Batch view = read_batch(held)
    cdef const ColumnView* column = <const ColumnView*>&view.columns[0]
    cdef RowFormat format = RowFormat(pa.schema([("", type)]))
    cdef vector[const uint8_t*] at
    cdef vector[uint32_t] lengths
    cdef int64_t i
    cdef uint32_t size
    cdef const uint8_t* end
    cdef const uint8_t* null_row
    cdef BatchBuilder* builder = new BatchBuilder(format.layouts)
    cdef ArrowArray array
    cdef bytes blank = RowFormat(format.schema).encode(pa.RecordBatch.from_arrays([pa.nulls(1, type)], schema=format.schema))[0].as_py()
    null_row = blank
    cdef uint32_t null_size = <uint32_t>len(blank)
    try:
        for i in range(view.rows):
            if column.is_null(i):
                at.push_back(null_row)
                lengths.push_back(null_size)
                continue
            end = column.data + column.offsets[i + 1]
            if column.offsets[i + 1] - column.offsets[i] < 4:
                raise ValueError("packed value is cut short")
            memcpy(&size, end - 4, 4)
            if size > <uint32_t>(column.offsets[i + 1] - column.offsets[i] - 4):
                raise ValueError("packed value is cut short")
            at.push_back(end - 4 - size)
            lengths.push_back(size)
        with nogil:
            format.codec.decode(at.data(), lengths.data(), view.rows, builder.columns.data())
            builder.finish(&array, view.rows)
    finally:
        del builder
    return pa.RecordBatch._import_from_c(<uintptr_t>&array, format.schema).column(0)
