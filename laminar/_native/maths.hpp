// Mathematical functions of double precision with PostgreSQL's domain and range checks (utils/adt/float.c's contract).
#pragma once
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <string_view>

namespace laminar {

enum MathError : int {
  kMathOk = 0,
  kRangeOverflow = 1,
  kRangeUnderflow = 2,
  kInputOutOfRange = 3,
  kSqrtNegative = 4,
  kLogZero = 5,
  kLogNegative = 6,
  kPowerZero = 7,
  kPowerComplex = 8,
};

// One row; y is unused by functions of one argument.
using MathFn = double (*)(double x, double y, int& error);

inline double range(double r, int& e, bool zero_is_wrong = false) {
  if (std::isinf(r)) e = kRangeOverflow;
  if (zero_is_wrong && r == 0.0) e = kRangeUnderflow;
  return r;
}
inline double in_domain(double x, int& e, double low, double high) {
  if (x < low || x > high) e = kInputOutOfRange;
  return x;
}

inline double m_sqrt(double x, double, int& e) {
  if (x < 0) return e = kSqrtNegative, 0;
  return std::sqrt(x);
}
inline double m_cbrt(double x, double, int&) { return std::cbrt(x); }
inline double m_exp(double x, double, int& e) {
  if (std::isnan(x)) return x;
  if (std::isinf(x)) return x > 0 ? x : 0;
  return range(std::exp(x), e, true);
}
inline double logarithm(double x, double r, int& e) {
  if (x == 0) e = kLogZero;
  if (x < 0) e = kLogNegative;
  return r;
}
inline double m_ln(double x, double, int& e) { return logarithm(x, std::log(x), e); }
inline double m_log10(double x, double, int& e) { return logarithm(x, std::log10(x), e); }
inline double m_round(double x, double, int&) { return std::rint(x); }
inline double m_trunc(double x, double, int&) { return x >= 0 ? std::floor(x) : -std::floor(-x); }
inline double m_ceil(double x, double, int&) { return std::ceil(x); }
inline double m_floor(double x, double, int&) { return std::floor(x); }
inline double m_sign(double x, double, int&) { return x > 0 ? 1.0 : x < 0 ? -1.0 : 0.0; }

inline double m_pow(double x, double y, int& e) {
  if (std::isnan(x)) return std::isnan(y) || y != 0 ? x : 1.0;
  if (std::isnan(y)) return x != 1.0 ? y : 1.0;
  if (x == 0 && y < 0) return e = kPowerZero, 0;
  if (x < 0 && std::floor(y) != y) return e = kPowerComplex, 0;
  if (std::isinf(y)) {
    double a = std::fabs(x);
    if (a == 1.0) return 1.0;
    if (y > 0) return a > 1.0 ? y : 0.0;
    return a > 1.0 ? 0.0 : -y;
  }
  if (std::isinf(x)) {
    if (y == 0) return 1.0;
    if (x > 0) return y > 0 ? x : 0.0;
    bool odd = std::floor(y / 2) != y / 2;
    if (y > 0) return odd ? x : -x;
    return odd ? -0.0 : 0.0;
  }
  double r = std::pow(x, y);
  if (std::isinf(r)) e = kRangeOverflow;
  if (r == 0 && x != 0) e = kRangeUnderflow;
  return r;
}

inline double m_acos(double x, double, int& e) { return std::isnan(x) ? x : std::acos(in_domain(x, e, -1, 1)); }
inline double m_asin(double x, double, int& e) { return std::isnan(x) ? x : std::asin(in_domain(x, e, -1, 1)); }
inline double m_atan(double x, double, int&) { return std::atan(x); }
inline double m_atan2(double x, double y, int&) { return std::atan2(x, y); }
inline double finite(double x, int& e) {
  if (std::isinf(x)) e = kInputOutOfRange;
  return x;
}
inline double m_cos(double x, double, int& e) { return std::cos(finite(x, e)); }
inline double m_sin(double x, double, int& e) { return std::sin(finite(x, e)); }
inline double m_tan(double x, double, int& e) { return std::tan(finite(x, e)); }
inline double m_cot(double x, double, int& e) { return 1.0 / std::tan(finite(x, e)); }
inline double m_sinh(double x, double, int&) { return std::sinh(x); }
inline double m_cosh(double x, double, int& e) {
  double r = std::cosh(x);
  if (r == 0) e = kRangeUnderflow;
  return r;
}
inline double m_tanh(double x, double, int&) { return std::tanh(x); }
inline double m_asinh(double x, double, int&) { return std::asinh(x); }
inline double m_acosh(double x, double, int& e) {
  if (x < 1) e = kInputOutOfRange;
  return std::acosh(x);
}
inline double m_atanh(double x, double, int& e) {
  if (x < -1 || x > 1) e = kInputOutOfRange;
  if (x == -1) return -INFINITY;
  if (x == 1) return INFINITY;
  return std::atanh(x);
}
inline double divided(double x, double by, int& e) {
  double r = x / by;
  if (std::isinf(r) && !std::isinf(x)) e = kRangeOverflow;
  if (r == 0 && x != 0) e = kRangeUnderflow;
  return r;
}
inline double m_degrees(double x, double, int& e) { return divided(x, M_PI / 180.0, e); }
inline double m_radians(double x, double, int& e) {
  double r = x * (M_PI / 180.0);
  if (std::isinf(r) && !std::isinf(x)) e = kRangeOverflow;
  if (r == 0 && x != 0) e = kRangeUnderflow;
  return r;
}

// --- in degrees: exact where the angle is a multiple of 30 or 45, by scaling each octant with its end's value

inline constexpr double kRadians = 0.0174532925199432957692;

inline double sind_to_30(double x) {
  static const double sin_30 = std::sin(30.0 * kRadians);
  return std::sin(x * kRadians) / sin_30 / 2.0;
}
inline double cosd_to_60(double x) {
  static const double rest_60 = 1.0 - std::cos(60.0 * kRadians);
  return 1.0 - (1.0 - std::cos(x * kRadians)) / rest_60 / 2.0;
}
// 0 to 90 degrees
inline double sind_quarter(double x) { return x <= 30.0 ? sind_to_30(x) : cosd_to_60(90.0 - x); }
inline double cosd_quarter(double x) { return x <= 60.0 ? cosd_to_60(x) : sind_to_30(90.0 - x); }
// -360 to 360 degrees brought into the first quarter, the signs that sine, cosine and tangent have where x was
struct Angle {
  double x;
  int sine = 1, cosine = 1;
  explicit Angle(double degrees) : x(std::fmod(degrees, 360.0)) {
    if (x < 0.0) x = -x, sine = -sine;
    if (x > 180.0) x = 360.0 - x, sine = -sine;
    if (x > 90.0) x = 180.0 - x, cosine = -cosine;
  }
  int tangent() const { return sine * cosine; }
};
inline double m_sind(double x, double, int& e) {
  if (std::isnan(finite(x, e)) || e) return x;
  Angle a(x);
  return a.sine * sind_quarter(a.x);
}
inline double m_cosd(double x, double, int& e) {
  if (std::isnan(finite(x, e)) || e) return x;
  Angle a(x);
  return a.cosine * cosd_quarter(a.x);
}
inline double no_negative_zero(double x) { return x == 0.0 ? 0.0 : x; }
inline double m_tand(double x, double, int& e) {
  static const double tan_45 = sind_quarter(45.0) / cosd_quarter(45.0);
  if (std::isnan(finite(x, e)) || e) return x;
  Angle a(x);
  return no_negative_zero(a.tangent() * (sind_quarter(a.x) / cosd_quarter(a.x) / tan_45));
}
inline double m_cotd(double x, double, int& e) {
  static const double cot_45 = cosd_quarter(45.0) / sind_quarter(45.0);
  if (std::isnan(finite(x, e)) || e) return x;
  Angle a(x);
  return no_negative_zero(a.tangent() * (cosd_quarter(a.x) / sind_quarter(a.x) / cot_45));
}
inline double asind_low(double x) {
  static const double asin_half = std::asin(0.5);
  return std::asin(x) / asin_half * 30.0;
}
inline double acosd_high(double x) {
  static const double acos_half = std::acos(0.5);
  return std::acos(x) / acos_half * 60.0;
}
inline double asind_quarter(double x) { return x <= 0.5 ? asind_low(x) : 90.0 - acosd_high(x); }
inline double m_asind(double x, double, int& e) {
  if (std::isnan(x)) return x;
  in_domain(x, e, -1, 1);
  return x >= 0.0 ? asind_quarter(x) : -asind_quarter(-x);
}
inline double m_acosd(double x, double, int& e) {
  if (std::isnan(x)) return x;
  in_domain(x, e, -1, 1);
  if (x < 0.0) return 90.0 + asind_quarter(-x);
  return x <= 0.5 ? 90.0 - asind_low(x) : acosd_high(x);
}
inline double m_atand(double x, double, int&) {
  static const double atan_one = std::atan(1.0);
  return std::atan(x) / atan_one * 45.0;
}
inline double m_atan2d(double y, double x, int&) {
  static const double atan_one = std::atan(1.0);
  return std::atan2(y, x) / atan_one * 45.0;
}

inline MathFn find_math(std::string_view name) {
  struct Entry { std::string_view name; MathFn fn; };
  static const Entry table[] = {
      {"sqrt", m_sqrt}, {"cbrt", m_cbrt}, {"exp", m_exp}, {"ln", m_ln}, {"log10", m_log10}, {"round", m_round},
      {"trunc", m_trunc}, {"ceil", m_ceil}, {"floor", m_floor}, {"sign", m_sign}, {"pow", m_pow}, {"acos", m_acos},
      {"asin", m_asin}, {"atan", m_atan}, {"atan2", m_atan2}, {"cos", m_cos}, {"sin", m_sin}, {"tan", m_tan},
      {"cot", m_cot}, {"sinh", m_sinh}, {"cosh", m_cosh}, {"tanh", m_tanh}, {"asinh", m_asinh}, {"acosh", m_acosh},
      {"atanh", m_atanh}, {"degrees", m_degrees}, {"radians", m_radians}, {"sind", m_sind}, {"cosd", m_cosd},
      {"tand", m_tand}, {"cotd", m_cotd}, {"asind", m_asind}, {"acosd", m_acosd}, {"atand", m_atand}, {"atan2d", m_atan2d},
  };
  for (const Entry& e : table)
    if (e.name == name) return e.fn;
  return nullptr;
}

inline void* find_math_fn(const char* name, size_t size) {
  return reinterpret_cast<void*>(find_math(std::string_view(name, size)));
}

// valid bits are those of the result, null for all valid.
inline int run_math(void* fn, const double* x, int64_t sx, const double* y, int64_t sy, double* out,
                    const uint8_t* valid, int64_t n) {
  MathFn f = reinterpret_cast<MathFn>(fn);
  for (int64_t i = 0; i < n; i++) {
    int error = kMathOk;
    out[i] = 0;
    if (valid != nullptr && !((valid[i >> 3] >> (i & 7)) & 1)) continue;
    out[i] = f(x[sx * i], y[sy * i], error);
    if (error != kMathOk) return error;
  }
  return kMathOk;
}

}  // namespace laminar
