// COPY FROM: a stream of bytes in text, csv or binary format into columns.
//
// Bytes come in pieces of any size; what is not a whole row yet stays in the buffer, and the search for its end goes
// on where it stopped. Rules and messages are those of PostgreSQL 15 (COPY; "File Formats").
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "column.hpp"

namespace laminar::wire {

struct CopyIn {
    enum class Format : uint8_t { Text, Csv, Binary } format = Format::Text;
    enum class Header : uint8_t { No, Skip, Match } header = Header::No;
    char delimiter = '\t', quote = '"', escape = '"';
    std::string null = "\\N";
    std::vector<uint8_t> force_not_null, force_null;  // per column
    size_t max_row = 1u << 28;                        // bytes of one row
};

[[noreturn]] inline void bad_file(const std::string& message, const std::string& detail = {}, const std::string& hint = {}) {
    throw Error("22P04", message, detail, hint);
}

class CopyParser {
  public:
    CopyParser(std::string relation, std::vector<std::string> names, const std::vector<Type>& types, CopyIn options,
               const Settings& settings)
        : relation_(std::move(relation)), names_(std::move(names)), in_(std::move(options)), settings_(settings) {
        for (const Type& t : types) builders_.emplace_back(t);
        for (char c : {'\n', '\r', '\\', in_.delimiter}) stops_[uint8_t(c)] = true;
        if (csv()) stops_[uint8_t(in_.quote)] = stops_[uint8_t(in_.escape)] = true;
        escape_ = in_.escape == in_.quote ? '\0' : in_.escape;
    }

    void feed(std::string_view bytes) {
        if (done_) {  // what follows the end marker is ignored in text, an error in binary
            if (in_.format == CopyIn::Format::Binary && !bytes.empty()) bad_file("received copy data after EOF marker");
            return;
        }
        if (from_ > 0) {
            buffer_.erase(0, from_);
            scan_ -= std::min(scan_, from_), from_ = 0;
        }
        buffer_.append(bytes);
    }

    // Parses rows until `rows` are ready, about `bytes` bytes are consumed or whole rows run out; true in the
    // last case. `last`: nothing follows what has been fed.
    bool parse(int64_t rows, size_t bytes, bool last) {
        const size_t stop = from_ + bytes;
        while (!done_ && ready_ < rows) {
            if (from_ >= stop) return false;
            if (!(in_.format == CopyIn::Format::Binary ? binary_row(last) : text_row(last))) return true;
        }
        return done_;
    }

    int64_t ready() const { return ready_; }
    size_t columns() const { return builders_.size(); }
    void finish_column(size_t i, ArrowArray* array, ArrowSchema* schema) { builders_[i].finish(array, schema); }
    void taken() { ready_ = 0; }
    // The last line of a row of those ready, or taken until more is parsed.
    int64_t line_of(size_t row) const { return lines_.at(row); }
    // What that row looks like in the data, cut as in context(); empty for the binary format.
    std::string text_of(size_t row) const {
        size_t begin = row ? text_ends_.at(row - 1) : 0;
        return shortened(texts_.substr(begin, text_ends_.at(row) - begin));
    }

    // Where it happened, as PostgreSQL's CONTEXT says it.
    std::string context() const {
        if (line_ == 0) return {};  // in the file's header
        std::string where = "COPY " + relation_ + ", line " + std::to_string(line_);
        bool binary = in_.format == CopyIn::Format::Binary;
        if (column_ >= 0) {
            where += ", column " + names_[size_t(column_)];
            if (!binary) where += ": \"" + shortened(value_) + "\"";
        } else if (!binary && line_valid_) {
            where += ": \"" + shortened(std::string(line_text_)) + "\"";
        }
        return where;
    }

  private:
    void one_ready() {
        if (ready_++ == 0) lines_.clear(), texts_.clear(), text_ends_.clear();
        lines_.push_back(line_);
        if (in_.format != CopyIn::Format::Binary) texts_.append(line_text_.substr(0, kShownText + 4));
        text_ends_.push_back(texts_.size());
    }

    static constexpr size_t kShownText = 100;

    enum class Eol : uint8_t { Unknown, Nl, Cr, CrNl };

    std::string relation_;
    std::vector<std::string> names_;
    CopyIn in_;
    Settings settings_;
    std::vector<ColumnBuilder> builders_;
    std::array<bool, 256> stops_{};
    char escape_ = 0;

    std::string buffer_;
    size_t from_ = 0;  // start of the row
    size_t scan_ = 0;  // where the search for its end goes on
    bool in_line_ = false, in_quote_ = false, last_was_escape_ = false;
    bool plain_ = true;               // no quotes, no backslashes: fields are what stands between delimiters
    std::vector<size_t> cuts_;        // delimiters of a plain line, from its start
    Eol eol_ = Eol::Unknown;
    bool done_ = false, header_done_ = false;
    int64_t ready_ = 0;
    std::vector<int64_t> lines_;  // of the ready rows
    std::string texts_;           // their beginnings, one after the other, each until its end
    std::vector<size_t> text_ends_;

    // for errors
    int64_t line_ = 0;
    int column_ = -1;
    bool line_valid_ = false;
    std::string value_;
    std::string_view line_text_;

    struct Field { size_t begin, end; bool is_null; };
    std::vector<Field> fields_;        // of the line, in text_
    std::string unquoted_;             // values with quotes and escapes taken out
    std::string_view text_;            // the line when it is plain, else unquoted_

    bool csv() const { return in_.format == CopyIn::Format::Csv; }

    // At most 100 bytes (PostgreSQL's MAX_COPY_DATA_DISPLAY), cut at a character.
    static std::string shortened(std::string s) {
        if (s.size() <= kShownText) return s;
        size_t cut = kShownText;
        while (cut > 0 && (uint8_t(s[cut]) & 0xC0) == 0x80) cut--;
        return s.substr(0, cut) + "...";
    }

    // --- lines ---

    bool text_row(bool last) {
        if (!in_line_) begin_line();
        size_t end = 0, next = 0;
        if (!find_line(end, next, last)) {
            if (!last) {
                if (buffer_.size() - from_ > in_.max_row) fail("54000", "row of COPY data is too long");
                return false;
            }
            end = next = buffer_.size();
            done_ = true;
        }
        const bool header = in_.header != CopyIn::Header::No && !header_done_;
        if (done_ && end == from_ && !header) return false;
        line_text_ = std::string_view(buffer_).substr(from_, end - from_);
        check_utf8(line_text_);
        line_valid_ = true;
        if (header) {
            header_done_ = true;
            if (in_.header == CopyIn::Header::Match) check_header();
        } else {
            split();
            row();
            one_ready();
        }
        in_line_ = line_valid_ = false;
        from_ = scan_ = next;
        return true;
    }

    void begin_line() {
        line_++;
        column_ = -1;
        in_quote_ = last_was_escape_ = line_valid_ = false;
        in_line_ = plain_ = true;
        cuts_.clear();
    }

    // Finds the end of the line that starts at from_; false when it is not there yet (or at a \. that ends the data:
    // then done_ is set, and the line is what stands before it).
    bool find_line(size_t& end, size_t& next, bool last) {
        const char* data = buffer_.data();
        const size_t size = buffer_.size();
        const char newline = eol_ == Eol::Nl ? '\n' : '\r';  // as PostgreSQL counts lines inside quotes
        while (scan_ < size) {
            while (scan_ < size && !stops_[uint8_t(data[scan_])]) {
                last_was_escape_ = false;
                scan_++;
            }
            if (scan_ >= size) return false;
            const char c = data[scan_];
            if (c == in_.delimiter) {
                if (plain_) cuts_.push_back(scan_ - from_);
                last_was_escape_ = false;
                scan_++;
                continue;
            }
            // \r and \\ are judged together with what follows
            if ((c == '\r' || c == '\\') && scan_ + 1 >= size && !last) return false;
            if (csv()) {
                if (in_quote_ && escape_ && c == escape_) last_was_escape_ = !last_was_escape_;
                if (c == in_.quote && !last_was_escape_) in_quote_ = !in_quote_, plain_ = false;
                if (!escape_ || c != escape_) last_was_escape_ = false;
                if (in_quote_ && c == newline) line_++;
                if (in_quote_) {
                    scan_++;
                    continue;
                }
            }
            if (c == '\n' || c == '\r') {
                end = scan_;
                next = end_of_line(c);
                return true;
            }
            if (c == '\\' && (!csv() || scan_ == from_)) {
                int marker = end_marker(last, end);
                if (marker < 0) return false;
                if (marker > 0) {
                    done_ = true;
                    next = size;
                    return true;
                }
                if (!csv()) {
                    plain_ = false;
                    scan_++;  // what follows a backslash is never a line's end
                    if (scan_ >= size) return false;
                }
            }
            scan_++;
        }
        return false;
    }

    // The line ends at scan_: where the next begins. All lines end the same way.
    size_t end_of_line(char c) {
        const bool pair = c == '\r' && scan_ + 1 < buffer_.size() && buffer_[scan_ + 1] == '\n';
        if (c == '\n') {
            if (eol_ == Eol::Cr || eol_ == Eol::CrNl) literal("newline", "\\n");
            eol_ = Eol::Nl;
        } else if (eol_ == Eol::Nl || (eol_ == Eol::CrNl && !pair)) {
            literal("carriage return", "\\r");
        } else if (eol_ == Eol::Unknown) {
            eol_ = pair ? Eol::CrNl : Eol::Cr;
        }
        return scan_ + (eol_ == Eol::CrNl ? 2 : 1);
    }

    [[noreturn]] void literal(const char* what, const char* code) {
        std::string name(what);
        if (csv()) bad_file("unquoted " + name + " found in data", {}, "Use quoted CSV field to represent " + name + ".");
        bad_file("literal " + name + " found in data", {}, "Use \"" + std::string(code) + "\" to represent " + name + ".");
    }

    // At a backslash: 1 when \. and a line's end follow (the data ends there), 0 when not, -1 when that can't be told yet.
    int end_marker(bool last, size_t& end) {
        const size_t size = buffer_.size();
        if (scan_ + 1 >= size || buffer_[scan_ + 1] != '.') return 0;
        size_t at = scan_ + 2;
        if (at >= size || (buffer_[at] == '\r' && at + 1 >= size)) {
            if (!last) return -1;
        }
        if (at >= size || (buffer_[at] != '\n' && buffer_[at] != '\r')) {
            if (csv()) return 0;
            bad_file("end-of-copy marker corrupt");
        }
        const bool pair = buffer_[at] == '\r' && at + 1 < size && buffer_[at + 1] == '\n';
        const Eol found = buffer_[at] == '\n' ? Eol::Nl : pair && eol_ != Eol::Cr ? Eol::CrNl : Eol::Cr;
        if (eol_ != Eol::Unknown && found != eol_) {
            if (csv()) return 0;
            bad_file("end-of-copy marker does not match previous newline style");
        }
        end = scan_;
        return 1;
    }

    // --- fields ---

    // The line's fields into fields_.
    void split() {
        fields_.clear();
        if (plain_) {
            text_ = line_text_;
            size_t begin = 0;
            for (size_t cut : cuts_) {
                if (cut >= line_text_.size()) break;
                fields_.push_back({begin, cut, text_.substr(begin, cut - begin) == in_.null});
                begin = cut + 1;
            }
            fields_.push_back({begin, text_.size(), text_.substr(begin) == in_.null});
            return;
        }
        unquoted_.clear();
        size_t at = 0;
        for (bool more = true; more;) {
            const size_t begin = unquoted_.size();
            bool is_null = false;
            more = csv() ? csv_field(at, is_null) : text_field(at, is_null);
            fields_.push_back({begin, unquoted_.size(), is_null});
        }
        text_ = unquoted_;
    }

    void row() {
        const size_t count = builders_.size();
        if (count == 0 ? !line_text_.empty() : fields_.size() > count) bad_file("extra data after last expected column");
        for (size_t i = 0; i < count; i++) {
            if (i >= fields_.size()) {
                column_ = -1;
                bad_file("missing data for column \"" + names_[i] + "\"");
            }
            const Field& f = fields_[i];
            append(i, text_.substr(f.begin, f.end - f.begin), f.is_null);
        }
    }

    void append(size_t i, std::string_view value, bool is_null) {
        if (csv()) {
            if (is_null && in_.force_not_null[i]) is_null = false, value = in_.null;
            else if (!is_null && in_.force_null[i] && value == in_.null) is_null = true;
        }
        if (is_null) return builders_[i].append_null();
        column_ = int(i);
        try {
            builders_[i].append_text(value, settings_);
        } catch (const Error&) {
            value_ = value;
            throw;
        }
        column_ = -1;
    }

    // Appends the field at `at` to unquoted_; false when it is the line's last.
    bool text_field(size_t& at, bool& is_null) {
        const std::string_view line = line_text_;
        const size_t start = at, begin = unquoted_.size();
        size_t end = at;
        bool check = false, more = false;
        for (; at < line.size(); end = at) {
            char c = line[at++];
            if (c == in_.delimiter) {
                more = true;
                break;
            }
            if (c == '\\') {
                if (at == line.size()) break;  // the file's last character: as PostgreSQL, it is dropped
                c = unescape(line, at, check);
            }
            unquoted_.push_back(c);
        }
        // the null marker is compared before escapes are taken out
        is_null = line.substr(start, end - start) == in_.null;
        if (check && !is_null) check_utf8(std::string_view(unquoted_).substr(begin));
        return more;
    }

    // After a backslash: the character meant. Octal and hexadecimal codes may make bytes that are not UTF-8: `check`.
    static char unescape(std::string_view line, size_t& at, bool& check) {
        auto digit = [&](int base) {
            int v = at < line.size() ? hex_value(line[at]) : -1;
            return v < base ? v : -1;
        };
        auto code = [&](int base, int digits) {
            int v = 0;
            for (int k = 0, d; k < digits && (d = digit(base)) >= 0; k++, at++) v = v * base + d;
            check |= uint8_t(v) == 0 || uint8_t(v) >= 0x80;
            return char(v);
        };
        if (digit(8) >= 0) return code(8, 3);
        const char c = line[at++];
        switch (c) {
            case 'x': return digit(16) >= 0 ? code(16, 2) : c;
            case 'b': return '\b';
            case 'f': return '\f';
            case 'n': return '\n';
            case 'r': return '\r';
            case 't': return '\t';
            case 'v': return '\v';
            default: return c;
        }
    }

    bool csv_field(size_t& at, bool& is_null) {
        const std::string_view line = line_text_;
        const size_t start = at;
        size_t end = line.size();
        bool quoted = false, in_quote = false, more = false;
        while (at < line.size()) {
            const char c = line[at++];
            if (!in_quote) {
                if (c == in_.delimiter) {
                    end = at - 1, more = true;
                    break;
                }
                if (c == in_.quote) {
                    quoted = in_quote = true;
                    continue;
                }
            } else {
                if (c == in_.escape && at < line.size() && (line[at] == in_.escape || line[at] == in_.quote)) {
                    unquoted_.push_back(line[at++]);
                    continue;
                }
                if (c == in_.quote) {
                    in_quote = false;
                    continue;
                }
            }
            unquoted_.push_back(c);
        }
        if (in_quote) bad_file("unterminated CSV quoted field");
        is_null = !quoted && line.substr(start, end - start) == in_.null;
        return more;
    }

    void check_header() {
        split();
        if (fields_.size() != names_.size())
            bad_file("wrong number of fields in header line: got " + std::to_string(fields_.size()) + ", expected " +
                     std::to_string(names_.size()));
        for (size_t i = 0; i < names_.size(); i++) {
            const std::string where = "column name mismatch in header line field " + std::to_string(i + 1) + ": got ";
            const std::string expected = ", expected \"" + names_[i] + "\"";
            const std::string got(text_.substr(fields_[i].begin, fields_[i].end - fields_[i].begin));
            if (fields_[i].is_null) bad_file(where + "null value (\"" + in_.null + "\")" + expected);
            if (got != names_[i]) bad_file(where + "\"" + got + "\"" + expected);
        }
    }

    // --- binary ---

    // A whole row from the buffer; false when there is none.
    bool binary_row(bool last) {
        if (!header_done_ && !binary_header(last)) return false;
        const size_t size = buffer_.size();
        line_++;
        column_ = -1;
        const size_t end = whole_row(last);
        if (end == 0) {
            line_--;
            if (size - from_ > in_.max_row) fail("54000", "row of COPY data is too long");
            return false;
        }
        const int16_t count = get_be<int16_t>(&buffer_[from_]);
        if (count == -1) {
            if (end < size) bad_file("received copy data after EOF marker");
            from_ = end;
            done_ = true;
            return false;
        }
        size_t at = from_ + 2;
        for (size_t i = 0; i < builders_.size(); i++) {
            column_ = int(i);
            const int32_t length = get_be<int32_t>(&buffer_[at]);
            at += 4;
            if (length == -1) {
                builders_[i].append_null();
                continue;
            }
            builders_[i].append_binary(std::string_view(buffer_).substr(at, size_t(length)));
            at += size_t(length);
        }
        column_ = -1;
        from_ = end;
        one_ready();
        return true;
    }

    // The end of the row at from_; 0 when more bytes are needed.
    size_t whole_row(bool last) {
        const size_t size = buffer_.size();
        auto missing = [&]() -> size_t {
            if (last) bad_file("unexpected EOF in COPY data");
            return 0;
        };
        if (size - from_ < 2) return 0;  // the trailer may be left out, or be cut off
        const int16_t count = get_be<int16_t>(&buffer_[from_]);
        size_t at = from_ + 2;
        if (count == -1) return at;
        if (count != int16_t(builders_.size()))
            bad_file("row field count is " + std::to_string(count) + ", expected " + std::to_string(builders_.size()));
        for (size_t i = 0; i < builders_.size(); i++) {
            column_ = int(i);
            if (size - at < 4) return missing();
            const int32_t length = get_be<int32_t>(&buffer_[at]);
            at += 4;
            if (length < -1) bad_file("invalid field size");
            if (length > 0 && size - at < size_t(length)) return missing();
            at += length > 0 ? size_t(length) : 0;
        }
        column_ = -1;
        return at;
    }

    bool binary_header(bool last) {
        static constexpr std::string_view kSignature("PGCOPY\n\377\r\n\0", 11);
        std::string_view b = std::string_view(buffer_).substr(from_);
        if (b.substr(0, 11) != kSignature.substr(0, b.size()) || (last && b.size() < 11))
            bad_file("COPY file signature not recognized");
        auto missing = [&](const char* what) {
            if (last) bad_file(std::string("invalid COPY file header (") + what + ")");
            return false;
        };
        if (b.size() < 15) return missing("missing flags");
        const uint32_t flags = get_be<uint32_t>(&b[11]);
        if (flags & (1u << 16)) bad_file("invalid COPY file header (WITH OIDS)");
        if (flags >> 16) bad_file("unrecognized critical flags in COPY file header");
        if (b.size() < 19) return missing("missing length");
        const int32_t extension = get_be<int32_t>(&b[15]);
        if (extension < 0) bad_file("invalid COPY file header (missing length)");
        if (b.size() - 19 < size_t(extension)) return missing("wrong length");
        from_ += 19 + size_t(extension);
        header_done_ = true;
        return true;
    }
};

// Joins the CopyData messages at the start of `input` until `limit` bytes of data are out or another message (or half
// a one) comes; returns the bytes consumed.
inline size_t gather_copy_data(std::string_view input, size_t limit, std::string& out) {
    size_t at = 0;
    while (input.size() - at >= 5 && input[at] == 'd' && out.size() < limit) {
        const uint32_t length = get_be<uint32_t>(&input[at + 1]);
        if (length < 4 || input.size() - at - 1 < length) break;
        out.append(input.substr(at + 5, length - 4));
        at += 1 + size_t(length);
    }
    return at;
}

}  // namespace laminar::wire
