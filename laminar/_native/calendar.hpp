// The proleptic Gregorian calendar, and the units that dates, times and intervals are counted in.
//
// Stored dates are days and stored timestamps microseconds since 1970-01-01; the extreme values of the
// integers are the infinities. PostgreSQL's own epoch, 2000-01-01, appears only in its binary format.
#pragma once

#include <cstdint>

#include "pgerror.hpp"

namespace laminar {

inline constexpr int64_t kSecond = 1000000, kMinute = 60 * kSecond, kHour = 60 * kMinute, kDay = 24 * kHour;
inline constexpr int64_t kTimestampInf = INT64_MAX, kTimestampNegInf = INT64_MIN;
inline constexpr int32_t kDateInf = INT32_MAX, kDateNegInf = INT32_MIN;

inline int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }
inline int64_t floor_mod(int64_t a, int64_t b) { return a - floor_div(a, b) * b; }

struct Ymd { int64_t year; int month, day; };  // year 0 is 1 BC

// Days since 1970-01-01 (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
inline constexpr int64_t days_from_civil(int64_t y, int m, int d) {
    y -= m <= 2;
    const int64_t era = (y >= 0 ? y : y - 399) / 400;
    const int64_t yoe = y - era * 400;
    const int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

inline constexpr Ymd civil_from_days(int64_t z) {
    z += 719468;
    const int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    const int64_t doe = z - era * 146097;
    const int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    const int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    const int64_t mp = (5 * doy + 2) / 153;
    const int m = int(mp < 10 ? mp + 3 : mp - 9);
    return {yoe + era * 400 + (m <= 2), m, int(doy - (153 * mp + 2) / 5 + 1)};
}

inline constexpr bool leap_year(int64_t y) { return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0); }
inline constexpr int days_in_month(int64_t y, int m) {
    return m == 2 ? (leap_year(y) ? 29 : 28) : m == 4 || m == 6 || m == 9 || m == 11 ? 30 : 31;
}
// 0 = Sunday
inline int day_of_week(int64_t days) { return int(floor_mod(days + 4, 7)); }

// PostgreSQL's limits: Julian day 0 (24 Nov 4714 BC) up to, not including:
inline constexpr int64_t kMinDays = days_from_civil(-4713, 11, 24);
inline constexpr int64_t kEndDateDays = days_from_civil(5874898, 1, 1);
// PostgreSQL's timestamps end with the year 294276; microseconds since 1970 end 30 years earlier. Two days are left
// over so that a zone's offset can always be added.
inline constexpr int64_t kMinTimestamp = kMinDays * kDay, kEndTimestamp = INT64_MAX / kDay * kDay - 2 * kDay;
inline constexpr int64_t kEndTimestampDays = kEndTimestamp / kDay;
inline constexpr int64_t kPgEpochDays = days_from_civil(2000, 1, 1);
inline constexpr int64_t kPgEpoch = kPgEpochDays * kDay;
inline constexpr int64_t kJulianOf1970 = 2440588;

inline bool date_in_range(int64_t days) { return days >= kMinDays && days < kEndDateDays; }
inline bool timestamp_in_range(int64_t us) { return us >= kMinTimestamp && us < kEndTimestamp; }
inline bool finite_timestamp(int64_t us) { return us != kTimestampInf && us != kTimestampNegInf; }
inline bool finite_date(int32_t days) { return days != kDateInf && days != kDateNegInf; }

struct Interval { int32_t months, days; int64_t us; };  // as stored, little-endian, 16 bytes
static_assert(sizeof(Interval) == 16);

// What intervals are compared by: months of 30 days, days of 24 hours.
inline __int128 interval_span(const Interval& i) {
    return __int128(i.us) + (__int128(i.months) * 30 + i.days) * kDay;
}

inline constexpr const char* kMonthAbbreviations[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
inline constexpr const char* kMonthNames[] = {"January", "February", "March", "April", "May", "June", "July",
                                              "August", "September", "October", "November", "December"};
inline constexpr const char* kDayNames[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

}  // namespace laminar
