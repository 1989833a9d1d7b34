// Keyed aggregation over changes.
//
// Within an epoch, rows are aggregated into a Delta: dense accumulators by group, which is also
// the list of touched groups. At the barrier each touched group is looked up once in the state,
// its old result taken, the delta added, its new result taken; what differs goes out. So state is
// touched once per group and epoch, and the order of an epoch's changes cannot matter.
//
// Grouping by window keeps one set of tables per window, which is dropped whole.
#pragma once

#include <map>
#include <unordered_map>

#include "btree.hpp"
#include "floatsum.hpp"
#include "numeric_sum.hpp"
#include "rows.hpp"
#include "statetable.hpp"

namespace laminar::engine {

using int128 = __int128;
using uint128 = unsigned __int128;

enum class Agg : uint8_t {
    Count,       // rows, or rows whose value is not null
    SumInt,      // integers of up to 8 bytes: int128
    SumDecimal,  // decimal128: 192 bits
    SumFloat,    // exact
    SumNumeric,  // numeric of any precision
    Bool,        // counts of true and false
    Fixed,       // min or max of an integer or float of up to 8 bytes
    Var,         // min or max of bytes
};
// What comes out of an accumulator.
enum class Result : uint8_t { Int64, Decimal, Double, Float, And, Or, Same };

struct AggSpec {
    Agg kind;
    Result result;
    int value = -1;       // column of the input, -1 for count(*)
    int filter = -1;      // boolean column, -1 for none
    bool max = false;
    bool retract = false; // min, max: keep all values
    Layout in, out;
};

constexpr int64_t kNeverLate = INT64_MIN;  // a window's lateness when nothing is ever late

inline int64_t saturating_add(int64_t a, int64_t b) {
    int64_t r;
    if (__builtin_add_overflow(a, b, &r)) return b > 0 ? INT64_MAX : INT64_MIN;
    return r;
}

struct Wide192 {  // signed, two's complement
    uint128 low = 0;
    int64_t high = 0;
    void add(uint128 l, int64_t h) {
        const uint128 before = low;
        low += l;
        high += h + (low < before);
    }
    void add_product(int128 v, int64_t w) {
        if (w == 1) return add(uint128(v), v < 0 ? -1 : 0);
        const bool negative = (v < 0) != (w < 0);
        const uint128 a = v < 0 ? -uint128(v) : uint128(v);
        const uint64_t b = w < 0 ? -uint64_t(w) : uint64_t(w);
        const uint128 p0 = uint128(uint64_t(a)) * b, p1 = (a >> 64) * b + (p0 >> 64);
        uint128 l = p1 << 64 | uint64_t(p0);
        int64_t h = int64_t(p1 >> 64);
        if (negative) {
            l = -l;
            h = ~h + (l == 0);
        }
        add(l, h);
    }
};

constexpr int128 ten_to(int n) { return n ? ten_to(n - 1) * 10 : 1; }
constexpr int128 kDecimalLimit = ten_to(38);
constexpr int128 kDecimalNan = static_cast<int128>(~uint128(0) >> 1);

// --- accumulators as they lie in a state row ------------------------------------------------

struct SumIntState { int64_t sum[2]; int64_t n; };
struct SumDecimalState { int64_t sum[3]; int64_t n, nan; };
struct SumFloatState { FloatSum sum; int64_t n, nan, plus, minus; };  // plus, minus: infinities
struct BoolState { int64_t yes, no; };
struct FixedState { int64_t n; uint64_t best; };                     // best unused when retracting
struct VarState { int64_t n; };

inline size_t state_size(Agg kind) {
    switch (kind) {
        case Agg::Count: return 8;
        case Agg::SumInt: return sizeof(SumIntState);
        case Agg::SumDecimal: return sizeof(SumDecimalState);
        case Agg::SumFloat: return sizeof(SumFloatState);
        case Agg::SumNumeric: return sizeof(VarState);
        case Agg::Bool: return sizeof(BoolState);
        case Agg::Fixed: return sizeof(FixedState);
        case Agg::Var: return sizeof(VarState);
    }
    return 0;
}

// An integer or float so that unsigned comparison orders as PostgreSQL does; reversible but for
// the sign of zero and the payload of NaN, of which the greatest bits count as one value.
inline uint64_t rank_of(const Layout& l, const uint8_t* p) {
    auto load = [&](auto v) {
        std::memcpy(&v, p, sizeof v);
        return v;
    };
    if (l.order == Order::Float) {
        // -0 < 0 here, so that the result does not depend on which came first
        double v = l.width == 8 ? load(double()) : double(load(float()));
        if (v != v) return UINT64_MAX;
        uint64_t bits;
        std::memcpy(&bits, &v, 8);
        return bits >> 63 ? ~bits : bits | 1ull << 63;
    }
    int64_t v = 0;
    const bool sign = l.order == Order::Signed;
    switch (l.width) {
        case 1: v = sign ? int64_t(load(int8_t())) : int64_t(load(uint8_t())); break;
        case 2: v = sign ? int64_t(load(int16_t())) : int64_t(load(uint16_t())); break;
        case 4: v = sign ? int64_t(load(int32_t())) : int64_t(load(uint32_t())); break;
        default: v = load(int64_t());
    }
    return sign ? uint64_t(v) ^ 1ull << 63 : uint64_t(v);
}
inline void unrank(const Layout& l, uint64_t r, uint8_t* p) {
    if (l.order == Order::Float) {
        double v = __builtin_nan("");
        if (r != UINT64_MAX) {
            const uint64_t bits = r >> 63 ? r & ~(1ull << 63) : ~r;
            std::memcpy(&v, &bits, 8);
        }
        const float f = float(v);
        if (l.width == 8) std::memcpy(p, &v, 8);
        else std::memcpy(p, &f, 4);
        return;
    }
    const uint64_t v = l.order == Order::Signed ? r ^ 1ull << 63 : r;
    std::memcpy(p, &v, size_t(l.width));
}

// --- an epoch's changes ---------------------------------------------------------------------

// A change to a group's ordered values.
struct OrderedChange {
    uint32_t group;
    int32_t size;     // Var: length of the bytes at `at` in Accumulators::bytes
    uint64_t at;      // Fixed: the rank
    int64_t weight;
};

struct Accumulators {  // of one aggregate, by group
    std::vector<int64_t> n;
    std::vector<int128> sum;
    std::vector<Wide192> wide;
    std::vector<int64_t> nan, plus, minus;   // Bool: plus counts true, minus false
    std::vector<FloatSum> floats;
    std::vector<NumericSum> numerics;
    std::unordered_map<uint32_t, FloatWide> spilled;
    std::vector<uint64_t> best;
    std::vector<std::string> text;
    std::vector<OrderedChange> changes;
    Bytes bytes;

    void resize(const AggSpec& spec, size_t groups) {
        switch (spec.kind) {
            case Agg::Count: n.resize(groups); break;
            case Agg::SumInt: n.resize(groups), sum.resize(groups); break;
            case Agg::SumDecimal: n.resize(groups), wide.resize(groups), nan.resize(groups); break;
            case Agg::SumFloat:
                n.resize(groups), floats.resize(groups);
                nan.resize(groups), plus.resize(groups), minus.resize(groups);
                break;
            case Agg::SumNumeric: n.resize(groups), numerics.resize(groups); break;
            case Agg::Bool: plus.resize(groups), minus.resize(groups); break;
            case Agg::Fixed: n.resize(groups), best.resize(groups); break;
            case Agg::Var:
                n.resize(groups);
                if (!spec.retract) text.resize(groups);
                break;
        }
    }
    void clear() {
        n.clear(), sum.clear(), wide.clear(), nan.clear(), plus.clear(), minus.clear();
        floats.clear(), numerics.clear(), spilled.clear(), best.clear(), text.clear(), changes.clear();
        bytes.size = 0;
    }
};

// Group keys seen in an epoch, numbered from 1; group 0 takes what is not to count.
class KeyIndex {
  public:
    // fixed: key length when all keys have it and it is at most kFixed, else 0.
    explicit KeyIndex(uint32_t fixed) : fixed_(fixed) { clear(); }

    // A key and the two bounds of its window, with their null bits, still fit.
    static constexpr uint32_t kFixed = 32;
    struct FixedKey {
        uint64_t a, b, c, d;
        bool operator==(const FixedKey& o) const { return ((a ^ o.a) | (b ^ o.b) | (c ^ o.c) | (d ^ o.d)) == 0; }
    };
    static_assert(sizeof(FixedKey) == kFixed);

    uint64_t hash(const FixedKey& k) const {
        return fold(k.a ^ kP0 ^ seed_, k.b ^ kP1 ^ fold(k.c ^ kP2, k.d ^ kP0 ^ seed_));
    }
    // Whether the index is so large that looking ahead pays.
    bool large() const { return mask_ > 1u << 14; }
    void prefetch_slot(uint64_t h) const { __builtin_prefetch(&slots_[uint32_t(h) & mask_]); }
    void prefetch_key(uint64_t h) const { __builtin_prefetch(&keys_[slots_[uint32_t(h) & mask_].group]); }

    uint32_t of(const FixedKey& key) { return of(key, hash(key)); }
    uint32_t of(const FixedKey& key, uint64_t h) {
        for (uint32_t i = uint32_t(h) & mask_;; i = (i + 1) & mask_) {
            Slot& s = slots_[i];
            if (s.group && s.tag == uint32_t(h >> 32) && keys_[s.group] == key) return s.group;
            if (s.group) continue;
            s = {uint32_t(h >> 32), uint32_t(keys_.size())};
            keys_.push_back(key);
            if (keys_.size() * 2 > mask_) grow();
            return uint32_t(keys_.size() - 1);
        }
    }
    uint32_t of(const uint8_t* key, uint32_t n) {
        const uint64_t h = Table::hash(key, n);
        for (uint32_t i = uint32_t(h) & mask_;; i = (i + 1) & mask_) {
            Slot& s = slots_[i];
            if (!s.group) {
                s = {uint32_t(h >> 32), uint32_t(size())};
                bytes_.append(key, n);
                ends_.push_back(bytes_.size);
                if (size() * 2 > mask_) grow();
                return uint32_t(size() - 1);
            }
            if (s.tag != uint32_t(h >> 32)) continue;
            const size_t from = ends_[s.group - 1];
            if (ends_[s.group] - from == n && std::memcmp(bytes_.p + from, key, n) == 0) return s.group;
        }
    }
    // A key as RowCodec encodes it.
    uint32_t of_encoded(const uint8_t* key, uint32_t n) {
        if (!fixed_) return of(key, n);
        FixedKey fixed{};
        std::memcpy(static_cast<void*>(&fixed), key, n);
        return of(fixed);
    }
    const uint8_t* key(uint32_t g) const {
        return fixed_ ? reinterpret_cast<const uint8_t*>(&keys_[g]) : bytes_.p + ends_[g - 1];
    }
    uint32_t length(uint32_t g) const { return fixed_ ? fixed_ : uint32_t(ends_[g] - ends_[g - 1]); }
    size_t size() const { return fixed_ ? keys_.size() : ends_.size(); }  // group 0 included

    void clear() {
        if (mask_ > 1u << 16 || !mask_) {
            slots_.assign(1024, {});
            mask_ = 1023;
        } else {
            std::fill(slots_.begin(), slots_.end(), Slot{});
        }
        keys_.assign(1, {});
        ends_.assign(1, 0);
        bytes_.size = 0;
    }

  private:
    struct Slot {
        uint32_t tag = 0, group = 0;
    };
    void grow() {
        std::vector<Slot> old(size_t(mask_ + 1) * 4);
        old.swap(slots_);
        mask_ = mask_ * 4 + 3;
        for (const Slot& s : old) {
            if (!s.group) continue;
            uint64_t h;
            if (fixed_) {
                h = hash(keys_[s.group]);
            } else {
                h = Table::hash(key(s.group), length(s.group));
            }
            uint32_t i = uint32_t(h) & mask_;
            while (slots_[i].group) i = (i + 1) & mask_;
            slots_[i] = s;
        }
    }

    uint32_t fixed_, mask_ = 0;
    uint64_t seed_ = process_seed();
    std::vector<Slot> slots_;
    std::vector<FixedKey> keys_;
    std::vector<size_t> ends_;
    Bytes bytes_;
};

}  // namespace laminar::engine
