"""PostgreSQL's types and how Laminar stores each in Arrow.

A :class:`PgType` is what the binder reasons with: an oid, a type modifier and,
for numeric, the fixed precision and scale when they are known. ``storage`` is
the Arrow type of a column of it; docs/types.md has the table and the reasons.

Two equal values may have different storage (``1.0`` and ``1.00``, ``-0.0`` and
``0.0``, ``1 month`` and ``30 days``). Whatever groups, joins, sorts or removes
duplicates does so on :func:`laminar.sql.kernels.sort_key` of a value, for
types where ``needs_sort_key`` says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

TIMESTAMP_INFINITY: Final = (1 << 63) - 1
TIMESTAMP_NEG_INFINITY: Final = -(1 << 63)
DATE_INFINITY: Final = (1 << 31) - 1
DATE_NEG_INFINITY: Final = -(1 << 31)
#: numeric(p,s) holds NaN as this unscaled value: it sorts above all others, as PostgreSQL's does.
DECIMAL_NAN: Final = (1 << 127) - 1

BOOL, BYTEA, CHAR, NAME, INT8, INT2, INT4, TEXT, OID = 16, 17, 18, 19, 20, 21, 23, 25, 26
JSON, FLOAT4, FLOAT8, UNKNOWN, BPCHAR, VARCHAR = 114, 700, 701, 705, 1042, 1043
DATE, TIME, TIMESTAMP, TIMESTAMPTZ, INTERVAL, NUMERIC = 1082, 1083, 1114, 1184, 1186, 1700
REGCLASS, REGTYPE, REGPROC, UUID, RECORD, VOID, JSONB = 2205, 2206, 24, 2950, 2249, 2278, 3802
#: constants only: no column has it
JSONPATH = 4072
REGPROCEDURE, REGOPER, REGOPERATOR, REGNAMESPACE, REGROLE, REGCOLLATION = 2202, 2203, 2204, 4089, 4096, 4191
REGCONFIG, REGDICTIONARY = 3734, 3769
#: types of PostgreSQL's catalogs; the vectors are arrays that begin at 0 and are written without braces
INT2VECTOR, TID, XID, CID, OIDVECTOR, PG_NODE_TREE, ACLITEM, PG_LSN = 22, 27, 28, 29, 30, 194, 1033, 3220
INET, CSTRING, ANYARRAY = 869, 2275, 2277
PG_NDISTINCT, PG_DEPENDENCIES, PG_MCV_LIST = 3361, 3402, 5017
#: oids whose text is the name of a catalog object
REG_TYPES: Final = frozenset(
    {REGCLASS, REGTYPE, REGPROC, REGPROCEDURE, REGOPER, REGOPERATOR, REGNAMESPACE, REGROLE, REGCOLLATION,
     REGCONFIG, REGDICTIONARY}
)  # fmt: skip
VECTORS: Final = frozenset({INT2VECTOR, OIDVECTOR})

#: interval: little-endian months int32, days int32, microseconds int64
INTERVAL_STORAGE: Final = pa.binary(16)
#: unconstrained numeric: order-preserving digits, then the display scale (docs/types.md)
NUMERIC_STORAGE: Final = pa.binary()

#: range type -> type of its bounds
RANGES: Final = {3904: INT4, 3906: NUMERIC, 3908: TIMESTAMP, 3910: TIMESTAMPTZ, 3912: DATE, 3926: INT8}

_TEXTS: Final = (
    TID, PG_NODE_TREE, ACLITEM, PG_LSN, INET, CSTRING, ANYARRAY, PG_NDISTINCT, PG_DEPENDENCIES, PG_MCV_LIST,
)  # fmt: skip
_STORAGE: Final[dict[int, pa.DataType]] = {
    BOOL: pa.bool_(),
    BYTEA: pa.binary(),
    CHAR: pa.string(),
    NAME: pa.string(),
    INT8: pa.int64(),
    INT2: pa.int16(),
    INT4: pa.int32(),
    TEXT: pa.string(),
    OID: pa.uint32(),
    JSON: pa.string(),
    JSONB: pa.string(),
    FLOAT4: pa.float32(),
    FLOAT8: pa.float64(),
    UNKNOWN: pa.string(),
    BPCHAR: pa.string(),
    VARCHAR: pa.string(),
    DATE: pa.date32(),
    TIME: pa.time64("us"),
    TIMESTAMP: pa.timestamp("us"),
    TIMESTAMPTZ: pa.timestamp("us", tz="UTC"),
    INTERVAL: INTERVAL_STORAGE,
    UUID: pa.binary(16),
    VOID: pa.string(),
    #: the fields as one row of bytes (laminar.sql.kernels.records)
    RECORD: pa.binary(),
    **dict.fromkeys(RANGES, pa.binary()),
    JSONPATH: pa.string(),
    XID: pa.uint32(),
    CID: pa.uint32(),
    **{oid: pa.string() for oid in _TEXTS},
    **dict.fromkeys(REG_TYPES, pa.uint32()),
}

#: element type -> its array type
ARRAY_OF: Final[dict[int, int]] = {
    BOOL: 1000,
    BYTEA: 1001,
    CHAR: 1002,
    NAME: 1003,
    INT2: 1005,
    INT4: 1007,
    TEXT: 1009,
    BPCHAR: 1014,
    VARCHAR: 1015,
    INT8: 1016,
    FLOAT4: 1021,
    FLOAT8: 1022,
    OID: 1028,
    TIMESTAMP: 1115,
    DATE: 1182,
    TIME: 1183,
    TIMESTAMPTZ: 1185,
    INTERVAL: 1187,
    NUMERIC: 1231,
    JSON: 199,
    JSONB: 3807,
    UUID: 2951,
    REGCLASS: 2210,
    REGTYPE: 2211,
    REGPROC: 1008,
    REGPROCEDURE: 2207,
    REGOPER: 2208,
    REGOPERATOR: 2209,
    REGNAMESPACE: 4090,
    REGROLE: 4097,
    REGCOLLATION: 4192,
    REGCONFIG: 3735,
    REGDICTIONARY: 3770,
    XID: 1011,
    RECORD: 2287,
    **{oid: oid + 1 for oid in RANGES},
    ACLITEM: 1034,
    CSTRING: 1263,
}
ELEMENT_OF: Final[dict[int, int]] = {array: element for element, array in ARRAY_OF.items()} | {
    INT2VECTOR: INT2,
    OIDVECTOR: OID,
}

_SORT_KEYED: Final = frozenset({FLOAT4, FLOAT8, NUMERIC, INTERVAL, BPCHAR, JSONB, RECORD, *RANGES})


@dataclass(frozen=True, slots=True)
class UserType:
    """A type that a user made: an enum or a composite type. (Domains are their base type with checks.)

    Args:
        oid, array: of the type and of its array type.
        labels: enum: (sort key, label) in order; a value is stored as both, one after the other, so that
            it orders by bytes and shows its label without looking anything up.
        fields: composite: names and types.
    """

    oid: int
    array: int
    name: str
    labels: tuple[tuple[str, str], ...] | None = None
    fields: tuple[tuple[str, PgType], ...] | None = None


#: users' types by oid, as this process has last heard of them; oids are never given twice
USER_TYPES: Final[dict[int, UserType]] = {}
#: bytes of an enum value's storage before the label
ENUM_KEY: Final = 8


#: those that this process decides about: what others say of them is older
_OWN: Final[set[int]] = set()


def register(made: UserType, own: bool = False) -> None:
    """Make a user's type known to this process; again when it has changed.

    Args:
        own: the catalog says so; what is read from files and messages does not change it.
    """
    if own:
        _OWN.add(made.oid)
    USER_TYPES[made.oid] = made
    ARRAY_OF[made.oid] = made.array
    ELEMENT_OF[made.array] = made.oid


@dataclass(frozen=True, slots=True)
class PgType:
    """A PostgreSQL type as an expression or column has it.

    Args:
        oid: pg_type.oid.
        typmod: pg_attribute.atttypmod, -1 when there is none.
        decimal: numeric only: (precision, scale) when every value is known to
            have exactly this display scale and at most 38 digits. ``numeric(p,s)``
            columns have it, and so have ``int8 * numeric(5,2)`` and the like.
        fields: record and record[] only: names and types of the row's fields.
    """

    oid: int
    typmod: int = -1
    decimal: tuple[int, int] | None = None
    fields: tuple[tuple[str, PgType], ...] | None = None

    @property
    def is_array(self) -> bool:
        return self.oid in ELEMENT_OF

    @property
    def element(self) -> PgType:
        """The element type of an array type (KeyError for others)."""
        return PgType(ELEMENT_OF[self.oid], self.typmod, fields=self.fields)

    @property
    def storage(self) -> pa.DataType:
        """The Arrow type of a column of this type."""
        if self.oid == NUMERIC:
            return pa.decimal128(*self.decimal) if self.decimal else NUMERIC_STORAGE
        if self.is_array:
            return pa.list_(self.element.storage)
        made = USER_TYPES.get(self.oid)
        if made is not None:
            return pa.string() if made.labels is not None else pa.binary()
        return _STORAGE[self.oid]

    @property
    def row(self) -> tuple[tuple[str, PgType], ...] | None:
        """The fields of a row type that has known ones, None for other types."""
        made = USER_TYPES.get(self.oid)
        return self.fields if made is None or self.is_array else made.fields

    @property
    def is_row(self) -> bool:
        """Whether its values are rows."""
        made = USER_TYPES.get(self.oid)
        return self.oid == RECORD if made is None else made.fields is not None

    @property
    def user_made(self) -> bool:
        """Whether it is a user's enum or composite type (not an array of one)."""
        return self.oid in USER_TYPES

    @property
    def special(self) -> bool:
        """Whether native code does not know the type: rows, ranges, users' types and arrays of these."""
        return self.is_row or self.user_made or self.oid in RANGES or (self.is_array and self.element.special)

    @property
    def labels(self) -> tuple[tuple[str, str], ...] | None:
        """An enum's sort keys and labels, None for other types."""
        made = USER_TYPES.get(self.oid)
        return None if made is None else made.labels

    def __reduce__(self) -> tuple[object, ...]:
        # a process that reads a type reads what a user's type is with it
        made = USER_TYPES.get(ELEMENT_OF.get(self.oid, self.oid))
        return _restored, (made, self.oid, self.typmod, self.decimal, self.fields)

    @property
    def needs_sort_key(self) -> bool:
        """Whether equal values may differ in storage (see the module's text)."""
        if self.is_array:
            return True
        return (self.oid in _SORT_KEYED and self.decimal is None) or self.is_row


def _restored(
    made: UserType | None,
    oid: int,
    typmod: int,
    decimal: tuple[int, int] | None,
    fields: tuple[tuple[str, PgType], ...] | None,
) -> PgType:
    if made is not None and made.oid not in _OWN:
        register(made)
    return PgType(oid, typmod, decimal, fields)


def numeric(precision: int, scale: int = 0) -> PgType:
    """``numeric(precision, scale)`` with PostgreSQL's typmod; decimal128 storage when it fits."""
    typmod = ((precision << 16) | (scale & 0x7FF)) + 4
    fits = precision <= 38 and 0 <= scale <= precision
    return PgType(NUMERIC, typmod, (precision, scale) if fits else None)


def supported(oid: int) -> bool:
    """Whether columns of the type can be stored."""
    return oid == NUMERIC or oid in ELEMENT_OF or oid in USER_TYPES or (oid in _STORAGE and oid != JSONPATH)
