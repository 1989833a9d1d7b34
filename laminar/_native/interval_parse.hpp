// Text input of intervals: PostgreSQL's, the SQL standard's and ISO 8601's forms (manual, 8.5.4).
#pragma once

#include "datetime_tokens.hpp"
#include "numeric.hpp"

namespace laminar {

// hh:mm[:ss[.f]]; with `minutes_first`, two numbers are mm:ss. The hour is not checked.
struct Clock { int64_t hour = 0, minute = 0, second = 0, micros = 0; };

inline Clock read_clock(std::string_view s, bool minutes_first) {
    Clock c;
    auto colon = [&] {
        if (s.empty() || s[0] != ':') throw InputFault::BadFormat;
        s.remove_prefix(1);
    };
    c.hour = take_int<int64_t>(s);
    colon();
    c.minute = take_int<int32_t>(s);
    if (s.empty()) {
        if (minutes_first) {
            if (c.hour > INT32_MAX) throw InputFault::FieldOverflow;
            c.second = c.minute, c.minute = c.hour, c.hour = 0;
        }
    } else if (s[0] == '.') {
        c.micros = fraction_us(s);
        if (c.hour > INT32_MAX) throw InputFault::FieldOverflow;
        c.second = c.minute, c.minute = c.hour, c.hour = 0;
    } else {
        colon();
        c.second = take_int<int32_t>(s);
        if (!s.empty() && s[0] != '.') throw InputFault::BadFormat;
        if (!s.empty()) c.micros = fraction_us(s);
    }
    if (c.hour < 0 || c.minute < 0 || c.minute > 59 || c.second < 0 || c.second > 60 || c.micros < 0 || c.micros > kSecond)
        throw InputFault::FieldOverflow;
    return c;
}

// The fields an interval may have, from its type modifier; bits as PostgreSQL numbers them.
namespace interval_field {
inline constexpr int months = 1 << 1, years = 1 << 2, days = 1 << 3, hours = 1 << 10, minutes = 1 << 11, seconds = 1 << 12;
inline constexpr int all = 0x7FFF;
}  // namespace interval_field

inline int interval_range(int32_t typmod) { return typmod < 0 ? interval_field::all : typmod >> 16 & 0x7FFF; }
inline int interval_precision(int32_t typmod) { return typmod < 0 || (typmod & 0xFFFF) == 0xFFFF ? -1 : typmod & 0xFFFF; }

class IntervalReader {
  public:
    IntervalReader(IntervalStyle style, int range) : style_(style), range_(range) {}

    Interval read(std::string_view text) {
        try {
            try {
                fields(text);
            } catch (InputFault fault) {
                if (fault != InputFault::BadFormat) throw;
                years_ = months_ = days_ = 0, us_ = 0;
                iso8601(text);
            }
        } catch (InputFault fault) {
            throw fault == InputFault::FieldOverflow ? InputFault::IntervalOverflow : fault;
        }
        int64_t months = int64_t(years_) * 12 + months_;
        if (months != int32_t(months)) fail("22008", "interval out of range");
        return {int32_t(months), days_, us_};
    }

  private:
    IntervalStyle style_;
    int range_;
    int32_t years_ = 0, months_ = 0, days_ = 0;
    int64_t us_ = 0;

    static void require(bool ok) {
        if (!ok) throw InputFault::FieldOverflow;
    }
    void add_us(int64_t v, double part, int64_t unit) {
        int64_t whole;
        require(!__builtin_mul_overflow(v, unit, &whole) && !__builtin_add_overflow(us_, whole, &us_));
        add_fraction(part, unit);
    }
    void add_fraction(double part, int64_t unit) {
        if (part == 0) return;
        part *= double(unit);
        int64_t us = int64_t(part);
        part -= double(us);
        us += part > 0.5 ? 1 : part < -0.5 ? -1 : 0;
        require(!__builtin_add_overflow(us_, us, &us_));
    }
    void add_days(int64_t v, int unit) {
        int32_t whole;
        require(v == int32_t(v) && !__builtin_mul_overflow(int32_t(v), unit, &whole) && !__builtin_add_overflow(days_, whole, &days_));
    }
    void add_day_fraction(double part, int unit) {
        if (part == 0) return;
        part *= unit;
        int32_t whole = int32_t(part);
        require(!__builtin_add_overflow(days_, whole, &days_));
        add_fraction(part - whole, kDay);
    }
    void add_months(int64_t v) { require(v == int32_t(v) && !__builtin_add_overflow(months_, int32_t(v), &months_)); }
    void add_years(int64_t v, double part, int unit) {
        int32_t whole;
        require(v == int32_t(v) && !__builtin_mul_overflow(int32_t(v), unit, &whole) && !__builtin_add_overflow(years_, whole, &years_));
        int32_t months = int32_t(std::rint(part * unit * 12));
        require(!__builtin_add_overflow(months_, months, &months_));
    }

    // What a number is when no unit follows it: the last field the type has.
    int default_unit() const {
        namespace f = interval_field;
        switch (range_) {
            case f::years: return kYear;
            case f::months: case f::years | f::months: return kMonth;
            case f::days: return kDayUnit;
            case f::hours: case f::days | f::hours: return kHourUnit;
            case f::minutes: case f::hours | f::minutes: case f::days | f::hours | f::minutes: return kMinuteUnit;
            default: return kSecondUnit;
        }
    }

    // Right to left, as the unit follows its number.
    void fields(std::string_view text) {
        std::vector<Token> tokens = split_fields(text);
        // The SQL standard's leading sign applies to all fields, unless others have signs too.
        bool all_negative = style_ == IntervalStyle::SqlStandard && !tokens.empty() && tokens[0].text[0] == '-';
        for (size_t i = 1; i < tokens.size(); i++)
            if (tokens[i].text[0] == '-' || tokens[i].text[0] == '+') all_negative = false;
        uint64_t have = 0;
        int unit = kNone;
        bool pending = false, ago = false;
        for (size_t i = tokens.size(); i-- > 0;) {
            const std::string& s = tokens[i].text;
            uint64_t seen = 0;
            switch (tokens[i].field) {
                case Field::Time:
                    clock(s, false, all_negative);
                    seen = kClockBits, unit = kDayUnit, pending = false;
                    break;
                case Field::Zone:
                    if (s.find(':') != std::string::npos && signed_clock(s, all_negative)) {
                        seen = kClockBits, unit = kDayUnit, pending = false;
                        break;
                    }
                    [[fallthrough]];
                case Field::Date: case Field::Number:
                    if (unit == kNone) unit = default_unit();
                    seen = number(s, unit, all_negative);
                    pending = false;
                    break;
                default: {
                    if (pending) throw InputFault::BadFormat;
                    WordMeaning m = find_word(kUnitWords, s);
                    if (m.kind == Word::Ignore) continue;
                    if (m.kind == Word::Ago) ago = true, unit = kNone;
                    else if (m.kind == Word::Unit) unit = m.value, pending = true;
                    else throw InputFault::BadFormat;
                }
            }
            if (seen & have) throw InputFault::BadFormat;
            have |= seen;
        }
        if (have == 0 || pending) throw InputFault::BadFormat;
        if (ago) {
            require(years_ != INT32_MIN && months_ != INT32_MIN && days_ != INT32_MIN && us_ != INT64_MIN);
            years_ = -years_, months_ = -months_, days_ = -days_, us_ = -us_;
        }
    }

    static constexpr uint64_t bit(int unit) { return uint64_t(1) << unit; }
    static constexpr uint64_t kSecondBits = (uint64_t(1) << kSecondUnit) | (uint64_t(1) << kMilli) | (uint64_t(1) << kMicro);
    static constexpr uint64_t kClockBits = kSecondBits | (uint64_t(1) << kHourUnit) | (uint64_t(1) << kMinuteUnit);

    void clock(std::string_view s, bool negative, bool all_negative) {
        Clock c = read_clock(s, range_ == (interval_field::minutes | interval_field::seconds));
        int64_t us;
        require(!__builtin_mul_overflow(c.hour, kHour, &us) && !__builtin_add_overflow(us, c.minute * kMinute, &us) &&
                !__builtin_add_overflow(us, c.second * kSecond, &us) && !__builtin_add_overflow(us, c.micros, &us));
        // As PostgreSQL: a clock field replaces what seconds were summed so far (there can be none).
        us_ = negative || (all_negative && us > 0) ? -us : us;
    }

    bool signed_clock(std::string_view s, bool all_negative) {
        try {
            clock(s.substr(1), s[0] == '-', all_negative);
            return true;
        } catch (InputFault) {
            return false;
        }
    }

    uint64_t number(std::string_view s, int& unit, bool all_negative) {
        std::string_view rest = s;
        int64_t v = take_int<int64_t>(rest);
        double part = 0;
        if (!rest.empty() && rest[0] == '-') {  // years-months
            rest.remove_prefix(1);
            int32_t months = take_int<int32_t>(rest);
            require(months >= 0 && months < 12);
            if (!rest.empty()) throw InputFault::BadFormat;
            unit = kMonth;
            if (s[0] == '-') months = -months;
            require(!__builtin_mul_overflow(v, int64_t(12), &v) && !__builtin_add_overflow(v, int64_t(months), &v));
        } else if (!rest.empty() && rest[0] == '.') {
            part = fraction(rest);
            if (s[0] == '-') part = -part;
        } else if (!rest.empty()) {
            throw InputFault::BadFormat;
        }
        if (all_negative) v = v > 0 ? -v : v, part = part > 0 ? -part : part;
        switch (unit) {
            case kMicro: add_us(v, part, 1); break;
            case kMilli: add_us(v, part, 1000); break;
            case kSecondUnit: add_us(v, part, kSecond); return part == 0 ? bit(unit) : kSecondBits;
            case kMinuteUnit: add_us(v, part, kMinute); break;
            case kHourUnit: add_us(v, part, kHour), unit = kDayUnit; return bit(kHourUnit);  // '1 2' hours: a day before it
            case kDayUnit: add_days(v, 1), add_fraction(part, kDay); break;
            case kWeek: add_days(v, 7), add_day_fraction(part, 7); break;
            case kMonth: add_months(v), add_day_fraction(part, 30); break;
            case kYear: add_years(v, part, 1); break;
            case kDecade: add_years(v, part, 10); break;
            case kCentury: add_years(v, part, 100); break;
            case kMillennium: add_years(v, part, 1000); break;
            default: throw InputFault::BadFormat;
        }
        return bit(unit);
    }

    // --- ISO 8601: P1Y2M3DT4H5M6S, P0001-02-03T04:05:06, P00010203T040506 ---

    struct IsoNumber { int64_t v; double part; size_t digits; };

    static IsoNumber iso_number(std::string_view& s) {
        if (s.empty() || !(is_digit(s[0]) || s[0] == '-' || s[0] == '.')) throw InputFault::BadFormat;
        std::string_view from = s;
        bool negative = s[0] == '-';
        if (negative) s.remove_prefix(1);
        IsoNumber n{0, 0, 0};
        bool digit = !s.empty() && is_digit(s[0]);
        std::string_view start = s;
        if (digit) n.v = take_int<int64_t>(s);
        n.digits = start.size() - s.size();
        if (!s.empty() && s[0] == '.') {
            size_t end = 1;
            while (end < s.size() && is_digit(s[end])) end++;
            n.part = fraction(s.substr(0, end));
            digit |= end > 1;
            s.remove_prefix(end);
        }
        if (!digit || from.size() == s.size()) throw InputFault::BadFormat;
        if (negative) n.v = -n.v, n.part = -n.part;
        return n;
    }

    void iso8601(std::string_view s) {
        if (s.size() < 2 || s[0] != 'P') throw InputFault::BadFormat;
        s.remove_prefix(1);
        bool in_date = true, have = false;
        auto next_is_time = [&] {  // at 'T': go on with the time part
            if (s.empty() || s[0] != 'T') return false;
            s.remove_prefix(1), in_date = have = false;
            return true;
        };
        while (!s.empty()) {
            if (next_is_time()) continue;
            IsoNumber n = iso_number(s);
            char unit = s.empty() ? '\0' : s[0];
            bool basic = !have && (unit == '\0' || unit == 'T');
            if (in_date && unit == 'Y') add_years(n.v, n.part, 1);
            else if (in_date && unit == 'M') add_months(n.v), add_day_fraction(n.part, 30);
            else if (in_date && unit == 'W') add_days(n.v, 7), add_day_fraction(n.part, 7);
            else if (in_date && unit == 'D') add_days(n.v, 1), add_fraction(n.part, kDay);
            else if (!in_date && unit == 'H') add_us(n.v, n.part, kHour);
            else if (!in_date && unit == 'M') add_us(n.v, n.part, kMinute);
            else if (!in_date && unit == 'S') add_us(n.v, n.part, kSecond);
            else if (in_date && basic && n.digits == 8) {
                add_years(n.v / 10000, 0, 1), add_months(n.v / 100 % 100), add_days(n.v % 100, 1), add_fraction(n.part, kDay);
                continue;
            } else if (!in_date && basic && unit == '\0' && n.digits == 6) {
                add_us(n.v / 10000, 0, kHour), add_us(n.v / 100 % 100, 0, kMinute), add_us(n.v % 100, n.part, kSecond);
                return;
            } else if (in_date && !have && (unit == '-' || unit == '\0' || unit == 'T')) {
                extended_date(s, n);
                if (s.empty()) return;
                if (!next_is_time()) throw InputFault::BadFormat;
                continue;
            } else if (!in_date && !have && (unit == ':' || unit == '\0')) {
                extended_time(s, n);
                return;
            } else {
                throw InputFault::BadFormat;
            }
            s.remove_prefix(1);
            have = true;
        }
    }

    void extended_date(std::string_view& s, IsoNumber n) {
        add_years(n.v, n.part, 1);
        if (s.empty() || s[0] != '-') return;
        s.remove_prefix(1);
        n = iso_number(s);
        add_months(n.v), add_day_fraction(n.part, 30);
        if (s.empty() || s[0] != '-') return;
        s.remove_prefix(1);
        n = iso_number(s);
        add_days(n.v, 1), add_fraction(n.part, kDay);
    }

    void extended_time(std::string_view& s, IsoNumber n) {
        for (int64_t unit : {kHour, kMinute, kSecond}) {
            add_us(n.v, n.part, unit);
            if (s.empty()) return;
            if (s[0] != ':' || unit == kSecond) throw InputFault::BadFormat;
            s.remove_prefix(1);
            n = iso_number(s);
        }
    }
};

// interval day to second(3) and the like: fields outside the range are dropped, the rest rounded.
inline Interval fit_interval(Interval v, int32_t typmod) {
    namespace f = interval_field;
    int range = interval_range(typmod), precision = interval_precision(typmod);
    switch (range) {
        case f::years: v.months = v.months / 12 * 12, v.days = 0, v.us = 0; break;
        case f::months: case f::years | f::months: v.days = 0, v.us = 0; break;
        case f::days: v.us = 0; break;
        case f::hours: case f::days | f::hours: v.us = v.us / kHour * kHour; break;
        case f::minutes: case f::hours | f::minutes: case f::days | f::hours | f::minutes: v.us = v.us / kMinute * kMinute; break;
        default: break;
    }
    if (precision >= 0 && precision < 6) {
        int64_t unit = int64_t(kPow10[size_t(6 - precision)]), half = v.us >= 0 ? unit / 2 : -(unit / 2);
        if (__builtin_add_overflow(v.us, half, &half)) fail("22008", "interval out of range");
        v.us = half / unit * unit;
    }
    return v;
}

inline Interval parse_interval(std::string_view text, const Settings& s, int32_t typmod = -1) {
    try {
        return fit_interval(IntervalReader(s.interval_style, interval_range(typmod)).read(text), typmod);
    } catch (InputFault fault) {
        raise_input_error(fault, text, "interval");
    }
}

}  // namespace laminar
