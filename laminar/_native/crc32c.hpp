// CRC32C: the SSE4.2 or ARMv8 instruction where the compiler may use it, else a table.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#if defined(__SSE4_2__)
#include <nmmintrin.h>
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

namespace laminar {

#if defined(__SSE4_2__)
inline uint32_t crc_byte(uint32_t crc, uint8_t value) { return _mm_crc32_u8(crc, value); }
inline uint32_t crc_word(uint32_t crc, uint64_t value) { return static_cast<uint32_t>(_mm_crc32_u64(crc, value)); }
#elif defined(__ARM_FEATURE_CRC32)
inline uint32_t crc_byte(uint32_t crc, uint8_t value) { return __crc32cb(crc, value); }
inline uint32_t crc_word(uint32_t crc, uint64_t value) { return __crc32cd(crc, value); }
#else
struct CrcTable {
    uint32_t entry[256];
    CrcTable() {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t value = i;
            for (int bit = 0; bit < 8; bit++) value = (value >> 1) ^ (value & 1 ? 0x82F63B78u : 0);
            entry[i] = value;
        }
    }
};
inline uint32_t crc_byte(uint32_t crc, uint8_t value) {
    static const CrcTable table;
    return (crc >> 8) ^ table.entry[(crc ^ value) & 0xFF];
}
inline uint32_t crc_word(uint32_t crc, uint64_t value) {
    for (int i = 0; i < 8; i++) crc = crc_byte(crc, static_cast<uint8_t>(value >> (8 * i)));
    return crc;
}
#endif

inline uint32_t crc32c_extend(uint32_t crc, const uint8_t* data, size_t size) {
    crc = ~crc;
    while (size && (reinterpret_cast<uintptr_t>(data) & 7)) { crc = crc_byte(crc, *data++); size--; }
    for (; size >= 8; size -= 8, data += 8) {
        uint64_t word;
        std::memcpy(&word, data, 8);
        crc = crc_word(crc, word);
    }
    while (size--) crc = crc_byte(crc, *data++);
    return ~crc;
}

}  // namespace laminar
