// One input of a join: its rows as nodes, chained by key.
//
// A side that can delete also finds its nodes by the whole row, so that a deletion costs the same
// however many rows share the key.
//
// Outer, semi and anti joins show rows of a side by themselves: those without a match, or those
// with one. How many a row has is kept with the row where a condition besides the keys decides
// (count_rows), else with the key on the other side (count_keys). What was shown before the epoch
// is noted when a row or key is first touched in it, so that the barrier emits differences only,
// whatever order the changes came in.
//
// A side with a time lets go of rows once the watermark says that nothing can meet them any more.
#pragma once

#include <unordered_map>

#include "columnpart.hpp"
#include "joinnode.hpp"

namespace laminar::engine {

// Which rows of a side are emitted by themselves.
enum class Shown : uint8_t { Nothing, Unmatched, Matched };

struct JoinSideConfig {
    std::vector<Layout> columns;
    std::vector<int> keys;          // positions in columns
    bool append_only = false;
    Shown shown = Shown::Nothing;
    bool count_rows = false;        // every row knows how many of the other side match it
    bool count_keys = false;        // every key knows how many rows it has, for the other side
    bool keys_only = false;         // the columns are the keys: one node per key
    int time = -1;                  // position of the int64 by which rows expire; null matches nothing
};

// A key that is counted.
struct JoinKey {
    JoinNode* head;
    int64_t count;              // sum of the weights
    uint32_t size;
    uint16_t cls, flags;

    static constexpr uint16_t kTouched = 1, kHadRows = 2;  // in this epoch; before it
    uint8_t* bytes() { return reinterpret_cast<uint8_t*>(this + 1); }
    const uint8_t* bytes() const { return reinterpret_cast<const uint8_t*>(this + 1); }
};

class JoinSide {
  public:
    JoinSide(Arena* arena, const JoinSideConfig& config, const std::vector<bool>& null_safe)
        : config_(config), null_safe_(null_safe), rows_(config.columns), key_codec_(key_layouts(config)),
          key_of_(rows_, key_codec_, config.keys), nodes_(needs(config, rows_), rows_.fixed_size()), pool_(arena),
          keys_(arena), identity_(arena) {}

    void meet(const JoinSide* other) { other_ = other; }

    struct Keys {  // of a batch's rows
        std::vector<uint8_t*> at, scratch;
        std::vector<uint32_t> length;
        std::vector<uint64_t> hash;   // 0: a null that matches nothing
        Bytes bytes;
    };

    void encode_keys(const Batch& b, Keys& k) const {
        const size_t n = size_t(b.rows);
        std::vector<const Column*> columns;
        for (int c : config_.keys) columns.push_back(&b.columns[size_t(c)]);
        k.at.resize(n), k.scratch.resize(n), k.length.resize(n), k.hash.resize(n);
        key_codec_.measure(columns.data(), b.rows, k.length.data());
        size_t total = 0;
        for (uint32_t length : k.length) total += length;
        k.bytes.size = 0;
        uint8_t* p = k.bytes.grow(total);
        for (size_t i = 0; i < n; ++i) k.at[i] = k.scratch[i] = p, p += k.length[i];
        key_codec_.encode(columns.data(), b.rows, k.scratch.data());
        for (size_t i = 0; i < n; ++i) k.hash[i] = Table::hash(k.at[i], k.length[i]);
        for (size_t c = 0; c < columns.size(); ++c)
            if (!null_safe_[c]) without_nulls(*columns[c], k);
        if (config_.time >= 0) without_nulls(b.columns[size_t(config_.time)], k);
    }

    // The first nodes of the keys [from, to), nullptr where there are none.
    void heads(const Keys& k, size_t from, size_t to, JoinNode** heads) const {
        fetch(k, from, to);
        for (size_t i = from; i < to; ++i) {
            void* const* found = k.hash[i] ? find_key(k.at[i], k.length[i], k.hash[i]) : nullptr;
            heads[i - from] = found ? head_of(*found) : nullptr;
            if (found && config_.count_keys) __builtin_prefetch(heads[i - from]);
        }
    }

    // What a checkpoint knows of nodes besides their rows and weights.
    struct Restored {
        const uint64_t* sequences;
        const int64_t* matches;
    };

    // Adds a batch's rows. With count_rows, made_[i] is the last node that row i made, nullptr if it was there.
    void add(const Batch& b, const Keys& k, const int64_t* weights, const Restored* restored = nullptr) {
        const size_t n = size_t(b.rows);
        std::vector<const Column*> columns;
        for (const Column& c : b.columns) columns.push_back(&c);
        sizes_.resize(n), at_.resize(n), start_.resize(n);
        rows_.measure(columns.data(), b.rows, sizes_.data());
        if (config_.count_rows) made_.assign(n, nullptr);
        // By blocks, whose bytes are still in the cache when they are copied into nodes: a bid of Nexmark's q20
        // costs 170 ns so, 260 when all of a batch's 64K rows are encoded first.
        constexpr size_t kBlock = 128;
        std::vector<Column> parts(columns.size());
        for (size_t from = 0; from < n; from += kBlock) {
            const size_t end = std::min(n, from + kBlock);
            fetch(k, from, end);
            size_t total = 0;
            for (size_t i = from; i < end; ++i) total += sizes_[i];
            row_bytes_.size = 0;
            uint8_t* p = row_bytes_.grow(total);
            for (size_t i = from; i < end; ++i) at_[i] = start_[i] = p, p += sizes_[i];
            for (size_t c = 0; c < parts.size(); ++c) parts[c] = from_row(b.columns[c], int64_t(from)), columns[c] = &parts[c];
            rows_.encode(columns.data(), int64_t(end - from), at_.data() + from);
            for (size_t i = from; i < end; ++i)
                if (k.hash[i]) add_row(k, i, weights ? weights[i] : 1, restored);
        }
    }

    int64_t weight(const JoinNode* node) const { return nodes_.weight(node); }
    const uint8_t* row(const JoinNode* node) const { return nodes_.row(node); }
    uint32_t size(const JoinNode* node) const { return nodes_.size(node); }
    int64_t matches(const JoinNode* node) const { return nodes_.matches(node); }

    // A row has more or fewer matches.
    void match(JoinNode* node, int64_t by) {
        note(node);
        nodes_.matches(node) += by;
        touch(node);
    }

    // The same for what row i of the batch, with this weight, made: as many nodes if the side only grows.
    void match_made(size_t i, int64_t weight, int64_t by) {
        JoinNode* node = made_[i];
        for (int64_t n = config_.append_only ? weight : 1; node && n > 0; --n, node = node->next) match(node, by);
    }

    // Calls f(node, weight) for the rows whose showing changed in this epoch, by how much.
    template <class F> void differences(F f) const {
        if (config_.shown == Shown::Nothing) return;
        if (!config_.count_rows) {
            for (size_t i = 0; i < other_->touched_keys_.size(); ++i) {
                const JoinKey* key = other_->touched_keys_[i];
                const bool has = key->count > 0;
                if (has == bool(key->flags & JoinKey::kHadRows)) continue;
                void* const* own = find_key(key->bytes(), key->size, Table::hash(key->bytes(), key->size));
                for (JoinNode* node = own ? head_of(*own) : nullptr; node; node = node->next)
                    if (!(nodes_.flags(node) & kTouched) && weight(node)) f(node, shows(has) ? weight(node) : -weight(node));
            }
        }
        for (size_t i = 0; i < touched_.size(); ++i) {
            const Touched& t = touched_[i];
            const int64_t by = (shows(has_match(t.node, false)) ? weight(t.node) : 0) - t.before;
            if (by) f(t.node, by);
        }
    }
    // The epoch is over: what it touched is forgotten, rows without weight go.
    void settle() {
        for (size_t i = 0; i < touched_.size(); ++i) {
            JoinNode* node = touched_[i].node;
            nodes_.flags(node) &= ~kTouched;
            if (!weight(node)) remove(node);
        }
        touched_.clear();
        for (size_t i = 0; i < touched_keys_.size(); ++i) {
            JoinKey* key = touched_keys_[i];
            key->flags = 0;
            if (!key->head) forget_key(key);
        }
        touched_keys_.clear();
    }

    // Frees some of the rows whose time is not after the bound, in proportion to what was added, so
    // that no barrier waits for all of them; eventually all.
    void expire(int64_t bound) {
        if (bound > bound_) bound_ = bound, stale_ = true;
        if (!stale_ && !sweep_) return;
        const size_t budget = std::max<size_t>(16384, 4 * added_);
        added_ = 0;
        size_t seen = 0;
        do {
            if (!sweep_) stale_ = false;  // what expires from now on needs another round
            sweep_ = sweep(sweep_, seen);
        } while (sweep_ && seen < budget);
    }

    const JoinSideConfig& config() const { return config_; }
    const RowCodec& codec() const { return rows_; }
    size_t entries() const { return entries_; }
    // Whether checkpoints name nodes by their rows, else by a number.
    bool named_by_rows() const { return !config_.append_only || config_.keys_only; }

    // f(name, its size, node or nullptr) for what changed since checkpointed().
    template <class F> bool changes(Table::Place& place, F f) {
        while (place.deleted < deleted_.size) {
            uint32_t n;
            std::memcpy(&n, deleted_.p + place.deleted, 4);
            const uint8_t* name = deleted_.p + place.deleted + 4;
            place.deleted += 4 + n;
            if (!f(name, n, static_cast<const JoinNode*>(nullptr))) return false;
        }
        while (place.changed < changed_.size()) {
            JoinNode* node = changed_[place.changed++];
            const uint64_t sequence = nodes_.has_sequence() ? nodes_.sequence(node) : next_sequence_;
            if (!nodes_.has_sequence()) ++next_sequence_;
            const bool more = named_by_rows() ? f(row(node), size(node), node)
                                              : f(reinterpret_cast<const uint8_t*>(&sequence), 8u, node);
            if (!more) return false;
        }
        return true;
    }
    void checkpointed() {
        for (size_t i = 0; nodes_.has_state() && i < changed_.size(); ++i) {
            nodes_.dirty(changed_[i]) = 0;
            nodes_.flags(changed_[i]) |= kPersisted;
        }
        changed_.clear();
        deleted_.size = 0;
    }

    // Restoring: a node of an earlier segment is gone, or has another number of matches.
    void restore_gone(const uint8_t* name, uint32_t n) {
        JoinNode* node = nullptr;
        if (config_.keys_only) {
            thread_local Bytes key;
            const uint32_t length = key_of_.extract(name, n, key);
            void* const* found = find_key(key.p, length, Table::hash(key.p, length));
            node = found ? head_of(*found) : nullptr;
        } else if (named_by_rows()) {
            node = find_twin(Table::hash(name, n), name, n);
        } else if (auto it = restoring_.find(read8(name)); n == 8 && it != restoring_.end()) {
            node = it->second;
            restoring_.erase(it);
        }
        if (!node) return;
        if (!nodes_.has_state()) damaged();
        remove(node);
        deleted_.size = 0;
    }
    bool restore_matches(uint64_t sequence, int64_t matches) {
        auto it = restoring_.find(sequence);
        if (it == restoring_.end()) return false;
        if (nodes_.has_matches()) nodes_.matches(it->second) = matches;
        return true;
    }
    void restored() { restoring_.clear(); }

  private:
    static constexpr uint32_t kTouched = 1, kPersisted = 2;  // flags of a node
    struct Touched {
        JoinNode* node;
        int64_t before;  // weight shown before the epoch
    };

    [[noreturn]] static void damaged() { fail("XX001", "state of a join is damaged"); }
    static std::vector<Layout> key_layouts(const JoinSideConfig& config) {
        std::vector<Layout> out;
        for (int c : config.keys) out.push_back(config.columns[size_t(c)]);
        return out;
    }
    static NodeFormat::Needs needs(const JoinSideConfig& c, const RowCodec& rows) {
        const bool changes = !c.append_only || c.count_rows || c.time >= 0;
        return {!c.append_only, !c.append_only, changes || c.shown != Shown::Nothing, c.count_rows,
                c.append_only && changes && !c.keys_only, rows.variable()};
    }
    static void without_nulls(const Column& column, Keys& k) {
        if (!column.valid && column.shape != Shape::Null) return;
        for (size_t i = 0; i < k.hash.size(); ++i)
            if (column.is_null(int64_t(i))) k.hash[i] = 0;
    }

    // --- keys: entries of keys_ are nodes, or JoinKeys if keys are counted

    void fetch(const Keys& k, size_t from, size_t to) const {
        for (size_t i = from; i < to; ++i) keys_.prefetch_slot(k.hash[i]);
        for (size_t i = from; i < to; ++i)
            if (k.hash[i]) keys_.prefetch_entry(k.hash[i]);
    }
    void** find_key(const uint8_t* key, uint32_t n, uint64_t hash) const {
        if (config_.count_keys)
            return keys_.find(hash, [&](const void* p) {
                const auto* own = static_cast<const JoinKey*>(p);
                return own->size == n && std::memcmp(own->bytes(), key, n) == 0;
            });
        return keys_.find(hash, [&](const void* p) {
            const auto* node = static_cast<const JoinNode*>(p);
            return key_of_.equals(row(node), size(node), key, n);
        });
    }
    JoinNode* head_of(void* entry) const {
        return config_.count_keys ? static_cast<JoinKey*>(entry)->head : static_cast<JoinNode*>(entry);
    }
    JoinKey* counted_key(const uint8_t* bytes, uint32_t n, uint64_t hash) {
        if (void** found = find_key(bytes, n, hash)) return static_cast<JoinKey*>(*found);
        const uint16_t cls = Pool::class_of(sizeof(JoinKey) + n);
        auto* key = static_cast<JoinKey*>(pool_.alloc(cls));
        *key = {nullptr, 0, n, cls, 0};
        if (n) std::memcpy(key->bytes(), bytes, n);
        keys_.insert(hash, key);
        return key;
    }
    void forget_key(JoinKey* key) {
        keys_.erase(Table::hash(key->bytes(), key->size), [&](const void* p) { return p == key; });
        pool_.release(key, key->cls);
    }
    uint64_t hash_of(const JoinNode* node, Bytes& key) const {
        const uint32_t n = key_of_.extract(row(node), size(node), key);
        return Table::hash(key.p, n);
    }

    // --- rows

    void add_row(const Keys& k, size_t i, int64_t weight, const Restored* restored) {
        if (config_.append_only && weight < 0) fail("XX000", "deletion from an append-only input of a join");
        if (config_.time >= 0 && config_.shown == Shown::Nothing && time_of(start_[i]) <= bound_) return;
        if (!config_.append_only || config_.keys_only) return add_one(k, i, weight, restored);
        while (weight-- > 0) add_one(k, i, 1, restored);
    }
    void add_one(const Keys& k, size_t i, int64_t weight, const Restored* restored) {
        JoinKey* key = config_.count_keys ? counted_key(k.at[i], k.length[i], k.hash[i]) : nullptr;
        uint64_t row_hash = 0;
        JoinNode* node = nullptr;
        if (config_.keys_only) {
            node = key->head;
            if (node && config_.append_only) return;  // that there is one is all that matters
        } else if (!config_.append_only) {
            row_hash = Table::hash(start_[i], sizes_[i]);
            node = find_twin(row_hash, start_[i], sizes_[i]);
        }
        if (key && !restored) note(key);
        const bool fresh = !node;
        if (fresh) node = insert(k, i, key, row_hash);
        const int64_t before = fresh ? 0 : nodes_.weight(node);
        if (restored) {
            restore(node, *restored, i);
            if (nodes_.has_weight()) weight -= before;
        } else {
            if (fresh && nodes_.has_sequence()) nodes_.sequence(node) = next_sequence_++;
            if (config_.shown != Shown::Nothing) note(node, before);
            if (config_.count_rows && fresh) made_[i] = node;
            touch(node);
        }
        if (nodes_.has_weight()) nodes_.weight(node) = before + weight;
        if (key) key->count += weight;
        if (nodes_.has_weight() && !nodes_.weight(node) && config_.shown == Shown::Nothing) remove(node);
    }
    void restore(JoinNode* node, const Restored& known, size_t i) {
        if (nodes_.has_state()) nodes_.flags(node) = kPersisted;
        if (nodes_.has_matches()) nodes_.matches(node) = known.matches[i];
        if (named_by_rows()) return;
        if (known.sequences[i] >= next_sequence_) next_sequence_ = known.sequences[i] + 1;
        if (!nodes_.has_sequence()) return;
        nodes_.sequence(node) = known.sequences[i];
        restoring_[known.sequences[i]] = node;
    }
    JoinNode* insert(const Keys& k, size_t i, JoinKey* key, uint64_t row_hash) {
        JoinNode* node = nodes_.make(pool_, start_[i], sizes_[i]);
        if (key) {
            node->next = key->head;
            key->head = node;
        } else if (void** found = find_key(k.at[i], k.length[i], k.hash[i])) {
            node->next = static_cast<JoinNode*>(*found);
            *found = node;
        } else {
            keys_.insert(k.hash[i], node);
        }
        if (nodes_.has_links()) {
            if (node->next) nodes_.previous(node->next) = node;
            if (!config_.keys_only) identity_.insert(row_hash, node);
        }
        ++entries_, ++added_;
        return node;
    }
    JoinNode* find_twin(uint64_t row_hash, const uint8_t* bytes, uint32_t n) const {
        JoinNode** found = identity_.find(row_hash, [&](const JoinNode* node) {
            return size(node) == n && std::memcmp(row(node), bytes, n) == 0;
        });
        return found ? *found : nullptr;
    }
    void remove(JoinNode* node) {
        JoinNode* before = nodes_.has_links() ? nodes_.previous(node) : nullptr;
        if (before && !config_.count_keys) {
            before->next = node->next;
        } else {
            const uint64_t hash = hash_of(node, scratch_);
            void** found = find_key(scratch_.p, uint32_t(scratch_.size), hash);
            if (!found) damaged();
            JoinNode* head = head_of(*found);
            if (!before && head != node)
                for (before = head; before->next != node;) before = before->next;
            (before ? before->next : head) = node->next;
            if (config_.count_keys) {
                auto* key = static_cast<JoinKey*>(*found);
                key->head = head;
                key->count -= weight(node);
                if (!head && !(key->flags & JoinKey::kTouched)) forget_key(key);  // else when the epoch is over
            } else if (head) {
                *found = head;
            } else {
                keys_.erase(hash, [&](const void* p) { return p == node; });
            }
        }
        if (nodes_.has_links() && node->next) nodes_.previous(node->next) = before;
        discard(node);
    }
    // What a node leaves outside of its chain.
    void discard(JoinNode* node) {
        if (nodes_.has_links() && !config_.keys_only)
            identity_.erase(Table::hash(row(node), size(node)), [&](const JoinNode* p) { return p == node; });
        if (uint32_t& dirty = nodes_.dirty(node)) {
            JoinNode* last = changed_[changed_.size() - 1];
            changed_[dirty - 1] = last;
            nodes_.dirty(last) = dirty;
            changed_.pop();
        }
        if (nodes_.flags(node) & kPersisted) {
            const uint32_t n = named_by_rows() ? size(node) : 8;
            deleted_.append(&n, 4);
            deleted_.append(named_by_rows() ? row(node) : reinterpret_cast<const uint8_t*>(&nodes_.sequence(node)), n);
        }
        pool_.release(node, nodes_.class_for(size(node)));
        --entries_;
    }

    void touch(JoinNode* node) {  // for the next checkpoint
        if (nodes_.has_state() && nodes_.dirty(node)) return;
        changed_.push(node);
        if (nodes_.has_state()) nodes_.dirty(node) = uint32_t(changed_.size());
    }
    // Before a row's weight or matches change: remember what is shown of it.
    void note(JoinNode* node) { note(node, weight(node)); }
    void note(JoinNode* node, int64_t weight) {
        if (nodes_.flags(node) & kTouched) return;
        nodes_.flags(node) |= kTouched;
        touched_.push({node, weight && shows(has_match(node, true)) ? weight : 0});
    }
    void note(JoinKey* key) {
        if (key->flags & JoinKey::kTouched) return;
        key->flags = uint16_t(JoinKey::kTouched | (key->count > 0 ? JoinKey::kHadRows : 0));
        touched_keys_.push(key);
    }
    bool shows(bool matched) const { return matched == (config_.shown == Shown::Matched); }
    // Whether a row has a match, now or at the start of the epoch.
    bool has_match(const JoinNode* node, bool at_start) const {
        if (config_.count_rows) return matches(node) > 0;
        const uint64_t hash = hash_of(node, scratch_);
        void* const* found = other_->find_key(scratch_.p, uint32_t(scratch_.size), hash);
        if (!found) return false;
        const auto* key = static_cast<const JoinKey*>(*found);
        return at_start && key->flags & JoinKey::kTouched ? key->flags & JoinKey::kHadRows : key->count > 0;
    }

    // --- time

    int64_t time_of(const uint8_t* row) const { return int64_t(read8(row + rows_.offset_of(size_t(config_.time)))); }

    // Frees what has expired of one page of keys; returns the next page's place.
    uint64_t sweep(uint64_t from, size_t& seen) {
        emptied_.clear();
        const uint64_t following = keys_.each_from(from, [&](uint64_t hash, void*& entry) {
            JoinNode *head = head_of(entry), *before = nullptr;
            for (JoinNode* node = head; node; ++seen) {
                JoinNode* next = node->next;
                if (time_of(row(node)) > bound_) {
                    before = node;
                } else {
                    (before ? before->next : head) = next;
                    if (nodes_.has_links() && next) nodes_.previous(next) = before;
                    if (config_.count_keys) static_cast<JoinKey*>(entry)->count -= weight(node);
                    discard(node);
                }
                node = next;
            }
            if (!head) emptied_.emplace_back(hash, entry);
            else if (!config_.count_keys) entry = head;
            if (config_.count_keys) static_cast<JoinKey*>(entry)->head = head;
        });
        for (auto [hash, entry] : emptied_) {
            void* gone = entry;
            keys_.erase(hash, [&](const void* p) { return p == gone; });
            if (config_.count_keys) pool_.release(gone, static_cast<JoinKey*>(gone)->cls);
        }
        ++seen;
        return following;
    }

    JoinSideConfig config_;
    std::vector<bool> null_safe_;
    RowCodec rows_, key_codec_;
    KeyOfRow key_of_;
    NodeFormat nodes_;
    const JoinSide* other_ = nullptr;
    Pool pool_;
    HashIndex<void> keys_;
    HashIndex<JoinNode> identity_;  // by the whole row, if the side can delete
    size_t entries_ = 0;
    uint64_t next_sequence_ = 1;
    ChunkedList<JoinNode*> changed_;
    Bytes deleted_;                 // names, each behind its length
    mutable ChunkedList<Touched> touched_;
    mutable ChunkedList<JoinKey*> touched_keys_;
    std::unordered_map<uint64_t, JoinNode*> restoring_;

    // rows whose time is not after the bound are not needed; where the round that frees them is
    int64_t bound_ = INT64_MIN;
    bool stale_ = false;
    uint64_t sweep_ = 0;
    size_t added_ = 0;
    std::vector<std::pair<uint64_t, void*>> emptied_;

    std::vector<JoinNode*> made_;
    std::vector<uint32_t> sizes_;
    std::vector<uint8_t*> at_, start_;
    Bytes row_bytes_;
    mutable Bytes scratch_;
};

}  // namespace laminar::engine
