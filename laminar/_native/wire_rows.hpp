// Rows of an Arrow batch as DataRow messages.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "arrow_c.hpp"

namespace laminar::wire {

enum class Value : uint8_t { Bool, Int16, Int32, Int64, Uint32, String };

struct Column {
    Value value;
    bool binary;
    const uint8_t* validity = nullptr;
    const void* data = nullptr;
    const int32_t* offsets = nullptr;
    int64_t offset = 0;

    void bind(const ArrowArray& a) {
        validity = a.null_count == 0 ? nullptr : static_cast<const uint8_t*>(a.buffers[0]);
        offset = a.offset;
        if (value == Value::String) {
            offsets = static_cast<const int32_t*>(a.buffers[1]);
            data = a.buffers[2];
        } else {
            data = a.buffers[1];
        }
    }
    bool is_null(int64_t row) const {
        int64_t i = row + offset;
        return validity && !(validity[i >> 3] >> (i & 7) & 1);
    }
    template <class T> T at(int64_t row) const { return static_cast<const T*>(data)[row + offset]; }
};

template <class T> inline void put_network(std::string& out, T value) {
    T swapped;
    if constexpr (sizeof(T) == 8) swapped = T(__builtin_bswap64(uint64_t(value)));
    else if constexpr (sizeof(T) == 4) swapped = T(__builtin_bswap32(uint32_t(value)));
    else swapped = T(__builtin_bswap16(uint16_t(value)));
    out.append(reinterpret_cast<const char*>(&swapped), sizeof(T));
}

template <class T> inline void put_integer(std::string& out, const Column& c, int64_t row) {
    T v = c.at<T>(row);
    if (c.binary) return put_network(out, v);
    out += std::to_string(v);
}

inline void put_value(std::string& out, const Column& c, int64_t row) {
    switch (c.value) {
        case Value::Bool: {
            int64_t i = row + c.offset;
            bool v = static_cast<const uint8_t*>(c.data)[i >> 3] >> (i & 7) & 1;
            out.push_back(c.binary ? char(v) : v ? 't' : 'f');
            return;
        }
        case Value::Int16: return put_integer<int16_t>(out, c, row);
        case Value::Int32: return put_integer<int32_t>(out, c, row);
        case Value::Int64: return put_integer<int64_t>(out, c, row);
        case Value::Uint32: return put_integer<uint32_t>(out, c, row);
        case Value::String: {
            int64_t i = row + c.offset;
            out.append(static_cast<const char*>(c.data) + c.offsets[i], size_t(c.offsets[i + 1] - c.offsets[i]));
            return;
        }
    }
}

inline void patch_length(std::string& out, size_t at, size_t length) {
    uint32_t n = __builtin_bswap32(uint32_t(length));
    std::memcpy(out.data() + at, &n, 4);
}

// Encodes rows [from, to) until `out` holds `enough` bytes; returns the row to go on with.
inline int64_t put_data_rows(std::string& out, const std::vector<Column>& columns, int64_t from, int64_t to, size_t enough) {
    for (; from < to && out.size() < enough; from++) {
        size_t start = out.size();
        out.append("D\0\0\0\0", 5);
        put_network(out, int16_t(columns.size()));
        for (const Column& c : columns) {
            if (c.is_null(from)) {
                out.append("\xff\xff\xff\xff", 4);
                continue;
            }
            size_t at = out.size();
            out.append(4, '\0');
            put_value(out, c, from);
            patch_length(out, at, out.size() - at - 4);
        }
        patch_length(out, start + 1, out.size() - start - 1);
    }
    return from;
}

}  // namespace laminar::wire
