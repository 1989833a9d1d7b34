// Join of two changing inputs by equal keys; without keys every row meets every other.
//
// A batch of one side is added to its own rows, then probed against the other side in blocks with
// prefetch. Delta(A join B) = dA join B + (A + dA) join dB, so batches may come in any order. The
// pairs come out a batch at a time, however many there are. Rows that an outer, semi or anti join
// shows by themselves follow at the barrier (joinside.hpp).
#pragma once

#include "joinside.hpp"

namespace laminar::engine {

struct Joined {
    ArrowArray batch{};
    std::vector<int64_t> weights;
    bool all_ones = true;
};

struct JoinConfig {
    JoinSideConfig left, right;
    std::vector<bool> null_safe;
    bool pairs = true;          // joined rows are wanted, to be emitted or for the residual condition
    bool padded = true;         // rows shown by themselves have nulls for the other side
};

class JoinState {
  public:
    JoinState(const JoinConfig& config, const std::string& dir)
        : arena_(dir), left_(&arena_, config.left, config.null_safe), right_(&arena_, config.right, config.null_safe),
          pairs_(config.pairs), padded_(config.padded) {
        left_.meet(&right_), right_.meet(&left_);
        for (const auto& l : config.left.columns) pair_layouts_.push_back(l);
        for (const auto& l : config.right.columns) pair_layouts_.push_back(l);
        shown_layouts_ = padded_ ? pair_layouts_ : config.left.columns;
        left_columns_ = config.left.columns.size();
    }

    // Takes a batch, which must live until next_pairs says that there are no more.
    void begin(int port, const Batch& b, const int64_t* weights) {
        if (batch_) fail("XX000", "a join's pairs were not all taken");
        port_ = port;
        left_.restored(), right_.restored();
        own().encode_keys(b, keys_);
        own().add(b, keys_, weights);
        batch_ = &b, weights_ = weights;
        row_ = block_end_ = 0;
    }

    // Rows of the batch that are shown because a null in their key matches nothing, ever: they are not kept.
    bool loose(Joined& out) {
        if (own().config().shown != Shown::Unmatched || !batch_) return false;
        index_.clear();
        for (size_t i = 0; i < keys_.hash.size(); ++i)
            if (!keys_.hash[i]) index_.push_back(uint32_t(i));
        if (index_.empty()) return false;
        BatchBuilder builder(shown_layouts_);
        put_own(builder);
        if (padded_) pad(builder, port_, int64_t(index_.size()));
        start(out, index_.size());
        for (size_t i = 0; i < index_.size(); ++i) weigh(out, i, weights_ ? weights_[index_[i]] : 1);
        builder.finish(&out.batch, int64_t(index_.size()));
        return true;
    }

    // The next pairs; false when there are no more. Pairs with weight 0 can be among them when rows are counted.
    bool next_pairs(Joined& out) {
        if (!batch_) return false;
        index_.clear(), nodes_.clear();
        if (pairs_) find_pairs();
        if (!index_.empty()) return emit_pairs(out), true;
        batch_ = nullptr;
        return false;
    }

    // Which of the pairs that were last given out fulfil the residual condition; nullptr: all.
    void count(const uint8_t* matched) {
        JoinSide &mine = own(), &others = other();
        for (size_t i = 0; i < nodes_.size(); ++i) {
            if (matched && !matched[i]) continue;
            const int64_t weight = weights_ ? weights_[index_[i]] : 1;
            if (mine.config().count_rows) mine.match_made(index_[i], weight, others.weight(nodes_[i]));
            if (others.config().count_rows) others.match(nodes_[i], weight);
        }
    }

    // At the barrier, until it returns false: rows that are shown by themselves now or no more.
    bool next_shown(Joined& out) {
        for (; shown_port_ < 2; ++shown_port_, collected_ = false) {
            JoinSide& side = shown_port_ ? right_ : left_;
            if (!collected_) {
                index_.clear(), nodes_.clear(), signs_.clear(), shown_at_ = 0;
                side.differences([&](JoinNode* node, int64_t by) { nodes_.push_back(node), signs_.push_back(by); });
                collected_ = true;
            }
            if (shown_at_ < nodes_.size()) return emit_shown(side, out), true;
        }
        left_.settle(), right_.settle();
        shown_port_ = 0;
        return false;
    }

    // Rows of a side with a time not after the bound meet nothing any more.
    void expire(int port, int64_t bound) { (port ? right_ : left_).expire(bound); }

    size_t entries() const { return left_.entries() + right_.entries(); }
    size_t bytes() const { return arena_.used(); }

    // As GroupState's.
    bool checkpoint(BatchBuilder& out) {
        const size_t limit = size_t(4) << 20;
        size_t bytes = 0;
        std::vector<uint8_t> key, value;
        while (stage_ < 2) {
            JoinSide& side = stage_ ? right_ : left_;
            const bool done = side.changes(place_, [&](const uint8_t* name, uint32_t n, const JoinNode* node) {
                key.resize(1);
                key[0] = uint8_t(stage_);
                key.insert(key.end(), name, name + n);
                out.columns[0].var(key.data(), key.size());
                if (node) {
                    value.clear();
                    if (side.named_by_rows()) append(value, side.weight(node));
                    if (side.config().count_rows) append(value, side.matches(node));
                    if (!side.named_by_rows()) value.insert(value.end(), side.row(node), side.row(node) + side.size(node));
                    out.columns[1].var(value.data(), value.size());
                } else {
                    out.columns[1].null();
                }
                bytes += key.size() + value.size() + 16;
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
            const bool by_rows = side.named_by_rows();
            const int32_t known = (by_rows ? 8 : 0) + (side.config().count_rows ? 8 : 0);
            Entries found;
            for (int64_t i = 0; i < batch.rows; ++i) {
                const uint8_t* name = keys.data + keys.offsets[i] + 1;
                const int32_t length = keys.offsets[i + 1] - keys.offsets[i] - 1;
                if (length < 0 || name[-1] > 1) damaged();
                if (name[-1] != port) continue;
                if (!by_rows && length != 8) damaged();
                if (values.is_null(i)) {
                    // what was found before may be what is gone
                    if (!found.rows.empty()) restore_rows(side, found), found = {};
                    side.restore_gone(name, uint32_t(length));
                    continue;
                }
                const uint8_t* v = values.data + values.offsets[i];
                const int32_t n = values.offsets[i + 1] - values.offsets[i];
                if (n < known) damaged();
                const int64_t matches = side.config().count_rows ? int64_t(read8(v + known - 8)) : 0;
                const uint64_t sequence = by_rows ? 0 : read8(name);
                if (!by_rows && side.restore_matches(sequence, matches)) continue;
                found.rows.push_back(by_rows ? name : v + known), found.sizes.push_back(uint32_t(by_rows ? length : n - known));
                found.weights.push_back(by_rows ? int64_t(read8(v)) : 1);
                found.sequences.push_back(sequence), found.matches.push_back(matches);
            }
            if (!found.rows.empty()) restore_rows(side, found);
        }
    }

  private:
    static constexpr size_t kBatch = 65536, kBlock = 32;
    struct Entries {
        std::vector<const uint8_t*> rows;
        std::vector<uint32_t> sizes;
        std::vector<int64_t> weights, matches;
        std::vector<uint64_t> sequences;
    };
    [[noreturn]] static void damaged() { fail("XX001", "state of a join is damaged"); }
    JoinSide& own() { return port_ ? right_ : left_; }
    JoinSide& other() { return port_ ? left_ : right_; }

    static void append(std::vector<uint8_t>& to, int64_t v) {
        const auto* p = reinterpret_cast<const uint8_t*>(&v);
        to.insert(to.end(), p, p + sizeof v);
    }

    void find_pairs() {
        const size_t n = size_t(batch_->rows);
        const bool all = own().config().count_rows || other().config().count_rows;
        while (row_ < n) {
            if (row_ == block_end_) {
                block_end_ = std::min(n, row_ + kBlock);
                other().heads(keys_, row_, block_end_, heads_);
            }
            // The block's chains side by side, so that their cache misses overlap: with decode_rows' blocks a pair of
            // Nexmark's q20 costs 680 ns instead of 970.
            for (bool more = true; more;) {
                more = false;
                for (size_t i = row_; i < block_end_; ++i) {
                    JoinNode*& node = heads_[i - row_];
                    if (!node) continue;
                    if (index_.size() == kBatch) return;
                    if (all || other().weight(node)) index_.push_back(uint32_t(i)), nodes_.push_back(node);
                    node = node->next;
                    __builtin_prefetch(node);
                    more = true;
                }
            }
            row_ = block_end_;
        }
    }

    void emit_pairs(Joined& out) {
        BatchBuilder builder(pair_layouts_);
        const int64_t n = int64_t(index_.size());
        put_own(builder);
        rows_.resize(nodes_.size()), sizes_.resize(nodes_.size());
        start(out, nodes_.size());
        for (size_t i = 0; i < nodes_.size(); ++i) {
            rows_[i] = other().row(nodes_[i]);
            sizes_[i] = other().size(nodes_[i]);
            weigh(out, i, other().weight(nodes_[i]) * (weights_ ? weights_[index_[i]] : 1));
        }
        decode_rows(other(), &builder.columns[port_ ? 0 : left_columns_]);
        builder.finish(&out.batch, n);
    }
    // rows_ into columns, by blocks: the codec goes over them once per column, and the rows of a whole batch
    // are in no cache any more when it comes back.
    void decode_rows(const JoinSide& side, Builder* columns) const {
        constexpr size_t kRows = 256;
        constexpr uint32_t kLine = 64;
        for (size_t from = 0; from < rows_.size(); from += kRows) {
            const size_t end = std::min(rows_.size(), from + kRows), following = std::min(rows_.size(), end + kRows);
            for (size_t i = end; i < following; ++i)
                for (uint32_t at = 0; at < std::min(sizes_[i], 4 * kLine); at += kLine) __builtin_prefetch(rows_[i] + at);
            side.codec().decode(&rows_[from], &sizes_[from], int64_t(end - from), columns);
        }
    }
    void emit_shown(JoinSide& side, Joined& out) {
        const size_t n = std::min(kBatch, nodes_.size() - shown_at_);
        BatchBuilder builder(shown_layouts_);
        rows_.resize(n), sizes_.resize(n);
        start(out, n);
        for (size_t i = 0; i < n; ++i) {
            rows_[i] = side.row(nodes_[shown_at_ + i]);
            sizes_[i] = side.size(nodes_[shown_at_ + i]);
            weigh(out, i, signs_[shown_at_ + i]);
        }
        decode_rows(side, &builder.columns[shown_port_ ? left_columns_ : 0]);
        if (padded_) pad(builder, shown_port_, int64_t(n));
        builder.finish(&out.batch, int64_t(n));
        shown_at_ += n;
    }
    void put_own(BatchBuilder& builder) const {
        const size_t first = port_ ? left_columns_ : 0;
        for (size_t c = 0; c < batch_->columns.size(); ++c)
            builder.columns[first + c].gather(batch_->columns[c], index_.data(), int64_t(index_.size()));
    }
    void pad(BatchBuilder& builder, int port, int64_t n) const {
        const size_t from = port ? 0 : left_columns_, to = port ? left_columns_ : pair_layouts_.size();
        for (size_t c = from; c < to; ++c) builder.columns[c].nulls(n);
    }
    static void start(Joined& out, size_t n) { out.weights.resize(n), out.all_ones = true; }
    static void weigh(Joined& out, size_t i, int64_t weight) {
        out.weights[i] = weight;
        out.all_ones &= weight == 1;
    }

    void restore_rows(JoinSide& side, const Entries& found) {
        const auto& layouts = side.codec().layouts();
        BatchBuilder builder(layouts);
        const auto n = int64_t(found.rows.size());
        side.codec().decode(found.rows.data(), found.sizes.data(), n, builder.columns.data());
        ArrowArray array;
        builder.finish(&array, n);
        Batch b;
        b.rows = n;
        b.layouts = layouts;
        for (size_t c = 0; c < layouts.size(); ++c) b.columns.push_back(view(layouts[c], array.children[c]));
        side.encode_keys(b, keys_);
        const JoinSide::Restored known{found.sequences.data(), found.matches.data()};
        side.add(b, keys_, found.weights.data(), &known);
        array.release(&array);
    }

    Arena arena_;
    JoinSide left_, right_;
    bool pairs_, padded_;
    std::vector<Layout> pair_layouts_, shown_layouts_;
    size_t left_columns_ = 0;
    int stage_ = 0;
    Table::Place place_;

    // the batch that is being joined, and how far that is
    int port_ = 0;
    const Batch* batch_ = nullptr;
    const int64_t* weights_ = nullptr;
    size_t row_ = 0, block_end_ = 0;
    JoinNode* heads_[kBlock];  // of the block's rows, the next node that each meets
    JoinSide::Keys keys_;
    std::vector<uint32_t> index_, sizes_;
    std::vector<JoinNode*> nodes_;
    std::vector<const uint8_t*> rows_;

    // the barrier
    int shown_port_ = 0;
    bool collected_ = false;
    size_t shown_at_ = 0;
    std::vector<int64_t> signs_;
};

}  // namespace laminar::engine
