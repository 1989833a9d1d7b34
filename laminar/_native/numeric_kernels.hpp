// Functions, operators and casts of numeric.
#pragma once

#include "kernel.hpp"
#include "numeric_power.hpp"

namespace laminar {

namespace detail {

template <Numeric (*F)(const Numeric&)> inline void unary(const Row& r, ColumnBuilder& out) { out.append_numeric(F(r.numeric(0))); }
template <Numeric (*F)(const Numeric&, const Numeric&)> inline void binary(const Row& r, ColumnBuilder& out) {
    out.append_numeric(F(r.numeric(0), r.numeric(1)));
}
template <class T> inline void from_int(const Row& r, ColumnBuilder& out) { out.append_numeric(Numeric(r.get<T>(0), 0)); }

inline Numeric negate(const Numeric& n) { return n.negated(); }
inline Numeric absolute(const Numeric& n) { return n.absolute(); }
inline Numeric same(const Numeric& n) { return n; }
inline Numeric sign(const Numeric& n) { return n.is_nan() ? n : Numeric(n.sign(), 0); }
inline Numeric increment(const Numeric& n) { return add(n, Numeric(1, 0)); }
inline Numeric smaller(const Numeric& a, const Numeric& b) { return compare(a, b) < 0 ? a : b; }
inline Numeric larger(const Numeric& a, const Numeric& b) { return compare(a, b) > 0 ? a : b; }
inline Numeric trim_scale(const Numeric& n) { return n.finite() ? n.rescaled(min_scale(n)) : n; }

inline int compare_row(const Row& r) { return compare(r.numeric(0), r.numeric(1)); }

// numeric(numeric, typmod)
inline void apply_typmod(const Row& r, ColumnBuilder& out) {
    int32_t typmod = r.get<int32_t>(1);
    if (typmod < 4) return out.append_numeric(r.numeric(0));
    out.append_numeric(fit(r.numeric(0), (typmod - 4) >> 16 & 0xFFFF, (((typmod - 4) & 0x7FF) ^ 1024) - 1024));
}

inline void width_bucket(const Row& r, ColumnBuilder& out) {
    Numeric v = r.numeric(0), low = r.numeric(1), high = r.numeric(2);
    int32_t count = r.get<int32_t>(3);
    if (count <= 0) fail("2201G", "count must be greater than zero");
    if (v.is_nan() || low.is_nan() || high.is_nan()) fail("2201G", "operand, lower bound, and upper bound cannot be NaN");
    if (low.infinite() || high.infinite()) fail("2201G", "lower and upper bounds must be finite");
    int order = compare(low, high);
    if (order == 0) fail("2201G", "lower bound cannot equal upper bound");
    if (order > 0) v = v.negated(), low = low.negated(), high = high.negated();
    if (compare(v, low) < 0) return out.append(int32_t(0));
    if (compare(v, high) >= 0) {
        int32_t above;
        if (__builtin_add_overflow(count, 1, &above)) fail("22003", "integer out of range");
        return out.append(above);
    }
    Numeric bucket = divide(mul(sub(v, low), Numeric(count, 0)), sub(high, low), 0, false);
    out.append(int32_t(bucket.small + 1));
}

inline void scale_of(const Row& r, ColumnBuilder& out, bool least) {
    Numeric n = r.numeric(0);
    if (!n.finite()) out.append_null();
    else out.append(int32_t(least ? min_scale(n) : n.scale));
}

}  // namespace detail

inline const FunctionTable& numeric_functions() {
    using namespace detail;
    static const FunctionTable table = {
        {"numeric_add", {binary<add>}},
        {"numeric_sub", {binary<sub>}},
        {"numeric_mul", {binary<mul>}},
        {"numeric_div", {binary<div>}},
        {"numeric_div_trunc", {binary<div_trunc>}},
        {"numeric_mod", {binary<mod>}},
        {"numeric_power", {binary<power>}},
        {"numeric_log", {binary<log>}},
        {"numeric_gcd", {[](const Row& r, ColumnBuilder& out) { out.append_numeric(gcd(r.numeric(0), r.numeric(1))); }}},
        {"numeric_lcm", {binary<lcm>}},
        {"numeric_smaller", {binary<smaller>}},
        {"numeric_larger", {binary<larger>}},
        {"numeric_uminus", {unary<negate>}},
        {"numeric_uplus", {unary<same>}},
        {"numeric_abs", {unary<absolute>}},
        {"numeric_sign", {unary<sign>}},
        {"numeric_ceil", {unary<ceil>}},
        {"numeric_floor", {unary<floor>}},
        {"numeric_inc", {unary<increment>}},
        {"numeric_sqrt", {unary<laminar::sqrt>}},
        {"numeric_exp", {unary<laminar::exp>}},
        {"numeric_ln", {unary<ln>}},
        {"numeric_trim_scale", {unary<trim_scale>}},
        {"numeric_fac", {[](const Row& r, ColumnBuilder& out) { out.append_numeric(factorial(r.get<int64_t>(0))); }}},
        {"numeric_round", {[](const Row& r, ColumnBuilder& out) { out.append_numeric(round(r.numeric(0), r.get<int32_t>(1), true)); }}},
        {"numeric_trunc", {[](const Row& r, ColumnBuilder& out) { out.append_numeric(round(r.numeric(0), r.get<int32_t>(1), false)); }}},
        {"numeric_scale", {[](const Row& r, ColumnBuilder& out) { scale_of(r, out, false); }}},
        {"numeric_min_scale", {[](const Row& r, ColumnBuilder& out) { scale_of(r, out, true); }}},
        {"width_bucket_numeric", {width_bucket}},
        {"numeric", {apply_typmod}},
        {"numeric_eq", {[](const Row& r, ColumnBuilder& out) { out.append_bool(compare_row(r) == 0); }}},
        {"numeric_ne", {[](const Row& r, ColumnBuilder& out) { out.append_bool(compare_row(r) != 0); }}},
        {"numeric_lt", {[](const Row& r, ColumnBuilder& out) { out.append_bool(compare_row(r) < 0); }}},
        {"numeric_le", {[](const Row& r, ColumnBuilder& out) { out.append_bool(compare_row(r) <= 0); }}},
        {"numeric_gt", {[](const Row& r, ColumnBuilder& out) { out.append_bool(compare_row(r) > 0); }}},
        {"numeric_ge", {[](const Row& r, ColumnBuilder& out) { out.append_bool(compare_row(r) >= 0); }}},
        {"numeric_cmp", {[](const Row& r, ColumnBuilder& out) { out.append(int32_t(compare_row(r))); }}},
        {"numeric_int2", {[](const Row& r, ColumnBuilder& out) { out.append(to_integer<int16_t>(r.numeric(0), "smallint")); }}},
        {"numeric_int4", {[](const Row& r, ColumnBuilder& out) { out.append(to_integer<int32_t>(r.numeric(0), "integer")); }}},
        {"numeric_int8", {[](const Row& r, ColumnBuilder& out) { out.append(to_integer<int64_t>(r.numeric(0), "bigint")); }}},
        {"numeric_float4", {[](const Row& r, ColumnBuilder& out) { out.append(to_float<float>(r.numeric(0))); }}},
        {"numeric_float8", {[](const Row& r, ColumnBuilder& out) { out.append(to_float<double>(r.numeric(0))); }}},
        {"int2_numeric", {from_int<int16_t>}},
        {"int4_numeric", {from_int<int32_t>}},
        {"int8_numeric", {from_int<int64_t>}},
        {"float4_numeric", {[](const Row& r, ColumnBuilder& out) { out.append_numeric(from_float(r.get<float>(0))); }}},
        {"float8_numeric", {[](const Row& r, ColumnBuilder& out) { out.append_numeric(from_float(r.get<double>(0))); }}},
    };
    return table;
}

}  // namespace laminar
