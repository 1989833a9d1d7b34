// The state of one GroupAggregate: see aggregate.hpp for how it works.
#pragma once

#include "columnpart.hpp"
#include "slices.hpp"

namespace laminar::engine {

struct GroupConfig {
    std::vector<Layout> keys;
    std::vector<AggSpec> aggs;
    int window = -1;                  // key column with the window's end; int32 or int64
    int64_t window_unit = 1;          // microseconds per unit of it
    int64_t lateness = kNeverLate;    // microseconds
    bool closes = false;              // a group goes out once, when its window closes
    bool corrects = false;            // a group goes out when its window ends, corrected until it closes
    bool judged = false;              // late rows have been left out before
    bool global = false;              // no keys: one row, always
    bool multiset = false;            // a group goes out with its number of rows as weight
    Slices slices;
};

struct Emitted {
    ArrowArray batch{};
    std::vector<int64_t> weights;
    bool all_ones = true;
};

class GroupState {
  public:
    GroupState(GroupConfig config, const std::string& dir)
        : arena_(dir), config_(std::move(config)), codec_(config_.keys),
          index_(!codec_.variable() && codec_.fixed_size() <= KeyIndex::kFixed ? codec_.fixed_size() : 0) {
        if (config_.aggs.size() > 250) fail("54011", "too many aggregates");
        row_size_ = 16;
        for (const auto& a : config_.aggs) {
            at_.push_back(row_size_);
            row_size_ += state_size(a.kind);
            ordered_ |= a.retract && (a.kind == Agg::Fixed || a.kind == Agg::Var);
        }
        delta_.resize(config_.aggs.size());
        window_ends_.assign(1, 0);
        for (const auto& k : config_.keys) out_layouts_.push_back(k);
        for (const auto& a : config_.aggs) out_layouts_.push_back(a.out);
        if (config_.window < 0) windows_.try_emplace(0, std::make_unique<Window>(&arena_));
    }

    // Rows of an epoch: key columns, then what the aggregates refer to. row_watermark: the column
    // that judges lateness, -1: the last barrier's watermark does. sliced: the window's columns have
    // the start of the row's slice; rows that are late for one of its windows are not taken but
    // reported as late, to be handed in once per window.
    void process(const Batch& batch, const int64_t* weights, int row_watermark, bool sliced) {
        if (!batch.rows) return;
        group_.resize(size_t(batch.rows));
        sliced_ = sliced;
        judge(batch, row_watermark);
        if (index_fixed()) find_fixed(batch);
        else find_variable(batch);
        const size_t groups = index_.size();
        rows_.resize(groups);
        for (int64_t i = 0; i < batch.rows; ++i) rows_[group_[size_t(i)]] += weights ? weights[i] : 1;
        for (size_t a = 0; a < config_.aggs.size(); ++a) {
            delta_[a].resize(config_.aggs[a], groups);
            accumulate(config_.aggs[a], delta_[a], batch, weights);
        }
    }

    // Ends the epoch: merges the delta, returns what goes out, frees windows that are past.
    std::vector<Emitted> barrier(int64_t watermark) {
        ended_ = watermark_;
        if (watermark > watermark_) {
            watermark_ = watermark;
            watermark_changed_ = true;
        }
        Output out(*this);
        spread_slices();
        if (config_.global && !global_done_) {
            find_empty_key();
            global_done_ = true;
        }
        merge(out);
        if (config_.corrects) end_windows(out);
        if (judges()) close_windows(out);
        out.flush();
        return std::move(out.done);
    }

    uint64_t late = 0;     // rows
    int64_t watermark() const { return watermark_; }  // of the last barrier
    // Which rows of the last batch were late; null when none was.
    const uint8_t* late_rows() const { return any_late_ ? late_.data() : nullptr; }
    uint64_t errors = 0;   // results out of their type's range

    size_t entries() const {
        size_t n = 0;
        for (const auto& [end, w] : windows_) n += w->groups.entries();
        return n;
    }
    size_t windows() const { return config_.window < 0 ? 0 : windows_.size(); }
    size_t bytes() const { return arena_.used(); }

    // The next few entries that changed since the last checkpoint; false once there are none,
    // which also marks all as saved.
    bool checkpoint(BatchBuilder& out) {
        const size_t limit = size_t(4) << 20;
        size_t bytes = 0;
        std::vector<uint8_t> key;
        auto put = [&](uint8_t tag, int64_t window, bool with_window, const uint8_t* k, size_t n, const uint8_t* v, size_t vn) {
            key.assign(1, tag);
            if (with_window) key.insert(key.end(), reinterpret_cast<uint8_t*>(&window), reinterpret_cast<uint8_t*>(&window) + 8);
            key.insert(key.end(), k, k + n);
            out.columns[0].var(key.data(), key.size());
            if (v) out.columns[1].var(v, vn);
            else out.columns[1].null();
            bytes += key.size() + vn + 16;
            return bytes < limit;
        };
        if (judges() && watermark_changed_) {
            watermark_changed_ = false;
            put(kTagWatermark, 0, false, nullptr, 0, reinterpret_cast<uint8_t*>(&watermark_), 8);
        }
        while (cursor_.dropped < dropped_.size) {
            uint32_t n;
            std::memcpy(&n, dropped_.p + cursor_.dropped, 4);
            const uint8_t* dead = dropped_.p + cursor_.dropped + 4;
            cursor_.dropped += 4 + n;
            if (!put(*dead, 0, false, dead + 1, n - 1, nullptr, 0)) return true;
        }
        dropped_.size = 0;
        while (cursor_.stage < 3) {
            auto it = windows_.lower_bound(cursor_.window);
            if (it == windows_.end()) {
                cursor_ = {0, cursor_.stage + 1, INT64_MIN, {}};
                continue;
            }
            cursor_.window = it->first;
            Window& w = *it->second;
            bool more = true;
            if (cursor_.stage == 0) {
                more = !w.groups.changes(cursor_.place, [&](const uint8_t* k, uint32_t n, const uint8_t* v, uint32_t vn) {
                    return put(kTagGroup, 0, false, k, n, v, vn);
                });
            } else if (cursor_.stage == 1) {
                more = w.blobs && !w.blobs->changes(cursor_.place, [&](const uint8_t* k, uint32_t n, const uint8_t* v, uint32_t vn) {
                    return put(kTagBlob, it->first, true, k, n, v, vn);
                });
            } else {
                more = w.touched && !w.touched->changes(cursor_.place, [&](const uint8_t* k, uint32_t n, const uint8_t*, uint32_t) {
                    const int64_t weight = w.tree->get(ordered_key(k, n));
                    return put(kTagTree, it->first, true, k, n, weight ? reinterpret_cast<const uint8_t*>(&weight) : nullptr, weight ? 8 : 0);
                });
            }
            if (more) return true;
            if (it->first == INT64_MAX) cursor_ = {0, cursor_.stage + 1, INT64_MIN, {}};
            else cursor_ = {0, cursor_.stage, it->first + 1, {}};
        }
        if (out.columns[0].length()) return true;
        for (auto& [end, w] : windows_) {
            w->groups.checkpointed();
            if (w->blobs) w->blobs->checkpointed();
            if (w->touched) w->touched->clear();
        }
        cursor_ = {};
        return false;
    }

    void restore(const Batch& batch) {
        if (batch.columns.size() != 2 || batch.layouts[0].shape != Shape::Var || batch.layouts[1].shape != Shape::Var)
            fail("XX001", "state of an aggregation is damaged");
        const Column &keys = batch.columns[0], &values = batch.columns[1];
        constexpr int64_t kBlock = 32;
        uint64_t hashes[kBlock];
        for (int64_t start = 0; start < batch.rows; start += kBlock) {
            const int64_t n = std::min(kBlock, batch.rows - start);
            auto key = [&](int64_t i) { return keys.data + keys.offsets[start + i]; };
            auto size = [&](int64_t i) { return size_t(keys.offsets[start + i + 1] - keys.offsets[start + i]); };
            for (int64_t i = 0; i < n; ++i) hashes[i] = size(i) ? Table::hash(key(i) + 1, size(i) - 1) : 0;
            if (config_.window < 0) prefetch_groups(windows_.at(0)->groups, hashes, n);
            for (int64_t i = 0; i < n; ++i) {
                const int64_t r = start + i;
                const bool gone = values.is_null(r);
                restore_entry(key(i), size(i), hashes[i], gone ? nullptr : values.data + values.offsets[r],
                              gone ? 0 : size_t(values.offsets[r + 1] - values.offsets[r]));
            }
        }
    }

  private:
    static constexpr size_t kClosedTogether = 4096;
    static constexpr uint8_t kTagGroup = 0, kTagBlob = 2, kTagTree = 3, kTagWatermark = 4;

    struct Window {
        Table groups;
        std::unique_ptr<Table> blobs;     // (group number, aggregate): long accumulators
        std::unique_ptr<BTree> tree;      // (group number, aggregate, value): weight
        std::unique_ptr<Table> touched;   // the tree's keys changed since the last checkpoint
        explicit Window(Arena* arena) : groups(arena) {}
    };
    struct Cursor {
        size_t dropped = 0;
        int stage = 0;
        int64_t window = INT64_MIN;
        Table::Place place;
    };
    struct Value {
        bool null = true, error = false;
        uint8_t fixed[16] = {};
        std::string text;
        bool operator==(const Value& o) const {
            return null == o.null && error == o.error && std::memcmp(fixed, o.fixed, 16) == 0 && text == o.text;
        }
    };

    // Rows on their way out, 64K to a batch.
    struct Output {
        GroupState& state;
        BatchBuilder builder;
        std::vector<const uint8_t*> keys;
        std::vector<uint32_t> lengths;
        Emitted current;
        std::vector<Emitted> done;

        explicit Output(GroupState& s) : state(s), builder(s.out_layouts_) {}
        void add(const uint8_t* key, uint32_t length, const std::vector<Value>& values, int64_t weight) {
            keys.push_back(key), lengths.push_back(length);
            current.weights.push_back(weight);
            current.all_ones &= weight == 1;
            const size_t first = state.config_.keys.size();
            for (size_t a = 0; a < values.size(); ++a) {
                Builder& b = builder.columns[first + a];
                const Value& v = values[a];
                if (v.null) b.null();
                else if (b.layout().shape == Shape::Bool) b.boolean(v.fixed[0]);
                else if (b.layout().shape == Shape::Fixed) b.fixed(v.fixed);
                else b.var(v.text.data(), v.text.size());
            }
            if (keys.size() == 65536) flush();
        }
        void flush() {
            if (keys.empty()) return;
            state.codec_.decode(keys.data(), lengths.data(), int64_t(keys.size()), builder.columns.data());
            done.push_back(std::move(current));
            builder.finish(&done.back().batch, int64_t(keys.size()));
            builder = BatchBuilder(state.out_layouts_);
            current = Emitted();
            keys.clear(), lengths.clear();
        }
    };

    bool index_fixed() const { return !codec_.variable() && codec_.fixed_size() > 0 && codec_.fixed_size() <= KeyIndex::kFixed; }

    // --- rows to groups ---

    int64_t window_end(const Column& c, int64_t i) const {
        if (c.is_null(i)) return INT64_MAX;
        const int64_t v = c.width == 4 ? c.load<int32_t>(i) : c.load<int64_t>(i);
        if (c.width == 4 && (v == INT32_MAX || v == INT32_MIN)) return v > 0 ? INT64_MAX : INT64_MIN;
        int64_t r;
        if (__builtin_mul_overflow(v, config_.window_unit, &r)) return v > 0 ? INT64_MAX : INT64_MIN;
        return r;
    }
    // The watermark from which on changes of a window are late; infinities stay.
    int64_t frozen_at(int64_t end) const { return end == INT64_MIN ? end : saturating_add(end, config_.lateness); }
    bool judges() const { return config_.window >= 0 && config_.lateness != kNeverLate; }
    void judge(const Batch& b, int row_watermark) {
        any_late_ = false;
        if (!judges() || config_.judged) return;
        const Column& w = b.columns[size_t(config_.window)];
        late_.assign(size_t(b.rows), 0);
        for (int64_t i = 0; i < b.rows; ++i) {
            if (w.is_null(i)) continue;
            const int64_t mark = row_watermark >= 0 ? b.columns[size_t(row_watermark)].load<int64_t>(i) : watermark_;
            const int64_t end = sliced_ ? config_.slices.windows.first_end(w.load<int64_t>(i)) : window_end(w, i);
            if (mark < frozen_at(end)) continue;
            late_[size_t(i)] = 1;
            any_late_ = true;
            late += !sliced_;
        }
    }
    void note(uint32_t group, const Batch& b, int64_t row) {
        if (group != noted_) return;
        ++noted_;
        if (config_.window >= 0) window_ends_.push_back(window_end(b.columns[size_t(config_.window)], row));
        if (sliced_) slices_.push_back({group, b.columns[size_t(config_.slices.column())].load<int64_t>(row)});
    }
    void find_fixed(const Batch& b) {
        constexpr int64_t kBlock = 128;
        KeyIndex::FixedKey block[kBlock];
        uint64_t hashes[kBlock];
        uint8_t* rows[kBlock];
        std::vector<Column> shifted(config_.keys.size());
        std::vector<const Column*> columns(config_.keys.size());
        for (int64_t start = 0; start < b.rows; start += kBlock) {
            const int64_t n = std::min(kBlock, b.rows - start);
            std::memset(static_cast<void*>(block), 0, size_t(n) * sizeof block[0]);
            for (int64_t i = 0; i < n; ++i) rows[i] = reinterpret_cast<uint8_t*>(&block[i]);
            for (size_t c = 0; c < columns.size(); ++c) {
                shifted[c] = from_row(b.columns[c], start);
                columns[c] = &shifted[c];
            }
            codec_.encode(columns.data(), n, rows);
            for (int64_t i = 0; sliced_ && i < n; ++i) config_.slices.mark(codec_, reinterpret_cast<uint8_t*>(&block[i]));
            for (int64_t i = 0; i < n; ++i) hashes[i] = index_.hash(block[i]);
            if (index_.large()) {
                for (int64_t i = 0; i < n; ++i) index_.prefetch_slot(hashes[i]);
                for (int64_t i = 0; i < n; ++i) index_.prefetch_key(hashes[i]);
            }
            for (int64_t i = 0; i < n; ++i) {
                if (any_late_ && late_[size_t(start + i)]) {
                    group_[size_t(start + i)] = 0;
                    continue;
                }
                const uint32_t g = index_.of(block[i], hashes[i]);
                group_[size_t(start + i)] = g;
                note(g, b, start + i);
            }
        }
    }
    void find_variable(const Batch& b) {
        std::vector<const Column*> columns;
        for (size_t c = 0; c < config_.keys.size(); ++c) columns.push_back(&b.columns[c]);
        const size_t n = size_t(b.rows);
        lengths_.resize(n), pointers_.resize(n), starts_.resize(n);
        codec_.measure(columns.data(), b.rows, lengths_.data());
        size_t total = 0;
        for (size_t i = 0; i < n; ++i) total += lengths_[i];
        key_bytes_.size = 0;
        uint8_t* p = key_bytes_.grow(total);
        for (size_t i = 0; i < n; ++i) starts_[i] = pointers_[i] = p, p += lengths_[i];
        codec_.encode(columns.data(), b.rows, pointers_.data());
        for (size_t i = 0; sliced_ && i < n; ++i) config_.slices.mark(codec_, starts_[i]);
        for (size_t i = 0; i < n; ++i) {
            if (any_late_ && late_[i]) {
                group_[i] = 0;
                continue;
            }
            group_[i] = index_.of(starts_[i], lengths_[i]);
            note(group_[i], b, int64_t(i));
        }
    }
    void find_empty_key() {
        const uint32_t g = index_.of(reinterpret_cast<const uint8_t*>(""), 0);
        rows_.resize(index_.size());
        for (size_t a = 0; a < config_.aggs.size(); ++a) delta_[a].resize(config_.aggs[a], index_.size());
        noted_ = g + 1;
    }

    // --- rows into accumulators ---

    template <class F> void each_row(const AggSpec& spec, const Batch& b, const int64_t* weights, F f) {
        const Column* value = spec.value >= 0 ? &b.columns[size_t(spec.value)] : nullptr;
        const Column* filter = spec.filter >= 0 ? &b.columns[size_t(spec.filter)] : nullptr;
        const bool nulls = value && (value->valid || value->shape == Shape::Null);
        if (!nulls && !filter) {
            if (!weights)
                for (int64_t i = 0; i < b.rows; ++i) f(i, group_[size_t(i)], int64_t(1));
            else
                for (int64_t i = 0; i < b.rows; ++i) f(i, group_[size_t(i)], weights[i]);
            return;
        }
        for (int64_t i = 0; i < b.rows; ++i) {
            if (nulls && value->is_null(i)) continue;
            if (filter && (filter->is_null(i) || !filter->truth(i))) continue;
            f(i, group_[size_t(i)], weights ? weights[i] : 1);
        }
    }
    template <class T> void sum_ints(const AggSpec& spec, Accumulators& d, const Batch& b, const int64_t* weights) {
        const T* v = reinterpret_cast<const T*>(b.columns[size_t(spec.value)].data);
        each_row(spec, b, weights, [&](int64_t i, uint32_t g, int64_t w) {
            d.sum[g] += int128(v[i]) * w;
            d.n[g] += w;
        });
    }
    template <class T> void sum_floats(const AggSpec& spec, Accumulators& d, const Batch& b, const int64_t* weights) {
        const T* v = reinterpret_cast<const T*>(b.columns[size_t(spec.value)].data);
        each_row(spec, b, weights, [&](int64_t i, uint32_t g, int64_t w) {
            const double x = double(v[i]);
            d.n[g] += w;
            if (std::isfinite(x)) {
                if (!d.floats[g].add(x, w)) d.spilled[g].add(x, w);
            } else if (x != x) {
                d.nan[g] += w;
            } else {
                (x > 0 ? d.plus : d.minus)[g] += w;
            }
        });
    }
    void accumulate(const AggSpec& spec, Accumulators& d, const Batch& b, const int64_t* weights) {
        const Column* c = spec.value >= 0 ? &b.columns[size_t(spec.value)] : nullptr;
        switch (spec.kind) {
            case Agg::Count: each_row(spec, b, weights, [&](int64_t, uint32_t g, int64_t w) { d.n[g] += w; }); break;
            case Agg::SumInt:
                if (c->width == 8) sum_ints<int64_t>(spec, d, b, weights);
                else if (c->width == 4) sum_ints<int32_t>(spec, d, b, weights);
                else sum_ints<int16_t>(spec, d, b, weights);
                break;
            case Agg::SumDecimal:
                each_row(spec, b, weights, [&](int64_t i, uint32_t g, int64_t w) {
                    const int128 v = c->load<int128>(i);
                    d.n[g] += w;
                    if (v == kDecimalNan) d.nan[g] += w;
                    else d.wide[g].add_product(v, w);
                });
                break;
            case Agg::SumFloat:
                if (c->width == 8) sum_floats<double>(spec, d, b, weights);
                else sum_floats<float>(spec, d, b, weights);
                break;
            case Agg::Bool:
                each_row(spec, b, weights, [&](int64_t i, uint32_t g, int64_t w) { (c->truth(i) ? d.plus : d.minus)[g] += w; });
                break;
            case Agg::SumNumeric:
                each_row(spec, b, weights, [&](int64_t i, uint32_t g, int64_t w) {
                    const auto* p = reinterpret_cast<const char*>(c->data) + c->offsets[i];
                    d.numerics[g].add(load_var(std::string_view(p, size_t(c->offsets[i + 1] - c->offsets[i]))), w);
                    d.n[g] += w;
                });
                break;
            case Agg::Fixed: accumulate_fixed(spec, d, *c, b, weights); break;
            case Agg::Var: accumulate_var(spec, d, *c, b, weights); break;
        }
    }
    void accumulate_fixed(const AggSpec& spec, Accumulators& d, const Column& c, const Batch& b, const int64_t* weights) {
        each_row(spec, b, weights, [&](int64_t i, uint32_t g, int64_t w) {
            const uint64_t r = rank_of(spec.in, c.at(i));
            if (spec.retract) {
                if (g) d.changes.push_back({g, 0, r, w});
            } else if (!d.n[g] || (spec.max ? r > d.best[g] : r < d.best[g])) {
                d.best[g] = r;
            }
            d.n[g] += w;
        });
    }
    void accumulate_var(const AggSpec& spec, Accumulators& d, const Column& c, const Batch& b, const int64_t* weights) {
        each_row(spec, b, weights, [&](int64_t i, uint32_t g, int64_t w) {
            const uint8_t* p = c.shape == Shape::Fixed ? c.at(i) : c.data + c.offsets[i];
            const size_t n = c.shape == Shape::Fixed ? size_t(c.width) : size_t(c.offsets[i + 1] - c.offsets[i]);
            if (spec.retract) {
                if (g) {
                    d.changes.push_back({g, int32_t(n), d.bytes.size, w});
                    d.bytes.append(p, n);
                }
            } else {
                const std::string_view v(reinterpret_cast<const char*>(p), n);
                if (!d.n[g] || (spec.max ? v > d.text[g] : v < d.text[g])) d.text[g].assign(v);
            }
            d.n[g] += w;
        });
    }

    // --- slices into windows ---

    // Adds what each slice has gathered in this epoch to the windows that it is part of.
    void spread_slices() {
        spread_.clear();
        if (slices_.empty()) return;
        Bytes key;
        for (const Slice& slice : slices_) {
            spread_.begin(slice.group);
            key.size = 0;
            key.append(index_.key(slice.group), index_.length(slice.group));
            config_.slices.unmark(codec_, key.p);
            config_.slices.windows.each(slice.at, [&](int64_t start, int64_t end) {
                config_.slices.put_bounds(codec_, key.p, start, end);
                const uint32_t g = index_.of_encoded(key.p, uint32_t(key.size));
                if (g == noted_) {
                    ++noted_;
                    if (config_.window >= 0) window_ends_.push_back(end);
                }
                spread_.add(slice.group, g);
            });
        }
        spread_.end();
        rows_.resize(index_.size());
        spread_.spread(rows_);
        for (size_t a = 0; a < config_.aggs.size(); ++a) {
            delta_[a].resize(config_.aggs[a], index_.size());
            spread_.spread(config_.aggs[a], delta_[a]);
        }
    }

    // --- the delta into the state ---

    Window& window_at(int64_t end) {
        if (last_window_ && last_end_ == end) return *last_window_;
        auto& w = windows_[end];
        if (!w) w = std::make_unique<Window>(&arena_);
        last_end_ = end, last_window_ = w.get();
        return *w;
    }
    int64_t end_of(uint32_t g) const { return config_.window < 0 ? 0 : window_ends_[g]; }

    void merge(Output& out) {
        const uint32_t groups = uint32_t(index_.size());
        std::vector<std::vector<uint32_t>> first(config_.aggs.size()), order(config_.aggs.size());
        for (size_t a = 0; a < config_.aggs.size(); ++a)
            if (config_.aggs[a].retract) sort_changes(delta_[a].changes, groups, first[a], order[a]);
        std::vector<Value> before(config_.aggs.size()), after(config_.aggs.size());
        constexpr uint32_t kBlock = 32;
        uint64_t hashes[kBlock];
        for (uint32_t start = 1; start < groups; start += kBlock) {
            const uint32_t n = std::min(kBlock, groups - start);
            for (uint32_t i = 0; i < n; ++i) {
                if (spread_.is_slice(start + i)) continue;
                hashes[i] = Table::hash(index_.key(start + i), index_.length(start + i));
                window_at(end_of(start + i)).groups.prefetch_slot(hashes[i]);
            }
            for (uint32_t i = 0; i < n; ++i)
                if (!spread_.is_slice(start + i)) window_at(end_of(start + i)).groups.prefetch_row(hashes[i]);
            for (uint32_t i = 0; i < n; ++i) {
                const uint32_t g = start + i;
                if (spread_.is_slice(g)) continue;
                Window& w = window_at(end_of(g));
                bool created = false;
                Row* row = w.groups.upsert(index_.key(g), index_.length(g), hashes[i], row_size_, &created);
                merge_group(w, row, created, g, first, order, before, after, out);
            }
        }
        out.flush();  // its keys point into the index
        index_.clear();
        rows_.clear();
        window_ends_.resize(1);
        slices_.clear();
        noted_ = 1;
        if (groups > 1u << 20) {  // give the room of an exceptional epoch back
            delta_ = std::vector<Accumulators>(config_.aggs.size());
            rows_.shrink_to_fit(), window_ends_.shrink_to_fit();
        }
        for (auto& d : delta_) d.clear();
    }

    void merge_group(Window& w, Row* row, bool created, uint32_t g, const std::vector<std::vector<uint32_t>>& first,
                     const std::vector<std::vector<uint32_t>>& order, std::vector<Value>& before, std::vector<Value>& after, Output& out) {
        uint8_t* state = row->value();
        int64_t count;
        uint64_t number;
        std::memcpy(&count, state, 8);
        if (created) {
            number = next_number_++;
            std::memcpy(state + 8, &number, 8);
        }
        std::memcpy(&number, state + 8, 8);
        const int64_t old_count = count;
        const bool emits = !config_.closes && (!config_.corrects || end_of(g) <= ended_);
        bool old_live = emits && (config_.global ? !created : old_count > 0);
        if (old_live) old_live = results(w, state, number, before);
        count += rows_[g];
        std::memcpy(state, &count, 8);
        for (size_t a = 0; a < config_.aggs.size(); ++a) {
            const AggSpec& spec = config_.aggs[a];
            if (spec.retract) {
                for (uint32_t k = first[a][g]; k < first[a][g + 1]; ++k)
                    change_ordered(w, spec, number, a, delta_[a], delta_[a].changes[order[a][k]]);
            }
            merge_one(w, spec, a, state + at_[a], number, delta_[a], g);
        }
        bool live = config_.global || count > 0;
        if (emits) {
            if (live) {
                live = results(w, state, number, after);
                errors += !live;
            }
            const bool same = old_live && live && before == after && (!config_.multiset || old_count == count);
            if (!same) {
                const uint8_t* key = index_.key(g);
                const uint32_t n = index_.length(g);
                if (old_live) out.add(key, n, before, config_.multiset ? -old_count : -1);
                if (live) out.add(key, n, after, config_.multiset ? count : 1);
            }
        }
        if (count == 0 && !config_.global) {
            for (size_t a = 0; w.blobs && a < config_.aggs.size(); ++a) erase_blob(w, number, a);
            w.groups.erase(index_.key(g), index_.length(g), Table::hash(index_.key(g), index_.length(g)));
        }
    }

    static void sort_changes(const std::vector<OrderedChange>& changes, uint32_t groups, std::vector<uint32_t>& first,
                             std::vector<uint32_t>& order) {
        first.assign(groups + 1, 0);
        for (const auto& c : changes) ++first[c.group + 1 <= groups ? c.group + 1 : groups];
        for (uint32_t g = 0; g < groups; ++g) first[g + 1] += first[g];
        order.resize(changes.size());
        std::vector<uint32_t> at(first);
        for (uint32_t i = 0; i < changes.size(); ++i) order[at[changes[i].group]++] = i;
    }

    static std::string blob_key(uint64_t number, size_t a) {
        std::string key(reinterpret_cast<const char*>(&number), 8);
        key.push_back(char(a));
        return key;
    }
    static const uint8_t* u8(const std::string& s) { return reinterpret_cast<const uint8_t*>(s.data()); }
    const Row* find_blob(const Window& w, uint64_t number, size_t a) const {
        if (!w.blobs) return nullptr;
        const std::string key = blob_key(number, a);
        return w.blobs->find(u8(key), key.size(), Table::hash(u8(key), key.size()));
    }
    void put_blob(Window& w, uint64_t number, size_t a, const void* bytes, size_t n) {
        if (!w.blobs) w.blobs = std::make_unique<Table>(&arena_);
        const std::string key = blob_key(number, a);
        Row* row = w.blobs->upsert(u8(key), key.size(), Table::hash(u8(key), key.size()), n);
        if (n) std::memcpy(row->value(), bytes, n);
    }
    void erase_blob(Window& w, uint64_t number, size_t a) {
        if (!w.blobs) return;
        const std::string key = blob_key(number, a);
        w.blobs->erase(u8(key), key.size(), Table::hash(u8(key), key.size()));
    }

    static uint64_t ordered_group(uint64_t number, size_t a) { return number << 8 | a; }

    void change_ordered(Window& w, const AggSpec& spec, uint64_t number, size_t a, const Accumulators& d, const OrderedChange& c) {
        if (!w.tree) {
            w.tree = std::make_unique<BTree>(&arena_);
            w.touched = std::make_unique<Table>(&arena_);
        }
        OrderedKey key{ordered_group(number, a), c.at};
        std::string tail;
        if (spec.kind == Agg::Var) {
            // the first 8 bytes, big-endian; then how many of them count, and the rest
            const uint8_t* p = d.bytes.p + c.at;
            const size_t n = size_t(c.size), head = n < 8 ? n : 8;
            uint8_t prefix[8] = {};
            if (head) std::memcpy(prefix, p, head);
            key.b = __builtin_bswap64(read8(prefix));
            tail.push_back(char(head));
            tail.append(reinterpret_cast<const char*>(p) + head, n - head);
            key.tail = u8(tail), key.size = uint32_t(tail.size());
        }
        w.tree->add(key, c.weight);
        std::string name(reinterpret_cast<const char*>(&key), 16);
        if (key.tail) name += tail;
        w.touched->upsert(u8(name), name.size(), Table::hash(u8(name), name.size()), 0);
    }
    static OrderedKey ordered_key(const uint8_t* k, size_t n) {
        OrderedKey key{read8(k), read8(k + 8)};
        if (n > 16) key.tail = k + 16, key.size = uint32_t(n - 16);
        return key;
    }

    void merge_one(Window& w, const AggSpec& spec, size_t a, uint8_t* p, uint64_t number, Accumulators& d, uint32_t g) {
        auto add = [&](size_t at, int64_t v) {
            int64_t old;
            std::memcpy(&old, p + at, 8);
            old += v;
            std::memcpy(p + at, &old, 8);
        };
        switch (spec.kind) {
            case Agg::Count: add(0, d.n[g]); break;
            case Agg::SumInt: {
                int128 sum;
                std::memcpy(&sum, p, 16);
                sum += d.sum[g];
                std::memcpy(p, &sum, 16);
                add(offsetof(SumIntState, n), d.n[g]);
                break;
            }
            case Agg::SumDecimal: {
                Wide192 sum;
                std::memcpy(&sum.low, p, 16);
                std::memcpy(&sum.high, p + 16, 8);
                sum.add(d.wide[g].low, d.wide[g].high);
                std::memcpy(p, &sum.low, 16);
                std::memcpy(p + 16, &sum.high, 8);
                add(offsetof(SumDecimalState, n), d.n[g]);
                add(offsetof(SumDecimalState, nan), d.nan[g]);
                break;
            }
            case Agg::SumFloat:
                merge_float(w, a, p, number, d, g);
                add(offsetof(SumFloatState, n), d.n[g]);
                add(offsetof(SumFloatState, nan), d.nan[g]);
                add(offsetof(SumFloatState, plus), d.plus[g]);
                add(offsetof(SumFloatState, minus), d.minus[g]);
                break;
            case Agg::SumNumeric:
                merge_numeric(w, a, number, d.numerics[g]);
                add(0, d.n[g]);
                break;
            case Agg::Bool: add(0, d.plus[g]), add(8, d.minus[g]); break;
            case Agg::Fixed:
                if (!spec.retract && d.n[g]) {
                    FixedState s;
                    std::memcpy(&s, p, sizeof s);
                    if (!s.n || (spec.max ? d.best[g] > s.best : d.best[g] < s.best)) s.best = d.best[g];
                    std::memcpy(p, &s, sizeof s);
                }
                add(0, d.n[g]);
                break;
            case Agg::Var:
                if (!spec.retract && d.n[g]) {
                    const Row* best = find_blob(w, number, a);
                    const std::string_view old = best ? std::string_view(reinterpret_cast<const char*>(best->value()), best->vlen) : std::string_view();
                    if (!best || (spec.max ? d.text[g] > old : d.text[g] < old)) put_blob(w, number, a, d.text[g].data(), d.text[g].size());
                }
                add(0, d.n[g]);
                break;
        }
    }
    void merge_float(Window& w, size_t a, uint8_t* p, uint64_t number, Accumulators& d, uint32_t g) {
        FloatSum sum;
        std::memcpy(&sum, p, sizeof sum);
        const auto wide = d.spilled.empty() ? d.spilled.end() : d.spilled.find(g);
        if (!sum.spilled() && wide == d.spilled.end() && sum.merge(d.floats[g])) {
            std::memcpy(p, &sum, sizeof sum);
            return;
        }
        FloatWide total;
        if (sum.spilled()) {
            const Row* blob = find_blob(w, number, a);
            if (!blob || blob->vlen != sizeof total.limb) fail("XX001", "state of an aggregation is damaged");
            std::memcpy(total.limb, blob->value(), sizeof total.limb);
        } else {
            sum.spill(total);
        }
        d.floats[g].spill(total);
        if (wide != d.spilled.end()) total.merge(wide->second);
        total.normalise();
        if (sum.pack(total)) {
            erase_blob(w, number, a);
        } else {
            put_blob(w, number, a, total.limb, sizeof total.limb);
            sum = FloatSum();
            sum.pending = FloatSum::kSpilled;
        }
        std::memcpy(p, &sum, sizeof sum);
    }

    static NumericSum load_sum(const Row& row) {
        return NumericSum::load(std::string_view(reinterpret_cast<const char*>(row.value()), row.vlen));
    }
    void merge_numeric(Window& w, size_t a, uint64_t number, const NumericSum& change) {
        const Row* blob = find_blob(w, number, a);
        NumericSum sum = blob ? load_sum(*blob) : NumericSum();
        sum.merge(change);
        std::string stored;
        sum.store(stored);
        put_blob(w, number, a, stored.data(), stored.size());
    }

    // --- results ---

    // All results of a group; false when one of them is out of range.
    bool results(const Window& w, const uint8_t* state, uint64_t number, std::vector<Value>& out) const {
        bool fine = true;
        for (size_t a = 0; a < config_.aggs.size(); ++a) {
            Value& v = out[a];
            v.null = true, v.error = false;
            std::memset(v.fixed, 0, 16);
            v.text.clear();
            result(w, config_.aggs[a], a, state + at_[a], number, v);
            fine &= !v.error;
        }
        return fine;
    }
    static void set_decimal(Value& v, int128 sum) {
        v.null = false;
        v.error = sum >= kDecimalLimit || sum <= -kDecimalLimit;
        std::memcpy(v.fixed, &sum, 16);
    }
    void result(const Window& w, const AggSpec& spec, size_t a, const uint8_t* p, uint64_t number, Value& v) const {
        switch (spec.kind) {
            case Agg::Count:
                v.null = false;
                std::memcpy(v.fixed, p, 8);
                break;
            case Agg::SumInt: {
                SumIntState s;
                std::memcpy(&s, p, sizeof s);
                if (!s.n) break;
                int128 sum;
                std::memcpy(&sum, s.sum, 16);
                if (spec.result == Result::Decimal) return set_decimal(v, sum);
                v.null = false;
                v.error = sum > INT64_MAX || sum < INT64_MIN;
                std::memcpy(v.fixed, &sum, 8);
                break;
            }
            case Agg::SumDecimal: {
                SumDecimalState s;
                std::memcpy(&s, p, sizeof s);
                if (!s.n) break;
                int128 sum;
                std::memcpy(&sum, s.sum, 16);
                if (s.nan) {
                    v.null = false;
                    std::memcpy(v.fixed, &kDecimalNan, 16);
                    break;
                }
                set_decimal(v, sum);
                v.error |= s.sum[2] != (sum < 0 ? -1 : 0);
                break;
            }
            case Agg::SumFloat: result_float(w, spec, a, p, number, v); break;
            case Agg::SumNumeric: {
                VarState s;
                std::memcpy(&s, p, sizeof s);
                const Row* blob = s.n ? find_blob(w, number, a) : nullptr;
                if (!blob) break;
                v.null = false;
                store_var(v.text, load_sum(*blob).result());
                break;
            }
            case Agg::Bool: {
                BoolState s;
                std::memcpy(&s, p, sizeof s);
                if (s.yes + s.no == 0) break;
                v.null = false;
                v.fixed[0] = spec.result == Result::And ? s.no == 0 : s.yes > 0;
                break;
            }
            case Agg::Fixed: {
                FixedState s;
                std::memcpy(&s, p, sizeof s);
                if (!s.n) break;
                if (spec.retract) {
                    const BTree::Entry* e = w.tree ? extreme(*w.tree, spec, ordered_group(number, a)) : nullptr;
                    if (!e) break;
                    s.best = e->b;
                }
                v.null = false;
                unrank(spec.in, s.best, v.fixed);
                break;
            }
            case Agg::Var: {
                VarState s;
                std::memcpy(&s, p, sizeof s);
                if (!s.n) break;
                if (spec.retract) {
                    const BTree::Entry* e = w.tree ? extreme(*w.tree, spec, ordered_group(number, a)) : nullptr;
                    if (!e) break;
                    const uint64_t prefix = __builtin_bswap64(e->b);
                    v.text.assign(reinterpret_cast<const char*>(&prefix), e->tail->bytes()[0]);
                    v.text.append(reinterpret_cast<const char*>(e->tail->bytes()) + 1, e->tail->size - 1);
                } else if (const Row* best = find_blob(w, number, a)) {
                    v.text.assign(reinterpret_cast<const char*>(best->value()), best->vlen);
                }
                v.null = false;
                if (spec.out.shape == Shape::Fixed) {
                    std::memcpy(v.fixed, v.text.data(), std::min(v.text.size(), size_t(16)));
                }
                break;
            }
        }
    }
    static const BTree::Entry* extreme(const BTree& tree, const AggSpec& spec, uint64_t group) {
        return spec.max ? tree.last(group) : tree.first(group);
    }
    void result_float(const Window& w, const AggSpec& spec, size_t a, const uint8_t* p, uint64_t number, Value& v) const {
        SumFloatState s;
        std::memcpy(&s, p, sizeof s);
        if (!s.n) return;
        double sum;
        if (s.nan > 0 || (s.plus > 0 && s.minus > 0)) {
            sum = __builtin_nan("");
        } else if (s.plus > 0 || s.minus > 0) {
            sum = s.plus > 0 ? HUGE_VAL : -HUGE_VAL;
        } else {
            if (s.sum.spilled()) {
                FloatWide wide;
                const Row* blob = find_blob(w, number, a);
                if (!blob || blob->vlen != sizeof wide.limb) fail("XX001", "state of an aggregation is damaged");
                std::memcpy(wide.limb, blob->value(), sizeof wide.limb);
                sum = wide.value();
            } else {
                sum = s.sum.value();
            }
            v.error = std::isinf(sum) || (spec.result == Result::Float && std::isinf(float(sum)));
        }
        v.null = false;
        if (spec.result == Result::Float) {
            const float f = float(sum);
            std::memcpy(v.fixed, &f, 4);
        } else {
            std::memcpy(v.fixed, &sum, 8);
        }
    }

    // --- windows ---

    // All groups of a window, as they are now.
    void emit_window(const Window& w, std::vector<Value>& values, Output& out) {
        w.groups.each([&](const Row* row) {
            int64_t count;
            uint64_t number;
            std::memcpy(&count, row->value(), 8);
            std::memcpy(&number, row->value() + 8, 8);
            if (count <= 0) return;
            if (!results(w, row->value(), number, values)) {
                ++errors;
                return;
            }
            out.add(row->key(), row->klen, values, config_.multiset ? count : 1);
        });
    }

    // Windows whose end the watermark has reached since the last barrier appear.
    void end_windows(Output& out) {
        std::vector<Value> values(config_.aggs.size());
        for (auto it = windows_.upper_bound(ended_); it != windows_.end() && it->first <= watermark_; ++it)
            emit_window(*it->second, values, out);
    }

    void close_windows(Output& out) {
        std::vector<Value> values(config_.aggs.size());
        std::vector<std::unique_ptr<Window>> closed;  // what is on its way out points into them
        while (!windows_.empty()) {
            auto it = windows_.begin();
            if (frozen_at(it->first) > watermark_) break;
            if (config_.closes) emit_window(*it->second, values, out);
            bury(it->first, *it->second);
            closed.push_back(std::move(it->second));
            windows_.erase(it);
            last_window_ = nullptr;
            if (closed.size() == kClosedTogether) out.flush(), closed.clear();
        }
        out.flush();
    }

    // Notes a window's keys as deleted: a checkpoint's entries stand for themselves, so that merging
    // state files needs to know nothing of windows.
    void bury(int64_t end, const Window& w) {
        const auto* window = reinterpret_cast<const uint8_t*>(&end);
        auto note = [&](uint8_t tag, size_t prefix, const uint8_t* key, size_t n) {
            const auto size = uint32_t(1 + prefix + n);
            dropped_.append(&size, 4);
            dropped_.append(&tag, 1);
            dropped_.append(window, prefix);
            dropped_.append(key, n);
        };
        w.groups.persisted([&](const uint8_t* key, size_t n) { note(kTagGroup, 0, key, n); });
        if (w.blobs) w.blobs->persisted([&](const uint8_t* key, size_t n) { note(kTagBlob, 8, key, n); });
        if (!w.tree) return;
        w.touched->each([&](const Row* row) { note(kTagTree, 8, row->key(), row->klen); });
        std::string key;
        w.tree->ascend({0, 0}, [&](const BTree::Entry& e) {
            key.assign(reinterpret_cast<const char*>(&e.a), 8).append(reinterpret_cast<const char*>(&e.b), 8);
            if (e.tail) key.append(reinterpret_cast<const char*>(e.tail->bytes()), e.tail->size);
            note(kTagTree, 8, u8(key), key.size());
            return true;
        });
    }

    // --- restoring ---

    [[noreturn]] static void damaged() { fail("XX001", "state of an aggregation is damaged"); }

    static void prefetch_groups(const Table& groups, const uint64_t* hashes, int64_t n) {
        for (int64_t i = 0; i < n; ++i) groups.prefetch_slot(hashes[i]);
        for (int64_t i = 0; i < n; ++i) groups.prefetch_row(hashes[i]);
    }
    // hash: of a group's key, which is what follows the tag.
    void restore_entry(const uint8_t* k, size_t n, uint64_t hash, const uint8_t* v, size_t vn) {
        if (n < 1) damaged();
        const uint8_t tag = *k++;
        --n;
        int64_t end = 0;
        if (tag == kTagWatermark) {
            if (n != 0 || vn != 8) damaged();
            std::memcpy(&watermark_, v, 8);
            return;
        }
        if (tag == kTagGroup) {
            if (n < codec_.fixed_size() || (v && vn != row_size_)) damaged();
            if (config_.window >= 0) end = window_of_key(k);
        } else {
            if (n < 8) damaged();
            std::memcpy(&end, k, 8);
            k += 8, n -= 8;
        }
        if (!v && !windows_.count(end)) return;
        Window& w = window_at(end);
        if (tag == kTagGroup) {
            restore_row(w.groups, k, n, hash, v, vn);
            global_done_ |= config_.global && v;
            if (v) {
                uint64_t number;
                std::memcpy(&number, v + 8, 8);
                if (number >= next_number_) next_number_ = number + 1;
            }
        } else if (tag == kTagBlob) {
            if (n != 9) damaged();
            if (!w.blobs) w.blobs = std::make_unique<Table>(&arena_);
            restore_row(*w.blobs, k, n, Table::hash(k, n), v, vn);
        } else if (tag == kTagTree) {
            if (n < 16 || (v && vn != 8)) damaged();
            if (!w.tree) {
                w.tree = std::make_unique<BTree>(&arena_);
                w.touched = std::make_unique<Table>(&arena_);
            }
            int64_t weight = 0;
            if (v) std::memcpy(&weight, v, 8);
            const OrderedKey key = ordered_key(k, n);
            w.tree->add(key, weight - w.tree->get(key));
        } else {
            damaged();
        }
    }
    static void restore_row(Table& table, const uint8_t* k, size_t n, uint64_t h, const uint8_t* v, size_t vn) {
        if (!v) {
            table.erase(k, n, h);
            table.forget_deletions();
            return;
        }
        Row* row = table.upsert(k, n, h, vn);
        if (vn) std::memcpy(row->value(), v, vn);
        table.restored(row);
    }
    int64_t window_of_key(const uint8_t* key) const {
        const size_t c = size_t(config_.window);
        Column column;
        column.shape = Shape::Fixed;
        column.width = config_.keys[c].width;
        column.data = key + codec_.offset_of(c);
        return codec_.null_at(key, c) ? INT64_MAX : window_end(column, 0);
    }

    Arena arena_;
    GroupConfig config_;
    RowCodec codec_;
    std::vector<size_t> at_;
    size_t row_size_ = 0;
    bool ordered_ = false, global_done_ = false;
    std::vector<Layout> out_layouts_;
    std::map<int64_t, std::unique_ptr<Window>> windows_;
    Window* last_window_ = nullptr;
    int64_t last_end_ = 0;
    uint64_t next_number_ = 1;
    int64_t watermark_ = INT64_MIN;   // of the last barrier
    int64_t ended_ = INT64_MIN;       // of the one before it, in a barrier
    bool watermark_changed_ = false;
    Bytes dropped_;   // keys of windows that are gone, as Table's deleted ones
    Cursor cursor_;

    // the epoch's delta
    KeyIndex index_;
    std::vector<Accumulators> delta_;
    std::vector<int64_t> rows_, window_ends_;
    uint32_t noted_ = 1;               // groups known to note()
    struct Slice { uint32_t group; int64_t at; };
    std::vector<Slice> slices_;        // groups that are slices' and not windows'

    // scratch
    SlicePairs spread_;
    bool sliced_ = false;
    std::vector<uint32_t> group_, lengths_;
    std::vector<uint8_t> late_;
    std::vector<uint8_t*> pointers_, starts_;
    Bytes key_bytes_;
    bool any_late_ = false;
};

}  // namespace laminar::engine
