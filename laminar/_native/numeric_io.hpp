// Forms of a numeric: text, PostgreSQL's binary, decimal128 storage and the order-preserving var storage.
#pragma once

#include <cstring>
#include <string>
#include <string_view>

#include "numeric.hpp"
#include "scalar_io.hpp"

namespace laminar {

inline constexpr i128 kDecimalNan = i128(~u128(0) >> 1);  // laminar.types.DECIMAL_NAN

// Digits of a finite value's coefficient, most significant first, as values 0..9; empty for zero.
class DigitString {
  public:
    explicit DigitString(const Numeric& n) {
        if (n.wide) {
            heap_.resize(size_t(limbs::digits(n.big)));
            uint8_t* p = heap_.data() + heap_.size();
            for (size_t i = 0; i < n.big.size(); i++) {
                uint32_t limb = n.big[i];
                for (int k = 0; k < 9 && p > heap_.data(); k++, limb /= 10) *--p = uint8_t(limb % 10);
            }
            data_ = heap_.data(), size_ = int(heap_.size());
            return;
        }
        u128 m = n.magnitude();
        uint8_t* p = local_ + sizeof local_;
        while (m >> 64) {
            uint64_t low = uint64_t(m % kTen19);
            m /= kTen19;
            for (int k = 0; k < 19; k++, low /= 10) *--p = uint8_t(low % 10);
        }
        for (uint64_t v = uint64_t(m); v; v /= 10) *--p = uint8_t(v % 10);
        data_ = p, size_ = int(local_ + sizeof local_ - p);
        while (size_ > 0 && *data_ == 0) data_++, size_--;
    }
    DigitString(const DigitString&) = delete;
    int size() const { return size_; }
    // Digit i from the left; 0 beyond either end.
    int operator[](int i) const { return i >= 0 && i < size_ ? data_[i] : 0; }
    const uint8_t* data() const { return data_; }

  private:
    uint8_t local_[40];
    std::vector<uint8_t> heap_;
    const uint8_t* data_;
    int size_;
};

// --- text -------------------------------------------------------------------------------------

inline void format_numeric(std::string& out, const Numeric& n) {
    if (!n.finite()) {
        out.append(n.is_nan() ? "NaN" : n.cls == Numeric::Class::NegInf ? "-Infinity" : "Infinity");
        return;
    }
    DigitString d(n);
    if (n.sign() < 0) out.push_back('-');
    int whole = d.size() - n.scale;  // digits before the point
    if (whole <= 0) out.push_back('0');
    for (int i = 0; i < whole; i++) out.push_back(char('0' + d[i]));
    if (n.scale > 0) {
        out.push_back('.');
        for (int i = whole; i < whole + n.scale; i++) out.push_back(char('0' + d[i]));
    }
}

// A coefficient from decimal digits (ASCII).
inline Numeric numeric_from_digits(std::string_view digits, bool negative, int32_t scale) {
    size_t zeros = digits.find_first_not_of('0');
    digits.remove_prefix(zeros == std::string_view::npos ? digits.size() : zeros);
    if (digits.size() <= 38) {
        uint64_t low = 0;
        u128 v = 0;
        if (digits.size() <= 19) {
            for (char c : digits) low = low * 10 + uint64_t(c - '0');
            v = low;
        } else {
            for (char c : digits) v = v * 10 + u128(c - '0');
        }
        return Numeric(negative ? -i128(v) : i128(v), scale);
    }
    Limbs m;
    for (size_t end = digits.size(); end > 0; end -= std::min<size_t>(end, 9)) {
        uint32_t limb = 0;
        for (size_t i = end > 9 ? end - 9 : 0; i < end; i++) limb = limb * 10 + uint32_t(digits[i] - '0');
        m.push_back(limb);
    }
    return Numeric::from_limbs(std::move(m), negative, scale);
}

inline Numeric parse_numeric(std::string_view text) {
    std::string_view s = trim(text);
    bool negative = false;
    bool has_sign = !s.empty() && (s[0] == '-' || s[0] == '+');
    if (has_sign) negative = s[0] == '-', s.remove_prefix(1);
    if (!s.empty() && is_alpha(s[0])) {
        if (equals_ci(s, "nan") && !has_sign) return Numeric::nan();
        if (equals_ci(s, "infinity") || equals_ci(s, "inf")) return Numeric::infinity(negative);
        bad_syntax("numeric", text);
    }
    size_t whole = 0, i = 0;
    while (i < s.size() && is_digit(s[i])) i++;
    whole = i;
    std::string joined;
    std::string_view digits = s.substr(0, whole);
    int64_t scale = 0;
    if (i < s.size() && s[i] == '.') {
        size_t start = ++i;
        while (i < s.size() && is_digit(s[i])) i++;
        scale = int64_t(i - start);
        joined.assign(digits).append(s.substr(start, i - start));
        digits = joined;
    }
    if (digits.empty()) bad_syntax("numeric", text);
    if (i < s.size() && lower(s[i]) == 'e') {
        int64_t exponent = 0;
        auto tail = s.substr(i + 1);
        if (!tail.empty() && tail[0] == '+') tail.remove_prefix(1);
        if (tail.empty() || tail[0] == '+') bad_syntax("numeric", text);
        auto r = std::from_chars(tail.data(), tail.data() + tail.size(), exponent);
        if (r.ptr != tail.data() + tail.size()) bad_syntax("numeric", text);
        if (r.ec != std::errc() || exponent >= INT32_MAX / 2 || exponent <= -(INT32_MAX / 2))
            fail("22003", "value overflows numeric format");
        i = s.size();
        bool zero = digits.find_first_not_of('0') == std::string_view::npos;
        scale -= exponent;
        if (scale < 0) {
            if (!zero) {
                if (int64_t(digits.size()) - scale > int64_t(kMaxIntegerDigits) + int64_t(digits.size()))
                    fail("22003", "value overflows numeric format");
                if (joined.empty()) joined.assign(digits);
                joined.append(size_t(-scale), '0');
                digits = joined;
            }
            scale = 0;
        }
    }
    if (i != s.size()) bad_syntax("numeric", text);
    if (scale > kMaxScale) fail("22003", "value overflows numeric format");
    return numeric_from_digits(digits, negative, int32_t(scale)).checked();
}

// --- PostgreSQL's binary ----------------------------------------------------------------------

inline void send_numeric(std::string& out, const Numeric& n) {
    if (!n.finite()) {
        put_be<int16_t>(out, 0), put_be<int16_t>(out, 0);
        put_be<uint16_t>(out, n.is_nan() ? 0xC000 : n.cls == Numeric::Class::PosInf ? 0xD000 : 0xF000);
        put_be<int16_t>(out, n.is_nan() ? 0 : 0x20);  // what PostgreSQL's header bits happen to give
        return;
    }
    DigitString d(n);
    int whole = d.size() - n.scale;  // the point comes after this many digits
    // Groups of four are aligned at the point: the first starts at digit `start` (perhaps before the first).
    int start = -((4 - whole % 4) % 4);
    int weight = (whole - start) / 4 - 1;
    auto group = [&](int at) { return d[at] * 1000 + d[at + 1] * 100 + d[at + 2] * 10 + d[at + 3]; };
    int first = start, last = d.size();
    while (first < last && group(first) == 0) first += 4, weight--;
    int groups = first < last ? (last - first + 3) / 4 : 0;
    while (groups > 0 && group(first + 4 * (groups - 1)) == 0) groups--;
    put_be<int16_t>(out, int16_t(groups));
    put_be<int16_t>(out, int16_t(groups ? weight : 0));
    put_be<uint16_t>(out, n.sign() < 0 ? 0x4000 : 0);
    put_be<int16_t>(out, int16_t(n.scale));
    for (int g = 0; g < groups; g++) put_be<int16_t>(out, int16_t(group(first + 4 * g)));
}

inline Numeric recv_numeric(std::string_view b) {
    if (b.size() < 8) fail("08P01", "insufficient data left in message");
    int groups = get_be<uint16_t>(b.data()), weight = get_be<int16_t>(b.data() + 2);
    int sign = get_be<uint16_t>(b.data() + 4), scale = get_be<uint16_t>(b.data() + 6);
    if (b.size() < 8 + size_t(groups) * 2) fail("08P01", "insufficient data left in message");
    if (b.size() > 8 + size_t(groups) * 2) bad_binary("incorrect binary data format");
    if (sign == 0xC000) return Numeric::nan();
    if (sign == 0xD000 || sign == 0xF000) return Numeric::infinity(sign == 0xF000);
    if (sign != 0 && sign != 0x4000) bad_binary("invalid sign in external \"numeric\" value");
    if (scale > kMaxScale) bad_binary("invalid scale in external \"numeric\" value");
    std::string digits;
    digits.reserve(size_t(groups) * 4);
    for (int g = 0; g < groups; g++) {
        int v = get_be<int16_t>(b.data() + 8 + g * 2);
        if (v < 0 || v >= 10000) bad_binary("invalid digit in external \"numeric\" value");
        for (int unit = 1000; unit; unit /= 10) digits.push_back(char('0' + v / unit % 10));
    }
    // digits * 10^shift; bring it to the announced scale, cutting what is beyond it as PostgreSQL does
    int shift = (weight + 1 - groups) * 4;
    if (shift > 0) digits.append(size_t(shift), '0');
    Numeric n = numeric_from_digits(digits, sign == 0x4000, shift > 0 ? 0 : -shift);
    return n.rescaled(scale, false).checked();
}

// --- decimal128 storage -----------------------------------------------------------------------

inline Numeric load_decimal(const void* p, int32_t scale) {
    i128 v;
    std::memcpy(&v, p, 16);
    return v == kDecimalNan ? Numeric::nan() : Numeric(v, scale);
}

// Rounds to the column's scale; 22003 when it does not fit.
inline i128 to_decimal(const Numeric& n, int precision, int scale) {
    if (n.is_nan()) return kDecimalNan;
    if (n.finite() && !n.wide && n.scale == scale && n.magnitude() < kPow10[size_t(precision)]) return n.small;
    return fit(n, precision, scale).small;
}

// --- var storage: class, base-100 digits in memcmp order, then the display scale (docs/types.md) --

namespace var_format {
inline constexpr uint8_t kNegInf = 0x00, kNegative = 0x10, kZero = 0x20, kPositive = 0x30, kPosInf = 0x40, kNan = 0x50;
inline constexpr uint8_t kEnd = 0x01;
inline constexpr int kBias = 0x8000, kEscape = 0xFFFF;  // exponents from kEscape on take two more bytes
}  // namespace var_format

inline void store_var(std::string& out, const Numeric& n) {
    using namespace var_format;
    if (!n.finite() || n.zero()) {
        out.push_back(char(n.zero() ? kZero : n.is_nan() ? kNan : n.cls == Numeric::Class::PosInf ? kPosInf : kNegInf));
        put_be<uint16_t>(out, uint16_t(n.scale));
        return;
    }
    DigitString d(n);
    int whole = d.size() - n.scale, start = whole % 2 ? -1 : 0;
    int exponent = (whole - start) / 2 - 1, end = d.size();
    while (end > 0 && d[end - 1] == 0) end--;
    uint8_t flip = n.sign() < 0 ? 0xFF : 0;
    out.push_back(char(flip ? kNegative : kPositive));
    int biased = exponent + kBias;
    auto put16 = [&](int v) { out.push_back(char(uint8_t(v >> 8) ^ flip)), out.push_back(char(uint8_t(v) ^ flip)); };
    put16(std::min(biased, kEscape));
    if (biased >= kEscape) put16(biased - kEscape);
    for (int i = start; i < end; i += 2) out.push_back(char(uint8_t((d[i] * 10 + d[i + 1]) * 2 + 3) ^ flip));
    out.push_back(char(kEnd ^ flip));
    put_be<uint16_t>(out, uint16_t(n.scale));
}

// The sort key of a var value: its storage without the display scale.
inline std::string_view var_sort_key(std::string_view b) { return b.substr(0, b.size() - 2); }

// XX001 for bytes that store_var cannot have written.
inline Numeric load_var(std::string_view b) {
    using namespace var_format;
    auto corrupt = [] { fail("XX001", "invalid stored numeric value"); };
    if (b.size() < 3) corrupt();
    int32_t scale = get_be<uint16_t>(b.data() + b.size() - 2);
    uint8_t cls = uint8_t(b[0]);
    if (cls == kZero) return Numeric(0, scale);
    if (cls == kNan) return Numeric::nan();
    if (cls == kPosInf || cls == kNegInf) return Numeric::infinity(cls == kNegInf);
    if (cls != kPositive && cls != kNegative) corrupt();
    uint8_t flip = cls == kNegative ? 0xFF : 0;
    if (b.size() < 7) corrupt();
    auto byte = [&](size_t i) { return int(uint8_t(b[i]) ^ flip); };
    size_t at = 3;
    int biased = byte(1) << 8 | byte(2);
    if (biased == kEscape) {
        if (b.size() < 9) corrupt();
        biased += byte(3) << 8 | byte(4);
        at = 5;
    }
    size_t end = b.size() - 3;
    if (byte(end) != kEnd || end <= at) corrupt();
    int pairs = int(end - at), exponent = biased - kBias;
    int low = 2 * (exponent - pairs + 1);  // value = pairs * 10^low
    int up = low + scale;                  // coefficient = pairs * 10^up
    if (up < -1 || scale > kMaxScale) corrupt();
    if (2 * pairs + up <= 37) {
        u128 v = 0;
        for (size_t i = at; i < end; i++) {
            int pair = (byte(i) - 3) >> 1;
            if (i + 1 == end && up < 0)
                v = v * 10 + u128(pair / 10);  // an odd scale ends in half a pair
            else
                v = v * 100 + u128(pair);
        }
        if (up > 0) v *= kPow10[size_t(up)];
        return Numeric(flip ? -i128(v) : i128(v), scale);
    }
    std::string digits;
    digits.reserve(size_t(2 * pairs + std::max(up, 0)));
    for (size_t i = at; i < end; i++) {
        int pair = (byte(i) - 3) >> 1;
        digits.push_back(char('0' + pair / 10));
        digits.push_back(char('0' + pair % 10));
    }
    if (up > 0) digits.append(size_t(up), '0');
    if (up < 0) digits.pop_back();
    return numeric_from_digits(digits, flip != 0, scale);
}

}  // namespace laminar
