// Exact sums of doubles, so that what is added can be taken away again without a trace.
//
// A fixed-point accumulator over the whole range of doubles (Kulisch; "small superaccumulator",
// Neal 2015): limb i counts units of 2^(32 i - 1074). Most groups need only a few neighbouring
// limbs, so FloatSum keeps six of them; sums that span more go to a FloatWide.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace laminar::engine {

constexpr int kFloatLimbs = 68;  // 2098 bits of doubles, the rest for carries

// The double nearest to sum(limb[i] * 2^(32 (base + i) - 1074)), ties to even. limbs is clobbered.
inline double round_limbs(int64_t* limb, int n, int base) {
    auto carry = [&] {
        for (int i = 0; i + 1 < n; ++i) {
            limb[i + 1] += limb[i] >> 32;
            limb[i] &= 0xffffffff;
        }
    };
    carry();
    const bool negative = limb[n - 1] < 0;
    if (negative) {
        for (int i = 0; i < n; ++i) limb[i] = -limb[i];
        carry();
    }
    int top = n - 1;
    while (top >= 0 && limb[top] == 0) --top;
    if (top < 0) return 0.0;
    // The top limb may hold up to 63 bits: gather 128 bits from it downwards, then a sticky bit.
    unsigned __int128 head = static_cast<uint64_t>(limb[top]);
    int low = top;  // limb whose bit 0 is head's bit 0
    while (low > 0 && head >> 90 == 0) head = head << 32 | static_cast<uint64_t>(limb[--low]);
    bool sticky = false;
    for (int i = 0; i < low; ++i) sticky |= limb[i] != 0;
    const uint64_t hi = static_cast<uint64_t>(head >> 64);
    const int bits = hi ? 128 - __builtin_clzll(hi) : 64 - __builtin_clzll(static_cast<uint64_t>(head));
    int exponent = 32 * (base + low) - 1074;
    uint64_t mantissa;
    if (bits <= 53) {
        mantissa = static_cast<uint64_t>(head);  // then low == 0: nothing lies below
    } else {
        const int drop = bits - 53;
        const unsigned __int128 rest = head & ((static_cast<unsigned __int128>(1) << drop) - 1);
        const unsigned __int128 half = static_cast<unsigned __int128>(1) << (drop - 1);
        mantissa = static_cast<uint64_t>(head >> drop);
        exponent += drop;
        if (rest > half || (rest == half && (sticky || (mantissa & 1)))) ++mantissa;
    }
    const double value = std::ldexp(static_cast<double>(mantissa), exponent);
    return negative ? -value : value;
}

struct FloatParts {
    int limb;            // of the lowest chunk
    int64_t chunk[3];    // 32 bits each, signed
};

inline FloatParts split_double(double v) {
    uint64_t bits;
    std::memcpy(&bits, &v, 8);
    const uint64_t exponent = bits >> 52 & 0x7ff;
    const uint64_t mantissa = (bits & 0xfffffffffffffull) | (exponent ? 1ull << 52 : 0);
    const int shift = exponent ? int(exponent) - 1 : 0;
    const unsigned __int128 wide = static_cast<unsigned __int128>(mantissa) << (shift & 31);
    const int64_t sign = bits >> 63 ? -1 : 1;
    return {shift >> 5,
            {sign * int64_t(uint32_t(wide)), sign * int64_t(uint32_t(wide >> 32)), sign * int64_t(uint32_t(wide >> 64))}};
}

struct FloatWide {
    int64_t limb[kFloatLimbs] = {};

    void add(double v, int64_t weight) {
        const FloatParts p = split_double(v);
        while (weight) {
            const int64_t step = weight > (1 << 20) ? 1 << 20 : weight < -(1 << 20) ? -(1 << 20) : weight;
            for (int i = 0; i < 3; ++i) limb[p.limb + i] += p.chunk[i] * step;
            normalise();
            weight -= step;
        }
    }
    void normalise() {
        for (int i = 0; i + 1 < kFloatLimbs; ++i) {
            limb[i + 1] += limb[i] >> 32;
            limb[i] &= 0xffffffff;
        }
    }
    void merge(const FloatWide& o) {
        for (int i = 0; i < kFloatLimbs; ++i) limb[i] += o.limb[i];
        normalise();
    }
    double value() const {
        FloatWide copy = *this;
        return round_limbs(copy.limb, kFloatLimbs, 0);
    }
};

struct FloatSum {
    static constexpr int kLimbs = 6;
    int32_t base = 0;
    uint32_t pending = 0;         // additions since the carries were passed on
    int64_t limb[kLimbs] = {};

    static constexpr uint32_t kSpilled = 0xffffffff;  // in pending: the sum is in a FloatWide
    bool spilled() const { return pending == kSpilled; }

    bool zero() const {
        for (int64_t l : limb)
            if (l) return false;
        return true;
    }
    void normalise() {
        for (int i = 0; i + 1 < kLimbs; ++i) {
            limb[i + 1] += limb[i] >> 32;
            limb[i] &= 0xffffffff;
        }
        pending = 1;
    }
    // False, and nothing done, when v lies outside the limbs kept.
    bool add(double v, int64_t weight) {
        if (v == 0) return true;
        const FloatParts p = split_double(v);
        unsigned at = unsigned(p.limb - base);
        if (at > 3) {
            if (!zero()) return false;
            base = p.limb > 0 ? p.limb - 1 : 0;
            at = unsigned(p.limb - base);
        }
        while (weight) {
            const int64_t step = weight > (1 << 20) ? 1 << 20 : weight < -(1 << 20) ? -(1 << 20) : weight;
            pending += uint32_t(step < 0 ? -step : step);
            if (pending > 1u << 30) normalise();
            for (int i = 0; i < 3; ++i) limb[at + unsigned(i)] += p.chunk[i] * step;
            weight -= step;
        }
        return true;
    }
    void spill(FloatWide& wide) const {  // adds itself to wide
        for (int i = 0; i < kLimbs; ++i)
            if (limb[i]) wide.limb[base + i] += limb[i];
        wide.normalise();
    }
    // Takes over wide's sum if it fits.
    bool pack(const FloatWide& wide) {
        FloatWide m = wide;
        m.normalise();
        const int64_t sign = m.limb[kFloatLimbs - 1] < 0 ? -1 : 1;
        if (sign < 0) {
            for (int64_t& l : m.limb) l = -l;
            m.normalise();
        }
        int low = 0, high = kFloatLimbs - 1;
        while (high >= 0 && !m.limb[high]) --high;
        if (high < 0) {
            *this = FloatSum();
            return true;
        }
        while (!m.limb[low]) ++low;
        if (high - low > kLimbs - 2) return false;
        *this = FloatSum();
        base = high - low <= 2 && low > 0 ? low - 1 : low;
        if (base > kFloatLimbs - kLimbs) base = kFloatLimbs - kLimbs;
        for (int i = low; i <= high; ++i) limb[i - base] = sign * m.limb[i];
        pending = 1;
        return true;
    }
    // False, and nothing done, when the two do not fit together; add through a FloatWide then.
    bool merge(const FloatSum& o) {
        if (o.zero()) return true;
        if (zero()) {
            *this = o;
            return true;
        }
        if (base != o.base) {
            FloatWide wide;
            spill(wide);
            o.spill(wide);
            return pack(wide);
        }
        FloatSum other = o;
        other.normalise();
        normalise();
        for (int i = 0; i < kLimbs; ++i) limb[i] += other.limb[i];
        pending = 2;
        return true;
    }
    double value() const {
        FloatSum copy = *this;
        return round_limbs(copy.limb, kLimbs, base);
    }
};

}  // namespace laminar::engine
