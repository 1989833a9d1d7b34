// Time zones: transitions of a TZif file (RFC 8536), continued by its POSIX rule, searched in both directions.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "calendar.hpp"
#include "scalar_io.hpp"

namespace laminar {

// Local time in a stretch of time; offset in seconds east of Greenwich.
struct LocalType { int32_t offset = 0; bool dst = false; std::string abbreviation = "UTC"; };

// A POSIX TZ rule such as CET-1CEST,M3.5.0,M10.5.0/3 (IEEE 1003.1, 8.3).
class PosixRule {
  public:
    // Returns false when the text is not a rule.
    bool parse(std::string_view s) {
        at_ = s;
        if (!name(standard.abbreviation) || !offset(standard.offset)) return false;
        standard.offset = -standard.offset;
        if (at_.empty()) return true;
        if (!name(summer.abbreviation) || summer.abbreviation.empty()) return false;
        has_summer = summer.dst = true;
        summer.offset = standard.offset + 3600;
        if (!at_.empty() && at_[0] != ',') {
            if (!offset(summer.offset)) return false;
            summer.offset = -summer.offset;
        }
        if (at_.empty()) at_ = ",M3.2.0,M11.1.0";
        return change(start_) && change(end_) && at_.empty();
    }

    LocalType standard, summer;
    bool has_summer = false;

    // UTC seconds at which summer time starts and ends in a year.
    int64_t starts(int64_t year) const { return start_.when(year) - standard.offset; }
    int64_t ends(int64_t year) const { return end_.when(year) - summer.offset; }

  private:
    struct Change {
        enum { Julian, ZeroBased, Month } kind = Month;
        int month = 0, week = 0, day = 0, time = 7200;
        int64_t when(int64_t year) const {  // local seconds since 1970
            int64_t days = days_from_civil(year, 1, 1);
            if (kind == ZeroBased) {
                days += day;
            } else if (kind == Julian) {
                days += day - 1 + (day >= 60 && leap_year(year) ? 1 : 0);
            } else {
                int64_t first = days_from_civil(year, month, 1);
                days = first + floor_mod(day - day_of_week(first), 7) + (week - 1) * 7;
                if (days >= first + days_in_month(year, month)) days -= 7;
            }
            return days * 86400 + time;
        }
    };
    Change start_, end_;
    std::string_view at_;

    bool eat(char c) {
        if (at_.empty() || at_[0] != c) return false;
        at_.remove_prefix(1);
        return true;
    }
    bool number(int& n) {
        if (at_.empty() || !is_digit(at_[0])) return false;
        for (n = 0; !at_.empty() && is_digit(at_[0]) && n < 100000; at_.remove_prefix(1)) n = n * 10 + (at_[0] - '0');
        return true;
    }
    bool name(std::string& out) {
        size_t n = 0;
        if (eat('<')) {
            n = at_.find('>');
            if (n == std::string_view::npos) return false;
            out.assign(at_.substr(0, n));
            at_.remove_prefix(n + 1);
            return !out.empty();
        }
        while (n < at_.size() && is_alpha(at_[n])) n++;
        out.assign(at_.substr(0, n));
        at_.remove_prefix(n);
        return true;  // POSIX wants three letters, PostgreSQL takes any number: '+05:30' is a rule too
    }
    bool offset(int32_t& seconds) {
        bool negative = eat('-');
        if (!negative) eat('+');
        int h = 0, m = 0, s = 0;
        if (!number(h) || h > 167) return false;
        if (eat(':') && (!number(m) || (eat(':') && !number(s)))) return false;
        seconds = (h * 60 + m) * 60 + s;
        if (negative) seconds = -seconds;
        return true;
    }
    bool change(Change& c) {
        if (!eat(',')) return false;
        if (eat('M')) {
            if (!number(c.month) || !eat('.') || !number(c.week) || !eat('.') || !number(c.day)) return false;
            if (c.month < 1 || c.month > 12 || c.week < 1 || c.week > 5 || c.day > 6) return false;
        } else {
            c.kind = eat('J') ? Change::Julian : Change::ZeroBased;
            if (!number(c.day)) return false;
        }
        return !eat('/') || offset(c.time);
    }
};

class Zone {
  public:
    std::string name;

    static Zone fixed(std::string name, int32_t offset, std::string abbreviation) {
        Zone z;
        z.name = std::move(name);
        z.types_.push_back({offset, false, std::move(abbreviation)});
        return z;
    }

    // From a POSIX rule; XX001 is not possible here, the caller reports false as an unknown zone.
    static bool posix(std::string name, std::string_view rule, Zone& out) {
        out = Zone();
        out.name = std::move(name);
        if (!out.rule_.parse(rule)) return false;
        out.ruled_ = true;
        out.types_.push_back(out.rule_.standard);
        return true;
    }

    // From the bytes of a TZif file, version 2 or later. XX001 when they are malformed.
    static Zone tzif(std::string name, std::string_view b) {
        Zone z;
        z.name = std::move(name);
        auto corrupt = [&] { fail("XX001", "invalid time zone data for \"" + z.name + "\""); };
        size_t at = 0;
        uint32_t count[6];
        for (int block = 0; block < 2; block++) {
            if (b.size() < at + 44 || b.substr(at, 4) != "TZif" || b[at + 4] < '2') corrupt();
            for (size_t i = 0; i < 6; i++) count[i] = get_be<uint32_t>(b.data() + at + 20 + 4 * i);
            for (uint32_t c : count)
                if (c > 100000) corrupt();
            at += 44;
            if (block == 0) at += count[3] * 5 + count[4] * 6 + count[5] + count[2] * 8 + count[1] + count[0];
        }
        auto [utc_flags, std_flags, leaps, times, types, chars] = count;
        size_t body = size_t(times) * 9 + size_t(types) * 6 + chars + size_t(leaps) * 12 + std_flags + utc_flags;
        if (types == 0 || b.size() < at + body) corrupt();
        const char* p = b.data() + at;
        const char* names = p + times * 9 + types * 6;
        for (uint32_t i = 0; i < types; i++) {
            const char* t = p + times * 9 + i * 6;
            uint8_t index = uint8_t(t[5]);
            if (index >= chars) corrupt();
            std::string_view rest(names + index, chars - index);
            z.types_.push_back({get_be<int32_t>(t), t[4] != 0, std::string(rest.substr(0, rest.find('\0')))});
        }
        for (uint32_t i = 0; i < times; i++) {
            uint8_t type = uint8_t(p[times * 8 + i]);
            if (type >= types) corrupt();
            z.times_.push_back(get_be<int64_t>(p + i * 8));
            z.indexes_.push_back(type);
        }
        std::string_view footer = b.substr(at + body);
        if (footer.size() > 2 && footer.front() == '\n' && footer.back() == '\n')
            z.ruled_ = z.rule_.parse(footer.substr(1, footer.size() - 2));
        return z;
    }

    // Local time type in force at `t`, seconds since 1970 UTC.
    const LocalType& at(int64_t t) const {
        if (times_.empty() || t >= times_.back()) {
            if (ruled_) return by_rule(t);
            return times_.empty() ? types_[0] : types_[indexes_.back()];
        }
        auto it = std::upper_bound(times_.begin(), times_.end(), t);
        return it == times_.begin() ? types_[0] : types_[indexes_[size_t(it - times_.begin()) - 1]];
    }

    int32_t offset_at(int64_t t) const { return at(t).offset; }

    // The local time type of a wall-clock time (seconds since 1970 as if UTC). As PostgreSQL chooses: in a
    // gap the offset before it, in an overlap the one after it.
    const LocalType& at_local(int64_t local) const {
        int64_t boundary;
        const LocalType& before = at(local - 86400);
        if (!next_transition(local - 86400, boundary)) return before;
        const LocalType& after = at(boundary);
        if (boundary > local + 86400) return before;
        int64_t t_before = local - before.offset, t_after = local - after.offset;
        if (t_before < boundary && t_after < boundary) return before;
        if (t_before >= boundary && t_after >= boundary) {
            // A second change may follow within the two days that were looked at.
            int64_t later;
            if (next_transition(boundary, later) && t_after >= later) return at(t_after);
            return after;
        }
        return t_before > t_after ? before : after;
    }

    // The first change after `t`; false when there is none.
    bool next_transition(int64_t t, int64_t& when) const {
        auto it = std::upper_bound(times_.begin(), times_.end(), t);
        if (it != times_.end()) {
            when = *it;
            return true;
        }
        if (!ruled_ || !rule_.has_summer) return false;
        int64_t year = civil_from_days(floor_div(t, 86400)).year;
        for (int64_t y = year - 1; y <= year + 1; y++) {
            int64_t a = rule_.starts(y), b = rule_.ends(y);
            if (a > b) std::swap(a, b);
            for (int64_t candidate : {a, b})
                if (candidate > t) {
                    when = candidate;
                    return true;
                }
        }
        return false;
    }

    // The most recent meaning of an abbreviation in this zone before `t`; false when it never had it.
    bool abbreviation(std::string_view lowercase, int64_t t, LocalType& out) const {
        auto matches = [&](const LocalType& type) { return equals_ci(type.abbreviation, lowercase); };
        if (matches(at(t))) return out = at(t), true;
        if (ruled_ && rule_.has_summer) {
            if (matches(rule_.standard)) return out = rule_.standard, true;
            if (matches(rule_.summer)) return out = rule_.summer, true;
        }
        for (size_t i = times_.size(); i-- > 0;)
            if (times_[i] <= t && matches(types_[indexes_[i]])) return out = types_[indexes_[i]], true;
        for (size_t i = 0; i < times_.size(); i++)
            if (matches(types_[indexes_[i]])) return out = types_[indexes_[i]], true;
        return false;
    }

  private:
    std::vector<int64_t> times_;
    std::vector<uint8_t> indexes_;
    std::vector<LocalType> types_;
    PosixRule rule_;
    bool ruled_ = false;

    const LocalType& by_rule(int64_t t) const {
        if (!rule_.has_summer) return rule_.standard;
        int64_t year = civil_from_days(floor_div(t + rule_.standard.offset, 86400)).year;
        int64_t start = rule_.starts(year), end = rule_.ends(year);
        bool summer = start < end ? t >= start && t < end : t >= start || t < end;
        return summer ? rule_.summer : rule_.standard;
    }
};

}  // namespace laminar
