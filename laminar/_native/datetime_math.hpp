// Arithmetic of dates, times, timestamps and intervals, as PostgreSQL 15 does it.
//
// Timestamps are microseconds since 1970; a timestamptz is UTC and is broken down in the session's zone.
#pragma once

#include <cmath>
#include <string>
#include <string_view>

#include "datetime_format.hpp"
#include "datetime_parse.hpp"

namespace laminar {

[[noreturn]] inline void timestamp_overflow() { fail("22008", "timestamp out of range"); }
[[noreturn]] inline void interval_overflow() { fail("22008", "interval out of range"); }
[[noreturn]] inline void date_overflow() { fail("22008", "date out of range"); }

template <class T> inline T checked_interval(__int128 v) {
    if (v < std::numeric_limits<T>::min() || v > std::numeric_limits<T>::max()) interval_overflow();
    return T(v);
}

inline int64_t checked_timestamp(__int128 us) {
    if (us < kMinTimestamp || us >= kEndTimestamp) timestamp_overflow();
    return int64_t(us);
}

// --- zones ------------------------------------------------------------------------------------

inline int64_t utc_offset(const Zone* zone, int64_t utc_us) {
    return zone ? zone->offset_at(floor_div(utc_us, kSecond)) * kSecond : 0;
}
inline int64_t to_local(const Zone* zone, int64_t utc_us) { return utc_us + utc_offset(zone, utc_us); }
inline int64_t to_utc(const Zone* zone, __int128 local_us) {
    // A zone's offset is looked up where int64 seconds are safe; anything outside fails the range check anyway.
    if (local_us < __int128(kMinTimestamp) - kDay || local_us > __int128(kEndTimestamp) + kDay) timestamp_overflow();
    int64_t seconds = int64_t((local_us - (local_us < 0 ? kSecond - 1 : 0)) / kSecond);
    return checked_timestamp(local_us - (zone ? __int128(zone->at_local(seconds).offset) * kSecond : 0));
}

// --- calendar steps ---------------------------------------------------------------------------

// Months later, the day cut to the month's length; wall-clock microseconds.
inline __int128 add_months(int64_t local, int32_t months) {
    if (months == 0) return local;
    int64_t days = floor_div(local, kDay), time = local - days * kDay;
    Ymd d = civil_from_days(days);
    int64_t month = d.year * 12 + (d.month - 1) + months;
    int64_t year = floor_div(month, 12);
    int m = int(month - year * 12) + 1;
    return __int128(days_from_civil(year, m, std::min(d.day, days_in_month(year, m)))) * kDay + time;
}

inline __int128 add_calendar(int64_t local, int32_t months, int32_t days) {
    __int128 moved = add_months(local, months);
    if (months != 0 && (moved < kMinTimestamp || moved >= kEndTimestamp)) timestamp_overflow();
    moved += __int128(days) * kDay;
    if (days != 0 && (moved < kMinTimestamp || moved >= kEndTimestamp)) timestamp_overflow();
    return moved;
}

inline Interval interval_negate(const Interval& i) {
    return {checked_interval<int32_t>(-__int128(i.months)), checked_interval<int32_t>(-__int128(i.days)),
            checked_interval<int64_t>(-__int128(i.us))};
}

inline int64_t timestamp_add(int64_t t, const Interval& i) {
    if (!finite_timestamp(t)) return t;
    return checked_timestamp(add_calendar(t, i.months, i.days) + i.us);
}

// Months and days go by the zone's clock, the rest by elapsed time.
inline int64_t timestamptz_add(int64_t t, const Interval& i, const Zone* zone) {
    if (!finite_timestamp(t)) return t;
    if (i.months) t = to_utc(zone, add_calendar(to_local(zone, t), i.months, 0));
    if (i.days) t = to_utc(zone, add_calendar(to_local(zone, t), 0, i.days));
    return checked_timestamp(__int128(t) + i.us);
}

inline int64_t timestamptz_sub(int64_t t, const Interval& i, const Zone* zone) {
    if (!finite_timestamp(t)) return t;
    // The opposite of these does not exist, and would lead beyond every timestamp.
    if (i.months == INT32_MIN || i.days == INT32_MIN || i.us == INT64_MIN) timestamp_overflow();
    return timestamptz_add(t, interval_negate(i), zone);
}
inline int64_t timestamp_sub(int64_t t, const Interval& i) { return timestamptz_sub(t, i, nullptr); }

// --- intervals --------------------------------------------------------------------------------

inline Interval interval_add(const Interval& a, const Interval& b) {
    return {checked_interval<int32_t>(__int128(a.months) + b.months), checked_interval<int32_t>(__int128(a.days) + b.days),
            checked_interval<int64_t>(__int128(a.us) + b.us)};
}

inline Interval interval_sub(const Interval& a, const Interval& b) {
    return {checked_interval<int32_t>(__int128(a.months) - b.months), checked_interval<int32_t>(__int128(a.days) - b.days),
            checked_interval<int64_t>(__int128(a.us) - b.us)};
}

inline double microsecond_round(double v) { return std::rint(v * 1e6) / 1e6; }

inline int64_t round_to_us(double v) {
    v = std::rint(v);
    if (std::isnan(v) || v < -9223372036854775808.0 || v >= 9223372036854775808.0) interval_overflow();
    return int64_t(v);
}

namespace detail {

// The fraction of months goes to days (of 30), that of days to time; `scaled` multiplies or divides by the factor.
template <class F> inline Interval scale_interval(const Interval& i, bool check, F scaled) {
    auto whole = [&](double v) {
        if (check && (std::isnan(v) || v > INT32_MAX || v < INT32_MIN)) interval_overflow();
        return v > INT32_MAX || v < INT32_MIN || std::isnan(v) ? INT32_MIN : int32_t(v);
    };
    Interval r;
    r.months = whole(scaled(i.months));
    r.days = whole(scaled(i.days));
    double days = microsecond_round((scaled(i.months) - r.months) * 30);
    double seconds = microsecond_round((scaled(i.days) - r.days + days - int(days)) * 86400);
    if (std::fabs(seconds) >= 86400) {
        int32_t carried = int32_t(seconds / 86400);
        r.days = checked_interval<int32_t>(__int128(r.days) + carried);
        seconds -= carried * 86400.0;
    }
    r.days = checked_interval<int32_t>(__int128(r.days) + int32_t(days));
    r.us = round_to_us(scaled(double(i.us)) + seconds * 1e6);
    return r;
}

}  // namespace detail

inline Interval interval_mul(const Interval& i, double factor) {
    return detail::scale_interval(i, true, [factor](double v) { return v * factor; });
}

inline Interval interval_div(const Interval& i, double divisor) {
    if (divisor == 0) fail("22012", "division by zero");
    return detail::scale_interval(i, false, [divisor](double v) { return v / divisor; });
}

inline Interval justify_hours(Interval i) {
    int64_t days = i.us / kDay;
    i.us -= days * kDay;
    i.days = checked_interval<int32_t>(__int128(i.days) + days);
    if (i.days > 0 && i.us < 0) i.us += kDay, i.days--;
    else if (i.days < 0 && i.us > 0) i.us -= kDay, i.days++;
    return i;
}

inline Interval justify_days(Interval i) {
    int32_t months = i.days / 30;
    i.days -= months * 30;
    i.months = checked_interval<int32_t>(__int128(i.months) + months);
    if (i.months > 0 && i.days < 0) i.days += 30, i.months--;
    else if (i.months < 0 && i.days > 0) i.days -= 30, i.months++;
    return i;
}

inline Interval justify_interval(Interval i) {
    auto days_to_months = [&] {
        int32_t months = i.days / 30;
        i.days -= months * 30;
        i.months = checked_interval<int32_t>(__int128(i.months) + months);
    };
    if ((i.days > 0 && i.us > 0) || (i.days < 0 && i.us < 0)) days_to_months();  // keeps days from overflowing
    int64_t days = i.us / kDay;
    i.us -= days * kDay;
    i.days += int32_t(days);
    days_to_months();
    if (i.months > 0 && (i.days < 0 || (i.days == 0 && i.us < 0))) i.days += 30, i.months--;
    else if (i.months < 0 && (i.days > 0 || (i.days == 0 && i.us > 0))) i.days -= 30, i.months++;
    if (i.days > 0 && i.us < 0) i.us += kDay, i.days--;
    else if (i.days < 0 && i.us > 0) i.us -= kDay, i.days++;
    return i;
}

// timestamp - timestamp: days of 24 hours and a time.
inline Interval timestamp_diff(int64_t a, int64_t b) {
    if (!finite_timestamp(a) || !finite_timestamp(b)) fail("22008", "cannot subtract infinite timestamps");
    return justify_hours({0, 0, checked_interval<int64_t>(__int128(a) - b)});
}

// age(a, b): years, months, days and time between two wall-clock times, by the calendar.
inline Interval age(int64_t a, int64_t b) {
    if (!finite_timestamp(a) || !finite_timestamp(b)) timestamp_overflow();
    int64_t day_a = floor_div(a, kDay), day_b = floor_div(b, kDay);
    Ymd x = civil_from_days(day_a), y = civil_from_days(day_b);
    int64_t us = (a - day_a * kDay) - (b - day_b * kDay), days = x.day - y.day;
    int64_t months = (x.year - y.year) * 12 + x.month - y.month;
    bool negative = a < b;
    if (negative) us = -us, days = -days, months = -months;
    if (us < 0) us += kDay, days--;
    while (days < 0) {
        // The month borrowed from is that of the earlier time.
        days += negative ? days_in_month(x.year, x.month) : days_in_month(y.year, y.month);
        months--;
    }
    Interval r{int32_t(months), int32_t(days), us};
    return negative ? Interval{-r.months, -r.days, -r.us} : r;
}

// date_bin(stride, t, origin)
inline int64_t date_bin(const Interval& stride, int64_t t, int64_t origin) {
    if (!finite_timestamp(t)) return t;
    if (!finite_timestamp(origin)) fail("22008", "origin out of range");
    if (stride.months) fail("0A000", "timestamps cannot be binned into intervals containing months or years");
    __int128 step = __int128(stride.days) * kDay + stride.us;
    if (step > INT64_MAX || step < INT64_MIN) interval_overflow();
    if (step <= 0) fail("22008", "stride must be greater than zero");
    __int128 diff = __int128(t) - origin;
    if (diff > INT64_MAX || diff < INT64_MIN) interval_overflow();
    __int128 rest = diff % step;
    if (rest < 0) rest += step;
    return checked_timestamp(t - rest);
}

// --- casts ------------------------------------------------------------------------------------

inline int64_t date_to_timestamp(int32_t days) {
    if (days == kDateInf) return kTimestampInf;
    if (days == kDateNegInf) return kTimestampNegInf;
    if (days > kEndTimestampDays) fail("22008", "date out of range for timestamp");
    return int64_t(days) * kDay;
}

inline int64_t date_to_timestamptz(int32_t days, const Zone* zone) {
    int64_t t = date_to_timestamp(days);
    if (!finite_timestamp(t)) return t;
    int64_t utc = t - (zone ? zone->at_local(floor_div(t, kSecond)).offset * kSecond : 0);
    if (!timestamp_in_range(utc)) fail("22008", "date out of range for timestamp");
    return utc;
}

inline int32_t timestamp_to_date(int64_t t) {
    if (!finite_timestamp(t)) return t > 0 ? kDateInf : kDateNegInf;
    return int32_t(floor_div(t, kDay));
}

inline int64_t timestamp_to_utc(int64_t t, const Zone* zone) { return finite_timestamp(t) ? to_utc(zone, t) : t; }
inline int64_t timestamptz_to_local(int64_t t, const Zone* zone) { return finite_timestamp(t) ? to_local(zone, t) : t; }

// The offset that `AT TIME ZONE name` means at a moment, given as UTC or as wall-clock time; microseconds east.
inline int64_t named_offset(std::string_view name, int64_t t, bool local) {
    std::string key;
    for (char c : name) key.push_back(lower(c));
    const Zone* zone;
    if (const Abbreviation* a = find_abbreviation(key)) {
        if (!a->zone) return a->offset * kSecond;
        zone = ZoneRegistry::instance().find(a->zone);
        int64_t seconds = floor_div(t, kSecond);
        if (local && zone) seconds -= zone->at_local(seconds).offset;
        LocalType type;
        if (zone && zone->abbreviation(key, seconds, type)) return type.offset * kSecond;
    } else {
        zone = ZoneRegistry::instance().find(name);
    }
    if (!zone) fail("22023", "time zone \"" + std::string(name) + "\" not recognized");
    int64_t seconds = floor_div(t, kSecond);
    return (local ? zone->at_local(seconds) : zone->at(seconds)).offset * kSecond;
}

inline int64_t interval_offset(const Interval& i) {
    if (i.months || i.days) {
        std::string text;
        format_interval(text, i, IntervalStyle::Postgres);
        fail("22023", "interval time zone \"" + text + "\" must not include months or days");
    }
    return i.us / kSecond * kSecond;
}

// --- constructors -----------------------------------------------------------------------------

// `shown_year` is what the error message says: make_date shows years BC counted from 0, make_timestamp as given.
inline int64_t make_days(int year, int month, int day, int shown_year) {
    auto bad = [&] {
        char buf[80];
        std::snprintf(buf, sizeof buf, "date field value out of range: %d-%02d-%02d", shown_year, month, day);
        fail("22008", buf);
    };
    if (year == 0 || month < 1 || month > 12 || day < 1) bad();
    int64_t y = year < 0 ? int64_t(year) + 1 : year;
    if (day > days_in_month(y, month)) bad();
    return days_from_civil(y, month, day);
}

inline int32_t make_date(int year, int month, int day) {
    int64_t days = make_days(year, month, day, year < 0 ? year + 1 : year);
    if (!date_in_range(days)) {
        char buf[80];
        std::snprintf(buf, sizeof buf, "date out of range: %d-%02d-%02d", year, month, day);
        fail("22008", buf);
    }
    return int32_t(days);
}

inline int64_t make_time(int hour, int minute, double second) {
    double us = std::rint(second * 1e6);
    bool ok = hour >= 0 && hour <= 24 && minute >= 0 && minute < 60 && !std::isnan(second) && us >= 0 && us <= 60e6;
    int64_t time = ok ? (hour * 60 + minute) * kMinute + int64_t(us) : 0;
    if (!ok || time > kDay) {
        char buf[120];
        std::snprintf(buf, sizeof buf, "time field value out of range: %d:%02d:%02g", hour, minute, second);
        if (std::isnan(second)) std::snprintf(buf, sizeof buf, "time field value out of range: %d:%02d:NaN", hour, minute);
        fail("22008", buf);
    }
    return time;
}

inline int64_t make_timestamp(int year, int month, int day, int hour, int minute, double second) {
    __int128 t = __int128(make_days(year, month, day, year)) * kDay + make_time(hour, minute, second);
    if (t < kMinTimestamp || t >= kEndTimestamp) {
        char buf[160];
        std::snprintf(buf, sizeof buf, "timestamp out of range: %d-%02d-%02d %d:%02d:%02g", year, month, day, hour, minute, second);
        fail("22008", buf);
    }
    return int64_t(t);
}

// to_timestamp(seconds since 1970)
inline int64_t timestamp_from_epoch(double seconds) {
    if (std::isnan(seconds)) fail("22008", "timestamp cannot be NaN");
    if (std::isinf(seconds)) return seconds > 0 ? kTimestampInf : kTimestampNegInf;
    auto bad = [&] {
        char buf[80];
        std::snprintf(buf, sizeof buf, "timestamp out of range: \"%g\"", seconds);
        fail("22008", buf);
    };
    if (seconds < double(kMinDays) * 86400 || seconds >= double(kEndTimestampDays) * 86400) bad();
    // PostgreSQL rounds after moving to its own epoch.
    double since_2000 = std::rint((seconds - double(kPgEpochDays) * 86400) * 1e6);
    int64_t us = int64_t(since_2000) + kPgEpoch;
    if (!timestamp_in_range(us)) bad();
    return us;
}

}  // namespace laminar
