// The first rows of every partition of an input that only grows.
//
// A partition keeps at most `limit` rows, in order, in one array of slots beside the first eight bytes of
// what orders them, so that a row that does not make it costs one look-up and one comparison. A row of the
// batch at hand takes its slot as a number; only those that still have one when the batch is over are
// encoded. What a slot showed at the last barrier is kept with its row: the barrier emits differences of the
// touched partitions, each once however often it was touched.
#pragma once

#include "hashindex.hpp"
#include "rows.hpp"
#include "statetable.hpp"

namespace laminar::engine {

struct FirstRowsConfig {
    std::vector<Layout> columns;
    std::vector<int> keys;           // positions in columns of what partitions
    std::vector<int> order;          // of what orders; no lists
    std::vector<bool> descending;    // each of these
    int64_t limit = 1, offset = 0;   // ranks above offset up to limit are shown
    bool numbered = false;           // the rank is part of what is shown
};

class FirstRows {
  public:
    struct Found {
        ArrowArray batch;
        std::vector<int64_t> weights, ranks;
        bool all_ones = true;
    };

    FirstRows(const FirstRowsConfig& config, const std::string& dir)
        : config_(config), rows_(config.columns), key_codec_(layouts_of(config.keys)), arena_(dir), pool_(&arena_),
          groups_(&arena_) {
        if (config.limit < 0 || config.limit > kMost) fail("XX000", "too many first rows");
        for (size_t c = 0; c < config.columns.size(); ++c)
            if (config.columns[c].shape == Shape::Var || config.columns[c].shape == Shape::List) variables_.push_back(c);
    }
    ~FirstRows() {
        for (uint64_t place = 0;;) {
            place = groups_.each_from(place, [&](uint64_t, Group*& g) {
                for (uint32_t i = 0; i < g->count; ++i) release_large(kept(g->slots[i]));
                if (g->slot_class >= Pool::kLarge) pool_.release(g->slots, g->slot_class);
                if (g->cls >= Pool::kLarge) pool_.release(g, g->cls);
            });
            if (!place) break;
        }
        for (Kept* row : gone_)
            if (row) release_large(row);
    }

    void apply(const Batch& b, const int64_t* weights) {
        if (!config_.limit) return;
        batch_ = &b;
        find_keys();
        find_heads();
        constexpr int64_t kBlock = 32;
        for (int64_t from = 0; from < b.rows; from += kBlock) {
            const int64_t end = std::min(b.rows, from + kBlock);
            for (int64_t i = from; i < end; ++i) groups_.prefetch_slot(hash_[size_t(i)]);
            for (int64_t i = from; i < end; ++i) groups_.prefetch_entry(hash_[size_t(i)]);
            for (int64_t i = from; i < end; ++i) {
                const int64_t weight = weights ? weights[i] : 1;
                if (weight < 0) fail("XX000", "deletion from an input that only grows");
                for (int64_t n = 0; n < weight && n < config_.limit; ++n)
                    if (!add(size_t(i))) break;
            }
        }
        keep_pending();
        batch_ = nullptr;
    }

    // Some of what the epoch changed in what is shown; false when there is no more.
    bool next(Found& out) {
        std::vector<const uint8_t*> at;
        std::vector<uint32_t> sizes;
        auto put = [&](const Kept* row, int64_t rank, int64_t weight) {
            at.push_back(row->bytes()), sizes.push_back(row->size);
            out.weights.push_back(weight);
            if (config_.numbered) out.ranks.push_back(rank);
            out.all_ones &= weight == 1;
        };
        const size_t first_gone = gone_at_;
        for (; gone_at_ < gone_.size() && at.size() < kChunk; ++gone_at_) put(gone_[gone_at_], gone_[gone_at_]->shown, -1);
        for (; touched_at_ < touched_.size() && at.size() < kChunk; ++touched_at_) differ(touched_[touched_at_], put);
        if (at.empty()) {
            gone_.clear(), touched_.clear();
            gone_at_ = touched_at_ = 0;
            return false;
        }
        BatchBuilder builder(config_.columns);
        rows_.decode(at.data(), sizes.data(), int64_t(at.size()), builder.columns.data());
        builder.finish(&out.batch, int64_t(at.size()));
        for (size_t i = first_gone; i < gone_at_; ++i) free(std::exchange(gone_[i], nullptr));
        return true;
    }

    // Entries are partitions: the key, and its rows behind their lengths.
    bool checkpoint(BatchBuilder& out) {
        size_t bytes = 0;
        Bytes value;
        while (handed_ < changed_.size() && bytes < size_t(4) << 20) {
            Group* g = changed_[handed_++];
            g->flags &= uint16_t(~kChanged);
            value.size = 0;
            for (uint32_t i = 0; i < g->count; ++i) {
                const Kept* row = kept(g->slots[i]);
                value.append(&row->size, 4);
                value.append(row->bytes(), row->size);
            }
            out.columns[0].var(g->key(), g->key_size);
            out.columns[1].var(value.p, value.size);
            bytes += g->key_size + value.size + 16;
        }
        if (bytes) return true;
        changed_.clear();
        handed_ = 0;
        return false;
    }

    void restore(const Batch& entries) {
        if (entries.columns.size() != 2) damaged();
        for (const Layout& layout : entries.layouts)
            if (layout.shape != Shape::Var) damaged();
        const Column &keys = entries.columns[0], &values = entries.columns[1];
        for (int64_t i = 0; i < keys.length; ++i) {
            if (values.is_null(i)) damaged();
            const uint8_t* key = keys.data + keys.offsets[i];
            const auto size = uint32_t(keys.offsets[i + 1] - keys.offsets[i]);
            Group* g = group(key, size, Table::hash(key, size));
            while (g->count) free(kept(g->slots[--g->count])), --entries_;
            const uint8_t *p = values.data + values.offsets[i], *end = values.data + values.offsets[i + 1];
            while (p < end) {
                uint32_t n;
                if (end - p < 4) damaged();
                std::memcpy(&n, p, 4), p += 4;
                if (n > size_t(end - p) || n < rows_.fixed_size() || g->count >= config_.limit) damaged();
                Kept* row = make(n);
                std::memcpy(row->bytes(), p, n), p += n;
                reserve(g);
                row->shown = rank_at(g->count);
                g->slots[g->count++] = {head_of(row), reinterpret_cast<uintptr_t>(row)};
                ++entries_;
            }
        }
    }

    size_t entries() const { return entries_; }
    size_t bytes() const { return arena_.used(); }

    static constexpr int64_t kMost = 1000;

  private:
    struct Kept {
        uint32_t size;
        uint16_t cls, unused;
        uint32_t shown;  // the rank that is shown, 1 where ranks are not; 0: not shown
        uint32_t unused2;
        uint8_t* bytes() { return reinterpret_cast<uint8_t*>(this + 1); }
        const uint8_t* bytes() const { return reinterpret_cast<const uint8_t*>(this + 1); }
    };
    struct Slot {
        uint64_t head;
        uintptr_t at;  // a Kept, or a number of the batch's rows shifted left, and 1
        bool pending() const { return at & 1; }
    };
    struct Group {
        Slot* slots;
        Slot one;  // while there is but one
        uint32_t count, capacity, key_size;
        uint16_t cls, slot_class, flags;
        uint8_t* key() { return reinterpret_cast<uint8_t*>(this + 1); }
    };
    static constexpr uint16_t kTouched = 1, kPending = 2, kChanged = 4;
    static constexpr size_t kChunk = 32768;

    [[noreturn]] static void damaged() { fail("XX001", "state of first rows is damaged"); }
    static Kept* kept(const Slot& s) { return reinterpret_cast<Kept*>(s.at); }
    std::vector<Layout> layouts_of(const std::vector<int>& places) const {
        std::vector<Layout> out;
        for (int c : places) out.push_back(config_.columns[size_t(c)]);
        return out;
    }
    uint32_t rank_at(uint32_t place) const {
        if (place < config_.offset) return 0;
        return config_.numbered ? place + 1 : 1;
    }

    // --- the batch's keys and heads ---

    void find_keys() {
        const auto n = size_t(batch_->rows);
        std::vector<const Column*> columns;
        for (int c : config_.keys) columns.push_back(&batch_->columns[size_t(c)]);
        length_.resize(n), key_.resize(n), hash_.resize(n), scratch_.resize(n);
        key_codec_.measure(columns.data(), batch_->rows, length_.data());
        size_t total = 0;
        for (uint32_t length : length_) total += length;
        key_bytes_.size = 0;
        uint8_t* p = key_bytes_.grow(total);
        for (size_t i = 0; i < n; ++i) key_[i] = scratch_[i] = p, p += length_[i];
        key_codec_.encode(columns.data(), batch_->rows, scratch_.data());
        for (size_t i = 0; i < n; ++i) hash_[i] = Table::hash(key_[i], length_[i]);
    }
    void find_heads() {
        const auto n = size_t(batch_->rows);
        head_.assign(n, 0);
        if (config_.order.empty()) return;
        const Column& c = batch_->columns[size_t(config_.order[0])];
        for (size_t i = 0; i < n; ++i) head_[i] = head(c, int64_t(i));
    }
    // Grows, not strictly, with the value by the first order.
    uint64_t head(const Column& c, int64_t i) {
        uint64_t value = 0;
        if (c.shape == Shape::Fixed && c.width == 8 && c.order == Order::Signed) {
            value = c.is_null(i) ? UINT64_MAX : c.load<uint64_t>(i) ^ uint64_t(1) << 63;
        } else {
            bytes_.size = 0;
            put_comparable(c, i, bytes_);
            uint8_t first[8] = {};
            std::memcpy(first, bytes_.p, std::min<size_t>(8, bytes_.size));
            std::memcpy(&value, first, 8);
            value = __builtin_bswap64(value);
        }
        return config_.descending[0] ? ~value : value;
    }
    uint64_t head_of(const Kept* row) {
        if (config_.order.empty()) return 0;
        View view;
        view_of(row, size_t(config_.order[0]), view);
        return head(view.column, 0);
    }

    // --- the order of two slots ---

    // One value of a row, as a column of length 1.
    struct View {
        Column column;
        int32_t offsets[2];
    };
    void view_of(const Kept* row, size_t c, View& out) const {
        static const uint8_t none = 0;
        const Layout& layout = config_.columns[c];
        out.column.shape = layout.shape, out.column.order = layout.order, out.column.width = layout.width;
        out.column.length = 1;
        out.column.valid = rows_.null_at(row->bytes(), c) ? &none : nullptr;
        out.column.data = row->bytes() + rows_.offset_of(c);
        if (layout.shape != Shape::Var) return;
        const uint8_t *p = row->bytes() + rows_.fixed_size(), *end = row->bytes() + row->size;
        uint32_t n = 0;
        for (size_t v : variables_) {
            p = get_varint(p, end, n);
            if (n > size_t(end - p)) damaged();
            if (v == c) break;
            p += n;
        }
        out.offsets[0] = 0, out.offsets[1] = int32_t(n);
        out.column.offsets = out.offsets, out.column.data = p;
    }
    void put_order(const Slot& s, size_t k, Bytes& out) const {
        const auto c = size_t(config_.order[k]);
        out.size = 0;
        if (s.pending()) return put_comparable(batch_->columns[c], int64_t(s.at >> 1), out);
        View view;
        view_of(kept(s), c, view);
        put_comparable(view.column, 0, out);
    }
    static int compare(const uint8_t* a, size_t n, const uint8_t* b, size_t m) {
        const int c = std::min(n, m) ? std::memcmp(a, b, std::min(n, m)) : 0;
        return c ? c : n < m ? -1 : n > m;
    }
    // By the order, then by the row itself.
    bool less(const Slot& a, const Slot& b) {
        if (a.head != b.head) return a.head < b.head;
        for (size_t k = 0; k < config_.order.size(); ++k) {
            put_order(a, k, bytes_), put_order(b, k, others_);
            const int c = compare(bytes_.p, bytes_.size, others_.p, others_.size);
            if (c) return (c < 0) != config_.descending[k];
        }
        const uint8_t *x = row_of(a, bytes_), *y = row_of(b, others_);
        return compare(x, size_of(a, bytes_), y, size_of(b, others_)) < 0;
    }
    const uint8_t* row_of(const Slot& s, Bytes& scratch) {
        if (!s.pending()) return kept(s)->bytes();
        scratch.size = 0;
        const auto i = int64_t(s.at >> 1);
        rows_.encode_row(batch_->columns, i, scratch.grow(rows_.measure_row(batch_->columns, i)));
        return scratch.p;
    }
    static size_t size_of(const Slot& s, const Bytes& scratch) { return s.pending() ? scratch.size : kept(s)->size; }

    // --- partitions ---

    Group* group(const uint8_t* key, uint32_t size, uint64_t hash) {
        Group** found = groups_.find(hash, [&](Group* g) {
            return g->key_size == size && std::memcmp(g->key(), key, size) == 0;
        });
        if (found) return *found;
        const uint16_t cls = Pool::class_of(sizeof(Group) + size);
        auto* g = static_cast<Group*>(pool_.alloc(cls));
        *g = Group{&g->one, {}, 0, 1, size, cls, 0, 0};
        if (size) std::memcpy(g->key(), key, size);
        groups_.insert(hash, g);
        return g;
    }
    // Whether the row is among the first.
    bool add(size_t i) {
        Group* g = group(key_[i], length_[i], hash_[i]);
        const Slot slot{head_[i], uintptr_t(i) << 1 | 1};
        if (g->count == config_.limit) {
            if (!less(slot, g->slots[g->count - 1])) return false;
            drop(g->slots[--g->count]);
            --entries_;
        }
        uint32_t at = g->count;
        while (at && less(slot, g->slots[at - 1])) --at;
        reserve(g);
        std::memmove(g->slots + at + 1, g->slots + at, (g->count - at) * sizeof(Slot));
        g->slots[at] = slot;
        ++g->count, ++entries_;
        if (!(g->flags & kPending)) pending_.push_back(g);
        if (!(g->flags & kTouched)) touched_.push_back(g);
        if (!(g->flags & kChanged)) changed_.push(g);
        g->flags |= kPending | kTouched | kChanged;
        return true;
    }
    // Room for one more slot.
    void reserve(Group* g) {
        if (g->count < g->capacity) return;
        const auto capacity = uint32_t(std::min<int64_t>(config_.limit, int64_t(g->capacity) * 2));
        const uint16_t cls = Pool::class_of(capacity * sizeof(Slot));
        auto* slots = static_cast<Slot*>(pool_.alloc(cls));
        std::memcpy(slots, g->slots, g->count * sizeof(Slot));
        if (g->slots != &g->one) pool_.release(g->slots, g->slot_class);
        g->slots = slots, g->slot_class = cls, g->capacity = capacity;
    }
    void drop(const Slot& s) {
        if (s.pending()) return;
        if (kept(s)->shown) gone_.push_back(kept(s));
        else free(kept(s));
    }
    void keep_pending() {
        for (Group* g : pending_) {
            g->flags &= uint16_t(~kPending);
            for (uint32_t i = 0; i < g->count; ++i) {
                if (!g->slots[i].pending()) continue;
                const auto row = int64_t(g->slots[i].at >> 1);
                Kept* made = make(rows_.measure_row(batch_->columns, row));
                rows_.encode_row(batch_->columns, row, made->bytes());
                g->slots[i].at = reinterpret_cast<uintptr_t>(made);
            }
        }
        pending_.clear();
    }
    template <class F> void differ(Group* g, F put) {
        g->flags &= uint16_t(~kTouched);
        for (uint32_t i = 0; i < g->count; ++i) {
            Kept* row = kept(g->slots[i]);
            const uint32_t rank = rank_at(i);
            if (row->shown == rank) continue;
            if (row->shown) put(row, row->shown, -1);
            if (rank) put(row, rank, 1);
            row->shown = rank;
        }
    }

    Kept* make(uint32_t size) {
        const uint16_t cls = Pool::class_of(sizeof(Kept) + size);
        auto* row = static_cast<Kept*>(pool_.alloc(cls));
        *row = {size, cls, 0, 0, 0};
        return row;
    }
    void free(Kept* row) { pool_.release(row, row->cls); }
    void release_large(Kept* row) {
        if (row->cls >= Pool::kLarge) free(row);
    }

    FirstRowsConfig config_;
    RowCodec rows_, key_codec_;
    std::vector<size_t> variables_;  // columns of varying length
    Arena arena_;
    Pool pool_;
    HashIndex<Group> groups_;
    size_t entries_ = 0;
    std::vector<Group*> touched_, pending_;  // in this epoch; in this batch
    std::vector<Kept*> gone_;                // shown at the last barrier, no longer among the first
    size_t gone_at_ = 0, touched_at_ = 0, handed_ = 0;
    ChunkedList<Group*> changed_;            // since the last checkpoint

    const Batch* batch_ = nullptr;
    std::vector<uint32_t> length_;
    std::vector<uint8_t*> key_, scratch_;
    std::vector<uint64_t> hash_, head_;
    Bytes key_bytes_, bytes_, others_;
};

}  // namespace laminar::engine
