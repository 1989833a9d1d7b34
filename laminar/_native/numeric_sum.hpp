// Accumulators of numeric that also take values away, and what aggregates make of them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "numeric_math.hpp"

namespace laminar {

// sum() of numeric values, exact and independent of order. The display scale is the greatest of the values present,
// so the number of values of each scale is kept (there are few scales in practice).
class NumericSum {
  public:
    // `weight` values equal to `v` more, or fewer when negative.
    void add(const Numeric& v, int64_t weight = 1) {
        if (!v.finite()) {
            (v.is_nan() ? nan_ : v.cls == Numeric::Class::PosInf ? pos_inf_ : neg_inf_) += weight;
            return;
        }
        total_ = weight == 1 ? laminar::add(total_, v) : weight == -1 ? laminar::sub(total_, v)
                                                                      : laminar::add(total_, scaled(v, weight));
        count(v.scale, weight);
    }
    void merge(const NumericSum& other) {
        total_ = laminar::add(total_, other.total_);
        nan_ += other.nan_, pos_inf_ += other.pos_inf_, neg_inf_ += other.neg_inf_;
        for (const auto& s : other.scales_) count(s.scale, s.values);
    }
    // Values present, the special ones included.
    int64_t values() const {
        int64_t n = nan_ + pos_inf_ + neg_inf_;
        for (const auto& s : scales_) n += s.values;
        return n;
    }
    // The sum; of no values it is zero.
    Numeric result() const {
        if (nan_ > 0 || (pos_inf_ > 0 && neg_inf_ > 0)) return Numeric::nan();
        if (pos_inf_ > 0 || neg_inf_ > 0) return Numeric::infinity(neg_inf_ > 0);
        int scale = 0;
        for (const auto& s : scales_)
            if (s.values > 0) scale = std::max(scale, s.scale);
        return total_.rescaled(scale);
    }

    // The state as bytes, for state tables and checkpoints.
    void store(std::string& out) const {
        put_be(out, nan_), put_be(out, pos_inf_), put_be(out, neg_inf_), put_be(out, int32_t(scales_.size()));
        for (const auto& s : scales_) put_be(out, s.scale), put_be(out, s.values);
        store_var(out, total_);
    }
    static NumericSum load(std::string_view b) {
        auto corrupt = [] { fail("XX001", "invalid stored sum"); };
        NumericSum s;
        if (b.size() < 28) corrupt();
        s.nan_ = get_be<int64_t>(b.data()), s.pos_inf_ = get_be<int64_t>(b.data() + 8), s.neg_inf_ = get_be<int64_t>(b.data() + 16);
        int32_t n = get_be<int32_t>(b.data() + 24);
        b.remove_prefix(28);
        if (n < 0 || b.size() < size_t(n) * 12) corrupt();
        for (; n > 0; n--, b.remove_prefix(12)) s.scales_.push_back({get_be<int32_t>(b.data()), get_be<int64_t>(b.data() + 4)});
        s.total_ = load_var(b);
        return s;
    }

  private:
    struct Scale { int32_t scale; int64_t values; };
    Numeric total_;
    std::vector<Scale> scales_;
    int64_t nan_ = 0, pos_inf_ = 0, neg_inf_ = 0;

    static Numeric scaled(const Numeric& v, int64_t weight) { return mul(v, Numeric(weight, 0)); }
    void count(int32_t scale, int64_t weight) {
        for (size_t i = 0; i < scales_.size(); i++) {
            if (scales_[i].scale != scale) continue;
            if ((scales_[i].values += weight) == 0) scales_.erase(scales_.begin() + ptrdiff_t(i));
            return;
        }
        scales_.push_back({scale, weight});
    }
};

// avg: sum / count at PostgreSQL's scale; count > 0.
inline Numeric average(const Numeric& sum, int64_t count) { return div(sum, Numeric(count, 0)); }

// Variance or standard deviation of `count` values from their sum and sum of squares; the caller has dealt with
// too few values (fewer than one, or than two for a sample).
inline Numeric variance(const Numeric& sum, const Numeric& squares, int64_t count, bool sample, bool root) {
    if (!sum.finite() || !squares.finite()) return Numeric::nan();
    Numeric n(count, 0);
    int scale = sum.scale * 2;
    Numeric numerator = sub(mul(n, squares).rescaled(scale), mul(sum, sum).rescaled(scale));
    if (numerator.sign() <= 0) return Numeric(0, 0);
    Numeric denominator = mul(n, sample ? Numeric(i128(count) - 1, 0) : n);
    int rscale = division_scale(numerator, denominator);
    Numeric result = divide(numerator, denominator, rscale, true);
    return root ? sqrt_to(result, rscale) : result;
}

}  // namespace laminar
