// What the functions of this folder are made of: the format of floats, polynomials, sums and
// products of two terms without rounding.
#pragma once

#include "math/lanes.hpp"

namespace tgm::TGM_TARGET {

template <class T>
struct FloatFormat;

template <>
struct FloatFormat<float> {
  using Bits = uint32_t;
  static constexpr int mantissa_bits = 23;
  static constexpr int bias = 127;
  static constexpr float shifter = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  static constexpr float two_to_mantissa = 8388608.0f;
  static constexpr float splitter = 4097.0f;  // 2^12 + 1
  static constexpr float min_normal = 1.17549435e-38f;
  static constexpr int denormal_shift = 25;
  static constexpr float denormal_scale = 33554432.0f;  // 2^25
};

template <>
struct FloatFormat<double> {
  using Bits = uint64_t;
  static constexpr int mantissa_bits = 52;
  static constexpr int bias = 1023;
  static constexpr double shifter = 6755399441055744.0;
  static constexpr double two_to_mantissa = 4503599627370496.0;
  static constexpr double splitter = 134217729.0;  // 2^27 + 1
  static constexpr double min_normal = 2.2250738585072014e-308;
  static constexpr int denormal_shift = 54;
  static constexpr double denormal_scale = 18014398509481984.0;
};

// The unsigned integers in which the bits of a vector's elements can be handled.
template <class V>
using BitsOf = Vec<typename FloatFormat<Element<V>>::Bits>;

template <class V>
TGM_INLINE V infinity() {
  return splat<Element<V>>(Element<V>(__builtin_inf()));
}

template <class V>
TGM_INLINE V not_a_number() {
  return splat<Element<V>>(Element<V>(__builtin_nan("")));
}

// c[0] + c[1] x + c[2] x^2 + ...
template <class V, class T, int n>
TGM_INLINE V polynomial(V x, const T (&c)[n]) {
  V sum = splat<T>(c[n - 1]);
#pragma GCC unroll 32
  for (int i = n - 2; i >= 0; i--) sum = fmadd(sum, x, splat<T>(c[i]));
  return sum;
}

template <class V>
TGM_INLINE V vabs(V x) {
  using I = BitsOf<V>;
  return bits<V>(bits<I>(x) & ~bits<I>(splat<Element<V>>(Element<V>(-0.0))));
}

// |x| with the sign of y.
template <class V>
TGM_INLINE V with_sign_of(V x, V y) {
  using I = BitsOf<V>;
  const I sign = bits<I>(splat<Element<V>>(Element<V>(-0.0)));
  return bits<V>((bits<I>(x) & ~sign) | (bits<I>(y) & sign));
}

// Whether a lane of a comparison holds.
template <class M>
TGM_INLINE bool any(M mask) {
  uint64_t words[sizeof mask / 8], some = 0;
  std::memcpy(words, &mask, sizeof mask);
  for (uint64_t word : words) some |= word;
  return some != 0;
}

// --- two terms -------------------------------------------------------------------------------

// high + low, without being added: twice the precision of one.
template <class V>
struct Pair {
  V high;
  V low;
};

#if defined(__FMA__) || defined(__AVX512F__) || defined(__aarch64__)
constexpr bool kHasFma = true;
#else
constexpr bool kHasFma = false;
#endif

TGM_INLINE float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
TGM_INLINE double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }

// a + b and what it lost to rounding, for |a| >= |b| or a = 0.
template <class V>
TGM_INLINE Pair<V> fast_two_sum(V a, V b) {
  const V sum = a + b;
  return {sum, b - (sum - a)};
}

// a + b and what it lost to rounding.
template <class V>
TGM_INLINE Pair<V> two_sum(V a, V b) {
  const V sum = a + b;
  const V of_b = sum - a;
  return {sum, (a - (sum - of_b)) + (b - of_b)};
}

// a * b and what it lost to rounding (Dekker's product where the target has no fused one). The
// products of halves must neither overflow nor underflow.
template <class V>
TGM_INLINE Pair<V> two_product(V a, V b) {
  using T = Element<V>;
  const V product = rounded(a * b);
  V lost;
  if constexpr (kHasFma) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<T>; i++) lost[i] = fused(a[i], b[i], -product[i]);
  } else {
    const V wide_a = a * FloatFormat<T>::splitter, wide_b = b * FloatFormat<T>::splitter;
    const V high_a = wide_a - (wide_a - a), high_b = wide_b - (wide_b - b);
    const V low_a = a - high_a, low_b = b - high_b;
    lost = ((high_a * high_b - product) + high_a * low_b + low_a * high_b) + low_a * low_b;
  }
  return {product, lost};
}

template <class V>
TGM_INLINE Pair<V> add(Pair<V> a, Pair<V> b) {
  const Pair<V> sum = two_sum(a.high, b.high);
  return fast_two_sum(sum.high, sum.low + (a.low + b.low));
}

template <class V>
TGM_INLINE Pair<V> multiply(Pair<V> a, Pair<V> b) {
  const Pair<V> product = two_product(a.high, b.high);
  return fast_two_sum(product.high, product.low + (a.high * b.low + a.low * b.high));
}

template <class V>
TGM_INLINE Pair<V> divide(Pair<V> a, Pair<V> b) {
  const V quotient = rounded(a.high / b.high);
  const Pair<V> product = two_product(quotient, b.high);
  const V rest = ((a.high - product.high) - product.low) + (a.low - quotient * b.low);
  return fast_two_sum(quotient, rest / b.high);
}

// The square root of a >= 0; 0 for 0.
template <class V>
TGM_INLINE Pair<V> square_root(Pair<V> a) {
  using T = Element<V>;
  const V root = vsqrt(a.high);
  const Pair<V> square = two_product(root, root);
  const V rest = ((a.high - square.high) - square.low) + a.low;
  return fast_two_sum(root, (root == T(0)) ? V{} : rest / (root + root));
}

using Doubles = Vec<double>;

TGM_INLINE Pair<Doubles> splat_pair(Pair<double> c) { return {splat(c.high), splat(c.low)}; }

// --- float by way of double ------------------------------------------------------------------

// f of the lanes of x in double, rounded to float once.
template <class F>
TGM_INLINE Vec<float> through_double(F f, Vec<float> x) {
  typedef float Half __attribute__((vector_size(kVectorBytes / 2)));
  Half halves[2];
  std::memcpy(halves, &x, sizeof x);
  for (Half& half : halves) {
    half = __builtin_convertvector(f(__builtin_convertvector(half, Vec<double>)), Half);
  }
  std::memcpy(&x, halves, sizeof x);
  return x;
}

template <class F>
TGM_INLINE Vec<float> through_double(F f, Vec<float> x, Vec<float> y) {
  typedef float Half __attribute__((vector_size(kVectorBytes / 2)));
  Half a[2], b[2];
  std::memcpy(a, &x, sizeof x);
  std::memcpy(b, &y, sizeof y);
  for (int i = 0; i < 2; i++) {
    a[i] = __builtin_convertvector(
        f(__builtin_convertvector(a[i], Vec<double>), __builtin_convertvector(b[i], Vec<double>)),
        Half);
  }
  std::memcpy(&x, a, sizeof x);
  return x;
}

}  // namespace tgm::TGM_TARGET
