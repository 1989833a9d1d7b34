// numeric ^ numeric, and functions of whole numbers: factorial, gcd, lcm.
#pragma once

#include "numeric_math.hpp"

namespace laminar {

// base ^ exponent to `rscale` digits after the point, for a whole exponent.
inline Numeric power_int(const Numeric& base, int64_t exponent, int rscale) {
    if (exponent == 0) return Numeric(1, 0).rescaled(rscale);
    if (exponent == 1) return base.rescaled(rscale);
    if (base.zero()) {
        if (exponent < 0) fail("22012", "division by zero");
        return Numeric(0, rscale);
    }
    if (exponent == -1) return divide(Numeric(1, 0), base, rscale, true).checked();
    if (exponent == 2) return mul(base, base).rescaled(rscale);
    double weight = double(exponent) * (std::log10(std::fabs(approximate(base.exponent() > 300 || base.exponent() < -300 ? Numeric(1, 0) : base))));
    if (base.exponent() > 300 || base.exponent() < -300) weight = double(exponent) * base.exponent();
    if (weight > 3.0 * 32767 * 4) fail("22003", "value overflows numeric format");
    if (weight + 1 < -rscale || weight + 1 < -kMaxDisplayScale) return Numeric(0, rscale);
    // Enough significant digits for the result and for what the multiplications lose.
    int digits = 1 + rscale + int(std::fabs(weight)) + int(std::log(std::fabs(double(exponent)))) + 12;
    auto cut = [&](const Numeric& v) {
        int extra = v.digits() - digits;
        return extra > 0 ? Numeric(v).rescaled(v.scale - extra) : v;
    };
    uint64_t bits = exponent < 0 ? 0 - uint64_t(exponent) : uint64_t(exponent);
    Numeric result(1, 0), square = base;
    for (;;) {
        if (bits & 1) result = cut(mul(result, square));
        bits >>= 1;
        if (!bits) break;
        square = cut(mul(square, square));
        if (square.zero()) break;
    }
    if (exponent < 0) {
        if (result.zero()) fail("22003", "value overflows numeric format");
        result = divide(Numeric(1, 0), result, rscale, true);
    }
    return result.rescaled(rscale).checked();
}

inline bool whole(const Numeric& n) { return n.finite() && min_scale(n) == 0; }

inline Numeric power_special(const Numeric& base, const Numeric& exponent) {
    const Numeric one(1, 0), zero(0, 0);
    if (base.is_nan()) return exponent.zero() ? one : Numeric::nan();
    if (exponent.is_nan()) return base.finite() && compare(base, one) == 0 ? one : Numeric::nan();
    if (base.zero() && exponent.sign() < 0) fail("2201F", "zero raised to a negative power is undefined");
    if (base.sign() < 0 && exponent.finite() && !whole(exponent))
        fail("2201F", "a negative number raised to a non-integer power yields a complex result");
    if (base.finite() && compare(base, one) == 0) return one;
    if (exponent.zero()) return one;
    if (base.zero()) return zero;
    if (exponent.infinite()) {
        if (base.finite() && compare(base, Numeric(-1, 0)) == 0) return one;
        bool grows = base.infinite() || compare(base.absolute(), one) > 0;
        return grows == (exponent.sign() > 0) ? Numeric::infinity(false) : zero;
    }
    if (exponent.sign() < 0) return zero;  // the base is infinite
    bool odd = mod(exponent, Numeric(2, 0)).sign() != 0;
    return Numeric::infinity(base.sign() < 0 && odd);
}

inline Numeric power(const Numeric& base, const Numeric& exponent) {
    if (!base.finite() || !exponent.finite()) return power_special(base, exponent);
    if (base.zero() && exponent.sign() < 0) fail("2201F", "zero raised to a negative power is undefined");
    if (base.sign() < 0 && !whole(exponent))
        fail("2201F", "a negative number raised to a non-integer power yields a complex result");
    if (whole(exponent)) {
        Numeric n = exponent.rescaled(0);
        if (!n.wide && n.small >= INT32_MIN && n.small <= INT32_MAX)
            return power_int(base, int64_t(n.small), clamp_scale(kMinSignificant, base.scale));
    }
    if (base.zero()) return Numeric(0, kMinSignificant);
    Numeric positive = base.absolute();
    bool negative = base.sign() < 0 && mod(exponent, Numeric(2, 0)).sign() != 0;
    int weight_of_ln = ln_weight(positive);
    // PostgreSQL's estimate, roundings included: it decides the result's scale.
    int rough_scale = std::max(8 - weight_of_ln, 0);
    Numeric rough = mul(ln_to(positive, rough_scale), exponent).rescaled(rough_scale);
    double estimate = approximate(rough);
    if (std::fabs(estimate) > 2000 * 3.01) {
        if (estimate > 0) fail("22003", "value overflows numeric format");
        return Numeric(0, kMaxDisplayScale);
    }
    int weight = int(estimate * kLog10E);
    int rscale = clamp_scale(kMinSignificant - weight, std::max(base.scale, exponent.scale));
    int digits = rscale + std::max(weight, 0) + std::max(exponent.exponent(), 0) + std::max(-weight_of_ln, 0) + 12;
    Numeric result = exp_to(mul(ln_to(positive, digits), exponent).rescaled(digits), rscale);
    return negative ? result.negated() : result;
}

inline Numeric factorial(int64_t n) {
    if (n < 0) fail("22003", "factorial of a negative number is undefined");
    if (n > 32177) fail("22003", "value overflows numeric format");
    Limbs product{1};
    for (int64_t i = 2; i <= n; i++) limbs::mul_small(product, uint32_t(i));
    return Numeric::from_limbs(std::move(product), false, 0);
}

inline Numeric gcd(Numeric a, Numeric b) {
    if (!a.finite() || !b.finite()) return Numeric::nan();
    int scale = std::max(a.scale, b.scale);
    a = a.absolute().rescaled(scale), b = b.absolute().rescaled(scale);
    while (!b.zero()) {
        Numeric rest = mod(a, b);
        a = b, b = rest;
    }
    return a.rescaled(scale);
}

inline Numeric lcm(const Numeric& a, const Numeric& b) {
    if (!a.finite() || !b.finite()) return Numeric::nan();
    int scale = std::max(a.scale, b.scale);
    if (a.zero() || b.zero()) return Numeric(0, scale);
    return mul(divide(a, gcd(a, b), 0, false), b).absolute().rescaled(scale).checked();
}

}  // namespace laminar
