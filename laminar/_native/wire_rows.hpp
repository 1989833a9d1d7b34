// Rows of an Arrow batch as messages: DataRow, and CopyData in text, csv and binary. PostgreSQL, chapters 55.7 and COPY.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "column.hpp"

namespace laminar::wire {

inline void patch_length(std::string& out, size_t at, size_t length) {
    if (length > size_t(INT32_MAX)) fail("54000", "row or value too large for a protocol message");
    uint32_t n = __builtin_bswap32(uint32_t(length));
    std::memcpy(out.data() + at, &n, 4);
}

// The batch's columns; the ArrowArray must outlive their use.
class Columns {
  public:
    void add(const Type& type, bool binary) {
        types_.push_back(type);
        formats_.push_back(arrow_format(type));
        binary_.push_back(binary);
    }
    size_t size() const { return types_.size(); }
    // Whether a batch's columns are stored as the types say.
    bool matches(const ArrowSchema& schema) const {
        if (size_t(schema.n_children) != types_.size()) return false;
        for (size_t i = 0; i < types_.size(); i++) {
            const ArrowSchema& column = *schema.children[i];
            if (column.dictionary || formats_[i] != column.format) return false;
            if (types_[i].kind == Kind::Array && arrow_format(types_[i].element_type()) != column.children[0]->format)
                return false;
        }
        return true;
    }
    void bind(const ArrowArray& batch) {
        views_.clear();
        for (size_t i = 0; i < types_.size(); i++) views_.emplace_back(batch.children[i], types_[i]);
    }
    const ColumnView& operator[](size_t i) const { return views_[i]; }

    // A value as DataRow and binary COPY have it: its length and its bytes, or -1 for null.
    void sized(size_t i, int64_t row, const Settings& settings, std::string& out) const {
        const ColumnView& c = views_[i];
        if (c.is_null(row)) {
            out.append("\xff\xff\xff\xff", 4);
            return;
        }
        size_t at = out.size();
        out.append(4, '\0');
        if (binary_[i]) c.binary(row, out);
        else c.text(row, settings, out);
        patch_length(out, at, out.size() - at - 4);
    }

  private:
    std::vector<Type> types_;
    std::vector<std::string> formats_;
    std::vector<uint8_t> binary_;
    std::vector<ColumnView> views_;
};

// How COPY TO writes a row; single-byte options as COPY has them.
struct CopyOut {
    enum class Format : uint8_t { Text, Csv, Binary } format = Format::Text;
    char delimiter = '\t', quote = '"', escape = '"';
    std::string null = "\\N";
    std::vector<uint8_t> force_quote;  // per column

    void text_value(std::string_view value, std::string& out) const {
        for (char c : value) {
            char escaped = 0;
            switch (c) {
                case '\b': escaped = 'b'; break;
                case '\f': escaped = 'f'; break;
                case '\n': escaped = 'n'; break;
                case '\r': escaped = 'r'; break;
                case '\t': escaped = 't'; break;
                case '\v': escaped = 'v'; break;
                case '\\': escaped = '\\'; break;
                default: if (c == delimiter) escaped = c;
            }
            if (escaped) out.push_back('\\');
            out.push_back(escaped ? escaped : c);
        }
    }

    void csv_value(std::string_view value, bool forced, bool only_column, std::string& out) const {
        if (!forced && value != null && !csv_needs_quotes(value, only_column)) {
            out.append(value);
            return;
        }
        out.push_back(quote);
        for (char c : value) {
            if (c == quote || c == escape) out.push_back(escape);
            out.push_back(c);
        }
        out.push_back(quote);
    }

    void value(std::string_view v, size_t column, size_t columns, std::string& out) const {
        if (format == Format::Text) text_value(v, out);
        else csv_value(v, force_quote[column], columns == 1, out);
    }

  private:
    bool csv_needs_quotes(std::string_view value, bool only_column) const {
        if (only_column && value == "\\.") return true;
        for (char c : value)
            if (c == delimiter || c == quote || c == '\n' || c == '\r') return true;
        return false;
    }
};

// Encodes rows [from, to) as DataRow until `out` holds `enough` bytes; returns the row to go on with.
inline int64_t data_rows(std::string& out, const Columns& columns, const Settings& settings, int64_t from, int64_t to,
                         size_t enough) {
    for (; from < to && out.size() < enough; from++) {
        size_t start = out.size();
        out.append("D\0\0\0\0", 5);
        put_be(out, uint16_t(columns.size()));
        for (size_t i = 0; i < columns.size(); i++) columns.sized(i, from, settings, out);
        patch_length(out, start + 1, out.size() - start - 1);
    }
    return from;
}

// The same as CopyData, one message per row as the protocol promises. `prefix` goes into the first one.
inline int64_t copy_rows(std::string& out, const Columns& columns, const CopyOut& copy, const Settings& settings,
                         std::string& prefix, int64_t from, int64_t to, size_t enough) {
    std::string value;
    for (; from < to && out.size() < enough; from++) {
        size_t start = out.size();
        out.append("d\0\0\0\0", 5);
        if (!prefix.empty()) {
            out.append(prefix);
            prefix.clear();
        }
        if (copy.format == CopyOut::Format::Binary) {
            put_be(out, int16_t(columns.size()));
            for (size_t i = 0; i < columns.size(); i++) columns.sized(i, from, settings, out);
        } else {
            for (size_t i = 0; i < columns.size(); i++) {
                if (i) out.push_back(copy.delimiter);
                if (columns[i].is_null(from)) {
                    out.append(copy.null);
                    continue;
                }
                value.clear();
                columns[i].text(from, settings, value);
                copy.value(value, i, columns.size(), out);
            }
            out.push_back('\n');
        }
        patch_length(out, start + 1, out.size() - start - 1);
    }
    return from;
}

}  // namespace laminar::wire
