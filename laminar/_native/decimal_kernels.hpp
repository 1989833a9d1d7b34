// Addition, multiplication and comparison of numeric(p,s) columns in 128-bit integers.
#pragma once

#include "kernel.hpp"

namespace laminar::decimals {

// f(a, b) for every row without nulls; `f` appends one value.
template <class F> inline void each(const std::vector<Argument>& args, int64_t rows, ColumnBuilder& out, F f) {
    const Argument &x = args[0], &y = args[1];
    for (int64_t i = 0; i < rows; i++) {
        int64_t a = x.at(i), b = y.at(i);
        if (x.view.is_null(a) || y.view.is_null(b)) out.append_null();
        else f(x.view.get<i128>(a), y.view.get<i128>(b));
    }
}

inline bool both_decimal(const std::vector<Argument>& args) {
    return args.size() == 2 && args[0].view.type().kind == Kind::Decimal && args[1].view.type().kind == Kind::Decimal;
}

// Appends a result of the column's scale; 22003 when it has too many digits.
inline void append_checked(i128 v, const Type& type, ColumnBuilder& out) {
    u128 magnitude = v < 0 ? u128(0) - u128(v) : u128(v);
    if (magnitude < kPow10[size_t(type.precision)]) out.append(v);
    else out.append_numeric(Numeric(v, type.scale));
}

// The factors that bring both to the same scale; false when 37 digits might not hold them.
inline bool align(const Type& a, const Type& b, i128& up_a, i128& up_b) {
    int scale = std::max(a.scale, b.scale);
    if (a.precision + scale - a.scale > 37 || b.precision + scale - b.scale > 37) return false;
    up_a = i128(kPow10[size_t(scale - a.scale)]), up_b = i128(kPow10[size_t(scale - b.scale)]);
    return true;
}

template <int Sign> inline bool add_columns(const std::vector<Argument>& args, int64_t rows, ColumnBuilder& out) {
    i128 up_a, up_b;
    if (!both_decimal(args) || out.type().kind != Kind::Decimal) return false;
    const Type &a = args[0].view.type(), &b = args[1].view.type();
    if (out.type().scale != std::max(a.scale, b.scale) || !align(a, b, up_a, up_b)) return false;
    each(args, rows, out, [&](i128 x, i128 y) {
        if (x == kDecimalNan || y == kDecimalNan) out.append(kDecimalNan);
        else append_checked(x * up_a + Sign * (y * up_b), out.type(), out);
    });
    return true;
}

inline bool mul_columns(const std::vector<Argument>& args, int64_t rows, ColumnBuilder& out) {
    if (!both_decimal(args) || out.type().kind != Kind::Decimal) return false;
    const Type &a = args[0].view.type(), &b = args[1].view.type();
    if (out.type().scale != a.scale + b.scale || a.precision + b.precision > 38) return false;
    each(args, rows, out, [&](i128 x, i128 y) {
        if (x == kDecimalNan || y == kDecimalNan) out.append(kDecimalNan);
        else append_checked(x * y, out.type(), out);
    });
    return true;
}

// C(order) of every row, order being negative, zero or positive; NaN equals itself and is the greatest.
template <bool (*C)(int)> inline bool compare_columns(const std::vector<Argument>& args, int64_t rows, ColumnBuilder& out) {
    i128 up_a, up_b;
    if (!both_decimal(args) || out.type().kind != Kind::Bool) return false;
    if (!align(args[0].view.type(), args[1].view.type(), up_a, up_b)) return false;
    each(args, rows, out, [&](i128 x, i128 y) {
        if (x != kDecimalNan) x *= up_a;
        if (y != kDecimalNan) y *= up_b;
        out.append_bool(C(x < y ? -1 : x > y));
    });
    return true;
}

}  // namespace laminar::decimals
