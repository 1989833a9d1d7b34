// Hopping and cumulating windows over time, and the slices that they are made of.
#pragma once

#include <cstdint>
#include <vector>

namespace laminar::engine {

// Windows [start, end): starting at offset + n * step and lasting size; cumulating ones start at
// offset + n * size and end at every step. An infinite time lies in one window, whose bounds are that
// infinity.
struct WindowSpec {
    int64_t step = 1, size = 1, offset = 0;
    bool cumulate = false;

    // f(start, end) for every window that t lies in.
    template <class F> void each(int64_t t, F f) const {
        if (infinite(t)) return f(t, t);
        if (cumulate) {
            const int64_t start = floor_to(t, size);
            for (int64_t end = start + (t - start) / step * step + step; end <= start + size; end += step) f(start, end);
        } else {
            for (int64_t start = floor_to(t, step); start > t - size; start -= step) f(start, start + size);
        }
    }
    // The end of the first of them; the end of time when there is none.
    int64_t first_end(int64_t t) const {
        if (infinite(t)) return t;
        if (cumulate) {
            const int64_t start = floor_to(t, size);
            return start + (t - start) / step * step + step;
        }
        const int64_t last = floor_to(t, step), behind = t - last;
        return behind < size ? last - (size - 1 - behind) / step * step + size : INT64_MAX;
    }
    bool in_any(int64_t t) const { return cumulate || infinite(t) || t - floor_to(t, step) < size; }
    // The start of the slice that t lies in: times between which no window starts or ends, of which there
    // are two to a step (Krishnamurthy et al., On-the-fly sharing for streamed aggregation: paired windows),
    // one if the size is a multiple of it.
    int64_t slice(int64_t t) const {
        if (infinite(t)) return t;
        const int64_t start = cumulate ? floor_to(t, size) : floor_to(t, step);
        if (cumulate) return start + (t - start) / step * step;
        const int64_t rest = size % step;
        return t - start < rest ? start : start + rest;
    }

  private:
    static bool infinite(int64_t t) { return t == INT64_MAX || t == INT64_MIN; }
    // The greatest offset + n * span that is not above t.
    int64_t floor_to(int64_t t, int64_t span) const {
        const int64_t r = (t - offset) % span;
        return t - (r < 0 ? r + span : r);
    }
};

struct FoundWindows {
    std::vector<uint32_t> index;  // of the row
    std::vector<int64_t> starts, ends;
};

// The windows of n times, of which those with valid[i] = 0 have none; valid may be null.
inline void find_windows(const WindowSpec& spec, const int64_t* times, const uint8_t* valid, int64_t n, FoundWindows& out) {
    for (int64_t i = 0; i < n; ++i) {
        if (valid && !valid[i]) continue;
        spec.each(times[i], [&](int64_t start, int64_t end) {
            out.index.push_back(uint32_t(i)), out.starts.push_back(start), out.ends.push_back(end);
        });
    }
}

// The slices of n times; returns how many lie in no window, which have kept[i] = 0.
inline int64_t find_slices(const WindowSpec& spec, const int64_t* times, const uint8_t* valid, int64_t n, int64_t* slices,
                           uint8_t* kept) {
    int64_t none = 0;
    for (int64_t i = 0; i < n; ++i) {
        kept[i] = (!valid || valid[i]) && spec.in_any(times[i]);
        slices[i] = spec.slice(times[i]);
        none += !kept[i];
    }
    return none;
}

}  // namespace laminar::engine
