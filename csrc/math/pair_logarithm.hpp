// The logarithm of doubles to about 64 bits, and what is made of it: log2, log10 and the inverse
// hyperbolic functions. With so many bits to spare each of them is rounded once, at its end.
//
// Floats go through double, where the plain logarithm has bits to spare.
#pragma once

#include "math/logarithm.hpp"

namespace tgm::TGM_TARGET {

constexpr Pair<double> kLn2 = {0.6931471805599453, 2.3190468138462996e-17};
constexpr Pair<double> kLog2OfE = {1.4426950408889634, 2.0355273740931033e-17};
constexpr Pair<double> kLog10OfE = {0.4342944819032518, 1.098319650216765e-17};
// The high parts of these have 40 bits, so that products with exponents are exact.
constexpr Pair<double> kShortLn2 = {0.6931471805592082, 7.371002565167799e-13};
constexpr Pair<double> kShortLog10Of2 = {0.30102999566361177, 3.694239077158931e-13};
constexpr Pair<double> kTwoThirds = {0.6666666666666666, 3.700743415417188e-17};

// (2 atanh(s) - 2 s - 2/3 s^3) / s^5 as a polynomial of s^2.
constexpr double kPairLogPoly[] = {0.39999999999999997, 0.2857142857143291,  0.2222222222035335,
                                   0.18181818546274803, 0.15384577439192104, 0.13335584396591155,
                                   0.11688570316183304, 0.11883272869187297};

// log(1 + f) for f as `split_exponent` leaves it, with a relative error near 2^-64: s = f / (2 +
// f), s^2 and the first two terms of the series are pairs.
TGM_INLINE Pair<Doubles> log_of_mantissa(Pair<Doubles> f) {
  const Pair<Doubles> divisor = fast_two_sum(splat(2.0), f.high);
  const Pair<Doubles> s = divide(f, {divisor.high, divisor.low + f.low});
  const Pair<Doubles> z = multiply(s, s);
  const Pair<Doubles> factor =
      fast_two_sum(splat(kTwoThirds.high), z.high * polynomial(z.high, kPairLogPoly));
  const Pair<Doubles> rest = multiply(multiply(s, z), {factor.high, factor.low + kTwoThirds.low});
  const Pair<Doubles> sum = fast_two_sum(s.high * 2, rest.high);
  return fast_two_sum(sum.high, sum.low + (s.low * 2 + rest.low));
}

// The natural logarithm of a finite pair above 0.
TGM_INLINE Pair<Doubles> pair_log(Pair<Doubles> x) {
  Doubles k;
  const Doubles f = split_any_exponent(x.high, &k);
  Doubles scale[2];  // 2^-k
  split_scale(-k, scale);
  const Pair<Doubles> y = log_of_mantissa(fast_two_sum(f, x.low * scale[0] * scale[1]));
  const Pair<Doubles> sum = fast_two_sum(k * kShortLn2.high, y.high);
  return fast_two_sum(sum.high, sum.low + (k * kShortLn2.low + y.low));
}

// --- log2 and log10 --------------------------------------------------------------------------

template <class V>
TGM_INLINE V vlog2(V x) {
  if constexpr (std::is_same_v<Element<V>, float>) {
    const auto f = [](Doubles x) {
      Doubles k;
      const Doubles f = split_exponent(x, &k);
      return log_of_special(x, k + log_reduced(f, Doubles{}, Doubles{}) * kLog2OfE.high);
    };
    return through_double(f, x);
  } else {
    V k;
    const V f = split_any_exponent(x, &k);
    const Pair<V> y = multiply(log_of_mantissa({f, V{}}), splat_pair(kLog2OfE));
    const Pair<V> sum = fast_two_sum(k, y.high);
    return log_of_special(x, sum.high + (sum.low + y.low));
  }
}

template <class V>
TGM_INLINE V vlog10(V x) {
  if constexpr (std::is_same_v<Element<V>, float>) {
    return through_double([](Doubles x) { return vlog(x) * kLog10OfE.high; }, x);
  } else {
    V k;
    const V f = split_any_exponent(x, &k);
    const Pair<V> y = multiply(log_of_mantissa({f, V{}}), splat_pair(kLog10OfE));
    const Pair<V> sum = fast_two_sum(k * kShortLog10Of2.high, y.high);
    return log_of_special(x, sum.high + (sum.low + (k * kShortLog10Of2.low + y.low)));
  }
}

// --- inverse hyperbolic functions ------------------------------------------------------------

constexpr double kTiny = 0x1p-28;   // below it arcsinh(x) and arctanh(x) are x
constexpr double kLarge = 0x1p+28;  // above it arcsinh(x) and arccosh(x) are log(2 x)

// log(x + sqrt(x^2 + sign)) for x > 0.
template <int sign>
TGM_INLINE Doubles log_with_root(Doubles x) {
  const auto large = x > kLarge;
  const Doubles a = large ? splat(1.0) : x;
  const Pair<Doubles> root =
      square_root(add(two_product(a, a), Pair<Doubles>{splat(double(sign)), Doubles{}}));
  const Pair<Doubles> sum = add(root, Pair<Doubles>{a, Doubles{}});
  const Pair<Doubles> y = pair_log({large ? x : sum.high, large ? Doubles{} : sum.low});
  const Pair<Doubles> doubled = add(y, splat_pair(kLn2));
  return large ? doubled.high : y.high + y.low;
}

// log(x + sqrt(x^2 + 1)), as log1p(x + x^2 / (1 + sqrt(x^2 + 1))) where it goes through double.
template <class V>
TGM_INLINE V varcsinh(V x) {
  if constexpr (std::is_same_v<Element<V>, float>) {
    const auto f = [](Doubles x) {
      const Doubles a = vabs(x), square = a * a;
      const Doubles y = vlog1p(a + square / (1 + vsqrt(1 + square)));
      return with_sign_of((a < infinity<Doubles>()) ? y : a, x);
    };
    return through_double(f, x);
  } else {
    const V a = vabs(x);
    const V y = (a < kTiny) ? a : log_with_root<1>(a);
    return with_sign_of((a < infinity<V>()) ? y : a, x);
  }
}

// log(x + sqrt(x^2 - 1)), as log1p of one less where it goes through double.
template <class V>
TGM_INLINE V varccosh(V x) {
  if constexpr (std::is_same_v<Element<V>, float>) {
    const auto f = [](Doubles x) {
      const Doubles t = x - 1;
      const Doubles y = vlog1p(t + vsqrt(t * (t + 2)));
      return (t < 0) ? not_a_number<Doubles>() : y;
    };
    return through_double(f, x);
  } else {
    const V y = (x < infinity<V>()) ? log_with_root<-1>(x) : x;
    return (x < 1) ? not_a_number<V>() : y;
  }
}

// log((1 + x) / (1 - x)) / 2, as log1p(2 x / (1 - x)) / 2 where it goes through double.
template <class V>
TGM_INLINE V varctanh(V x) {
  if constexpr (std::is_same_v<Element<V>, float>) {
    const auto f = [](Doubles x) {
      const Doubles a = vabs(x);
      return with_sign_of(vlog1p(2 * a / (1 - a)) * 0.5, x);
    };
    return through_double(f, x);
  } else {
    const V a = vabs(x);
    const Pair<V> ratio = divide(fast_two_sum(splat(1.0), a), fast_two_sum(splat(1.0), -a));
    const Pair<V> log = pair_log(ratio);
    V y = (a < kTiny) ? a : (log.high + log.low) * 0.5;
    y = (a == 1) ? infinity<V>() : y;
    return with_sign_of((a <= 1) ? y : not_a_number<V>(), x);
  }
}

}  // namespace tgm::TGM_TARGET
