// Arithmetic and comparison of fixed-width columns with PostgreSQL's errors.
//
// Each loop runs over all slots, null or not, without branches, and returns what went wrong
// anywhere; the caller looks again row by row when a null slot may be to blame.
#pragma once
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

namespace laminar {

enum Fault : int { kNone = 0, kOverflow = 1, kUnderflow = 2, kZeroDivide = 4 };

// a[i * sa] op b[i * sb] -> out[i]; strides are 0 for constants, 1 for columns. Returns Fault bits.
using BinaryFn = int (*)(const void* a, int64_t sa, const void* b, int64_t sb, void* out, int64_t n);

template <typename R>
struct Add {
  template <typename A, typename B>
  static inline R run(A a, B b, int& fault) {
    if constexpr (std::is_floating_point_v<R>) {
      R r = R(a) + R(b);
      fault |= (std::fabs(r) > std::numeric_limits<R>::max()) ? kOverflow : 0;
      return r;
    } else if constexpr (sizeof(R) == 8) {
      R x = R(a), y = R(b), r = R(uint64_t(x) + uint64_t(y));
      fault |= int(uint64_t((x ^ r) & (y ^ r)) >> 63);
      return r;
    } else {
      int64_t r = int64_t(a) + int64_t(b);
      fault |= int(r != int64_t(R(r)));
      return R(r);
    }
  }
};

template <typename R>
struct Subtract {
  template <typename A, typename B>
  static inline R run(A a, B b, int& fault) {
    if constexpr (std::is_floating_point_v<R>) {
      R r = R(a) - R(b);
      fault |= (std::fabs(r) > std::numeric_limits<R>::max()) ? kOverflow : 0;
      return r;
    } else if constexpr (sizeof(R) == 8) {
      R x = R(a), y = R(b), r = R(uint64_t(x) - uint64_t(y));
      fault |= int(uint64_t((x ^ y) & (x ^ r)) >> 63);
      return r;
    } else {
      int64_t r = int64_t(a) - int64_t(b);
      fault |= int(r != int64_t(R(r)));
      return R(r);
    }
  }
};

template <typename R>
struct Multiply {
  template <typename A, typename B>
  static inline R run(A a, B b, int& fault) {
    if constexpr (std::is_floating_point_v<R>) {
      R r = R(a) * R(b);
      fault |= (std::fabs(r) > std::numeric_limits<R>::max()) ? kOverflow : 0;
      fault |= (r == 0) & (a != 0) & (b != 0) ? kUnderflow : 0;
      return r;
    } else if constexpr (sizeof(R) == 8) {
      R r;
      fault |= int(__builtin_mul_overflow(R(a), R(b), &r));
      return r;
    } else {
      int64_t r = int64_t(a) * int64_t(b);
      fault |= int(r != int64_t(R(r)));
      return R(r);
    }
  }
};

template <typename R>
struct Divide {
  template <typename A, typename B>
  static inline R run(A a, B b, int& fault) {
    if constexpr (std::is_floating_point_v<R>) {
      R x = R(a), y = R(b), r = x / y;
      fault |= (y == 0) & (x == x) ? kZeroDivide : 0;
      fault |= (std::fabs(r) > std::numeric_limits<R>::max()) & (y != 0) ? kOverflow : 0;
      fault |= (r == 0) & (x != 0) & (std::fabs(y) <= std::numeric_limits<R>::max()) ? kUnderflow : 0;
      return r;
    } else {
      if (b == 0) {
        fault |= kZeroDivide;
        return 0;
      }
      if (b == B(-1)) return Subtract<R>::run(R(0), a, fault);
      return R(R(a) / R(b));
    }
  }
};

// Remainder of integers, with the sign of the dividend; x % -1 is 0 and cannot overflow.
template <typename R>
struct Modulo {
  template <typename A, typename B>
  static inline R run(A a, B b, int& fault) {
    if (b == 0) {
      fault |= kZeroDivide;
      return 0;
    }
    return b == B(-1) ? R(0) : R(R(a) % R(b));
  }
};

template <template <typename> class Op, typename A, typename B, typename R>
int binary_loop(const void* pa, int64_t sa, const void* pb, int64_t sb, void* po, int64_t n) {
  const A* __restrict a = static_cast<const A*>(pa);
  const B* __restrict b = static_cast<const B*>(pb);
  R* __restrict out = static_cast<R*>(po);
  int fault = 0;
  if (n == 0) return 0;
  if (sa && sb) {
    for (int64_t i = 0; i < n; i++) out[i] = Op<R>::run(a[i], b[i], fault);
  } else if (sa) {
    const B y = b[0];
    for (int64_t i = 0; i < n; i++) out[i] = Op<R>::run(a[i], y, fault);
  } else if (sb) {
    const A x = a[0];
    for (int64_t i = 0; i < n; i++) out[i] = Op<R>::run(x, b[i], fault);
  } else {
    for (int64_t i = 0; i < n; i++) out[i] = Op<R>::run(a[0], b[0], fault);
  }
  return fault;
}

// An infinite result is no fault when an operand is infinite: decides for one row.
template <typename R>
inline int settle_float(const char op, double x, double y, int fault) {
  if (fault & kOverflow) {
    bool infinite = std::isinf(x) || (op != '/' && std::isinf(y));
    if (infinite) fault &= ~kOverflow;
  }
  return fault;
}

// Comparisons: float NaN equals itself and is greater than anything else.
template <typename A, typename B>
struct Compare {
  using C = std::conditional_t<std::is_floating_point_v<A>, std::conditional_t<(sizeof(A) > sizeof(B)), A, B>, int64_t>;
  static inline bool eq(A a, B b) {
    if constexpr (std::is_floating_point_v<A>) return (a == b) | ((a != a) & (b != b));
    else return C(a) == C(b);
  }
  static inline bool lt(A a, B b) {
    if constexpr (std::is_floating_point_v<A>) return (a < b) | ((a == a) & (b != b));
    else return C(a) < C(b);
  }
};

struct Eq { template <typename A, typename B> static inline bool run(A a, B b) { return Compare<A, B>::eq(a, b); } };
struct Ne { template <typename A, typename B> static inline bool run(A a, B b) { return !Compare<A, B>::eq(a, b); } };
struct Lt { template <typename A, typename B> static inline bool run(A a, B b) { return Compare<A, B>::lt(a, b); } };
struct Ge { template <typename A, typename B> static inline bool run(A a, B b) { return !Compare<A, B>::lt(a, b); } };
struct Gt { template <typename A, typename B> static inline bool run(A a, B b) { return Compare<B, A>::lt(b, a); } };
struct Le { template <typename A, typename B> static inline bool run(A a, B b) { return !Compare<B, A>::lt(b, a); } };

// Results go to a bitmap, eight rows a byte.
template <typename Op, typename A, typename B>
int compare_loop(const void* pa, int64_t sa, const void* pb, int64_t sb, void* po, int64_t n) {
  const A* __restrict a = static_cast<const A*>(pa);
  const B* __restrict b = static_cast<const B*>(pb);
  uint8_t* __restrict out = static_cast<uint8_t*>(po);
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    uint8_t bits[8];
    if (sa && sb) {
      for (int k = 0; k < 8; k++) bits[k] = Op::run(a[i + k], b[i + k]);
    } else if (sa) {
      for (int k = 0; k < 8; k++) bits[k] = Op::run(a[i + k], b[0]);
    } else {
      for (int k = 0; k < 8; k++) bits[k] = Op::run(a[sa * (i + k)], b[sb * (i + k)]);
    }
    uint64_t word;
    std::memcpy(&word, bits, 8);
    out[i >> 3] = uint8_t((word * 0x0102040810204080ull) >> 56);
  }
  if (i < n) {
    uint8_t last = 0;
    for (int64_t k = i; k < n; k++) last |= uint8_t(Op::run(a[sa * k], b[sb * k])) << (k - i);
    out[i >> 3] = last;
  }
  return 0;
}

// Kinds of operand as the .pyx numbers them.
enum Kind : int { kInt16 = 0, kInt32 = 1, kInt64 = 2, kFloat32 = 3, kFloat64 = 4 };

template <template <typename> class Op>
BinaryFn arithmetic_of(int a, int b) {
  switch (a * 8 + b) {
    case kInt16 * 8 + kInt16: return binary_loop<Op, int16_t, int16_t, int16_t>;
    case kInt16 * 8 + kInt32: return binary_loop<Op, int16_t, int32_t, int32_t>;
    case kInt16 * 8 + kInt64: return binary_loop<Op, int16_t, int64_t, int64_t>;
    case kInt32 * 8 + kInt16: return binary_loop<Op, int32_t, int16_t, int32_t>;
    case kInt32 * 8 + kInt32: return binary_loop<Op, int32_t, int32_t, int32_t>;
    case kInt32 * 8 + kInt64: return binary_loop<Op, int32_t, int64_t, int64_t>;
    case kInt64 * 8 + kInt16: return binary_loop<Op, int64_t, int16_t, int64_t>;
    case kInt64 * 8 + kInt32: return binary_loop<Op, int64_t, int32_t, int64_t>;
    case kInt64 * 8 + kInt64: return binary_loop<Op, int64_t, int64_t, int64_t>;
    default: return nullptr;
  }
}

template <template <typename> class Op>
BinaryFn float_arithmetic_of(int a, int b) {
  switch (a * 8 + b) {
    case kFloat32 * 8 + kFloat32: return binary_loop<Op, float, float, float>;
    case kFloat32 * 8 + kFloat64: return binary_loop<Op, float, double, double>;
    case kFloat64 * 8 + kFloat32: return binary_loop<Op, double, float, double>;
    case kFloat64 * 8 + kFloat64: return binary_loop<Op, double, double, double>;
    default: return nullptr;
  }
}

template <typename Op>
BinaryFn comparison_of(int a, int b) {
  switch (a * 8 + b) {
    case kInt16 * 8 + kInt16: return compare_loop<Op, int16_t, int16_t>;
    case kInt16 * 8 + kInt32: return compare_loop<Op, int16_t, int32_t>;
    case kInt16 * 8 + kInt64: return compare_loop<Op, int16_t, int64_t>;
    case kInt32 * 8 + kInt16: return compare_loop<Op, int32_t, int16_t>;
    case kInt32 * 8 + kInt32: return compare_loop<Op, int32_t, int32_t>;
    case kInt32 * 8 + kInt64: return compare_loop<Op, int32_t, int64_t>;
    case kInt64 * 8 + kInt16: return compare_loop<Op, int64_t, int16_t>;
    case kInt64 * 8 + kInt32: return compare_loop<Op, int64_t, int32_t>;
    case kInt64 * 8 + kInt64: return compare_loop<Op, int64_t, int64_t>;
    case kFloat32 * 8 + kFloat32: return compare_loop<Op, float, float>;
    case kFloat32 * 8 + kFloat64: return compare_loop<Op, float, double>;
    case kFloat64 * 8 + kFloat32: return compare_loop<Op, double, float>;
    case kFloat64 * 8 + kFloat64: return compare_loop<Op, double, double>;
    default: return nullptr;
  }
}

// op: + - * / %  and  = ! < > l(e) g(e)
inline BinaryFn find_binary(char op, int a, int b) {
  BinaryFn fn = nullptr;
  switch (op) {
    case '+': fn = arithmetic_of<Add>(a, b); return fn ? fn : float_arithmetic_of<Add>(a, b);
    case '-': fn = arithmetic_of<Subtract>(a, b); return fn ? fn : float_arithmetic_of<Subtract>(a, b);
    case '*': fn = arithmetic_of<Multiply>(a, b); return fn ? fn : float_arithmetic_of<Multiply>(a, b);
    case '/': fn = arithmetic_of<Divide>(a, b); return fn ? fn : float_arithmetic_of<Divide>(a, b);
    case '%': return arithmetic_of<Modulo>(a, b);
    case '=': return comparison_of<Eq>(a, b);
    case '!': return comparison_of<Ne>(a, b);
    case '<': return comparison_of<Lt>(a, b);
    case '>': return comparison_of<Gt>(a, b);
    case 'l': return comparison_of<Le>(a, b);
    case 'g': return comparison_of<Ge>(a, b);
    default: return nullptr;
  }
}

inline double as_double(const void* p, int kind, int64_t i) {
  return kind == kFloat32 ? double(static_cast<const float*>(p)[i]) : static_cast<const double*>(p)[i];
}

inline bool bit(const uint8_t* bits, int64_t i) { return bits == nullptr || ((bits[i >> 3] >> (i & 7)) & 1); }

// Faults of the rows whose bit in ``valid`` is set; the slow look after a loop reported something.
inline int faults_of_valid(BinaryFn fn, char op, int ka, int kb, const uint8_t* a, int64_t sa, int64_t wa,
                           const uint8_t* b, int64_t sb, int64_t wb, const uint8_t* valid, int64_t n) {
  int all = 0;
  bool is_float = ka >= kFloat32;
  for (int64_t i = 0; i < n; i++) {
    if (!bit(valid, i)) continue;
    const uint8_t* x = a + sa * i * wa;
    const uint8_t* y = b + sb * i * wb;
    uint64_t scratch;
    int fault = fn(x, 0, y, 0, &scratch, 1);
    if (fault && is_float) fault = settle_float<double>(op, as_double(x, ka, 0), as_double(y, kb, 0), fault);
    if (fault & kZeroDivide) return kZeroDivide;
    if (fault && !all) all = fault;
  }
  return all;
}

// out[i] = a[ao + i] & b[bo + i] for n bits; either may be null (all ones).
inline void and_bits(const uint8_t* a, int64_t ao, const uint8_t* b, int64_t bo, uint8_t* out, int64_t n) {
  auto word = [](const uint8_t* bits, int64_t at, int64_t left) -> uint8_t {
    if (bits == nullptr) return 0xFF;
    int shift = int(at & 7);
    uint8_t low = uint8_t(bits[at >> 3] >> shift);
    if (shift && left > 8 - shift) low |= uint8_t(bits[(at >> 3) + 1] << (8 - shift));
    return low;
  };
  for (int64_t i = 0; i < n; i += 8) out[i >> 3] = word(a, ao + i, n - i) & word(b, bo + i, n - i);
}

}  // namespace laminar
