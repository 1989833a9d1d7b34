// The rows of a column from one on, for working through a batch in blocks that stay in the cache.
#pragma once

#include "columns.hpp"

namespace laminar::engine {

inline Column from_row(const Column& c, int64_t start) {
    Column part = c;
    part.bit += start;
    part.length -= start;
    if (c.offsets) part.offsets += start;
    else if (c.shape == Shape::Fixed) part.data += start * c.width;
    return part;
}

}  // namespace laminar::engine
