// Rows in order within partitions: the state of operators that look at a partition's rows, not at sums of them.
//
// A partition is a byte string with a number of its own; its entries lie in one B+ tree under
// (number, order, row). The order is the comparable form of ORDER BY, the row its compact form, which
// also settles ties. So the first n rows of a partition of any size cost n steps, and a change
// costs one descent. Entries that changed are named in a table until the next checkpoint.
#pragma once

#include <string>

#include "btree.hpp"
#include "statetable.hpp"

namespace laminar::engine {

// How many entries `limit` leaves.
enum class Rank {
    RowNumber,  // limit rows
    Rank,       // rows with fewer than limit rows before their peers
    DenseRank,  // the peers of the first limit orders
};

class OrderedRows {
  public:
    struct Found {
        std::vector<int64_t> partition, peer, weight;
    };

    // listed: whether due() will be asked for partitions.
    OrderedRows(const std::string& dir, bool listed)
        : arena_(dir), tree_(&arena_), names_(&arena_), partitions_(&arena_, false), touched_(&arena_), listed_(listed) {}

    void apply(const Column& partitions, const Column& orders, const Column& rows, const int64_t* weights) {
        for (int64_t i = 0; i < partitions.length; ++i) {
            const Slice partition = slice(partitions, i), order = slice(orders, i), row = slice(rows, i);
            encode(order, row);
            name_entry(partition);
            touched_.upsert(u8(name_), name_.size(), Table::hash(u8(name_), name_.size()), 0);
            add(partition, weights ? weights[i] : 1);
        }
    }

    // The first entries of each partition, in order; limit -1: all.
    void fetch(const Column& partitions, int64_t limit, Rank rank, Found& found, Builder& rows) {
        for (int64_t i = 0; i < partitions.length; ++i)
            scan(slice(partitions, i), limit, rank, false, [&](uint32_t order, int64_t peer, int64_t weight) {
                found.partition.push_back(i), found.peer.push_back(peer), found.weight.push_back(weight);
                rows.var(key_.data() + order, key_.size() - 4 - order);
            });
    }

    // Removes the entries that fetch would leave out.
    void trim(const Column& partitions, int64_t limit, Rank rank) {
        for (int64_t i = 0; i < partitions.length; ++i) {
            scan(slice(partitions, i), limit, rank, true, [](uint32_t, int64_t, int64_t) {});
            remove_rest(slice(partitions, i));
        }
    }

    // Removes all of these partitions' entries.
    void free(const Column& partitions) {
        for (int64_t i = 0; i < partitions.length; ++i) {
            const Slice partition = slice(partitions, i);
            const Row* group = find(partition);
            if (!group) continue;
            const uint64_t number = record(group).number;
            rest_.clear();
            tree_.ascend({number, 0}, [&](const BTree::Entry& e) {
                if (e.a != number) return false;
                decode(e);
                rest_.emplace_back(key_, e.weight);
                return true;
            });
            remove_rest(partition);
        }
    }

    // Partitions in [low, high) in memcmp order.
    void due(const std::string& low, const std::string& high, Builder& out) const {
        std::string text, tail;
        names_.ascend(text_key(0, low, tail), [&](const BTree::Entry& e) {
            restore_text(e, text);
            if (text >= high) return false;
            out.var(text.data(), text.size());
            return true;
        });
    }

    size_t entries() const { return tree_.entries(); }
    size_t bytes() const { return arena_.used(); }

    // The next few entries that changed since checkpointed(): name and weight, null when gone.
    bool changes(Table::Place& place, BatchBuilder& out) {
        size_t bytes = 0;
        touched_.changes(place, [&](const uint8_t* name, uint32_t n, const uint8_t*, uint32_t) {
            const Slice partition = parse(name, n);
            const Row* group = find(partition);
            const int64_t weight = group ? tree_.get(tree_key(record(group).number)) : 0;
            out.columns[0].var(name, n);
            if (weight) out.columns[1].var(&weight, 8);
            else out.columns[1].null();
            bytes += n + 24;
            return bytes < (size_t(4) << 20);
        });
        return out.columns[0].length() > 0;
    }
    void checkpointed() { touched_.clear(); }

    void restore(const Batch& entries) {
        if (entries.columns.size() != 2) damaged();
        for (const Layout& layout : entries.layouts)
            if (layout.shape != Shape::Var) damaged();
        const Column &names = entries.columns[0], &values = entries.columns[1];
        for (int64_t i = 0; i < names.length; ++i) {
            const Slice name = slice(names, i);
            const Slice partition = parse(name.p, name.n);
            int64_t weight = 0;
            if (!values.is_null(i)) {
                const Slice value = slice(values, i);
                if (value.n != 8) damaged();
                std::memcpy(&weight, value.p, 8);
            }
            const Row* group = find(partition);
            add(partition, weight - (group ? tree_.get(tree_key(record(group).number)) : 0));
        }
    }

  private:
    struct Slice {
        const uint8_t* p;
        size_t n;
    };
    struct Record {
        uint64_t number, entries;
    };
    [[noreturn]] static void damaged() { fail("XX001", "state of ordered rows is damaged"); }
    static const uint8_t* u8(const std::string& s) { return reinterpret_cast<const uint8_t*>(s.data()); }
    static Slice slice(const Column& c, int64_t i) {
        return {c.data + c.offsets[i], size_t(c.offsets[i + 1] - c.offsets[i])};
    }
    static Record record(const Row* row) {
        Record r;
        std::memcpy(&r, row->value(), sizeof r);
        return r;
    }
    static bool beyond(Rank rank, int64_t limit, int64_t seen, int64_t peers, bool same) {
        if (rank == Rank::RowNumber) return seen >= limit;
        if (same) return false;
        return (rank == Rank::Rank ? seen : peers) >= limit;
    }

    // --- keys: order, row, and the order's length behind them, in key_ ---

    void encode(Slice order, Slice row) {
        const auto size = uint32_t(order.n);
        key_.assign(reinterpret_cast<const char*>(order.p), order.n);
        key_.append(reinterpret_cast<const char*>(row.p), row.n);
        key_.append(reinterpret_cast<const char*>(&size), 4);
    }
    uint32_t decode(const BTree::Entry& e) {
        restore_text(e, key_);
        uint32_t order;
        std::memcpy(&order, key_.data() + key_.size() - 4, 4);
        return order;
    }
    // The first eight bytes inline, then how many of them count and the rest.
    static OrderedKey text_key(uint64_t group, const std::string& text, std::string& tail) {
        uint8_t head[8] = {};
        const size_t inlined = std::min<size_t>(8, text.size());
        std::memcpy(head, text.data(), inlined);
        uint64_t word;
        std::memcpy(&word, head, 8);
        tail.assign(1, char(inlined));
        tail.append(text, inlined, std::string::npos);
        return {group, __builtin_bswap64(word), u8(tail), uint32_t(tail.size())};
    }
    static void restore_text(const BTree::Entry& e, std::string& text) {
        const uint64_t head = __builtin_bswap64(e.b);
        text.assign(reinterpret_cast<const char*>(&head), e.tail->bytes()[0]);
        text.append(reinterpret_cast<const char*>(e.tail->bytes()) + 1, e.tail->size - 1);
    }
    OrderedKey tree_key(uint64_t number) { return text_key(number, key_, tail_); }

    // --- names: the partition's length, the partition, the key ---

    void name_entry(Slice partition) {
        const auto size = uint32_t(partition.n);
        name_.assign(reinterpret_cast<const char*>(&size), 4);
        name_.append(reinterpret_cast<const char*>(partition.p), partition.n);
        name_.append(key_);
    }
    // The partition of a name, whose key goes to key_.
    Slice parse(const uint8_t* name, size_t n) {
        uint32_t size;
        if (n < 4) damaged();
        std::memcpy(&size, name, 4);
        if (n < size_t(size) + 8) damaged();
        key_.assign(reinterpret_cast<const char*>(name) + 4 + size, n - 4 - size);
        uint32_t order;
        std::memcpy(&order, key_.data() + key_.size() - 4, 4);
        if (order > key_.size() - 4) damaged();
        return {name + 4, size};
    }

    // --- partitions ---

    // Calls f(order's length, peer group, weight) for the entries within the limit, their keys in key_;
    // with rest, the others go to rest_.
    template <class F> void scan(Slice partition, int64_t limit, Rank rank, bool rest, F f) {
        rest_.clear();
        const Row* group = find(partition);
        if (!group) return;
        const uint64_t number = record(group).number;
        int64_t seen = 0, peers = 0;
        std::string last;
        tree_.ascend({number, 0}, [&](const BTree::Entry& e) {
            if (e.a != number) return false;
            if (e.weight <= 0) return true;
            const uint32_t order = decode(e);
            const bool same = peers > 0 && last.size() == order && std::memcmp(last.data(), key_.data(), order) == 0;
            if (limit >= 0 && beyond(rank, limit, seen, peers, same)) {
                if (rest) rest_.emplace_back(key_, e.weight);
                return rest;
            }
            if (!same) last.assign(key_, 0, order), ++peers;
            int64_t weight = e.weight;
            if (limit >= 0 && rank == Rank::RowNumber && weight > limit - seen) {
                weight = limit - seen;
                if (rest) rest_.emplace_back(key_, e.weight - weight);
            }
            f(order, peers - 1, weight);
            seen += e.weight;
            return true;
        });
    }
    const Row* find(Slice partition) const {
        return partitions_.find(partition.p, partition.n, Table::hash(partition.p, partition.n));
    }
    // Adds weight to the entry whose key is in key_.
    void add(Slice partition, int64_t weight) {
        if (!weight) return;
        const uint64_t hash = Table::hash(partition.p, partition.n);
        bool created = false;
        Row* row = partitions_.upsert(partition.p, partition.n, hash, sizeof(Record), &created);
        Record r = record(row);
        if (created) {
            r = {next_number_++, 0};
            if (listed_) list(partition, 1);
        }
        const size_t before = tree_.entries();
        tree_.add(tree_key(r.number), weight);
        r.entries += tree_.entries() - before;  // wraps around, and back
        std::memcpy(row->value(), &r, sizeof r);
        if (r.entries) return;
        if (listed_) list(partition, -1);
        partitions_.erase(partition.p, partition.n, hash);
    }
    void list(Slice partition, int64_t weight) {
        std::string tail;
        names_.add(text_key(0, std::string(reinterpret_cast<const char*>(partition.p), partition.n), tail), weight);
    }
    void remove_rest(Slice partition) {
        for (auto& [key, weight] : rest_) {
            key_ = key;
            name_entry(partition);
            touched_.upsert(u8(name_), name_.size(), Table::hash(u8(name_), name_.size()), 0);
            add(partition, -weight);
        }
    }

    Arena arena_;
    BTree tree_, names_;
    Table partitions_, touched_;
    bool listed_;
    uint64_t next_number_ = 1;
    std::string key_, tail_, name_;
    std::vector<std::pair<std::string, int64_t>> rest_;
};

}  // namespace laminar::engine
