// log, log1p and softplus. `pair_logarithm.hpp` has the others.
//
// x = 2^k (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2), and with s = f / (2 + f)
// log(1 + f) = 2 atanh(s) (Muller, Elementary Functions, ch. 11). Polynomials are minimax fits.
#pragma once

#include "math/basic.hpp"
#include "math/exponential.hpp"

namespace tgm::TGM_TARGET {

template <class T>
struct LogConstants;

template <>
struct LogConstants<float> {
  static constexpr float sqrt_half = 0.707106781f;
  // (2 atanh(s) - 2 s) / s^3 as a polynomial of s^2.
  static constexpr float poly[] = {0.66666771481802f, 0.39977742584403f, 0.29873377056146f};
};

template <>
struct LogConstants<double> {
  static constexpr double sqrt_half = 0.70710678118654752440;
  static constexpr double poly[] = {0.66666666666667040919, 0.3999999999956139425,
                                    0.28571428717868348835, 0.22222200467525944897,
                                    0.18183491582683065132, 0.15315366470268835314,
                                    0.1478743648944291924};
};

// log(1 + f) + k ln 2 + c for sqrt(1/2) - 1 <= f <= sqrt(2) - 1, k an integer and c a small
// correction: log(1 + f) = f - f^2 / 2 + s (f^2 / 2 + R(s^2)).
template <class V>
TGM_INLINE V log_reduced(V f, V k, V c) {
  using C = ExpConstants<Element<V>>;
  const V s = f / (f + 2);
  const V z = s * s;
  const V half_square = f * f / 2;
  const V r = z * polynomial(z, LogConstants<Element<V>>::poly);
  const V low = s * (half_square + r) + (k * C::ln2_low + c);
  return k * C::ln2_high - ((half_square - low) - f);
}

// Splits a normal x > 0 into 2^k (1 + f); returns f.
template <class V>
TGM_INLINE V split_exponent(V x, V* k) {
  using T = Element<V>;
  using F = FloatFormat<T>;
  using I = BitsOf<V>;
  // One more in the exponent for every mantissa from sqrt(2) on.
  const I offset = bits<I>(splat<T>(T(1))) - bits<I>(splat<T>(LogConstants<T>::sqrt_half));
  const I exponent = (bits<I>(x) + offset) >> F::mantissa_bits;
  const I mantissa = bits<I>(x) - (exponent << F::mantissa_bits);
  const V magic = splat<T>(F::two_to_mantissa);
  *k = (bits<V>(exponent | bits<I>(magic)) - magic) - T(F::bias);
  return bits<V>(mantissa + bits<I>(splat<T>(T(1)))) - T(1);
}

// The same for any finite x > 0.
template <class V>
TGM_INLINE V split_any_exponent(V x, V* k) {
  using T = Element<V>;
  using F = FloatFormat<T>;
  const auto tiny = x < F::min_normal;
  const V f = split_exponent(tiny ? x * F::denormal_scale : x, k);
  *k = tiny ? *k - T(F::denormal_shift) : *k;
  return f;
}

// y where y is the logarithm, in some base, of a finite x > 0; what belongs there for other x.
template <class V>
TGM_INLINE V log_of_special(V x, V y) {
  using T = Element<V>;
  y = (x < infinity<V>()) ? y : x;  // infinity, NaN
  y = (x == T(0)) ? -infinity<V>() : y;
  return (x < T(0)) ? not_a_number<V>() : y;
}

template <class V>
TGM_INLINE V vlog(V x) {
  V k;
  const V f = split_any_exponent(x, &k);
  return log_of_special(x, log_reduced(f, k, V{}));
}

// log(1 + x): where 1 + x rounds, the correction c gives back what was lost.
template <class V>
TGM_INLINE V vlog1p(V x) {
  using T = Element<V>;
  using C = LogConstants<T>;
  const V u = x + T(1);
  V k;
  V f = split_exponent(u, &k);
  V c = ((x > T(1)) ? T(1) - (u - x) : x - (u - T(1))) / u;
  const auto direct = (x > C::sqrt_half - T(1)) & (x < C::sqrt_half * 2 - T(1));
  f = direct ? x : f;
  k = direct ? V{} : k;
  c = direct ? V{} : c;
  V y = log_reduced(f, k, c);
  y = ((x < infinity<V>()) & (x != T(0))) ? y : x;  // infinity, NaN, signed zero
  y = (x == T(-1)) ? -infinity<V>() : y;
  return (x < T(-1)) ? not_a_number<V>() : y;
}

// log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)).
template <class V>
TGM_INLINE V vsoftplus(V x) {
  return vmax(x, V{}) + vlog1p(vexp(-vabs(x)));
}

}  // namespace tgm::TGM_TARGET
