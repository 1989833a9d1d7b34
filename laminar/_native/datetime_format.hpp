// Text of dates, times, timestamps and intervals in each DateStyle and IntervalStyle.
#pragma once

#include <cstdlib>
#include <string>

#include "calendar.hpp"
#include "pgtype.hpp"
#include "timezone.hpp"

namespace laminar {

// At least `width` digits, zero padded.
inline void append_padded(std::string& out, int64_t value, int width) {
    if (width == 4 && value >= 0 && value < 10000) {
        int v = int(value);
        char year[4] = {char('0' + v / 1000), char('0' + v / 100 % 10), char('0' + v / 10 % 10), char('0' + v % 10)};
        out.append(year, sizeof year);
        return;
    }
    char buf[24];
    auto r = std::to_chars(buf, buf + sizeof buf, value);
    int n = int(r.ptr - buf);
    if (n < width) out.append(size_t(width - n), '0');
    out.append(buf, size_t(n));
}

inline void append_fraction(std::string& out, int64_t us) {
    if (us == 0) return;
    char buf[8] = {'.'};
    for (int i = 6; i > 0; i--, us /= 10) buf[i] = char('0' + us % 10);
    int n = 7;
    while (buf[n - 1] == '0') n--;
    out.append(buf, size_t(n));
}

// HH:MM:SS[.ffffff] of a time of day (24:00:00 included)
inline void format_time(std::string& out, int64_t us) {
    int seconds = int(us / kSecond);
    char buf[8];
    auto two = [&](int at, int v) { buf[at] = char('0' + v / 10), buf[at + 1] = char('0' + v % 10); };
    two(0, seconds / 3600), two(3, seconds / 60 % 60), two(6, seconds % 60);
    buf[2] = buf[5] = ':';
    out.append(buf, sizeof buf);
    append_fraction(out, us % kSecond);
}

namespace detail {

inline void append_year(std::string& out, int64_t year) { append_padded(out, year > 0 ? year : 1 - year, 4); }

// Two numbers in the order of the setting: month and day, or day and month.
inline void append_month_day(std::string& out, const Ymd& d, char separator, bool day_first) {
    append_padded(out, day_first ? d.day : d.month, 2), out.push_back(separator);
    append_padded(out, day_first ? d.month : d.day, 2);
}

inline void append_date(std::string& out, const Ymd& d, const Settings& s) {
    bool day_first = s.date_order == DateOrder::Dmy;
    switch (s.date_style) {
        case DateStyle::Iso: {
            append_year(out, d.year);
            char buf[6] = {'-', char('0' + d.month / 10), char('0' + d.month % 10), '-', char('0' + d.day / 10), char('0' + d.day % 10)};
            out.append(buf, sizeof buf);
            return;
        }
        case DateStyle::Sql: append_month_day(out, d, '/', day_first), out.push_back('/'); break;
        case DateStyle::Postgres: append_month_day(out, d, '-', day_first), out.push_back('-'); break;
        case DateStyle::German: append_month_day(out, d, '.', true), out.push_back('.'); break;
    }
    append_year(out, d.year);
}

inline void append_offset(std::string& out, int32_t offset) {
    out.push_back(offset < 0 ? '-' : '+');
    int32_t o = std::abs(offset);
    append_padded(out, o / 3600, 2);
    if (o % 3600) out.push_back(':'), append_padded(out, o / 60 % 60, 2);
    if (o % 60) out.push_back(':'), append_padded(out, o % 60, 2);
}

inline void append_timestamp(std::string& out, int64_t local_us, const LocalType* zone, const Settings& s) {
    int64_t days = floor_div(local_us, kDay), time = local_us - days * kDay;
    Ymd d = civil_from_days(days);
    if (s.date_style == DateStyle::Postgres) {
        bool day_first = s.date_order == DateOrder::Dmy;
        out.append(kDayNames[day_of_week(days)], 3).push_back(' ');
        if (day_first) append_padded(out, d.day, 2), out.push_back(' ');
        out.append(kMonthAbbreviations[d.month - 1]).push_back(' ');
        if (!day_first) append_padded(out, d.day, 2), out.push_back(' ');
        format_time(out, time), out.push_back(' ');
        append_year(out, d.year);
    } else {
        append_date(out, d, s), out.push_back(' ');
        format_time(out, time);
    }
    if (zone && s.date_style == DateStyle::Iso)
        append_offset(out, zone->offset);
    else if (zone)
        out.append(" ").append(zone->abbreviation.substr(0, 10));
    if (d.year <= 0) out.append(" BC");
}

inline bool append_infinity(std::string& out, bool positive, bool negative) {
    if (positive) out.append("infinity");
    if (negative) out.append("-infinity");
    return positive || negative;
}

}  // namespace detail

inline void format_date(std::string& out, int32_t days, const Settings& s) {
    if (detail::append_infinity(out, days == kDateInf, days == kDateNegInf)) return;
    Ymd d = civil_from_days(days);
    detail::append_date(out, d, s);
    if (d.year <= 0) out.append(" BC");
}

inline void format_timestamp(std::string& out, int64_t us, const Settings& s) {
    if (!detail::append_infinity(out, us == kTimestampInf, us == kTimestampNegInf)) detail::append_timestamp(out, us, nullptr, s);
}

inline void format_timestamptz(std::string& out, int64_t us, const Settings& s) {
    static const LocalType utc;
    if (detail::append_infinity(out, us == kTimestampInf, us == kTimestampNegInf)) return;
    const LocalType& zone = s.zone ? s.zone->at(floor_div(us, kSecond)) : utc;
    detail::append_timestamp(out, us + zone.offset * kSecond, &zone, s);
}

// --- intervals --------------------------------------------------------------------------------

namespace detail {

struct IntervalParts {
    int64_t year, month, day, hour, minute, second, fraction;
    explicit IntervalParts(const Interval& i)
        : year(i.months / 12), month(i.months % 12), day(i.days), hour(i.us / kHour), minute(i.us / kMinute % 60),
          second(i.us / kSecond % 60), fraction(i.us % kSecond) {}
    bool time() const { return hour || minute || second || fraction; }
    bool time_negative() const { return hour < 0 || minute < 0 || second < 0 || fraction < 0; }
};

inline uint64_t magnitude(int64_t v) { return v < 0 ? 0 - uint64_t(v) : uint64_t(v); }

inline void append_seconds(std::string& out, const IntervalParts& p, int width) {
    append_padded(out, int64_t(magnitude(p.second)), width);
    append_fraction(out, int64_t(magnitude(p.fraction)));
}

inline void append_clock(std::string& out, const IntervalParts& p, int hour_width) {
    append_padded(out, int64_t(magnitude(p.hour)), hour_width), out.push_back(':');
    append_padded(out, int64_t(magnitude(p.minute)), 2), out.push_back(':');
    append_seconds(out, p, 2);
}

inline void interval_postgres(std::string& out, const IntervalParts& p) {
    bool first = true, before = false;
    auto part = [&](int64_t v, const char* unit) {
        if (v == 0) return;
        if (!first) out.push_back(' ');
        if (before && v > 0) out.push_back('+');
        format_int(out, v);
        out.append(" ").append(unit).append(v != 1 ? "s" : "");
        before = v < 0, first = false;
    };
    part(p.year, "year"), part(p.month, "mon"), part(p.day, "day");
    if (!first && !p.time()) return;
    if (!first) out.push_back(' ');
    if (p.time_negative()) out.push_back('-');
    else if (before) out.push_back('+');
    append_clock(out, p, 2);
}

inline void interval_verbose(std::string& out, const IntervalParts& p) {
    bool zero = true, before = false;
    out.push_back('@');
    auto part = [&](int64_t v, const char* unit) {
        if (v == 0) return;
        if (zero) before = v < 0;
        if (before) v = -v;
        out.push_back(' ');
        format_int(out, v);
        out.append(" ").append(unit).append(v == 1 ? "" : "s");
        zero = false;
    };
    part(p.year, "year"), part(p.month, "mon"), part(p.day, "day"), part(p.hour, "hour"), part(p.minute, "min");
    if (p.second || p.fraction) {
        out.push_back(' ');
        if (p.second < 0 || p.fraction < 0) {
            if (zero) before = true;
            else if (!before) out.push_back('-');
        } else if (before) {
            out.push_back('-');
        }
        append_seconds(out, p, 1);
        out.append(magnitude(p.second) != 1 || p.fraction ? " secs" : " sec");
        zero = false;
    }
    if (zero) out.append(" 0");
    if (before) out.append(" ago");
}

inline void interval_sql(std::string& out, const IntervalParts& p) {
    bool negative = p.year < 0 || p.month < 0 || p.day < 0 || p.time_negative();
    bool positive = p.year > 0 || p.month > 0 || p.day > 0 || p.hour > 0 || p.minute > 0 || p.second > 0 || p.fraction > 0;
    bool years = p.year || p.month, days = p.day || p.time();
    auto sign = [&](bool minus) { out.push_back(minus ? '-' : '+'); };
    auto number = [&](int64_t v) { append_padded(out, int64_t(magnitude(v)), 1); };
    if (!negative && !positive) {
        out.push_back('0');
        return;
    }
    if ((negative && positive) || (years && days)) {  // the standard has no such value: all fields, all signed
        sign(p.year < 0 || p.month < 0), number(p.year), out.push_back('-'), number(p.month), out.push_back(' ');
        sign(p.day < 0), number(p.day), out.push_back(' ');
        sign(p.time_negative());
        append_clock(out, p, 1);
        return;
    }
    if (negative) out.push_back('-');
    if (years) {
        number(p.year), out.push_back('-'), number(p.month);
        return;
    }
    if (p.day) number(p.day), out.push_back(' ');
    append_clock(out, p, 1);
}

inline void interval_iso(std::string& out, const IntervalParts& p) {
    if (!(p.year || p.month || p.day || p.time())) {
        out.append("PT0S");
        return;
    }
    auto part = [&](int64_t v, char unit) {
        if (v) format_int(out, v), out.push_back(unit);
    };
    out.push_back('P');
    part(p.year, 'Y'), part(p.month, 'M'), part(p.day, 'D');
    if (p.time()) out.push_back('T');
    part(p.hour, 'H'), part(p.minute, 'M');
    if (p.second || p.fraction) {
        if (p.second < 0 || p.fraction < 0) out.push_back('-');
        append_seconds(out, p, 1);
        out.push_back('S');
    }
}

}  // namespace detail

inline void format_interval(std::string& out, const Interval& i, IntervalStyle style) {
    detail::IntervalParts parts(i);
    switch (style) {
        case IntervalStyle::Postgres: detail::interval_postgres(out, parts); break;
        case IntervalStyle::PostgresVerbose: detail::interval_verbose(out, parts); break;
        case IntervalStyle::SqlStandard: detail::interval_sql(out, parts); break;
        case IntervalStyle::Iso8601: detail::interval_iso(out, parts); break;
    }
}

}  // namespace laminar
