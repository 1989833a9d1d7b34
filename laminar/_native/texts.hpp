// PostgreSQL's text functions row by row: UTF-8 in, UTF-8 out, characters counted as code points.
//
// A function sees one row's arguments (never null) and writes one result: text through Out::text,
// a number or truth value through Out::number. It returns an error of the table below or Ok.
#pragma once
#include <wctype.h>
#include <locale.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace laminar {

enum TextError : int {
  kOk = 0,
  kNegativeSubstring = 1,
  kZeroField = 2,
  kLikeEscape = 3,
  kTooLong = 4,
  kNullCharacter = 5,
  kBadCharacter = 6,
  kBadEscape = 7,
  kNegativeCharacter = 8,
  kIntegerRange = 9,
};

struct Args {
  std::string_view s[3];
  int64_t k[3];
  int count;
};

struct Out {
  std::string text;
  int64_t number = 0;
};

constexpr int64_t kMaxText = 0x3FFFFFFF;  // PostgreSQL's MaxAllocSize, 1 GB

inline int char_bytes(uint8_t lead) { return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4; }

inline bool is_ascii(std::string_view s) {
  uint8_t all = 0;
  for (char c : s) all |= uint8_t(c);
  return all < 0x80;
}

inline int64_t char_count(std::string_view s) {
  int64_t n = 0;
  for (char c : s) n += (uint8_t(c) & 0xC0) != 0x80;
  return n;
}

// Byte offset of the n-th character (n >= 0), the size when there are fewer.
inline size_t char_offset(std::string_view s, int64_t n) {
  size_t at = 0;
  while (n-- > 0 && at < s.size()) at += char_bytes(uint8_t(s[at]));
  return std::min(at, s.size());
}

inline uint32_t decode_char(const char* p, int bytes) {
  const uint8_t* b = reinterpret_cast<const uint8_t*>(p);
  if (bytes == 1) return b[0];
  if (bytes == 2) return (b[0] & 0x1Fu) << 6 | (b[1] & 0x3Fu);
  if (bytes == 3) return (b[0] & 0x0Fu) << 12 | (b[1] & 0x3Fu) << 6 | (b[2] & 0x3Fu);
  return (b[0] & 0x07u) << 18 | (b[1] & 0x3Fu) << 12 | (b[2] & 0x3Fu) << 6 | (b[3] & 0x3Fu);
}

inline void append_char(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += char(c);
  } else if (c < 0x800) {
    out += char(0xC0 | c >> 6);
    out += char(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += char(0xE0 | c >> 12);
    out += char(0x80 | (c >> 6 & 0x3F));
    out += char(0x80 | (c & 0x3F));
  } else {
    out += char(0xF0 | c >> 18);
    out += char(0x80 | (c >> 12 & 0x3F));
    out += char(0x80 | (c >> 6 & 0x3F));
    out += char(0x80 | (c & 0x3F));
  }
}

// Letters are those of the C.UTF-8 locale, as in a database created with it.
inline locale_t letters() {
  static locale_t loc = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  return loc;
}
inline uint32_t upper_char(uint32_t c) { return c < 0x80 ? (c >= 'a' && c <= 'z' ? c - 32 : c) : letters() ? towupper_l(c, letters()) : c; }
inline uint32_t lower_char(uint32_t c) { return c < 0x80 ? (c >= 'A' && c <= 'Z' ? c + 32 : c) : letters() ? towlower_l(c, letters()) : c; }
inline bool alnum_char(uint32_t c) {
  if (c < 0x80) return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return letters() && iswalnum_l(c, letters());
}

template <typename F>
inline void map_chars(std::string_view s, std::string& out, F&& f) {
  for (size_t i = 0; i < s.size();) {
    int bytes = char_bytes(uint8_t(s[i]));
    if (i + bytes > s.size()) bytes = int(s.size() - i);
    append_char(out, f(decode_char(s.data() + i, bytes)));
    i += bytes;
  }
}

inline void to_lower(std::string_view s, std::string& out) { map_chars(s, out, lower_char); }

// --- text results -----------------------------------------------------------------------

inline int fn_upper(const Args& a, Out& o) { map_chars(a.s[0], o.text, upper_char); return kOk; }
inline int fn_lower(const Args& a, Out& o) { to_lower(a.s[0], o.text); return kOk; }
inline int fn_initcap(const Args& a, Out& o) {
  bool inside = false;
  map_chars(a.s[0], o.text, [&](uint32_t c) {
    uint32_t mapped = inside ? lower_char(c) : upper_char(c);
    inside = alnum_char(mapped);
    return mapped;
  });
  return kOk;
}

// substring(s from k[0] [for k[1]]): positions before the text count
inline int substring(const Args& a, Out& o, bool has_length) {
  int64_t start = a.k[0], end = INT64_MAX;
  if (has_length) {
    end = start + a.k[1];
    if (end > INT32_MAX) end = INT64_MAX;  // an overflowing end is the end of the text
    else if (a.k[1] < 0 || end < start) return kNegativeSubstring;
  }
  int64_t first = std::max<int64_t>(start, 1);
  if (end <= first) return kOk;
  std::string_view s = a.s[0];
  size_t from = char_offset(s, first - 1);
  std::string_view rest = s.substr(from);
  o.text = end == INT64_MAX ? rest : rest.substr(0, char_offset(rest, end - first));
  return kOk;
}
inline int fn_substr(const Args& a, Out& o) { return substring(a, o, true); }
inline int fn_substr_rest(const Args& a, Out& o) { return substring(a, o, false); }

inline int fn_left(const Args& a, Out& o) {
  int64_t n = a.k[0];
  if (n < 0) n = std::max<int64_t>(0, char_count(a.s[0]) + n);
  o.text = a.s[0].substr(0, char_offset(a.s[0], n));
  return kOk;
}
inline int fn_right(const Args& a, Out& o) {
  int64_t n = a.k[0];
  int64_t skip = n < 0 ? -n : std::max<int64_t>(0, char_count(a.s[0]) - n);
  o.text = a.s[0].substr(char_offset(a.s[0], skip));
  return kOk;
}
inline int fn_reverse(const Args& a, Out& o) {
  std::string_view s = a.s[0];
  o.text.resize(s.size());
  size_t to = s.size();
  for (size_t i = 0; i < s.size();) {
    size_t bytes = std::min<size_t>(char_bytes(uint8_t(s[i])), s.size() - i);
    to -= bytes;
    std::memcpy(&o.text[to], s.data() + i, bytes);
    i += bytes;
  }
  return kOk;
}
inline int fn_repeat(const Args& a, Out& o) {
  int64_t n = std::max<int64_t>(0, a.k[0]);
  if (a.s[0].size() && n > kMaxText / int64_t(a.s[0].size())) return kTooLong;
  for (int64_t i = 0; i < n && a.s[0].size(); i++) o.text += a.s[0];
  return kOk;
}

inline int pad(const Args& a, Out& o, std::string_view fill, bool left) {
  std::string_view s = a.s[0];
  int64_t want = std::max<int64_t>(0, a.k[0]), have = char_count(s);
  if (want * 4 > kMaxText) return kTooLong;
  if (have > want) have = want, s = s.substr(0, char_offset(s, want));
  if (fill.empty()) want = have;
  if (!left) o.text += s;
  size_t at = 0;
  for (int64_t i = have; i < want; i++) {
    if (at >= fill.size()) at = 0;
    int bytes = char_bytes(uint8_t(fill[at]));
    o.text += fill.substr(at, bytes);
    at += bytes;
  }
  if (left) o.text += s;
  return kOk;
}
inline int fn_lpad(const Args& a, Out& o) { return pad(a, o, a.s[1], true); }
inline int fn_rpad(const Args& a, Out& o) { return pad(a, o, a.s[1], false); }
inline int fn_lpad_blank(const Args& a, Out& o) { return pad(a, o, " ", true); }
inline int fn_rpad_blank(const Args& a, Out& o) { return pad(a, o, " ", false); }

inline bool has_char(std::string_view set, std::string_view c) {
  for (size_t i = 0; i < set.size();) {
    int bytes = char_bytes(uint8_t(set[i]));
    if (set.substr(i, bytes) == c) return true;
    i += bytes;
  }
  return false;
}
inline std::string_view trim(std::string_view s, std::string_view set, bool left, bool right) {
  while (left && !s.empty()) {
    int bytes = char_bytes(uint8_t(s[0]));
    if (!has_char(set, s.substr(0, bytes))) break;
    s.remove_prefix(std::min<size_t>(bytes, s.size()));
  }
  while (right && !s.empty()) {
    size_t at = s.size() - 1;
    while (at > 0 && (uint8_t(s[at]) & 0xC0) == 0x80) at--;
    if (!has_char(set, s.substr(at))) break;
    s.remove_suffix(s.size() - at);
  }
  return s;
}
inline int fn_btrim(const Args& a, Out& o) { o.text = trim(a.s[0], a.s[1], true, true); return kOk; }
inline int fn_ltrim(const Args& a, Out& o) { o.text = trim(a.s[0], a.s[1], true, false); return kOk; }
inline int fn_rtrim(const Args& a, Out& o) { o.text = trim(a.s[0], a.s[1], false, true); return kOk; }
inline int fn_btrim_blank(const Args& a, Out& o) { o.text = trim(a.s[0], " ", true, true); return kOk; }
inline int fn_ltrim_blank(const Args& a, Out& o) { o.text = trim(a.s[0], " ", true, false); return kOk; }

inline int fn_replace(const Args& a, Out& o) {
  std::string_view s = a.s[0], from = a.s[1];
  if (from.empty()) return o.text = s, kOk;
  size_t at = 0;
  for (size_t hit; (hit = s.find(from, at)) != std::string_view::npos; at = hit + from.size()) {
    o.text += s.substr(at, hit - at);
    o.text += a.s[2];
    if (int64_t(o.text.size()) > kMaxText) return kTooLong;
  }
  o.text += s.substr(at);
  return kOk;
}

inline int fn_translate(const Args& a, Out& o) {
  std::string_view s = a.s[0], from = a.s[1], to = a.s[2];
  for (size_t i = 0; i < s.size();) {
    int bytes = char_bytes(uint8_t(s[i]));
    std::string_view c = s.substr(i, bytes);
    size_t f = 0, t = 0;
    bool found = false;
    while (f < from.size()) {
      int width = char_bytes(uint8_t(from[f]));
      int to_width = t < to.size() ? char_bytes(uint8_t(to[t])) : 0;
      if (from.substr(f, width) == c) {
        o.text += to.substr(std::min(t, to.size()), to_width);
        found = true;
        break;
      }
      f += width;
      t += to_width;
    }
    if (!found) o.text += c;
    i += bytes;
  }
  return kOk;
}

inline int fn_split_part(const Args& a, Out& o) {
  std::string_view s = a.s[0], by = a.s[1];
  int64_t n = a.k[0];
  if (n == 0) return kZeroField;
  if (s.empty()) return kOk;
  if (by.empty()) {
    if (n == 1 || n == -1) o.text = s;
    return kOk;
  }
  std::vector<std::string_view> fields;
  size_t at = 0;
  for (size_t hit; (hit = s.find(by, at)) != std::string_view::npos; at = hit + by.size()) {
    fields.push_back(s.substr(at, hit - at));
    if (n > 0 && int64_t(fields.size()) == n) return o.text = fields.back(), kOk;
  }
  fields.push_back(s.substr(at));
  if (n < 0) n += int64_t(fields.size()) + 1;
  if (n >= 1 && n <= int64_t(fields.size())) o.text = fields[n - 1];
  return kOk;
}

inline int fn_chr(const Args& a, Out& o) {
  int64_t c = a.k[0];
  if (c < 0) return kNegativeCharacter;
  if (c == 0) return kNullCharacter;
  if (c > 0x10FFFF) return o.number = c, kBadCharacter;
  if (c >= 0xD800 && c <= 0xDFFF) return o.number = c, kBadEscape;
  append_char(o.text, uint32_t(c));
  return kOk;
}

inline int fn_to_hex(const Args& a, Out& o) {
  uint64_t v = uint64_t(a.k[0]);
  char digits[16];
  int at = 16;
  do digits[--at] = "0123456789abcdef"[v & 15]; while (v >>= 4);
  o.text.assign(digits + at, 16 - at);
  return kOk;
}
inline int fn_to_hex32(const Args& a, Out& o) {
  Args b = a;
  b.k[0] = int64_t(uint32_t(a.k[0]));
  return fn_to_hex(b, o);
}

// overlay(s placing s[1] from k[0] for k[1])
inline int overlay(std::string_view s, std::string_view with, int64_t from, int64_t length, Out& o) {
  if (from <= 0) return kNegativeSubstring;
  if (from + length > INT32_MAX) return kIntegerRange;
  size_t head = char_offset(s, from - 1);
  int64_t tail = std::max<int64_t>(from + length - 1, 0);
  o.text = s.substr(0, head);
  o.text += with;
  o.text += s.substr(char_offset(s, tail));
  return kOk;
}
inline int fn_overlay(const Args& a, Out& o) { return overlay(a.s[0], a.s[1], a.k[0], a.k[1], o); }
inline int fn_overlay_rest(const Args& a, Out& o) {
  return overlay(a.s[0], a.s[1], a.k[0], char_count(a.s[1]), o);
}

// character(n), varchar(n): cut to n characters, or refuse when what is cut is not blank
inline int fit(const Args& a, Out& o, bool padded, bool explicit_cast) {
  std::string_view s = a.s[0];
  int64_t want = a.k[0];
  size_t cut = char_offset(s, want);
  if (cut < s.size()) {
    if (!explicit_cast && s.find_first_not_of(' ', cut) != std::string_view::npos) return kTooLong;
    s = s.substr(0, cut);
  }
  o.text = s;
  if (padded) o.text.append(size_t(std::max<int64_t>(0, want - char_count(s))), ' ');
  return kOk;
}
inline int fn_varchar(const Args& a, Out& o) { return fit(a, o, false, false); }
inline int fn_varchar_explicit(const Args& a, Out& o) { return fit(a, o, false, true); }
inline int fn_bpchar(const Args& a, Out& o) { return fit(a, o, true, false); }
inline int fn_bpchar_explicit(const Args& a, Out& o) { return fit(a, o, true, true); }

// --- numbers and truth values --------------------------------------------------------------

inline int fn_strpos(const Args& a, Out& o) {
  size_t hit = a.s[0].find(a.s[1]);
  o.number = hit == std::string_view::npos ? 0 : char_count(a.s[0].substr(0, hit)) + 1;
  return kOk;
}
inline int fn_ascii(const Args& a, Out& o) {
  std::string_view s = a.s[0];
  o.number = s.empty() ? 0 : decode_char(s.data(), std::min<int>(char_bytes(uint8_t(s[0])), int(s.size())));
  return kOk;
}
inline int fn_length(const Args& a, Out& o) { o.number = char_count(a.s[0]); return kOk; }
inline int fn_bpchar_length(const Args& a, Out& o) {
  o.number = char_count(trim(a.s[0], " ", false, true));
  return kOk;
}
inline int fn_octet_length(const Args& a, Out& o) { o.number = int64_t(a.s[0].size()); return kOk; }
inline int fn_bit_length(const Args& a, Out& o) { o.number = int64_t(a.s[0].size()) * 8; return kOk; }
inline int fn_starts_with(const Args& a, Out& o) {
  o.number = a.s[0].substr(0, a.s[1].size()) == a.s[1];
  return kOk;
}

// LIKE: 1 match, 0 none, -1 none however the text goes on, -2 the pattern ends in its escape.
inline int like(std::string_view t, std::string_view p) {
  size_t i = 0, j = 0;
  while (i < t.size() && j < p.size()) {
    if (p[j] == '\\') {
      if (++j >= p.size()) return -2;
      if (p[j] != t[i]) return 0;
    } else if (p[j] == '%') {
      j++;
      for (; j < p.size(); j++) {
        if (p[j] == '%') continue;
        if (p[j] != '_') break;
        if (i >= t.size()) return -1;
        i += char_bytes(uint8_t(t[i]));
      }
      if (j >= p.size()) return 1;
      if (p[j] == '\\' && j + 1 >= p.size()) return -2;
      char first = p[j] == '\\' ? p[j + 1] : p[j];
      while (i < t.size()) {
        if (t[i] == first) {
          int matched = like(t.substr(i), p.substr(j));
          if (matched != 0) return matched;
        }
        i += char_bytes(uint8_t(t[i]));
      }
      return -1;
    } else if (p[j] == '_') {
      i += char_bytes(uint8_t(t[i]));
      j++;
      continue;
    } else if (p[j] != t[i]) {
      return 0;
    }
    i++;
    j++;
  }
  if (i < t.size()) return 0;
  while (j < p.size() && p[j] == '%') j++;
  return j >= p.size() ? 1 : -1;
}
inline int like_result(int matched, bool negated, Out& o) {
  if (matched == -2) return kLikeEscape;
  o.number = (matched == 1) != negated;
  return kOk;
}
inline int fn_like(const Args& a, Out& o) { return like_result(like(a.s[0], a.s[1]), false, o); }
inline int fn_not_like(const Args& a, Out& o) { return like_result(like(a.s[0], a.s[1]), true, o); }
inline int ilike(const Args& a, Out& o, bool negated) {
  thread_local std::string text, pattern;
  text.clear(), pattern.clear();
  to_lower(a.s[0], text);
  to_lower(a.s[1], pattern);
  return like_result(like(text, pattern), negated, o);
}
inline int fn_ilike(const Args& a, Out& o) { return ilike(a, o, false); }
inline int fn_not_ilike(const Args& a, Out& o) { return ilike(a, o, true); }

// pattern with ESCAPE s[1] rewritten to backslash
inline int fn_like_escape(const Args& a, Out& o) {
  std::string_view p = a.s[0], e = a.s[1];
  if (e.empty()) {
    for (char c : p) {
      if (c == '\\') o.text += '\\';
      o.text += c;
    }
    return kOk;
  }
  if (char_count(e) != 1) return kBadEscape;
  if (e == "\\") return o.text = p, kOk;
  bool escaped = false;
  for (size_t i = 0; i < p.size();) {
    int bytes = char_bytes(uint8_t(p[i]));
    std::string_view c = p.substr(i, bytes);
    i += bytes;
    if (c == e && !escaped) {
      o.text += '\\';
      escaped = true;
      continue;
    }
    if (c == "\\" && !escaped) o.text += '\\';
    o.text += c;
    escaped = false;
  }
  return kOk;
}

using TextFn = int (*)(const Args&, Out&);

// --- the loop -----------------------------------------------------------------------------

struct TextColumn {
  const int32_t* offsets = nullptr;  // strings
  const char* chars = nullptr;
  const void* numbers = nullptr;  // integers, ``width`` bytes each
  int width = 0;
  const uint8_t* valid = nullptr;
  int64_t offset = 0;
  int64_t stride = 1;

  bool null(int64_t i) const {
    int64_t at = offset + stride * i;
    return valid != nullptr && !((valid[at >> 3] >> (at & 7)) & 1);
  }
  std::string_view text(int64_t i) const {
    int64_t at = offset + stride * i;
    return {chars + offsets[at], size_t(offsets[at + 1] - offsets[at])};
  }
  int64_t number(int64_t i) const {
    int64_t at = offset + stride * i;
    return width == 2 ? static_cast<const int16_t*>(numbers)[at]
         : width == 4 ? static_cast<const int32_t*>(numbers)[at]
                      : static_cast<const int64_t*>(numbers)[at];
  }
};

// 't' text, 'i' int32, 'b' bitmap
struct TextResult {
  std::vector<int32_t> offsets;
  std::string chars;
  std::vector<int32_t> numbers;
  std::vector<uint8_t> bits;
  std::vector<uint8_t> valid;
  int64_t nulls = 0;
  int error = kOk;
  int64_t detail = 0;
};

inline void run_text(TextFn fn, char result, const TextColumn* columns, int count, int64_t n, TextResult& r) {
  if (result == 't') r.offsets.assign(size_t(n) + 1, 0);
  if (result == 'i') r.numbers.assign(size_t(n), 0);
  if (result == 'b') r.bits.assign(size_t(n + 7) / 8, 0);
  r.valid.assign(size_t(n + 7) / 8, 0xFF);
  Out out;
  Args args;
  args.count = count;
  for (int64_t i = 0; i < n; i++) {
    bool null = false;
    int texts = 0, numbers = 0;
    for (int c = 0; c < count; c++) {
      if (columns[c].null(i)) {
        null = true;
      } else if (columns[c].chars != nullptr) {
        args.s[texts++] = columns[c].text(i);
      } else {
        args.k[numbers++] = columns[c].number(i);
      }
    }
    if (null) {
      r.valid[i >> 3] &= uint8_t(~(1u << (i & 7)));
      r.nulls++;
    } else {
      out.text.clear();
      int error = fn(args, out);
      if (error != kOk) {
        r.error = error;
        r.detail = out.number;
        return;
      }
      if (result == 't') {
        if (r.chars.size() + out.text.size() > size_t(INT32_MAX)) {
          r.error = kTooLong;
          return;
        }
        r.chars += out.text;
      } else if (result == 'i') {
        r.numbers[size_t(i)] = int32_t(out.number);
      } else if (out.number) {
        r.bits[i >> 3] |= uint8_t(1u << (i & 7));
      }
    }
    if (result == 't') r.offsets[size_t(i) + 1] = int32_t(r.chars.size());
  }
}

inline TextFn find_text(std::string_view name) {
  struct Entry { std::string_view name; TextFn fn; };
  static const Entry table[] = {
      {"upper", fn_upper}, {"lower", fn_lower}, {"initcap", fn_initcap}, {"substr", fn_substr},
      {"substr_rest", fn_substr_rest}, {"left", fn_left}, {"right", fn_right}, {"reverse", fn_reverse},
      {"repeat", fn_repeat}, {"lpad", fn_lpad}, {"rpad", fn_rpad}, {"lpad_blank", fn_lpad_blank},
      {"rpad_blank", fn_rpad_blank}, {"btrim", fn_btrim}, {"ltrim", fn_ltrim}, {"rtrim", fn_rtrim},
      {"btrim_blank", fn_btrim_blank}, {"ltrim_blank", fn_ltrim_blank}, {"replace", fn_replace},
      {"translate", fn_translate}, {"split_part", fn_split_part}, {"chr", fn_chr}, {"to_hex", fn_to_hex},
      {"to_hex32", fn_to_hex32}, {"overlay", fn_overlay}, {"overlay_rest", fn_overlay_rest},
      {"varchar", fn_varchar}, {"varchar!", fn_varchar_explicit}, {"bpchar", fn_bpchar},
      {"bpchar!", fn_bpchar_explicit}, {"strpos", fn_strpos}, {"ascii", fn_ascii}, {"length", fn_length},
      {"bpchar_length", fn_bpchar_length}, {"octet_length", fn_octet_length}, {"bit_length", fn_bit_length},
      {"starts_with", fn_starts_with}, {"like", fn_like}, {"not_like", fn_not_like}, {"ilike", fn_ilike},
      {"not_ilike", fn_not_ilike}, {"like_escape", fn_like_escape},
  };
  for (const Entry& e : table)
    if (e.name == name) return e.fn;
  return nullptr;
}

}  // namespace laminar
