// PostgreSQL's types as the native layer sees them, and the settings that text output depends on.
#pragma once

#include <cstdint>

#include "pgerror.hpp"

namespace laminar {

enum class Kind : uint8_t {
    Bool, Int2, Int4, Int8, Oid, Float4, Float8,
    Decimal,  // numeric with fixed precision and scale: decimal128
    Numeric,  // unconstrained numeric: variable-length order-preserving bytes
    Text, Varchar, Bpchar, Name, Char, Bytea,
    Date, Time, Timestamp, Timestamptz, Interval, Uuid, Json, Jsonb, Array,
};

// Mirrors laminar.types.PgType.
struct Type {
    Kind kind = Kind::Text;
    Kind element = Kind::Text;  // arrays only
    uint32_t oid = 25;
    uint32_t element_oid = 0;   // arrays only
    int32_t typmod = -1;
    int32_t precision = 0;      // Decimal only
    int32_t scale = 0;          // Decimal only

    // int2vector and oidvector: arrays that begin at 0, in text "1 2 3"
    bool is_vector() const { return oid == 22 || oid == 30; }

    Type element_type() const {
        Type t;
        t.kind = element, t.oid = element_oid, t.typmod = typmod;
        return t;
    }
};

struct ArrayOid { uint32_t element, array; Kind kind; };

inline constexpr ArrayOid kTypes[] = {
    {16, 1000, Kind::Bool}, {17, 1001, Kind::Bytea}, {18, 1002, Kind::Char}, {19, 1003, Kind::Name},
    {20, 1016, Kind::Int8}, {21, 1005, Kind::Int2}, {23, 1007, Kind::Int4}, {25, 1009, Kind::Text},
    {26, 1028, Kind::Oid}, {114, 199, Kind::Json}, {700, 1021, Kind::Float4}, {701, 1022, Kind::Float8},
    {705, 0, Kind::Text}, {1042, 1014, Kind::Bpchar}, {1043, 1015, Kind::Varchar}, {1082, 1182, Kind::Date},
    {1083, 1183, Kind::Time}, {1114, 1115, Kind::Timestamp}, {1184, 1185, Kind::Timestamptz},
    {1186, 1187, Kind::Interval}, {1700, 1231, Kind::Numeric}, {2950, 2951, Kind::Uuid},
    {3802, 3807, Kind::Jsonb}, {2205, 2210, Kind::Oid}, {2206, 2211, Kind::Oid}, {24, 1008, Kind::Oid},
    {2278, 0, Kind::Text},
    // what only catalogs have: other names for oids, texts without a binary form of their own
    {28, 1011, Kind::Oid}, {29, 1012, Kind::Oid}, {2202, 2207, Kind::Oid}, {2203, 2208, Kind::Oid},
    {2204, 2209, Kind::Oid}, {4089, 4090, Kind::Oid}, {4096, 4097, Kind::Oid}, {4191, 4192, Kind::Oid},
    {3734, 3735, Kind::Oid}, {3769, 3770, Kind::Oid}, {27, 1010, Kind::Text}, {194, 0, Kind::Text},
    {1033, 1034, Kind::Text}, {3220, 3221, Kind::Text}, {869, 1041, Kind::Text}, {2275, 1263, Kind::Text},
    {2277, 0, Kind::Text}, {3361, 0, Kind::Text}, {3402, 0, Kind::Text}, {5017, 0, Kind::Text},
};

// precision 0: a numeric without fixed precision. Throws 0A000 for types that have no storage.
inline Type make_type(uint32_t oid, int32_t typmod, int32_t precision, int32_t scale) {
    Type t;
    t.oid = oid, t.typmod = typmod;
    if (oid == 22 || oid == 30) {
        t.kind = Kind::Array, t.element = oid == 22 ? Kind::Int2 : Kind::Oid, t.element_oid = oid == 22 ? 21 : 26;
        return t;
    }
    for (const auto& entry : kTypes) {
        if (entry.element == oid) {
            t.kind = entry.kind;
            if (oid == 1700 && precision > 0) t.kind = Kind::Decimal, t.precision = precision, t.scale = scale;
            return t;
        }
        if (entry.array == oid && oid) {
            t.kind = Kind::Array, t.element = entry.kind, t.element_oid = entry.element;
            return t;
        }
    }
    fail("0A000", "type with OID " + std::to_string(oid) + " is not supported");
}

class Zone;

enum class DateStyle : uint8_t { Iso, Sql, Postgres, German };
enum class DateOrder : uint8_t { Mdy, Dmy, Ymd };
enum class IntervalStyle : uint8_t { Postgres, PostgresVerbose, SqlStandard, Iso8601 };

struct Settings {
    DateStyle date_style = DateStyle::Iso;
    DateOrder date_order = DateOrder::Mdy;
    IntervalStyle interval_style = IntervalStyle::Postgres;
    int extra_float_digits = 1;
    bool bytea_hex = true;
    const Zone* zone = nullptr;  // null: UTC
    int64_t now = 0;             // for 'now', 'today', …: µs since 1970 UTC
};

}  // namespace laminar
