// Rows as bytes.
//
// Compact form, canonical (equal values, equal bytes): the fixed-width columns one after the
// other (nulls zeroed, booleans one byte), a bitmap of nulls (bit set: null), then for each
// variable column a LEB128 length and its bytes. A list's bytes are its count, then per
// element a null flag and the value. So bytes serve as a hash key and for comparison.
//
// Comparable form: memcmp orders as PostgreSQL does, nulls last: per column a flag (1 value,
// 2 null), then big-endian numbers with the sign flipped, floats with NaN greatest and -0 = 0,
// bytes with 00 escaped as 00 FF and 00 00 at the end; complemented when descending.
#pragma once

#include "columns.hpp"

namespace laminar::engine {

inline size_t varint_size(uint32_t v) { return v < 128 ? 1 : v < 16384 ? 2 : v < 2097152 ? 3 : v < 268435456 ? 4 : 5; }
inline uint8_t* put_varint(uint8_t* p, uint32_t v) {
    while (v >= 128) *p++ = uint8_t(v | 128), v >>= 7;
    *p++ = uint8_t(v);
    return p;
}
// Throws XX001 rather than reading past end.
inline const uint8_t* get_varint(const uint8_t* p, const uint8_t* end, uint32_t& v) {
    v = 0;
    for (int shift = 0; shift < 35; shift += 7) {
        if (p >= end) fail("XX001", "row is cut short");
        const uint8_t b = *p++;
        v |= uint32_t(b & 127) << shift;
        if (b < 128) return p;
    }
    fail("XX001", "row holds a length that is too long");
}

class RowCodec {
  public:
    RowCodec() = default;
    explicit RowCodec(std::vector<Layout> layouts) : layouts_(std::move(layouts)) {
        for (const auto& l : layouts_) {
            at_.push_back(fixed_);
            if (l.shape == Shape::Bool) fixed_ += 1;
            if (l.shape == Shape::Fixed) fixed_ += uint32_t(l.width);
            variable_ |= l.shape == Shape::Var || l.shape == Shape::List;
        }
        bitmap_ = fixed_;
        fixed_ += uint32_t(layouts_.size() + 7) / 8;
    }

    const std::vector<Layout>& layouts() const { return layouts_; }
    uint32_t fixed_size() const { return fixed_; }        // bytes before the variable columns
    bool variable() const { return variable_; }
    uint32_t offset_of(size_t column) const { return at_[column]; }

    // lengths[i] = bytes of row i.
    void measure(const Column* const* columns, int64_t n, uint32_t* lengths) const {
        for (int64_t i = 0; i < n; ++i) lengths[i] = fixed_;
        for (size_t c = 0; c < layouts_.size(); ++c) {
            if (layouts_[c].shape != Shape::Var && layouts_[c].shape != Shape::List) continue;
            for (int64_t i = 0; i < n; ++i) {
                const uint32_t size = columns[c]->is_null(i) ? 0 : blob_size(*columns[c], i);
                if (uint64_t(lengths[i]) + size + 5 > 1u << 30) fail("54000", "row is larger than 1 GB");
                lengths[i] += size + uint32_t(varint_size(size));
            }
        }
    }

    // Writes row i to rows[i], which has the measured room; rows is clobbered.
    void encode(const Column* const* columns, int64_t n, uint8_t** rows) const {
        const size_t bitmap_bytes = (layouts_.size() + 7) / 8;
        for (int64_t i = 0; i < n; ++i) std::memset(rows[i] + bitmap_, 0, bitmap_bytes);
        for (size_t c = 0; c < layouts_.size(); ++c) encode_fixed(c, *columns[c], n, rows);
        if (!variable_) return;
        for (int64_t i = 0; i < n; ++i) rows[i] += fixed_;
        for (size_t c = 0; c < layouts_.size(); ++c) {
            if (layouts_[c].shape != Shape::Var && layouts_[c].shape != Shape::List) continue;
            const Column& col = *columns[c];
            for (int64_t i = 0; i < n; ++i) {
                if (col.is_null(i)) {
                    *rows[i]++ = 0;
                    continue;
                }
                rows[i] = put_varint(rows[i], blob_size(col, i));
                rows[i] = put_blob(col, i, rows[i]);
            }
        }
    }

    // The same for row i alone.
    uint32_t measure_row(const std::vector<Column>& columns, int64_t i) const {
        uint32_t length = fixed_;
        for (size_t c = 0; variable_ && c < layouts_.size(); ++c) {
            if (layouts_[c].shape != Shape::Var && layouts_[c].shape != Shape::List) continue;
            const uint32_t size = columns[c].is_null(i) ? 0 : blob_size(columns[c], i);
            if (uint64_t(length) + size + 5 > 1u << 30) fail("54000", "row is larger than 1 GB");
            length += size + uint32_t(varint_size(size));
        }
        return length;
    }
    void encode_row(const std::vector<Column>& columns, int64_t i, uint8_t* row) const {
        std::memset(row, 0, fixed_);
        uint8_t* p = row + fixed_;
        for (size_t c = 0; c < layouts_.size(); ++c) {
            const Column& column = columns[c];
            const bool variable = column.shape == Shape::Var || column.shape == Shape::List;
            if (column.is_null(i)) {
                set_null(row, c);
                if (variable) *p++ = 0;
            } else if (variable) {
                p = put_varint(p, blob_size(column, i));
                p = put_blob(column, i, p);
            } else if (column.shape == Shape::Bool) {
                row[at_[c]] = column.truth(i);
            } else if (column.width == 8) {
                std::memcpy(row + at_[c], column.at(i), 8);
            } else {
                std::memcpy(row + at_[c], column.at(i), size_t(column.width));
            }
        }
    }

    // Appends n rows to out's builders [first, first + columns).
    void decode(const uint8_t* const* rows, const uint32_t* lengths, int64_t n, Builder* out) const {
        for (int64_t i = 0; i < n; ++i)
            if (lengths[i] < fixed_) fail("XX001", "row is cut short");
        for (size_t c = 0; c < layouts_.size(); ++c) decode_fixed(c, rows, n, out[c]);
        if (!variable_) return;
        std::vector<const uint8_t*> at(static_cast<size_t>(n));
        for (int64_t i = 0; i < n; ++i) at[size_t(i)] = rows[i] + fixed_;
        for (size_t c = 0; c < layouts_.size(); ++c) {
            if (layouts_[c].shape != Shape::Var && layouts_[c].shape != Shape::List) continue;
            for (int64_t i = 0; i < n; ++i) {
                const uint8_t* end = rows[i] + lengths[i];
                uint32_t size;
                const uint8_t* p = get_varint(at[size_t(i)], end, size);
                if (size > size_t(end - p)) fail("XX001", "row is cut short");
                at[size_t(i)] = p + size;
                if (null_at(rows[i], c)) {
                    out[c].null();
                } else if (layouts_[c].shape == Shape::Var) {
                    out[c].var(p, size);
                } else {
                    get_list(layouts_[c], p, p + size, out[c]);
                }
            }
        }
    }

    bool null_at(const uint8_t* row, size_t c) const { return row[bitmap_ + c / 8] >> (c % 8) & 1; }
    void set_null(uint8_t* row, size_t c) const { row[bitmap_ + c / 8] |= uint8_t(1 << (c % 8)); }

  private:
    static uint32_t blob_size(const Column& c, int64_t i) {
        if (c.shape == Shape::Var) return uint32_t(c.offsets[i + 1] - c.offsets[i]);
        const int32_t from = c.offsets[i], to = c.offsets[i + 1];
        size_t size = varint_size(uint32_t(to - from)) + size_t(to - from);
        for (int32_t k = from; k < to; ++k) {
            if (c.child->is_null(k)) continue;
            if (c.child->shape == Shape::Bool || c.child->shape == Shape::Fixed) {
                size += size_t(c.child->width);
            } else {
                const uint32_t inner = blob_size(*c.child, k);
                size += inner + varint_size(inner);
            }
        }
        if (size > 1u << 30) fail("54000", "row is larger than 1 GB");
        return uint32_t(size);
    }
    static uint8_t* put_blob(const Column& c, int64_t i, uint8_t* p) {
        const int32_t from = c.offsets[i], to = c.offsets[i + 1];
        if (c.shape == Shape::Var) {
            if (to > from) std::memcpy(p, c.data + from, size_t(to - from));
            return p + (to - from);
        }
        p = put_varint(p, uint32_t(to - from));
        for (int32_t k = from; k < to; ++k) {
            const bool null = c.child->is_null(k);
            *p++ = null;
            if (null) continue;
            if (c.child->shape == Shape::Bool) {
                *p++ = c.child->truth(k);
            } else if (c.child->shape == Shape::Fixed) {
                std::memcpy(p, c.child->at(k), size_t(c.child->width));
                p += c.child->width;
            } else {
                p = put_varint(p, blob_size(*c.child, k));
                p = put_blob(*c.child, k, p);
            }
        }
        return p;
    }
    static void get_list(const Layout& layout, const uint8_t* p, const uint8_t* end, Builder& out) {
        const Layout& e = layout.child[0];
        uint32_t count;
        p = get_varint(p, end, count);
        for (uint32_t k = 0; k < count; ++k) {
            if (p >= end) fail("XX001", "list is cut short");
            if (*p++) {
                out.child()->null();
                continue;
            }
            if (e.shape == Shape::Bool || e.shape == Shape::Fixed) {
                if (end - p < e.width) fail("XX001", "list is cut short");
                if (e.shape == Shape::Bool) out.child()->boolean(*p);
                else out.child()->fixed(p);
                p += e.width;
            } else {
                uint32_t size;
                p = get_varint(p, end, size);
                if (size > size_t(end - p)) fail("XX001", "list is cut short");
                if (e.shape == Shape::Var) out.child()->var(p, size);
                else get_list(e, p, p + size, *out.child());
                p += size;
            }
        }
        out.list();
    }

    template <int W> void store(size_t c, const Column& col, int64_t n, uint8_t** rows) const {
        const uint32_t at = at_[c];
        for (int64_t i = 0; i < n; ++i) std::memcpy(rows[i] + at, col.data + i * W, W);
    }
    void encode_fixed(size_t c, const Column& col, int64_t n, uint8_t** rows) const {
        const uint32_t at = at_[c];
        const int32_t width = layouts_[c].shape == Shape::Bool ? 1 : layouts_[c].width;
        if (layouts_[c].shape == Shape::Bool) {
            for (int64_t i = 0; i < n; ++i) rows[i][at] = col.truth(i);
        } else if (layouts_[c].shape == Shape::Fixed) {
            switch (width) {
                case 4: store<4>(c, col, n, rows); break;
                case 8: store<8>(c, col, n, rows); break;
                case 16: store<16>(c, col, n, rows); break;
                default:
                    for (int64_t i = 0; i < n; ++i) std::memcpy(rows[i] + at, col.at(i), size_t(width));
            }
        }
        if (!col.valid && col.shape != Shape::Null) return;
        for (int64_t i = 0; i < n; ++i) {
            if (!col.is_null(i)) continue;
            if (layouts_[c].shape == Shape::Bool || layouts_[c].shape == Shape::Fixed)
                std::memset(rows[i] + at, 0, size_t(width));
            rows[i][bitmap_ + c / 8] |= uint8_t(1 << (c % 8));
        }
    }
    void decode_fixed(size_t c, const uint8_t* const* rows, int64_t n, Builder& out) const {
        const uint32_t at = at_[c];
        const Layout& l = layouts_[c];
        if (l.shape == Shape::Var || l.shape == Shape::List) return;
        bool nulls = l.shape == Shape::Null;
        for (int64_t i = 0; i < n && !nulls; ++i) nulls = null_at(rows[i], c);
        if (!nulls && l.shape == Shape::Fixed) {
            uint8_t* to = out.fill(n);
            switch (l.width) {
                case 8: for (int64_t i = 0; i < n; ++i) std::memcpy(to + i * 8, rows[i] + at, 8); break;
                case 4: for (int64_t i = 0; i < n; ++i) std::memcpy(to + i * 4, rows[i] + at, 4); break;
                default: for (int64_t i = 0; i < n; ++i) std::memcpy(to + i * l.width, rows[i] + at, size_t(l.width));
            }
            return;
        }
        for (int64_t i = 0; i < n; ++i) {
            if (nulls && (l.shape == Shape::Null || null_at(rows[i], c))) out.null();
            else if (l.shape == Shape::Bool) out.boolean(rows[i][at]);
            else out.fixed(rows[i] + at);
        }
    }

    std::vector<Layout> layouts_;
    std::vector<uint32_t> at_;
    uint32_t fixed_ = 0, bitmap_ = 0;
    bool variable_ = false;
};

// --- comparable form ---------------------------------------------------------------------

// A float's bits so that unsigned comparison orders as PostgreSQL: -0 = 0, NaN above all.
template <class U, class F> U float_rank(F v) {
    constexpr U sign = U(1) << (sizeof(U) * 8 - 1);
    if (v != v) return ~U(0);
    if (v == 0) return sign;
    U bits;
    std::memcpy(&bits, &v, sizeof v);
    return bits & sign ? ~bits : bits | sign;
}
template <class U, class F> F float_unrank(U r) {
    constexpr U sign = U(1) << (sizeof(U) * 8 - 1);
    F v;
    if (r == ~U(0)) return F(__builtin_nan(""));
    r = r & sign ? r & ~sign : ~r;
    std::memcpy(&v, &r, sizeof v);
    return v;
}

inline void put_comparable(const Column& c, int64_t i, Bytes& out) {
    if (c.is_null(i)) {
        *out.grow(1) = 2;
        return;
    }
    *out.grow(1) = 1;
    if (c.shape == Shape::Bool) {
        *out.grow(1) = c.truth(i);
    } else if (c.shape == Shape::Fixed) {
        uint8_t v[16];
        uint8_t* to = out.grow(size_t(c.width));
        if (c.order == Order::Bytes) {
            std::memcpy(to, c.at(i), size_t(c.width));
            return;
        }
        if (c.order == Order::Float && c.width == 8) {
            const auto r = float_rank<uint64_t, double>(c.load<double>(i));
            std::memcpy(v, &r, 8);
        } else if (c.order == Order::Float) {
            const auto r = float_rank<uint32_t, float>(c.load<float>(i));
            std::memcpy(v, &r, 4);
        } else {
            std::memcpy(v, c.at(i), size_t(c.width));
            if (c.order == Order::Signed) v[c.width - 1] ^= 0x80;
        }
        for (int k = 0; k < c.width; ++k) to[k] = v[c.width - 1 - k];
    } else if (c.shape == Shape::Var) {
        const uint8_t* p = c.data + c.offsets[i];
        const uint8_t* end = c.data + c.offsets[i + 1];
        while (p < end) {
            const auto* zero = static_cast<const uint8_t*>(std::memchr(p, 0, size_t(end - p)));
            const uint8_t* stop = zero ? zero : end;
            out.append(p, size_t(stop - p));
            if (zero) out.append("\0\xff", 2);
            p = zero ? zero + 1 : end;
        }
        out.append("\0\0", 2);
    } else if (c.shape == Shape::List) {
        for (int32_t k = c.offsets[i]; k < c.offsets[i + 1]; ++k) put_comparable(*c.child, k, out);
        *out.grow(1) = 0;
    }
}

// Reads one value back; p moves past it.
inline void get_comparable(const Layout& l, const uint8_t*& p, const uint8_t* end, uint8_t flip, Builder& out) {
    auto need = [&](size_t n) {
        if (size_t(end - p) < n) fail("XX001", "ordered key is cut short");
    };
    need(1);
    if ((*p++ ^ flip) == 2) return out.null();
    if (l.shape == Shape::Bool) {
        need(1);
        out.boolean(*p++ ^ flip);
    } else if (l.shape == Shape::Fixed) {
        need(size_t(l.width));
        uint8_t v[16];
        std::vector<uint8_t> wide;
        if (l.order == Order::Bytes) {
            for (int k = 0; k < l.width; ++k) wide.push_back(p[k] ^ flip);
            out.fixed(wide.data());
        } else {
            for (int k = 0; k < l.width; ++k) v[l.width - 1 - k] = p[k] ^ flip;
            if (l.order == Order::Float && l.width == 8) {
                uint64_t r;
                std::memcpy(&r, v, 8);
                const double d = float_unrank<uint64_t, double>(r);
                std::memcpy(v, &d, 8);
            } else if (l.order == Order::Float) {
                uint32_t r;
                std::memcpy(&r, v, 4);
                const float d = float_unrank<uint32_t, float>(r);
                std::memcpy(v, &d, 4);
            } else if (l.order == Order::Signed) {
                v[l.width - 1] ^= 0x80;
            }
            out.fixed(v);
        }
        p += l.width;
    } else if (l.shape == Shape::Var) {
        std::vector<uint8_t> bytes;
        for (;;) {
            need(1);
            uint8_t b = *p++ ^ flip;
            if (b == 0) {
                need(1);
                if ((*p++ ^ flip) == 0) break;
            }
            bytes.push_back(b);
        }
        out.var(bytes.data(), bytes.size());
    } else if (l.shape == Shape::List) {
        for (;;) {
            need(1);
            if ((*p ^ flip) == 0) break;
            get_comparable(l.child[0], p, end, flip, *out.child());
        }
        ++p;
        out.list();
    }
}

}  // namespace laminar::engine
