// Hashes of bytes and of columns.
//
// The column hash decides which reactor owns a key, so it is part of the on-disk format:
// it never changes between versions. State tables hash key bytes with a seed of their own.
// Mixing is a 64x64->128 bit multiplication folded by xor, as in wyhash (Wang Yi, public domain).
#pragma once

#include "columns.hpp"

namespace laminar::engine {

inline uint64_t fold(uint64_t a, uint64_t b) {
    const unsigned __int128 m = static_cast<unsigned __int128>(a) * b;
    return static_cast<uint64_t>(m) ^ static_cast<uint64_t>(m >> 64);
}

constexpr uint64_t kP0 = 0xa0761d6478bd642full, kP1 = 0xe7037ed1a0b428dbull, kP2 = 0x8ebc6af09c88c6e3ull;
constexpr uint64_t kNull = 0x589965cc75374cc3ull;

inline uint64_t read8(const uint8_t* p) {
    uint64_t v;
    std::memcpy(&v, p, 8);
    return v;
}
inline uint64_t read_upto8(const uint8_t* p, size_t n) {
    uint64_t v = 0;
    std::memcpy(&v, p, n);
    return v;
}

inline uint64_t hash_bytes(const uint8_t* p, size_t n, uint64_t seed) {
    uint64_t h = seed ^ fold(n ^ kP0, kP1);
    while (n > 16) {
        h = fold(read8(p) ^ kP1, read8(p + 8) ^ h);
        p += 16, n -= 16;
    }
    uint64_t a, b;
    if (n >= 8) {
        a = read8(p), b = read8(p + n - 8);
    } else {
        a = read_upto8(p, n), b = 0;
    }
    return fold(kP2 ^ h, fold(a ^ kP1, b ^ h));
}

inline uint64_t combine(uint64_t h, uint64_t v) { return fold(h ^ kP0, v ^ kP1) + (h << 1 | h >> 63); }

inline uint64_t hash_value(const Column& c, int64_t i) {
    if (c.is_null(i)) return kNull;
    switch (c.shape) {
        case Shape::Bool: return c.truth(i) ? kP1 : kP2;
        case Shape::Fixed: return hash_bytes(c.at(i), size_t(c.width), kP0);
        case Shape::Var:
            return hash_bytes(c.data + c.offsets[i], size_t(c.offsets[i + 1] - c.offsets[i]), kP0);
        case Shape::List: {
            uint64_t h = kP2 ^ uint64_t(c.offsets[i + 1] - c.offsets[i]);
            for (int32_t k = c.offsets[i]; k < c.offsets[i + 1]; ++k) h = combine(h, hash_value(*c.child, k));
            return h;
        }
        case Shape::Null: break;
    }
    return kNull;
}

// Folds column c into h, one hash per row.
inline void hash_column(const Column& c, uint64_t* h, int64_t n) {
    if (c.shape == Shape::Fixed && c.width == 8 && !c.valid) {  // the common case, unrolled by the compiler
        for (int64_t i = 0; i < n; ++i) h[i] = combine(h[i], hash_bytes(c.at(i), 8, kP0));
        return;
    }
    for (int64_t i = 0; i < n; ++i) h[i] = combine(h[i], hash_value(c, i));
}

// The shard of a hash among n: its high bits, as a fraction.
inline uint32_t shard(uint64_t h, uint32_t n) {
    h = fold(h ^ kP2, kP0);  // so that a shard's hashes still spread over all bits
    return static_cast<uint32_t>(static_cast<unsigned __int128>(h) * n >> 64);
}

}  // namespace laminar::engine
