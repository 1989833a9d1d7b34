// An ordered multiset of byte strings in an arena: a B+ tree, weights as values.
//
// A key is a group number, the first eight bytes of the value's comparable form inline, and the
// rest, if any, in a piece of its own, so that most comparisons touch the node alone. Nodes are
// 4 KB; a leaf goes back to the arena once it is empty (Graefe, "Modern B-Tree Techniques", 2011:
// merging at half full is not worth its cost under mixed loads). Weights may be negative inside
// an epoch; an entry of weight 0 is gone.
#pragma once

#include "arena.hpp"
#include "columns.hpp"

namespace laminar::engine {

struct Tail {
    uint32_t size;
    uint16_t cls;
    uint16_t unused;
    uint8_t* bytes() { return reinterpret_cast<uint8_t*>(this + 1); }
    const uint8_t* bytes() const { return reinterpret_cast<const uint8_t*>(this + 1); }
};

// A key to look for: tail is nullptr when nothing follows b.
struct OrderedKey {
    uint64_t a, b;
    const uint8_t* tail = nullptr;
    uint32_t size = 0;
};

class BTree {
  public:
    struct Entry {
        uint64_t a, b;
        Tail* tail;
        int64_t weight;
    };

    explicit BTree(Arena* arena) : arena_(arena), pool_(arena), root_(new_node(true)) {}
    BTree(const BTree&) = delete;
    ~BTree() { drop(root_); }

    // Adds weight to key's; returns the new one.
    int64_t add(const OrderedKey& key, int64_t weight) {
        if (!weight) return get(key);
        if (root_->count == kFanout) {
            Node* root = new_node(false);
            root->count = 1;
            root->child[0] = root_;
            root->entry[0] = root_->entry[0];
            split(root, 0);
            root_ = root;
            ++height_;
        }
        Path path[kMaxHeight];
        int depth = 0;
        Node* node = root_;
        while (!node->leaf) {
            uint32_t i = child_of(node, key);
            if (node->child[i]->count == kFanout) {
                split(node, i);
                i = child_of(node, key);
            }
            path[depth++] = {node, i};
            node = node->child[i];
        }
        const uint32_t i = lower(node, key);
        if (i < node->count && compare(node->entry[i], key) == 0) {
            const int64_t now = node->entry[i].weight += weight;
            if (now == 0) remove(node, i, path, depth);
            return now;
        }
        Entry e{key.a, key.b, nullptr, weight};
        if (key.tail) {
            const uint16_t cls = Pool::class_of(sizeof(Tail) + key.size);
            e.tail = static_cast<Tail*>(pool_.alloc(cls));
            e.tail->size = key.size, e.tail->cls = cls;
            if (key.size) std::memcpy(e.tail->bytes(), key.tail, key.size);
        }
        std::memmove(&node->entry[i + 1], &node->entry[i], (node->count - i) * sizeof(Entry));
        node->entry[i] = e;
        ++node->count;
        ++entries_;
        return weight;
    }

    int64_t get(const OrderedKey& key) const {
        const Node* node = root_;
        while (!node->leaf) node = node->child[child_of(node, key)];
        const uint32_t i = lower(node, key);
        return i < node->count && compare(node->entry[i], key) == 0 ? node->entry[i].weight : 0;
    }

    // Entries with weight above 0 from key on upwards while f(entry) is true.
    template <class F> void ascend(const OrderedKey& key, F f) const { up(root_, key, false, f); }
    // Entries below key, downwards.
    template <class F> void descend(const OrderedKey& key, F f) const { down(root_, key, false, f); }

    // Least or greatest entry of group a with weight above 0; nullptr when there is none.
    const Entry* first(uint64_t a) const {
        const Entry* found = nullptr;
        ascend({a, 0}, [&](const Entry& e) {
            if (e.a != a) return false;
            if (e.weight <= 0) return true;
            found = &e;
            return false;
        });
        return found;
    }
    const Entry* last(uint64_t a) const {
        const Entry* found = nullptr;
        descend({a + 1, 0}, [&](const Entry& e) {
            if (e.a != a) return false;
            if (e.weight <= 0) return true;
            found = &e;
            return false;
        });
        return found;
    }

    size_t entries() const { return entries_; }
    size_t bytes() const { return pool_.bytes() + nodes_ * Arena::kPage; }

  private:
    static constexpr uint32_t kFanout = 100;
    static constexpr int kMaxHeight = 24;
    struct Node {
        uint32_t count;
        bool leaf;
        Entry entry[kFanout];  // inner nodes: the least key that was put below child[i]
        Node* child[kFanout];
    };
    static_assert(sizeof(Node) <= Arena::kPage);
    struct Path {
        Node* node;
        uint32_t at;
    };

    static int compare(const Entry& e, const OrderedKey& k) {
        if (e.a != k.a) return e.a < k.a ? -1 : 1;
        if (e.b != k.b) return e.b < k.b ? -1 : 1;
        if (!e.tail || !k.tail) return int(e.tail != nullptr) - int(k.tail != nullptr);
        const size_t n = e.tail->size < k.size ? e.tail->size : k.size;
        const int c = n ? std::memcmp(e.tail->bytes(), k.tail, n) : 0;
        if (c) return c;
        return e.tail->size < k.size ? -1 : e.tail->size > k.size;
    }
    static uint32_t lower(const Node* node, const OrderedKey& key) {  // first entry not below key
        uint32_t low = 0, high = node->count;
        while (low < high) {
            const uint32_t mid = (low + high) / 2;
            if (compare(node->entry[mid], key) < 0) low = mid + 1;
            else high = mid;
        }
        return low;
    }
    // The child key belongs to. An inner node's entry 0 is never looked at: child 0 also takes what
    // is below it, once children to its left are gone.
    static uint32_t child_of(const Node* node, const OrderedKey& key) {
        uint32_t low = 1, high = node->count;
        while (low < high) {
            const uint32_t mid = (low + high) / 2;
            if (compare(node->entry[mid], key) <= 0) low = mid + 1;
            else high = mid;
        }
        return low - 1;
    }

    Node* new_node(bool leaf) {
        auto* node = static_cast<Node*>(arena_->alloc(0));
        node->count = 0;
        node->leaf = leaf;
        ++nodes_;
        return node;
    }
    // Inner nodes need keys that outlive entries: they own copies of the tails.
    Entry separator(const Entry& e) {
        Entry s = e;
        if (e.tail) {
            s.tail = static_cast<Tail*>(pool_.alloc(e.tail->cls));
            std::memcpy(s.tail, e.tail, sizeof(Tail) + e.tail->size);
        }
        return s;
    }
    void free_tail(Entry& e) {
        if (e.tail) pool_.release(e.tail, e.tail->cls);
        e.tail = nullptr;
    }
    // Splits the full child i of a node that has room.
    void split(Node* parent, uint32_t i) {
        Node* left = parent->child[i];
        Node* right = new_node(left->leaf);
        const uint32_t half = left->count / 2;
        right->count = left->count - half;
        std::memcpy(right->entry, left->entry + half, right->count * sizeof(Entry));
        if (!left->leaf) std::memcpy(right->child, left->child + half, right->count * sizeof(Node*));
        left->count = half;
        std::memmove(&parent->entry[i + 2], &parent->entry[i + 1], (parent->count - i - 1) * sizeof(Entry));
        std::memmove(&parent->child[i + 2], &parent->child[i + 1], (parent->count - i - 1) * sizeof(Node*));
        parent->entry[i + 1] = separator(right->entry[0]);
        parent->child[i + 1] = right;
        if (parent->count == 1 && i == 0) parent->entry[0] = {0, 0, nullptr, 0};
        ++parent->count;
    }
    void remove(Node* leaf, uint32_t i, Path* path, int depth) {
        free_tail(leaf->entry[i]);
        --leaf->count, --entries_;
        std::memmove(&leaf->entry[i], &leaf->entry[i + 1], (leaf->count - i) * sizeof(Entry));
        Node* empty = leaf;
        while (empty->count == 0 && depth > 0) {  // unlink empty nodes up to the root
            auto [parent, at] = path[--depth];
            free_tail(parent->entry[at]);
            --parent->count;
            std::memmove(&parent->entry[at], &parent->entry[at + 1], (parent->count - at) * sizeof(Entry));
            std::memmove(&parent->child[at], &parent->child[at + 1], (parent->count - at) * sizeof(Node*));
            arena_->release(empty, 0);
            --nodes_;
            empty = parent;
        }
        if (!root_->leaf && root_->count == 0) {
            root_->leaf = true;
            height_ = 1;
        }
        while (!root_->leaf && root_->count == 1) {
            Node* only = root_->child[0];
            free_tail(root_->entry[0]);
            arena_->release(root_, 0);
            --nodes_, --height_;
            root_ = only;
        }
    }
    template <class F> static bool up(const Node* node, const OrderedKey& key, bool all, F& f) {
        if (node->leaf) {
            for (uint32_t i = all ? 0 : lower(node, key); i < node->count; ++i)
                if (!f(node->entry[i])) return false;
            return true;
        }
        const uint32_t from = all ? 0 : child_of(node, key);
        for (uint32_t i = from; i < node->count; ++i)
            if (!up(node->child[i], key, all || i > from, f)) return false;
        return true;
    }
    template <class F> static bool down(const Node* node, const OrderedKey& key, bool all, F& f) {
        if (node->leaf) {
            for (uint32_t i = all ? node->count : lower(node, key); i-- > 0;)
                if (!f(node->entry[i])) return false;
            return true;
        }
        const uint32_t from = all ? node->count - 1 : child_of(node, key);
        for (uint32_t i = from + 1; i-- > 0;)
            if (!down(node->child[i], key, all || i < from, f)) return false;
        return true;
    }
    void drop(Node* node) {
        for (uint32_t i = 0; i < node->count; ++i) {
            if (node->entry[i].tail && node->entry[i].tail->cls >= Pool::kLarge) free_tail(node->entry[i]);
            if (!node->leaf) drop(node->child[i]);
        }
        arena_->release(node, 0);
    }

    Arena* arena_;
    Pool pool_;
    size_t nodes_ = 0, entries_ = 0;
    int height_ = 1;
    Node* root_;
};

}  // namespace laminar::engine
