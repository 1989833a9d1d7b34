// to_char(number, format) and to_number(text, format).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>

#include "number_template.hpp"
#include "numeric_io.hpp"
#include "numeric_power.hpp"

namespace laminar {

// A number written in full, before a template shapes it.
struct NumberDigits {
    std::string text;  // digits, possibly with a point, without sign; or a Roman number, or with EEEE all of it
    char sign = '+';
    int before = 0, after = 0;  // digit positions, as the template has them or as the value allows
};

namespace detail {

// Fills a template's digit positions from the number's digits.
class NumberWriter {
  public:
    NumberWriter(const NumberTemplate& t, const NumberDigits& n) : t_(t), digits_(n.text), sign_(n.sign), after_(n.after), place_(t.sign_place), brackets_(t.brackets) {
        size_t point = digits_.find('.');
        int whole = int(point == std::string::npos ? digits_.size() : point);
        blanks_ = t.roman ? 0 : std::max(0, n.before - whole);
        int before = t.roman ? 0 : n.before;
        if (t.roman) sign_ = '\0', after_ = 0, place_ = NumberTemplate::SignPlace::None, brackets_ = false;
        bool separate = !t.roman && (t.plus || t.minus);
        if (separate) signed_ = !(t.plus && !t.minus) ;
        else {
            if (sign_ != '-' && t.fill) brackets_ = false;
            signed_ = sign_ == '+' && t.fill && !(t.sign && !t.roman);
            if (place_ == NumberTemplate::SignPlace::Before && before == t.digits_before_sign) place_ = NumberTemplate::SignPlace::After;
        }
        positions_ = after_ + before - 1;
        if (t.fill && has_point() && point != std::string::npos) {
            relevant_ = int(point);
            for (size_t i = point + 1; i < digits_.size(); i++)
                if (digits_[i] != '0') relevant_ = int(i);
            if (t.zero_end > blanks_) relevant_ = std::max(relevant_, std::min(int(digits_.size()) - 1, t.zero_end - blanks_));
        }
        if (!signed_ && blanks_ == 0) positions_++;
    }

    std::string run() {
        for (const NumberNode& node : t_.nodes) one(node);
        return std::move(out_);
    }

  private:
    const NumberTemplate& t_;
    const std::string& digits_;
    char sign_;
    int after_;
    NumberTemplate::SignPlace place_;
    bool brackets_;
    int blanks_ = 0;         // positions before the first digit
    int positions_ = 0;
    int position_ = 0;
    int relevant_ = -1;      // the last digit that FM keeps, the point's place if none behind it is; -1: all
    size_t next_ = 0;        // in digits_
    bool signed_ = false;    // the sign needs no writing any more
    bool started_ = false;   // the last position wrote a digit
    std::string out_;

    bool has_point() const { return t_.point && !t_.roman; }
    bool has_zero() const { return t_.zero && !t_.roman; }
    bool has_sign() const { return t_.sign && !t_.roman; }
    char digit() const { return next_ < digits_.size() ? digits_[next_] : '\0'; }
    bool only_point_relevant() const { return relevant_ >= 0 && digits_[relevant_] == '.'; }
    // "9.9" shows 0.1 as " .1"
    bool leading_zero() const { return !has_zero() && next_ == 0 && digit() == '0' && after_ != 0; }

    void blank_unless_fill(size_t n = 1) {
        if (!t_.fill) out_.append(n, ' ');
    }

    void one(const NumberNode& node) {
        switch (node.pattern) {
            case NumberPattern::Text: out_ += node.text; return;
            case NumberPattern::Nine: case NumberPattern::Zero: case NumberPattern::Point: case NumberPattern::LocalePoint:
                if (!t_.roman) place(node.pattern);
                return;
            case NumberPattern::Comma: case NumberPattern::Group:
                if (started_) out_.push_back(',');
                else blank_unless_fill();
                return;
            case NumberPattern::Symbol: out_.push_back(' '); return;
            case NumberPattern::Roman: roman(node.lower); return;
            case NumberPattern::Ordinal:
                if (!t_.roman && !(digits_[0] == '#' || sign_ == '-' || t_.point)) ordinal(node.lower);
                return;
            case NumberPattern::Minus: optional_sign('-'); return;
            case NumberPattern::Plus: optional_sign('+'); return;
            case NumberPattern::AnySign:
                if (sign_) out_.push_back(sign_);
                return;
            default: return;
        }
    }

    void optional_sign(char wanted) {
        if (sign_ == wanted) out_.push_back(wanted);
        else blank_unless_fill();
    }

    void roman(bool lower) {
        std::string text = digits_;
        if (lower)
            for (char& c : text)
                if (c >= 'A' && c <= 'Z') c += 32;
        if (text.size() < 15) blank_unless_fill(15 - text.size());
        out_ += text;
    }

    void ordinal(bool lower) {
        size_t n = digits_.size();
        char last = digits_[n - 1];
        if (last < '0' || last > '9') fail("22P02", "\"" + digits_ + "\" is not a number");
        if (n > 1 && digits_[n - 2] == '1') last = '0';
        const char* th = last == '1' ? "st" : last == '2' ? "nd" : last == '3' ? "rd" : "th";
        for (; *th; th++) out_.push_back(lower ? *th : char(*th - 32));
    }

    void write_sign() {
        if (has_sign()) {
            if (place_ == NumberTemplate::SignPlace::Before) out_.push_back(sign_ == '-' ? '-' : '+'), signed_ = true;
        } else if (brackets_) {
            out_.push_back(sign_ == '+' ? ' ' : '<'), signed_ = true;
        } else if (sign_ == '+') {
            blank_unless_fill(), signed_ = true;
        } else if (sign_ == '-') {
            out_.push_back('-'), signed_ = true;
        }
    }

    // One digit position or the point.
    void place(NumberPattern pattern) {
        int zero_start = t_.zero_start ? t_.zero_start - 1 : 0;
        started_ = false;
        bool shown = position_ >= blanks_ || (has_zero() && zero_start == position_);
        if (!signed_ && shown && (!leading_zero() || only_point_relevant())) write_sign();
        if (position_ < blanks_ && (zero_start > position_ || !has_zero())) blank_unless_fill();
        else if (has_zero() && position_ < blanks_) out_.push_back('0'), started_ = true;
        else take(pattern);
        int end = positions_ + (blanks_ ? 1 : 0) + (has_point() ? 1 : 0);
        if (relevant_ >= 0 && size_t(relevant_) == next_) end = position_;
        if (position_ + 1 == end) {
            if (signed_ && brackets_) out_.push_back(sign_ == '+' ? ' ' : '>');
            else if (has_sign() && place_ == NumberTemplate::SignPlace::After) out_.push_back(sign_ == '-' ? '-' : '+');
        }
        position_++;
    }

    // The next digit or the point.
    void take(NumberPattern pattern) {
        if (digit() == '.') {
            if (!only_point_relevant() || t_.fill) out_.push_back('.');
        } else if (relevant_ >= 0 && next_ > size_t(relevant_) && pattern != NumberPattern::Zero) {
            // FM drops it
        } else if (leading_zero()) {
            if (!t_.fill) out_.push_back(' ');
            else if (only_point_relevant()) out_.push_back('0');
        } else if (digit()) {
            out_.push_back(digit()), started_ = true;
        } else {
            started_ = true;
        }
        if (digit()) next_++;
    }
};

// Digits too many for the template are shown as #.
inline void overflow(NumberDigits& n, int whole) {
    if (whole <= n.before) return;
    n.text.assign(n.before + n.after + 1, '#');
    n.text[n.before] = '.';
}

inline std::string roman_number(int64_t n) {
    static const char* units[3][9] = {
        {"C", "CC", "CCC", "CD", "D", "DC", "DCC", "DCCC", "CM"},
        {"X", "XX", "XXX", "XL", "L", "LX", "LXX", "LXXX", "XC"},
        {"I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"},
    };
    if (n < 1 || n > 3999) return std::string(15, '#');
    std::string text(n / 1000, 'M');
    int64_t digits[] = {n / 100 % 10, n / 10 % 10, n % 10};
    for (int i = 0; i < 3; i++)
        if (digits[i]) text += units[i][digits[i] - 1];
    return text;
}

// "+1.50e+01" with a blank for the plus
inline std::string blank_plus(std::string text) {
    if (!text.empty() && text[0] == '+') text[0] = ' ';
    return text;
}

inline std::string print_float(double v, int digits, const char* form) {
    if (std::isnan(v)) return "NaN";
    if (std::isinf(v)) return v < 0 ? "-Infinity" : "Infinity";
    std::string text(std::snprintf(nullptr, 0, form, digits, v), '\0');
    std::snprintf(text.data(), text.size() + 1, form, digits, v);
    return text;
}

inline std::string not_a_number(const NumberTemplate& t) {
    std::string text(t.before + t.after + 6, '#');
    text[0] = ' ', text[t.before + 1] = '.';
    return text;
}

// Scientific notation of an exact number; 9.999 rounded to two digits stays 10.00e+00, as in PostgreSQL 15.
inline std::string scientific(const Numeric& value, int digits) {
    int exponent = 0;
    Numeric mantissa(0, 0);
    if (!value.zero()) {
        exponent = value.exponent();
        mantissa = value.absolute();
        mantissa.scale += exponent;
        if (mantissa.scale < 0) {
            int missing = -mantissa.scale;
            mantissa.scale = 0;
            mantissa = mul(mantissa, power_int(Numeric(10, 0), missing, 0));
        }
    }
    std::string text;
    format_numeric(text, mantissa.rescaled(digits));
    char tail[16];
    std::snprintf(tail, sizeof tail, "e%c%02d", exponent < 0 ? '-' : '+', std::abs(exponent));
    return (value.sign() < 0 ? "-" : " ") + text + tail;
}

inline std::string written(const NumberTemplate& t, NumberDigits& n) {
    return NumberWriter(t, n).run();
}

inline void split_sign(NumberDigits& n) {
    if (n.text[0] == '-') n.sign = '-', n.text.erase(0, 1);
}

}  // namespace detail

inline std::string to_char(const Numeric& value, const NumberTemplate& t) {
    NumberDigits n{{}, '+', t.before, t.after};
    if (t.roman) {
        n.text = detail::roman_number(to_integer<int32_t>(round(value, 0, true), "integer"));
        return detail::written(t, n);
    }
    if (t.exponent) return value.finite() ? detail::scientific(value, t.after) : detail::not_a_number(t);
    Numeric shown = t.shift ? mul(value, power(Numeric(10, 0), Numeric(t.shifted, 0))) : value;
    if (t.shift) n.before += t.shifted;
    format_numeric(n.text, shown.finite() ? round(shown, t.after, true) : shown);
    detail::split_sign(n);
    detail::overflow(n, int(std::min(n.text.find('.'), n.text.size())));
    return detail::written(t, n);
}

inline std::string to_char(int64_t value, bool narrow, const NumberTemplate& t) {
    NumberDigits n{{}, '+', t.before, t.after};
    if (t.roman) {
        if (value != int32_t(value)) fail("22003", "integer out of range");
        n.text = detail::roman_number(value);
        return detail::written(t, n);
    }
    if (t.exponent && narrow) return detail::blank_plus(detail::print_float(double(value), t.after, "%+.*e"));
    if (t.exponent) return detail::scientific(Numeric(value, 0), t.after);
    if (t.shift) {
        __int128 factor = 1, limit = narrow ? __int128(INT32_MAX) : __int128(INT64_MAX);
        for (int i = 0; i < t.shifted && factor <= limit; i++) factor *= 10;
        __int128 shifted = factor <= limit ? factor * value : factor;
        if (shifted > limit || shifted < -limit - 1) fail("22003", narrow ? "integer out of range" : "bigint out of range");
        value = int64_t(shifted), n.before += t.shifted;
    }
    n.text = std::to_string(value);
    detail::split_sign(n);
    int whole = int(n.text.size());
    if (t.after) n.text += "." + std::string(t.after, '0');
    detail::overflow(n, whole);
    return detail::written(t, n);
}

// `precise`: decimal digits the type holds for certain, 6 or 15.
inline std::string to_char(double value, int precise, const NumberTemplate& t) {
    NumberDigits n{{}, '+', t.before, t.after};
    if (t.roman) {
        double whole = std::rint(value);
        n.text = detail::roman_number(whole >= 1 && whole <= 3999 ? int64_t(whole) : 0);
        return detail::written(t, n);
    }
    if (t.exponent) return std::isfinite(value) ? detail::blank_plus(detail::print_float(value, t.after, "%+.*e")) : detail::not_a_number(t);
    if (t.shift) {
        double factor = std::pow(10.0, t.shifted);
        value = precise == 6 ? double(float(value) * float(factor)) : value * factor;
        n.before += t.shifted;
    }
    int whole = int(detail::print_float(std::fabs(value), 0, "%.*f").size());
    if (whole >= precise) n.after = 0;
    else n.after = std::min(n.after, precise - whole);
    n.text = detail::print_float(value, n.after, "%.*f");
    detail::split_sign(n);
    detail::overflow(n, int(std::min(n.text.find('.'), n.text.size())));
    return detail::written(t, n);
}

namespace detail {

// Reads a number as a template says it is written.
class NumberReader {
  public:
    NumberReader(const NumberTemplate& t, std::string_view input) : t_(t), in_(input) {}

    Numeric run() {
        if (t_.exponent) fail("0A000", "\"EEEE\" not supported for input");
        if (t_.roman) fail("0A000", "\"RN\" not supported for input");
        for (const NumberNode& node : t_.nodes) {
            if (over()) break;
            if (one(node)) at_ += 1;
        }
        std::string text(1, sign_);
        text += digits_;
        if (text.back() == '.') text.pop_back();
        return fit(parse_numeric(text), t_.before + t_.shifted + read_after_, read_after_);
    }

  private:
    const NumberTemplate& t_;
    std::string_view in_;
    size_t at_ = 0;
    char sign_ = ' ';
    std::string digits_;
    int read_before_ = 0, read_after_ = 0;
    bool read_point_ = false;

    bool over() const { return at_ >= in_.size(); }
    static bool is_digit(char c) { return c >= '0' && c <= '9'; }
    void skip_character() {
        at_++;
        while (!over() && (in_[at_] & 0xC0) == 0x80) at_++;
    }
    void skip_text(int n) {
        while (n-- > 0 && !over() && !std::strchr("0123456789.,+-", in_[at_])) skip_character();
    }

    // Whether the input's current character has been used up.
    bool one(const NumberNode& node) {
        switch (node.pattern) {
            case NumberPattern::Text: skip_character(); return false;
            case NumberPattern::Nine: case NumberPattern::Zero: case NumberPattern::Point: case NumberPattern::LocalePoint:
                digit(node.pattern == NumberPattern::Nine || node.pattern == NumberPattern::Zero);
                return true;
            case NumberPattern::Comma: case NumberPattern::Group: return in_[at_] == ',' && !t_.fill;
            case NumberPattern::Symbol: skip_text(1); return false;
            case NumberPattern::Ordinal:
                if (!t_.point) skip_text(2);
                return false;
            case NumberPattern::Minus: return take_sign("-");
            case NumberPattern::Plus: return take_sign("+");
            case NumberPattern::AnySign: return take_sign("-+");
            default: return false;
        }
    }

    bool take_sign(const char* allowed) {
        if (in_[at_] && std::strchr(allowed, in_[at_])) return sign_ = in_[at_], true;
        skip_text(1);
        return false;
    }

    void digit(bool may_sign) {
        bool read = false;
        if (in_[at_] == ' ') at_++;
        if (over()) return;
        if (sign_ == ' ' && may_sign && read_before_ + read_after_ == 0) leading_sign();
        if (over()) return;
        if (is_digit(in_[at_])) {
            if (read_point_ && read_after_ == t_.after) return;
            digits_.push_back(in_[at_]);
            (read_point_ ? read_after_ : read_before_)++;
            read = true;
        } else if (t_.point && !read_point_ && in_[at_] == '.') {
            digits_.push_back('.');
            read_point_ = read = true;
        }
        if (sign_ == ' ' && read_before_ + read_after_ > 0) trailing_sign(read);
    }

    void leading_sign() {
        char c = in_[at_];
        if (t_.sign && t_.sign_place == NumberTemplate::SignPlace::Before) {
            if (c == '-' || c == '+') sign_ = c, at_++;
        } else if (c == '-' || (t_.brackets && c == '<')) {
            sign_ = '-', at_++;
        } else if (c == '+') {
            sign_ = '+', at_++;
        }
    }

    void trailing_sign(bool read) {
        if (t_.sign && read && at_ + 1 < in_.size() && !is_digit(in_[at_ + 1])) {
            char c = in_[at_ + 1];
            if (c == '-' || c == '+') sign_ = c, at_++;
        } else if (!read && !t_.sign && (t_.plus || t_.minus)) {
            if (in_[at_] == '-' || in_[at_] == '+') sign_ = in_[at_];
        }
    }
};

}  // namespace detail

inline Numeric to_number(std::string_view text, const NumberTemplate& t) {
    Numeric value = detail::NumberReader(t, text).run();
    if (!t.shift) return value;
    return mul(value, power(Numeric(10, 0), Numeric(-t.shifted, 0)));
}

}  // namespace laminar
