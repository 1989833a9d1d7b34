// The state of one session window: see sessions.pyi for what it computes.
//
// Per key, sessions in no order; per session, its rows by time. An epoch's rows wait until the barrier,
// where each key takes them in the order of their watermarks, those of one watermark at the same moment.
// So what is late and what merges does not depend on where epochs end. A session that a row's watermark
// has passed is frozen to that row: it neither joins nor changes it, even while its state is still here.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "columns.hpp"

namespace laminar::engine {

struct SessionConfig {
    int64_t gap = 0;
    int64_t lateness = INT64_MIN;  // INT64_MIN: nothing is ever late
    bool closes = false;           // rows go out once, when their session closes
    bool keeps_late = false;       // late rows are kept until take_late
};

class SessionState {
  public:
    explicit SessionState(SessionConfig config) : config_(config) {}

    uint64_t late = 0;

    // Columns: key (bytes), time, row (bytes), and the row's watermark unless ``marks`` is false.
    void process(const Batch& b, const int64_t* weights, bool marks) {
        for (int64_t i = 0; i < b.rows; ++i) {
            Key& key = key_of(bytes(b.columns[0], i));
            const int64_t mark = marks ? b.columns[3].load<int64_t>(i) : watermark_;
            if (key.events.empty()) touched_.push_back(&key);
            key.events.push_back({mark, b.columns[1].load<int64_t>(i), std::string(bytes(b.columns[2], i)), weights ? weights[i] : 1});
        }
    }

    // Ends the epoch. Output columns: row, start, end, weight.
    int64_t barrier(int64_t watermark, BatchBuilder& out) {
        if (watermark > watermark_) {
            watermark_ = watermark;
            watermark_changed_ = true;
        }
        rows_ = 0;
        for (Key* key : touched_) {
            settle(*key);
            show(*key, out);
            changed_.insert(key->name);
            enlist(*key);  // which may forget it
        }
        touched_.clear();
        if (judges()) close(out);
        return rows_;
    }

    // The rows that were late since the last time; columns as above: row, time, the watermark found, weight.
    int64_t take_late(BatchBuilder& out) {
        rows_ = 0;
        for (const Event& e : left_out_) put(out, e.row, e.time, e.mark, e.weight);
        left_out_.clear();
        return rows_;
    }

    size_t entries() const { return entries_; }
    size_t bytes_held() const { return bytes_ + keys_.size() * 200 + entries_ * 120; }

    // Entries changed since the last checkpoint, a few megabytes at a time; false when there are none left.
    bool checkpoint(BatchBuilder& out) {
        size_t size = 0;
        std::string value;
        if (watermark_changed_) {
            out.columns[0].var("w", 1);
            out.columns[1].var(&watermark_, 8);
            watermark_changed_ = false;
        }
        while (!changed_.empty() && size < size_t(4) << 20) {
            const std::string name = *changed_.begin();
            changed_.erase(changed_.begin());
            const auto found = keys_.find(name);
            out.columns[0].var(("k" + name).data(), name.size() + 1);
            if (found == keys_.end()) {
                out.columns[1].null();
            } else {
                store(*found->second, value);
                out.columns[1].var(value.data(), value.size());
            }
            size += name.size() + value.size() + 16;
        }
        return out.columns[0].length() > 0;
    }

    void restore(const Batch& b) {
        if (b.columns.size() != 2) damaged();
        for (int64_t i = 0; i < b.rows; ++i) {
            const std::string_view name = bytes(b.columns[0], i);
            if (name.empty()) damaged();
            const bool gone = b.columns[1].is_null(i);
            if (name[0] == 'w') {
                if (gone || bytes(b.columns[1], i).size() != 8) damaged();
                std::memcpy(&watermark_, bytes(b.columns[1], i).data(), 8);
                continue;
            }
            forget(std::string(name.substr(1)));
            if (!gone) load(key_of(name.substr(1)), bytes(b.columns[1], i));
        }
    }

  private:
    struct Event {
        int64_t mark, time;
        std::string row;
        int64_t weight;
    };
    // A row's weight, and as what it went out.
    struct Entry {
        int64_t weight = 0, shown = 0, start = 0, end = 0;
    };
    using Rows = std::map<std::pair<int64_t, std::string>, Entry>;
    struct Session {
        int64_t start, last;
        bool dirty = true;
        Rows rows;
    };
    struct Key {
        std::string name;
        std::vector<Session> sessions;
        std::vector<Event> events;
        bool enlisted = false;
        int64_t first_end = 0;  // of the session that ends first, as it stands in ends_
    };

    [[noreturn]] static void damaged() { fail("XX001", "state of a session window is damaged"); }
    static std::string_view bytes(const Column& c, int64_t i) {
        return {reinterpret_cast<const char*>(c.data) + c.offsets[i], size_t(c.offsets[i + 1] - c.offsets[i])};
    }
    static int64_t plus(int64_t a, int64_t b) {  // infinities stay
        if (a == INT64_MIN || a == INT64_MAX) return a;
        int64_t r;
        return __builtin_add_overflow(a, b, &r) ? INT64_MAX : r;
    }
    bool near(int64_t earlier, int64_t later) const { return __int128(later) - earlier < config_.gap; }
    bool judges() const { return config_.lateness != INT64_MIN; }
    // The watermark from which on a session that ends with a row at ``last`` is frozen.
    int64_t frozen_at(int64_t last) const { return plus(plus(last, config_.gap), config_.lateness); }
    bool frozen(int64_t last, int64_t mark) const { return judges() && mark >= frozen_at(last); }
    bool reaches(const Session& s, int64_t t) const {
        return t < s.start ? near(t, s.start) : t <= s.last || near(s.last, t);
    }

    Key& key_of(std::string_view name) {
        auto& held = keys_[std::string(name)];
        if (!held) {
            held = std::make_unique<Key>();
            held->name = name;
        }
        return *held;
    }

    // --- an epoch's rows of a key ---

    void settle(Key& key) {
        std::vector<Event> events = std::move(key.events);
        key.events.clear();
        if (!judges())
            for (Event& e : events) e.mark = INT64_MIN;
        std::sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
            return std::tie(a.mark, a.time, a.row) < std::tie(b.mark, b.time, b.row);
        });
        for (size_t from = 0; from < events.size();) {
            size_t to = from;
            while (to < events.size() && events[to].mark == events[from].mark) ++to;
            moment(key, events, from, to);
            from = to;
        }
    }

    // Rows that found the same watermark: those that are on time, late ones that still reach a session
    // (perhaps through each other), then deletions.
    void moment(Key& key, std::vector<Event>& events, size_t from, size_t to) {
        const int64_t mark = events[from].mark;
        std::vector<Event*> waiting, gone;
        for (size_t i = from; i < to; ++i) {
            Event& e = events[i];
            if (i + 1 < to && events[i + 1].time == e.time && events[i + 1].row == e.row) {
                events[i + 1].weight += e.weight;
            } else if (e.weight < 0) {
                gone.push_back(&e);
            } else if (e.weight > 0 && frozen(e.time, mark)) {
                waiting.push_back(&e);
            } else if (e.weight > 0) {
                add(key, e, mark);
            }
        }
        for (bool again = true; again;) {
            again = false;
            for (Event*& e : waiting) {
                if (!e || !std::any_of(key.sessions.begin(), key.sessions.end(), [&](const Session& s) { return !frozen(s.last, mark) && reaches(s, e->time); }))
                    continue;
                add(key, *e, mark);
                e = nullptr;
                again = true;
            }
        }
        for (const Event* e : waiting)
            if (e) leave_out(*e, e->weight);
        bool removed = false;
        for (const Event* e : gone) removed |= remove(key, *e, mark);
        if (removed) split(key);
    }

    void leave_out(const Event& e, int64_t weight) {
        late += uint64_t(weight < 0 ? -weight : weight);
        if (config_.keeps_late) left_out_.push_back({e.mark, e.time, e.row, weight});
    }

    void add(Key& key, const Event& e, int64_t mark) {
        size_t into = key.sessions.size();
        for (size_t i = 0; i < key.sessions.size();) {
            Session& s = key.sessions[i];
            if (frozen(s.last, mark) || !reaches(s, e.time)) {
                ++i;
            } else if (into == key.sessions.size()) {
                into = i++;
            } else {
                merge(key.sessions[into], s);
                key.sessions.erase(key.sessions.begin() + ptrdiff_t(i));
            }
        }
        if (into == key.sessions.size()) key.sessions.push_back({e.time, e.time, true, {}});
        Session& s = key.sessions[into];
        s.start = std::min(s.start, e.time);
        s.last = std::max(s.last, e.time);
        s.dirty = true;
        auto [at, created] = s.rows.try_emplace({e.time, e.row});
        at->second.weight += e.weight;
        if (created) ++entries_, bytes_ += e.row.size();
    }
    void merge(Session& into, Session& from) {
        into.start = std::min(into.start, from.start);
        into.last = std::max(into.last, from.last);
        into.rows.merge(from.rows);
        for (auto& [at, entry] : from.rows) {  // the same row in both
            into.rows[at].weight += entry.weight;
            forget(at, entry);
        }
    }
    // Whether a session has lost a row.
    bool remove(Key& key, const Event& e, int64_t mark) {
        int64_t left = -e.weight;
        bool removed = false;
        for (Session& s : key.sessions) {
            if (frozen(s.last, mark)) continue;
            const auto found = s.rows.find({e.time, e.row});
            if (found == s.rows.end()) continue;
            const int64_t taken = std::min(left, found->second.weight);
            found->second.weight -= taken;
            left -= taken;
            s.dirty = true;
            removed |= found->second.weight == 0;
        }
        if (left) leave_out(e, -left);
        return removed;
    }
    // Cut sessions where rows that are gone had held them together.
    void split(Key& key) {
        std::vector<Session> found;
        for (Session& s : key.sessions) {
            if (!s.dirty) {
                found.push_back(std::move(s));
                continue;
            }
            bool open = false;
            while (!s.rows.empty()) {
                auto row = s.rows.extract(s.rows.begin());
                const int64_t time = row.key().first;
                if (!row.mapped().weight) {
                    forget(row.key(), row.mapped());
                    continue;
                }
                if (!open || !near(found.back().last, time)) found.push_back({time, time, true, {}});
                open = true;
                found.back().last = time;
                found.back().rows.insert(found.back().rows.end(), std::move(row));
            }
        }
        key.sessions = std::move(found);
    }
    void forget(const Rows::key_type& at, const Entry& entry) {
        --entries_, bytes_ -= at.second.size();
        if (entry.shown) gone_.emplace_back(at.second, entry);
    }

    // --- what goes out ---

    void put(BatchBuilder& out, const std::string& row, int64_t start, int64_t end, int64_t weight) {
        out.columns[0].var(row.data(), row.size());
        out.columns[1].fixed(&start);
        out.columns[2].fixed(&end);
        out.columns[3].fixed(&weight);
        ++rows_;
    }
    void show(Key& key, BatchBuilder& out) {
        for (const auto& [row, entry] : gone_) put(out, row, entry.start, entry.end, -entry.shown);
        gone_.clear();
        if (config_.closes) return;
        for (Session& s : key.sessions) {
            if (!s.dirty) continue;
            const int64_t end = plus(s.last, config_.gap);
            for (auto& [at, e] : s.rows) {
                const bool same = e.start == s.start && e.end == end;
                if (e.shown && !same) put(out, at.second, e.start, e.end, -e.shown), e.shown = 0;
                if (e.weight != e.shown) put(out, at.second, s.start, end, e.weight - e.shown);
                e = {e.weight, e.weight, s.start, end};
            }
            s.dirty = false;
        }
    }

    // --- sessions that are over ---

    // Keep a key's place in the order of ends, or forget a key that has no sessions.
    void enlist(Key& key) {
        if (key.enlisted) ends_.erase({key.first_end, key.name}), key.enlisted = false;
        if (key.sessions.empty()) {
            if (key.events.empty()) keys_.erase(std::string(key.name));
            return;
        }
        if (!judges()) return;
        key.first_end = INT64_MAX;
        for (const Session& s : key.sessions) key.first_end = std::min(key.first_end, frozen_at(s.last));
        ends_.insert({key.first_end, key.name});
        key.enlisted = true;
    }
    void close(BatchBuilder& out) {
        while (!ends_.empty() && ends_.begin()->first <= watermark_) {
            Key& key = *keys_.at(ends_.begin()->second);
            changed_.insert(key.name);
            for (size_t i = 0; i < key.sessions.size();) {
                Session& s = key.sessions[i];
                if (frozen_at(s.last) > watermark_) {
                    ++i;
                    continue;
                }
                for (auto& [at, e] : s.rows) {
                    if (config_.closes) put(out, at.second, s.start, plus(s.last, config_.gap), e.weight);
                    --entries_, bytes_ -= at.second.size();
                }
                key.sessions.erase(key.sessions.begin() + ptrdiff_t(i));
            }
            enlist(key);
        }
    }

    // --- checkpoints: a key's sessions, each its number of rows and those as (time, weight, size, bytes) ---

    static void append(std::string& out, const void* p, size_t n) { out.append(static_cast<const char*>(p), n); }
    static void store(const Key& key, std::string& out) {
        out.clear();
        for (const Session& s : key.sessions) {
            const uint64_t n = s.rows.size();
            append(out, &n, 8);
            for (const auto& [at, e] : s.rows) {
                const uint64_t size = at.second.size();
                append(out, &at.first, 8);
                append(out, &e.weight, 8);
                append(out, &size, 8);
                out += at.second;
            }
        }
    }
    void load(Key& key, std::string_view in) {
        auto number = [&] {
            if (in.size() < 8) damaged();
            int64_t v;
            std::memcpy(&v, in.data(), 8);
            in.remove_prefix(8);
            return v;
        };
        while (!in.empty()) {
            Session s{INT64_MAX, INT64_MIN, false, {}};
            for (uint64_t n = uint64_t(number()); n; --n) {
                const int64_t time = number(), weight = number();
                const uint64_t size = uint64_t(number());
                if (size > in.size()) damaged();
                s.start = std::min(s.start, time), s.last = std::max(s.last, time);
                s.rows[{time, std::string(in.substr(0, size))}].weight = weight;
                in.remove_prefix(size);
                ++entries_, bytes_ += size;
            }
            if (s.rows.empty()) damaged();
            for (auto& [at, e] : s.rows)
                if (!config_.closes) e.shown = e.weight, e.start = s.start, e.end = plus(s.last, config_.gap);
            key.sessions.push_back(std::move(s));
        }
        enlist(key);
    }
    void forget(const std::string& name) {
        const auto found = keys_.find(name);
        if (found == keys_.end()) return;
        Key& key = *found->second;
        for (const Session& s : key.sessions)
            for (const auto& [at, e] : s.rows) --entries_, bytes_ -= at.second.size();
        key.sessions.clear();
        enlist(key);
    }

    SessionConfig config_;
    std::unordered_map<std::string, std::unique_ptr<Key>> keys_;
    std::vector<Key*> touched_;
    std::set<std::pair<int64_t, std::string>> ends_;
    std::set<std::string> changed_;
    std::vector<std::pair<std::string, Entry>> gone_;
    std::vector<Event> left_out_;
    int64_t watermark_ = INT64_MIN, rows_ = 0;
    bool watermark_changed_ = false;
    size_t entries_ = 0, bytes_ = 0;
};

}  // namespace laminar::engine
