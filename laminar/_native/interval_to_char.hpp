// to_char(interval, format).
#pragma once

#include "to_char.hpp"

namespace laminar {

namespace detail {

// An interval's fields, all of its sign each; years and months apart.
struct Span {
    int64_t year, month, day, hour, minute, second, micros;

    explicit Span(const Interval& v)
        : year(v.months / 12), month(v.months % 12), day(v.days), hour(v.us / kHour), minute(v.us / kMinute % 60),
          second(v.us / kSecond % 60), micros(v.us % kSecond) {}
    int64_t days() const { return (year * 12 + month) * 30 + day; }
    int64_t julian() const { return julian(year, month, day); }

    // Julian day if it were a date; months of 0 and less count on from March.
    static int64_t julian(int64_t y, int64_t m, int64_t d) {
        int64_t month = m > 2 ? m + 1 : m + 13, years = m > 2 ? y + 4800 : y + 4799, centuries = years / 100;
        return years * 365 - 32167 + years / 4 - centuries + centuries / 4 + 7834 * month / 256 + d;
    }

    // Where the ISO year of the field `year` starts, or of one next to it that the days reach.
    struct IsoYear { int64_t year, start; };
    IsoYear iso_year() const {
        auto start = [](int64_t y) { int64_t fourth = julian(y, 1, 4); return fourth - (fourth % 7 + 7) % 7; };
        int64_t day_number = julian();
        if (day_number < start(year)) return {year - 1, start(year - 1)};
        if ((day_number - start(year)) / 7 + 1 >= 52 && day_number >= start(year + 1)) return {year + 1, start(year + 1)};
        return {year, start(year)};
    }
};

// As printf("%0*d"): the sign is one of the width.
inline void append_within(std::string& out, int64_t v, int width) {
    if (v < 0) out.push_back('-');
    append_padded(out, v < 0 ? -v : v, std::max(1, v < 0 ? width - 1 : width));
}

}  // namespace detail

inline void DateTemplate::format(const Interval& span, std::string& out) const {
    static const char* roman[] = {"I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"};
    static constexpr int64_t units[] = {1, 100000, 10000, 1000, 100, 10, 1};
    const detail::Span f(span);
    for (const Node& node : nodes_) {
        auto number = [&](int64_t v, int width) { put_number(node, v, width, out); };
        auto within = [&](int64_t v, int width) {
            std::string text;
            detail::append_within(text, v, node.fill ? width : 1);
            Node plain = node;
            plain.fill = true;
            if (!node.ordinal) out += text;
            else out += text.substr(0, text.size() - std::to_string(v < 0 ? -v : v).size()), put_number(plain, v < 0 ? -v : v, 1, out);
        };
        // The sign has room where the span's years are negative, whatever the ISO year is.
        auto years = [&](int64_t year) {
            static constexpr int64_t modulo[] = {0, 10, 100, 1000};
            within(node.digits == 4 ? year : year % modulo[node.digits], node.digits + (f.year < 0));
        };
        switch (node.pattern) {
            case Pattern::Literal: out.append(node.text); break;
            case Pattern::Exact: break;
            case Pattern::AmDots: put_name(node, f.hour % 24 >= 12 ? "p.m." : "a.m.", 0, out); break;
            case Pattern::Am: put_name(node, f.hour % 24 >= 12 ? "pm" : "am", 0, out); break;
            case Pattern::Century: number(f.year / 100, 2); break;
            case Pattern::DayOfYear: within(f.days(), 3); break;
            case Pattern::DayOfMonth: within(f.day, 2); break;
            case Pattern::Fraction: detail::append_within(out, f.micros / units[node.digits], node.digits); break;
            case Pattern::Hour24: number(f.hour, 2); break;
            case Pattern::Hour12: {
                int64_t hour = f.hour % 12 ? f.hour % 12 : 12;
                if (f.hour >= 0) number(hour, 2);
                else detail::append_within(out, hour, node.fill ? 3 : 1);
                break;
            }
            case Pattern::Minute: number(f.minute, 2); break;
            case Pattern::Second: number(f.second, 2); break;
            case Pattern::DaySeconds: number(f.hour * 3600 + f.minute * 60 + f.second, 1); break;
            case Pattern::Month: number(f.month, 2); break;
            case Pattern::Julian: number(f.julian(), 1); break;
            case Pattern::Quarter:
                if (f.month) number((f.month - 1) / 3 + 1, 1);
                break;
            case Pattern::Roman:
                if (f.month || f.year) put_name(node, roman[f.month > 0 ? f.month - 1 : f.month < 0 ? 12 + f.month : f.year >= 0 ? 11 : 0], 4, out);
                break;
            case Pattern::WeekOfYear: within((f.days() - 1) / 7 + 1, 2); break;
            case Pattern::WeekOfMonth: within((f.day - 1) / 7 + 1, 1); break;
            case Pattern::IsoWeekOfYear: within((f.julian() - f.iso_year().start) / 7 + 1, 2); break;
            case Pattern::IsoDayOfYear: within(f.julian() - f.iso_year().start + 1, 3); break;
            case Pattern::IsoYear: years(f.iso_year().year); break;
            case Pattern::YearComma: {
                out += std::to_string(f.year / 1000) + ",";
                detail::append_within(out, f.year % 1000, 3);
                break;
            }
            case Pattern::Year: years(f.year); break;
            default:
                throw Error("22007", "invalid format specification for an interval value", {},
                            "Intervals are not tied to specific calendar dates.");
        }
    }
}

}  // namespace laminar
