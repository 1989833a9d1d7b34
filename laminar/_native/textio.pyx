# cython: language_level=3
# distutils: language = c++
"""Text and binary forms of PostgreSQL's types, a column at a time.

The work is done by the headers beside this file (column.hpp names them all), without Python and with the GIL
released; pgcodec and copyparse use those headers directly.
"""

import zoneinfo
from pathlib import Path

import pyarrow as pa

from libc.stdint cimport int64_t, uintptr_t
from libcpp.memory cimport unique_ptr
from libcpp.string cimport string
from libcpp.string_view cimport string_view
from libcpp.vector cimport vector

from laminar import types as pgtypes
from laminar.errors import PgError


cdef extern from *:
    """
    #include "column.hpp"
    #include "pgerror_py.hpp"
    namespace laminar {
    // The batch loops: one call each, so that Cython checks for errors once per column.
    inline void parse_column(const ColumnView& in, const Settings& s, ColumnBuilder& out) {
        out.reserve(in.length());
        for (int64_t i = 0; i < in.length(); i++)
            if (in.is_null(i)) out.append_null();
            else out.append_text(in.bytes(i), s);
    }
    inline void receive_column(const ColumnView& in, ColumnBuilder& out) {
        out.reserve(in.length());
        for (int64_t i = 0; i < in.length(); i++)
            if (in.is_null(i)) out.append_null();
            else out.append_binary(in.bytes(i));
    }
    inline void format_column(const ColumnView& in, const Settings& s, ColumnBuilder& out) {
        std::string buffer;
        out.reserve(in.length());
        for (int64_t i = 0; i < in.length(); i++) {
            if (in.is_null(i)) {
                out.append_null();
                continue;
            }
            buffer.clear();
            in.text(i, s, buffer);
            out.append_bytes(buffer);
        }
    }
    inline void send_column(const ColumnView& in, ColumnBuilder& out) {
        std::string buffer;
        for (int64_t i = 0; i < in.length(); i++) {
            if (in.is_null(i)) {
                out.append_null();
                continue;
            }
            buffer.clear();
            in.binary(i, buffer);
            out.append_bytes(buffer);
        }
    }
    }
    """
    void parse_column "laminar::parse_column"(const ColumnView&, const Settings&, ColumnBuilder&) except +raise_pg_error nogil
    void receive_column "laminar::receive_column"(const ColumnView&, ColumnBuilder&) except +raise_pg_error nogil
    void format_column "laminar::format_column"(const ColumnView&, const Settings&, ColumnBuilder&) except +raise_pg_error nogil
    void send_column "laminar::send_column"(const ColumnView&, ColumnBuilder&) except +raise_pg_error nogil


def _zone_folders():
    folders = [path for path in zoneinfo.TZPATH if Path(path).is_dir()]
    try:
        import tzdata

        folders.append(str(Path(tzdata.__file__).parent / "zoneinfo"))
    except ImportError:
        pass
    return [folder.encode() for folder in folders]


cdef vector[string] _folders = _zone_folders()
ZoneRegistry.instance().set_folders(_folders)

_DATE_STYLES = {"ISO": DateStyle.Iso, "SQL": DateStyle.Sql, "POSTGRES": DateStyle.Postgres, "GERMAN": DateStyle.German}
_DATE_ORDERS = {"MDY": DateOrder.Mdy, "DMY": DateOrder.Dmy, "YMD": DateOrder.Ymd}
_INTERVAL_STYLES = {
    "postgres": IntervalStyle.Postgres,
    "postgres_verbose": IntervalStyle.PostgresVerbose,
    "sql_standard": IntervalStyle.SqlStandard,
    "iso_8601": IntervalStyle.Iso8601,
}


cdef class FormatSettings:
    """The settings that text forms depend on. Immutable; pickles.

    Args:
        date_style: as ``SHOW datestyle`` has it: ``"ISO, MDY"``, ``"German, DMY"``, …
        interval_style: ``postgres``, ``postgres_verbose``, ``sql_standard`` or ``iso_8601``.
        timezone: IANA name in any case, POSIX rule, or ``<+02>-02``.
        extra_float_digits: 1 to 3 give the shortest exact text, less gives 15 (6) digits plus so many.
        bytea_output: ``hex`` or ``escape``.
        now: µs since 1970 UTC, what ``now``, ``today`` … in input mean.

    Raises:
        PgError: 22023 for a value that PostgreSQL would refuse.
    """

    def __init__(
        self,
        str date_style="ISO, MDY",
        str interval_style="postgres",
        str timezone="UTC",
        int extra_float_digits=1,
        str bytea_output="hex",
        int64_t now=0,
    ):
        style, _, order = date_style.partition(",")
        style, order = style.strip().upper(), order.strip().upper() or "MDY"
        if style not in _DATE_STYLES or order not in _DATE_ORDERS:
            raise PgError("22023", f'invalid value for parameter "DateStyle": "{date_style}"')
        if interval_style not in _INTERVAL_STYLES:
            raise PgError("22023", f'invalid value for parameter "IntervalStyle": "{interval_style}"')
        if bytea_output not in ("hex", "escape"):
            raise PgError("22023", f'invalid value for parameter "bytea_output": "{bytea_output}"')
        cdef bytes zone = timezone.encode()
        self.c.zone = ZoneRegistry.instance().find(string_view(zone, len(zone)))
        if self.c.zone == NULL:
            raise PgError("22023", f'invalid value for parameter "TimeZone": "{timezone}"')
        self.c.date_style = <DateStyle><int>_DATE_STYLES[style]
        self.c.date_order = <DateOrder><int>_DATE_ORDERS[order]
        self.c.interval_style = <IntervalStyle><int>_INTERVAL_STYLES[interval_style]
        self.c.extra_float_digits = extra_float_digits
        self.c.bytea_hex = bytea_output == "hex"
        self.c.now = now
        self.date_style, self.interval_style, self.timezone = date_style, interval_style, timezone
        self.extra_float_digits, self.bytea_output, self.now = extra_float_digits, bytea_output, now

    def __reduce__(self):
        return FormatSettings, (
            self.date_style,
            self.interval_style,
            self.timezone,
            self.extra_float_digits,
            self.bytea_output,
            self.now,
        )


cdef FormatSettings _DEFAULT = FormatSettings()


def timezone_name(str name):
    """The zone's name as IANA spells it, e.g. ``Europe/Berlin`` for ``europe/berlin``; None when unknown."""
    cdef bytes raw = name.encode()
    cdef const Zone* zone = ZoneRegistry.instance().find(string_view(raw, len(raw)))
    return None if zone == NULL else zone.name.decode()


cdef Type to_type(object pg_type) except *:
    """The C form of a PgType; 0A000 when it cannot be stored."""
    precision, scale = pg_type.decimal or (0, 0)
    return make_type(pg_type.oid, pg_type.typmod, precision, scale)


cdef class _Input:
    """An Arrow array borrowed through the C data interface."""

    cdef ArrowArray array
    cdef ArrowSchema schema

    def __cinit__(self, array, storage):
        self.array.release = NULL
        self.schema.release = NULL
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        if array.type != storage:
            raise TypeError(f"expected {storage}, got {array.type}")
        array._export_to_c(<uintptr_t>&self.array, <uintptr_t>&self.schema)

    def __dealloc__(self):
        if self.array.release != NULL:
            self.array.release(&self.array)
        if self.schema.release != NULL:
            self.schema.release(&self.schema)


cdef _finish(ColumnBuilder* builder):
    cdef ArrowArray array
    cdef ArrowSchema schema
    builder.finish(&array, &schema)
    return pa.Array._import_from_c(<uintptr_t>&array, <uintptr_t>&schema)


_TEXT = pgtypes.PgType(pgtypes.TEXT)
_BYTEA = pgtypes.PgType(pgtypes.BYTEA)


def parse_text(strings, type, FormatSettings settings=None):
    """Text input of a type for every string; nulls stay null.

    Args:
        strings: string array.
        type: the PgType to make; its type modifier is applied (lengths, precision, rounding).
        settings: for dates, intervals and zones; ISO, MDY and UTC when not given.

    Returns:
        An array of ``type.storage``.

    Raises:
        PgError: PostgreSQL's for the first bad string: 22P02, 22003, 22007, 22008, 22001, …
    """
    cdef _Input source = _Input(strings, pa.string())
    cdef ColumnView view = ColumnView(&source.array, to_type(_TEXT))
    cdef unique_ptr[ColumnBuilder] builder
    builder.reset(new ColumnBuilder(to_type(type)))
    cdef FormatSettings s = _DEFAULT if settings is None else settings
    with nogil:
        parse_column(view, s.c, builder.get()[0])
    return _finish(builder.get())


def parse_one(str text, type, FormatSettings settings=None):
    """Text input of one value, as the Python value that ``pa.scalar(value, type.storage)`` takes back.

    Timestamps, dates and times come as integers in storage units, as Python's own cannot hold all of them.

    Raises:
        PgError: as parse_text.
    """
    array = parse_text(pa.array([text], pa.string()), type, settings)
    return _python_value(array[0])


def _python_value(scalar):
    kind = scalar.type
    if pa.types.is_date(kind) or pa.types.is_time(kind) or pa.types.is_timestamp(kind):
        return scalar.value
    if pa.types.is_list(kind):
        return None if not scalar.is_valid else [_python_value(item) for item in scalar.values]
    return scalar.as_py()


def format_text(array, type, FormatSettings settings=None):
    """PostgreSQL's text of every value; nulls stay null.

    Args:
        array: of ``type.storage``.

    Returns:
        A string array.
    """
    cdef _Input source = _Input(array, type.storage)
    cdef ColumnView view = ColumnView(&source.array, to_type(type))
    cdef unique_ptr[ColumnBuilder] builder
    builder.reset(new ColumnBuilder(to_type(_TEXT)))
    cdef FormatSettings s = _DEFAULT if settings is None else settings
    with nogil:
        format_column(view, s.c, builder.get()[0])
    return _finish(builder.get())


def encode_binary(array, type):
    """PostgreSQL's binary form (its send function) of every value, as a binary array."""
    cdef _Input source = _Input(array, type.storage)
    cdef ColumnView view = ColumnView(&source.array, to_type(type))
    cdef unique_ptr[ColumnBuilder] builder
    builder.reset(new ColumnBuilder(to_type(_BYTEA)))
    with nogil:
        send_column(view, builder.get()[0])
    return _finish(builder.get())


def decode_binary(values, type):
    """The reverse of encode_binary, with all of PostgreSQL's checks (its receive function).

    Raises:
        PgError: 22P03, 08P01, 22021, 22008 …
    """
    cdef _Input source = _Input(values, pa.binary())
    cdef ColumnView view = ColumnView(&source.array, to_type(_BYTEA))
    cdef unique_ptr[ColumnBuilder] builder
    builder.reset(new ColumnBuilder(to_type(type)))
    with nogil:
        receive_column(view, builder.get()[0])
    return _finish(builder.get())
