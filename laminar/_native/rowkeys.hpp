// Columns of Arrow arrays as key parts: hashing and equality of rows, null equal to null.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace laminar {

// One column's buffers. width: bytes of a fixed-width value, 0 for bits, -1 for 32-bit offsets + bytes.
struct KeyColumn {
    const uint8_t* valid;   // null: no nulls
    const uint8_t* data;
    const int32_t* offsets;
    int64_t start;          // Arrow's array offset
    int width;

    bool is_valid(int64_t row) const {
        int64_t i = row + start;
        return valid == nullptr || ((valid[i >> 3] >> (i & 7)) & 1);
    }
};

inline uint64_t mix(uint64_t a, uint64_t b) {
    __uint128_t product = static_cast<__uint128_t>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

constexpr uint64_t K0 = 0xa0761d6478bd642fULL, K1 = 0xe7037ed1a0b428dbULL, K2 = 0x8ebc6af09c88c6e3ULL;

inline uint64_t load_tail(const uint8_t* p, int64_t n) {
    uint64_t word = 0;
    memcpy(&word, p, static_cast<size_t>(n));
    return word;
}

// wyhash-like: one 64x64->128 multiplication per 16 bytes.
inline uint64_t hash_bytes(const uint8_t* p, int64_t n, uint64_t seed) {
    uint64_t h = seed ^ K0;
    int64_t left = n;
    while (left > 16) {
        uint64_t a, b;
        memcpy(&a, p, 8);
        memcpy(&b, p + 8, 8);
        h = mix(a ^ K1, b ^ h);
        p += 16;
        left -= 16;
    }
    uint64_t a = left > 8 ? load_tail(p, 8) : load_tail(p, left);
    uint64_t b = left > 8 ? load_tail(p + 8, left - 8) : 0;
    return mix(K2 ^ static_cast<uint64_t>(n), mix(a ^ K1, b ^ h));
}

inline uint64_t hash_value(const KeyColumn& c, int64_t row, uint64_t h) {
    if (!c.is_valid(row)) return mix(h ^ K2, K1);
    int64_t i = row + c.start;
    switch (c.width) {
        case 0: return mix(h ^ ((c.data[i >> 3] >> (i & 7)) & 1) ^ K0, K1);
        case -1: return hash_bytes(c.data + c.offsets[i], c.offsets[i + 1] - c.offsets[i], h);
        case 4: { uint32_t v; memcpy(&v, c.data + 4 * i, 4); return mix(h ^ v ^ K0, K1); }
        case 8: { uint64_t v; memcpy(&v, c.data + 8 * i, 8); return mix(h ^ v ^ K0, K1 ^ (v >> 32)); }
        default: return hash_bytes(c.data + static_cast<int64_t>(c.width) * i, c.width, h);
    }
}

inline void hash_column(const KeyColumn& c, int64_t rows, uint64_t* hashes) {
    for (int64_t row = 0; row < rows; row++) hashes[row] = hash_value(c, row, hashes[row]);
}

// Hash of each list from the hashes of its elements.
inline void hash_lists(const KeyColumn& c, const uint64_t* elements, int64_t rows, uint64_t* hashes) {
    for (int64_t row = 0; row < rows; row++) {
        uint64_t h = hashes[row];
        if (!c.is_valid(row)) { hashes[row] = mix(h ^ K2, K1); continue; }
        int32_t from = c.offsets[row + c.start], to = c.offsets[row + c.start + 1];
        h = mix(h ^ static_cast<uint64_t>(to - from) ^ K0, K2);
        for (int32_t i = from; i < to; i++) h = mix(h ^ elements[i], K1);
        hashes[row] = h;
    }
}

inline bool equal_value(const KeyColumn& a, int64_t i, const KeyColumn& b, int64_t j) {
    bool valid = a.is_valid(i);
    if (valid != b.is_valid(j)) return false;
    if (!valid) return true;
    i += a.start;
    j += b.start;
    if (a.width == 0) return ((a.data[i >> 3] >> (i & 7)) & 1) == ((b.data[j >> 3] >> (j & 7)) & 1);
    if (a.width > 0) return memcmp(a.data + a.width * i, b.data + b.width * j, static_cast<size_t>(a.width)) == 0;
    int32_t n = a.offsets[i + 1] - a.offsets[i];
    return n == b.offsets[j + 1] - b.offsets[j] &&
           memcmp(a.data + a.offsets[i], b.data + b.offsets[j], static_cast<size_t>(n)) == 0;
}

using KeyColumns = std::vector<KeyColumn>;

inline bool equal_row(const KeyColumns& a, int64_t i, const KeyColumns& b, int64_t j) {
    for (size_t k = 0; k < a.size(); k++)
        if (!equal_value(a[k], i, b[k], j)) return false;
    return true;
}

// Numbers the distinct rows in order of first appearance: groups[row] is the row's number,
// firsts[number] the row that showed it first. Returns how many there are.
inline int64_t group_rows(const KeyColumns& columns, const uint64_t* hashes, int64_t rows, int64_t* groups,
                          std::vector<int64_t>& firsts) {
    struct Slot { uint64_t hash; int64_t group; };
    std::vector<Slot> slots(1024, Slot{0, -1});
    for (int64_t row = 0; row < rows; row++) {
        if (firsts.size() * 2 > slots.size()) {
            std::vector<Slot> old(slots.size() * 2, Slot{0, -1});
            old.swap(slots);
            for (const Slot& slot : old) {
                if (slot.group < 0) continue;
                uint64_t at = slot.hash & (slots.size() - 1);
                while (slots[at].group >= 0) at = (at + 1) & (slots.size() - 1);
                slots[at] = slot;
            }
        }
        uint64_t mask = slots.size() - 1, at = hashes[row] & mask;
        while (slots[at].group >= 0 && !(slots[at].hash == hashes[row] &&
               equal_row(columns, row, columns, firsts[static_cast<size_t>(slots[at].group)]))) at = (at + 1) & mask;
        if (slots[at].group < 0) {
            slots[at] = Slot{hashes[row], static_cast<int64_t>(firsts.size())};
            firsts.push_back(row);
        }
        groups[row] = slots[at].group;
    }
    return static_cast<int64_t>(firsts.size());
}

// Sums by group with Neumaier's compensation: the error does not grow with the number of rows.
// https://doi.org/10.1002/zamm.19740540106
inline void group_sums(const double* values, const int64_t* groups, int64_t rows, double* sums, double* lost) {
    for (int64_t row = 0; row < rows; row++) {
        double value = values[row], before = sums[groups[row]], after = before + value;
        lost[groups[row]] += std::fabs(before) >= std::fabs(value) ? (before - after) + value : (value - after) + before;
        sums[groups[row]] = after;
    }
}

}  // namespace laminar
