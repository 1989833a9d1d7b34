// Columns of PostgreSQL values over the Arrow C data interface, and each value's text and binary form.
//
// ColumnView reads a column (nothing is copied, the ArrowArray must outlive it); ColumnBuilder makes one. Both know
// every type of laminar.types; a view's text() and binary() are PostgreSQL's output and send functions, a
// builder's append_text() and append_binary() its input and receive functions.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "arrow_c.hpp"
#include "datetime_format.hpp"
#include "datetime_parse.hpp"
#include "json.hpp"
#include "numeric_io.hpp"
#include "pgtype.hpp"
#include "scalar_io.hpp"

namespace laminar {

// Bytes per value; 0 for variable length, bool and arrays.
inline int fixed_width(Kind k) {
    switch (k) {
        case Kind::Int2: return 2;
        case Kind::Int4: case Kind::Oid: case Kind::Float4: case Kind::Date: return 4;
        case Kind::Int8: case Kind::Float8: case Kind::Time: case Kind::Timestamp: case Kind::Timestamptz: return 8;
        case Kind::Decimal: case Kind::Interval: case Kind::Uuid: return 16;
        default: return 0;
    }
}

inline std::string arrow_format(const Type& t) {
    switch (t.kind) {
        case Kind::Bool: return "b";
        case Kind::Int2: return "s";
        case Kind::Int4: return "i";
        case Kind::Int8: return "l";
        case Kind::Oid: return "I";
        case Kind::Float4: return "f";
        case Kind::Float8: return "g";
        case Kind::Decimal: return "d:" + std::to_string(t.precision) + "," + std::to_string(t.scale);
        case Kind::Numeric: case Kind::Bytea: return "z";
        case Kind::Date: return "tdD";
        case Kind::Time: return "ttu";
        case Kind::Timestamp: return "tsu:";
        case Kind::Timestamptz: return "tsu:UTC";
        case Kind::Interval: case Kind::Uuid: return "w:16";
        case Kind::Array: return "+l";
        default: return "u";
    }
}

class ColumnView {
  public:
    ColumnView() = default;
    ColumnView(const ArrowArray* array, const Type& type) : type_(type), offset_(array->offset), length_(array->length) {
        validity_ = array->null_count == 0 ? nullptr : static_cast<const uint8_t*>(array->buffers[0]);
        if (array->n_buffers > 1) values_ = static_cast<const uint8_t*>(array->buffers[1]);
        if (array->n_buffers > 2) data_ = static_cast<const char*>(array->buffers[2]);
        if (type.kind == Kind::Array) child_ = std::make_shared<ColumnView>(array->children[0], type.element_type());
    }

    const Type& type() const { return type_; }
    int64_t length() const { return length_; }
    bool is_null(int64_t i) const {
        i += offset_;
        return validity_ && !(validity_[i >> 3] >> (i & 7) & 1);
    }

    // The accessors below are for values that are not null and kinds stored that way.
    template <class T> T get(int64_t i) const {
        T v;
        std::memcpy(&v, values_ + (i + offset_) * int64_t(sizeof(T)), sizeof(T));
        return v;
    }
    bool get_bool(int64_t i) const {
        i += offset_;
        return values_[i >> 3] >> (i & 7) & 1;
    }
    std::string_view bytes(int64_t i) const {
        int32_t from = get<int32_t>(i), to = get<int32_t>(i + 1);
        return {data_ + from, size_t(to - from)};
    }
    const char* fixed16(int64_t i) const { return reinterpret_cast<const char*>(values_) + (i + offset_) * 16; }
    Numeric numeric(int64_t i) const {
        return type_.kind == Kind::Decimal ? load_decimal(fixed16(i), type_.scale) : load_var(bytes(i));
    }
    const ColumnView& child() const { return *child_; }
    // First and past-the-last element of an array value, as indexes into child().
    std::pair<int64_t, int64_t> elements(int64_t i) const { return {get<int32_t>(i), get<int32_t>(i + 1)}; }

    // Appends the value as PostgreSQL's output function prints it; not for nulls.
    void text(int64_t i, const Settings& s, std::string& out) const {
        switch (type_.kind) {
            case Kind::Bool: out.push_back(get_bool(i) ? 't' : 'f'); break;
            case Kind::Int2: format_int(out, get<int16_t>(i)); break;
            case Kind::Int4: format_int(out, get<int32_t>(i)); break;
            case Kind::Int8: format_int(out, get<int64_t>(i)); break;
            case Kind::Oid: format_int(out, get<uint32_t>(i)); break;
            case Kind::Float4: format_float(out, get<float>(i), s.extra_float_digits); break;
            case Kind::Float8: format_float(out, get<double>(i), s.extra_float_digits); break;
            case Kind::Decimal: case Kind::Numeric: format_numeric(out, numeric(i)); break;
            case Kind::Bytea: format_bytea(out, bytes(i), s.bytea_hex); break;
            case Kind::Date: format_date(out, get<int32_t>(i), s); break;
            case Kind::Time: format_time(out, get<int64_t>(i)); break;
            case Kind::Timestamp: format_timestamp(out, get<int64_t>(i), s); break;
            case Kind::Timestamptz: format_timestamptz(out, get<int64_t>(i), s); break;
            case Kind::Interval: format_interval(out, get<Interval>(i), s.interval_style); break;
            case Kind::Uuid: format_uuid(out, fixed16(i)); break;
            case Kind::Array: array_text(i, s, out); break;
            default: out.append(bytes(i));
        }
    }

    // Appends the value as PostgreSQL's send function writes it; not for nulls.
    void binary(int64_t i, std::string& out) const {
        switch (type_.kind) {
            case Kind::Bool: out.push_back(get_bool(i) ? 1 : 0); break;
            case Kind::Int2: put_be(out, get<int16_t>(i)); break;
            case Kind::Int4: case Kind::Oid: put_be(out, get<int32_t>(i)); break;
            case Kind::Int8: case Kind::Time: put_be(out, get<int64_t>(i)); break;
            case Kind::Float4: put_be(out, get<int32_t>(i)); break;
            case Kind::Float8: put_be(out, get<int64_t>(i)); break;
            case Kind::Decimal: case Kind::Numeric: send_numeric(out, numeric(i)); break;
            case Kind::Date: {
                int32_t d = get<int32_t>(i);
                put_be(out, finite_date(d) ? int32_t(d - kPgEpochDays) : d);
                break;
            }
            case Kind::Timestamp: case Kind::Timestamptz: {
                int64_t t = get<int64_t>(i);
                put_be(out, finite_timestamp(t) ? t - kPgEpoch : t);
                break;
            }
            case Kind::Interval: {
                Interval v = get<Interval>(i);
                put_be(out, v.us), put_be(out, v.days), put_be(out, v.months);
                break;
            }
            case Kind::Uuid: out.append(fixed16(i), 16); break;
            case Kind::Jsonb: out.push_back(1), out.append(bytes(i)); break;
            case Kind::Array: array_binary(i, out); break;
            default: out.append(bytes(i));
        }
    }

  private:
    Type type_;
    const uint8_t* validity_ = nullptr;
    const uint8_t* values_ = nullptr;
    const char* data_ = nullptr;
    int64_t offset_ = 0, length_ = 0;
    std::shared_ptr<ColumnView> child_;

    static bool needs_quotes(std::string_view s) {
        if (s.empty() || equals_ci(s, "null")) return true;
        for (char c : s)
            if (c == '"' || c == '\\' || c == '{' || c == '}' || c == ',' || is_space(c)) return true;
        return false;
    }

    void array_text(int64_t i, const Settings& s, std::string& out) const {
        auto [from, to] = elements(i);
        std::string item;
        if (type_.is_vector()) {
            for (int64_t k = from; k < to; k++) {
                if (k > from) out.push_back(' ');
                child_->text(k, s, out);
            }
            return;
        }
        out.push_back('{');
        for (int64_t k = from; k < to; k++) {
            if (k > from) out.push_back(',');
            if (child_->is_null(k)) {
                out.append("NULL");
                continue;
            }
            item.clear();
            child_->text(k, s, item);
            if (!needs_quotes(item)) {
                out.append(item);
                continue;
            }
            out.push_back('"');
            for (char c : item) {
                if (c == '"' || c == '\\') out.push_back('\\');
                out.push_back(c);
            }
            out.push_back('"');
        }
        out.push_back('}');
    }

    void array_binary(int64_t i, std::string& out) const {
        auto [from, to] = elements(i);
        bool nulls = false;
        for (int64_t k = from; k < to; k++) nulls |= child_->is_null(k);
        const bool vector = type_.is_vector();
        put_be<int32_t>(out, from < to || vector ? 1 : 0);
        put_be<int32_t>(out, nulls ? 1 : 0);
        put_be<uint32_t>(out, type_.element_oid);
        if (from == to && !vector) return;
        put_be<int32_t>(out, int32_t(to - from)), put_be<int32_t>(out, vector ? 0 : 1);
        for (int64_t k = from; k < to; k++) {
            if (child_->is_null(k)) {
                put_be<int32_t>(out, -1);
                continue;
            }
            size_t at = out.size();
            put_be<int32_t>(out, 0);
            child_->binary(k, out);
            std::string length;
            put_be<int32_t>(length, int32_t(out.size() - at - 4));
            out.replace(at, 4, length);
        }
    }
};

class ColumnBuilder {
  public:
    explicit ColumnBuilder(const Type& type) : type_(type), width_(fixed_width(type.kind)) {
        if (type.kind == Kind::Array) child_ = std::make_shared<ColumnBuilder>(type.element_type());
        if (!width_ && type.kind != Kind::Bool) offsets_.push_back(0);
    }

    const Type& type() const { return type_; }
    int64_t length() const { return length_; }
    void reserve(int64_t rows) {
        if (width_) data_.reserve(size_t(rows) * size_t(width_));
        if (!offsets_.empty()) offsets_.reserve(size_t(rows) + 1);
    }

    void append_null() {
        if (valid_.empty()) valid_.assign(size_t(length_ + 7) / 8, 0xFF);
        push_bit(valid_, false);
        nulls_++;
        if (width_) data_.append(size_t(width_), '\0');
        else if (type_.kind == Kind::Bool) push_bit(bits_, false);
        else offsets_.push_back(offsets_.back());
        length_++;
    }
    template <class T> void append(T v) {
        data_.append(reinterpret_cast<const char*>(&v), sizeof(T));
        present();
    }
    void append_bool(bool v) {
        push_bit(bits_, v);
        present();
    }
    void append_bytes(std::string_view s) {
        data_.append(s);
        end_bytes();
    }
    void append_numeric(const Numeric& n) {
        if (type_.kind == Kind::Decimal) {
            append(to_decimal(n, type_.precision, type_.scale));
        } else {
            store_var(data_, type_.typmod < 4 ? n : fit(n, typmod_precision(), typmod_scale()));
            end_bytes();
        }
    }

    // PostgreSQL's input function, the type modifier applied. Throws Error and leaves the builder as it was.
    void append_text(std::string_view s, const Settings& set) {
        switch (type_.kind) {
            case Kind::Bool: append_bool(parse_bool(s)); break;
            case Kind::Int2: append(parse_int<int16_t>(s, "smallint")); break;
            case Kind::Int4: append(parse_int<int32_t>(s, "integer")); break;
            case Kind::Int8: append(parse_int<int64_t>(s, "bigint")); break;
            case Kind::Oid: append(parse_oid(s)); break;
            case Kind::Float4: append(parse_float<float>(s)); break;
            case Kind::Float8: append(parse_float<double>(s)); break;
            case Kind::Decimal: case Kind::Numeric: append_numeric(parse_numeric(s)); break;
            case Kind::Bytea: {
                std::string bytes;
                parse_bytea(s, bytes);
                append_bytes(bytes);
                break;
            }
            case Kind::Date: append(parse_date(s, set)); break;
            case Kind::Time: append(round_time(parse_time(s, set), type_.typmod)); break;
            case Kind::Timestamp: append(round_timestamp(parse_timestamp(s, set), type_.typmod)); break;
            case Kind::Timestamptz: append(round_timestamp(parse_timestamptz(s, set), type_.typmod)); break;
            case Kind::Interval: append(parse_interval(s, set, type_.typmod)); break;
            case Kind::Uuid: {
                char b[16];
                parse_uuid(s, b);
                data_.append(b, 16);
                present();
                break;
            }
            case Kind::Json: check_json(s), append_bytes(s); break;
            case Kind::Jsonb: {
                std::string canonical;
                canonical_jsonb(canonical, s);
                append_bytes(canonical);
                break;
            }
            case Kind::Array: array_text(s, set); break;
            default: append_characters(s);
        }
    }

    // PostgreSQL's receive function, the type modifier applied. Throws Error and leaves the builder as it was.
    void append_binary(std::string_view b) {
        switch (type_.kind) {
            case Kind::Bool: append_bool(recv_be<int8_t>(b) != 0); break;
            case Kind::Int2: append(recv_be<int16_t>(b)); break;
            case Kind::Int4: case Kind::Oid: case Kind::Float4: append(recv_be<int32_t>(b)); break;
            case Kind::Int8: case Kind::Float8: append(recv_be<int64_t>(b)); break;
            case Kind::Decimal: case Kind::Numeric: append_numeric(recv_numeric(b)); break;
            case Kind::Bytea: append_bytes(b); break;
            case Kind::Date: {
                int32_t d = recv_be<int32_t>(b);
                int64_t days = int64_t(d) + kPgEpochDays;
                if (finite_date(d) && !date_in_range(days)) fail("22008", "date out of range");
                append(finite_date(d) ? int32_t(days) : d);
                break;
            }
            case Kind::Time: {
                int64_t t = recv_be<int64_t>(b);
                if (t < 0 || t > kDay) fail("22008", "time out of range");
                append(round_time(t, type_.typmod));
                break;
            }
            case Kind::Timestamp: case Kind::Timestamptz: {
                int64_t t = recv_be<int64_t>(b);
                if (finite_timestamp(t)) {
                    if (__builtin_add_overflow(t, kPgEpoch, &t) || !timestamp_in_range(t)) fail("22008", "timestamp out of range");
                    t = round_timestamp(t, type_.typmod);
                }
                append(t);
                break;
            }
            case Kind::Interval: {
                if (b.size() < 16) fail("08P01", "insufficient data left in message");
                if (b.size() > 16) bad_binary("incorrect binary data format");
                Interval v{get_be<int32_t>(b.data() + 12), get_be<int32_t>(b.data() + 8), get_be<int64_t>(b.data())};
                append(fit_interval(v, type_.typmod));
                break;
            }
            case Kind::Uuid:
                if (b.size() < 16) fail("08P01", "insufficient data left in message");
                if (b.size() > 16) bad_binary("incorrect binary data format");
                data_.append(b);
                present();
                break;
            case Kind::Jsonb: {
                if (b.empty()) fail("08P01", "no data left in message");
                if (b[0] != 1) fail("XX000", "unsupported jsonb version number " + std::to_string(int(uint8_t(b[0]))));
                check_utf8(b);
                std::string canonical;
                canonical_jsonb(canonical, b.substr(1));
                append_bytes(canonical);
                break;
            }
            case Kind::Json: check_utf8(b), check_json(b), append_bytes(b); break;
            case Kind::Array: array_binary(b); break;
            default: check_utf8(b), append_characters(b);
        }
    }

    // Hands the column over; the builder is empty afterwards.
    void finish(ArrowArray* array, ArrowSchema* schema) {
        export_schema(schema);
        export_array(array);
    }

  private:
    Type type_;
    int width_;
    int64_t length_ = 0, nulls_ = 0;
    std::vector<uint8_t> valid_, bits_;  // valid_ stays empty until the first null
    std::string data_;
    std::vector<int32_t> offsets_;
    std::shared_ptr<ColumnBuilder> child_;

    void push_bit(std::vector<uint8_t>& bits, bool v) {
        if (size_t(length_) >= bits.size() * 8) bits.push_back(0);
        uint8_t mask = uint8_t(1 << (length_ & 7));
        bits[size_t(length_ >> 3)] = uint8_t(v ? bits[size_t(length_ >> 3)] | mask : bits[size_t(length_ >> 3)] & ~mask);
    }
    void present() {
        if (!valid_.empty()) push_bit(valid_, true);
        length_++;
    }
    void end_bytes() {
        if (data_.size() > size_t(INT32_MAX)) {
            data_.resize(size_t(offsets_.back()));
            fail("54000", "column batch exceeds 2 GB");
        }
        offsets_.push_back(int32_t(data_.size()));
        present();
    }
    int typmod_precision() const { return (type_.typmod - 4) >> 16 & 0xFFFF; }
    int typmod_scale() const { return (((type_.typmod - 4) & 0x7FF) ^ 1024) - 1024; }

    void append_characters(std::string_view s) {
        std::string padded;
        switch (type_.kind) {
            case Kind::Varchar: append_bytes(fit_varchar(s, type_.typmod)); break;
            case Kind::Bpchar: append_bytes(fit_bpchar(s, type_.typmod, padded)); break;
            case Kind::Name: append_bytes(fit_name(s)); break;
            case Kind::Char: append_bytes(s.substr(0, utf8_offset(s, 1))); break;
            default: append_bytes(s);
        }
    }

    // Elements already appended to the child are dropped again when a later one fails.
    void array_text(std::string_view text, const Settings& s);
    void array_binary(std::string_view b);
    void end_array() {
        offsets_.push_back(int32_t(child_->length_));
        present();
    }
    void truncate(int64_t length) {
        for (; length_ > length; length_--) {
            int64_t i = length_ - 1;
            if (!valid_.empty() && !(valid_[size_t(i >> 3)] >> (i & 7) & 1)) nulls_--;
        }
        if (!valid_.empty()) valid_.resize(size_t(length + 7) / 8);
        if (type_.kind == Kind::Bool) bits_.resize(size_t(length + 7) / 8);
        if (width_) data_.resize(size_t(length) * size_t(width_));
        if (!offsets_.empty()) offsets_.resize(size_t(length) + 1), data_.resize(size_t(offsets_.back()));
    }

    struct SchemaOwner { std::string format, name; ArrowSchema* child; };
    struct ArrayOwner {
        std::vector<uint8_t> valid, bits;
        std::string data;
        std::vector<int32_t> offsets;
        const void* buffers[3];
        ArrowArray* child;
    };

    void export_schema(ArrowSchema* out) const {
        auto* owner = new SchemaOwner{arrow_format(type_), "", nullptr};
        *out = {};
        out->flags = 2;  // nullable
        if (child_) {
            owner->child = new ArrowSchema;
            child_->export_schema(owner->child);
            static_cast<SchemaOwner*>(owner->child->private_data)->name = "item";
            owner->child->name = static_cast<SchemaOwner*>(owner->child->private_data)->name.c_str();
            out->n_children = 1, out->children = &owner->child;
        }
        out->format = owner->format.c_str(), out->name = owner->name.c_str();
        out->private_data = owner;
        out->release = [](ArrowSchema* schema) {
            auto* o = static_cast<SchemaOwner*>(schema->private_data);
            if (o->child) {
                if (o->child->release) o->child->release(o->child);
                delete o->child;
            }
            delete o;
            schema->release = nullptr;
        };
    }

    void export_array(ArrowArray* out) {
        auto* owner = new ArrayOwner{std::move(valid_), std::move(bits_), std::move(data_), std::move(offsets_), {}, nullptr};
        *out = {};
        out->length = length_, out->null_count = nulls_;
        owner->buffers[0] = nulls_ ? owner->valid.data() : nullptr;
        if (type_.kind == Kind::Array) {
            owner->child = new ArrowArray;
            child_->export_array(owner->child);
            out->n_children = 1, out->children = &owner->child;
            owner->buffers[1] = owner->offsets.data(), out->n_buffers = 2;
        } else if (type_.kind == Kind::Bool) {
            owner->buffers[1] = owner->bits.data(), out->n_buffers = 2;
        } else if (width_) {
            owner->buffers[1] = owner->data.data(), out->n_buffers = 2;
        } else {
            owner->buffers[1] = owner->offsets.data(), owner->buffers[2] = owner->data.data(), out->n_buffers = 3;
        }
        out->buffers = owner->buffers;
        out->private_data = owner;
        out->release = [](ArrowArray* array) {
            auto* o = static_cast<ArrayOwner*>(array->private_data);
            if (o->child) {
                if (o->child->release) o->child->release(o->child);
                delete o->child;
            }
            delete o;
            array->release = nullptr;
        };
        *this = ColumnBuilder(type_);
    }
};

// Array literals: {1,"b c",NULL}, with or without [1:3]= in front. Only one dimension.
inline void ColumnBuilder::array_text(std::string_view text, const Settings& set) {
    auto malformed = [&](const std::string& detail) {
        fail("22P02", "malformed array literal: \"" + std::string(text) + "\"", detail);
    };
    std::string_view s = trim(text);
    if (type_.is_vector()) {
        const int64_t before = child_->length();
        try {
            while (!s.empty()) {
                size_t end = 0;
                while (end < s.size() && !is_space(s[end])) end++;
                child_->append_text(s.substr(0, end), set);
                s = trim(s.substr(end));
            }
        } catch (...) {
            child_->truncate(before);
            throw;
        }
        end_array();
        return;
    }
    if (!s.empty() && s[0] == '[') {
        size_t eq = s.find('=');
        if (eq == std::string_view::npos || s.substr(0, 3) != "[1:" || s.find('[', 1) < eq)
            fail("0A000", "array literals with several dimensions or another lower bound than 1 are not supported");
        s = trim(s.substr(eq + 1));
    }
    if (s.empty() || s[0] != '{') malformed("Array value must start with \"{\" or dimension information.");
    size_t i = 1;
    const int64_t mark = child_->length();
    auto skip = [&] { while (i < s.size() && is_space(s[i])) i++; };
    auto more = [&] {
        if (i >= s.size()) malformed("Unexpected end of input.");
    };
    std::string item;
    try {
        skip(), more();
        for (bool first = true; s[i] != '}' || !first; first = false) {
            skip(), more();
            if (s[i] == '{') fail("0A000", "multidimensional arrays are not supported");
            item.clear();
            bool quoted = s[i] == '"';
            size_t keep = 0;  // unquoted blanks at the end are dropped, escaped ones are not
            if (quoted) {
                for (i++; more(), s[i] != '"'; i++) {
                    if (s[i] == '\\') i++, more();
                    item.push_back(s[i]);
                }
                i++, keep = item.size();
            } else {
                for (; more(), s[i] != ',' && s[i] != '}'; i++) {
                    if (s[i] == '"') malformed("Incorrectly quoted array element.");
                    if (s[i] == '{') malformed("Unexpected \"{\" character.");
                    bool escaped = s[i] == '\\';
                    if (escaped) i++, more();
                    item.push_back(s[i]);
                    if (escaped || !is_space(s[i])) keep = item.size();
                    quoted |= escaped;
                }
            }
            item.resize(keep);
            skip(), more();
            if (item.empty() && !quoted) malformed("Unexpected \"" + std::string(1, s[i]) + "\" character.");
            if (s[i] != ',' && s[i] != '}') malformed("Unexpected array element.");
            if (!quoted && equals_ci(item, "null")) child_->append_null();
            else child_->append_text(item, set);
            if (s[i] == '}') break;
            i++;
        }
        i++, skip();
        if (i < s.size()) malformed("Junk after closing right brace.");
    } catch (...) {
        child_->truncate(mark);
        throw;
    }
    end_array();
}

inline void ColumnBuilder::array_binary(std::string_view b) {
    auto need = [&](size_t n) {
        if (b.size() < n) fail("08P01", "insufficient data left in message");
    };
    need(12);
    int32_t dims = get_be<int32_t>(b.data()), flags = get_be<int32_t>(b.data() + 4);
    uint32_t oid = get_be<uint32_t>(b.data() + 8);
    if (dims < 0) bad_binary("invalid number of dimensions: " + std::to_string(dims));
    if (flags != 0 && flags != 1) bad_binary("invalid array flags");
    if (oid != type_.element_oid)
        fail("42804", "binary data has array element type " + std::to_string(oid) + " instead of expected " + std::to_string(type_.element_oid));
    b.remove_prefix(12);
    if (dims > 1) fail("0A000", "multidimensional arrays are not supported");
    int32_t count = 0;
    if (dims == 1) {
        need(8);
        count = get_be<int32_t>(b.data());
        if (count < 0) bad_binary("invalid array size");
        b.remove_prefix(8);
    }
    const int64_t mark = child_->length();
    try {
        for (int32_t k = 0; k < count; k++) {
            need(4);
            int32_t size = get_be<int32_t>(b.data());
            b.remove_prefix(4);
            if (size == -1) {
                child_->append_null();
                continue;
            }
            if (size < 0) bad_binary("insufficient data left in message");
            need(size_t(size));
            child_->append_binary(b.substr(0, size_t(size)));
            b.remove_prefix(size_t(size));
        }
        if (!b.empty()) bad_binary("incorrect binary data format");
    } catch (...) {
        child_->truncate(mark);
        throw;
    }
    end_array();
}

}  // namespace laminar
