// One input of a join: its rows as nodes, chained by key.
//
// A side that can delete also indexes its nodes by the row's hash, so that a deletion costs the
// same however many rows share the key.
//
// Outer, semi and anti joins show rows of a side by themselves: those without a match, or those
// with one. How many a row has is kept with the row where a residual condition decides
// (count_rows), else with the key on the other side (count_keys). What was shown before the epoch
// is noted when a row or key is first touched in it, so that the barrier emits differences only,
// whatever order the changes came in.
#pragma once

#include <unordered_map>

#include "rows.hpp"
#include "statetable.hpp"

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
};

struct JoinNode {
    JoinNode* next;             // of the same key
    int64_t weight;
    uint64_t sequence;          // names the node in checkpoints
    uint32_t dirty;             // 1 + place in the changed list
    uint32_t size;
    uint16_t cls;
    uint16_t flags;
    uint32_t extra;             // bytes before the row: JoinLinks unless append-only, then the number of matches if counted

    static constexpr uint16_t kTouched = 2;  // in this epoch

    uint8_t* bytes() { return reinterpret_cast<uint8_t*>(this + 1) + extra; }
    const uint8_t* bytes() const { return reinterpret_cast<const uint8_t*>(this + 1) + extra; }
    int64_t& matches() { return *reinterpret_cast<int64_t*>(bytes() - sizeof(int64_t)); }
    int64_t matches() const { return *reinterpret_cast<const int64_t*>(bytes() - sizeof(int64_t)); }
};
// What it takes to delete a node.
struct JoinLinks {
    JoinNode* previous;         // of the same key
    JoinNode* twin;             // next node with the same row hash
    Row* key;                   // whose value is the head of the chain
    uint64_t row_hash;
    static JoinLinks& of(JoinNode* node) { return *reinterpret_cast<JoinLinks*>(node + 1); }
};
// The value of a key's row.
struct JoinKey {
    JoinNode* head;
    int64_t count;              // sum of the weights; only with count_keys

    static constexpr uint16_t kTouched = 2, kHadRows = 4;  // flags of the Row: in this epoch; before it
    static JoinKey& of(Row* row) { return *reinterpret_cast<JoinKey*>(row->value()); }
    static const JoinKey& of(const Row* row) { return *reinterpret_cast<const JoinKey*>(row->value()); }
};

class JoinSide {
  public:
    JoinSide(Arena* arena, const JoinSideConfig& config, const std::vector<bool>& null_safe)
        : config_(config), null_safe_(null_safe), rows_(config.columns), key_codec_(key_layouts(config)), pool_(arena),
          keys_(arena, false), identity_(arena, false) {
        links_ = config.append_only ? 0 : uint32_t(sizeof(JoinLinks));
        extra_ = links_ + (config.count_rows ? uint32_t(sizeof(int64_t)) : 0);
        key_size_ = config.count_keys ? sizeof(JoinKey) : sizeof(JoinNode*);
    }

    void meet(const JoinSide* other) { other_ = other; }

    struct Keys {  // of a batch's rows
        std::vector<uint8_t*> at, scratch;
        std::vector<uint32_t> length;
        std::vector<uint64_t> hash;   // 0: a null key, which matches nothing
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
        for (size_t c = 0; c < columns.size(); ++c) {
            if (null_safe_[c] || (!columns[c]->valid && columns[c]->shape != Shape::Null)) continue;
            for (size_t i = 0; i < n; ++i)
                if (columns[c]->is_null(int64_t(i))) k.hash[i] = 0;
        }
    }

    // The first nodes of the keys [from, to), nullptr where there are none.
    void heads(const Keys& k, size_t from, size_t to, JoinNode** heads) const {
        for (size_t i = from; i < to; ++i) keys_.prefetch_slot(k.hash[i]);
        for (size_t i = from; i < to; ++i)
            if (k.hash[i]) keys_.prefetch_row(k.hash[i]);
        for (size_t i = from; i < to; ++i) {
            const Row* row = k.hash[i] ? keys_.find(k.at[i], k.length[i], k.hash[i]) : nullptr;
            heads[i - from] = row ? JoinKey::of(row).head : nullptr;
            if (row) __builtin_prefetch(heads[i - from]);
        }
    }

    // What a checkpoint knows of nodes.
    struct Restored {
        const uint64_t* sequences;
        const int64_t* matches;
    };

    // Adds a batch's rows. With count_rows, made[i] is the node that row i made, nullptr if it was there.
    void add(const Batch& b, const Keys& k, const int64_t* weights, const Restored* restored = nullptr) {
        const size_t n = size_t(b.rows);
        std::vector<const Column*> columns;
        for (const Column& c : b.columns) columns.push_back(&c);
        sizes_.resize(n), at_.resize(n), start_.resize(n);
        rows_.measure(columns.data(), b.rows, sizes_.data());
        size_t total = 0;
        for (uint32_t size : sizes_) total += size;
        row_bytes_.size = 0;
        uint8_t* p = row_bytes_.grow(total);
        for (size_t i = 0; i < n; ++i) at_[i] = start_[i] = p, p += sizes_[i];
        rows_.encode(columns.data(), b.rows, at_.data());
        if (config_.count_rows) made.assign(n, nullptr);
        constexpr size_t kBlock = 32;
        for (size_t from = 0; from < n; from += kBlock) {
            const size_t end = std::min(n, from + kBlock);
            for (size_t i = from; i < end; ++i) keys_.prefetch_slot(k.hash[i]);
            for (size_t i = from; i < end; ++i)
                if (k.hash[i]) keys_.prefetch_row(k.hash[i]);
            for (size_t i = from; i < end; ++i)
                if (k.hash[i]) add_one(k, i, weights ? weights[i] : 1, restored);
        }
    }
    std::vector<JoinNode*> made;

    // A row has more or fewer matches.
    void match(JoinNode* node, int64_t by) {
        note(node, nullptr);
        node->matches() += by;
        touch(node);
    }

    // Calls f(node, weight) for the rows whose showing changed in this epoch, by how much.
    template <class F> void differences(F f) {
        if (config_.shown == Shown::Nothing) return;
        if (!config_.count_rows) {
            for (size_t i = 0; i < other_->touched_keys_.size(); ++i) {
                const Row* key = other_->touched_keys_[i];
                const bool has = JoinKey::of(key).count > 0;
                if (has == bool(key->flags & JoinKey::kHadRows)) continue;
                const Row* own = keys_.find(key->key(), key->klen, Table::hash(key->key(), key->klen));
                const int64_t sign = has == (config_.shown == Shown::Matched) ? 1 : -1;
                for (JoinNode* node = own ? JoinKey::of(own).head : nullptr; node; node = node->next)
                    if (!(node->flags & JoinNode::kTouched) && node->weight) f(node, sign * node->weight);
            }
        }
        for (size_t i = 0; i < touched_.size(); ++i) {
            const Touched& t = touched_[i];
            const bool has = config_.count_rows ? t.node->matches() > 0 : other_->has_rows(t.key);
            const int64_t by = (shows(has) ? t.node->weight : 0) - t.before;
            if (by) f(t.node, by);
        }
    }
    // The epoch is over: what it touched is forgotten, rows without weight go.
    void settle() {
        for (size_t i = 0; i < touched_.size(); ++i) {
            JoinNode* node = touched_[i].node;
            node->flags &= uint16_t(~JoinNode::kTouched);
            if (!node->weight) remove(node);
        }
        touched_.clear();
        for (size_t i = 0; i < touched_keys_.size(); ++i) {
            Row* key = touched_keys_[i];
            key->flags &= uint16_t(~(JoinKey::kTouched | JoinKey::kHadRows));
            if (!JoinKey::of(key).head) keys_.erase(key->key(), key->klen, Table::hash(key->key(), key->klen));
        }
        touched_keys_.clear();
    }

    const JoinSideConfig& config() const { return config_; }
    const RowCodec& codec() const { return rows_; }
    size_t entries() const { return entries_; }

    template <class F> bool changes(Table::Place& place, F f) {
        while (place.deleted < deleted_.size()) {
            const uint64_t s = deleted_[place.deleted++];
            if (!f(s, static_cast<const JoinNode*>(nullptr))) return false;
        }
        while (place.changed < changed_.size()) {
            const JoinNode* node = changed_[place.changed++];
            if (!f(node->sequence, node)) return false;
        }
        return true;
    }
    void checkpointed() {
        for (size_t i = 0; i < changed_.size(); ++i) {
            changed_[i]->dirty = 0;
            changed_[i]->flags |= Row::kPersisted;
        }
        changed_.clear();
        deleted_.clear();
    }

    // Restoring: a deleted or changed node of an earlier segment.
    void restore_gone(uint64_t sequence) {
        auto it = restoring_.find(sequence);
        if (it == restoring_.end()) return;
        remove(it->second);
        restoring_.erase(it);
        deleted_.clear();
    }
    bool restore_change(uint64_t sequence, int64_t weight, int64_t matches) {
        auto it = restoring_.find(sequence);
        if (it == restoring_.end()) return false;
        JoinNode* node = it->second;
        if (weight != node->weight) {
            if (!links_) damaged();
            if (config_.count_keys) JoinKey::of(JoinLinks::of(node).key).count += weight - node->weight;
            node->weight = weight;
        }
        if (config_.count_rows) node->matches() = matches;
        return true;
    }
    void restored() { restoring_.clear(); }

  private:
    struct Touched {
        JoinNode* node;
        int64_t before;  // weight shown before the epoch
        const Row* key;  // unless rows are counted
    };

    [[noreturn]] static void damaged() { fail("XX001", "state of a join is damaged"); }
    static std::vector<Layout> key_layouts(const JoinSideConfig& config) {
        std::vector<Layout> out;
        for (int c : config.keys) out.push_back(config.columns[size_t(c)]);
        return out;
    }

    void add_one(const Keys& k, size_t i, int64_t weight, const Restored* restored) {
        const uint8_t* row = start_[i];
        const uint32_t size = sizes_[i];
        uint64_t row_hash = 0;
        Row* key = nullptr;
        JoinNode* node = nullptr;
        if (config_.append_only && weight < 0) fail("XX000", "deletion from an append-only input of a join");
        if (config_.keys_only) {
            key = keys_.upsert(k.at[i], k.length[i], k.hash[i], key_size_);
            node = JoinKey::of(key).head;
            if (node && config_.append_only) return;  // that there is one is all that matters
        } else if (!config_.append_only) {
            row_hash = Table::hash(row, size);
            if (!restored) node = find_twin(row_hash, row, size);
            if (node) key = JoinLinks::of(node).key;
        }
        if (!key) key = keys_.upsert(k.at[i], k.length[i], k.hash[i], key_size_);
        if (config_.count_keys && !restored) note_key(key);
        const bool fresh = !node;
        if (fresh) node = insert(key, row, size, row_hash);
        if (restored) {
            node->flags = Row::kPersisted;
            node->sequence = restored->sequences[i];
            restoring_[node->sequence] = node;
            if (node->sequence >= next_sequence_) next_sequence_ = node->sequence + 1;
            if (config_.count_rows) node->matches() = restored->matches[i];
        } else {
            if (fresh) node->sequence = next_sequence_++;
            if (config_.shown != Shown::Nothing) note(node, key);
            if (config_.count_rows && fresh) made[i] = node;
            touch(node);
        }
        node->weight += weight;
        if (config_.count_keys) JoinKey::of(key).count += weight;
        if (!node->weight && config_.shown == Shown::Nothing) remove(node);
    }
    JoinNode* insert(Row* key, const uint8_t* row, uint32_t size, uint64_t row_hash) {
        const uint16_t cls = Pool::class_of(sizeof(JoinNode) + extra_ + size);
        auto* node = static_cast<JoinNode*>(pool_.alloc(cls));
        JoinNode* next = JoinKey::of(key).head;
        *node = {next, 0, 0, 0, size, cls, 0, extra_};
        if (config_.count_rows) node->matches() = 0;
        if (size) std::memcpy(node->bytes(), row, size);
        JoinKey::of(key).head = node;
        if (links_) {
            JoinLinks& own = JoinLinks::of(node);
            own = {nullptr, nullptr, key, row_hash};
            if (!config_.keys_only) {
                Row* same = identity_.upsert(reinterpret_cast<uint8_t*>(&row_hash), 8, mixed(row_hash), sizeof(JoinNode*));
                std::memcpy(&own.twin, same->value(), sizeof node);
                std::memcpy(same->value(), &node, sizeof node);
            }
            if (next) JoinLinks::of(next).previous = node;
        }
        ++entries_;
        return node;
    }
    static uint64_t mixed(uint64_t h) { return fold(h ^ kP0, kP1) | 1; }
    JoinNode* find_twin(uint64_t row_hash, const uint8_t* row, uint32_t size) const {
        const Row* same = identity_.find(reinterpret_cast<const uint8_t*>(&row_hash), 8, mixed(row_hash));
        if (!same) return nullptr;
        JoinNode* node;
        std::memcpy(&node, same->value(), sizeof node);
        while (node && (node->size != size || std::memcmp(node->bytes(), row, size) != 0)) node = JoinLinks::of(node).twin;
        return node;
    }
    void remove(JoinNode* node) {
        if (!links_) damaged();  // only damaged entries say so
        JoinLinks& own = JoinLinks::of(node);
        if (config_.count_keys) JoinKey::of(own.key).count -= node->weight;
        if (node->next) JoinLinks::of(node->next).previous = own.previous;
        if (own.previous) {
            own.previous->next = node->next;
        } else {
            JoinKey::of(own.key).head = node->next;
            // a touched key stays until the epoch is over
            if (!node->next && !(own.key->flags & JoinKey::kTouched))
                keys_.erase(own.key->key(), own.key->klen, Table::hash(own.key->key(), own.key->klen));
        }
        if (!config_.keys_only) forget_twin(node, own);
        if (node->dirty) {
            JoinNode* last = changed_[changed_.size() - 1];
            changed_[node->dirty - 1] = last;
            last->dirty = node->dirty;
            changed_.pop();
        }
        if (node->flags & Row::kPersisted) deleted_.push(node->sequence);
        pool_.release(node, node->cls);
        --entries_;
    }
    void forget_twin(JoinNode* node, const JoinLinks& own) {
        Row* same = identity_.find(reinterpret_cast<const uint8_t*>(&own.row_hash), 8, mixed(own.row_hash));
        JoinNode* first;
        std::memcpy(&first, same->value(), sizeof first);
        if (first == node && !own.twin) {
            identity_.erase(same->key(), 8, mixed(own.row_hash));
        } else if (first == node) {
            std::memcpy(same->value(), &own.twin, sizeof first);
        } else {
            while (JoinLinks::of(first).twin != node) first = JoinLinks::of(first).twin;
            JoinLinks::of(first).twin = own.twin;
        }
    }

    void touch(JoinNode* node) {  // for the next checkpoint
        if (node->dirty) return;
        changed_.push(node);
        node->dirty = uint32_t(changed_.size());
    }
    // Before a row's weight or matches change: remember what is shown of it.
    void note(JoinNode* node, const Row* key) {
        if (node->flags & JoinNode::kTouched) return;
        node->flags |= JoinNode::kTouched;
        int64_t before = 0;
        if (node->weight && shows(config_.count_rows ? node->matches() > 0 : other_->had_rows(key))) before = node->weight;
        touched_.push({node, before, key});
    }
    void note_key(Row* key) {
        if (key->flags & JoinKey::kTouched) return;
        key->flags |= uint16_t(JoinKey::kTouched | (JoinKey::of(key).count > 0 ? JoinKey::kHadRows : 0));
        touched_keys_.push(key);
    }
    bool shows(bool matched) const { return matched == (config_.shown == Shown::Matched); }
    // Whether there are rows of the other side's key now, and before the epoch.
    const Row* same_key(const Row* key) const { return keys_.find(key->key(), key->klen, Table::hash(key->key(), key->klen)); }
    bool has_rows(const Row* key) const {
        const Row* own = same_key(key);
        return own && JoinKey::of(own).count > 0;
    }
    bool had_rows(const Row* key) const {
        const Row* own = same_key(key);
        if (!own) return false;
        return own->flags & JoinKey::kTouched ? own->flags & JoinKey::kHadRows : JoinKey::of(own).count > 0;
    }

    JoinSideConfig config_;
    std::vector<bool> null_safe_;
    RowCodec rows_, key_codec_;
    uint32_t links_, extra_;
    size_t key_size_;
    const JoinSide* other_ = nullptr;
    Pool pool_;
    Table keys_, identity_;
    size_t entries_ = 0;
    uint64_t next_sequence_ = 1;
    ChunkedList<JoinNode*> changed_;
    ChunkedList<uint64_t> deleted_;
    mutable ChunkedList<Touched> touched_;
    mutable ChunkedList<Row*> touched_keys_;
    std::unordered_map<uint64_t, JoinNode*> restoring_;

    std::vector<uint32_t> sizes_;
    std::vector<uint8_t*> at_, start_;
    Bytes row_bytes_;
};

}  // namespace laminar::engine
