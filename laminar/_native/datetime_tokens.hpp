// Splits date, time and interval input into fields, and the words that mean something in them.
//
// The rules are those of PostgreSQL's manual, Appendix B.1 "Date/Time Input Interpretation".
#pragma once

#include <algorithm>
#include <cctype>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "calendar.hpp"
#include "pgtype.hpp"
#include "scalar_io.hpp"

namespace laminar {

// Why an input was refused; turned into PgError's text by raise_input_error.
enum class InputFault { BadFormat, FieldOverflow, MonthDayOverflow, IntervalOverflow, ZoneOverflow };

[[noreturn]] inline void raise_input_error(InputFault fault, std::string_view text, const char* type) {
    std::string quoted = "\"" + std::string(text) + "\"";
    switch (fault) {
        case InputFault::FieldOverflow: fail("22008", "date/time field value out of range: " + quoted);
        case InputFault::MonthDayOverflow:
            throw Error("22008", "date/time field value out of range: " + quoted, "", "Perhaps you need a different \"datestyle\" setting.");
        case InputFault::IntervalOverflow: fail("22015", "interval field value out of range: " + quoted);
        case InputFault::ZoneOverflow: fail("22009", "time zone displacement out of range: " + quoted);
        default: fail("22007", "invalid input syntax for type " + std::string(type) + ": " + quoted);
    }
}

enum class Field { Number, String, Date, Time, Zone, Special };

struct Token { Field field; std::string text; };

enum class Word {
    Unknown, Ignore, Month, Weekday, AmPm, Era, Unit, IsoTime, Dst, Now, Today, Yesterday, Tomorrow, Epoch, Infinity,
    NegInfinity, Allballs, Ago,
};

enum Unit { kNone, kYear, kMonth, kDayUnit, kHourUnit, kMinuteUnit, kSecondUnit, kMilli, kMicro, kWeek, kDecade, kCentury,
            kMillennium, kQuarter, kJulian, kDow, kIsoDow, kDoy, kIsoYear, kTimeUnit, kZoneUnit, kZoneHour, kZoneMinute, kEpochUnit };

struct WordMeaning { const char* word; Word kind; int value; };

inline constexpr WordMeaning kDateWords[] = {
    {"-infinity", Word::NegInfinity, 0}, {"ad", Word::Era, 0}, {"allballs", Word::Allballs, 0}, {"am", Word::AmPm, 0},
    {"apr", Word::Month, 4}, {"april", Word::Month, 4}, {"at", Word::Ignore, 0}, {"aug", Word::Month, 8},
    {"august", Word::Month, 8}, {"bc", Word::Era, 1}, {"d", Word::Unit, kDayUnit}, {"dec", Word::Month, 12},
    {"december", Word::Month, 12}, {"dow", Word::Unit, kDow}, {"doy", Word::Unit, kDoy}, {"dst", Word::Dst, 3600},
    {"epoch", Word::Epoch, 0}, {"feb", Word::Month, 2}, {"february", Word::Month, 2}, {"fri", Word::Weekday, 5},
    {"friday", Word::Weekday, 5}, {"h", Word::Unit, kHourUnit}, {"infinity", Word::Infinity, 0},
    {"isodow", Word::Unit, kIsoDow}, {"isoyear", Word::Unit, kIsoYear}, {"j", Word::Unit, kJulian},
    {"jan", Word::Month, 1}, {"january", Word::Month, 1}, {"jd", Word::Unit, kJulian}, {"jul", Word::Month, 7},
    {"julian", Word::Unit, kJulian}, {"july", Word::Month, 7}, {"jun", Word::Month, 6}, {"june", Word::Month, 6},
    {"m", Word::Unit, kMonth}, {"mar", Word::Month, 3}, {"march", Word::Month, 3}, {"may", Word::Month, 5},
    {"mm", Word::Unit, kMinuteUnit}, {"mon", Word::Weekday, 1}, {"monday", Word::Weekday, 1}, {"nov", Word::Month, 11},
    {"november", Word::Month, 11}, {"now", Word::Now, 0}, {"oct", Word::Month, 10}, {"october", Word::Month, 10},
    {"on", Word::Ignore, 0}, {"pm", Word::AmPm, 1}, {"s", Word::Unit, kSecondUnit}, {"sat", Word::Weekday, 6},
    {"saturday", Word::Weekday, 6}, {"sep", Word::Month, 9}, {"sept", Word::Month, 9}, {"september", Word::Month, 9},
    {"sun", Word::Weekday, 0}, {"sunday", Word::Weekday, 0}, {"t", Word::IsoTime, kTimeUnit}, {"thu", Word::Weekday, 4},
    {"thur", Word::Weekday, 4}, {"thurs", Word::Weekday, 4}, {"thursday", Word::Weekday, 4}, {"today", Word::Today, 0},
    {"tomorrow", Word::Tomorrow, 0}, {"tue", Word::Weekday, 2}, {"tues", Word::Weekday, 2}, {"tuesday", Word::Weekday, 2},
    {"wed", Word::Weekday, 3}, {"wednesday", Word::Weekday, 3}, {"weds", Word::Weekday, 3}, {"y", Word::Unit, kYear},
    {"yesterday", Word::Yesterday, 0},
};

inline constexpr WordMeaning kUnitWords[] = {
    {"@", Word::Ignore, 0}, {"ago", Word::Ago, 0}, {"c", Word::Unit, kCentury}, {"cent", Word::Unit, kCentury},
    {"centuries", Word::Unit, kCentury}, {"century", Word::Unit, kCentury}, {"d", Word::Unit, kDayUnit},
    {"day", Word::Unit, kDayUnit}, {"days", Word::Unit, kDayUnit}, {"dec", Word::Unit, kDecade},
    {"decade", Word::Unit, kDecade}, {"decades", Word::Unit, kDecade}, {"decs", Word::Unit, kDecade},
    {"h", Word::Unit, kHourUnit}, {"hour", Word::Unit, kHourUnit}, {"hours", Word::Unit, kHourUnit},
    {"hr", Word::Unit, kHourUnit}, {"hrs", Word::Unit, kHourUnit}, {"m", Word::Unit, kMinuteUnit},
    {"microsecon", Word::Unit, kMicro}, {"mil", Word::Unit, kMillennium}, {"millennia", Word::Unit, kMillennium},
    {"millennium", Word::Unit, kMillennium}, {"millisecon", Word::Unit, kMilli}, {"mils", Word::Unit, kMillennium},
    {"min", Word::Unit, kMinuteUnit}, {"mins", Word::Unit, kMinuteUnit}, {"minute", Word::Unit, kMinuteUnit},
    {"minutes", Word::Unit, kMinuteUnit}, {"mon", Word::Unit, kMonth}, {"mons", Word::Unit, kMonth},
    {"month", Word::Unit, kMonth}, {"months", Word::Unit, kMonth}, {"ms", Word::Unit, kMilli}, {"msec", Word::Unit, kMilli},
    {"mseconds", Word::Unit, kMilli}, {"msecs", Word::Unit, kMilli}, {"qtr", Word::Unit, kQuarter},
    {"quarter", Word::Unit, kQuarter}, {"s", Word::Unit, kSecondUnit}, {"sec", Word::Unit, kSecondUnit},
    {"second", Word::Unit, kSecondUnit}, {"seconds", Word::Unit, kSecondUnit}, {"secs", Word::Unit, kSecondUnit},
    {"timezone", Word::Unit, kZoneUnit}, {"timezone_h", Word::Unit, kZoneHour}, {"timezone_m", Word::Unit, kZoneMinute},
    {"us", Word::Unit, kMicro}, {"usec", Word::Unit, kMicro}, {"useconds", Word::Unit, kMicro},
    {"usecs", Word::Unit, kMicro}, {"w", Word::Unit, kWeek}, {"week", Word::Unit, kWeek}, {"weeks", Word::Unit, kWeek},
    {"y", Word::Unit, kYear}, {"year", Word::Unit, kYear}, {"years", Word::Unit, kYear}, {"yr", Word::Unit, kYear},
    {"yrs", Word::Unit, kYear},
};

template <size_t N> constexpr bool sorted(const WordMeaning (&table)[N]) {
    for (size_t i = 1; i < N; i++)
        if (!(std::string_view(table[i - 1].word) < table[i].word)) return false;
    return true;
}
static_assert(sorted(kDateWords) && sorted(kUnitWords));

// Only the first ten characters count, as in PostgreSQL.
template <size_t N> inline WordMeaning find_word(const WordMeaning (&table)[N], std::string_view lowercase) {
    lowercase = lowercase.substr(0, 10);
    auto it = std::lower_bound(std::begin(table), std::end(table), lowercase,
                               [](const WordMeaning& m, std::string_view s) { return m.word < s; });
    return it != std::end(table) && lowercase == it->word ? *it : WordMeaning{"", Word::Unknown, 0};
}

inline std::vector<Token> split_fields(std::string_view s) {
    std::vector<Token> tokens;
    size_t i = 0;
    auto at = [&](size_t k) { return k < s.size() ? s[k] : '\0'; };
    auto alnum = [](char c) { return is_alpha(c) || is_digit(c); };
    auto take = [&](Token& t) { t.text.push_back(lower(s[i++])); };
    while (i < s.size()) {
        char c = s[i];
        if (is_space(c)) {
            i++;
            continue;
        }
        if (tokens.size() >= 25) throw InputFault::BadFormat;
        Token t{Field::Number, ""};
        if (is_digit(c)) {
            while (is_digit(at(i))) take(t);
            char d = at(i);
            if (d == ':') {
                t.field = Field::Time;
                while (is_digit(at(i)) || at(i) == ':' || at(i) == '.') take(t);
            } else if (d == '-' || d == '/' || d == '.') {
                take(t);
                if (is_digit(at(i))) {  // a second number; only a repeated delimiter makes dots a date
                    t.field = d == '.' ? Field::Number : Field::Date;
                    while (is_digit(at(i))) take(t);
                    if (at(i) == d) {
                        t.field = Field::Date;
                        while (is_digit(at(i)) || at(i) == d) take(t);
                    }
                } else {
                    t.field = Field::Date;
                    while (alnum(at(i)) || at(i) == d) take(t);
                }
            }
        } else if (c == '.') {
            take(t);
            while (is_digit(at(i))) take(t);
        } else if (is_alpha(c)) {
            t.field = Field::String;
            while (is_alpha(at(i))) take(t);
            char d = at(i);
            bool more = d == '-' || d == '/' || d == '.';
            if (d == '+' || is_digit(d)) more = find_word(kDateWords, t.text).kind == Word::Unknown;
            if (more) {  // a month with numbers around it, or a zone's name
                t.field = Field::Date;
                while (alnum(at(i)) || (at(i) && std::string_view("+-/_.:").find(at(i)) != std::string_view::npos)) take(t);
            }
        } else if (c == '+' || c == '-') {
            take(t);
            while (is_space(at(i))) i++;
            if (is_digit(at(i))) {
                t.field = Field::Zone;
                while (is_digit(at(i)) || at(i) == ':' || at(i) == '.' || at(i) == '-') take(t);
            } else if (is_alpha(at(i))) {
                t.field = Field::Special;
                while (is_alpha(at(i))) take(t);
            } else {
                throw InputFault::BadFormat;
            }
        } else if (std::ispunct(uint8_t(c))) {
            i++;
            continue;
        } else {
            throw InputFault::BadFormat;
        }
        tokens.push_back(std::move(t));
    }
    return tokens;
}

// --- numbers inside fields --------------------------------------------------------------------

// Reads an optionally signed integer at the front of `s` and removes it; overflow is a fault.
template <class T> inline T take_int(std::string_view& s, InputFault overflow = InputFault::FieldOverflow) {
    std::string_view digits = s;
    if (!digits.empty() && digits[0] == '+') digits.remove_prefix(1);
    T value = 0;
    auto r = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (r.ec == std::errc::result_out_of_range) throw overflow;
    if (r.ec == std::errc()) s = digits.substr(size_t(r.ptr - digits.data()));
    return value;
}

// ".5" -> 0.5; "." -> 0. Anything behind the digits is a fault.
inline double fraction(std::string_view s) {
    if (s.size() == 1) return 0;
    double v = 0;
    auto r = std::from_chars(s.data(), s.data() + s.size(), v);
    if (r.ec != std::errc() || r.ptr != s.data() + s.size()) throw InputFault::BadFormat;
    return v;
}

inline int64_t fraction_us(std::string_view s) { return int64_t(std::rint(fraction(s) * 1e6)); }

}  // namespace laminar
