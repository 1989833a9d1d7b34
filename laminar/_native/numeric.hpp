// numeric values: exact decimals with a display scale, NaN and infinities, as PostgreSQL's numeric.
//
// A value is coefficient * 10^-scale; `scale` is PostgreSQL's display scale. Coefficients below 10^38 are
// kept in an int128, larger ones as base-10^9 limbs. Storage forms: numeric_io.hpp; division, roots and
// powers: numeric_math.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "pgerror.hpp"

namespace laminar {

using i128 = __int128;
using u128 = unsigned __int128;

inline constexpr int kMaxIntegerDigits = 131072;  // before the point
inline constexpr int kMaxScale = 16383;           // after the point
inline constexpr u128 kTen19 = 10000000000000000000ull;

inline constexpr std::array<u128, 39> kPow10 = [] {
    std::array<u128, 39> p{};
    p[0] = 1;
    for (size_t i = 1; i < p.size(); i++) p[i] = p[i - 1] * 10;
    return p;
}();
inline constexpr u128 kSmallLimit = kPow10[38];

// Decimal digits of v (0 has one).
inline int count_digits(u128 v) {
    int bits = (v >> 64) ? 128 - __builtin_clzll(uint64_t(v >> 64)) : 64 - __builtin_clzll(uint64_t(v) | 1);
    int guess = bits * 1233 >> 12;
    int n = guess + (v >= kPow10[size_t(guess)] ? 1 : 0);
    return n ? n : 1;
}

// Magnitudes of any size: base-10^9 limbs, least significant first, no zero limb on top; zero is empty.
using Limbs = std::vector<uint32_t>;
inline constexpr uint32_t kLimb = 1000000000;

namespace limbs {

inline void trim(Limbs& a) {
    while (!a.empty() && a.back() == 0) a.pop_back();
}

inline Limbs from(u128 v) {
    Limbs a;
    for (; v; v /= kLimb) a.push_back(uint32_t(v % kLimb));
    return a;
}

inline int digits(const Limbs& a) { return a.empty() ? 1 : int(a.size() - 1) * 9 + count_digits(a.back()); }

inline int compare(const Limbs& a, const Limbs& b) {
    if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
    for (size_t i = a.size(); i-- > 0;)
        if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
    return 0;
}

inline Limbs add(const Limbs& a, const Limbs& b) {
    const Limbs &x = a.size() >= b.size() ? a : b, &y = a.size() >= b.size() ? b : a;
    Limbs r(x.size() + 1);
    uint32_t carry = 0;
    for (size_t i = 0; i < x.size(); i++) {
        uint32_t s = x[i] + (i < y.size() ? y[i] : 0) + carry;
        carry = s >= kLimb;
        r[i] = carry ? s - kLimb : s;
    }
    r[x.size()] = carry;
    trim(r);
    return r;
}

// a - b for a >= b.
inline Limbs sub(const Limbs& a, const Limbs& b) {
    Limbs r(a.size());
    int32_t borrow = 0;
    for (size_t i = 0; i < a.size(); i++) {
        int32_t d = int32_t(a[i]) - int32_t(i < b.size() ? b[i] : 0) - borrow;
        borrow = d < 0;
        r[i] = uint32_t(borrow ? d + int32_t(kLimb) : d);
    }
    trim(r);
    return r;
}

inline Limbs mul(const Limbs& a, const Limbs& b) {
    if (a.empty() || b.empty()) return {};
    Limbs r(a.size() + b.size());
    for (size_t i = 0; i < a.size(); i++) {
        uint64_t carry = 0, x = a[i];
        for (size_t j = 0; j < b.size(); j++) {
            uint64_t t = x * b[j] + r[i + j] + carry;
            carry = t / kLimb;
            r[i + j] = uint32_t(t - carry * kLimb);
        }
        r[i + b.size()] = uint32_t(carry);
    }
    trim(r);
    return r;
}

inline void mul_small(Limbs& a, uint32_t f) {
    uint64_t carry = 0;
    for (auto& limb : a) {
        uint64_t t = uint64_t(limb) * f + carry;
        carry = t / kLimb;
        limb = uint32_t(t - carry * kLimb);
    }
    if (carry) a.push_back(uint32_t(carry));
}

// Divides in place, returns the remainder.
inline uint32_t div_small(Limbs& a, uint32_t d) {
    uint64_t rest = 0;
    for (size_t i = a.size(); i-- > 0;) {
        uint64_t t = rest * kLimb + a[i];
        a[i] = uint32_t(t / d);
        rest = t % d;
    }
    trim(a);
    return uint32_t(rest);
}

// a * 10^n
inline void shift_up(Limbs& a, int n) {
    if (a.empty() || n <= 0) return;
    mul_small(a, uint32_t(kPow10[size_t(n % 9)]));
    a.insert(a.begin(), size_t(n / 9), 0);
}

// Knuth's algorithm D. Returns a / b, leaves a % b in `rest`; b is not zero.
inline Limbs divide(const Limbs& a, const Limbs& b, Limbs& rest) {
    if (compare(a, b) < 0) {
        rest = a;
        return {};
    }
    if (b.size() == 1) {
        Limbs q = a;
        uint32_t r = div_small(q, b[0]);
        rest.clear();
        if (r) rest.push_back(r);
        return q;
    }
    uint32_t norm = kLimb / (b.back() + 1);
    Limbs u = a, v = b;
    mul_small(u, norm);
    mul_small(v, norm);
    if (u.size() == a.size()) u.push_back(0);
    size_t n = v.size(), m = u.size() - n - 1;
    Limbs q(m + 1);
    for (size_t j = m + 1; j-- > 0;) {
        uint64_t top = uint64_t(u[j + n]) * kLimb + u[j + n - 1];
        uint64_t guess = top / v[n - 1], r = top % v[n - 1];
        while (guess >= kLimb || guess * v[n - 2] > r * kLimb + u[j + n - 2]) {
            guess--;
            r += v[n - 1];
            if (r >= kLimb) break;
        }
        int64_t borrow = 0;
        uint64_t carry = 0;
        for (size_t i = 0; i <= n; i++) {
            uint64_t p = (i < n ? guess * v[i] : 0) + carry;
            carry = p / kLimb;
            int64_t d = int64_t(u[i + j]) - int64_t(p % kLimb) - borrow;
            borrow = d < 0;
            u[i + j] = uint32_t(borrow ? d + int64_t(kLimb) : d);
        }
        if (borrow) {  // guess was one too high: add the divisor back
            guess--;
            uint32_t c = 0;
            for (size_t i = 0; i <= n; i++) {
                uint32_t s = u[i + j] + (i < n ? v[i] : 0) + c;
                c = s >= kLimb;
                u[i + j] = c ? s - kLimb : s;
            }
        }
        q[j] = uint32_t(guess);
    }
    trim(q);
    trim(u);
    div_small(u, norm);
    rest = std::move(u);
    return q;
}

// round(a / 10^n), half away from zero
inline void shift_down(Limbs& a, int n, bool round) {
    if (n <= 0 || a.empty()) return;
    if (n > digits(a)) {
        a.clear();
        return;
    }
    if (round) {
        Limbs half{5};
        shift_up(half, n - 1);
        a = add(a, half);
    }
    a.erase(a.begin(), a.begin() + std::min<ptrdiff_t>(n / 9, ptrdiff_t(a.size())));
    if (n % 9) div_small(a, uint32_t(kPow10[size_t(n % 9)]));
    trim(a);
}

}  // namespace limbs

struct Numeric {
    enum class Class : uint8_t { NegInf, Finite, PosInf, NaN };

    Class cls = Class::Finite;
    bool wide = false;      // coefficient in `big` rather than in `small`
    bool negative = false;  // sign of a wide coefficient
    int32_t scale = 0;
    i128 small = 0;         // |small| < 10^38
    Limbs big;

    Numeric() = default;
    Numeric(i128 coefficient, int32_t scale_) : scale(scale_) {
        u128 magnitude = coefficient < 0 ? u128(0) - u128(coefficient) : u128(coefficient);
        if (magnitude < kSmallLimit)
            small = coefficient;
        else
            wide = true, negative = coefficient < 0, big = limbs::from(magnitude);
    }
    static Numeric special(Class c) {
        Numeric n;
        n.cls = c;
        return n;
    }
    static Numeric nan() { return special(Class::NaN); }
    static Numeric infinity(bool neg) { return special(neg ? Class::NegInf : Class::PosInf); }
    static Numeric from_limbs(Limbs&& magnitude, bool neg, int32_t scale_) {
        Numeric n;
        n.scale = scale_;
        if (magnitude.size() <= 4 || (magnitude.size() == 5 && magnitude[4] < 100)) {  // below 10^38
            u128 v = 0;
            for (size_t i = magnitude.size(); i-- > 0;) v = v * kLimb + magnitude[i];
            n.small = neg ? -i128(v) : i128(v);
        } else {
            n.wide = true, n.negative = neg, n.big = std::move(magnitude);
        }
        return n;
    }

    bool finite() const { return cls == Class::Finite; }
    bool is_nan() const { return cls == Class::NaN; }
    bool infinite() const { return cls == Class::PosInf || cls == Class::NegInf; }
    bool zero() const { return finite() && !wide && small == 0; }
    // -1, 0 or 1; NaN counts as positive
    int sign() const {
        if (!finite()) return cls == Class::NegInf ? -1 : 1;
        return wide ? (negative ? -1 : 1) : small < 0 ? -1 : small > 0;
    }
    u128 magnitude() const { return small < 0 ? u128(0) - u128(small) : u128(small); }
    Limbs to_limbs() const { return wide ? big : limbs::from(magnitude()); }
    int digits() const { return wide ? limbs::digits(big) : count_digits(magnitude()); }
    // Decimal exponent of the leading digit, e.g. 2 for 123.4; finite and not zero.
    int exponent() const { return digits() - 1 - scale; }

    Numeric negated() const {
        Numeric r = *this;
        if (cls == Class::PosInf) r.cls = Class::NegInf;
        else if (cls == Class::NegInf) r.cls = Class::PosInf;
        else if (wide) r.negative = !negative;
        else r.small = -small;
        return r;
    }
    Numeric absolute() const { return sign() < 0 ? negated() : *this; }

    // The same value with display scale `to` (rounding half away from zero, or cutting, when it shrinks).
    // A negative `to` rounds left of the point; the scale is then 0.
    Numeric rescaled(int32_t to, bool round = true) const {
        if (!finite() || to == scale) return *this;
        if (to > scale) {
            int up = to - scale;
            if (!wide && up < 39 && magnitude() < kPow10[size_t(38 - std::min(up, 38))]) return Numeric(small * i128(kPow10[size_t(up)]), to);
            if (zero()) return Numeric(0, to);
            Limbs m = to_limbs();
            limbs::shift_up(m, up);
            return from_limbs(std::move(m), sign() < 0, to);
        }
        int down = scale - to, result = std::max(to, 0), back = result - to;
        if (!wide && back == 0) {
            if (down > 38) return Numeric(0, result);
            u128 m = magnitude(), unit = kPow10[size_t(down)];
            u128 q = m / unit;
            if (round && (m % unit) * 2 >= unit) q++;
            return Numeric(small < 0 ? -i128(q) : i128(q), result);
        }
        Limbs m = to_limbs();
        limbs::shift_down(m, down, round);
        limbs::shift_up(m, back);
        return from_limbs(std::move(m), sign() < 0, result);
    }

    // 22003 when the value is beyond what PostgreSQL's numeric can hold; cuts excess scale.
    Numeric checked() const {
        if (!finite()) return *this;
        if (scale > kMaxScale) return rescaled(kMaxScale).checked();
        if (digits() - scale > kMaxIntegerDigits) fail("22003", "value overflows numeric format");
        return *this;
    }
};

// --- comparison, addition, multiplication -----------------------------------------------------

// NaN equals NaN and is above everything.
inline int compare(const Numeric& a, const Numeric& b) {
    if (!a.finite() || !b.finite()) return int(a.cls) < int(b.cls) ? -1 : int(a.cls) > int(b.cls);
    if (!a.wide && !b.wide && a.scale == b.scale) return a.small < b.small ? -1 : a.small > b.small;
    int sa = a.sign(), sb = b.sign();
    if (sa != sb) return sa < sb ? -1 : 1;
    if (sa == 0) return 0;
    int ea = a.exponent(), eb = b.exponent();
    if (ea != eb) return (ea < eb) == (sa > 0) ? -1 : 1;
    int32_t scale = std::max(a.scale, b.scale);
    Numeric x = a.rescaled(scale), y = b.rescaled(scale);
    if (!x.wide && !y.wide) return x.small < y.small ? -1 : x.small > y.small;
    int c = limbs::compare(x.to_limbs(), y.to_limbs());
    return sa > 0 ? c : -c;
}

inline Numeric add(const Numeric& a, const Numeric& b) {
    if (!a.finite() || !b.finite()) {
        if (a.is_nan() || b.is_nan()) return Numeric::nan();
        if (a.infinite() && b.infinite() && a.cls != b.cls) return Numeric::nan();
        return a.infinite() ? a : b;
    }
    int32_t scale = std::max(a.scale, b.scale);
    if (a.scale != scale) return add(a.rescaled(scale), b);
    if (b.scale != scale) return add(a, b.rescaled(scale));
    i128 sum;
    if (!a.wide && !b.wide && !__builtin_add_overflow(a.small, b.small, &sum)) return Numeric(sum, scale);
    bool na = a.sign() < 0, nb = b.sign() < 0;
    Limbs x = a.to_limbs(), y = b.to_limbs();
    if (na == nb) return Numeric::from_limbs(limbs::add(x, y), na, scale).checked();
    int c = limbs::compare(x, y);
    if (c == 0) return Numeric(0, scale);
    return c > 0 ? Numeric::from_limbs(limbs::sub(x, y), na, scale) : Numeric::from_limbs(limbs::sub(y, x), nb, scale);
}

inline Numeric sub(const Numeric& a, const Numeric& b) { return add(a, b.negated()); }

inline Numeric mul(const Numeric& a, const Numeric& b) {
    if (!a.finite() || !b.finite()) {
        if (a.is_nan() || b.is_nan() || a.zero() || b.zero()) return Numeric::nan();
        return Numeric::infinity(a.sign() * b.sign() < 0);
    }
    int32_t scale = a.scale + b.scale;
    i128 product;
    if (!a.wide && !b.wide && !__builtin_mul_overflow(a.small, b.small, &product)) return Numeric(product, scale).checked();
    return Numeric::from_limbs(limbs::mul(a.to_limbs(), b.to_limbs()), a.sign() * b.sign() < 0, scale).checked();
}

// numeric(precision, scale): rounds, 22003 when too many digits remain before the point.
inline Numeric fit(const Numeric& v, int precision, int scale) {
    auto overflow = [&](const std::string& why) {
        fail("22003", "numeric field overflow",
             "A field with precision " + std::to_string(precision) + ", scale " + std::to_string(scale) + " " + why);
    };
    if (v.is_nan()) return v;
    if (v.infinite()) overflow("cannot hold an infinite value.");
    Numeric r = v.rescaled(scale);
    int most = precision - scale;
    if (!r.zero() && r.digits() - r.scale > most)
        overflow("must round to an absolute value less than " + (most ? "10^" + std::to_string(most) : std::string("1")) + ".");
    return r;
}

}  // namespace laminar
