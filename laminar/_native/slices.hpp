// What an epoch has gathered by slices of time, added to the windows that the slices are part of.
//
// A row is looked up once and each slice's group once per window; copying rows looked each up once per
// window. Counting Nexmark's bids per auction in windows of five slices takes 150 ns of CPU a bid, by copies 300.
#pragma once

#include "aggregate.hpp"
#include "windows.hpp"

namespace laminar::engine {

// Which key columns have a window's bounds (-1: none; int64 microseconds), and what windows those are.
struct Slices {
    int start = -1, end = -1;
    WindowSpec windows;
    int column() const { return end >= 0 ? end : start; }

    // In a slice's key its start stands for the bounds; those are marked as null, as no window's are.
    void mark(const RowCodec& codec, uint8_t* key) const {
        if (start >= 0) codec.set_null(key, size_t(start));
        if (end >= 0) codec.set_null(key, size_t(end));
    }
    void unmark(const RowCodec& codec, uint8_t* key) const {
        std::vector<uint8_t> marks(codec.fixed_size());
        mark(codec, marks.data());
        for (size_t i = 0; i < marks.size(); ++i) key[i] &= uint8_t(~marks[i]);
    }
    void put_bounds(const RowCodec& codec, uint8_t* key, int64_t from, int64_t to) const {
        if (start >= 0) std::memcpy(key + codec.offset_of(size_t(start)), &from, 8);
        if (end >= 0) std::memcpy(key + codec.offset_of(size_t(end)), &to, 8);
    }
};

// Pairs of a slice's group and a window's that it is added to, those of one slice together.
class SlicePairs {
  public:
    struct Pair { uint32_t slice, window; };

    void clear() { pairs_.clear(), first_.clear(), number_.clear(); }
    void begin(uint32_t slice) {
        if (number_.size() <= slice) number_.resize(slice + 1, kNone);
        number_[slice] = uint32_t(first_.size());
        first_.push_back(uint32_t(pairs_.size()));
    }
    void add(uint32_t slice, uint32_t window) { pairs_.push_back({slice, window}); }
    void end() { first_.push_back(uint32_t(pairs_.size())); }

    bool is_slice(uint32_t group) const { return group < number_.size() && number_[group] != kNone; }

    template <class T> void spread(std::vector<T>& values) const {
        for (const Pair& p : pairs_) values[p.window] += values[p.slice];
    }
    void spread(const AggSpec& spec, Accumulators& d) const {
        switch (spec.kind) {
            case Agg::Count: spread(d.n); break;
            case Agg::SumInt: spread(d.n), spread(d.sum); break;
            case Agg::SumDecimal:
                spread(d.n), spread(d.nan);
                for (const Pair& p : pairs_) d.wide[p.window].add(d.wide[p.slice].low, d.wide[p.slice].high);
                break;
            case Agg::SumFloat: spread(d.n), spread(d.nan), spread(d.plus), spread(d.minus), spread_floats(d); break;
            case Agg::SumNumeric:
                spread(d.n);
                for (const Pair& p : pairs_) d.numerics[p.window].merge(d.numerics[p.slice]);
                break;
            case Agg::Bool: spread(d.plus), spread(d.minus); break;
            case Agg::Fixed: spread_extreme(spec, d, d.best); break;
            case Agg::Var: spread_extreme(spec, d, d.text); break;
        }
    }

  private:
    static constexpr uint32_t kNone = UINT32_MAX;

    void spread_floats(Accumulators& d) const {
        for (const Pair& p : pairs_) {
            if (!d.floats[p.window].merge(d.floats[p.slice])) d.floats[p.slice].spill(d.spilled[p.window]);
            if (auto found = d.spilled.find(p.slice); found != d.spilled.end()) {
                const FloatWide& wide = found->second;
                d.spilled[p.window].merge(wide);
            }
        }
    }
    template <class T> void spread_extreme(const AggSpec& spec, Accumulators& d, std::vector<T>& best) const {
        for (const Pair& p : pairs_) {
            if (!spec.retract && d.n[p.slice]) {
                const T& v = best[p.slice];
                if (!d.n[p.window] || (spec.max ? v > best[p.window] : v < best[p.window])) best[p.window] = v;
            }
            d.n[p.window] += d.n[p.slice];
        }
        if (!spec.retract) return;
        const size_t n = d.changes.size();
        for (size_t i = 0; i < n; ++i) {
            OrderedChange change = d.changes[i];
            if (!is_slice(change.group)) continue;
            const uint32_t slice = number_[change.group];
            for (uint32_t k = first_[slice]; k < first_[slice + 1]; ++k) {
                change.group = pairs_[k].window;
                d.changes.push_back(change);
            }
        }
    }

    std::vector<Pair> pairs_;
    std::vector<uint32_t> first_, number_;  // of each slice its first pair; of a group its place among the slices
};

}  // namespace laminar::engine
