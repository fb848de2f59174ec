// sin, cos and tan.
//
// x = n pi/2 + r with |r| <= pi/4. Up to 2^20 pi/2, n times the first parts of pi/2 (33 bits each)
// is exact, and r comes out as a pair (Cody and Waite's reduction). Beyond it, x is reduced one by
// one, by as many bits of 2/pi as the exponent asks for (Payne and Hanek).
//
// Floats go through double, where r needs no second term and shorter polynomials do.
#pragma once

#include "math/basic.hpp"

namespace tgm::TGM_TARGET {

template <class Result>
struct TrigConstants;

template <>
struct TrigConstants<float> {  // in double
  // (sin(r) - r) / r^3 and (cos(r) - 1 + r^2 / 2) / r^4 as polynomials of r^2.
  static constexpr double sin_poly[] = {-0.16666654908517198, 0.008332175744041801,
                                        -0.0001951695186170894};
  static constexpr double cos_poly[] = {0.041666646809730985, -0.0013887364559648607,
                                        2.4438094573603884e-05};
};

template <>
struct TrigConstants<double> {
  static constexpr double sin_poly[] = {-0.16666666666666632,    0.008333333333322472,
                                        -0.00019841269829835558, 2.7557313697257526e-06,
                                        -2.5050758475231173e-08, 1.5896796110599828e-10};
  static constexpr double cos_poly[] = {0.04166666666666665,    -0.0013888888888881695,
                                        2.48015872936545e-05,   -2.7557315437406333e-07,
                                        2.0875857984857294e-09, -1.136608876672695e-11};
};

// pi/2 in parts of 33 bits, and what is left.
constexpr double kHalfPiParts[] = {1.5707963267341256, 6.077100506303966e-11,
                                   2.0222662487111665e-21, 8.4784276603689e-32};
constexpr Pair<double> kHalfPi = {1.5707963267948966, 6.123233995736766e-17};
constexpr double kTwoOverPi = 0.6366197723675814;
constexpr double kMostReduced = 1647099.0;  // 2^20 pi/2

struct Angle {
  double high;
  double low;
  uint64_t quadrant;
};

// The first 1280 bits of 2/pi.
constexpr uint64_t kTwoOverPiBits[] = {
    0xa2f9836e4e441529, 0xfc2757d1f534ddc0, 0xdb6295993c439041, 0xfe5163abdebbc561,
    0xb7246e3a424dd2e0, 0x06492eea09d1921c, 0xfe1deb1cb129a73e, 0xe88235f52ebb4484,
    0xe99c7026b45f7e41, 0x3991d639835339f4, 0x9c845f8bbdf9283b, 0x1ff897ffde05980f,
    0xef2f118b5a0a6d1f, 0x6d367ecf27cb09b7, 0x4f463f669e5fea2d, 0x7527bac7ebe5f17b,
    0x3d0739f78a5292ea, 0x6bfb5fb11f8d5d08, 0x56033046fc7b6bab, 0xf0cfbc209af4361d};

// A finite x above 2^20 in size: with x = m 2^e, only 192 bits of 2/pi matter: the earlier ones
// make multiples of 4 quadrants, the later ones are below 2^-137 of one.
[[maybe_unused]] __attribute__((noinline)) static Angle reduce_large(double x) {
  uint64_t pattern;
  std::memcpy(&pattern, &x, sizeof x);
  const uint64_t mantissa = (pattern & 0xfffffffffffff) | 0x10000000000000;
  const int exponent = static_cast<int>(pattern >> 52 & 0x7ff) - 1075;  // -32 to 971
  // The bits from 2^(1 - exponent) on: word 0 has those from 2^-1 to 2^-64.
  const int first = exponent - 2;
  uint64_t window[3];
  for (int i = 0; i < 3; i++) {
    const int bit = first + 64 * i;
    const int word = bit >> 6, shift = bit & 63;
    const uint64_t high = word < 0 ? 0 : kTwoOverPiBits[word];
    const uint64_t low = word + 1 < 0 ? 0 : kTwoOverPiBits[word + 1];
    window[i] = shift == 0 ? high : high << shift | low >> (64 - shift);
  }
  // mantissa * window, modulo 2^192: in units of 2^-190 quadrants.
  using Wide = unsigned __int128;
  const Wide bottom = static_cast<Wide>(mantissa) * window[2];
  const Wide middle = static_cast<Wide>(mantissa) * window[1] + static_cast<uint64_t>(bottom >> 64);
  const uint64_t top = mantissa * window[0] + static_cast<uint64_t>(middle >> 64);
  uint64_t quadrant = top >> 62;
  // The fraction, as 128 bits of a number in [-1/2, 1/2).
  Wide fraction = static_cast<Wide>(top << 2 | static_cast<uint64_t>(middle) >> 62) << 64;
  fraction |= static_cast<uint64_t>(middle) << 2 | static_cast<uint64_t>(bottom) >> 62;
  const bool above_half = fraction >> 127 != 0;
  if (above_half) {
    quadrant++;
    fraction = -fraction;
  }
  // Its leading 53 bits and 64 more, times pi/2.
  const auto upper = static_cast<uint64_t>(fraction >> 64);
  const int zeros = upper != 0 ? __builtin_clzll(upper)
                               : 64 + __builtin_clzll(static_cast<uint64_t>(fraction) | 1);
  const Wide digits = fraction << zeros;
  const double leading = __builtin_ldexp(static_cast<double>(digits >> 75), -53 - zeros);
  const auto following = static_cast<double>(static_cast<uint64_t>(digits >> 11));
  const double rest = __builtin_ldexp(following, -117 - zeros);
  const double high = leading * kHalfPi.high;
  const double lost = __builtin_fma(leading, kHalfPi.high, -high);
  const double low = lost + (leading * kHalfPi.low + rest * kHalfPi.high);
  const double sign = above_half != (x < 0) ? -1 : 1;
  return {sign * high, sign * low, x < 0 ? 0 - quadrant : quadrant};
}

// Angles as `reduce_large` gives them. Those of infinities are NaN.
struct Angles {
  Doubles high;
  Doubles low;
  Vec<uint64_t> quadrant;
};

template <class Result>
TGM_INLINE Angles reduce(Doubles x) {
  const Doubles shifter = splat(FloatFormat<double>::shifter);
  const Doubles shifted = fmadd(x, splat(kTwoOverPi), shifter);
  const Doubles n = shifted - shifter;
  Angles angles{x - n * kHalfPiParts[0], Doubles{}, bits<Vec<uint64_t>>(shifted)};
  if constexpr (std::is_same_v<Result, float>) {
    angles.high -= n * (kHalfPiParts[1] + kHalfPiParts[2]);
  } else {
    const Pair<Doubles> second = two_sum(angles.high, -(n * kHalfPiParts[1]));
    const Pair<Doubles> third = two_sum(second.high, -(n * kHalfPiParts[2]));
    const Doubles low = (second.low + third.low) - n * kHalfPiParts[3];
    const Pair<Doubles> sum = fast_two_sum(third.high, low);
    angles.high = sum.high;
    angles.low = sum.low;
  }
  if (any(vabs(x) > kMostReduced)) {
    for (int i = 0; i < kLanes<double>; i++) {
      if (!(__builtin_fabs(x[i]) > kMostReduced)) continue;
      const Angle angle = reduce_large(x[i]);
      angles.high[i] = x[i] - x[i] == 0 ? angle.high : __builtin_nan("");
      angles.low[i] = angle.low;
      angles.quadrant[i] = angle.quadrant;
    }
  }
  return angles;
}

// sin and cos of a reduced angle. With z = r^2 and the low part l of r:
// sin = r + (l (1 - z/2) + r^3 S(z)), cos = (1 - z/2) + (z^2 C(z) - r l).
template <class Result>
TGM_INLINE Pair<Doubles> reduced_sin(const Angles& r, Doubles z) {
  const Doubles rest = r.low * (1 - z * 0.5);
  return fast_two_sum(r.high,
                      fmadd(r.high * z, polynomial(z, TrigConstants<Result>::sin_poly), rest));
}

template <class Result>
TGM_INLINE Pair<Doubles> reduced_cos(const Angles& r, Doubles z) {
  const Doubles half = rounded(z * 0.5);
  const Pair<Doubles> line = fast_two_sum(splat(1.0), -half);
  const Doubles rest = line.low - r.high * r.low;
  return fast_two_sum(line.high,
                      fmadd(z * z, polynomial(z, TrigConstants<Result>::cos_poly), rest));
}

TGM_INLINE auto odd(Vec<uint64_t> quadrant) { return (Vec<int64_t>)(quadrant << 63) < 0; }

// sin of x + turns * pi/2.
template <class Result, int turns>
TGM_INLINE Doubles turned_sin(Doubles x) {
  const Angles r = reduce<Result>(x);
  const Doubles z = r.high * r.high;
  const Vec<uint64_t> quadrant = r.quadrant + turns;
  const Pair<Doubles> sin = reduced_sin<Result>(r, z), cos = reduced_cos<Result>(r, z);
  const Doubles y = odd(quadrant) ? cos.high : sin.high;
  const Vec<uint64_t> sign = quadrant >> 1 << 63;
  return bits<Doubles>(bits<Vec<uint64_t>>(y) ^ sign);
}

template <class Result>
TGM_INLINE Doubles ratio_of_sin_and_cos(Doubles x) {
  const Angles r = reduce<Result>(x);
  const Doubles z = r.high * r.high;
  const Pair<Doubles> sin = reduced_sin<Result>(r, z), cos = reduced_cos<Result>(r, z);
  const auto swap = odd(r.quadrant);
  const Pair<Doubles> above = {swap ? -cos.high : sin.high, swap ? -cos.low : sin.low};
  const Pair<Doubles> below = {swap ? sin.high : cos.high, swap ? sin.low : cos.low};
  if constexpr (std::is_same_v<Result, float>) return above.high / below.high;
  return divide(above, below).high;
}

template <class V>
TGM_INLINE V vsin(V x) {
  V y;
  if constexpr (std::is_same_v<Element<V>, float>) {
    y = through_double([](Doubles x) { return turned_sin<float, 0>(x); }, x);
  } else {
    y = turned_sin<double, 0>(x);
  }
  return (x == 0) ? x : y;  // keeps the sign of a zero
}

template <class V>
TGM_INLINE V vcos(V x) {
  if constexpr (std::is_same_v<Element<V>, float>) {
    return through_double([](Doubles x) { return turned_sin<float, 1>(x); }, x);
  } else {
    return turned_sin<double, 1>(x);
  }
}

template <class V>
TGM_INLINE V vtan(V x) {
  V y;
  if constexpr (std::is_same_v<Element<V>, float>) {
    y = through_double([](Doubles x) { return ratio_of_sin_and_cos<float>(x); }, x);
  } else {
    y = ratio_of_sin_and_cos<double>(x);
  }
  return (x == 0) ? x : y;
}

}  // namespace tgm::TGM_TARGET
