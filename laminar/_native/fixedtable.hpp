// A hash table for keys and values of one size each, both inside the slot.
//
// Extendible hashing like HashIndex, but a page holds the entries themselves, so a split moves them
// and pointers into the table last only until the next insertion or deletion. A page begins with a
// byte of each entry's hash (as in Kulukundis, "Designing a Fast, Efficient, Cache-friendly Hash
// Table", CppCon 2017): eight slots are ruled out at a time, and while that line comes from memory
// the entry is on its way as well, so that most lookups wait for memory once.
//
// Changes are listed by page: a page with changed entries is on the list once, each entry says
// whether it changed.
#pragma once

#include "statetable.hpp"

namespace laminar::engine {

class FixedTable {
  public:
    static constexpr size_t kMaxKey = 64, kMaxValue = 256;

    FixedTable(Arena* arena, size_t key_size, size_t value_size)
        : arena_(arena), key_(key_size), value_(value_size), value_at_(Row::padded(key_size)),
          stride_((value_at_ + value_size + 15) / 16 * 16) {
        if (!key_size || key_size > kMaxKey || value_size > kMaxValue) fail("XX000", "entries do not fit a table of fixed sizes");
        class_ = Arena::class_of(stride_ * kMinSlots + sizeof(Page));
        const size_t size = Arena::kPage << class_;
        slots_ = uint32_t((size - sizeof(Page) - kGroup - kLine) / (stride_ + 2));
        full_ = slots_ * 13 / 16;
        flags_at_ = sizeof(Page) + slots_ + kGroup;
        first_at_ = (flags_at_ + slots_ + kLine - 1) / kLine * kLine;
        directory_.push_back(new_page(0));
    }
    FixedTable(const FixedTable&) = delete;
    ~FixedTable() { free_all(); }

    // The value of key, nullptr when there is none.
    const uint8_t* find(const uint8_t* key) const {
        const uint64_t h = hash(key);
        const Page* page = page_of(h);
        fetch(slot(page, home(h)));
        const uint32_t i = locate(page, h, key);
        return i == kNone ? nullptr : value(page, i);
    }
    void prefetch(const uint8_t* key) const {
        const uint64_t h = hash(key);
        const Page* page = page_of(h);
        __builtin_prefetch(tags(page) + home(h));
        fetch(slot(page, home(h)));
    }
    // Where key's value is to be written; counted as changed. All zero when it was not there.
    uint8_t* upsert(const uint8_t* key, bool* created = nullptr) {
        const uint64_t h = hash(key);
        Page* page = page_of(h);
        uint32_t i = locate(page, h, key);
        if (created) *created = i == kNone;
        if (i == kNone) {
            for (; page->count >= full_; page = page_of(h)) split(page, h);
            i = place(page, h);
            std::memset(slot(page, i), 0, stride_);
            std::memcpy(slot(page, i), key, key_);
            ++entries_;
        }
        flags(page)[i] |= kChanged;
        note(page);
        return value(page, i);
    }
    bool erase(const uint8_t* key) {
        const uint64_t h = hash(key);
        Page* page = page_of(h);
        const uint32_t i = locate(page, h, key);
        if (i == kNone) return false;
        if (flags(page)[i] & kPersisted) deleted_.append(key, key_);
        shift_back(page, i);
        --page->count, --entries_;
        return true;
    }

    size_t entries() const { return entries_; }
    size_t bytes() const { return pages_ * (Arena::kPage << class_) + directory_.capacity() * sizeof(Page*); }
    size_t key_size() const { return key_; }
    size_t value_size() const { return value_; }

    void clear() {
        free_all();
        directory_.clear();
        depth_ = 0, entries_ = 0, pages_ = 0;
        changed_.clear();
        deleted_.size = 0;
        directory_.push_back(new_page(0));
    }

    // f(key, value) for the entries of one page; returns where to go on, 0 at the end.
    template <class F> size_t each_from(size_t d, F f) const {
        const Page* page = directory_[d];
        for (uint32_t i = 0; i < slots_; ++i)
            if (tags(page)[i]) f(slot(page, i), value(page, i));
        d += size_t(1) << (depth_ - page->depth);
        return d < directory_.size() ? d : 0;
    }

    // Changed entries since checkpointed(), as Table's; a page at a time.
    template <class F> void changes(Table::Place& place, F f) {
        while (place.deleted < deleted_.size) {
            const uint8_t* key = deleted_.p + place.deleted;
            place.deleted += key_;
            if (!f(key, static_cast<const uint8_t*>(nullptr))) return;
        }
        bool more = true;
        while (more && place.changed < changed_.size()) {
            const Page* page = changed_[place.changed++];
            for (uint32_t i = 0; i < slots_; ++i)
                if (tags(page)[i] && flags(page)[i] & kChanged) more &= f(slot(page, i), value(page, i));
        }
    }
    void checkpointed() {
        for (size_t p = 0; p < changed_.size(); ++p) settle(changed_[p]);
        changed_.clear();
        deleted_.size = 0;
    }
    // Restoring: what is in the table is in a checkpoint already.
    void restored() { checkpointed(); }

  private:
    static constexpr uint8_t kChanged = 1, kPersisted = 2;
    static constexpr uint32_t kNone = UINT32_MAX;
    static constexpr size_t kGroup = 8, kLine = 64, kMinSlots = 640;
    static constexpr uint64_t kOnes = 0x0101010101010101ull, kHighs = 0x8080808080808080ull;
    // Then: slots_ tags (0: empty) and the first kGroup of them again, slots_ flags, the slots.
    struct Page {
        uint32_t count, depth;
        uint32_t listed, unused;  // listed: 1 + place among the changed pages
    };

    uint64_t hash(const uint8_t* key) const { return hash_bytes(key, key_, process_seed()); }
    bool same(const uint8_t* a, const uint8_t* b) const {
        return key_ == 16 ? read8(a) == read8(b) && read8(a + 8) == read8(b + 8) : std::memcmp(a, b, key_) == 0;
    }
    Page* page_of(uint64_t h) const { return directory_[depth_ ? h >> (64 - depth_) : 0]; }
    uint32_t home(uint64_t h) const { return uint32_t(((h & 0xffffffffull) * slots_) >> 32); }
    static uint8_t tag_of(uint64_t h) { return uint8_t(h | 0x80); }
    uint32_t wrapped(uint32_t i) const { return i >= slots_ ? i - slots_ : i; }
    static uint8_t* bytes_of(const Page* page) { return reinterpret_cast<uint8_t*>(const_cast<Page*>(page)); }
    uint8_t* tags(const Page* page) const { return bytes_of(page) + sizeof(Page); }
    uint8_t* flags(const Page* page) const { return bytes_of(page) + flags_at_; }
    uint8_t* slot(const Page* page, uint32_t i) const { return bytes_of(page) + first_at_ + size_t(i) * stride_; }
    uint8_t* value(const Page* page, uint32_t i) const { return slot(page, i) + value_at_; }
    void fetch(const uint8_t* slot) const {
        __builtin_prefetch(slot);
        __builtin_prefetch(slot + stride_ - 1);
    }
    void set_tag(Page* page, uint32_t i, uint8_t tag) const {
        tags(page)[i] = tag;
        if (i < kGroup) tags(page)[slots_ + i] = tag;
    }

    // The slot of key, kNone when it is not in the page.
    uint32_t locate(const Page* page, uint64_t h, const uint8_t* key) const {
        const uint64_t wanted = tag_of(h) * kOnes;
        for (uint32_t i = home(h);; i = wrapped(i + kGroup)) {
            const uint64_t group = read8(tags(page) + i);
            const uint64_t differs = group ^ wanted;
            // high bits of bytes that are equal, and perhaps of others above one that is
            for (uint64_t hits = (differs - kOnes) & ~differs & kHighs; hits; hits &= hits - 1) {
                const uint32_t at = wrapped(i + uint32_t(__builtin_ctzll(hits)) / 8);
                if (same(slot(page, at), key)) return at;
            }
            if (~group & kHighs) return kNone;
        }
    }
    // Takes the first empty slot for a hash.
    uint32_t place(Page* page, uint64_t h) {
        uint32_t i = home(h);
        uint64_t empty;
        while (!(empty = ~read8(tags(page) + i) & kHighs)) i = wrapped(i + kGroup);
        i = wrapped(i + uint32_t(__builtin_ctzll(empty)) / 8);
        set_tag(page, i, tag_of(h));
        flags(page)[i] = 0;
        ++page->count;
        return i;
    }

    Page* new_page(uint32_t depth) {
        auto* page = static_cast<Page*>(arena_->alloc(class_));
        std::memset(static_cast<void*>(page), 0, first_at_);
        page->depth = depth;
        ++pages_;
        return page;
    }
    void note(Page* page) {
        if (page->listed) return;
        changed_.push(page);
        page->listed = uint32_t(changed_.size());
    }
    void forget(Page* page) {
        if (!page->listed) return;
        Page* last = changed_[changed_.size() - 1];
        changed_[page->listed - 1] = last;
        last->listed = page->listed;
        changed_.pop();
        page->listed = 0;
    }
    void settle(Page* page) {
        for (uint32_t i = 0; i < slots_; ++i)
            if (tags(page)[i] && flags(page)[i] & kChanged) flags(page)[i] = kPersisted;
        page->listed = 0;
    }
    void split(Page* page, uint64_t h) {
        if (page->depth == depth_) {
            if (depth_ >= 40) fail("XX000", "state table directory is too deep");
            std::vector<Page*> twice(directory_.size() * 2);
            for (size_t i = 0; i < directory_.size(); ++i) twice[2 * i] = twice[2 * i + 1] = directory_[i];
            directory_.swap(twice);
            ++depth_;
        }
        Page* half[2] = {new_page(page->depth + 1), new_page(page->depth + 1)};
        for (uint32_t i = 0; i < slots_; ++i) {
            if (!tags(page)[i]) continue;
            const uint64_t own = hash(slot(page, i));
            Page* to = half[own >> (63 - page->depth) & 1];
            const uint32_t k = place(to, own);
            std::memcpy(slot(to, k), slot(page, i), stride_);
            flags(to)[k] = flags(page)[i];
        }
        if (page->listed) note(half[0]), note(half[1]);
        forget(page);
        const size_t span = size_t(1) << (depth_ - page->depth);
        const size_t first = (h >> (64 - depth_)) / span * span;
        for (size_t i = 0; i < span; ++i) directory_[first + i] = half[i >= span / 2];
        arena_->release(page, class_);
        --pages_;
    }
    void shift_back(Page* page, uint32_t hole) {
        for (uint32_t i = wrapped(hole + 1); tags(page)[i]; i = wrapped(i + 1)) {
            const uint32_t at = home(hash(slot(page, i)));
            const bool stays = hole < i ? at > hole && at <= i : at > hole || at <= i;
            if (stays) continue;
            std::memcpy(slot(page, hole), slot(page, i), stride_);
            set_tag(page, hole, tags(page)[i]);
            flags(page)[hole] = flags(page)[i];
            hole = i;
        }
        set_tag(page, hole, 0);
    }
    void free_all() {
        for (size_t d = 0; d < directory_.size();) {
            Page* page = directory_[d];
            d += size_t(1) << (depth_ - page->depth);
            arena_->release(page, class_);
        }
    }

    Arena* arena_;
    size_t key_, value_, value_at_, stride_;
    size_t flags_at_ = 0, first_at_ = 0;
    int class_ = 0;
    uint32_t slots_ = 0, full_ = 0, depth_ = 0;
    std::vector<Page*> directory_;
    size_t entries_ = 0, pages_ = 0;
    ChunkedList<Page*> changed_;
    Bytes deleted_;
};

// --- record batches in and out, as tablescan.hpp's for Table --------------------------------------

inline size_t scan_fixed(const FixedTable& table, size_t place, const uint8_t* prefix, size_t n, BatchBuilder& out) {
    size_t bytes = 0;
    do {
        place = table.each_from(place, [&](const uint8_t* key, const uint8_t* value) {
            if (n && (n > table.key_size() || std::memcmp(key, prefix, n) != 0)) return;
            out.columns[0].var(key, table.key_size());
            out.columns[1].var(value, table.value_size());
            bytes += table.key_size() + table.value_size();
        });
    } while (place && bytes < size_t(4) << 20);
    return place;
}

inline bool fixed_changes(FixedTable& table, Table::Place& place, BatchBuilder& out) {
    size_t bytes = 0;
    table.changes(place, [&](const uint8_t* key, const uint8_t* value) {
        out.columns[0].var(key, table.key_size());
        if (value) out.columns[1].var(value, table.value_size());
        else out.columns[1].null();
        bytes += table.key_size() + table.value_size();
        return bytes < size_t(4) << 20;
    });
    return out.columns[0].length() > 0;
}

[[noreturn]] inline void wrong_size() { fail("22023", "key or value of another size than the table's"); }

inline void get_fixed(const FixedTable& table, const Column& keys, Builder& out) {
    constexpr int64_t kBlock = 32;
    for (int64_t i = 0; i < keys.length; ++i)
        if (size_t(keys.offsets[i + 1] - keys.offsets[i]) != table.key_size()) wrong_size();
    for (int64_t start = 0; start < keys.length; start += kBlock) {
        const int64_t end = std::min(keys.length, start + kBlock);
        for (int64_t i = start; i < end; ++i) table.prefetch(keys.data + keys.offsets[i]);
        for (int64_t i = start; i < end; ++i) {
            const uint8_t* value = table.find(keys.data + keys.offsets[i]);
            if (value) out.var(value, table.value_size());
            else out.null();
        }
    }
}

inline void put_fixed(FixedTable& table, const Column& keys, const Column& values, bool restoring) {
    constexpr int64_t kBlock = 32;
    for (int64_t i = 0; i < keys.length; ++i) {
        if (size_t(keys.offsets[i + 1] - keys.offsets[i]) != table.key_size()) wrong_size();
        if (!values.is_null(i) && size_t(values.offsets[i + 1] - values.offsets[i]) != table.value_size()) wrong_size();
    }
    for (int64_t start = 0; start < keys.length; start += kBlock) {
        const int64_t end = std::min(keys.length, start + kBlock);
        for (int64_t i = start; i < end; ++i) table.prefetch(keys.data + keys.offsets[i]);
        for (int64_t i = start; i < end; ++i) {
            const uint8_t* key = keys.data + keys.offsets[i];
            if (values.is_null(i)) table.erase(key);
            else std::memcpy(table.upsert(key), values.data + values.offsets[i], table.value_size());
        }
    }
    if (restoring) table.restored();
}

}  // namespace laminar::engine
