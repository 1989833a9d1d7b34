// Template patterns of numbers (manual, 9.8, "Template Patterns for Numeric Formatting"), read once per format.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pgerror.hpp"

namespace laminar {

enum class NumberPattern : uint8_t {
    Text, Comma, Point, Zero, Nine, Blank, Currency, LocalePoint, Exponent, Fill, Group, Symbol, Minus, Plus, Brackets,
    Roman, Sign, AnySign, Ordinal, Shift,
};

struct NumberNode {
    NumberPattern pattern;
    bool lower = false;
    std::string text;  // of Text: one character
};

// What a format says as a whole. Counts are of digit positions.
struct NumberTemplate {
    enum class SignPlace : uint8_t { None, Before, After };

    std::vector<NumberNode> nodes;
    int before = 0, after = 0, shifted = 0;  // digits before and after the point, behind V
    int zero_start = 0, zero_end = 0;
    int digits_before_sign = 0;
    SignPlace sign_place = SignPlace::None;
    bool point = false, shift = false, fill = false, sign = false, minus = false, plus = false, brackets = false;
    bool zero = false, blank = false, roman = false, exponent = false;

    explicit NumberTemplate(std::string_view format) {
        while (!format.empty()) {
            if (pattern(format)) continue;
            if (format[0] == '"') quoted(format);
            else {
                if (format[0] == '\\' && format.size() > 1 && format[1] == '"') format.remove_prefix(1);
                character(format);
            }
        }
    }

  private:
    struct Word { const char* text; NumberPattern pattern; };
    static constexpr Word kWords[] = {
        {",", NumberPattern::Comma}, {".", NumberPattern::Point}, {"0", NumberPattern::Zero}, {"9", NumberPattern::Nine},
        {"B", NumberPattern::Blank}, {"C", NumberPattern::Currency}, {"D", NumberPattern::LocalePoint},
        {"EEEE", NumberPattern::Exponent}, {"FM", NumberPattern::Fill}, {"G", NumberPattern::Group},
        {"L", NumberPattern::Symbol}, {"MI", NumberPattern::Minus}, {"PL", NumberPattern::Plus},
        {"PR", NumberPattern::Brackets}, {"RN", NumberPattern::Roman}, {"SG", NumberPattern::AnySign},
        {"SP", NumberPattern::Currency}, {"S", NumberPattern::Sign}, {"TH", NumberPattern::Ordinal},
        {"V", NumberPattern::Shift},
    };

    bool pattern(std::string_view& s) {
        for (const Word& word : kWords) {
            std::string_view upper(word.text);
            std::string lower(upper);
            for (char& c : lower)
                if (c >= 'A' && c <= 'Z') c += 32;
            bool is_upper = s.substr(0, upper.size()) == upper;
            if (!is_upper && s.substr(0, lower.size()) != lower) continue;
            s.remove_prefix(upper.size());
            note(word.pattern);
            nodes.push_back({word.pattern, !is_upper, {}});
            return true;
        }
        return false;
    }

    // One character, of several bytes in UTF-8.
    void character(std::string_view& s) {
        size_t size = 1;
        while (size < s.size() && (s[size] & 0xC0) == 0x80) size++;
        nodes.push_back({NumberPattern::Text, false, std::string(s.substr(0, size))});
        s.remove_prefix(size);
    }

    void quoted(std::string_view& s) {
        s.remove_prefix(1);
        while (!s.empty() && s[0] != '"') {
            if (s[0] == '\\' && s.size() > 1) s.remove_prefix(1);
            character(s);
        }
        if (!s.empty()) s.remove_prefix(1);
    }

    static void wrong(const char* message) { fail("42601", message); }

    void digit(bool is_zero) {
        if (brackets) wrong(is_zero ? "\"0\" must be ahead of \"PR\"" : "\"9\" must be ahead of \"PR\"");
        if (!is_zero && shift) {
            shifted++;
            return;
        }
        if (is_zero && !zero && !point) zero = true, zero_start = before + 1;
        (point ? after : before)++;
        if (is_zero) zero_end = before + after;
    }

    void note(NumberPattern p) {
        if (exponent && p != NumberPattern::Exponent) wrong("\"EEEE\" must be the last pattern used");
        switch (p) {
            case NumberPattern::Nine: return digit(false);
            case NumberPattern::Zero: return digit(true);
            case NumberPattern::Blank: blank = blank || (!before && !after && !zero); return;
            case NumberPattern::LocalePoint: case NumberPattern::Point:
                if (point) wrong("multiple decimal points");
                if (shift) wrong("cannot use \"V\" and decimal point together");
                point = true;
                return;
            case NumberPattern::Fill: fill = true; return;
            case NumberPattern::Sign: return note_sign();
            case NumberPattern::Minus:
                if (sign) wrong("cannot use \"S\" and \"MI\" together");
                minus = true;
                return;
            case NumberPattern::Plus:
                if (sign) wrong("cannot use \"S\" and \"PL\" together");
                plus = true;
                return;
            case NumberPattern::AnySign:
                if (sign) wrong("cannot use \"S\" and \"SG\" together");
                minus = plus = true;
                return;
            case NumberPattern::Brackets:
                if (sign || plus || minus) wrong("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together");
                brackets = true;
                return;
            case NumberPattern::Roman: roman = true; return;
            case NumberPattern::Shift:
                if (point) wrong("cannot use \"V\" and decimal point together");
                shift = true;
                return;
            case NumberPattern::Exponent: return note_exponent();
            default: return;
        }
    }

    void note_sign() {
        if (sign) wrong("cannot use \"S\" twice");
        if (plus || minus || brackets) wrong("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together");
        sign = true;
        sign_place = point ? SignPlace::After : SignPlace::Before;
        if (!point) digits_before_sign = before;
    }

    void note_exponent() {
        if (exponent) wrong("cannot use \"EEEE\" twice");
        if (blank || fill || sign || brackets || minus || plus || roman || shift)
            fail("42601", "\"EEEE\" is incompatible with other formats",
                 "\"EEEE\" may only be used together with digit and decimal point patterns.");
        exponent = true;
    }
};

// The template of a format, kept from one row to the next.
inline const NumberTemplate& number_template(std::string_view format) {
    thread_local std::string last;
    thread_local std::vector<NumberTemplate> kept;
    if (kept.empty() || last != format) {
        kept.clear();
        kept.emplace_back(format);
        last.assign(format);
    }
    return kept.front();
}

}  // namespace laminar
