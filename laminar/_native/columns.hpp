// Arrow columns seen and made by native operators, over the Arrow C data interface.
//
// A Column is a view on one array of a record batch; a Builder grows an array and hands its
// buffers over without copying. Layouts are all that Laminar stores (docs/types.md): booleans,
// fixed widths of 1 to 16 bytes, strings and binaries with 32-bit offsets, lists of those.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "arrow_c.hpp"
#include "pgerror.hpp"

namespace laminar::engine {

enum class Shape : uint8_t { Null, Bool, Fixed, Var, List };
// How the bytes of a fixed-width value order.
enum class Order : uint8_t { Signed, Unsigned, Float, Bytes };

struct Layout {
    Shape shape = Shape::Null;
    Order order = Order::Signed;
    int32_t width = 0;             // Fixed: bytes
    std::vector<Layout> child;     // List: the element

    bool operator==(const Layout& o) const {
        return shape == o.shape && order == o.order && width == o.width && child == o.child;
    }
};

inline Layout parse_layout(const ArrowSchema* schema) {
    const std::string f = schema->format;
    auto fixed = [](int width, Order order) { return Layout{Shape::Fixed, order, width, {}}; };
    if (schema->dictionary) fail("XX000", "dictionary columns do not reach operators");
    if (f == "n") return {};
    if (f == "b") return {Shape::Bool, Order::Unsigned, 1, {}};
    if (f == "c") return fixed(1, Order::Signed);
    if (f == "C") return fixed(1, Order::Unsigned);
    if (f == "s") return fixed(2, Order::Signed);
    if (f == "S") return fixed(2, Order::Unsigned);
    if (f == "i" || f == "tdD" || f == "tts" || f == "ttm") return fixed(4, Order::Signed);
    if (f == "I") return fixed(4, Order::Unsigned);
    if (f == "l" || f == "tdm" || f == "ttu" || f == "ttn" || f.rfind("ts", 0) == 0 || f.rfind("tD", 0) == 0)
        return fixed(8, Order::Signed);
    if (f == "L") return fixed(8, Order::Unsigned);
    if (f == "f") return fixed(4, Order::Float);
    if (f == "g") return fixed(8, Order::Float);
    if (f == "u" || f == "z") return {Shape::Var, Order::Bytes, 0, {}};
    if (f.rfind("w:", 0) == 0) return fixed(std::atoi(f.c_str() + 2), Order::Bytes);
    if (f.rfind("d:", 0) == 0) {
        if (std::count(f.begin(), f.end(), ',') > 1 && f.substr(f.rfind(',')) != ",128")
            fail("XX000", "decimal of format " + f + " does not reach operators");
        return fixed(16, Order::Signed);
    }
    if (f == "+l") return {Shape::List, Order::Bytes, 0, {parse_layout(schema->children[0])}};
    fail("XX000", "Arrow format " + f + " does not reach operators");
}

inline bool get_bit(const uint8_t* bits, int64_t i) { return bits[i >> 3] >> (i & 7) & 1; }

struct Column {
    Shape shape = Shape::Null;
    Order order = Order::Signed;
    int32_t width = 0;
    int64_t length = 0;
    int64_t bit = 0;                    // offset of row 0 in valid (and in data, for Bool)
    const uint8_t* valid = nullptr;     // nullptr: no nulls
    const uint8_t* data = nullptr;      // Fixed: at row 0; Var: the bytes offsets point into
    const int32_t* offsets = nullptr;   // at row 0
    std::shared_ptr<Column> child;      // List: elements, by offsets

    bool is_null(int64_t i) const { return shape == Shape::Null || (valid && !get_bit(valid, bit + i)); }
    const uint8_t* at(int64_t i) const { return data + i * width; }
    bool truth(int64_t i) const { return get_bit(data, bit + i); }
    template <class T> T load(int64_t i) const {
        T v;
        std::memcpy(&v, data + i * int64_t(sizeof(T)), sizeof(T));
        return v;
    }
};

inline Column view(const Layout& layout, const ArrowArray* a, int64_t extra = 0) {
    Column c;
    const int64_t off = a->offset + extra;
    c.shape = layout.shape, c.order = layout.order, c.width = layout.width;
    c.length = a->length - extra;
    c.bit = off;
    if (layout.shape == Shape::Null) return c;
    if (a->null_count != 0) c.valid = static_cast<const uint8_t*>(a->buffers[0]);
    if (layout.shape == Shape::Bool) {
        c.data = static_cast<const uint8_t*>(a->buffers[1]);
    } else if (layout.shape == Shape::Fixed) {
        c.data = static_cast<const uint8_t*>(a->buffers[1]) + off * layout.width;
    } else {
        static const int32_t none[2] = {0, 0};
        const auto* offsets = static_cast<const int32_t*>(a->buffers[1]);
        c.offsets = offsets ? offsets + off : none;
        if (layout.shape == Shape::Var) {
            c.data = static_cast<const uint8_t*>(a->buffers[2]);
        } else {
            c.child = std::make_shared<Column>(view(layout.child[0], a->children[0]));
        }
    }
    return c;
}

// A record batch: struct array and schema as pyarrow exports them.
struct Batch {
    int64_t rows = 0;
    std::vector<Layout> layouts;
    std::vector<Column> columns;

    Batch() = default;
    Batch(const ArrowSchema* schema, const ArrowArray* array) {
        rows = array->length;
        for (int64_t i = 0; i < array->n_children; ++i) {
            layouts.push_back(parse_layout(schema->children[i]));
            columns.push_back(view(layouts.back(), array->children[i], array->offset));
            columns.back().length = rows;
        }
    }
};

// malloc'ed bytes that grow and can be handed to Arrow.
struct Bytes {
    uint8_t* p = nullptr;
    size_t size = 0, cap = 0;

    Bytes() = default;
    Bytes(const Bytes&) = delete;
    Bytes& operator=(const Bytes&) = delete;
    Bytes(Bytes&& o) noexcept : p(o.p), size(o.size), cap(o.cap) { o.p = nullptr, o.size = o.cap = 0; }
    Bytes& operator=(Bytes&& o) noexcept {
        std::swap(p, o.p), std::swap(size, o.size), std::swap(cap, o.cap);
        return *this;
    }
    ~Bytes() { std::free(p); }

    void reserve(size_t n) {
        if (n <= cap) return;
        size_t want = cap + cap / 2 > n ? cap + cap / 2 : n;
        want = (want + 63) & ~size_t(63);
        auto* q = static_cast<uint8_t*>(std::realloc(p, want));
        if (!q) throw std::bad_alloc();
        p = q, cap = want;
    }
    uint8_t* grow(size_t n) {  // n more bytes, uninitialised
        reserve(size + n);
        uint8_t* at = p + size;
        size += n;
        return at;
    }
    void append(const void* from, size_t n) {
        uint8_t* at = grow(n);
        if (n) std::memcpy(at, from, n);
    }
    void zero(size_t n) {
        uint8_t* at = grow(n);
        if (n) std::memset(at, 0, n);
    }
};

class Builder {
  public:
    explicit Builder(const Layout& layout) : layout_(layout) {
        if (layout.shape == Shape::Var || layout.shape == Shape::List) {
            const int32_t zero = 0;
            offsets_.append(&zero, 4);
        }
        if (layout.shape == Shape::List) child_ = std::make_unique<Builder>(layout.child[0]);
    }

    int64_t length() const { return length_; }
    const Layout& layout() const { return layout_; }
    Builder* child() { return child_.get(); }

    void null() {
        mark(false);
        switch (layout_.shape) {
            case Shape::Bool: put_bit(false); break;
            case Shape::Fixed: data_.zero(size_t(layout_.width)); break;
            case Shape::Var: push_offset(int32_t(data_.size)); break;
            case Shape::List: push_offset(int32_t(child_->length_)); break;
            case Shape::Null: break;
        }
        ++length_;
    }
    void nulls(int64_t n) {
        if (layout_.shape == Shape::Null) length_ += n;
        else while (n-- > 0) null();
    }
    void boolean(bool v) {
        mark(true);
        put_bit(v);
        ++length_;
    }
    void fixed(const void* v) {
        mark(true);
        data_.append(v, size_t(layout_.width));
        ++length_;
    }
    void var(const void* v, size_t n) {
        if (data_.size + n > size_t(INT32_MAX)) fail("54000", "batch of strings exceeds 2 GB");
        mark(true);
        data_.append(v, n);
        push_offset(int32_t(data_.size));
        ++length_;
    }
    // A list whose elements have already been appended to child().
    void list() {
        mark(true);
        push_offset(int32_t(child_->length_));
        ++length_;
    }
    // Fixed columns without nulls: room for n values to be filled by the caller.
    uint8_t* fill(int64_t n) {
        for (int64_t i = 0; valid_started_ && i < n; ++i) set_valid_bit(length_ + i, true);
        length_ += n;
        return data_.grow(size_t(n) * size_t(layout_.width));
    }
    void append(const Column& c, int64_t i) {
        if (c.is_null(i)) return null();
        switch (c.shape) {
            case Shape::Bool: return boolean(c.truth(i));
            case Shape::Fixed: return fixed(c.at(i));
            case Shape::Var: return var(c.data + c.offsets[i], size_t(c.offsets[i + 1] - c.offsets[i]));
            case Shape::List:
                for (int32_t k = c.offsets[i]; k < c.offsets[i + 1]; ++k) child_->append(*c.child, k);
                return list();
            case Shape::Null: return null();
        }
    }

    // Rows of c by index, all at once.
    void gather(const Column& c, const uint32_t* index, int64_t n) {
        if (c.shape == Shape::Fixed && !c.valid) {
            uint8_t* to = fill(n);
            switch (c.width) {
                case 4: return take<uint32_t>(c, index, n, to);
                case 8: return take<uint64_t>(c, index, n, to);
                case 2: return take<uint16_t>(c, index, n, to);
                case 1: return take<uint8_t>(c, index, n, to);
                default:
                    for (int64_t i = 0; i < n; ++i)
                        std::memcpy(to + i * c.width, c.at(index[i]), size_t(c.width));
                    return;
            }
        }
        for (int64_t i = 0; i < n; ++i) append(c, index[i]);
    }

    // Hands the buffers over; the builder is empty afterwards.
    void finish(ArrowArray* out) {
        auto* owned = new Owned;
        std::memset(out, 0, sizeof *out);
        out->length = length_;
        out->null_count = layout_.shape == Shape::Null ? length_ : nulls_;
        out->private_data = owned;
        out->release = release;
        if (layout_.shape != Shape::Null) {
            owned->buffers.push_back(nulls_ ? valid_.p : nullptr);
            if (layout_.shape == Shape::Var || layout_.shape == Shape::List) owned->buffers.push_back(offsets_.p);
            if (layout_.shape != Shape::List) {
                if (!data_.p) data_.reserve(64);
                owned->buffers.push_back(data_.p);
            }
        }
        if (child_) {
            owned->children.push_back(new ArrowArray);
            child_->finish(owned->children[0]);
            out->n_children = 1;
            out->children = owned->children.data();
        }
        out->n_buffers = int64_t(owned->buffers.size());
        out->buffers = owned->buffers.data();
        owned->valid = std::move(valid_), owned->data = std::move(data_), owned->offsets = std::move(offsets_);
        length_ = nulls_ = 0;
        valid_started_ = false;
    }

  private:
    struct Owned {
        Bytes valid, data, offsets;
        std::vector<const void*> buffers;
        std::vector<ArrowArray*> children;
    };
    static void release(ArrowArray* a) {
        auto* owned = static_cast<Owned*>(a->private_data);
        for (ArrowArray* c : owned->children) {
            if (c->release) c->release(c);
            delete c;
        }
        delete owned;
        a->release = nullptr;
    }
    template <class T> static void take(const Column& c, const uint32_t* index, int64_t n, uint8_t* to) {
        const T* from = reinterpret_cast<const T*>(c.data);
        T* t = reinterpret_cast<T*>(to);
        for (int64_t i = 0; i < n; ++i) t[i] = from[index[i]];
    }
    void set_valid_bit(int64_t i, bool v) {
        while (int64_t(valid_.size) * 8 <= i) valid_.zero(1);
        if (v) valid_.p[i >> 3] |= uint8_t(1 << (i & 7));
    }
    void mark(bool v) {
        if (!valid_started_) {
            if (v) return;
            valid_started_ = true;  // the first null: all before it were valid
            valid_.size = 0;
            valid_.zero(size_t(length_ / 8 + 1));
            std::memset(valid_.p, 0xFF, size_t(length_ / 8));
            for (int64_t i = length_ & ~int64_t(7); i < length_; ++i) set_valid_bit(i, true);
        }
        set_valid_bit(length_, v);
        nulls_ += !v;
    }
    void put_bit(bool v) {
        if ((length_ & 7) == 0) data_.zero(1);
        if (v) data_.p[length_ >> 3] |= uint8_t(1 << (length_ & 7));
    }
    void push_offset(int32_t v) { offsets_.append(&v, 4); }

    Layout layout_;
    int64_t length_ = 0, nulls_ = 0;
    bool valid_started_ = false;
    Bytes valid_, data_, offsets_;
    std::unique_ptr<Builder> child_;
};

// Builders of one record batch, handed over as a struct array.
class BatchBuilder {
  public:
    std::vector<Builder> columns;

    explicit BatchBuilder(const std::vector<Layout>& layouts) {
        for (const auto& l : layouts) columns.emplace_back(l);
    }
    void finish(ArrowArray* out, int64_t rows) {
        auto* owned = new Owned;
        std::memset(out, 0, sizeof *out);
        for (auto& c : columns) {
            owned->children.push_back(new ArrowArray);
            c.finish(owned->children.back());
        }
        out->length = rows;
        out->n_buffers = 1;
        out->buffers = owned->buffers;
        out->n_children = int64_t(owned->children.size());
        out->children = owned->children.data();
        out->private_data = owned;
        out->release = [](ArrowArray* a) {
            auto* o = static_cast<Owned*>(a->private_data);
            for (ArrowArray* c : o->children) {
                if (c->release) c->release(c);
                delete c;
            }
            delete o;
            a->release = nullptr;
        };
    }

  private:
    struct Owned {
        const void* buffers[1] = {nullptr};
        std::vector<ArrowArray*> children;
    };
};

}  // namespace laminar::engine
