// to_char(timestamp, format): PostgreSQL's template patterns (manual, 9.8).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "datetime_fields.hpp"

namespace laminar {

enum class Pattern : uint8_t {
    Literal, AdDots, AmDots, Ad, Am, Century, Day, DayOfYear, DayOfMonth, DayShort, DayOfWeek, Fraction, Exact, Hour24, Hour12,
    IsoDayOfYear, IsoDay, IsoWeekOfYear, IsoYear, Julian, Minute, Month, MonthName, MonthShort, Offset, Quarter, Roman,
    DaySeconds, Second, ZoneHour, ZoneMinute, ZoneName, WeekOfYear, WeekOfMonth, YearComma, Year,
};

enum class Letters : uint8_t { Upper, Capital, Lower };

struct Template {
    const char* text;
    Pattern pattern;
    int digits = 0;  // of a year or a fraction
};

// In upper case, longer ones before those that begin them.
inline constexpr Template kTemplates[] = {
    {"A.D.", Pattern::AdDots}, {"A.M.", Pattern::AmDots}, {"AD", Pattern::Ad}, {"AM", Pattern::Am}, {"B.C.", Pattern::AdDots},
    {"BC", Pattern::Ad}, {"CC", Pattern::Century}, {"DAY", Pattern::Day}, {"DDD", Pattern::DayOfYear},
    {"DD", Pattern::DayOfMonth}, {"DY", Pattern::DayShort}, {"D", Pattern::DayOfWeek}, {"FF1", Pattern::Fraction, 1},
    {"FF2", Pattern::Fraction, 2}, {"FF3", Pattern::Fraction, 3}, {"FF4", Pattern::Fraction, 4}, {"FF5", Pattern::Fraction, 5},
    {"FF6", Pattern::Fraction, 6}, {"FX", Pattern::Exact}, {"HH24", Pattern::Hour24}, {"HH12", Pattern::Hour12},
    {"HH", Pattern::Hour12}, {"IDDD", Pattern::IsoDayOfYear}, {"ID", Pattern::IsoDay}, {"IW", Pattern::IsoWeekOfYear},
    {"IYYY", Pattern::IsoYear, 4}, {"IYY", Pattern::IsoYear, 3}, {"IY", Pattern::IsoYear, 2}, {"I", Pattern::IsoYear, 1},
    {"J", Pattern::Julian}, {"MI", Pattern::Minute}, {"MM", Pattern::Month}, {"MONTH", Pattern::MonthName},
    {"MON", Pattern::MonthShort}, {"MS", Pattern::Fraction, 3}, {"OF", Pattern::Offset}, {"P.M.", Pattern::AmDots},
    {"PM", Pattern::Am}, {"Q", Pattern::Quarter}, {"RM", Pattern::Roman}, {"SSSSS", Pattern::DaySeconds},
    {"SSSS", Pattern::DaySeconds}, {"SS", Pattern::Second}, {"TZH", Pattern::ZoneHour}, {"TZM", Pattern::ZoneMinute},
    {"TZ", Pattern::ZoneName}, {"US", Pattern::Fraction, 6}, {"WW", Pattern::WeekOfYear}, {"W", Pattern::WeekOfMonth},
    {"Y,YYY", Pattern::YearComma}, {"YYYY", Pattern::Year, 4}, {"YYY", Pattern::Year, 3}, {"YY", Pattern::Year, 2},
    {"Y", Pattern::Year, 1},
};

class DateTemplate {
  public:
    explicit DateTemplate(std::string_view format) {
        while (!format.empty()) {
            if (pattern(format)) continue;
            if (format[0] == '"') quoted(format);
            else {
                if (format[0] == '\\' && format.size() > 1 && format[1] == '"') format.remove_prefix(1);
                literal(format, 1);
            }
        }
    }

    // `local` is wall-clock time; `zone` is null for a timestamp without one.
    void format(int64_t local, const LocalType* zone, std::string& out) const {
        Moment m(local, zone);
        for (const Node& node : nodes_) {
            if (node.pattern == Pattern::Literal) out.append(node.text);
            else one(node, m, out);
        }
    }

    // A span of time; patterns that name days or months are refused (22007).
    void format(const Interval& span, std::string& out) const;

  private:
    struct Node {
        Pattern pattern = Pattern::Literal;
        Letters letters = Letters::Upper;
        int digits = 0;
        bool fill = true;        // without FM
        char ordinal = '\0';     // 'T' for TH, 't' for th
        std::string text;
    };
    struct Moment {
        int64_t days, time;
        Ymd date;
        const LocalType* zone;
        Moment(int64_t local, const LocalType* z) : days(floor_div(local, kDay)), time(local - days * kDay), date(civil_from_days(days)), zone(z) {}
        int64_t day_of_year() const { return days - days_from_civil(date.year, 1, 1) + 1; }
    };
    std::vector<Node> nodes_;

    void literal(std::string_view& s, size_t n) {
        if (nodes_.empty() || nodes_.back().pattern != Pattern::Literal) nodes_.emplace_back();
        nodes_.back().text.append(s.substr(0, n));
        s.remove_prefix(n);
    }

    void quoted(std::string_view& s) {
        s.remove_prefix(1);
        while (!s.empty() && s[0] != '"') {
            if (s[0] == '\\' && s.size() > 1) s.remove_prefix(1);
            literal(s, 1);
        }
        if (!s.empty()) s.remove_prefix(1);
    }

    static bool starts(std::string_view s, std::string_view word) { return s.substr(0, word.size()) == word; }

    // All of one case, or capitalised where that means something (Month, Day).
    static bool matches(std::string_view s, const Template& t, Letters& letters) {
        std::string_view upper(t.text);
        if (starts(s, upper)) return letters = Letters::Upper, true;
        std::string lowercase, capital;
        for (char c : upper) lowercase.push_back(lower(c));
        if (starts(s, lowercase)) return letters = Letters::Lower, true;
        capital = lowercase;
        capital[0] = upper[0];
        bool named = t.pattern == Pattern::Day || t.pattern == Pattern::DayShort || t.pattern == Pattern::MonthName || t.pattern == Pattern::MonthShort;
        return named && starts(s, capital) ? (letters = Letters::Capital, true) : false;
    }

    bool pattern(std::string_view& s) {
        std::string_view rest = s;
        Node node;
        for (bool more = true; more;) {
            more = starts(rest, "FM") || starts(rest, "fm") || starts(rest, "TM") || starts(rest, "tm");
            if (more) node.fill = false, rest.remove_prefix(2);
        }
        for (const Template& t : kTemplates) {
            if (!matches(rest, t, node.letters)) continue;
            node.pattern = t.pattern, node.digits = t.digits;
            rest.remove_prefix(std::string_view(t.text).size());
            if (starts(rest, "TH") || starts(rest, "th")) node.ordinal = rest[0] == 'T' ? 'T' : 't', rest.remove_prefix(2);
            if (node.pattern != Pattern::Exact) nodes_.push_back(std::move(node));
            s = rest;
            return true;
        }
        bool prefixed = rest.size() != s.size();
        s = rest;  // a prefix alone prints nothing
        return prefixed;
    }

    static void put_number(const Node& node, int64_t v, int width, std::string& out) {
        if (v < 0) out.push_back('-');
        append_padded(out, v < 0 ? -v : v, node.fill ? width : 1);
        if (!node.ordinal) return;
        int64_t n = v < 0 ? -v : v, last = n % 10;
        const char* th = n % 100 / 10 == 1 ? "th" : last == 1 ? "st" : last == 2 ? "nd" : last == 3 ? "rd" : "th";
        for (; *th; th++) out.push_back(node.ordinal == 'T' ? char(*th - 32) : *th);
    }

    static void put_name(const Node& node, std::string_view capitalised, size_t width, std::string& out) {
        for (size_t i = 0; i < capitalised.size(); i++) {
            char c = lower(capitalised[i]);
            bool up = is_alpha(c) && (node.letters == Letters::Upper || (node.letters == Letters::Capital && i == 0));
            out.push_back(up ? char(c - 32) : c);
        }
        if (node.fill && capitalised.size() < width) out.append(width - capitalised.size(), ' ');
    }

    static void put_year(const Node& node, int64_t year, std::string& out) {
        int64_t shown = year <= 0 ? 1 - year : year;
        static constexpr int64_t modulo[] = {0, 10, 100, 1000};
        put_number(node, node.digits == 4 ? shown : shown % modulo[node.digits], node.digits, out);
    }

    static void put_zone(const Node& node, const Moment& m, std::string& out) {
        int32_t offset = m.zone ? m.zone->offset : 0, size = std::abs(offset);
        char sign = offset < 0 ? '-' : '+';
        switch (node.pattern) {
            case Pattern::ZoneHour: out.push_back(sign), append_padded(out, size / 3600, 2); return;
            case Pattern::ZoneMinute: append_padded(out, size / 60 % 60, 2); return;
            case Pattern::Offset:
                out.push_back(sign), append_padded(out, size / 3600, node.fill ? 2 : 1);
                if (size / 60 % 60) out.push_back(':'), append_padded(out, size / 60 % 60, 2);
                return;
            default:
                if (!m.zone) return;
                for (char c : m.zone->abbreviation) out.push_back(node.letters == Letters::Lower ? lower(c) : c);
        }
    }

    static void one(const Node& node, const Moment& m, std::string& out) {
        static const char* roman[] = {"I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"};
        static constexpr int64_t units[] = {1, 100000, 10000, 1000, 100, 10, 1};
        auto number = [&](int64_t v, int width) { put_number(node, v, width, out); };
        int64_t hour = m.time / kHour;
        switch (node.pattern) {
            case Pattern::AdDots: put_name(node, m.date.year <= 0 ? "b.c." : "a.d.", 0, out); break;
            case Pattern::Ad: put_name(node, m.date.year <= 0 ? "bc" : "ad", 0, out); break;
            case Pattern::AmDots: put_name(node, hour >= 12 ? "p.m." : "a.m.", 0, out); break;
            case Pattern::Am: put_name(node, hour >= 12 ? "pm" : "am", 0, out); break;
            case Pattern::Century: number(century(m.date.year), 2); break;
            case Pattern::Day: put_name(node, kDayNames[day_of_week(m.days)], 9, out); break;
            case Pattern::DayShort: put_name(node, std::string_view(kDayNames[day_of_week(m.days)], 3), 0, out); break;
            case Pattern::DayOfYear: number(m.day_of_year(), 3); break;
            case Pattern::DayOfMonth: number(m.date.day, 2); break;
            case Pattern::DayOfWeek: number(day_of_week(m.days) + 1, 1); break;
            case Pattern::Fraction: {
                Node filled = node;  // FM does not shorten fractions
                filled.fill = true;
                put_number(filled, m.time % kSecond / units[node.digits], node.digits, out);
                break;
            }
            case Pattern::Hour24: number(hour, 2); break;
            case Pattern::Hour12: number(hour % 12 ? hour % 12 : 12, 2); break;
            case Pattern::IsoDay: number(day_of_week(m.days) ? day_of_week(m.days) : 7, 1); break;
            case Pattern::IsoDayOfYear: number((iso_week(m.days).week - 1) * 7 + (day_of_week(m.days) + 6) % 7 + 1, 3); break;
            case Pattern::IsoWeekOfYear: number(iso_week(m.days).week, 2); break;
            case Pattern::IsoYear: put_year(node, iso_week(m.days).year, out); break;
            case Pattern::Julian: number(m.days + kJulianOf1970, 1); break;
            case Pattern::Minute: number(m.time / kMinute % 60, 2); break;
            case Pattern::Second: number(m.time / kSecond % 60, 2); break;
            case Pattern::DaySeconds: number(m.time / kSecond, 1); break;
            case Pattern::Month: number(m.date.month, 2); break;
            case Pattern::MonthName: put_name(node, kMonthNames[m.date.month - 1], 9, out); break;
            case Pattern::MonthShort: put_name(node, kMonthAbbreviations[m.date.month - 1], 0, out); break;
            case Pattern::Roman: put_name(node, roman[m.date.month - 1], 4, out); break;
            case Pattern::Quarter: number((m.date.month - 1) / 3 + 1, 1); break;
            case Pattern::WeekOfYear: number((m.day_of_year() - 1) / 7 + 1, 2); break;
            case Pattern::WeekOfMonth: number((m.date.day - 1) / 7 + 1, 1); break;
            case Pattern::YearComma: {
                int64_t year = m.date.year <= 0 ? 1 - m.date.year : m.date.year;
                append_padded(out, year / 1000, 1), out.push_back(',');
                Node thousands = node;
                thousands.fill = true;
                put_number(thousands, year % 1000, 3, out);
                break;
            }
            case Pattern::Year: put_year(node, m.date.year, out); break;
            case Pattern::Literal: case Pattern::Exact: break;
            default: put_zone(node, m, out);
        }
    }
};

// The template of a format, kept from one row to the next.
inline const DateTemplate& date_template(std::string_view format) {
    thread_local std::string last;
    thread_local std::vector<DateTemplate> kept;
    if (kept.empty() || last != format) {
        kept.clear();
        kept.emplace_back(format);
        last.assign(format);
    }
    return kept.front();
}

}  // namespace laminar
