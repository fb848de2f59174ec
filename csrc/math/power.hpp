// x^y = exp(y log |x|), with the sign of x where y is odd. y log |x| can be 709 and must be right
// to 2^-54, so the logarithm has to have about 64 bits; that of a float has them in double.
#pragma once

#include "math/exponential.hpp"
#include "math/pair_logarithm.hpp"

namespace tgm::TGM_TARGET {

// |x|^y for finite |x| > 0 and |y| <= 2^64. precise: to the last bit of a double.
template <bool precise>
TGM_INLINE Doubles power_of_finite(Doubles x, Doubles y) {
  if constexpr (precise) {
    const Pair<Doubles> log = pair_log({x, Doubles{}});
    const Pair<Doubles> product = two_product(y, log.high);
    const Doubles low =
        (vabs(product.high) < 1000) ? product.low + y * log.low : Doubles{};  // else 0 or infinity
    const ExpParts<Doubles> e = exp_parts(product.high);
    const Pair<Doubles> sum = fast_two_sum(splat(1.0), e.r);
    const Doubles power = sum.high + (sum.low + fmadd(low, sum.high + e.low, e.low));
    return power * e.scale[0] * e.scale[1];
  } else {
    Doubles k;
    const Doubles f = split_exponent(x, &k);
    return vexp(y * log_reduced(f, k, Doubles{}));
  }
}

// The rules for zeros, infinities and NaN are those of C.
template <bool precise>
TGM_INLINE Doubles power(Doubles x, Doubles y) {
  const Doubles a = vabs(x);
  // A larger exponent makes 0 or infinity of all but 1, and so does this one.
  const Doubles bound = splat(0x1p64);
  const Doubles exponent = vmin(vmax(y, -bound), bound);
  const auto edge = (a == 0) | (a == infinity<Doubles>());
  Doubles power = power_of_finite<precise>(edge ? splat(1.0) : a, exponent);
  const auto to_zero = (a == 0) ^ (y < 0);
  power = edge ? (to_zero ? Doubles{} : infinity<Doubles>()) : power;
  const Doubles half = y * 0.5;
  const auto whole = vtrunc(y) == y;
  const auto odd = whole & (vtrunc(half) != half);
  power = odd ? with_sign_of(power, x) : power;
  power = ((x < 0) & (x > -infinity<Doubles>()) & ~whole) ? not_a_number<Doubles>() : power;
  power = ((x != x) | (y != y)) ? x + y : power;
  return ((y == 0) | (x == 1)) ? splat(1.0) : power;
}

template <class V>
TGM_INLINE V vpow(V x, V y) {
  if constexpr (std::is_same_v<Element<V>, float>) {
    return through_double([](Doubles x, Doubles y) { return power<false>(x, y); }, x, y);
  } else {
    return power<true>(x, y);
  }
}

}  // namespace tgm::TGM_TARGET
