// Hash of a key -> row id = chunk << 32 | offset, for the chunks of a stored relation.
//
// A HashIndex whose entries are the row ids themselves, so that it grows without a pause and lies in
// mapped files beyond the process's budget. Keys are compared in the chunks' own columns: 20 to 32 bytes
// a row whatever the key. A multiset index chains the rows of equal key through links beside the chunks;
// the index has the newest.
#pragma once

#include "hashindex.hpp"
#include "rowkeys.hpp"

namespace laminar {

class RowIndex {
    struct Link { uint64_t before, after; };
    struct Links {
        Link* rows = nullptr;
        size_t count = 0;
    };

    // An entry is a row id and no address; one more than it, for no entry is null.
    static void* entry_of(uint64_t id) { return reinterpret_cast<void*>(id + 1); }
    static uint64_t id_of(const void* entry) { return reinterpret_cast<uint64_t>(entry) - 1; }

    auto same_key(const KeyColumns& keys, int64_t row) const {
        return [this, &keys, row](const void* entry) {
            const uint64_t id = id_of(entry);
            return equal_row(keys, row, chunks_[id >> 32], static_cast<int64_t>(id & 0xffffffffULL));
        };
    }
    static auto same_row(uint64_t id) {
        return [id](const void* entry) { return id_of(entry) == id; };
    }
  public:
    static constexpr uint64_t EMPTY = ~0ULL;

    // dir: where the scratch file goes; empty for anonymous memory.
    RowIndex(bool multiset, const std::string& dir) : arena_(dir), index_(&arena_), multiset_(multiset) {}

    // Keeps the links of rows whose chunk is told again.
    void set_chunk(uint64_t chunk, const KeyColumns& columns, int64_t rows) {
        if (chunk >= chunks_.size()) {
            chunks_.resize(chunk + 1);
            links_.resize(chunk + 1);
        }
        chunks_[chunk] = columns;
        if (multiset_) resize_links(links_[chunk], static_cast<size_t>(rows));
    }

    void drop_chunk(uint64_t chunk) {
        chunks_[chunk].clear();
        resize_links(links_[chunk], 0);
    }

    // Inserts rows of a chunk; returns the first offset whose key is already there, else -1
    // (always -1 in a multiset). Rows before it have been inserted.
    int64_t insert(uint64_t chunk, const uint64_t* hashes, int64_t rows, const uint8_t* live) {
        const KeyColumns& columns = chunks_[chunk];
        for (int64_t row = 0; row < rows; row++) {
            if (live != nullptr && !((live[row >> 3] >> (row & 7)) & 1)) continue;
            prefetch(hashes, row, rows);
            const uint64_t hash = hashes[row] | 1, id = chunk << 32 | static_cast<uint64_t>(row);
            void** found = index_.find(hash, same_key(columns, row));
            if (found == nullptr) {
                if (multiset_) link(id) = Link{EMPTY, EMPTY};
                index_.insert(hash, entry_of(id));
            } else {
                if (!multiset_) return row;
                const uint64_t newest = id_of(*found);
                link(id) = Link{EMPTY, newest};
                link(newest).before = id;
                *found = entry_of(id);
            }
            used_++;
        }
        return -1;
    }

    // Row id of each probed key, -1 where there is none.
    void find(const KeyColumns& keys, const uint64_t* hashes, int64_t rows, int64_t* found) const {
        for (int64_t row = 0; row < rows; row++) {
            prefetch(hashes, row, rows);
            void** at = index_.find(hashes[row] | 1, same_key(keys, row));
            found[row] = at == nullptr ? -1 : static_cast<int64_t>(id_of(*at));
        }
    }

    // As find, but each row found is taken out of the index, so that equal keys find different rows.
    void take(const KeyColumns& keys, const uint64_t* hashes, int64_t rows, int64_t* found) {
        for (int64_t row = 0; row < rows; row++) {
            prefetch(hashes, row, rows);
            void** at = index_.find(hashes[row] | 1, same_key(keys, row));
            found[row] = at == nullptr ? -1 : static_cast<int64_t>(id_of(*at));
            if (at != nullptr) remove(hashes[row] | 1, at);
        }
    }

    // Removes row ids; returns how many were there.
    int64_t erase(const uint64_t* hashes, const int64_t* rows, int64_t n) {
        int64_t removed = 0;
        for (int64_t i = 0; i < n; i++) {
            prefetch(hashes, i, n);
            const uint64_t id = static_cast<uint64_t>(rows[i]);
            if (multiset_ && link(id).before != EMPTY) {
                const Link old = link(id);
                link(old.before).after = old.after;
                if (old.after != EMPTY) link(old.after).before = old.before;
                used_--;
                removed++;
                continue;
            }
            void** at = index_.find(hashes[i] | 1, same_row(id));
            if (at == nullptr) continue;
            remove(hashes[i] | 1, at);
            removed++;
        }
        return removed;
    }

    // moved[i] is the new id of the row with old id rows[i]; returns how many were there.
    int64_t move(const uint64_t* hashes, const int64_t* rows, const int64_t* moved, int64_t n) {
        int64_t done = 0;
        for (int64_t i = 0; i < n; i++) {
            prefetch(hashes, i, n);
            const uint64_t id = static_cast<uint64_t>(rows[i]), target = static_cast<uint64_t>(moved[i]);
            uint64_t before = EMPTY;
            if (multiset_) {
                const Link old = link(id);
                before = old.before;
                link(target) = old;
                if (old.after != EMPTY) link(old.after).before = target;
                if (before != EMPTY) link(before).after = target;
            }
            if (before == EMPTY) {
                void** at = index_.find(hashes[i] | 1, same_row(id));
                if (at == nullptr) continue;
                *at = entry_of(target);
            }
            done++;
        }
        return done;
    }

    uint64_t size() const { return used_; }
    uint64_t bytes() const { return arena_.used(); }

  private:
    void prefetch(const uint64_t* hashes, int64_t row, int64_t rows) const {
        if (row + 8 < rows) index_.prefetch_slot(hashes[row + 8] | 1);
    }

    Link& link(uint64_t id) { return links_[id >> 32].rows[id & 0xffffffffULL]; }
    void resize_links(Links& links, size_t count) {
        const bool fits = links.rows && count && engine::Arena::class_of(count * sizeof(Link)) == class_of(links);
        if (!fits) {
            Link* rows = nullptr;
            if (count) {
                rows = static_cast<Link*>(arena_.alloc(engine::Arena::class_of(count * sizeof(Link))));
                if (links.rows) std::memcpy(rows, links.rows, std::min(count, links.count) * sizeof(Link));
            }
            if (links.rows) arena_.release(links.rows, class_of(links));
            links.rows = rows;
        }
        links.count = count;
    }
    static int class_of(const Links& links) { return engine::Arena::class_of(links.count * sizeof(Link)); }

    // Takes the row that an index entry names out.
    void remove(uint64_t hash, void** at) {
        used_--;
        const uint64_t id = id_of(*at), after = multiset_ ? link(id).after : EMPTY;
        if (after != EMPTY) {
            link(after).before = EMPTY;
            *at = entry_of(after);
        } else {
            index_.erase(hash, same_row(id));
        }
    }

    engine::Arena arena_;
    engine::HashIndex<void> index_;
    std::vector<KeyColumns> chunks_;
    std::vector<Links> links_;
    uint64_t used_ = 0;
    bool multiset_;
};

}  // namespace laminar
