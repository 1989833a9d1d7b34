// Functions, operators and casts of numeric.
#pragma once

#include "decimal_kernels.hpp"
#include "kernel.hpp"
#include "number_format.hpp"
#include "numeric_power.hpp"
#include "numeric_sum.hpp"

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
inline bool is_eq(int order) { return order == 0; }
inline bool is_ne(int order) { return order != 0; }
inline bool is_lt(int order) { return order < 0; }
inline bool is_le(int order) { return order <= 0; }
inline bool is_gt(int order) { return order > 0; }
inline bool is_ge(int order) { return order >= 0; }
template <bool (*C)(int)> inline Function comparison() {
    return {[](R r, Out out) { out.append_bool(C(compare_row(r))); }, true, decimals::compare_columns<C>};
}

// sum() of an array's elements; null for none. Not a function of PostgreSQL's: ad-hoc aggregation calls it by group.
inline void sum_of_array(const Row& r, ColumnBuilder& out) {
    auto [from, to] = r.elements(0);
    NumericSum sum;
    for (int64_t i = from; i < to; i++)
        if (!r.view(0).child().is_null(i)) sum.add(r.view(0).child().numeric(i));
    if (sum.values() == 0) out.append_null();
    else out.append_numeric(sum.result());
}

// Variance of a sum, a sum of squares and a count; then whether of a sample, and whether its root is wanted.
inline void variance_of_sums(const Row& r, ColumnBuilder& out) {
    int64_t count = r.int8(2);
    bool sample = r.boolean(3);
    if (count < (sample ? 2 : 1)) out.append_null();
    else out.append_numeric(variance(r.numeric(0), r.numeric(1), count, sample, r.boolean(4)));
}

// numeric(numeric, typmod)
inline void apply_typmod(const Row& r, ColumnBuilder& out) {
    int32_t typmod = r.int4(1);
    if (typmod < 4) return out.append_numeric(r.numeric(0));
    out.append_numeric(fit(r.numeric(0), (typmod - 4) >> 16 & 0xFFFF, (((typmod - 4) & 0x7FF) ^ 1024) - 1024));
}

inline void width_bucket(const Row& r, ColumnBuilder& out) {
    Numeric v = r.numeric(0), low = r.numeric(1), high = r.numeric(2);
    int32_t count = r.int4(3);
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

// to_char(number, format): `shaped` makes the text of row r's number.
template <class F> inline void put_shaped(const Row& r, ColumnBuilder& out, F shaped) {
    out.append_bytes(r.text(1).empty() ? std::string() : shaped(number_template(r.text(1))));
}

inline void to_number_row(const Row& r, ColumnBuilder& out) {
    if (r.text(1).empty()) out.append_null();
    else out.append_numeric(to_number(r.text(0), number_template(r.text(1))));
}

}  // namespace detail

inline const FunctionTable& numeric_functions() {
    using namespace detail;
    using R = const Row&;
    using Out = ColumnBuilder&;
    static const FunctionTable table = {
        {"numeric_add", {binary<add>, true, decimals::add_columns<1>}},
        {"numeric_sub", {binary<sub>, true, decimals::add_columns<-1>}},
        {"numeric_mul", {binary<mul>, true, decimals::mul_columns}},
        {"numeric_div", {binary<div>}},
        {"numeric_div_trunc", {binary<div_trunc>}},
        {"numeric_mod", {binary<mod>}},
        {"numeric_power", {binary<power>}},
        {"numeric_log", {binary<log>}},
        {"numeric_gcd", {[](R r, Out out) { out.append_numeric(gcd(r.numeric(0), r.numeric(1))); }}},
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
        {"numeric_fac", {[](R r, Out out) { out.append_numeric(factorial(r.int8(0))); }}},
        {"numeric_round", {[](R r, Out out) { out.append_numeric(round(r.numeric(0), r.int4(1), true)); }}},
        {"numeric_trunc", {[](R r, Out out) { out.append_numeric(round(r.numeric(0), r.int4(1), false)); }}},
        {"numeric_scale", {[](R r, Out out) { scale_of(r, out, false); }}},
        {"numeric_min_scale", {[](R r, Out out) { scale_of(r, out, true); }}},
        {"width_bucket_numeric", {width_bucket}},
        {"numeric", {apply_typmod}},
        {"numeric_to_char", {[](R r, Out out) { put_shaped(r, out, [&](auto& t) { return to_char(r.numeric(0), t); }); }}},
        {"int4_to_char", {[](R r, Out out) { put_shaped(r, out, [&](auto& t) { return to_char(r.int4(0), true, t); }); }}},
        {"int8_to_char", {[](R r, Out out) { put_shaped(r, out, [&](auto& t) { return to_char(r.int8(0), false, t); }); }}},
        {"float4_to_char", {[](R r, Out out) { put_shaped(r, out, [&](auto& t) { return to_char(r.get<float>(0), 6, t); }); }}},
        {"float8_to_char", {[](R r, Out out) { put_shaped(r, out, [&](auto& t) { return to_char(r.float8(0), 15, t); }); }}},
        {"numeric_to_number", {to_number_row}},
        {"numeric_eq", comparison<is_eq>()},
        {"numeric_ne", comparison<is_ne>()},
        {"numeric_lt", comparison<is_lt>()},
        {"numeric_le", comparison<is_le>()},
        {"numeric_gt", comparison<is_gt>()},
        {"numeric_ge", comparison<is_ge>()},
        {"numeric_cmp", {[](R r, Out out) { out.append(int32_t(compare_row(r))); }}},
        {"laminar_sum_of_array", {sum_of_array}},
        {"laminar_variance_of_sums", {variance_of_sums}},
        {"numeric_int2", {[](R r, Out out) { out.append(to_integer<int16_t>(r.numeric(0), "smallint")); }}},
        {"numeric_int4", {[](R r, Out out) { out.append(to_integer<int32_t>(r.numeric(0), "integer")); }}},
        {"numeric_int8", {[](R r, Out out) { out.append(to_integer<int64_t>(r.numeric(0), "bigint")); }}},
        {"numeric_float4", {[](R r, Out out) { out.append(to_float<float>(r.numeric(0))); }}},
        {"numeric_float8", {[](R r, Out out) { out.append(to_float<double>(r.numeric(0))); }}},
        {"int2_numeric", {from_int<int16_t>}},
        {"int4_numeric", {from_int<int32_t>}},
        {"int8_numeric", {from_int<int64_t>}},
        {"float4_numeric", {[](R r, Out out) { out.append_numeric(from_float(r.get<float>(0))); }}},
        {"float8_numeric", {[](R r, Out out) { out.append_numeric(from_float(r.float8(0))); }}},
    };
    return table;
}

}  // namespace laminar
