// The state store's hash table: bytes to bytes in an arena, without rehash pauses.
//
// A HashIndex of rows (key and value together): a lookup costs two cache misses, slot and row.
// Changed rows are listed for incremental checkpoints; the row knows its place in the list.
#pragma once

#include <random>

#include "hashindex.hpp"
#include "hashing.hpp"

namespace laminar::engine {

// A header, the key padded to 8 bytes, the value.
struct Row {
    uint32_t dirty;   // 1 + place in the changed list; 0: unchanged
    uint32_t klen;
    uint32_t vlen;
    uint16_t cls;     // size class of the allocation
    uint16_t flags;

    static constexpr uint16_t kPersisted = 1;  // some checkpoint holds it
    static size_t padded(size_t n) { return (n + 7) & ~size_t(7); }
    uint8_t* key() { return reinterpret_cast<uint8_t*>(this + 1); }
    const uint8_t* key() const { return reinterpret_cast<const uint8_t*>(this + 1); }
    uint8_t* value() { return key() + padded(klen); }
    const uint8_t* value() const { return key() + padded(klen); }
};

// A list that grows without moving what it holds.
template <class T> class ChunkedList {
  public:
    void push(const T& v) {
        if ((size_ & kMask) == 0 && size_ / kChunk == chunks_.size()) chunks_.emplace_back(new T[kChunk]);
        chunks_[size_ / kChunk][size_ & kMask] = v;
        ++size_;
    }
    T& operator[](size_t i) { return chunks_[i / kChunk][i & kMask]; }
    size_t size() const { return size_; }
    void pop() { --size_; }
    void clear() {
        size_ = 0;
        if (chunks_.size() > 1) chunks_.resize(1);
    }

  private:
    static constexpr size_t kChunk = 4096, kMask = kChunk - 1;
    size_t size_ = 0;
    std::vector<std::unique_ptr<T[]>> chunks_;
};

inline uint64_t process_seed() {
    static const uint64_t seed = [] {
        std::random_device device;
        return uint64_t(device()) << 32 | device();
    }();
    return seed;
}

class Table {
  public:
    // tracks: whether changes are listed for checkpoints.
    explicit Table(Arena* arena, bool tracks = true) : pool_(arena), index_(arena), tracks_(tracks) {}
    Table(const Table&) = delete;
    ~Table() { free_large(); }

    static uint64_t hash(const uint8_t* key, size_t n) { return hash_bytes(key, n, process_seed()) | 1; }

    void prefetch_slot(uint64_t h) const { index_.prefetch_slot(h); }
    void prefetch_row(uint64_t h) const { index_.prefetch_entry(h); }

    Row* find(const uint8_t* key, size_t n, uint64_t h) const {
        Row** found = index_.find(h, Same{key, n});
        return found ? *found : nullptr;
    }

    // The row of key with a value of vlen bytes: as it was when the length is the same,
    // else only the first min(old, new) bytes; all zero when created. Listed as changed.
    Row* upsert(const uint8_t* key, size_t n, uint64_t h, size_t vlen, bool* created = nullptr) {
        Row** found = index_.find(h, Same{key, n});
        if (created) *created = !found;
        Row* row;
        if (!found) {
            row = make(key, n, vlen);
            index_.insert(h, row);
        } else {
            if ((*found)->vlen != vlen) *found = resize(*found, vlen);
            row = *found;
        }
        touch(row);
        return row;
    }

    bool erase(const uint8_t* key, size_t n, uint64_t h) {
        Row* row = index_.erase(h, Same{key, n});
        if (!row) return false;
        if (row->flags & Row::kPersisted) {
            const auto len = uint32_t(n);
            deleted_.append(&len, 4);
            deleted_.append(key, n);
        }
        untouch(row);
        pool_.release(row, row->cls);
        return true;
    }

    void touch(Row* row) {
        if (row->dirty || !tracks_) return;
        changed_.push(row);
        row->dirty = uint32_t(changed_.size());
    }

    size_t entries() const { return index_.entries(); }
    size_t bytes() const { return pool_.bytes() + index_.bytes(); }

    void clear() {
        free_large();
        pool_.clear();
        index_.clear();
        changed_.clear();
        deleted_.size = 0;
    }

    // Every row, in no particular order. f must not add or remove entries.
    template <class F> void each(F f) const {
        uint64_t place = 0;
        do place = each_from(place, f);
        while (place);
    }
    // The same in steps: rows of one page, then the place to go on, 0 when that was the last.
    template <class F> uint64_t each_from(uint64_t place, F f) const {
        return index_.each_from(place, [&](uint64_t, const Row* row) { f(row); });
    }

    // What changed since the last call of checkpointed(): f(key, length, value or nullptr, length),
    // deletions first. Stops once f returns false; place remembers where.
    struct Place {
        size_t deleted = 0, changed = 0;
    };
    template <class F> bool changes(Place& place, F f) {
        while (place.deleted < deleted_.size) {
            uint32_t n;
            std::memcpy(&n, deleted_.p + place.deleted, 4);
            const uint8_t* key = deleted_.p + place.deleted + 4;
            place.deleted += 4 + n;
            if (!f(key, n, static_cast<const uint8_t*>(nullptr), 0u)) return false;
        }
        while (place.changed < changed_.size()) {
            const Row* row = changed_[place.changed++];
            if (!f(row->key(), row->klen, row->value(), row->vlen)) return false;
        }
        return true;
    }
    void checkpointed() {
        for (size_t i = 0; i < changed_.size(); ++i) {
            changed_[i]->dirty = 0;
            changed_[i]->flags |= Row::kPersisted;
        }
        changed_.clear();
        deleted_.size = 0;
    }
    size_t changed() const { return changed_.size(); }
    // Every key that some checkpoint holds, f(key, length): rows, and deleted ones it was not told of.
    template <class F> void persisted(F f) const {
        for (size_t at = 0; at < deleted_.size;) {
            uint32_t n;
            std::memcpy(&n, deleted_.p + at, 4);
            f(deleted_.p + at + 4, size_t(n));
            at += 4 + n;
        }
        each([&](const Row* row) {
            if (row->flags & Row::kPersisted) f(row->key(), size_t(row->klen));
        });
    }
    // Restoring: the row is in a checkpoint already, hence not a change.
    void restored(Row* row) {
        untouch(row);
        row->flags |= Row::kPersisted;
    }
    void forget_deletions() { deleted_.size = 0; }

  private:
    struct Same {
        const uint8_t* key;
        size_t n;
        bool operator()(const Row* row) const { return row->klen == n && std::memcmp(row->key(), key, n) == 0; }
    };

    Row* make(const uint8_t* key, size_t n, size_t vlen) {
        if (n > UINT32_MAX / 2 || vlen > UINT32_MAX / 2) fail("54000", "state entry is too large");
        const uint16_t cls = Pool::class_of(sizeof(Row) + Row::padded(n) + vlen);
        large_ |= cls >= Pool::kLarge;
        auto* row = static_cast<Row*>(pool_.alloc(cls));
        row->dirty = 0, row->klen = uint32_t(n), row->vlen = uint32_t(vlen), row->cls = cls, row->flags = 0;
        if (n) std::memcpy(row->key(), key, n);
        std::memset(row->value(), 0, vlen);
        return row;
    }
    Row* resize(Row* old, size_t vlen) {
        const size_t need = sizeof(Row) + Row::padded(old->klen) + vlen;
        const size_t room = Pool::size_of(old->cls);
        if (need <= room && room <= need * 2 + 64) {
            old->vlen = uint32_t(vlen);
            return old;
        }
        Row* row = make(old->key(), old->klen, vlen);
        std::memcpy(row->value(), old->value(), vlen < old->vlen ? vlen : old->vlen);
        row->flags = old->flags;
        row->dirty = old->dirty;
        if (row->dirty) changed_[row->dirty - 1] = row;
        pool_.release(old, old->cls);
        return row;
    }
    void untouch(Row* row) {
        if (!row->dirty) return;
        Row* last = changed_[changed_.size() - 1];
        changed_[row->dirty - 1] = last;
        last->dirty = row->dirty;
        changed_.pop();
        row->dirty = 0;
    }
    void free_large() {  // rows with blocks of their own
        if (!large_) return;
        each([&](const Row* row) {
            if (row->cls >= Pool::kLarge) pool_.release(const_cast<Row*>(row), row->cls);
        });
        large_ = false;
    }

    Pool pool_;
    HashIndex<Row> index_;
    bool tracks_;
    bool large_ = false;  // some row had a block of its own
    ChunkedList<Row*> changed_;
    Bytes deleted_;
};

}  // namespace laminar::engine
