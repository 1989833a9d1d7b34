// Functions of PostgreSQL's values, one row at a time over columns, found by their symbol in pg_proc.prosrc.
#pragma once

#include <string_view>
#include <unordered_map>
#include <vector>

#include "column.hpp"

namespace laminar {

// An argument: a column, or one row that stands for all.
struct Argument {
    ColumnView view;
    bool constant = false;
    int64_t at(int64_t row) const { return constant ? 0 : row; }
};

// The arguments of one row. Accessors are for values that are not null.
class Row {
  public:
    Row(const std::vector<Argument>& args, const Settings& s) : settings(s), args_(args) {}
    const Settings& settings;
    int64_t index = 0;

    size_t size() const { return args_.size(); }
    const Zone* zone() const { return settings.zone; }
    bool is_null(size_t k) const { return args_[k].view.is_null(args_[k].at(index)); }
    template <class T> T get(size_t k) const { return args_[k].view.get<T>(args_[k].at(index)); }
    int32_t int4(size_t k) const { return get<int32_t>(k); }
    int64_t int8(size_t k) const { return get<int64_t>(k); }
    double float8(size_t k) const { return get<double>(k); }
    Interval interval(size_t k) const { return get<Interval>(k); }
    bool boolean(size_t k) const { return args_[k].view.get_bool(args_[k].at(index)); }
    const ColumnView& view(size_t k) const { return args_[k].view; }
    std::pair<int64_t, int64_t> elements(size_t k) const { return args_[k].view.elements(args_[k].at(index)); }
    std::string_view text(size_t k) const { return args_[k].view.bytes(args_[k].at(index)); }
    // A numeric of either storage, or an integer.
    Numeric numeric(size_t k) const {
        switch (args_[k].view.type().kind) {
            case Kind::Int2: return Numeric(get<int16_t>(k), 0);
            case Kind::Int4: return Numeric(get<int32_t>(k), 0);
            case Kind::Int8: return Numeric(get<int64_t>(k), 0);
            default: return args_[k].view.numeric(args_[k].at(index));
        }
    }

  private:
    const std::vector<Argument>& args_;
};

struct Function {
    void (*run)(const Row&, ColumnBuilder&) = nullptr;
    bool strict = true;  // a null argument makes a null result, without a call
    // Whole columns at once, where types allow; false: it has done nothing, go row by row.
    bool (*columns)(const std::vector<Argument>&, int64_t rows, ColumnBuilder&) = nullptr;
};

using FunctionTable = std::unordered_map<std::string_view, Function>;

inline void apply(const Function& f, const std::vector<Argument>& args, int64_t rows, const Settings& s, ColumnBuilder& out) {
    Row row(args, s);
    out.reserve(rows);
    if (f.columns && f.columns(args, rows, out)) return;
    for (row.index = 0; row.index < rows; row.index++) {
        bool null = false;
        if (f.strict)
            for (size_t k = 0; k < args.size(); k++) null |= row.is_null(k);
        if (null) out.append_null();
        else f.run(row, out);
    }
}

}  // namespace laminar
