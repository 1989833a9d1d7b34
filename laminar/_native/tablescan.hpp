// Entries of a table or tree into record batches (key, value), a few thousand at a time.
#pragma once

#include "btree.hpp"
#include "statetable.hpp"

namespace laminar::engine {

constexpr size_t kScanBytes = size_t(4) << 20;

// Pages from `place` on until about 4 MB are filled; returns where to go on, 0 at the end.
inline size_t scan_table(const Table& table, size_t place, const uint8_t* prefix, size_t n, BatchBuilder& out) {
    size_t bytes = 0;
    do {
        place = table.each_from(place, [&](const Row* row) {
            if (row->klen < n || (n && std::memcmp(row->key(), prefix, n) != 0)) return;
            out.columns[0].var(row->key(), row->klen);
            out.columns[1].var(row->value(), row->vlen);
            bytes += row->klen + row->vlen + 16;
        });
    } while (place && bytes < kScanBytes);
    return place;
}

// Changed entries, deletions first with a null value; false once all have been given.
inline bool table_changes(Table& table, Table::Place& place, BatchBuilder& out) {
    size_t bytes = 0;
    table.changes(place, [&](const uint8_t* key, uint32_t n, const uint8_t* value, uint32_t vn) {
        out.columns[0].var(key, n);
        if (value) out.columns[1].var(value, vn);
        else out.columns[1].null();
        bytes += n + vn + 16;
        return bytes < kScanBytes;
    });
    return out.columns[0].length() > 0;
}

// Values by key; null where there is none.
inline void get_many(const Table& table, const Column& keys, Builder& out) {
    constexpr int64_t kBlock = 32;
    uint64_t hashes[kBlock];
    for (int64_t start = 0; start < keys.length; start += kBlock) {
        const int64_t n = std::min(kBlock, keys.length - start);
        auto key = [&](int64_t i) { return keys.data + keys.offsets[start + i]; };
        auto size = [&](int64_t i) { return size_t(keys.offsets[start + i + 1] - keys.offsets[start + i]); };
        for (int64_t i = 0; i < n; ++i) {
            hashes[i] = Table::hash(key(i), size(i));
            table.prefetch_slot(hashes[i]);
        }
        for (int64_t i = 0; i < n; ++i) table.prefetch_row(hashes[i]);
        for (int64_t i = 0; i < n; ++i) {
            const Row* row = table.find(key(i), size(i), hashes[i]);
            if (row) out.var(row->value(), row->vlen);
            else out.null();
        }
    }
}

// Puts values by key; a null value deletes.
inline void put_many(Table& table, const Column& keys, const Column& values, bool restoring) {
    constexpr int64_t kBlock = 32;
    uint64_t hashes[kBlock];
    for (int64_t start = 0; start < keys.length; start += kBlock) {
        const int64_t n = std::min(kBlock, keys.length - start);
        auto key = [&](int64_t i) { return keys.data + keys.offsets[start + i]; };
        auto size = [&](int64_t i) { return size_t(keys.offsets[start + i + 1] - keys.offsets[start + i]); };
        for (int64_t i = 0; i < n; ++i) {
            hashes[i] = Table::hash(key(i), size(i));
            table.prefetch_slot(hashes[i]);
        }
        for (int64_t i = 0; i < n; ++i) table.prefetch_row(hashes[i]);
        for (int64_t i = 0; i < n; ++i) {
            const int64_t r = start + i;
            if (values.is_null(r)) {
                table.erase(key(i), size(i), hashes[i]);
                continue;
            }
            const size_t vlen = size_t(values.offsets[r + 1] - values.offsets[r]);
            Row* row = table.upsert(key(i), size(i), hashes[i], vlen);
            if (vlen) std::memcpy(row->value(), values.data + values.offsets[r], vlen);
            if (restoring) table.restored(row);
        }
    }
    if (restoring) table.forget_deletions();
}

// --- ordered table: byte strings with weights ---------------------------------------------------

// Any byte string as a tree key: 16 bytes inline, then how many of them count and the rest.
struct StringKey {
    OrderedKey key{};
    std::string tail;

    StringKey(const uint8_t* p, size_t n) {
        uint8_t head[16] = {};
        const size_t inlined = n < 16 ? n : 16;
        if (inlined) std::memcpy(head, p, inlined);
        key.a = __builtin_bswap64(read8(head));
        key.b = __builtin_bswap64(read8(head + 8));
        tail.push_back(char(inlined));
        tail.append(reinterpret_cast<const char*>(p) + inlined, n - inlined);
        key.tail = reinterpret_cast<const uint8_t*>(tail.data());
        key.size = uint32_t(tail.size());
    }
    static void restore(const BTree::Entry& e, std::string& out) {
        const uint64_t head[2] = {__builtin_bswap64(e.a), __builtin_bswap64(e.b)};
        out.assign(reinterpret_cast<const char*>(head), e.tail->bytes()[0]);
        out.append(reinterpret_cast<const char*>(e.tail->bytes()) + 1, e.tail->size - 1);
    }
};

// A sorted multiset with a list of changed keys.
class OrderedStrings {
  public:
    explicit OrderedStrings(const std::string& dir) : arena_(dir), tree_(&arena_), touched_(&arena_) {}

    int64_t add(const uint8_t* p, size_t n, int64_t weight) {
        touched_.upsert(p, n, Table::hash(p, n), 0);
        return tree_.add(StringKey(p, n).key, weight);
    }
    void add_all(const Column& keys, const int64_t* weights) {
        for (int64_t i = 0; i < keys.length; ++i)
            add(keys.data + keys.offsets[i], size_t(keys.offsets[i + 1] - keys.offsets[i]), weights[i]);
    }
    int64_t get(const uint8_t* p, size_t n) const {
        const StringKey k(p, n);
        return tree_.get(k.key);
    }
    // All keys below `high` with their weights, which are removed.
    int64_t take(const std::string& high, BatchBuilder& out) {
        std::vector<std::pair<std::string, int64_t>> found;
        std::string text;
        const uint8_t lowest[1] = {0};
        tree_.ascend(StringKey(lowest, 0).key, [&](const BTree::Entry& e) {
            StringKey::restore(e, text);
            if (text >= high) return false;
            found.emplace_back(text, e.weight);
            return true;
        });
        for (const auto& [key, weight] : found) {
            out.columns[0].var(key.data(), key.size());
            out.columns[1].fixed(&weight);
            add(reinterpret_cast<const uint8_t*>(key.data()), key.size(), -weight);
        }
        return int64_t(found.size());
    }
    // Up to `limit` keys of [low, high) with their weights; high empty: no bound.
    void range(const std::string& low, const std::string& high, bool bounded, bool descending, int64_t limit,
               BatchBuilder& out) const {
        std::string text;
        auto take = [&](const BTree::Entry& e) {
            StringKey::restore(e, text);
            if (descending ? text < low : bounded && text >= high) return false;
            out.columns[0].var(text.data(), text.size());
            out.columns[1].fixed(&e.weight);
            return --limit > 0;
        };
        if (limit <= 0) return;
        if (!descending) {
            const StringKey from(reinterpret_cast<const uint8_t*>(low.data()), low.size());
            tree_.ascend(from.key, take);
        } else if (bounded) {
            const StringKey to(reinterpret_cast<const uint8_t*>(high.data()), high.size());
            tree_.descend(to.key, take);
        } else {
            const uint8_t above[1] = {0xff};  // no tail begins with this
            tree_.descend({UINT64_MAX, UINT64_MAX, above, 1}, take);
        }
    }
    // Calls f(key, weight) for keys from low on, or for keys below high downwards, while it returns true.
    template <class F> void from(const std::string& low, F f) const {
        const StringKey k(reinterpret_cast<const uint8_t*>(low.data()), low.size());
        tree_.ascend(k.key, Text<F>{f});
    }
    template <class F> void below(const std::string& high, F f) const {
        const StringKey k(reinterpret_cast<const uint8_t*>(high.data()), high.size());
        tree_.descend(k.key, Text<F>{f});
    }
    // Weights of the keys changed since checkpointed(), null when gone.
    bool changes(Table::Place& place, BatchBuilder& out, const std::string& prefix = {}) {
        size_t bytes = 0;
        std::string name;
        touched_.changes(place, [&](const uint8_t* key, uint32_t n, const uint8_t*, uint32_t) {
            const int64_t weight = get(key, n);
            name.assign(prefix).append(reinterpret_cast<const char*>(key), n);
            out.columns[0].var(name.data(), name.size());
            if (weight) out.columns[1].var(&weight, 8);
            else out.columns[1].null();
            bytes += n + 24;
            return bytes < kScanBytes;
        });
        return out.columns[0].length() > 0;
    }
    void checkpointed() { touched_.clear(); }
    void restore(const uint8_t* p, size_t n, int64_t weight) {
        const StringKey k(p, n);
        tree_.add(k.key, weight - tree_.get(k.key));
    }
    size_t entries() const { return tree_.entries(); }
    size_t bytes() const { return arena_.used(); }

  private:
    template <class F> struct Text {
        F& f;
        std::string text{};
        bool operator()(const BTree::Entry& e) {
            StringKey::restore(e, text);
            return f(text, e.weight);
        }
    };

    Arena arena_;
    BTree tree_;
    Table touched_;
};

}  // namespace laminar::engine
