"""C declarations of the value layer: what pgcodec, copyparse and the kernels cimport."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uintptr_t
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.vector cimport vector
from libcpp.string_view cimport string_view


cdef extern from "pgerror_py.hpp" namespace "laminar":
    void raise_pg_error()


cdef extern from "arrow_c.hpp":
    ctypedef struct ArrowArray:
        int64_t length
        void (*release)(ArrowArray*)
    ctypedef struct ArrowSchema:
        void (*release)(ArrowSchema*)


cdef extern from "pgtype.hpp" namespace "laminar":
    enum class Kind(unsigned char):
        Bool, Int2, Int4, Int8, Oid, Float4, Float8, Decimal, Numeric, Text, Varchar, Bpchar, Name, Char, Bytea
        Date, Time, Timestamp, Timestamptz, Interval, Uuid, Json, Jsonb, Array
    enum class DateStyle(unsigned char):
        Iso, Sql, Postgres, German
    enum class DateOrder(unsigned char):
        Mdy, Dmy, Ymd
    enum class IntervalStyle(unsigned char):
        Postgres, PostgresVerbose, SqlStandard, Iso8601
    cppclass Zone:
        string name
    cppclass Type:
        Kind kind
        uint32_t oid
        int32_t typmod, precision, scale
        Type()
    Type make_type(uint32_t oid, int32_t typmod, int32_t precision, int32_t scale) except +raise_pg_error
    cppclass Settings:
        DateStyle date_style
        DateOrder date_order
        IntervalStyle interval_style
        int extra_float_digits
        cbool bytea_hex
        const Zone* zone
        int64_t now
        Settings()


cdef extern from "zones.hpp" namespace "laminar":
    cppclass ZoneRegistry:
        @staticmethod
        ZoneRegistry& instance()
        void set_folders(const vector[string]&)
        const Zone* find(string_view) except +raise_pg_error nogil
        const Zone* fixed(int32_t) except +raise_pg_error nogil


cdef extern from "column.hpp" namespace "laminar":
    cppclass ColumnView:
        ColumnView()
        ColumnView(const ArrowArray*, const Type&)
        const Type& type()
        int64_t length() nogil
        cbool is_null(int64_t) nogil
        string_view bytes(int64_t) nogil
        void text(int64_t, const Settings&, string&) except +raise_pg_error nogil
        void binary(int64_t, string&) except +raise_pg_error nogil
    cppclass ColumnBuilder:
        ColumnBuilder(const Type&) except +raise_pg_error
        int64_t length() nogil
        void reserve(int64_t) nogil
        void append_null() except +raise_pg_error nogil
        void append_bytes(string_view) except +raise_pg_error nogil
        void append_text(string_view, const Settings&) except +raise_pg_error nogil
        void append_binary(string_view) except +raise_pg_error nogil
        void finish(ArrowArray*, ArrowSchema*) except +raise_pg_error


cdef class FormatSettings:
    cdef Settings c
    cdef readonly str date_style, interval_style, timezone, bytea_output
    cdef readonly int extra_float_digits
    cdef readonly int64_t now


cdef Type to_type(object pg_type) except *
