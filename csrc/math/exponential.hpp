// exp, exp2, expm1, sigmoid, tanh, sinh and cosh.
//
// The reduction is the usual one (Muller, Elementary Functions, ch. 11): x = n ln 2 + r, and 2^n is
// put into the exponent. Polynomials are minimax fits on the reduced range. What r and the first
// term of the series lose to rounding is carried along, so that errors stay near the last rounding.
#pragma once

#include "math/basic.hpp"

namespace tgm::TGM_TARGET {

template <class T>
struct ExpConstants;

template <>
struct ExpConstants<float> {
  static constexpr float log2_e = 1.44269504f;
  static constexpr float ln2 = 0.693147182f;
  static constexpr float ln2_rest = -1.90465421e-9f;
  static constexpr float ln2_high = 0.693359375f;  // few bits: products with exponents are exact
  static constexpr float ln2_low = -2.12194440e-4f;
  static constexpr float lowest = -104.0f;  // exp is 0 below
  static constexpr float highest = 91.0f;   // exp and sinh are infinite above
  static constexpr float lowest_power = -151.0f;
  static constexpr float highest_power = 129.0f;
  // (exp(r) - 1 - r - r^2 / 2) / r^3 on |r| < ln(2) / 2, lowest power first.
  static constexpr float exp_poly[] = {1.6666666698e-1f, 4.1666550088e-2f, 8.3332996451e-3f,
                                       1.3926929028e-3f, 1.9900450256e-4f};
  // (cosh(r) - 1) / r^2 and (sinh(r) - r) / r^3 as polynomials of r^2.
  static constexpr float cosh_poly[] = {0.5f, 0.041666485f, 0.0013933078f};
  static constexpr float sinh_poly[] = {0.16666667f, 0.008333175f, 0.00019974096f};
  // (tanh(x) - x) / x^3 as a polynomial of x^2, on |x| < 0.625.
  static constexpr float tanh_poly[] = {-3.3333333183e-1f, 1.3333304981e-1f,  -5.3959549855e-2f,
                                        2.1770992940e-2f,  -8.3500004439e-3f, 2.2989341267e-3f};
};

template <>
struct ExpConstants<double> {
  static constexpr double log2_e = 1.4426950408889634;
  static constexpr double ln2 = 0.6931471805599453;
  static constexpr double ln2_rest = 2.3190468138462996e-17;
  static constexpr double ln2_high = 6.93147180369123816490e-1;
  static constexpr double ln2_low = 1.90821492927058770002e-10;
  static constexpr double lowest = -746.0;
  static constexpr double highest = 712.0;
  static constexpr double lowest_power = -1076.0;
  static constexpr double highest_power = 1025.0;
  static constexpr double exp_poly[] = {0.16666666666666667534,   0.041666666666666672868,
                                        0.0083333333333297933301, 0.0013888888888880284745,
                                        1.9841269864381354807e-4, 2.4801587335949985541e-5,
                                        2.7557266417390353823e-6, 2.7557262074441084949e-7,
                                        2.510134746342369964e-8,  2.0918974855687901272e-9};
  static constexpr double cosh_poly[] = {0.5,
                                         0.041666666666666685,
                                         0.0013888888888873283,
                                         2.48015873492021e-05,
                                         2.755725181989289e-07,
                                         2.092176974843548e-09};
  static constexpr double sinh_poly[] = {0.16666666666666666,    0.008333333333334426,
                                         0.00019841269837078855, 2.755732624240839e-06,
                                         2.5046763619822702e-08, 1.7584526139647634e-10};
  static constexpr double tanh_poly[] = {
      -0.33333333333333332965,   0.13333333333333058619,    -0.053968253967914366058,
      0.021869488519700626081,   -0.0088632351173938374016, 0.0035921219199766574143,
      -0.0014557766676573654739, 5.89666655782000806e-4,    -2.3760905710768864581e-4,
      9.2606241848586798997e-5,  -3.1238885103180359225e-5, 6.5027378476332281855e-6};
};

// exp(x) = (1 + r + low) * scale[0] * scale[1] with |r| <= ln(2) / 2. 2^n comes as two factors,
// since n runs from below the smallest normal exponent to above the largest.
template <class V>
struct ExpParts {
  V r;
  V low;   // the series from r^2 / 2 on, and what r lost to rounding
  V lost;  // the latter alone
  V n;
  V scale[2];
};

template <class V>
TGM_INLINE void split_scale(V n, V (&scale)[2]) {
  using T = Element<V>;
  using F = FloatFormat<T>;
  using I = BitsOf<V>;
  const V shifter = splat<T>(F::shifter);
  // The integer stands in the low bits of shifter + integer.
  const V half = n * T(0.5) + shifter;
  const V rest = (n - (half - shifter)) + shifter;
  const I one = bits<I>(splat<T>(T(1))) - (bits<I>(shifter) << F::mantissa_bits);
  scale[0] = bits<V>((bits<I>(half) << F::mantissa_bits) + one);
  scale[1] = bits<V>((bits<I>(rest) << F::mantissa_bits) + one);
}

// The series of exp from r^2 / 2 on.
template <class V>
TGM_INLINE V exp_tail(V r) {
  using T = Element<V>;
  return r * r * fmadd(polynomial(r, ExpConstants<T>::exp_poly), r, splat<T>(T(0.5)));
}

template <class V>
TGM_INLINE ExpParts<V> exp_parts(V x) {
  using T = Element<V>;
  using C = ExpConstants<T>;
  const V shifter = splat<T>(FloatFormat<T>::shifter);
  x = vmin(vmax(x, splat<T>(C::lowest)), splat<T>(C::highest));
  ExpParts<V> e;
  e.n = fmadd(x, splat<T>(C::log2_e), shifter) - shifter;
  const V high = x - e.n * C::ln2_high;
  e.r = high - e.n * C::ln2_low;
  e.lost = (high - e.r) - e.n * C::ln2_low;
  e.low = exp_tail(e.r) + e.lost;
  split_scale(e.n, e.scale);
  return e;
}

template <class V>
TGM_INLINE V vexp(V x) {
  using T = Element<V>;
  const ExpParts<V> e = exp_parts(x);
  return ((e.low + e.r) + T(1)) * e.scale[0] * e.scale[1];
}

// 2^x with r = (x - n) ln 2.
template <class V>
TGM_INLINE V vexp2(V x) {
  using T = Element<V>;
  using C = ExpConstants<T>;
  const V shifter = splat<T>(FloatFormat<T>::shifter);
  x = vmin(vmax(x, splat<T>(C::lowest_power)), splat<T>(C::highest_power));
  const V n = (x + shifter) - shifter;
  const V fraction = x - n;
  const Pair<V> r = two_product(fraction, splat<T>(C::ln2));
  const V low = exp_tail(r.high) + (r.low + fraction * C::ln2_rest);
  V scale[2];
  split_scale(n, scale);
  return ((low + r.high) + T(1)) * scale[0] * scale[1];
}

// exp(x) - 1 = (2^n - 1) + 2^n r + 2^n low, added from the left.
template <class V>
TGM_INLINE V vexpm1(V x) {
  using T = Element<V>;
  const ExpParts<V> e = exp_parts(x);
  const V scale = e.scale[0] * e.scale[1];
  const Pair<V> sum = fast_two_sum(scale - T(1), e.r * scale);
  const V y = sum.high + (sum.low + e.low * scale);
  // For large n the scale may overflow before the result does.
  const V large = ((e.low + e.r) + T(1)) * e.scale[0] * e.scale[1];
  return with_sign_of((e.n > T(60)) ? large : y, x);
}

template <class V>
TGM_INLINE V vtanh(V x) {
  using T = Element<V>;
  const V a = vabs(x);
  const V square = x * x;
  const V near = fmadd(x * square, polynomial(square, ExpConstants<T>::tanh_poly), x);
  const V far = T(1) - T(2) / (vexp(a + a) + T(1));
  return with_sign_of((a < T(0.625)) ? near : far, x);
}

// With e = exp(-|x|), which never overflows: 1 / (1 + e), or e / (1 + e) for x < 0. What 1 + t and
// 1 + e lose to rounding is given back at the end, divided by a line close to 1 + e.
template <class V>
TGM_INLINE V vsigmoid(V x) {
  using T = Element<V>;
  const ExpParts<V> parts = exp_parts(-vabs(x));
  const V t = parts.low + parts.r;
  const V power = t + T(1);
  const V e = power * parts.scale[0] * parts.scale[1];
  const V e_lost = (t - (power - T(1))) * parts.scale[0] * parts.scale[1];
  const V sum = e + T(1);
  const V sum_lost = (e - (sum - T(1))) + e_lost;
  const auto negative = x < T(0);
  const V y = (negative ? e : splat<T>(T(1))) / sum;
  const V rest = (negative ? e_lost : V{}) - y * sum_lost;
  return y + rest * (T(1.4571) - sum * T(0.5));
}

// sinh and cosh of n ln 2 + r, for |x| with exp(|x|) = e.
//
//   sinh(n ln 2) = p - q and cosh(n ln 2) = p + q with p = 2^(n - 1), q = 2^(-n - 1), so
//   sinh(x) = (p - q) cosh(r) + (p + q) sinh(r),  cosh(x) = (p + q) cosh(r) + (p - q) sinh(r).
//
// Both sums start with their largest terms, p -+ q and p r. `sign` is -1 for sinh and 1 for cosh.
template <int sign, class V>
TGM_INLINE V hyperbolic(const ExpParts<V>& e) {
  using T = Element<V>;
  using C = ExpConstants<T>;
  const V p = e.scale[0] * e.scale[1] * T(0.5);
  const V q = T(0.25) / p;
  const V first = p + sign * q, other = p - sign * q;
  const V first_lost = (p - first) + sign * q;
  const V square = e.r * e.r;
  const V cosh_r = fmadd(square, polynomial(square, C::cosh_poly), e.lost * e.r);  // less 1
  const V sinh_r = fmadd(square * e.r, polynomial(square, C::sinh_poly), e.lost);  // less r
  // For n = 0 that is 0 + r or 1 + 0, of which halves would lose bits of denormals.
  const auto near = e.n == T(0);
  const Pair<V> sum = fast_two_sum(first, near ? (sign < 0 ? e.r : V{}) : p * e.r);
  const V rest = fmadd(first, cosh_r, other * sinh_r) - (near ? V{} : sign * q * e.r);
  const V y = sum.high + (sum.low + (first_lost + rest));
  const V large = ((e.low + e.r) + T(1)) * (e.scale[0] * T(0.5)) * e.scale[1];
  return (e.n > T(60)) ? large : y;
}

template <class V>
TGM_INLINE V vsinh(V x) {
  return with_sign_of(hyperbolic<-1>(exp_parts(vabs(x))), x);
}

template <class V>
TGM_INLINE V vcosh(V x) {
  return hyperbolic<1>(exp_parts(vabs(x)));
}

}  // namespace tgm::TGM_TARGET
