// Functions, operators and casts of date, time, timestamp, timestamptz and interval.
#pragma once

#include "datetime_fields.hpp"
#include "interval_to_char.hpp"
#include "kernel.hpp"

namespace laminar {

namespace detail {

using R = const Row&;
using Out = ColumnBuilder&;

inline void put_field(const FieldValue& v, ColumnBuilder& out, bool exact) {
    if (v.null) out.append_null();
    else if (exact) out.append_numeric(v.exact);
    else out.append(v.approximate);
}

// A date or timestamp on one scale with a timestamptz; dates beyond the timestamps keep their order.
inline i128 moment(const Row& r, size_t k, char type, bool zoned) {
    if (type == 'd') {
        int32_t d = r.int4(k);
        if (!finite_date(d)) return d > 0 ? kTimestampInf : kTimestampNegInf;
        i128 local = i128(d) * kDay;
        if (!zoned || local < kMinTimestamp || local >= kEndTimestamp - kDay) return local;
        return to_utc(r.zone(), local);
    }
    int64_t t = r.int8(k);
    return type == 't' && zoned && finite_timestamp(t) ? to_utc(r.zone(), t) : t;
}

template <char A, char B> inline int compare_moments(const Row& r) {
    constexpr bool zoned = A == 'z' || B == 'z';
    i128 a = moment(r, 0, A, zoned), b = moment(r, 1, B, zoned);
    constexpr i128 kBeyondDates = i128(1) << 100;
    // An infinite value is above every finite one, dates beyond the timestamps' range included.
    auto infinite = [&](size_t k, char type) {
        return type == 'd' ? !finite_date(r.int4(k)) : !finite_timestamp(r.int8(k));
    };
    if (infinite(0, A) && a > 0) a = kBeyondDates;
    if (infinite(1, B) && b > 0) b = kBeyondDates;
    return a < b ? -1 : a > b;
}

// Six operators and the comparison function, as "<stem>_eq" or "<left>_eq_<right>".
template <int (*C)(const Row&)> inline void add_comparisons(FunctionTable& table, const char* (&names)[7]) {
    table.emplace(names[0], Function{[](R r, Out out) { out.append_bool(C(r) == 0); }});
    table.emplace(names[1], Function{[](R r, Out out) { out.append_bool(C(r) != 0); }});
    table.emplace(names[2], Function{[](R r, Out out) { out.append_bool(C(r) < 0); }});
    table.emplace(names[3], Function{[](R r, Out out) { out.append_bool(C(r) <= 0); }});
    table.emplace(names[4], Function{[](R r, Out out) { out.append_bool(C(r) > 0); }});
    table.emplace(names[5], Function{[](R r, Out out) { out.append_bool(C(r) >= 0); }});
    table.emplace(names[6], Function{[](R r, Out out) { out.append(int32_t(C(r))); }});
}

inline int compare_intervals(const Row& r) {
    __int128 a = interval_span(r.interval(0)), b = interval_span(r.interval(1));
    return a < b ? -1 : a > b;
}

#define LAMINAR_COMPARISONS(left, right, compare)                                                                       \
    {                                                                                                                   \
        static const char* names[7] = {left "_eq" right, left "_ne" right, left "_lt" right, left "_le" right,          \
                                       left "_gt" right, left "_ge" right, left "_cmp" right};                          \
        add_comparisons<compare>(table, names);                                                                         \
    }

inline int64_t wrap_time(__int128 us) {
    __int128 t = us % kDay;
    return int64_t(t < 0 ? t + kDay : t);
}

inline int32_t add_to_date(int32_t d, int64_t days) {
    if (!finite_date(d)) return d;
    int64_t moved = d + days;
    if (!date_in_range(moved)) date_overflow();
    return int32_t(moved);
}

// OVERLAPS: null bounds count only where they decide.
template <class T> inline void overlaps(const Row& r, ColumnBuilder& out) {
    struct Period { bool start_null, end_null; T start, end; } p[2];
    for (size_t k = 0; k < 2; k++) {
        bool a_null = r.is_null(2 * k), b_null = r.is_null(2 * k + 1);
        T a = a_null ? T() : r.get<T>(2 * k), b = b_null ? T() : r.get<T>(2 * k + 1);
        if (a_null && b_null) return out.append_null();
        if (a_null || (!b_null && a > b)) std::swap(a, b), std::swap(a_null, b_null);
        p[k] = {a_null, b_null, a, b};
    }
    if (p[0].start == p[1].start) {
        if (p[0].end_null || p[1].end_null) return out.append_null();
        return out.append_bool(true);
    }
    int late = p[0].start > p[1].start ? 0 : 1;  // the period that starts later must start before the other ends
    const Period &x = p[late], &y = p[1 - late];
    if (y.end_null) return out.append_null();
    if (x.start < y.end) return out.append_bool(true);
    // Not inside: only an unknown end could still decide, and it cannot make the start earlier.
    if (x.end_null) return out.append_null();
    out.append_bool(false);
}

inline Interval make_interval(const Row& r) {
    double seconds = r.float8(6);
    if (std::isinf(seconds) || std::isnan(seconds)) interval_overflow();
    __int128 months = __int128(r.int4(0)) * 12 + r.int4(1);
    __int128 days = __int128(r.int4(2)) * 7 + r.int4(3);
    __int128 us = __int128(r.int4(4)) * kHour + __int128(r.int4(5)) * kMinute;
    return {int32_t(months), int32_t(days), int64_t(us) + int64_t(std::rint(seconds * 1e6))};
}

inline int64_t zone_to_utc(std::string_view name, int64_t t) {
    if (!finite_timestamp(t)) return t;
    return checked_timestamp(__int128(t) - named_offset(name, t, true));
}

inline void to_char(const Row& r, ColumnBuilder& out, bool zoned) {
    static const LocalType utc;
    int64_t t = r.int8(0);
    if (!finite_timestamp(t) || r.text(1).empty()) return out.append_null();
    const Zone* zone = r.zone();
    const LocalType* type = !zoned ? nullptr : zone ? &zone->at(floor_div(t, kSecond)) : &utc;
    std::string text;
    date_template(r.text(1)).format(type ? t + type->offset * kSecond : t, type, text);
    out.append_bytes(text);
}

inline void interval_to_char(const Row& r, ColumnBuilder& out) {
    if (r.text(1).empty()) return out.append_null();
    std::string text;
    date_template(r.text(1)).format(r.interval(0), text);
    out.append_bytes(text);
}

inline void add_timestamp_functions(FunctionTable& t) {
    t["timestamp_to_char"] = {[](R r, Out o) { to_char(r, o, false); }};
    t["timestamptz_to_char"] = {[](R r, Out o) { to_char(r, o, true); }};
    t["timestamp_pl_interval"] = {[](R r, Out o) { o.append(timestamp_add(r.int8(0), r.interval(1))); }};
    t["timestamp_mi_interval"] = {[](R r, Out o) { o.append(timestamp_sub(r.int8(0), r.interval(1))); }};
    t["timestamptz_pl_interval"] = {[](R r, Out o) {
        o.append(timestamptz_add(r.int8(0), r.interval(1), r.zone()));
    }};
    t["timestamptz_mi_interval"] = {[](R r, Out o) {
        o.append(timestamptz_sub(r.int8(0), r.interval(1), r.zone()));
    }};
    t["interval_pl_timestamp"] = {[](R r, Out o) { o.append(timestamp_add(r.int8(1), r.interval(0))); }};
    t["interval_pl_timestamptz"] = {[](R r, Out o) {
        o.append(timestamptz_add(r.int8(1), r.interval(0), r.zone()));
    }};
    t["timestamp_mi"] = t["timestamptz_mi"] = {[](R r, Out o) { o.append(timestamp_diff(r.int8(0), r.int8(1))); }};
    t["timestamp_trunc"] = {[](R r, Out o) { o.append(timestamp_trunc(r.text(0), r.int8(1))); }};
    t["timestamptz_trunc"] = {[](R r, Out o) { o.append(timestamptz_trunc(r.text(0), r.int8(1), r.zone())); }};
    t["timestamptz_trunc_zone"] = {[](R r, Out o) {
        const Zone* zone = ZoneRegistry::instance().find(r.text(2));
        if (!zone) fail("22023", "time zone \"" + std::string(r.text(2)) + "\" not recognized");
        o.append(timestamptz_trunc(r.text(0), r.int8(1), zone));
    }};
    t["timestamp_bin"] = t["timestamptz_bin"] = {[](R r, Out o) {
        o.append(date_bin(r.interval(0), r.int8(1), r.int8(2)));
    }};
    t["timestamp_age"] = {[](R r, Out o) { o.append(age(r.int8(0), r.int8(1))); }};
    t["timestamptz_age"] = {[](R r, Out o) {
        int64_t a = r.int8(0), b = r.int8(1);
        o.append(age(timestamptz_to_local(a, r.zone()), timestamptz_to_local(b, r.zone())));
    }};
    t["extract_timestamp"] = {[](R r, Out o) {
        put_field(timestamp_field(r.text(0), r.int8(1), nullptr, false), o, true);
    }};
    t["extract_timestamptz"] = {[](R r, Out o) {
        put_field(timestamp_field(r.text(0), r.int8(1), r.zone(), true), o, true);
    }};
    t["timestamp_part"] = {[](R r, Out o) {
        put_field(timestamp_field(r.text(0), r.int8(1), nullptr, false), o, false);
    }};
    t["timestamptz_part"] = {[](R r, Out o) {
        put_field(timestamp_field(r.text(0), r.int8(1), r.zone(), true), o, false);
    }};
    t["timestamp_finite"] = {[](R r, Out o) { o.append_bool(finite_timestamp(r.int8(0))); }};
    t["timestamp_date"] = {[](R r, Out o) { o.append(timestamp_to_date(r.int8(0))); }};
    t["timestamptz_date"] = {[](R r, Out o) {
        o.append(timestamp_to_date(timestamptz_to_local(r.int8(0), r.zone())));
    }};
    t["timestamp_timestamptz"] = {[](R r, Out o) { o.append(timestamp_to_utc(r.int8(0), r.zone())); }};
    t["timestamptz_timestamp"] = {[](R r, Out o) { o.append(timestamptz_to_local(r.int8(0), r.zone())); }};
    t["timestamp_time"] = {[](R r, Out o) {
        int64_t v = r.int8(0);
        finite_timestamp(v) ? o.append(floor_mod(v, kDay)) : o.append_null();
    }};
    t["timestamptz_time"] = {[](R r, Out o) {
        int64_t v = r.int8(0);
        finite_timestamp(v) ? o.append(floor_mod(to_local(r.zone(), v), kDay)) : o.append_null();
    }};
    t["timestamp_zone"] = {[](R r, Out o) { o.append(zone_to_utc(r.text(0), r.int8(1))); }};
    t["timestamptz_zone"] = {[](R r, Out o) {
        int64_t v = r.int8(1);
        o.append(finite_timestamp(v) ? checked_timestamp(__int128(v) + named_offset(r.text(0), v, false)) : v);
    }};
    t["timestamp_izone"] = {[](R r, Out o) {
        int64_t v = r.int8(1);
        o.append(finite_timestamp(v) ? checked_timestamp(__int128(v) - interval_offset(r.interval(0))) : v);
    }};
    t["timestamptz_izone"] = {[](R r, Out o) {
        int64_t v = r.int8(1);
        o.append(finite_timestamp(v) ? checked_timestamp(__int128(v) + interval_offset(r.interval(0))) : v);
    }};
    t["timestamp_scale"] = t["timestamptz_scale"] = {[](R r, Out o) { o.append(round_timestamp(r.int8(0), r.int4(1))); }};
    t["float8_timestamptz"] = {[](R r, Out o) { o.append(timestamp_from_epoch(r.float8(0))); }};
    t["make_timestamp"] = {[](R r, Out o) {
        o.append(make_timestamp(r.int4(0), r.int4(1), r.int4(2), r.int4(3), r.int4(4), r.float8(5)));
    }};
    t["make_timestamptz"] = {[](R r, Out o) {
        o.append(to_utc(r.zone(), make_timestamp(r.int4(0), r.int4(1), r.int4(2), r.int4(3),
                                                        r.int4(4), r.float8(5))));
    }};
    t["make_timestamptz_at_timezone"] = {[](R r, Out o) {
        o.append(zone_to_utc(r.text(6), make_timestamp(r.int4(0), r.int4(1), r.int4(2), r.int4(3),
                                                       r.int4(4), r.float8(5))));
    }};
    t["overlaps_timestamp"] = {overlaps<int64_t>, false};
    t["overlaps_time"] = {overlaps<int64_t>, false};
}

inline void add_date_functions(FunctionTable& t) {
    t["date_pli"] = {[](R r, Out o) { o.append(add_to_date(r.int4(0), r.int4(1))); }};
    t["date_mii"] = {[](R r, Out o) { o.append(add_to_date(r.int4(0), -int64_t(r.int4(1)))); }};
    t["integer_pl_date"] = {[](R r, Out o) { o.append(add_to_date(r.int4(1), r.int4(0))); }};
    t["date_mi"] = {[](R r, Out o) {
        int32_t a = r.int4(0), b = r.int4(1);
        if (!finite_date(a) || !finite_date(b)) fail("22008", "cannot subtract infinite dates");
        o.append(int32_t(a - b));
    }};
    t["date_pl_interval"] = {[](R r, Out o) {
        o.append(timestamp_add(date_to_timestamp(r.int4(0)), r.interval(1)));
    }};
    t["interval_pl_date"] = {[](R r, Out o) {
        o.append(timestamp_add(date_to_timestamp(r.int4(1)), r.interval(0)));
    }};
    t["date_mi_interval"] = {[](R r, Out o) {
        o.append(timestamp_sub(date_to_timestamp(r.int4(0)), r.interval(1)));
    }};
    t["datetime_timestamp"] = {[](R r, Out o) {
        int64_t d = date_to_timestamp(r.int4(0));
        o.append(finite_timestamp(d) ? checked_timestamp(__int128(d) + r.int8(1)) : d);
    }};
    t["timedate_pl"] = {[](R r, Out o) {
        int64_t d = date_to_timestamp(r.int4(1));
        o.append(finite_timestamp(d) ? checked_timestamp(__int128(d) + r.int8(0)) : d);
    }};
    t["date_timestamp"] = {[](R r, Out o) { o.append(date_to_timestamp(r.int4(0))); }};
    t["date_timestamptz"] = {[](R r, Out o) { o.append(date_to_timestamptz(r.int4(0), r.zone())); }};
    t["extract_date"] = {[](R r, Out o) { put_field(date_value_field(r.text(0), r.int4(1)), o, true); }};
    t["date_finite"] = {[](R r, Out o) { o.append_bool(finite_date(r.int4(0))); }};
    t["make_date"] = {[](R r, Out o) {  o.append(make_date(r.int4(0), r.int4(1), r.int4(2))); }};
}

inline void add_time_functions(FunctionTable& t) {
    t["time_pl_interval"] = {[](R r, Out o) { o.append(wrap_time(__int128(r.int8(0)) + r.interval(1).us)); }};
    t["time_mi_interval"] = {[](R r, Out o) { o.append(wrap_time(__int128(r.int8(0)) - r.interval(1).us)); }};
    t["interval_pl_time"] = {[](R r, Out o) { o.append(wrap_time(__int128(r.int8(1)) + r.interval(0).us)); }};
    t["time_mi_time"] = {[](R r, Out o) { o.append(Interval{0, 0, r.int8(0) - r.int8(1)}); }};
    t["time_interval"] = {[](R r, Out o) { o.append(Interval{0, 0, r.int8(0)}); }};
    t["interval_time"] = {[](R r, Out o) { o.append(wrap_time(r.interval(0).us)); }};
    t["extract_time"] = {[](R r, Out o) { put_field(time_value_field(r.text(0), r.int8(1)), o, true); }};
    t["time_part"] = {[](R r, Out o) { put_field(time_value_field(r.text(0), r.int8(1)), o, false); }};
    t["time_scale"] = {[](R r, Out o) { o.append(round_time(r.int8(0), r.int4(1))); }};
    t["make_time"] = {[](R r, Out o) { o.append(make_time(r.int4(0), r.int4(1), r.float8(2))); }};
}

inline void add_interval_functions(FunctionTable& t) {
    t["interval_to_char"] = {interval_to_char};
    t["interval_pl"] = {[](R r, Out o) { o.append(interval_add(r.interval(0), r.interval(1))); }};
    t["interval_mi"] = {[](R r, Out o) { o.append(interval_sub(r.interval(0), r.interval(1))); }};
    t["interval_um"] = {[](R r, Out o) { o.append(interval_negate(r.interval(0))); }};
    t["interval_mul"] = {[](R r, Out o) { o.append(interval_mul(r.interval(0), r.float8(1))); }};
    t["mul_d_interval"] = {[](R r, Out o) { o.append(interval_mul(r.interval(1), r.float8(0))); }};
    t["interval_div"] = {[](R r, Out o) { o.append(interval_div(r.interval(0), r.float8(1))); }};
    t["interval_smaller"] = {[](R r, Out o) { o.append(r.interval(compare_intervals(r) < 0 ? 0 : 1)); }};
    t["interval_larger"] = {[](R r, Out o) { o.append(r.interval(compare_intervals(r) > 0 ? 0 : 1)); }};
    t["interval_justify_hours"] = {[](R r, Out o) { o.append(justify_hours(r.interval(0))); }};
    t["interval_justify_days"] = {[](R r, Out o) { o.append(justify_days(r.interval(0))); }};
    t["interval_justify_interval"] = {[](R r, Out o) { o.append(justify_interval(r.interval(0))); }};
    t["interval_trunc"] = {[](R r, Out o) { o.append(interval_trunc(r.text(0), r.interval(1))); }};
    t["extract_interval"] = {[](R r, Out o) {
        put_field(interval_field_value(r.text(0), r.interval(1)), o, true);
    }};
    t["interval_part"] = {[](R r, Out o) {
        put_field(interval_field_value(r.text(0), r.interval(1)), o, false);
    }};
    t["interval_scale"] = {[](R r, Out o) { o.append(fit_interval(r.interval(0), r.int4(1))); }};
    t["interval_finite"] = {[](R, Out o) { o.append_bool(true); }};
    t["make_interval"] = {[](R r, Out o) { o.append(make_interval(r)); }};
}

inline FunctionTable datetime_table() {
    FunctionTable table;
    add_timestamp_functions(table);
    add_date_functions(table);
    add_time_functions(table);
    add_interval_functions(table);
    LAMINAR_COMPARISONS("interval", "", compare_intervals)
    LAMINAR_COMPARISONS("date", "_timestamp", (compare_moments<'d', 't'>))
    LAMINAR_COMPARISONS("date", "_timestamptz", (compare_moments<'d', 'z'>))
    LAMINAR_COMPARISONS("timestamp", "_date", (compare_moments<'t', 'd'>))
    LAMINAR_COMPARISONS("timestamp", "_timestamptz", (compare_moments<'t', 'z'>))
    LAMINAR_COMPARISONS("timestamptz", "_date", (compare_moments<'z', 'd'>))
    LAMINAR_COMPARISONS("timestamptz", "_timestamp", (compare_moments<'z', 't'>))
    return table;
}

}  // namespace detail

inline const FunctionTable& datetime_functions() {
    static const FunctionTable table = detail::datetime_table();
    return table;
}

}  // namespace laminar
