// ASOF join of two changing inputs: for each left row the nearest right row of its key in time.
//
// Both sides are ordered multisets of byte strings: key and time in comparable form, what settles
// ties, the row. A left row's match is one step in the right side's order. At the barrier every
// changed right row names the span of times up to its neighbour, as it was before: only left rows
// in such spans can have another match than before, and they are looked up on either side of the
// change. So the cost follows what changes, not how long a key's history is.
#pragma once

#include <map>

#include "join.hpp"
#include "tablescan.hpp"

namespace laminar::engine {

struct AsofSideConfig {
    std::vector<Layout> columns;
    std::vector<int> keys, ties;    // positions in columns
    int time = 0;                   // -1: there is none
    int mark = -1;                  // of versions: behind the columns, up to when the row's history is settled
};

struct AsofConfig {
    AsofSideConfig left, right;
    bool forward = false;           // the next one, else the last one
    bool inclusive = true;          // one of the same time counts
    bool nearest = false;           // in either direction; of two equally near ones the earlier
    bool padded = false;            // left rows without a match come out with nulls
    bool once = false;              // left rows are forgotten when they have been matched
    bool versions = false;          // the right side's rows are versions of what their keys say
};

class AsofState {
  public:
    AsofState(const AsofConfig& config, const std::string& dir)
        : config_(config), left_(config.left, dir), right_(config.right, dir) {
        for (const auto& l : config.left.columns) layouts_.push_back(l);
        for (const auto& l : config.right.columns) layouts_.push_back(l);
    }

    void process(int port, const Batch& b, const int64_t* weights) {
        if (port && config_.versions) return take_versions(b, weights);
        Side& side = port ? right_ : left_;
        side.encode(b, [&](int64_t i, bool matchable, const std::string& entry) {
            const int64_t weight = weights ? weights[i] : 1;
            if (matchable) side.changed[entry] += weight;
            else if (!port && config_.padded) out_[1].push_back({entry, {}, weight});
        });
    }

    // The epoch's changes are complete.
    void end_epoch() {
        if (config_.once) {
            if (config_.versions) settle_versions();
            else right_.apply();
            for (const auto& [entry, weight] : left_.changed)
                if (weight) emit(entry, match(entry), weight);
            left_.changed.clear();
            return;
        }
        std::vector<Affected> affected;
        for (const auto& [low, high] : spans())
            left_.rows.from(low, [&, &high = high](const std::string& entry, int64_t weight) {
                if (entry >= high) return false;
                affected.push_back({entry, match(entry), weight});
                return true;
            });
        right_.apply();
        for (const Affected& a : affected) {
            std::string now = match(a.left);
            if (now == a.match) continue;
            emit(a.left, a.match, -a.weight);
            emit(a.left, now, a.weight);
        }
        for (const auto& [entry, weight] : left_.changed)
            if (weight) emit(entry, match(entry), weight);
        left_.apply();
    }

    // No left row before ``time`` (in comparable form) will come.
    void set_bound(std::string time) { bound_ = std::move(time); }

    uint64_t late = 0;

    // Rows of the epoch, until it returns false.
    bool next_rows(Joined& out) {
        for (int padded = 0; padded < 2; ++padded) {
            if (at_[padded] < out_[padded].size()) return build(padded, out), true;
            out_[padded].clear();
            at_[padded] = 0;
        }
        return false;
    }

    bool checkpoint(BatchBuilder& out) {
        for (; stage_ < 2; ++stage_, place_ = {}) {
            Side& side = stage_ ? right_ : left_;
            if (side.rows.changes(place_, out, std::string(1, char(stage_)))) return true;
        }
        left_.rows.checkpointed(), right_.rows.checkpointed();
        stage_ = 0;
        return false;
    }
    void restore(const Batch& batch) {
        const Column &keys = batch.columns[0], &values = batch.columns[1];
        for (int64_t i = 0; i < batch.rows; ++i) {
            const uint8_t* name = keys.data + keys.offsets[i];
            const int32_t n = keys.offsets[i + 1] - keys.offsets[i];
            if (n < 1 + int32_t(kFooter) || name[0] > 1) damaged();
            if (!values.is_null(i) && values.offsets[i + 1] - values.offsets[i] != 8) damaged();
            const int64_t weight = values.is_null(i) ? 0 : int64_t(read8(values.data + values.offsets[i]));
            parts(std::string(reinterpret_cast<const char*>(name + 1), size_t(n - 1)));
            (name[0] ? right_ : left_).rows.restore(name + 1, size_t(n - 1), weight);
        }
    }

    size_t entries() const { return left_.rows.entries() + right_.rows.entries(); }
    size_t bytes() const { return left_.rows.bytes() + right_.rows.bytes(); }

  private:
    static constexpr size_t kBatch = 65536, kFooter = 12;
    [[noreturn]] static void damaged() { fail("XX001", "state of an ASOF join is damaged"); }

    // Where an entry's parts end: key, key and time, what settles ties; the row follows, then these lengths.
    struct Parts {
        uint32_t key, time, ties;
    };
    static Parts parts(const std::string& entry) {
        Parts p;
        std::memcpy(&p, entry.data() + entry.size() - kFooter, kFooter);
        if (p.key > p.time || p.time > p.ties || p.ties + kFooter > entry.size()) damaged();
        return p;
    }
    // The least string above all that begin so. The first byte of a comparable value is 1 or 2.
    static std::string above(const std::string& prefix) {
        std::string s = prefix;
        while (!s.empty() && uint8_t(s.back()) == 0xff) s.pop_back();
        if (s.empty()) return "\xff";
        s.back() = char(uint8_t(s.back()) + 1);
        return s;
    }

    struct Side {
        Side(const AsofSideConfig& c, const std::string& dir) : config(c), codec(c.columns), rows(dir) {}

        // Calls f(row, whether it can match, entry): of rows with a null key or time the entry is the row.
        template <class F> void encode(const Batch& b, F f) {
            std::vector<const Column*> columns;
            for (const Column& c : b.columns) columns.push_back(&c);
            std::vector<uint32_t> sizes(size_t(b.rows));
            codec.measure(columns.data(), b.rows, sizes.data());
            size_t total = 0;
            for (uint32_t size : sizes) total += size;
            Bytes bytes, prefix;
            std::vector<uint8_t*> start(size_t(b.rows)), at(size_t(b.rows));
            uint8_t* p = bytes.grow(total);
            for (size_t i = 0; i < start.size(); ++i) start[i] = at[i] = p, p += sizes[i];
            codec.encode(columns.data(), b.rows, at.data());
            std::string entry;
            for (int64_t i = 0; i < b.rows; ++i) {
                const auto* row = reinterpret_cast<const char*>(start[size_t(i)]);
                bool matchable = config.time < 0 || !columns[size_t(config.time)]->is_null(i);
                for (int k : config.keys) matchable &= !columns[size_t(k)]->is_null(i);
                entry.clear();
                if (!matchable) {
                    entry.assign(row, sizes[size_t(i)]);
                    f(i, false, entry);
                    continue;
                }
                prefix.size = 0;
                Parts parts;
                for (int k : config.keys) put_comparable(*columns[size_t(k)], i, prefix);
                parts.key = uint32_t(prefix.size);
                if (config.time >= 0) put_comparable(*columns[size_t(config.time)], i, prefix);
                parts.time = uint32_t(prefix.size);
                for (int k : config.ties) put_comparable(*columns[size_t(k)], i, prefix);
                parts.ties = uint32_t(prefix.size);
                entry.assign(reinterpret_cast<const char*>(prefix.p), prefix.size);
                entry.append(row, sizes[size_t(i)]);
                entry.append(reinterpret_cast<const char*>(&parts), kFooter);
                f(i, true, entry);
            }
        }
        void apply() {
            for (const auto& [entry, weight] : changed)
                if (weight) rows.add(reinterpret_cast<const uint8_t*>(entry.data()), entry.size(), weight);
            changed.clear();
        }

        AsofSideConfig config;
        RowCodec codec;
        OrderedStrings rows;
        std::map<std::string, int64_t> changed;  // in this epoch
    };
    struct Affected {
        std::string left, match;
        int64_t weight;
    };
    struct Out {
        std::string left, right;  // rows
        int64_t weight;
    };

    // The right side's entry that a left entry is joined with; empty when there is none.
    std::string match(const std::string& left) const {
        const Parts p = parts(left);
        const std::string time = left.substr(0, p.time);
        std::string found;
        auto first = [&](const std::string& entry, int64_t weight) {
            if (entry.compare(0, p.key, left, 0, p.key) != 0) return false;
            if (weight <= 0) return true;
            found = entry;
            return false;
        };
        if (config_.nearest) {
            std::string before;
            right_.rows.below(above(time), first);
            std::swap(before, found);
            right_.rows.from(time, first);
            return before.empty() || (!found.empty() && distance(found, left) < distance(before, left)) ? found : before;
        }
        if (config_.forward) right_.rows.from(config_.inclusive ? time : above(time), first);
        else right_.rows.below(config_.inclusive ? above(time) : time, first);
        return !found.empty() && ends(found) ? std::string() : found;
    }

    // Between two entries' times, which are integers.
    static uint64_t distance(const std::string& a, const std::string& b) {
        const uint64_t x = number(a), y = number(b);
        return x < y ? y - x : x - y;
    }
    static uint64_t number(const std::string& entry) {
        const Parts p = parts(entry);
        uint64_t n = 0;
        for (uint32_t i = p.key + 1; i < p.time; ++i) n = n << 8 | uint8_t(entry[i]);
        return n;
    }

    // --- versions: per key and time one entry, of weight 2 while the row is there, 1 when it has been ---
    //
    // A row that is taken back leaves its version, which counts until the next one. When none takes its
    // place, an entry without a row says from when on there is nothing.

    struct Versions {
        std::map<std::string, int64_t> net;  // entries by what their changes add up to
        std::string gone;                    // time from which on the key has no row, if it has none
        bool late_row = false;
    };
    static bool ends(const std::string& entry) { return parts(entry).ties + kFooter == entry.size(); }
    static constexpr int64_t kWas = 1, kIs = 2;

    void take_versions(const Batch& b, const int64_t* weights) {
        const Column& marks = b.columns[size_t(config_.right.mark)];
        Bytes mark;
        right_.encode(b, [&](int64_t i, bool matchable, const std::string& entry) {
            if (!matchable) return;
            const int64_t weight = weights ? weights[i] : 1;
            const Parts p = parts(entry);
            Versions& key = touched_[entry.substr(0, p.key)];
            mark.size = 0;
            put_comparable(marks, i, mark);
            const std::string at(reinterpret_cast<const char*>(mark.p), mark.size);
            const std::string time = entry.substr(p.key, p.time - p.key);
            if (weight < 0) {
                key.gone = std::max(key.gone, at);
            } else if (time < at) {
                late += uint64_t(weight);
                key.late_row = true;  // it is there, though its version is not
                return;
            }
            key.net[entry] += weight;
        });
    }
    void settle_versions() {
        for (auto& [key, v] : touched_) {
            bool there = v.late_row;
            for (int64_t sign : {-1, 0, 1})
                for (const auto& [entry, net] : v.net) {
                    if ((net > 0) - (net < 0) != sign) continue;
                    const int64_t held = weight_of(entry);
                    if (sign < 0) {
                        if (held == kIs) set(entry, kWas);
                    } else if (sign == 0) {
                        if (held == kIs) there = true;
                        else replace(entry, kWas);
                    } else {
                        replace(entry, kIs);
                        there = true;
                    }
                }
            if (!there) end(key, v.gone);
            prune(key);
        }
        touched_.clear();
    }
    int64_t weight_of(const std::string& entry) const {
        return right_.rows.get(reinterpret_cast<const uint8_t*>(entry.data()), entry.size());
    }
    void set(const std::string& entry, int64_t weight) {
        right_.rows.add(reinterpret_cast<const uint8_t*>(entry.data()), entry.size(), weight - weight_of(entry));
    }
    // The only entry of its key and time.
    void replace(const std::string& entry, int64_t weight) {
        const Parts p = parts(entry);
        std::vector<std::string> others;
        right_.rows.from(entry.substr(0, p.time), [&](const std::string& other, int64_t) {
            if (other.compare(0, p.time, entry, 0, p.time) != 0) return false;
            if (other != entry) others.push_back(other);
            return true;
        });
        for (const std::string& other : others) set(other, 0);
        set(entry, weight);
    }
    // From ``time`` on the key has no row.
    void end(const std::string& key, const std::string& time) {
        std::vector<std::string> later;
        right_.rows.from(key + time, [&](const std::string& entry, int64_t) {
            if (entry.compare(0, key.size(), key) != 0) return false;
            later.push_back(entry);
            return true;
        });
        for (const std::string& entry : later) set(entry, 0);
        Parts p;
        p.key = uint32_t(key.size()), p.time = p.ties = uint32_t(key.size() + time.size());
        std::string entry = key + time;
        entry.append(reinterpret_cast<const char*>(&p), kFooter);
        set(entry, kWas);
    }
    // Forget versions that no left row to come can find.
    void prune(const std::string& key) {
        if (bound_.empty()) return;
        std::vector<std::string> old;
        bool found = false;
        right_.rows.below(above(key + bound_), [&](const std::string& entry, int64_t weight) {
            if (entry.compare(0, key.size(), key) != 0) return false;
            if (found ? weight == kWas : weight && ends(entry)) old.push_back(entry);
            found = true;
            return true;
        });
        for (const std::string& entry : old) set(entry, 0);
    }

    // The spans of left entries whose match the epoch's changes of the right side can have changed.
    std::vector<std::pair<std::string, std::string>> spans() const {
        std::vector<std::pair<std::string, std::string>> out;
        for (const auto& [entry, weight] : right_.changed) {
            if (!weight) continue;
            const Parts p = parts(entry);
            const std::string key = entry.substr(0, p.key), time = entry.substr(0, p.time);
            std::string end = config_.forward ? key : above(key);
            auto neighbour = [&, &entry = entry](const std::string& other, int64_t w) {
                if (other.compare(0, p.key, entry, 0, p.key) != 0) return false;
                if (w <= 0) return true;
                end = other.substr(0, parts(other).time);
                if (!config_.forward) end = above(end);
                return false;
            };
            if (config_.nearest) {
                right_.rows.from(above(time), neighbour);
                const std::string last = end;
                end = key;
                right_.rows.below(time, [&, &entry = entry](const std::string& other, int64_t w) {
                    if (other.compare(0, p.key, entry, 0, p.key) != 0) return false;
                    if (w <= 0) return true;
                    end = other.substr(0, parts(other).time);
                    return false;
                });
                out.emplace_back(end, last);
                continue;
            }
            if (config_.forward) right_.rows.below(time, neighbour);
            else right_.rows.from(above(time), neighbour);
            if (config_.forward) out.emplace_back(end, above(time));
            else out.emplace_back(time, end);
        }
        std::sort(out.begin(), out.end());
        size_t kept = 0;
        for (auto& span : out) {
            if (kept && span.first <= out[kept - 1].second) {
                if (span.second > out[kept - 1].second) out[kept - 1].second = span.second;
            } else {
                std::swap(out[kept++], span);
            }
        }
        out.resize(kept);
        return out;
    }

    static std::string row_of(const std::string& entry) {
        const Parts p = parts(entry);
        return entry.substr(p.ties, entry.size() - kFooter - p.ties);
    }
    void emit(const std::string& left, const std::string& right, int64_t weight) {
        if (right.empty() && !config_.padded) return;
        out_[right.empty()].push_back({row_of(left), right.empty() ? std::string() : row_of(right), weight});
    }
    void build(int padded, Joined& out) {
        const auto& from = out_[padded];
        const size_t first = at_[padded], n = std::min(kBatch, from.size() - first);
        BatchBuilder builder(layouts_);
        std::vector<const uint8_t*> rows(n);
        std::vector<uint32_t> sizes(n);
        auto decode = [&](const RowCodec& codec, std::string Out::*side, size_t column) {
            for (size_t i = 0; i < n; ++i) {
                const std::string& row = from[first + i].*side;
                rows[i] = reinterpret_cast<const uint8_t*>(row.data()), sizes[i] = uint32_t(row.size());
            }
            codec.decode(rows.data(), sizes.data(), int64_t(n), &builder.columns[column]);
        };
        const size_t columns = config_.left.columns.size();
        decode(left_.codec, &Out::left, 0);
        if (!padded) decode(right_.codec, &Out::right, columns);
        for (size_t c = columns; padded && c < layouts_.size(); ++c) builder.columns[c].nulls(int64_t(n));
        out.weights.resize(n), out.all_ones = true;
        for (size_t i = 0; i < n; ++i) {
            out.weights[i] = from[first + i].weight;
            out.all_ones &= out.weights[i] == 1;
        }
        builder.finish(&out.batch, int64_t(n));
        at_[padded] += n;
    }

    AsofConfig config_;
    Side left_, right_;
    std::map<std::string, Versions> touched_;
    std::string bound_;
    std::vector<Layout> layouts_;
    std::vector<Out> out_[2];  // with a match, without
    size_t at_[2] = {};
    int stage_ = 0;
    Table::Place place_;
};

}  // namespace laminar::engine
