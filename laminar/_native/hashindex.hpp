// A hash table of pointers that never rehashes as a whole.
//
// Extendible hashing (Fagin et al., TODS 1979): a directory over pages of 255 slots; a full page
// splits in two, which moves at most 204 entries, so no insertion ever waits for the whole table.
// A slot is a 64-bit hash and a pointer to what it is the hash of: hashes decide almost every
// comparison, and a hit needs the entry anyway. Deletion shifts back within the page, so there
// are no tombstones.
#pragma once

#include "arena.hpp"

namespace laminar::engine {

template <class T> class HashIndex {
  public:
    explicit HashIndex(Arena* arena) : arena_(arena) {
        directory_.push_back(new_page(0));
    }
    HashIndex(const HashIndex&) = delete;
    ~HashIndex() { free_pages(); }

    // Hashes are never 0.
    void prefetch_slot(uint64_t h) const { arena_->prefetch(&page_of(h)->slots[start_of(h)]); }
    void prefetch_entry(uint64_t h) const {
        const Page* page = page_of(h);
        for (uint32_t i = start_of(h);; i = next(i)) {
            if (page->slots[i].hash == h) return arena_->prefetch(page->slots[i].entry);
            if (!page->slots[i].hash) return;
        }
    }
    // Where the entry with this hash for which same(entry) holds is pointed to, until the next
    // insertion or deletion; nullptr when there is none.
    template <class Same> T** find(uint64_t h, Same same) const {
        Page* page = page_of(h);
        for (uint32_t i = start_of(h);; i = next(i)) {
            Slot& s = page->slots[i];
            if (s.hash == h && same(s.entry)) return &s.entry;
            if (!s.hash) return nullptr;
        }
    }
    // The entry must not be there.
    void insert(uint64_t h, T* entry) {
        Page* page = page_of(h);
        while (page->count >= kFull) {
            split(page, h);
            page = page_of(h);
        }
        place(page, h, entry);
        ++entries_;
    }
    template <class Same> T* erase(uint64_t h, Same same) {
        Page* page = page_of(h);
        for (uint32_t i = start_of(h);; i = next(i)) {
            const Slot s = page->slots[i];
            if (!s.hash) return nullptr;
            if (s.hash != h || !same(s.entry)) continue;
            shift_back(page, i);
            --page->count, --entries_;
            return s.entry;
        }
    }

    size_t entries() const { return entries_; }
    size_t bytes() const { return pages_ * sizeof(Page) + directory_.capacity() * sizeof(Page*); }
    void clear() {
        free_pages();
        depth_ = 0, entries_ = 0, pages_ = 0;
        directory_.assign(1, nullptr);
        directory_[0] = new_page(0);
    }

    // The entries of one page: f(hash, entry&); returns the place to go on, 0 when that was the
    // last. f must not add or remove entries. A place is the hash at which the page begins, so it
    // stays good when pages split.
    template <class F> uint64_t each_from(uint64_t from, F f) const {
        Page* page = page_of(from);
        for (uint32_t i = 0; i < kSlots; ++i)
            if (page->slots[i].hash) __builtin_prefetch(page->slots[i].entry);
        for (uint32_t i = 0; i < kSlots; ++i)
            if (page->slots[i].hash) f(page->slots[i].hash, page->slots[i].entry);
        if (!page->depth) return 0;
        const int shift = 64 - int(page->depth);
        return ((from >> shift) + 1) << shift;  // wraps to 0 behind the last
    }

  private:
    static constexpr uint32_t kSlots = 255, kFull = 204;
    struct Slot {
        uint64_t hash;  // 0: empty
        T* entry;
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
        ++pages_;
        return page;
    }
    static void place(Page* page, uint64_t h, T* entry) {
        uint32_t i = start_of(h);
        while (page->slots[i].hash) i = next(i);
        page->slots[i] = {h, entry};
        ++page->count;
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
        for (const Slot& s : page->slots)
            if (s.hash) place(s.hash >> (63 - page->depth) & 1 ? high : low, s.hash, s.entry);
        const size_t span = size_t(1) << (depth_ - page->depth);
        const size_t first = (h >> (64 - depth_)) / span * span;
        for (size_t i = 0; i < span; ++i) directory_[first + i] = i < span / 2 ? low : high;
        arena_->release(page, 0);
        --pages_;
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
    void free_pages() {
        for (size_t d = 0; d < directory_.size();) {
            Page* page = directory_[d];
            d += size_t(1) << (depth_ - page->depth);
            arena_->release(page, 0);
        }
    }

    Arena* arena_;
    std::vector<Page*> directory_;
    uint32_t depth_ = 0;
    size_t entries_ = 0, pages_ = 0;
};

}  // namespace laminar::engine
