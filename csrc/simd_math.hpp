// exp, log, log1p, tanh, sigmoid and softplus on vectors of float and double.
//
// Errors stay below 2 ulp of the result (tests/kernels/test_simd_math.py measures them);
// infinities, NaN, signed zeros and denormals come out as the C library has them. Polynomials are
// minimax fits on the reduced range. The reductions are the usual ones (Muller, Elementary
// Functions, ch. 11).
#pragma once

#include "simd.hpp"

namespace tgm::TGM_TARGET {

template <class T>
struct MathConstants;

template <>
struct MathConstants<float> {
  using Bits = uint32_t;
  static constexpr int mantissa_bits = 23;
  static constexpr int bias = 127;
  static constexpr float shifter = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  static constexpr float two_to_mantissa = 8388608.0f;
  static constexpr float log2_e = 1.44269504f;
  static constexpr float ln2_high = 0.693359375f;  // few bits: products with exponents are exact
  static constexpr float ln2_low = -2.12194440e-4f;
  static constexpr float exp_low = -104.0f;  // exp is 0 below
  static constexpr float exp_high = 89.0f;   // exp is inf above
  static constexpr float min_normal = 1.17549435e-38f;
  static constexpr int denormal_shift = 25;
  static constexpr float denormal_scale = 33554432.0f;  // 2^25
  static constexpr float sqrt_half = 0.707106781f;
  // (exp(r) - 1 - r - r^2 / 2) / r^3 on |r| < ln(2) / 2, lowest power first.
  static constexpr float exp_poly[] = {1.6666666698e-1f, 4.1666550088e-2f, 8.3332996451e-3f,
                                       1.3926929028e-3f, 1.9900450256e-4f};
  // (2 atanh(s) - 2 s) / s^3 as a polynomial of s^2.
  static constexpr float log_poly[] = {0.66666771481802f, 0.39977742584403f, 0.29873377056146f};
  // (tanh(x) - x) / x^3 as a polynomial of x^2, on |x| < 0.625.
  static constexpr float tanh_poly[] = {-3.3333333183e-1f, 1.3333304981e-1f,  -5.3959549855e-2f,
                                        2.1770992940e-2f,  -8.3500004439e-3f, 2.2989341267e-3f};
};

template <>
struct MathConstants<double> {
  using Bits = uint64_t;
  static constexpr int mantissa_bits = 52;
  static constexpr int bias = 1023;
  static constexpr double shifter = 6755399441055744.0;
  static constexpr double two_to_mantissa = 4503599627370496.0;
  static constexpr double log2_e = 1.4426950408889634;
  static constexpr double ln2_high = 6.93147180369123816490e-1;
  static constexpr double ln2_low = 1.90821492927058770002e-10;
  static constexpr double exp_low = -746.0;
  static constexpr double exp_high = 710.0;
  static constexpr double min_normal = 2.2250738585072014e-308;
  static constexpr int denormal_shift = 54;
  static constexpr double denormal_scale = 18014398509481984.0;
  static constexpr double sqrt_half = 0.70710678118654752440;
  static constexpr double exp_poly[] = {0.16666666666666667534,   0.041666666666666672868,
                                        0.0083333333333297933301, 0.0013888888888880284745,
                                        1.9841269864381354807e-4, 2.4801587335949985541e-5,
                                        2.7557266417390353823e-6, 2.7557262074441084949e-7,
                                        2.510134746342369964e-8,  2.0918974855687901272e-9};
  static constexpr double log_poly[] = {0.66666666666667040919, 0.3999999999956139425,
                                        0.28571428717868348835, 0.22222200467525944897,
                                        0.18183491582683065132, 0.15315366470268835314,
                                        0.1478743648944291924};
  static constexpr double tanh_poly[] = {
      -0.33333333333333332965,   0.13333333333333058619,    -0.053968253967914366058,
      0.021869488519700626081,   -0.0088632351173938374016, 0.0035921219199766574143,
      -0.0014557766676573654739, 5.89666655782000806e-4,    -2.3760905710768864581e-4,
      9.2606241848586798997e-5,  -3.1238885103180359225e-5, 6.5027378476332281855e-6};
};

// c[0] + c[1] x + c[2] x^2 + ...
template <class V, class T, int n>
TGM_INLINE V polynomial(V x, const T (&c)[n]) {
  V sum = splat<T>(c[n - 1]);
#pragma GCC unroll 16
  for (int i = n - 2; i >= 0; i--) sum = fmadd(sum, x, splat<T>(c[i]));
  return sum;
}

template <class V>
TGM_INLINE V vabs(V x) {
  using T = Element<V>;
  using I = Vec<typename MathConstants<T>::Bits>;
  return bits<V>(bits<I>(x) & ~bits<I>(splat<T>(T(-0.0))));
}

// |x| with the sign of y.
template <class V>
TGM_INLINE V with_sign_of(V x, V y) {
  using T = Element<V>;
  using I = Vec<typename MathConstants<T>::Bits>;
  const I sign = bits<I>(splat<T>(T(-0.0)));
  return bits<V>((bits<I>(x) & ~sign) | (bits<I>(y) & sign));
}

// exp(x) = (1 + t) * scale[0] * scale[1].
template <class V>
struct ExpParts {
  V t;
  V scale[2];
};

// x = n ln 2 + r with |r| <= ln(2) / 2, t = exp(r) - 1. 2^n comes as two factors, since n runs from
// below the smallest normal exponent to above the largest.
template <class V>
TGM_INLINE ExpParts<V> exp_parts(V x) {
  using T = Element<V>;
  using C = MathConstants<T>;
  using I = Vec<typename C::Bits>;
  const V shifter = splat<T>(C::shifter);
  x = vmin(vmax(x, splat<T>(C::exp_low)), splat<T>(C::exp_high));
  const V n = fmadd(x, splat<T>(C::log2_e), shifter) - shifter;
  const V high = x - n * C::ln2_high;
  const V r = high - n * C::ln2_low;
  const V lost = (high - r) - n * C::ln2_low;
  const V square = r * r;
  const V tail = square * fmadd(polynomial(r, C::exp_poly), r, splat<T>(T(0.5)));
  // The integer stands in the low bits of shifter + integer.
  const V half = n * T(0.5) + shifter;
  const V rest = (n - (half - shifter)) + shifter;
  const I one = bits<I>(splat<T>(T(1))) - (bits<I>(shifter) << C::mantissa_bits);
  return {(tail + lost) + r,
          {bits<V>((bits<I>(half) << C::mantissa_bits) + one),
           bits<V>((bits<I>(rest) << C::mantissa_bits) + one)}};
}

template <class V>
TGM_INLINE V vexp(V x) {
  using T = Element<V>;
  const ExpParts<V> e = exp_parts(x);
  return (e.t + T(1)) * e.scale[0] * e.scale[1];
}

// log(1 + f) + k ln 2 + c for sqrt(1/2) - 1 <= f <= sqrt(2) - 1, k an integer and c a small
// correction: with s = f / (2 + f), log(1 + f) = 2 atanh(s) = f - f^2 / 2 + s (f^2 / 2 + R(s^2)).
template <class V>
TGM_INLINE V log_reduced(V f, V k, V c) {
  using C = MathConstants<Element<V>>;
  const V s = f / (f + 2);
  const V z = s * s;
  const V half_square = f * f / 2;
  const V r = z * polynomial(z, C::log_poly);
  const V low = s * (half_square + r) + (k * C::ln2_low + c);
  return k * C::ln2_high - ((half_square - low) - f);
}

// Splits a normal x > 0 into 2^k (1 + f); returns f.
template <class V>
TGM_INLINE V split_exponent(V x, V* k) {
  using T = Element<V>;
  using C = MathConstants<T>;
  using I = Vec<typename C::Bits>;
  // One more in the exponent for every mantissa from sqrt(2) on.
  const I offset = bits<I>(splat<T>(T(1))) - bits<I>(splat<T>(C::sqrt_half));
  const I exponent = (bits<I>(x) + offset) >> C::mantissa_bits;
  const I mantissa = bits<I>(x) - (exponent << C::mantissa_bits);
  const V magic = splat<T>(C::two_to_mantissa);
  *k = (bits<V>(exponent | bits<I>(magic)) - magic) - T(C::bias);
  return bits<V>(mantissa + bits<I>(splat<T>(T(1)))) - T(1);
}

template <class V>
TGM_INLINE V vlog(V x) {
  using T = Element<V>;
  using C = MathConstants<T>;
  const auto tiny = x < C::min_normal;
  const V normal = tiny ? x * C::denormal_scale : x;
  V k;
  const V f = split_exponent(normal, &k);
  k = tiny ? k - T(C::denormal_shift) : k;
  V y = log_reduced(f, k, V{});
  const V infinity = splat<T>(T(__builtin_inf()));
  y = (x < infinity) ? y : x;  // infinity, NaN
  y = (x == T(0)) ? -infinity : y;
  return (x < T(0)) ? splat<T>(T(__builtin_nan(""))) : y;
}

// log(1 + x): where 1 + x rounds, the correction c gives back what was lost.
template <class V>
TGM_INLINE V vlog1p(V x) {
  using T = Element<V>;
  using C = MathConstants<T>;
  const V u = x + T(1);
  V k;
  V f = split_exponent(u, &k);
  V c = ((x > T(1)) ? T(1) - (u - x) : x - (u - T(1))) / u;
  const auto direct = (x > C::sqrt_half - T(1)) & (x < C::sqrt_half * 2 - T(1));
  f = direct ? x : f;
  k = direct ? V{} : k;
  c = direct ? V{} : c;
  V y = log_reduced(f, k, c);
  const V infinity = splat<T>(T(__builtin_inf()));
  y = ((x < infinity) & (x != T(0))) ? y : x;  // infinity, NaN, signed zero
  y = (x == T(-1)) ? -infinity : y;
  return (x < T(-1)) ? splat<T>(T(__builtin_nan(""))) : y;
}

template <class V>
TGM_INLINE V vtanh(V x) {
  using T = Element<V>;
  using C = MathConstants<T>;
  const V a = vabs(x);
  const V square = x * x;
  const V near = fmadd(x * square, polynomial(square, C::tanh_poly), x);
  const V far = T(1) - T(2) / (vexp(a + a) + T(1));
  return with_sign_of((a < T(0.625)) ? near : far, x);
}

// With e = exp(-|x|), which never overflows: 1 / (1 + e), or e / (1 + e) for x < 0. What 1 + t and
// 1 + e lose to rounding is given back at the end, divided by a line close to 1 + e.
template <class V>
TGM_INLINE V vsigmoid(V x) {
  using T = Element<V>;
  const ExpParts<V> parts = exp_parts(-vabs(x));
  const V power = parts.t + T(1);
  const V e = power * parts.scale[0] * parts.scale[1];
  const V e_lost = (parts.t - (power - T(1))) * parts.scale[0] * parts.scale[1];
  const V sum = e + T(1);
  const V sum_lost = (e - (sum - T(1))) + e_lost;
  const auto negative = x < T(0);
  const V y = (negative ? e : splat<T>(T(1))) / sum;
  const V rest = (negative ? e_lost : V{}) - y * sum_lost;
  return y + rest * (T(1.4571) - sum * T(0.5));
}

// log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)).
template <class V>
TGM_INLINE V vsoftplus(V x) {
  return vmax(x, V{}) + vlog1p(vexp(-vabs(x)));
}

}  // namespace tgm::TGM_TARGET
