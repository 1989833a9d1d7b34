// Division, roots, exponentials and logarithms of numeric, with the display scales PostgreSQL chooses.
//
// Results are correctly rounded at that scale except exp, ln, log and power with a fraction, which are computed with
// ten more digits than are shown.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>

#include "numeric_io.hpp"

namespace laminar {

inline constexpr int kMinSignificant = 16;   // digits a quotient or root shows at least
inline constexpr int kMaxDisplayScale = 1000;

// The value in PostgreSQL's base 10000: exponent and value of its first digit (0, 0 for zero).
struct Leading { int weight, digit; };

inline Leading leading(const Numeric& n) {
    if (n.zero()) return {0, 0};
    int exponent = n.exponent();
    int weight = exponent >= 0 ? exponent / 4 : -((-exponent + 3) / 4);
    DigitString d(n);
    int digit = 0;
    for (int i = 0; i <= exponent - weight * 4; i++) digit = digit * 10 + d[i];
    return {weight, digit};
}

inline int clamp_scale(int rscale, int least) { return std::min(std::max({rscale, least, 0}), kMaxDisplayScale); }

// Display scale of a / b.
inline int division_scale(const Numeric& a, const Numeric& b) {
    Leading x = leading(a), y = leading(b);
    int weight = x.weight - y.weight - (x.digit <= y.digit ? 1 : 0);
    return clamp_scale(kMinSignificant - weight * 4, std::max(a.scale, b.scale));
}

// a / b to `rscale` digits after the point, rounded half away from zero or cut. b is not zero.
inline Numeric divide(const Numeric& a, const Numeric& b, int rscale, bool round) {
    bool negative = a.sign() * b.sign() < 0;
    int shift = rscale + b.scale - a.scale;
    if (!a.wide && !b.wide && shift <= 38 && shift >= -38) {
        u128 x = a.magnitude(), y = b.magnitude();
        bool fits = shift >= 0 ? !__builtin_mul_overflow(x, kPow10[size_t(shift)], &x) : !__builtin_mul_overflow(y, kPow10[size_t(-shift)], &y);
        if (fits) {
            u128 q, r;
            if (!(x >> 64) && !(y >> 64)) q = uint64_t(x) / uint64_t(y), r = uint64_t(x) % uint64_t(y);
            else q = x / y, r = x - q * y;
            if (round && r >= y - r) q++;
            if (q < kSmallLimit) return Numeric(negative ? -i128(q) : i128(q), rscale);
            return Numeric::from_limbs(limbs::from(q), negative, rscale);
        }
    }
    Limbs x = a.to_limbs(), y = b.to_limbs(), rest;
    limbs::shift_up(x, shift);
    limbs::shift_up(y, -shift);
    Limbs q = limbs::divide(x, y, rest);
    if (round && limbs::compare(limbs::add(rest, rest), y) >= 0) q = limbs::add(q, Limbs{1});
    return Numeric::from_limbs(std::move(q), negative, rscale);
}

inline Numeric div(const Numeric& a, const Numeric& b) {
    if (a.is_nan() || b.is_nan()) return Numeric::nan();
    if (a.infinite() && b.infinite()) return Numeric::nan();
    if (b.zero()) fail("22012", "division by zero");
    if (a.infinite()) return Numeric::infinity(a.sign() * b.sign() < 0);
    if (b.infinite()) return Numeric(0, 0);
    return divide(a, b, division_scale(a, b), true).checked();
}

// Quotient without fraction: div(numeric, numeric)
inline Numeric div_trunc(const Numeric& a, const Numeric& b) {
    if (!a.finite() || !b.finite() || b.zero()) return div(a, b);
    return divide(a, b, 0, false);
}

// Remainder with the dividend's sign.
inline Numeric mod(const Numeric& a, const Numeric& b) {
    if (a.is_nan() || b.is_nan()) return Numeric::nan();
    if (b.zero()) fail("22012", "division by zero");
    if (a.infinite()) return Numeric::nan();
    if (b.infinite()) return a;
    return sub(a, mul(divide(a, b, 0, false), b));
}

inline Numeric floor(const Numeric& n) {
    if (!n.finite()) return n;
    Numeric t = n.rescaled(0, false);
    return n.sign() < 0 && compare(t, n) != 0 ? sub(t, Numeric(1, 0)) : t;
}

inline Numeric ceil(const Numeric& n) { return floor(n.negated()).negated(); }

// round(n, digits) and trunc(n, digits)
inline Numeric round(const Numeric& n, int digits, bool half_up) {
    return n.rescaled(std::clamp(digits, -2000, 2000), half_up);
}

// Fewest digits after the point that keep the value.
inline int min_scale(const Numeric& n) {
    if (n.zero()) return 0;
    DigitString d(n);
    int zeros = 0;
    while (zeros < n.scale && d[d.size() - 1 - zeros] == 0) zeros++;
    return n.scale - zeros;
}

// --- conversions ------------------------------------------------------------------------------

template <class T> inline T to_integer(const Numeric& n, const char* type) {
    if (!n.finite())
        fail("0A000", std::string("cannot convert ") + (n.is_nan() ? "NaN" : "infinity") + " to " + type);
    Numeric r = n.rescaled(0);
    if (r.wide || r.small < std::numeric_limits<T>::min() || r.small > std::numeric_limits<T>::max())
        fail("22003", std::string(type) + " out of range");
    return T(r.small);
}

// PostgreSQL keeps 15 (6) significant digits of a float.
template <class F> inline Numeric from_float(F v) {
    if (std::isnan(v)) return Numeric::nan();
    if (std::isinf(v)) return Numeric::infinity(v < 0);
    char buf[64];
    int n = std::snprintf(buf, sizeof buf, "%.*g", std::numeric_limits<F>::digits10, double(v));
    return parse_numeric(std::string_view(buf, size_t(n)));
}

template <class F> inline F to_float(const Numeric& n) {
    std::string text;
    format_numeric(text, n);
    return parse_float<F>(text);
}

// For estimates: overflow gives infinity.
inline double approximate(const Numeric& n) {
    if (n.zero()) return 0;
    DigitString d(n);
    double v = 0;
    int take = std::min(d.size(), 17);
    for (int i = 0; i < take; i++) v = v * 10 + d[i];
    return (n.sign() < 0 ? -v : v) * std::pow(10.0, d.size() - take - n.scale);
}

// --- roots ------------------------------------------------------------------------------------

// Square root to `rscale` digits, rounded; n is finite and not negative.
inline Numeric sqrt_to(const Numeric& n, int rscale) {
    if (n.zero()) return Numeric(0, rscale);
    // One more digit than shown decides the rounding; a square root never ends in exactly half.
    int scale = rscale + 1, shift = 2 * scale - n.scale;
    Limbs x = n.to_limbs();
    if (shift >= 0) limbs::shift_up(x, shift);
    else limbs::shift_down(x, -shift, false);
    if (x.empty()) return Numeric(0, rscale);
    Limbs root{1};
    limbs::shift_up(root, (limbs::digits(x) + 1) / 2);
    for (;;) {  // Newton from above, falling to the floor of the root
        Limbs rest, next = limbs::add(root, limbs::divide(x, root, rest));
        limbs::div_small(next, 2);
        if (limbs::compare(next, root) >= 0) break;
        root = std::move(next);
    }
    return Numeric::from_limbs(std::move(root), false, scale).rescaled(rscale);
}

inline Numeric sqrt(const Numeric& n) {
    if (n.is_nan() || n.cls == Numeric::Class::PosInf) return n;
    if (n.sign() < 0) fail("2201F", "cannot take square root of a negative number");
    int digits = (leading(n).weight + 1) * 4 / 2 - 1;
    return sqrt_to(n, clamp_scale(kMinSignificant - digits, n.scale));
}

// --- exponential and logarithm ----------------------------------------------------------------

inline constexpr double kLog10E = 0.434294481903252;

// e^x to `rscale` digits after the point.
inline Numeric exp_to(const Numeric& x, int rscale) {
    double estimate = approximate(x);
    if (std::fabs(estimate) >= 6000) {
        if (estimate > 0) fail("22003", "value overflows numeric format");
        return Numeric(0, rscale);
    }
    int weight = int(estimate * kLog10E) + 1;
    if (rscale + weight < -1) return Numeric(0, rscale);
    int halvings = 0;
    for (double r = std::fabs(estimate); r > 0.01; r /= 2) halvings++;
    int p = rscale + 2 * std::max(weight, 0) + std::max(-weight, 0) + halvings / 3 + 12;
    if (!x.zero() && x.exponent() < 0) p += std::min(-x.exponent(), kMaxDisplayScale);  // 1 + x must not look like 1
    Numeric power_of_two(1, 0);
    for (int i = 0; i < halvings; i++) power_of_two = add(power_of_two, power_of_two);
    bool negative = x.sign() < 0;
    Numeric r = divide(x.absolute(), power_of_two, p, true), sum(1, 0), term(1, 0);
    sum = sum.rescaled(p), term = term.rescaled(p);
    for (int i = 1; !term.zero(); i++) {
        term = divide(mul(term, r).rescaled(p), Numeric(i, 0), p, true);
        sum = add(sum, term);
    }
    for (int i = 0; i < halvings; i++) sum = mul(sum, sum).rescaled(p);
    return negative ? divide(Numeric(1, 0), sum, rscale, true) : sum.rescaled(rscale);
}

// ln x to `rscale` digits after the point; x is positive.
inline Numeric ln_to(const Numeric& x, int rscale) {
    int p = rscale + 12, roots = 0;
    Numeric one(1, 0), y = x;
    double size = std::fabs(double(x.exponent())) + 1;
    p += int(size / 2);
    int steps = int(std::log2(size)) + 8;
    p += steps / 3;
    const Numeric low(95, 2), high(105, 2);
    while (compare(y, low) < 0 || compare(y, high) > 0) {
        // Very small arguments need their significant digits, not only p places.
        y = sqrt_to(y, p + std::max(0, -y.exponent()));
        roots++;
    }
    // ln y = 2 (z + z^3/3 + z^5/5 + …), z = (y - 1) / (y + 1)
    Numeric z = divide(sub(y, one), add(y, one), p, true), square = mul(z, z).rescaled(p), power = z, sum = z;
    for (int i = 3; !power.zero(); i += 2) {
        power = mul(power, square).rescaled(p);
        sum = add(sum, divide(power, Numeric(i, 0), p, true));
    }
    for (int i = 0; i <= roots; i++) sum = add(sum, sum);
    return sum.rescaled(rscale);
}

// Decimal exponent of ln x, roughly, as PostgreSQL estimates it to choose scales.
inline int ln_weight(const Numeric& x) {
    if (x.sign() <= 0) return 0;
    if (compare(x, Numeric(9, 1)) >= 0 && compare(x, Numeric(11, 1)) <= 0) {
        Numeric d = sub(x, Numeric(1, 0));
        return d.zero() ? 0 : d.exponent();
    }
    DigitString d(x);
    Leading first = leading(x);
    // The first two base-10000 digits: those up to the point at the end of the second one.
    int head = x.exponent() - first.weight * 4 + 1;
    double digits = first.digit;
    int exponent = first.weight * 4;
    bool second = false;
    for (int i = head; i < d.size(); i++) second |= d[i] != 0;
    if (second) {
        digits = digits * 10000 + (d[head] * 1000 + d[head + 1] * 100 + d[head + 2] * 10 + d[head + 3]);
        exponent -= 4;
    }
    return int(std::log10(std::fabs(std::log(digits) + exponent * 2.302585092994046)));
}

inline void require_logarithm(const Numeric& n) {
    if (n.sign() < 0) fail("2201E", "cannot take logarithm of a negative number");
    if (n.zero()) fail("2201E", "cannot take logarithm of zero");
}

inline Numeric exp(const Numeric& n) {
    if (!n.finite()) return n.cls == Numeric::Class::NegInf ? Numeric(0, 0) : n;
    double weight = std::clamp(approximate(n) * kLog10E, -2000.0, 2000.0);
    return exp_to(n, clamp_scale(kMinSignificant - int(weight), n.scale));
}

inline Numeric ln(const Numeric& n) {
    if (n.is_nan()) return n;
    require_logarithm(n);
    if (n.infinite()) return n;
    return ln_to(n, clamp_scale(kMinSignificant - ln_weight(n), n.scale));
}

// Logarithm of `n` to the base `base`.
inline Numeric log(const Numeric& base, const Numeric& n) {
    if (base.is_nan() || n.is_nan()) return Numeric::nan();
    if (n.cls == Numeric::Class::NegInf) require_logarithm(n);
    require_logarithm(base);
    require_logarithm(n);
    if (base.infinite() && n.infinite()) return Numeric::nan();
    if (base.infinite()) return Numeric(0, 0);
    if (n.infinite()) return n;
    int base_weight = ln_weight(base), n_weight = ln_weight(n), weight = n_weight - base_weight;
    int rscale = clamp_scale(kMinSignificant - weight, std::max(base.scale, n.scale));
    int digits = rscale + std::max(weight, 0) + 10;
    Numeric denominator = ln_to(base, digits + std::max(0, -base_weight) * 2);
    if (denominator.zero()) fail("22012", "division by zero");
    return divide(ln_to(n, digits + std::max(0, -n_weight)), denominator, rscale, true);
}

}  // namespace laminar
