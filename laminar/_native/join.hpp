// Inner equi-join of two changing inputs.
//
// Each side keeps its rows as nodes, chained by key; a batch of one side is probed against the
// other in blocks with prefetch, then added to its own. Delta(A join B) = dA join B + (A + dA) join dB,
// so batches may come in any order. A side that can delete also indexes its nodes by the row's
// hash, so that a deletion costs the same however many rows share the key.
#pragma once

#include <unordered_map>

#include "rows.hpp"
#include "statetable.hpp"

namespace laminar::engine {

struct JoinSideConfig {
    std::vector<Layout> columns;
    std::vector<int> keys;          // positions in columns
    bool append_only = false;
};

struct Joined {
    ArrowArray batch{};
    std::vector<int64_t> weights;
    bool all_ones = true;
};

struct JoinNode {
    JoinNode* next;             // of the same key
    int64_t weight;
    uint64_t sequence;          // names the node in checkpoints
    uint32_t dirty;             // 1 + place in the changed list
    uint32_t size;
    uint16_t cls;
    uint16_t flags;
    uint32_t links;             // bytes of JoinLinks before the row: none in an append-only side

    inline uint8_t* bytes() { return reinterpret_cast<uint8_t*>(this + 1) + links; }
    const uint8_t* bytes() const { return reinterpret_cast<const uint8_t*>(this + 1) + links; }
};
// What it takes to delete a node.
struct JoinLinks {
    JoinNode* previous;         // of the same key
    JoinNode* twin;             // next node with the same row hash
    Row* key;                   // whose value is the head of the chain
    uint64_t row_hash;
    static JoinLinks& of(JoinNode* node) { return *reinterpret_cast<JoinLinks*>(node + 1); }
};

class JoinSide {
  public:
    JoinSide(Arena* arena, const JoinSideConfig& config, const std::vector<bool>& null_safe)
        : config_(config), null_safe_(null_safe), rows_(config.columns), key_codec_(key_layouts(config)), pool_(arena),
          keys_(arena, false), identity_(arena, false) {}

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

    // Calls f(row, node) for every node of this side that matches a row of the other's batch.
    template <class F> void probe(const Keys& k, F f) const {
        const size_t n = k.hash.size();
        constexpr size_t kBlock = 32;
        JoinNode* heads[kBlock];
        for (size_t start = 0; start < n; start += kBlock) {
            const size_t end = std::min(n, start + kBlock);
            for (size_t i = start; i < end; ++i) keys_.prefetch_slot(k.hash[i]);
            for (size_t i = start; i < end; ++i)
                if (k.hash[i]) keys_.prefetch_row(k.hash[i]);
            for (size_t i = start; i < end; ++i) {
                heads[i - start] = nullptr;
                if (!k.hash[i]) continue;
                const Row* row = keys_.find(k.at[i], k.length[i], k.hash[i]);
                if (!row) continue;
                std::memcpy(&heads[i - start], row->value(), sizeof(JoinNode*));
                __builtin_prefetch(heads[i - start]);
            }
            for (size_t i = start; i < end; ++i)
                for (JoinNode* node = heads[i - start]; node; node = node->next) f(uint32_t(i), node);
        }
    }

    // Adds a batch's rows; sequences and flags come from a checkpoint when given.
    void add(const Batch& b, const Keys& k, const int64_t* weights, const uint64_t* sequences = nullptr) {
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
        constexpr size_t kBlock = 32;
        for (size_t from = 0; from < n; from += kBlock) {
            const size_t end = std::min(n, from + kBlock);
            for (size_t i = from; i < end; ++i) keys_.prefetch_slot(k.hash[i]);
            for (size_t i = from; i < end; ++i)
                if (k.hash[i]) keys_.prefetch_row(k.hash[i]);
            for (size_t i = from; i < end; ++i) {
                if (!k.hash[i]) continue;
                add_one(k.at[i], k.length[i], k.hash[i], start_[i], sizes_[i], weights ? weights[i] : 1,
                        sequences ? &sequences[i] : nullptr);
            }
        }
    }

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
    bool restore_weight(uint64_t sequence, int64_t weight) {
        auto it = restoring_.find(sequence);
        if (it == restoring_.end()) return false;
        it->second->weight = weight;
        return true;
    }
    void restored() { restoring_.clear(); }

  private:
    static std::vector<Layout> key_layouts(const JoinSideConfig& config) {
        std::vector<Layout> out;
        for (int c : config.keys) out.push_back(config.columns[size_t(c)]);
        return out;
    }

    void add_one(const uint8_t* key, uint32_t key_size, uint64_t hash, const uint8_t* row, uint32_t size, int64_t weight,
                 const uint64_t* sequence) {
        uint64_t row_hash = 0;
        if (!config_.append_only) {
            row_hash = Table::hash(row, size);
            if (JoinNode* node = sequence ? nullptr : find_twin(row_hash, row, size)) {
                node->weight += weight;
                if (node->weight == 0) remove(node);
                else touch(node);
                return;
            }
        } else if (weight < 0) {
            fail("XX000", "deletion from an append-only input of a join");
        }
        const uint32_t links = config_.append_only ? 0 : uint32_t(sizeof(JoinLinks));
        const uint16_t cls = Pool::class_of(sizeof(JoinNode) + links + size);
        auto* node = static_cast<JoinNode*>(pool_.alloc(cls));
        Row* head = keys_.upsert(key, key_size, hash, sizeof(JoinNode*));
        JoinNode* next;
        std::memcpy(&next, head->value(), sizeof next);
        *node = {next, weight, sequence ? *sequence : next_sequence_++, 0, size, cls, 0, links};
        std::memcpy(node->bytes(), row, size);
        std::memcpy(head->value(), &node, sizeof node);
        if (links) {
            Row* same = identity_.upsert(reinterpret_cast<uint8_t*>(&row_hash), 8, mixed(row_hash), sizeof(JoinNode*));
            JoinLinks& own = JoinLinks::of(node);
            own = {nullptr, nullptr, head, row_hash};
            std::memcpy(&own.twin, same->value(), sizeof node);
            std::memcpy(same->value(), &node, sizeof node);
            if (next) JoinLinks::of(next).previous = node;
        }
        ++entries_;
        if (!sequence) return touch(node);
        node->flags = Row::kPersisted;
        restoring_[*sequence] = node;
        if (*sequence >= next_sequence_) next_sequence_ = *sequence + 1;
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
        if (!node->links) fail("XX001", "state of a join is damaged");  // only damaged entries say so
        JoinLinks& own = JoinLinks::of(node);
        if (node->next) JoinLinks::of(node->next).previous = own.previous;
        if (own.previous) {
            own.previous->next = node->next;
        } else if (node->next) {
            std::memcpy(own.key->value(), &node->next, sizeof(JoinNode*));
        } else {
            keys_.erase(own.key->key(), own.key->klen, Table::hash(own.key->key(), own.key->klen));
        }
        Row* same = identity_.find(reinterpret_cast<uint8_t*>(&own.row_hash), 8, mixed(own.row_hash));
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
    void touch(JoinNode* node) {
        if (node->dirty) return;
        changed_.push(node);
        node->dirty = uint32_t(changed_.size());
    }

    JoinSideConfig config_;
    std::vector<bool> null_safe_;
    RowCodec rows_, key_codec_;
    Pool pool_;
    Table keys_, identity_;
    size_t entries_ = 0;
    uint64_t next_sequence_ = 1;
    ChunkedList<JoinNode*> changed_;
    ChunkedList<uint64_t> deleted_;
    std::unordered_map<uint64_t, JoinNode*> restoring_;

    std::vector<uint32_t> sizes_;
    std::vector<uint8_t*> at_, start_;
    Bytes row_bytes_;
};

class JoinState {
  public:
    JoinState(const JoinSideConfig& left, const JoinSideConfig& right, const std::vector<bool>& null_safe, const std::string& dir)
        : arena_(dir), left_(&arena_, left, null_safe), right_(&arena_, right, null_safe) {
        for (const auto& l : left.columns) out_layouts_.push_back(l);
        for (const auto& l : right.columns) out_layouts_.push_back(l);
        left_columns_ = left.columns.size();
    }

    std::vector<Joined> process(int port, const Batch& b, const int64_t* weights) {
        JoinSide& own = port ? right_ : left_;
        JoinSide& other = port ? left_ : right_;
        left_.restored(), right_.restored();
        std::vector<Joined> out;
        own.encode_keys(b, keys_);
        index_.clear(), nodes_.clear();
        other.probe(keys_, [&](uint32_t i, JoinNode* node) {
            index_.push_back(i), nodes_.push_back(node);
            if (index_.size() == kBatch) emit(port, b, weights, other, out);
        });
        if (!index_.empty()) emit(port, b, weights, other, out);
        own.add(b, keys_, weights);
        return out;
    }

    size_t entries() const { return left_.entries() + right_.entries(); }
    size_t bytes() const { return arena_.used(); }

    // As GroupState's.
    bool checkpoint(BatchBuilder& out) {
        const size_t limit = size_t(4) << 20;
        size_t bytes = 0;
        std::vector<uint8_t> value;
        while (stage_ < 2) {
            JoinSide& side = stage_ ? right_ : left_;
            const bool done = side.changes(place_, [&](uint64_t sequence, const JoinNode* node) {
                uint8_t key[9] = {uint8_t(stage_)};
                std::memcpy(key + 1, &sequence, 8);
                out.columns[0].var(key, 9);
                if (node) {
                    value.resize(8 + node->size);
                    std::memcpy(value.data(), &node->weight, 8);
                    std::memcpy(value.data() + 8, node->bytes(), node->size);
                    out.columns[1].var(value.data(), value.size());
                    bytes += value.size();
                } else {
                    out.columns[1].null();
                }
                bytes += 32;
                return bytes < limit;
            });
            if (!done) return true;
            ++stage_;
            place_ = {};
        }
        if (out.columns[0].length()) return true;
        left_.checkpointed(), right_.checkpointed();
        stage_ = 0;
        return false;
    }

    void restore(const Batch& batch) {
        if (batch.columns.size() != 2 || batch.layouts[0].shape != Shape::Var || batch.layouts[1].shape != Shape::Var) damaged();
        const Column &keys = batch.columns[0], &values = batch.columns[1];
        for (int port = 0; port < 2; ++port) {
            JoinSide& side = port ? right_ : left_;
            std::vector<const uint8_t*> rows;
            std::vector<uint32_t> sizes;
            std::vector<int64_t> weights;
            std::vector<uint64_t> sequences;
            for (int64_t i = 0; i < batch.rows; ++i) {
                const uint8_t* k = keys.data + keys.offsets[i];
                if (keys.offsets[i + 1] - keys.offsets[i] != 9 || k[0] > 1) damaged();
                if (k[0] != port) continue;
                const uint64_t sequence = read8(k + 1);
                if (values.is_null(i)) {
                    side.restore_gone(sequence);
                    continue;
                }
                const uint8_t* v = values.data + values.offsets[i];
                const int32_t n = values.offsets[i + 1] - values.offsets[i];
                if (n < 8) damaged();
                int64_t weight;
                std::memcpy(&weight, v, 8);
                if (side.restore_weight(sequence, weight)) continue;
                rows.push_back(v + 8), sizes.push_back(uint32_t(n - 8));
                weights.push_back(weight), sequences.push_back(sequence);
            }
            if (!rows.empty()) restore_rows(side, rows, sizes, weights, sequences);
        }
    }

  private:
    static constexpr size_t kBatch = 65536;
    [[noreturn]] static void damaged() { fail("XX001", "state of a join is damaged"); }

    void emit(int port, const Batch& b, const int64_t* weights, const JoinSide& other, std::vector<Joined>& out) {
        BatchBuilder builder(out_layouts_);
        const int64_t n = int64_t(index_.size());
        const size_t own_first = port ? left_columns_ : 0, other_first = port ? 0 : left_columns_;
        for (size_t c = 0; c < b.columns.size(); ++c)
            builder.columns[own_first + c].gather(b.columns[c], index_.data(), n);
        rows_.resize(index_.size()), sizes_.resize(index_.size());
        Joined& j = out.emplace_back();
        j.weights.resize(index_.size());
        for (size_t i = 0; i < index_.size(); ++i) {
            rows_[i] = nodes_[i]->bytes();
            sizes_[i] = nodes_[i]->size;
            j.weights[i] = nodes_[i]->weight * (weights ? weights[index_[i]] : 1);
            j.all_ones &= j.weights[i] == 1;
        }
        other.codec().decode(rows_.data(), sizes_.data(), n, &builder.columns[other_first]);
        builder.finish(&j.batch, n);
        index_.clear(), nodes_.clear();
    }
    void restore_rows(JoinSide& side, const std::vector<const uint8_t*>& rows, const std::vector<uint32_t>& sizes,
                      const std::vector<int64_t>& weights, const std::vector<uint64_t>& sequences) {
        const auto& layouts = side.codec().layouts();
        BatchBuilder builder(layouts);
        side.codec().decode(rows.data(), sizes.data(), int64_t(rows.size()), builder.columns.data());
        ArrowArray array;
        builder.finish(&array, int64_t(rows.size()));
        Batch b;
        b.rows = array.length;
        b.layouts = layouts;
        for (size_t c = 0; c < layouts.size(); ++c) b.columns.push_back(view(layouts[c], array.children[c]));
        side.encode_keys(b, keys_);
        side.add(b, keys_, weights.data(), sequences.data());
        array.release(&array);
    }

    Arena arena_;
    JoinSide left_, right_;
    std::vector<Layout> out_layouts_;
    size_t left_columns_ = 0;
    int stage_ = 0;
    Table::Place place_;

    JoinSide::Keys keys_;
    std::vector<uint32_t> index_, sizes_;
    std::vector<JoinNode*> nodes_;
    std::vector<const uint8_t*> rows_;
};

}  // namespace laminar::engine
