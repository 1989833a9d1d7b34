// date_trunc, date_part and extract.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "datetime_math.hpp"
#include "numeric_math.hpp"

namespace laminar {

// A field's name as date_part takes it, kNone for one that is not known.
inline int field_unit(std::string_view name) {
    std::string key;
    for (char c : name) key.push_back(lower(c));
    WordMeaning m = find_word(kUnitWords, key);
    if (m.kind == Word::Unit) return m.value;
    m = find_word(kDateWords, key);
    if (m.kind == Word::Epoch) return kEpochUnit;
    return m.kind == Word::Unit && (m.value == kDow || m.value == kIsoDow || m.value == kDoy || m.value == kIsoYear || m.value == kJulian)
               ? m.value
               : kNone;
}

// A unit as date_trunc takes it.
inline int trunc_unit(std::string_view name) {
    std::string key;
    for (char c : name) key.push_back(lower(c));
    WordMeaning m = find_word(kUnitWords, key);
    return m.kind == Word::Unit ? m.value : kNone;
}

[[noreturn]] inline void bad_field(std::string_view name, int unit, const char* type) {
    std::string key;
    for (char c : name) key.push_back(lower(c));
    if (unit == kNone) fail("22023", "unit \"" + key + "\" not recognized for type " + type);
    fail("0A000", "unit \"" + key + "\" not supported for type " + type);
}

// Years of a decade, century or millennium, counted as PostgreSQL does: no year zero, the first century starts in 1.
inline int64_t decade(int64_t year) { return year >= 0 ? year / 10 : -((8 - (year - 1)) / 10); }
inline int64_t century(int64_t year) { return year > 0 ? (year + 99) / 100 : -((99 - (year - 1)) / 100); }
inline int64_t millennium(int64_t year) { return year > 0 ? (year + 999) / 1000 : -((999 - (year - 1)) / 1000); }

struct IsoWeek { int64_t year; int week; };

inline IsoWeek iso_week(int64_t days) {
    int64_t thursday = days - (day_of_week(days) + 6) % 7 + 3;
    int64_t year = civil_from_days(thursday).year;
    return {year, int((thursday - days_from_civil(year, 1, 1)) / 7) + 1};
}

// --- date_trunc -------------------------------------------------------------------------------

// Wall-clock microseconds cut to a unit; 22023 or 0A000 for units it does not have.
inline int64_t trunc_local(std::string_view name, int unit, int64_t t, const char* type) {
    auto cut = [&](int64_t to) { return t - floor_mod(t, to); };
    switch (unit) {
        case kMicro: return t;
        case kMilli: return cut(1000);
        case kSecondUnit: return cut(kSecond);
        case kMinuteUnit: return cut(kMinute);
        case kHourUnit: return cut(kHour);
        case kDayUnit: return cut(kDay);
        default: break;
    }
    int64_t days = floor_div(t, kDay), year = civil_from_days(days).year;
    int month = civil_from_days(days).month;
    switch (unit) {
        case kWeek: return (days - (day_of_week(days) + 6) % 7) * kDay;
        case kMonth: break;
        case kQuarter: month = (month - 1) / 3 * 3 + 1; break;
        case kYear: month = 1; break;
        case kDecade: month = 1, year = year > 0 ? year / 10 * 10 : -((8 - (year - 1)) / 10) * 10; break;
        case kCentury: month = 1, year = year > 0 ? century(year) * 100 - 99 : century(year) * 100 + 1; break;
        case kMillennium: month = 1, year = year > 0 ? millennium(year) * 1000 - 999 : millennium(year) * 1000 + 1; break;
        default: bad_field(name, unit, type);
    }
    return int64_t(checked_timestamp(__int128(days_from_civil(year, month, 1)) * kDay));
}

inline int64_t timestamp_trunc(std::string_view name, int64_t t) {
    if (!finite_timestamp(t)) return t;
    return checked_timestamp(trunc_local(name, trunc_unit(name), t, "timestamp without time zone"));
}

inline int64_t timestamptz_trunc(std::string_view name, int64_t t, const Zone* zone) {
    if (!finite_timestamp(t)) return t;
    int unit = trunc_unit(name);
    int64_t offset = utc_offset(zone, t);
    int64_t local = trunc_local(name, unit, t + offset, "timestamp with time zone");
    // Up to hours the offset stays; a day's start has its own.
    bool within_day = unit == kMicro || unit == kMilli || unit == kSecondUnit || unit == kMinuteUnit || unit == kHourUnit;
    return within_day ? checked_timestamp(__int128(local) - offset) : to_utc(zone, local);
}

inline Interval interval_trunc(std::string_view name, Interval i) {
    int unit = trunc_unit(name);
    auto cut = [](int32_t v, int to) { return v / to * to; };
    auto time = [&](int64_t to) { return i.us / to * to; };
    switch (unit) {
        case kMicro: return i;
        case kMilli: return {i.months, i.days, time(1000)};
        case kSecondUnit: return {i.months, i.days, time(kSecond)};
        case kMinuteUnit: return {i.months, i.days, time(kMinute)};
        case kHourUnit: return {i.months, i.days, time(kHour)};
        case kDayUnit: return {i.months, i.days, 0};
        case kMonth: return {i.months, 0, 0};
        case kQuarter: return {cut(i.months, 3), 0, 0};
        case kYear: return {cut(i.months, 12), 0, 0};
        case kDecade: return {cut(i.months, 120), 0, 0};
        case kCentury: return {cut(i.months, 1200), 0, 0};
        case kMillennium: return {cut(i.months, 12000), 0, 0};
        default: break;
    }
    if (unit == kWeek) {
        std::string key;
        for (char c : name) key.push_back(lower(c));
        fail("0A000", "unit \"" + key + "\" not supported for type interval", "Months usually have fractional weeks.");
    }
    bad_field(name, unit, "interval");
}

// --- extract ----------------------------------------------------------------------------------

// A field's value: an exact numeric for extract and the float8 that date_part gives. Absent: NULL.
struct FieldValue {
    Numeric exact;
    double approximate = 0;
    bool null = false;

    static FieldValue integer(int64_t v) { return {Numeric(v, 0), double(v), false}; }
    static FieldValue scaled(i128 v, int scale) { return {Numeric(v, scale), double(v) / double(kPow10[size_t(scale)]), false}; }
};

// What infinite timestamps have: nothing for fields that repeat, infinity for those that only grow.
inline FieldValue infinite_field(std::string_view name, int unit, bool positive, const char* type) {
    switch (unit) {
        case kYear: case kDecade: case kCentury: case kMillennium: case kJulian: case kIsoYear: case kEpochUnit:
            return {Numeric::infinity(!positive), positive ? HUGE_VAL : -HUGE_VAL, false};
        case kMicro: case kMilli: case kSecondUnit: case kMinuteUnit: case kHourUnit: case kDayUnit: case kMonth: case kQuarter:
        case kWeek: case kDow: case kIsoDow: case kDoy: case kZoneUnit: case kZoneHour: case kZoneMinute:
            return {Numeric(), 0, true};
        default: bad_field(name, unit, type);
    }
}

// Fields of a date; false when the unit is not one.
inline bool date_field(int unit, int64_t days, FieldValue& out) {
    Ymd d = civil_from_days(days);
    auto set = [&](int64_t v) { return out = FieldValue::integer(v), true; };
    auto no_zero = [](int64_t year) { return year > 0 ? year : year - 1; };
    switch (unit) {
        case kDayUnit: return set(d.day);
        case kMonth: return set(d.month);
        case kQuarter: return set((d.month - 1) / 3 + 1);
        case kWeek: return set(iso_week(days).week);
        case kYear: return set(no_zero(d.year));
        case kDecade: return set(decade(d.year));
        case kCentury: return set(century(d.year));
        case kMillennium: return set(millennium(d.year));
        case kIsoYear: return set(no_zero(iso_week(days).year));
        case kDow: return set(day_of_week(days));
        case kIsoDow: return set(day_of_week(days) ? day_of_week(days) : 7);
        case kDoy: return set(days - days_from_civil(d.year, 1, 1) + 1);
        default: return false;
    }
}

// Fields of a time of day; false when the unit is not one.
inline bool time_field(int unit, int64_t us, FieldValue& out) {
    int64_t in_minute = us % kMinute;
    switch (unit) {
        case kMicro: out = FieldValue::integer(in_minute); return true;
        case kMilli: out = {Numeric(in_minute, 3), double(in_minute / kSecond) * 1000.0 + double(in_minute % kSecond) / 1000.0, false}; return true;
        case kSecondUnit: out = {Numeric(in_minute, 6), double(in_minute / kSecond) + double(in_minute % kSecond) / 1e6, false}; return true;
        case kMinuteUnit: out = FieldValue::integer(us / kMinute % 60); return true;
        case kHourUnit: out = FieldValue::integer(us / kHour); return true;
        default: return false;
    }
}

inline FieldValue timestamp_field(std::string_view name, int64_t t, const Zone* zone, bool zoned) {
    const char* type = zoned ? "timestamp with time zone" : "timestamp without time zone";
    int unit = field_unit(name);
    if (!finite_timestamp(t)) return infinite_field(name, unit, t > 0, type);
    FieldValue v;
    int64_t offset = zoned ? utc_offset(zone, t) : 0, local = t + offset;
    int64_t days = floor_div(local, kDay), time = local - days * kDay;
    if (time_field(unit, time, v) || date_field(unit, days, v)) return v;
    switch (unit) {
        case kEpochUnit: return {Numeric(t, 6), double(t) / 1e6, false};
        case kJulian: {
            Numeric fraction = div(Numeric(time, 0), Numeric(kDay, 0));
            int64_t whole = days + kJulianOf1970;
            int64_t h = time / kHour, m = time / kMinute % 60, s = time / kSecond % 60;
            double part = (double((h * 60 + m) * 60 + s) + double(time % kSecond) / 1e6) / 86400.0;
            return {add(Numeric(whole, 0), fraction), double(whole) + part, false};
        }
        case kZoneUnit:
            if (zoned) return FieldValue::integer(offset / kSecond);
            break;
        case kZoneHour:
            if (zoned) return FieldValue::integer(offset / kHour);
            break;
        case kZoneMinute:
            if (zoned) return FieldValue::integer(offset / kMinute % 60);
            break;
        default: break;
    }
    bad_field(name, unit, type);
}

inline FieldValue date_value_field(std::string_view name, int32_t days) {
    int unit = field_unit(name);
    bool time_unit = unit == kMicro || unit == kMilli || unit == kSecondUnit || unit == kMinuteUnit || unit == kHourUnit ||
                     unit == kZoneUnit || unit == kZoneHour || unit == kZoneMinute;
    if (time_unit) bad_field(name, unit, "date");
    if (!finite_date(days)) return infinite_field(name, unit, days > 0, "date");
    FieldValue v;
    if (date_field(unit, days, v)) return v;
    if (unit == kJulian) return FieldValue::integer(days + kJulianOf1970);
    if (unit == kEpochUnit) return FieldValue::integer(int64_t(days) * 86400);
    bad_field(name, unit, "date");
}

inline FieldValue time_value_field(std::string_view name, int64_t us) {
    int unit = field_unit(name);
    FieldValue v;
    if (time_field(unit, us, v)) return v;
    if (unit == kEpochUnit) return {Numeric(us, 6), double(us) / 1e6, false};
    bad_field(name, unit, "time without time zone");
}

inline FieldValue interval_field_value(std::string_view name, const Interval& i) {
    int unit = field_unit(name);
    FieldValue v;
    if (time_field(unit, i.us, v)) return v;
    int64_t years = i.months / 12;
    switch (unit) {
        case kDayUnit: return FieldValue::integer(i.days);
        case kMonth: return FieldValue::integer(i.months % 12);
        case kQuarter: return FieldValue::integer(i.months % 12 / 3 + 1);
        case kYear: return FieldValue::integer(years);
        case kDecade: return FieldValue::integer(years / 10);
        case kCentury: return FieldValue::integer(years / 100);
        case kMillennium: return FieldValue::integer(years / 1000);
        case kEpochUnit: {  // years of 365.25 days, months of 30
            int64_t quarters = 1461 * years + 120 * int64_t(i.months % 12) + 4 * int64_t(i.days);
            i128 us = i128(quarters) * 21600 * kSecond + i.us;
            double seconds = double(i.us) / 1e6;
            seconds += (365.25 * 86400.0) * double(years);
            seconds += (30 * 86400.0) * double(i.months % 12);
            seconds += 86400.0 * i.days;
            return {Numeric(us, 6), seconds, false};
        }
        default: bad_field(name, unit, "interval");
    }
}

}  // namespace laminar
