// The state store's hash table: bytes to bytes in an arena, without rehash pauses.
//
// Extendible hashing (Fagin et al., TODS 1979): a directory over pages of 255 slots; a full page
// splits in two, which moves at most 204 entries, so no insertion ever waits for a whole table to
// be rehashed. A slot is a 64-bit hash and a pointer to the row (key and value together): hashes
// decide almost every comparison, and a hit needs the row anyway, so a lookup costs two cache
// misses, slot and row. Deletion shifts back within the page, so there are no tombstones.
//
// Changed rows are listed for incremental checkpoints; the row knows its place in the list.
#pragma once

#include <random>

#include "arena.hpp"
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
    explicit Table(Arena* arena, bool tracks = true) : arena_(arena), pool_(arena), tracks_(tracks) {
        directory_.push_back(new_page(0));
        ++pages_;
    }
    Table(const Table&) = delete;
    ~Table() { free_all(); }

    static uint64_t hash(const uint8_t* key, size_t n) { return hash_bytes(key, n, process_seed()) | 1; }

    void prefetch_slot(uint64_t h) const {
        const Page* page = page_of(h);
        __builtin_prefetch(&page->slots[start_of(h)]);
    }
    void prefetch_row(uint64_t h) const {
        const Page* page = page_of(h);
        for (uint32_t i = start_of(h);; i = next(i)) {
            if (page->slots[i].hash == h) return __builtin_prefetch(page->slots[i].row);
            if (!page->slots[i].hash) return;
        }
    }

    Row* find(const uint8_t* key, size_t n, uint64_t h) const {
        const Page* page = page_of(h);
        for (uint32_t i = start_of(h);; i = next(i)) {
            const Slot& s = page->slots[i];
            if (s.hash == h && s.row->klen == n && std::memcmp(s.row->key(), key, n) == 0) return s.row;
            if (!s.hash) return nullptr;
        }
    }

    // The row of key with a value of vlen bytes: as it was when the length is the same,
    // else only the first min(old, new) bytes; all zero when created. Listed as changed.
    Row* upsert(const uint8_t* key, size_t n, uint64_t h, size_t vlen, bool* created = nullptr) {
        Page* page = page_of(h);
        for (uint32_t i = start_of(h);; i = next(i)) {
            Slot& s = page->slots[i];
            if (!s.hash) break;
            if (s.hash != h || s.row->klen != n || std::memcmp(s.row->key(), key, n) != 0) continue;
            if (created) *created = false;
            if (s.row->vlen != vlen) s.row = resize(s.row, vlen);
            touch(s.row);
            return s.row;
        }
        Row* row = make(key, n, vlen);
        insert(h, row);
        touch(row);
        if (created) *created = true;
        return row;
    }

    bool erase(const uint8_t* key, size_t n, uint64_t h) {
        Page* page = page_of(h);
        for (uint32_t i = start_of(h);; i = next(i)) {
            Slot& s = page->slots[i];
            if (!s.hash) return false;
            if (s.hash != h || s.row->klen != n || std::memcmp(s.row->key(), key, n) != 0) continue;
            Row* row = s.row;
            shift_back(page, i);
            --page->count, --entries_;
            if (row->flags & Row::kPersisted) {
                const auto len = uint32_t(n);
                deleted_.append(&len, 4);
                deleted_.append(key, n);
            }
            untouch(row);
            pool_.release(row, row->cls);
            return true;
        }
    }

    void touch(Row* row) {
        if (row->dirty || !tracks_) return;
        changed_.push(row);
        row->dirty = uint32_t(changed_.size());
    }

    size_t entries() const { return entries_; }
    size_t bytes() const { return pool_.bytes() + pages_ * sizeof(Page) + directory_.capacity() * sizeof(Page*); }

    void clear() {
        free_all();
        pool_.clear();
        directory_.assign(1, nullptr);
        depth_ = 0, entries_ = 0, pages_ = 1;
        directory_[0] = new_page(0);
        changed_.clear();
        deleted_.size = 0;
    }

    // Every row, in no particular order. f must not add or remove entries.
    template <class F> void each(F f) const {
        size_t d = 0;
        do d = each_from(d, f);
        while (d);
    }
    // The same in steps: rows of one page, then the place to go on, 0 when that was the last.
    template <class F> size_t each_from(size_t d, F f) const {
        const Page* page = directory_[d];
        for (uint32_t i = 0; i < kSlots; ++i)
            if (page->slots[i].hash) __builtin_prefetch(page->slots[i].row);
        for (uint32_t i = 0; i < kSlots; ++i)
            if (page->slots[i].hash) f(page->slots[i].row);
        d += size_t(1) << (depth_ - page->depth);
        return d < directory_.size() ? d : 0;
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
    // Restoring: the row is in a checkpoint already, hence not a change.
    void restored(Row* row) {
        untouch(row);
        row->flags |= Row::kPersisted;
    }
    void forget_deletions() { deleted_.size = 0; }

  private:
    static constexpr uint32_t kSlots = 255, kFull = 204;
    struct Slot {
        uint64_t hash;  // 0: empty
        Row* row;
    };
    struct Page {
        uint32_t count, depth;
        uint64_t unused;
        Slot slots[kSlots];
    };
    static_assert(sizeof(Page) == Arena::kPage);

    Page* page_of(uint64_t h) const { return directory_[depth_ ? h >> (64 - depth_) : 0]; }
    static uint32_t start_of(uint64_t h) { return uint32_t(((h & 0xffffffffull) * kSlots) >> 32); }
    static uint32_t next(uint32_t i) { return i + 1 == kSlots ? 0 : i + 1; }

    Page* new_page(uint32_t depth) {
        auto* page = static_cast<Page*>(arena_->alloc(0));
        std::memset(static_cast<void*>(page), 0, sizeof *page);
        page->depth = depth;
        return page;
    }
    static void place(Page* page, uint64_t h, Row* row) {
        uint32_t i = start_of(h);
        while (page->slots[i].hash) i = next(i);
        page->slots[i] = {h, row};
        ++page->count;
    }
    void insert(uint64_t h, Row* row) {
        Page* page = page_of(h);
        while (page->count >= kFull) {
            split(page, h);
            page = page_of(h);
        }
        place(page, h, row);
        ++entries_;
    }
    void split(Page* page, uint64_t h) {
        if (page->depth == depth_) {
            if (depth_ >= 40) fail("XX000", "state table directory is too deep");
            std::vector<Page*> twice(directory_.size() * 2);
            for (size_t i = 0; i < directory_.size(); ++i) twice[2 * i] = twice[2 * i + 1] = directory_[i];
            directory_.swap(twice);
            ++depth_;
        }
        Page* low = new_page(page->depth + 1);
        Page* high = new_page(page->depth + 1);
        ++pages_;
        for (const Slot& s : page->slots)
            if (s.hash) place(s.hash >> (63 - page->depth) & 1 ? high : low, s.hash, s.row);
        const size_t span = size_t(1) << (depth_ - page->depth);
        const size_t first = (h >> (64 - depth_)) / span * span;
        for (size_t i = 0; i < span; ++i) directory_[first + i] = i < span / 2 ? low : high;
        arena_->release(page, 0);
    }
    static void shift_back(Page* page, uint32_t hole) {
        for (uint32_t i = next(hole); page->slots[i].hash; i = next(i)) {
            const uint32_t home = start_of(page->slots[i].hash);
            const bool stays = hole < i ? home > hole && home <= i : home > hole || home <= i;
            if (stays) continue;
            page->slots[hole] = page->slots[i];
            hole = i;
        }
        page->slots[hole] = {0, nullptr};
    }

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
    void free_all() {
        for (size_t d = 0; d < directory_.size();) {
            Page* page = directory_[d];
            d += size_t(1) << (depth_ - page->depth);
            for (uint32_t i = 0; large_ && i < kSlots; ++i)
                if (page->slots[i].hash && page->slots[i].row->cls >= Pool::kLarge)
                    pool_.release(page->slots[i].row, page->slots[i].row->cls);
            arena_->release(page, 0);
        }
    }

    Arena* arena_;
    Pool pool_;
    std::vector<Page*> directory_;
    uint32_t depth_ = 0;
    size_t entries_ = 0, pages_ = 0;
    bool tracks_;
    bool large_ = false;  // some row had a block of its own
    ChunkedList<Row*> changed_;
    Bytes deleted_;
};

}  // namespace laminar::engine
