// Errors of the native layer: what laminar.errors.PgError carries, without Python.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace laminar {

struct Error : std::runtime_error {
    const char* sqlstate;  // five characters, static storage
    std::string detail, hint, context;

    Error(const char* state, const std::string& message, std::string detail_ = {}, std::string hint_ = {},
          std::string context_ = {})
        : std::runtime_error(message), sqlstate(state), detail(std::move(detail_)), hint(std::move(hint_)),
          context(std::move(context_)) {}
};

[[noreturn]] inline void fail(const char* sqlstate, const std::string& message, std::string detail = {}) {
    throw Error(sqlstate, message, std::move(detail));
}

// PostgreSQL's 22P02: invalid input syntax for type integer: "x"
[[noreturn]] inline void bad_syntax(std::string_view type, std::string_view text) {
    fail("22P02", "invalid input syntax for type " + std::string(type) + ": \"" + std::string(text) + "\"");
}

// PostgreSQL's 22003: value "1e9" is out of range for type integer
[[noreturn]] inline void bad_range(std::string_view type, std::string_view text) {
    fail("22003", "value \"" + std::string(text) + "\" is out of range for type " + std::string(type));
}

[[noreturn]] inline void bad_binary(const std::string& what) { fail("22P03", what); }

}  // namespace laminar
