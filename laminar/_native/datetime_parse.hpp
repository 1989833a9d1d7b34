// Text input of date, time, timestamp and timestamptz in PostgreSQL's grammar (manual, Appendix B.1).
#pragma once

#include <optional>

#include "datetime_tokens.hpp"
#include "interval_parse.hpp"
#include "numeric.hpp"
#include "timezone_abbreviations.hpp"
#include "zones.hpp"

namespace laminar {

class DateTimeReader {
  public:
    enum class Result { Moment, Epoch, Infinity, NegInfinity };

    explicit DateTimeReader(const Settings& s) : set_(s) {}

    // A date with or without a time of day and zone.
    Result read(std::string_view text) {
        run(split_fields(text), false);
        if (result_ != Result::Moment) return result_;
        validate();
        if (noon_ && hour_ > 12) throw InputFault::FieldOverflow;
        apply_noon();
        if ((have_ & kDate) != kDate) throw InputFault::BadFormat;
        days_ = days_from_civil(year_, int(month_), int(day_));
        resolve_zone();
        return result_;
    }

    // A time of day; a date is accepted where a zone's offset depends on it.
    int64_t read_time(std::string_view text) {
        run(split_fields(text), true);
        validate();
        if (noon_ && hour_ > 12) throw InputFault::FieldOverflow;
        apply_noon();
        check_time();
        if ((have_ & kTime) != kTime) throw InputFault::BadFormat;
        bool dated = (have_ & kDate) == kDate;
        if (named_ && !dated && varies(*named_)) throw InputFault::BadFormat;
        return time_of_day();
    }

    int64_t days() const { return days_; }
    int64_t time_of_day() const { return ((hour_ * 60 + minute_) * 60 + second_) * kSecond + micros_; }
    // Seconds east, of the zone written or else of the session's zone at that local time.
    int32_t offset() const { return offset_; }

  private:
    // What has been seen, one bit per kind of field; a second one of a kind is a fault.
    enum : uint32_t {
        kYearBit = 1, kMonthBit = 2, kDayBit = 4, kHourBit = 8, kMinuteBit = 16, kSecondBit = 32, kZoneBit = 64, kDoyBit = 128,
        kDst = 256, kAmPm = 512, kEra = 1024, kWeekday = 2048, kReserved = 4096,
        kDate = kYearBit | kMonthBit | kDayBit, kTime = kHourBit | kMinuteBit | kSecondBit,
    };

    const Settings& set_;
    uint32_t have_ = 0;
    Result result_ = Result::Moment;
    int64_t year_ = 0, month_ = 0, day_ = 0, hour_ = 0, minute_ = 0, second_ = 0, micros_ = 0, day_of_year_ = 0;
    int64_t days_ = 0;
    int32_t offset_ = 0;
    bool two_digits_ = false, text_month_ = false, julian_ = false, bc_ = false, noon_ = false, pm_ = false;
    const Zone* named_ = nullptr;
    std::optional<std::pair<const Zone*, std::string>> abbreviation_;  // one whose meaning depends on the date

    static bool varies(const Zone& z) {
        int64_t when;
        return z.next_transition(INT64_MIN / 2, when);
    }

    void see(uint32_t bits) {
        if (bits & have_) throw InputFault::BadFormat;
        have_ |= bits;
    }

    int64_t now_local() const {
        int64_t offset = set_.zone ? set_.zone->offset_at(floor_div(set_.now, kSecond)) : 0;
        return set_.now + offset * kSecond;
    }

    void set_date(int64_t days) {
        Ymd d = civil_from_days(days);
        year_ = d.year, month_ = d.month, day_ = d.day;
        julian_ = true;  // the year is right as it stands
    }

    void set_time(int64_t us) {
        hour_ = us / kHour, minute_ = us / kMinute % 60, second_ = us / kSecond % 60, micros_ = us % kSecond;
    }

    void run(const std::vector<Token>& tokens, bool time_only) {
        int label = kNone;  // a unit that says what the next number is
        for (size_t i = 0; i < tokens.size(); i++) {
            const Token& t = tokens[i];
            switch (t.field) {
                case Field::Date: date_field(tokens, i, label, time_only); break;
                case Field::Time:
                    if (label && label != kTimeUnit) throw InputFault::BadFormat;
                    label = kNone;
                    see(clock(t.text));
                    check_time();
                    break;
                case Field::Zone:
                    see(kZoneBit);
                    offset_ = zone_offset(t.text);
                    break;
                case Field::Number:
                    if (time_only && (label == kYear || label == kMonth || label == kDayUnit)) throw InputFault::BadFormat;
                    if (label) labelled(label, t.text), label = kNone;
                    else see(time_only ? lone_time_number(tokens, i) : lone_number(t.text));
                    break;
                default: word(t.text, label, time_only);
            }
        }
    }

    // 1999-01-08, 8-Jan-1999; a zone's name or hhmmss-zone when the date is already there.
    void date_field(const std::vector<Token>& tokens, size_t i, int& label, bool time_only) {
        std::string_view s = tokens[i].text;
        if (label == kJulian && !time_only) {
            std::string_view rest = s;
            set_julian(take_int<int32_t>(rest));
            label = kNone;
            see(kDate | kTime | kZoneBit);
            offset_ = zone_offset(rest);
            return;
        }
        bool as_date;
        if (time_only)
            as_date = i == 0 && tokens.size() >= 2 && (tokens.back().field == Field::Date || tokens[1].field == Field::Time);
        else
            as_date = !label && (have_ & (kMonthBit | kDayBit)) != (kMonthBit | kDayBit);
        if (as_date) {
            see(date(s));
            return;
        }
        if (is_digit(s[0]) || label) {
            if (label && label != kTimeUnit) throw InputFault::BadFormat;
            label = kNone;
            size_t dash = s.find('-');
            if ((have_ & kTime) == kTime || dash == std::string_view::npos) throw InputFault::BadFormat;
            offset_ = zone_offset(s.substr(dash));
            see(run_together(s.substr(0, dash), time_only ? have_ | kDate : have_) | kZoneBit);
            return;
        }
        named_ = find_zone(s);
        see(kZoneBit);
    }

    static const Zone* find_zone(std::string_view name) {
        const Zone* z = ZoneRegistry::instance().find(name);
        if (!z) fail("22023", "time zone \"" + std::string(name) + "\" not recognized");
        return z;
    }

    // Numbers and a month's name between punctuation.
    uint32_t date(std::string_view s) {
        std::vector<std::string_view> parts;
        for (size_t i = 0; i < s.size() && parts.size() < 25;) {
            while (i < s.size() && !is_digit(s[i]) && !is_alpha(s[i])) i++;
            if (i == s.size()) throw InputFault::BadFormat;
            size_t from = i;
            bool digits = is_digit(s[i]);
            while (i < s.size() && (digits ? is_digit(s[i]) : is_alpha(s[i]))) i++;
            parts.push_back(s.substr(from, i - from));
            if (i < s.size()) i++;
        }
        uint32_t seen = 0, have = have_;
        bool text_month = false;
        auto add = [&](uint32_t bits) {
            if (have & bits) throw InputFault::BadFormat;
            have |= bits, seen |= bits;
        };
        for (auto& part : parts) {
            if (!is_alpha(part[0])) continue;
            WordMeaning m = find_word(kDateWords, part);
            if (m.kind != Word::Ignore) {
                if (m.kind != Word::Month) throw InputFault::BadFormat;
                month_ = m.value, text_month = true;
                add(kMonthBit);
            }
            part = {};
        }
        for (auto part : parts)
            if (!part.empty()) add(number(part, text_month, have));
        if ((have & ~uint32_t(kDoyBit | kZoneBit)) != kDate) throw InputFault::BadFormat;
        return seen;
    }

    // hh:mm[:ss[.ffffff]] or mm:ss.ffffff
    uint32_t clock(std::string_view s) {
        Clock c = read_clock(s, 0);
        hour_ = c.hour, minute_ = c.minute, second_ = c.second, micros_ = c.micros;
        return kTime;
    }

    void check_time() const {
        if (hour_ < 0 || hour_ > 24 || minute_ < 0 || minute_ > 59 || second_ < 0 || second_ > 60 || micros_ < 0 || micros_ > kSecond ||
            time_of_day() > kDay)
            throw InputFault::FieldOverflow;
    }

    // +hh[:mm[:ss]], +hhmm; seconds east
    static int32_t zone_offset(std::string_view s) {
        if (s.empty() || (s[0] != '+' && s[0] != '-')) throw InputFault::BadFormat;
        bool negative = s[0] == '-';
        std::string_view rest = s.substr(1);
        int64_t h = take_int<int32_t>(rest, InputFault::ZoneOverflow), m = 0, sec = 0;
        if (!rest.empty() && rest[0] == ':') {
            rest.remove_prefix(1);
            m = take_int<int32_t>(rest, InputFault::ZoneOverflow);
            if (!rest.empty() && rest[0] == ':') rest.remove_prefix(1), sec = take_int<int32_t>(rest, InputFault::ZoneOverflow);
        } else if (rest.empty() && s.size() > 3) {
            m = h % 100, h /= 100;
        }
        if (h < 0 || h > 15 || m < 0 || m > 59 || sec < 0 || sec > 59) throw InputFault::ZoneOverflow;
        if (!rest.empty()) throw InputFault::BadFormat;
        int64_t seconds = (h * 60 + m) * 60 + sec;
        return int32_t(negative ? -seconds : seconds);
    }

    void set_julian(int64_t day) {
        if (day < 0) throw InputFault::FieldOverflow;
        set_date(day - kJulianOf1970);
    }

    // A number whose meaning the word before it gave: J2451187, y2001m02d04, T040506
    void labelled(int label, std::string_view s) {
        std::string_view rest = s;
        int64_t value = take_int<int32_t>(rest);
        bool decimal = !rest.empty() && rest[0] == '.';
        if (!rest.empty() && (!decimal || (label != kJulian && label != kTimeUnit && label != kSecondUnit))) throw InputFault::BadFormat;
        switch (label) {
            case kYear: year_ = value, see(kYearBit); return;
            case kMonth:  // after an hour it is a minute
                if ((have_ & kMonthBit) && (have_ & kHourBit)) minute_ = value, see(kMinuteBit);
                else month_ = value, see(kMonthBit);
                return;
            case kDayUnit: day_ = value, see(kDayBit); return;
            case kHourUnit: hour_ = value, see(kHourBit); return;
            case kMinuteUnit: minute_ = value, see(kMinuteBit); return;
            case kSecondUnit:
                second_ = value;
                if (decimal) micros_ = fraction_us(rest);
                see(kSecondBit);
                return;
            case kJulian:
                set_julian(value);
                see(kDate);
                if (decimal) {
                    set_time(int64_t(std::rint(fraction(rest) * double(kDay))));
                    see(kTime);
                }
                return;
            case kTimeUnit: {
                uint32_t bits = run_together(s, have_ | kDate);
                if (bits != kTime) throw InputFault::BadFormat;
                see(bits);
                return;
            }
            default: throw InputFault::BadFormat;
        }
    }

    uint32_t lone_number(std::string_view s) {
        size_t point = s.find('.');
        if (point != std::string_view::npos && !(have_ & kDate)) return date(s);
        if (point != std::string_view::npos && point > 2) return run_together(s, have_);
        if (s.size() >= 6 && (!(have_ & kDate) || !(have_ & kTime))) return run_together(s, have_);
        return number(s, text_month_, have_);
    }

    uint32_t lone_time_number(const std::vector<Token>& tokens, size_t i) {
        std::string_view s = tokens[i].text;
        size_t point = s.find('.');
        if (point != std::string_view::npos) {
            if (i == 0 && tokens.size() >= 2 && tokens.back().field == Field::Date) return date(s);
            if (point <= 2) throw InputFault::BadFormat;
            return run_together(s, have_ | kDate);
        }
        return s.size() > 4 ? run_together(s, have_ | kDate) : number(s, false, have_ | kDate);
    }

    // One number of a date, by its place, its length and DateOrder.
    uint32_t number(std::string_view s, bool text_month, uint32_t have) {
        std::string_view rest = s;
        int64_t value = take_int<int32_t>(rest);
        if (rest.size() == s.size()) throw InputFault::BadFormat;
        if (!rest.empty()) {
            if (rest[0] != '.') throw InputFault::BadFormat;
            if (s.size() - rest.size() > 2) return run_together(s, have | kDate);
            micros_ = fraction_us(rest);
        }
        uint32_t dated = have & kDate;
        if (s.size() == 3 && dated == kYearBit && value >= 1 && value <= 366) {
            day_of_year_ = value;
            return kDoyBit | kMonthBit | kDayBit;
        }
        auto year = [&] { return year_ = value, two_digits_ = s.size() <= 2, uint32_t(kYearBit); };
        auto month = [&] { return month_ = value, uint32_t(kMonthBit); };
        auto day = [&] { return day_ = value, uint32_t(kDayBit); };
        bool ymd = set_.date_order == DateOrder::Ymd;
        switch (dated) {
            case 0: return s.size() >= 3 || ymd ? year() : set_.date_order == DateOrder::Dmy ? day() : month();
            case kYearBit: return month();
            case kMonthBit: return text_month && (s.size() >= 3 || ymd) ? year() : day();
            case kYearBit | kMonthBit:
                if (text_month && s.size() >= 3 && two_digits_) {  // 08-Jan-1999 in YMD order: the first was the day
                    day_ = year_, year_ = value, two_digits_ = false;
                    return kDayBit;
                }
                return day();
            case kDayBit: return month();
            case kMonthBit | kDayBit: return year();
            case kDate: return run_together(s, have);
            default: throw InputFault::BadFormat;
        }
    }

    // yyyymmdd, yymmdd, hhmmss[.f], hhmm
    uint32_t run_together(std::string_view s, uint32_t have) {
        auto digits = [&](size_t from, size_t n) {
            std::string_view part = s.substr(from, n);
            return take_int<int32_t>(part);
        };
        size_t point = s.find('.');
        if (point != std::string_view::npos) {
            micros_ = fraction_us(s.substr(point));
            s = s.substr(0, point);
        } else if ((have & kDate) != kDate && s.size() >= 6) {
            day_ = digits(s.size() - 2, 2), month_ = digits(s.size() - 4, 2), year_ = digits(0, s.size() - 4);
            two_digits_ = s.size() == 6;
            return kDate;
        }
        if ((have & kTime) != kTime && (s.size() == 6 || s.size() == 4)) {
            hour_ = digits(0, 2), minute_ = digits(2, 2), second_ = s.size() == 6 ? digits(4, 2) : 0;
            return kTime;
        }
        throw InputFault::BadFormat;
    }

    void word(const std::string& s, int& label, bool time_only) {
        if (const Abbreviation* a = find_abbreviation(s)) {
            see(kZoneBit);
            if (a->zone) abbreviation_.emplace(find_zone(a->zone), s);
            else offset_ = a->offset;
            return;
        }
        WordMeaning m = find_word(kDateWords, s);
        bool date_word = m.kind == Word::Month || m.kind == Word::Weekday || m.kind == Word::Today || m.kind == Word::Yesterday ||
                         m.kind == Word::Tomorrow || m.kind == Word::Epoch || m.kind == Word::Infinity || m.kind == Word::NegInfinity;
        if (time_only && date_word) throw InputFault::BadFormat;
        switch (m.kind) {
            case Word::Ignore: return;
            case Word::Now:
                see(time_only ? uint32_t(kTime) : uint32_t(kDate | kTime | kZoneBit));
                if (!time_only) set_date(floor_div(now_local(), kDay));
                set_time(floor_mod(now_local(), kDay));
                offset_ = int32_t((now_local() - set_.now) / kSecond);
                return;
            case Word::Today: see(kDate), set_date(floor_div(now_local(), kDay)); return;
            case Word::Yesterday: see(kDate), set_date(floor_div(now_local(), kDay) - 1); return;
            case Word::Tomorrow: see(kDate), set_date(floor_div(now_local(), kDay) + 1); return;
            case Word::Allballs: see(kTime | kZoneBit), set_time(0); return;
            case Word::Epoch: see(kReserved), result_ = Result::Epoch; return;
            case Word::Infinity: see(kReserved), result_ = Result::Infinity; return;
            case Word::NegInfinity: see(kReserved), result_ = Result::NegInfinity; return;
            case Word::Month:
                if ((have_ & kMonthBit) && !text_month_ && !(have_ & kDayBit) && month_ >= 1 && month_ <= 31)
                    day_ = month_, see(kDayBit);  // what was taken for a month is the day
                else
                    see(kMonthBit);
                text_month_ = true, month_ = m.value;
                return;
            case Word::Weekday: see(kWeekday); return;
            case Word::Dst: see(kDst), offset_ += m.value; return;
            case Word::AmPm: see(kAmPm), noon_ = true, pm_ = m.value; return;
            case Word::Era: see(kEra), bc_ = m.value; return;
            case Word::IsoTime:
                if (!time_only && (have_ & kDate) != kDate) throw InputFault::BadFormat;
                [[fallthrough]];
            case Word::Unit:
                if (label) throw InputFault::BadFormat;
                label = m.value;
                return;
            default: break;
        }
        named_ = ZoneRegistry::instance().find(s);
        if (!named_) throw InputFault::BadFormat;
        see(kZoneBit);
    }

    void validate() {
        if (have_ & kYearBit) {
            if (julian_) {
            } else if (bc_) {
                if (year_ <= 0) throw InputFault::FieldOverflow;
                year_ = 1 - year_;
            } else if (two_digits_) {
                if (year_ < 0) throw InputFault::FieldOverflow;
                year_ += year_ < 70 ? 2000 : year_ < 100 ? 1900 : 0;
            } else if (year_ <= 0) {
                throw InputFault::FieldOverflow;
            }
        }
        if (have_ & kDoyBit) {
            Ymd d = civil_from_days(days_from_civil(year_, 1, 1) + day_of_year_ - 1);
            year_ = d.year, month_ = d.month, day_ = d.day;
        }
        if ((have_ & kMonthBit) && (month_ < 1 || month_ > 12)) throw InputFault::MonthDayOverflow;
        if ((have_ & kDayBit) && (day_ < 1 || day_ > 31)) throw InputFault::MonthDayOverflow;
        if ((have_ & kDate) == kDate && day_ > days_in_month(year_, int(month_))) throw InputFault::FieldOverflow;
    }

    void apply_noon() {
        if (noon_ && !pm_ && hour_ == 12) hour_ = 0;
        else if (noon_ && pm_ && hour_ != 12) hour_ += 12;
    }

    void resolve_zone() {
        int64_t local = days_ * 86400 + time_of_day() / kSecond;
        const Zone* zone = named_ ? named_ : !(have_ & kZoneBit) ? set_.zone : nullptr;
        bool whole_zone = named_ || abbreviation_ || !(have_ & kZoneBit);
        if (whole_zone && (have_ & kDst)) throw InputFault::BadFormat;
        if (abbreviation_) {
            const Zone& z = *abbreviation_->first;
            LocalType type;
            offset_ = z.at_local(local).offset;
            if (z.abbreviation(abbreviation_->second, local - offset_, type)) offset_ = type.offset;
        } else if (whole_zone) {
            offset_ = zone ? zone->at_local(local).offset : 0;
        }
    }
};

namespace detail {

// yyyy-mm-dd[ hh:mm:ss[.f{1,6}]] by position; false when the text is anything else (no judgement on it).
inline bool iso_timestamp(std::string_view s, int64_t& days, int64_t& time) {
    auto two = [&](size_t i) { return (s[i] - '0') * 10 + (s[i + 1] - '0'); };
    auto digits = [&](size_t i, size_t n) {
        for (size_t k = i; k < i + n; k++)
            if (!is_digit(s[k])) return false;
        return true;
    };
    if (s.size() < 10 || !digits(0, 4) || s[4] != '-' || !digits(5, 2) || s[7] != '-' || !digits(8, 2)) return false;
    int64_t year = two(0) * 100 + two(2);
    int month = two(5), day = two(8);
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month)) return false;
    days = days_from_civil(year, month, day), time = 0;
    if (s.size() == 10) return true;
    if (s.size() < 19 || s.size() > 26 || (s[10] != ' ' && s[10] != 'T') || !digits(11, 2) || s[13] != ':' || !digits(14, 2) ||
        s[16] != ':' || !digits(17, 2))
        return false;
    int hour = two(11), minute = two(14), second = two(17);
    if (hour > 23 || minute > 59 || second > 59) return false;
    int64_t micros = 0;
    if (s.size() > 19) {
        size_t n = s.size() - 20;
        if (s[19] != '.' || n == 0 || !digits(20, n)) return false;
        for (size_t k = 20; k < 26; k++) micros = micros * 10 + (k < s.size() ? s[k] - '0' : 0);
    }
    time = ((hour * 60 + minute) * 60 + second) * kSecond + micros;
    return true;
}

// Runs a reader; its faults become PgErrors that quote the whole text.
template <class F> inline auto reading(std::string_view text, const char* type, F f) {
    try {
        return f();
    } catch (InputFault fault) {
        raise_input_error(fault, text, type);
    }
}

}  // namespace detail

// Days since 1970, or an infinity.
inline int32_t parse_date(std::string_view text, const Settings& s) {
    int64_t days, time;
    if (text.size() == 10 && detail::iso_timestamp(text, days, time)) return int32_t(days);
    DateTimeReader reader(s);
    switch (detail::reading(text, "date", [&] { return reader.read(text); })) {
        case DateTimeReader::Result::Epoch: return 0;
        case DateTimeReader::Result::Infinity: return kDateInf;
        case DateTimeReader::Result::NegInfinity: return kDateNegInf;
        default: break;
    }
    if (!date_in_range(reader.days())) fail("22008", "date out of range: \"" + std::string(text) + "\"");
    return int32_t(reader.days());
}

// Microseconds since midnight, up to and including 24:00:00.
inline int64_t parse_time(std::string_view text, const Settings& s) {
    DateTimeReader reader(s);
    return detail::reading(text, "time", [&] { return reader.read_time(text); });
}

namespace detail {

inline int64_t parse_moment(std::string_view text, const Settings& s, bool with_zone) {
    DateTimeReader reader(s);
    switch (reading(text, with_zone ? "timestamp with time zone" : "timestamp", [&] { return reader.read(text); })) {
        case DateTimeReader::Result::Epoch: return 0;
        case DateTimeReader::Result::Infinity: return kTimestampInf;
        case DateTimeReader::Result::NegInfinity: return kTimestampNegInf;
        default: break;
    }
    int64_t us = 0, time = reader.time_of_day() - (with_zone ? reader.offset() * kSecond : 0);
    if (__builtin_mul_overflow(reader.days(), kDay, &us) || __builtin_add_overflow(us, time, &us) || !timestamp_in_range(us)) fail("22008", "timestamp out of range: \"" + std::string(text) + "\"");
    return us;
}

}  // namespace detail

// Microseconds since 1970, or an infinity. A zone in the text is read and ignored.
inline int64_t parse_timestamp(std::string_view text, const Settings& s) {
    int64_t days, time;
    if (detail::iso_timestamp(text, days, time)) return days * kDay + time;
    return detail::parse_moment(text, s, false);
}

// Microseconds since 1970 UTC, or an infinity.
inline int64_t parse_timestamptz(std::string_view text, const Settings& s) {
    int64_t days, time;
    if (detail::iso_timestamp(text, days, time)) {
        int64_t local = days * kDay + time;
        return s.zone ? local - int64_t(s.zone->at_local(floor_div(local, kSecond)).offset) * kSecond : local;
    }
    return detail::parse_moment(text, s, true);
}

// --- time(p), timestamp(p) --------------------------------------------------------------------

// Half away from zero; `precision` digits of a second, negative for all six.
inline int64_t round_us(int64_t us, int32_t precision) {
    if (precision < 0 || precision >= 6) return us;
    int64_t unit = int64_t(kPow10[size_t(6 - precision)]);
    return us >= 0 ? (us + unit / 2) / unit * unit : -((unit / 2 - us) / unit * unit);
}

inline int64_t round_time(int64_t us, int32_t precision) { return round_us(us, precision); }

// PostgreSQL rounds away from its own epoch, 2000-01-01.
inline int64_t round_timestamp(int64_t us, int32_t precision) {
    return finite_timestamp(us) && precision >= 0 ? round_us(us - kPgEpoch, precision) + kPgEpoch : us;
}

}  // namespace laminar
