# The state store for other native modules: laminar::engine::Arena, Table and Row of statetable.hpp.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string cimport string

from laminar._native.checkpointed cimport Checkpointed
from laminar._native.columns cimport Batch, BatchBuilder, Builder, Column, raise_pg_error


cdef extern from "statetable.hpp" namespace "laminar::engine" nogil:
    cdef cppclass Arena:
        Arena(const string&) except +raise_pg_error
        size_t allocated()
        size_t used()

    cdef cppclass Row:
        uint32_t klen
        uint32_t vlen
        uint8_t* key()
        uint8_t* value()

    cdef cppclass Place "laminar::engine::Table::Place":
        Place()
        size_t deleted
        size_t changed

    cdef cppclass Table:
        Table(Arena*) except +raise_pg_error
        @staticmethod
        uint64_t hash(const uint8_t*, size_t)
        void prefetch_slot(uint64_t)
        void prefetch_row(uint64_t)
        Row* find(const uint8_t*, size_t, uint64_t)
        Row* upsert(const uint8_t*, size_t, uint64_t, size_t, cbool*) except +raise_pg_error
        cbool erase(const uint8_t*, size_t, uint64_t) except +raise_pg_error
        void restored(Row*)
        void forget_deletions()
        void checkpointed()
        void clear() except +raise_pg_error
        size_t entries()
        size_t bytes()
        size_t changed()


cdef extern from "fixedtable.hpp" namespace "laminar::engine" nogil:
    cdef cppclass FixedTable:
        FixedTable(Arena*, size_t, size_t) except +raise_pg_error
        const uint8_t* find(const uint8_t*)
        uint8_t* upsert(const uint8_t*, cbool*) except +raise_pg_error
        cbool erase(const uint8_t*) except +raise_pg_error
        void checkpointed() except +raise_pg_error
        void clear() except +raise_pg_error
        size_t entries()
        size_t bytes()
        size_t key_size()
        size_t value_size()


cdef class Entries(Checkpointed):
    cdef Arena* arena

    # What the two kinds of tables do each in their way, to columns of keys and values.
    cdef int read(self, const Column& keys, Builder* out) except -1
    cdef int write(self, const Batch& entries, bint restoring) except -1
    # Entries from a place on, whose keys start with n bytes at prefix; returns where to go on, 0 at the end.
    cdef size_t collect(self, size_t place, const uint8_t* prefix, size_t n, BatchBuilder* out) except? 1
    cdef bint changes(self, Place* place, BatchBuilder* out) except -1
    cdef int settled(self) except -1
    cdef Place place  # of the checkpoint that is being taken


cdef class StateTable(Entries):
    cdef Table* table

    cdef const Row* lookup(self, const uint8_t* key, size_t size) noexcept nogil
    cdef Row* store(self, const uint8_t* key, size_t size, const uint8_t* value, size_t value_size) except NULL nogil
    cdef bint remove(self, const uint8_t* key, size_t size) except -1 nogil


cdef class FixedStateTable(Entries):
    cdef FixedTable* table

    # The value of a key, NULL when there is none; good until the next change.
    cdef const uint8_t* lookup(self, const uint8_t* key) noexcept nogil
    # Where to write a key's value.
    cdef uint8_t* store(self, const uint8_t* key) except NULL nogil
    cdef _check(self, bytes key)
