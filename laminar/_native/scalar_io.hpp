// Text and binary forms of bool, integers, floats, bytea, uuid and character types.
#pragma once

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>

#include "pgtype.hpp"

namespace laminar {

// --- bytes in network order -------------------------------------------------------------------

template <class T> inline void put_be(std::string& out, T value) {
    using U = std::make_unsigned_t<T>;
    char bytes[sizeof(T)];
    U v = U(value);
    for (int i = int(sizeof(T)) - 1; i >= 0; i--, v = U(v >> 7 >> 1)) bytes[i] = char(v & 0xFF);
    out.append(bytes, sizeof(T));
}

template <class T> inline T get_be(const char* p) {
    using U = std::make_unsigned_t<T>;
    U v = 0;
    for (size_t i = 0; i < sizeof(T); i++) v = U(U(v << 7 << 1) | uint8_t(p[i]));
    return T(v);
}

// Binary input of a fixed size; PostgreSQL's two messages for too little and too much.
template <class T> inline T recv_be(std::string_view b) {
    if (b.size() < sizeof(T)) fail("08P01", "insufficient data left in message");
    if (b.size() > sizeof(T)) bad_binary("incorrect binary data format");
    return get_be<T>(b.data());
}

// --- text helpers -----------------------------------------------------------------------------

inline bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
inline char lower(char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; }

inline std::string_view trim(std::string_view s) {
    while (!s.empty() && is_space(s.front())) s.remove_prefix(1);
    while (!s.empty() && is_space(s.back())) s.remove_suffix(1);
    return s;
}

inline bool equals_ci(std::string_view a, std::string_view lowercase) {
    if (a.size() != lowercase.size()) return false;
    for (size_t i = 0; i < a.size(); i++)
        if (lower(a[i]) != lowercase[i]) return false;
    return true;
}

// Throws PostgreSQL's 22021 at the first byte that is not UTF-8 (or is NUL, which text cannot hold).
inline void check_utf8(std::string_view s) {
    size_t i = 0, n = s.size();
    while (i < n) {
        if (n - i >= 8) {  // eight ASCII bytes other than NUL at once
            uint64_t w;
            std::memcpy(&w, s.data() + i, 8);
            if (!(w & 0x8080808080808080ull) && !((w - 0x0101010101010101ull) & ~w & 0x8080808080808080ull)) {
                i += 8;
                continue;
            }
        }
        uint8_t c = uint8_t(s[i]);
        size_t len = c == 0 ? 0 : c < 0x80 ? 1 : c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 0;
        bool ok = len > 0 && i + len <= n;
        for (size_t k = 1; ok && k < len; k++) ok = (uint8_t(s[i + k]) & 0xC0) == 0x80;
        if (ok && len >= 3) {
            uint8_t d = uint8_t(s[i + 1]);
            ok = !((c == 0xE0 && d < 0xA0) || (c == 0xED && d >= 0xA0) || (c == 0xF0 && d < 0x90) || (c == 0xF4 && d >= 0x90));
        }
        if (!ok) {
            size_t claimed = c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF8 ? 4 : 1;
            std::string bytes;
            char hex[8];
            for (size_t k = 0; k < claimed && i + k < n; k++) {
                std::snprintf(hex, sizeof hex, "%s0x%02x", k ? " " : "", uint8_t(s[i + k]));
                bytes += hex;
            }
            fail("22021", "invalid byte sequence for encoding \"UTF8\": " + bytes);
        }
        i += len;
    }
}

inline size_t utf8_length(std::string_view s) {
    size_t n = 0;
    for (char c : s) n += (uint8_t(c) & 0xC0) != 0x80;
    return n;
}

// Byte offset of the k-th character (or the end).
inline size_t utf8_offset(std::string_view s, size_t k) {
    size_t i = 0;
    while (i < s.size()) {
        if ((uint8_t(s[i]) & 0xC0) != 0x80 && k-- == 0) break;
        i++;
    }
    return i;
}

// --- bool and integers ------------------------------------------------------------------------

inline bool parse_bool(std::string_view text) {
    std::string_view s = trim(text);
    auto prefix_of = [&](std::string_view word, size_t least) {
        return s.size() >= least && s.size() <= word.size() && equals_ci(s, word.substr(0, s.size()));
    };
    if (prefix_of("true", 1) || prefix_of("yes", 1) || prefix_of("on", 2) || s == "1") return true;
    if (prefix_of("false", 1) || prefix_of("no", 1) || prefix_of("off", 2) || s == "0") return false;
    bad_syntax("boolean", text);
}

template <class T> inline T parse_int(std::string_view text, std::string_view type) {
    std::string_view s = trim(text);
    bool negative = false;
    if (!s.empty() && (s[0] == '-' || s[0] == '+')) negative = s[0] == '-', s.remove_prefix(1);
    if (s.empty()) bad_syntax(type, text);
    // As PostgreSQL, the digit that overflows is reported before junk behind it.
    const uint64_t most = uint64_t(std::numeric_limits<T>::max()) + 1;
    uint64_t value = 0;
    for (char c : s) {
        if (!is_digit(c)) bad_syntax(type, text);
        uint64_t digit = uint64_t(c - '0');
        if (value > (most - digit) / 10) bad_range(type, text);
        value = value * 10 + digit;
    }
    if (value == most && !negative) bad_range(type, text);
    return T(negative ? uint64_t(0) - value : value);
}

// oid accepts negative int4 values too, as PostgreSQL's oidin does.
inline uint32_t parse_oid(std::string_view text) {
    for (char c : trim(text))
        if (!is_digit(c) && c != '-' && c != '+') bad_syntax("oid", text);
    int64_t v = parse_int<int64_t>(text, "oid");
    if (v < std::numeric_limits<int32_t>::min() || v > int64_t(std::numeric_limits<uint32_t>::max())) bad_range("oid", text);
    return uint32_t(v);
}

template <class T> inline void format_int(std::string& out, T value) {
    char buf[24];
    auto r = std::to_chars(buf, buf + sizeof buf, value);
    out.append(buf, size_t(r.ptr - buf));
}

// --- floats -----------------------------------------------------------------------------------

template <class F> inline F parse_float(std::string_view text) {
    constexpr std::string_view type = sizeof(F) == 8 ? "double precision" : "real";
    std::string_view s = trim(text);
    std::string_view body = s;
    bool negative = false;
    if (!body.empty() && (body[0] == '-' || body[0] == '+')) negative = body[0] == '-', body.remove_prefix(1);
    if (body.empty()) bad_syntax(type, text);
    F value = 0;
    if (is_digit(body[0]) || body[0] == '.') {
        bool hex = body.size() > 2 && body[0] == '0' && lower(body[1]) == 'x';
        std::string_view digits = hex ? body.substr(2) : body;
        if (digits.empty() || digits[0] == '-') bad_syntax(type, text);
        auto r = std::from_chars(digits.data(), digits.data() + digits.size(), value,
                                 hex ? std::chars_format::hex : std::chars_format::general);
        if (r.ec == std::errc::invalid_argument || r.ptr != digits.data() + digits.size()) bad_syntax(type, text);
        if (r.ec == std::errc::result_out_of_range)
            fail("22003", "\"" + std::string(s) + "\" is out of range for type " + std::string(type));
    } else if (equals_ci(body, "nan")) {
        value = std::numeric_limits<F>::quiet_NaN();
    } else if (equals_ci(body, "infinity") || equals_ci(body, "inf")) {
        value = std::numeric_limits<F>::infinity();
    } else {
        bad_syntax(type, text);
    }
    return negative ? -value : value;
}

// Whether digits like 2.469491325000087e+16 stand exactly halfway between the value and a neighbour. They read back
// as the value only because reading rounds to even. That takes an integer of more bits than the mantissa has.
template <class F> inline bool halfway(std::string_view s, F value) {
    int exponent = 0;
    constexpr int bits = std::numeric_limits<F>::digits;
    const uint64_t mantissa = uint64_t(std::ldexp(std::frexp(std::fabs(value), &exponent), bits));
    exponent -= bits;
    if (exponent < 1 || mantissa & 1) return false;
    unsigned __int128 n = 0;
    int tens = 0;
    bool point = false;
    for (char c : s) {
        if (c == 'e') break;
        if (c == '.') point = true;
        if (!is_digit(c)) continue;
        n = n * 10 + unsigned(c - '0');
        tens -= point;
    }
    tens += std::atoi(std::string(s.substr(s.find('e') + 1)).c_str());
    if (tens < 0 || tens > 23) return false;  // 5^24 has more bits than any mantissa
    for (int i = 0; i < tens; i++) n *= 5;
    int twos = tens;
    for (; !(n & 1); n >>= 1) twos++;
    if (twos == exponent - 1) return n == 2 * mantissa + 1 || n == 2 * mantissa - 1;
    return twos == exponent - 2 && mantissa == uint64_t(1) << (bits - 1) && n == 4 * mantissa - 1;
}

// Shortest digits that lie nearer to the value than to any other (as PostgreSQL, halfway is not near enough); plain
// notation for decimal exponents in [-4, limit).
template <class F> inline void format_shortest(std::string& out, F value) {
    constexpr int limit = sizeof(F) == 8 ? 15 : 6;
    char buf[64];
    auto r = std::to_chars(buf, buf + sizeof buf, value, std::chars_format::scientific);
    std::string_view s(buf, size_t(r.ptr - buf));
    while (halfway(s, value)) {
        const int after_point = int(s.find('e')) - int(s.find('.')) - 1;
        r = std::to_chars(buf, buf + sizeof buf, value, std::chars_format::scientific, after_point + 1);
        s = std::string_view(buf, size_t(r.ptr - buf));
    }
    size_t e = s.find('e');
    int exponent = std::atoi(std::string(s.substr(e + 1)).c_str());
    if (exponent < -4 || exponent >= limit) {
        out.append(s);
        return;
    }
    if (s[0] == '-') out.push_back('-'), s.remove_prefix(1), e--;
    char digits[32];
    int n = 0;
    for (size_t i = 0; i < e; i++)
        if (s[i] != '.') digits[n++] = s[i];
    if (exponent < 0) {
        out.append("0.").append(size_t(-exponent - 1), '0').append(digits, size_t(n));
    } else if (n <= exponent + 1) {
        out.append(digits, size_t(n)).append(size_t(exponent + 1 - n), '0');
    } else {
        out.append(digits, size_t(exponent + 1)).push_back('.');
        out.append(digits + exponent + 1, size_t(n - exponent - 1));
    }
}

template <class F> inline void format_float(std::string& out, F value, int extra_float_digits) {
    if (std::isnan(value)) {
        out.append("NaN");
    } else if (std::isinf(value)) {
        out.append(value < 0 ? "-Infinity" : "Infinity");
    } else if (extra_float_digits > 0) {
        if (value == 0)
            out.append(std::signbit(value) ? "-0" : "0");
        else
            format_shortest(out, value);
    } else {
        char buf[64];
        int digits = (sizeof(F) == 8 ? 15 : 6) + extra_float_digits;
        int n = std::snprintf(buf, sizeof buf, "%.*g", digits < 1 ? 1 : digits, double(value));
        out.append(buf, size_t(n));
    }
}

template <class F> inline void send_float(std::string& out, F value) {
    using U = std::conditional_t<sizeof(F) == 8, uint64_t, uint32_t>;
    U bits;
    std::memcpy(&bits, &value, sizeof bits);
    put_be<U>(out, bits);
}

template <class F> inline F recv_float(std::string_view b) {
    using U = std::conditional_t<sizeof(F) == 8, uint64_t, uint32_t>;
    U bits = recv_be<U>(b);
    F value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// --- bytea and uuid ---------------------------------------------------------------------------

inline int hex_value(char c) {
    c = lower(c);
    return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

inline void parse_bytea(std::string_view s, std::string& out) {
    if (s.size() >= 2 && s[0] == '\\' && s[1] == 'x') {
        auto nibble = [&](char c) {
            int v = hex_value(c);
            if (v < 0) fail("22023", "invalid hexadecimal digit: \"" + std::string(1, c) + "\"");
            return v;
        };
        for (size_t i = 2; i < s.size();) {
            if (is_space(s[i])) {
                i++;
                continue;
            }
            int high = nibble(s[i++]);
            if (i >= s.size()) fail("22023", "invalid hexadecimal data: odd number of digits");
            out.push_back(char(high << 4 | nibble(s[i++])));
        }
        return;
    }
    auto octal = [&](size_t i, char max) { return i < s.size() && s[i] >= '0' && s[i] <= max; };
    for (size_t i = 0; i < s.size();) {
        if (s[i] != '\\') {
            out.push_back(s[i++]);
        } else if (octal(i + 1, '3') && octal(i + 2, '7') && octal(i + 3, '7')) {
            out.push_back(char((s[i + 1] - '0') << 6 | (s[i + 2] - '0') << 3 | (s[i + 3] - '0')));
            i += 4;
        } else if (i + 1 < s.size() && s[i + 1] == '\\') {
            out.push_back('\\');
            i += 2;
        } else {
            fail("22P02", "invalid input syntax for type bytea");
        }
    }
}

inline void append_hex(std::string& out, std::string_view bytes) {
    static const char* hex = "0123456789abcdef";
    for (char c : bytes) out.push_back(hex[uint8_t(c) >> 4]), out.push_back(hex[uint8_t(c) & 15]);
}

inline void format_bytea(std::string& out, std::string_view bytes, bool hex) {
    if (hex) {
        out.append("\\x");
        append_hex(out, bytes);
        return;
    }
    for (char c : bytes) {
        uint8_t b = uint8_t(c);
        if (c == '\\') {
            out.append("\\\\");
        } else if (b < 0x20 || b > 0x7E) {
            out.push_back('\\');
            out.push_back(char('0' + (b >> 6)));
            out.push_back(char('0' + ((b >> 3) & 7)));
            out.push_back(char('0' + (b & 7)));
        } else {
            out.push_back(c);
        }
    }
}

inline void parse_uuid(std::string_view s, char out[16]) {
    std::string_view text = s;
    bool braces = !s.empty() && s[0] == '{';
    if (braces) s.remove_prefix(1);
    for (int i = 0; i < 16; i++) {
        if (s.size() < 2 || hex_value(s[0]) < 0 || hex_value(s[1]) < 0) bad_syntax("uuid", text);
        out[i] = char(hex_value(s[0]) << 4 | hex_value(s[1]));
        s.remove_prefix(2);
        if (!s.empty() && s[0] == '-' && i % 2 == 1 && i < 15) s.remove_prefix(1);
    }
    if (s != (braces ? "}" : "")) bad_syntax("uuid", text);
}

inline void format_uuid(std::string& out, const char* b) {
    static const int groups[] = {4, 2, 2, 2, 6};
    for (int g = 0; g < 5; g++) {
        if (g) out.push_back('-');
        append_hex(out, std::string_view(b, size_t(groups[g])));
        b += groups[g];
    }
}

// --- character types with a length ------------------------------------------------------------

// Assignment to varchar(n): only blanks may be cut (22001); explicit casts cut anything.
inline std::string_view fit_varchar(std::string_view s, int32_t typmod, bool explicit_cast = false) {
    if (typmod < 4) return s;
    size_t limit = size_t(typmod - 4);
    if (s.size() <= limit) return s;
    size_t cut = utf8_offset(s, limit);
    if (!explicit_cast)
        for (char c : s.substr(cut))
            if (c != ' ') fail("22001", "value too long for type character varying(" + std::to_string(limit) + ")");
    return s.substr(0, cut);
}

// Assignment to char(n): cut blanks, or pad with blanks into `padded`.
inline std::string_view fit_bpchar(std::string_view s, int32_t typmod, std::string& padded, bool explicit_cast = false) {
    if (typmod < 4) return s;
    size_t limit = size_t(typmod - 4), length = utf8_length(s);
    if (length > limit) {
        size_t cut = utf8_offset(s, limit);
        if (!explicit_cast)
            for (char c : s.substr(cut))
                if (c != ' ') fail("22001", "value too long for type character(" + std::to_string(limit) + ")");
        return s.substr(0, cut);
    }
    if (length == limit) return s;
    padded.assign(s).append(limit - length, ' ');
    return padded;
}

// name: at most 63 bytes, cut at a character.
inline std::string_view fit_name(std::string_view s) {
    if (s.size() <= 63) return s;
    size_t cut = 63;
    while (cut > 0 && (uint8_t(s[cut]) & 0xC0) == 0x80) cut--;
    return s.substr(0, cut);
}

}  // namespace laminar
