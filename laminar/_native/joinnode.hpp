// How a join keeps a row: a header with what its side needs, then the row's bytes.
//
// An append-only side without counts keeps nothing but the chain, 8 bytes a row, so two bigints
// take a piece of 32 bytes.
#pragma once

#include "rows.hpp"
#include "statetable.hpp"

namespace laminar::engine {

struct JoinNode {
    JoinNode* next;  // of the same key
};

// Where the fields of a side's nodes lie; 0: they have none.
class NodeFormat {
  public:
    struct Needs {
        bool links;     // can be taken out of the middle of its chain
        bool weight;    // else 1
        bool state;     // knows whether it was touched and is in the changed list
        bool matches;   // how many rows of the other side match it
        bool sequence;  // its name in checkpoints, if that is not its row
        bool size;      // of the row, if that varies
    };
    NodeFormat(const Needs& needs, uint32_t row_size) : row_size_(row_size) {
        auto field = [&](bool needed, uint32_t width) {
            const uint32_t at = needed ? header_ : 0;
            header_ += needed ? width : 0;
            return at;
        };
        links_ = field(needs.links, 8), weight_ = field(needs.weight, 8), matches_ = field(needs.matches, 8);
        sequence_ = field(needs.sequence, 8), dirty_ = field(needs.state, 4), flags_ = field(needs.state, 4);
        size_ = field(needs.size, 4);
    }

    bool has_links() const { return links_; }
    bool has_weight() const { return weight_; }
    bool has_state() const { return dirty_; }
    bool has_matches() const { return matches_; }
    bool has_sequence() const { return sequence_; }

    JoinNode*& previous(JoinNode* n) const { return field<JoinNode*>(n, links_); }
    int64_t weight(const JoinNode* n) const { return weight_ ? value<int64_t>(n, weight_) : 1; }
    int64_t& weight(JoinNode* n) const { return field<int64_t>(n, weight_); }
    int64_t matches(const JoinNode* n) const { return value<int64_t>(n, matches_); }
    int64_t& matches(JoinNode* n) const { return field<int64_t>(n, matches_); }
    uint64_t& sequence(JoinNode* n) const { return field<uint64_t>(n, sequence_); }
    uint32_t& dirty(JoinNode* n) const { return field<uint32_t>(n, dirty_); }  // 1 + place in the changed list
    uint32_t& flags(JoinNode* n) const { return field<uint32_t>(n, flags_); }
    uint32_t size(const JoinNode* n) const { return size_ ? value<uint32_t>(n, size_) : row_size_; }
    const uint8_t* row(const JoinNode* n) const { return reinterpret_cast<const uint8_t*>(n) + header_; }

    uint16_t class_for(uint32_t size) const { return Pool::class_of(header_ + size); }
    // A node with zeros in its header.
    JoinNode* make(Pool& pool, const uint8_t* row, uint32_t size) const {
        auto* n = static_cast<JoinNode*>(pool.alloc(class_for(size)));
        std::memset(static_cast<void*>(n), 0, header_);
        if (size_) field<uint32_t>(n, size_) = size;
        if (size) std::memcpy(reinterpret_cast<uint8_t*>(n) + header_, row, size);
        return n;
    }

  private:
    template <class T> static T& field(JoinNode* n, uint32_t at) { return *reinterpret_cast<T*>(reinterpret_cast<uint8_t*>(n) + at); }
    template <class T> static T value(const JoinNode* n, uint32_t at) {
        return *reinterpret_cast<const T*>(reinterpret_cast<const uint8_t*>(n) + at);
    }
    uint32_t row_size_, header_ = sizeof(JoinNode);
    uint32_t links_, weight_, matches_, sequence_, dirty_, flags_, size_;
};

// A join's key within the bytes of a row: the columns that make it, as the key's own codec has them.
class KeyOfRow {
  public:
    KeyOfRow(const RowCodec& rows, const RowCodec& keys, const std::vector<int>& columns) : rows_(rows), keys_(keys), columns_(columns) {
        for (size_t c = 0; c < rows.layouts().size(); ++c)
            if (is_variable(rows.layouts()[c])) variables_.push_back(int(c));
    }

    bool equals(const uint8_t* row, uint32_t size, const uint8_t* key, uint32_t key_size) const {
        if (keys_.variable()) {
            thread_local Bytes scratch;
            const uint32_t n = extract(row, size, scratch);
            return n == key_size && std::memcmp(scratch.p, key, n) == 0;
        }
        for (size_t k = 0; k < columns_.size(); ++k) {
            const auto c = size_t(columns_[k]);
            if (rows_.null_at(row, c) != keys_.null_at(key, k)) return false;
            const uint8_t *a = row + rows_.offset_of(c), *b = key + keys_.offset_of(k);
            const size_t width = width_of(rows_.layouts()[c]);
            if (width == 8 ? read8(a) != read8(b) : std::memcmp(a, b, width) != 0) return false;
        }
        return true;
    }

    // Writes the key to out; returns its length.
    uint32_t extract(const uint8_t* row, uint32_t size, Bytes& out) const {
        out.size = 0;
        uint8_t* fixed = out.grow(keys_.fixed_size());
        std::memset(fixed, 0, keys_.fixed_size());
        for (size_t k = 0; k < columns_.size(); ++k) {
            const auto c = size_t(columns_[k]);
            std::memcpy(fixed + keys_.offset_of(k), row + rows_.offset_of(c), width_of(rows_.layouts()[c]));
            if (rows_.null_at(row, c)) keys_.set_null(fixed, k);
        }
        for (int c : columns_) {
            if (!is_variable(rows_.layouts()[size_t(c)])) continue;
            const uint8_t *p = row + rows_.fixed_size(), *end = row + size, *from = p;
            uint32_t n = 0;
            for (int v : variables_) {
                from = p;
                p = get_varint(p, end, n);
                if (n > size_t(end - p)) fail("XX001", "row is cut short");
                p += n;
                if (v == c) break;
            }
            out.append(from, size_t(p - from));
        }
        return uint32_t(out.size);
    }

  private:
    static bool is_variable(const Layout& l) { return l.shape == Shape::Var || l.shape == Shape::List; }
    static size_t width_of(const Layout& l) { return l.shape == Shape::Bool ? 1 : l.shape == Shape::Fixed ? size_t(l.width) : 0; }

    const RowCodec &rows_, &keys_;
    std::vector<int> columns_, variables_;
};

}  // namespace laminar::engine
