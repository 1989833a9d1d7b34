// JSON syntax check (json) and PostgreSQL's canonical text of jsonb.
//
// jsonb: object keys ordered by length, then bytes; of equal keys the last wins; ", " and ": " between; numbers as
// numeric prints them; strings with the fewest escapes.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "numeric_io.hpp"

namespace laminar {

inline void append_json_string(std::string& out, std::string_view s) {
    out.push_back('"');
    for (char c : s) {
        switch (c) {
            case '\b': out.append("\\b"); break;
            case '\f': out.append("\\f"); break;
            case '\n': out.append("\\n"); break;
            case '\r': out.append("\\r"); break;
            case '\t': out.append("\\t"); break;
            case '"': out.append("\\\""); break;
            case '\\': out.append("\\\\"); break;
            default:
                if (uint8_t(c) < 0x20) {
                    out.append("\\u00");
                    append_hex(out, std::string_view(&c, 1));
                } else {
                    out.push_back(c);
                }
        }
    }
    out.push_back('"');
}

inline void append_utf8(std::string& out, uint32_t c) {
    if (c < 0x80) {
        out.push_back(char(c));
    } else if (c < 0x800) {
        out.push_back(char(0xC0 | c >> 6)), out.push_back(char(0x80 | (c & 63)));
    } else if (c < 0x10000) {
        out.push_back(char(0xE0 | c >> 12)), out.push_back(char(0x80 | (c >> 6 & 63))), out.push_back(char(0x80 | (c & 63)));
    } else {
        out.push_back(char(0xF0 | c >> 18)), out.push_back(char(0x80 | (c >> 12 & 63)));
        out.push_back(char(0x80 | (c >> 6 & 63))), out.push_back(char(0x80 | (c & 63)));
    }
}

class JsonReader {
  public:
    // With `canonical` false only the syntax is checked and escapes are not decoded.
    JsonReader(std::string_view text, bool canonical) : text_(text), canonical_(canonical) {}

    // Appends the canonical text to `out` (untouched when only checking).
    void document(std::string& out) {
        value(out, 0);
        skip();
        if (at_ < text_.size()) unexpected("end of input");
    }

  private:
    static constexpr int kMaxDepth = 6000;
    std::string_view text_;
    size_t at_ = 0;
    bool canonical_;

    // `end`: behind the token that is wrong.
    [[noreturn]] void invalid(const std::string& detail, size_t end) const {
        throw Error("22P02", "invalid input syntax for type json", detail, {}, context(std::min(end, text_.size())));
    }
    // PostgreSQL's CONTEXT: the end of the line up to the token, about 50 bytes of it.
    std::string context(size_t end) const {
        std::string_view before = text_.substr(0, end);
        size_t newline = before.rfind('\n'), line = newline == std::string_view::npos ? 0 : newline + 1, start = line;
        auto continues = [&](size_t i) { return i < end && (uint8_t(text_[i]) & 0xC0) == 0x80; };
        while (end - start >= 50)
            for (start++; continues(start);) start++;
        if (start - line <= 3) start = line;
        bool cut = end < text_.size() && text_[end] != '\n' && text_[end] != '\r';
        return "JSON data, line " + std::to_string(std::count(before.begin(), before.end(), '\n') + 1) + ": " +
               (start > line ? "..." : "") + std::string(before.substr(start)) + (cut ? "..." : "");
    }
    // Behind the character at `i`.
    size_t behind(size_t i) const {
        for (i++; i < text_.size() && (uint8_t(text_[i]) & 0xC0) == 0x80;) i++;
        return i;
    }

    void skip() {
        while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) at_++;
    }
    char peek() {
        skip();
        return at_ < text_.size() ? text_[at_] : '\0';
    }
    bool word_char(size_t i) const {
        return i < text_.size() && (is_alpha(text_[i]) || is_digit(text_[i]) || text_[i] == '_' || uint8_t(text_[i]) >= 0x80);
    }

    // The token at the cursor is not `expected`: PostgreSQL's detail for it.
    [[noreturn]] void unexpected(const std::string& expected) {
        skip();
        if (at_ >= text_.size()) invalid("The input string ended unexpectedly.", text_.size());
        size_t end = at_;
        char c = text_[at_];
        if (c == '"') {
            std::string ignored;
            string(ignored);
            std::swap(end, at_);
        } else if (word_char(at_) || c == '-') {
            while (end < text_.size() && (word_char(end) || text_[end] == '-' || text_[end] == '+' || text_[end] == '.')) end++;
            std::string_view token = text_.substr(at_, end - at_);
            if (!(token == "true" || token == "false" || token == "null" || is_digit(c) || c == '-'))
                invalid("Token \"" + std::string(token) + "\" is invalid.", end);
        } else {
            end++;
            if (std::string_view("{}[],:").find(c) == std::string_view::npos)
                invalid("Token \"" + std::string(1, c) + "\" is invalid.", end);
        }
        invalid("Expected " + expected + ", but found \"" + std::string(text_.substr(at_, end - at_)) + "\".", end);
    }

    void value(std::string& out, int depth) {
        if (depth > kMaxDepth) fail("54001", "stack depth limit exceeded");
        switch (peek()) {
            case '{': object(out, depth); return;
            case '[': array(out, depth); return;
            case '"': {
                std::string s;
                string(s);
                if (canonical_) append_json_string(out, s);
                return;
            }
            case 't': literal("true", out); return;
            case 'f': literal("false", out); return;
            case 'n': literal("null", out); return;
            default: break;
        }
        if (at_ < text_.size() && (text_[at_] == '-' || is_digit(text_[at_]))) number(out);
        else unexpected("JSON value");
    }

    void literal(std::string_view word, std::string& out) {
        size_t end = at_;
        while (word_char(end)) end++;
        if (text_.substr(at_, end - at_) != word) unexpected("JSON value");
        at_ = end;
        if (canonical_) out.append(word);
    }

    void number(std::string& out) {
        size_t start = at_, i = at_ + (text_[at_] == '-');
        auto digits = [&] {
            size_t from = i;
            while (i < text_.size() && is_digit(text_[i])) i++;
            return i > from;
        };
        bool ok = i < text_.size() && is_digit(text_[i]);
        if (ok && text_[i] == '0') i++;
        else ok = ok && digits();
        if (ok && i < text_.size() && text_[i] == '.') i++, ok = digits();
        if (ok && i < text_.size() && lower(text_[i]) == 'e') {
            i++;
            if (i < text_.size() && (text_[i] == '+' || text_[i] == '-')) i++;
            ok = digits();
        }
        if (!ok || word_char(i)) {
            while (word_char(i)) i++;
            invalid("Token \"" + std::string(text_.substr(start, i - start)) + "\" is invalid.", i);
        }
        at_ = i;
        if (canonical_) format_numeric(out, parse_numeric(text_.substr(start, i - start)));
    }

    uint32_t hex4() {
        uint32_t v = 0;
        for (int k = 0; k < 4; k++, at_++) {
            if (at_ >= text_.size()) invalid("The input string ended unexpectedly.", text_.size());
            int h = hex_value(text_[at_]);
            if (h < 0) invalid("\"\\u\" must be followed by four hexadecimal digits.", behind(at_));
            v = v << 4 | uint32_t(h);
        }
        return v;
    }

    void unicode_escape(std::string& out) {
        uint32_t c = hex4();
        if (!canonical_) return;
        if (c == 0)
            throw Error("22P05", "unsupported Unicode escape sequence", "\\u0000 cannot be converted to text.", {}, context(at_));
        if (c >= 0xD800 && c < 0xDC00) {
            if (text_.substr(at_, 2) != "\\u") invalid("Unicode low surrogate must follow a high surrogate.", at_);
            at_ += 2;
            uint32_t low = hex4();
            if (low < 0xDC00 || low > 0xDFFF) invalid("Unicode low surrogate must follow a high surrogate.", at_);
            c = 0x10000 + ((c & 0x3FF) << 10) + (low & 0x3FF);
        } else if (c >= 0xDC00 && c < 0xE000) {
            invalid("Unicode low surrogate must follow a high surrogate.", at_);
        }
        append_utf8(out, c);
    }

    void string(std::string& out) {
        size_t start = at_++;
        for (;;) {
            if (at_ >= text_.size()) invalid("Token \"" + std::string(text_.substr(start)) + "\" is invalid.", text_.size());
            char c = text_[at_++];
            if (c == '"') return;
            if (uint8_t(c) < 0x20) {
                char hex[8];
                std::snprintf(hex, sizeof hex, "0x%02x", uint8_t(c));
                invalid("Character with value " + std::string(hex) + " must be escaped.", at_ - 1);
            }
            if (c != '\\') {
                if (canonical_) out.push_back(c);
                continue;
            }
            if (at_ >= text_.size()) invalid("The input string ended unexpectedly.", text_.size());
            c = text_[at_++];
            switch (c) {
                case '"': case '\\': case '/': out.push_back(c); break;
                case 'b': out.push_back('\b'); break;
                case 'f': out.push_back('\f'); break;
                case 'n': out.push_back('\n'); break;
                case 'r': out.push_back('\r'); break;
                case 't': out.push_back('\t'); break;
                case 'u': unicode_escape(out); break;
                default: invalid("Escape sequence \"\\" + std::string(text_.substr(at_ - 1, behind(at_ - 1) - at_ + 1)) + "\" is invalid.",
                                 behind(at_ - 1));
            }
        }
    }

    void array(std::string& out, int depth) {
        at_++;
        if (canonical_) out.push_back('[');
        if (peek() != ']') {
            for (;;) {
                value(out, depth + 1);
                char c = peek();
                if (c == ']') break;
                if (c != ',') unexpected("\",\" or \"]\"");
                at_++;
                if (canonical_) out.append(", ");
            }
        }
        at_++;
        if (canonical_) out.push_back(']');
    }

    void object(std::string& out, int depth) {
        struct Member { std::string key, value; };
        std::vector<Member> members;
        at_++;
        if (peek() != '}') {
            for (bool first = true;; first = false) {
                if (peek() != '"') unexpected(first ? "string or \"}\"" : "string");
                Member m;
                string(m.key);
                if (peek() != ':') unexpected("\":\"");
                at_++;
                value(m.value, depth + 1);
                if (canonical_) members.push_back(std::move(m));
                char c = peek();
                if (c == '}') break;
                if (c != ',') unexpected("\",\" or \"}\"");
                at_++;
            }
        }
        at_++;
        if (!canonical_) return;
        std::stable_sort(members.begin(), members.end(), [](const Member& a, const Member& b) {
            return a.key.size() != b.key.size() ? a.key.size() < b.key.size() : a.key < b.key;
        });
        out.push_back('{');
        bool first = true;
        for (size_t i = 0; i < members.size(); i++) {
            if (i + 1 < members.size() && members[i + 1].key == members[i].key) continue;
            if (!first) out.append(", ");
            first = false;
            append_json_string(out, members[i].key);
            out.append(": ").append(members[i].value);
        }
        out.push_back('}');
    }
};

inline void check_json(std::string_view text) {
    std::string none;
    JsonReader(text, false).document(none);
}

inline void canonical_jsonb(std::string& out, std::string_view text) { JsonReader(text, true).document(out); }

}  // namespace laminar
