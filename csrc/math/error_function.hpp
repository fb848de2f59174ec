// erf and erfc.
//
// Near 0, erf(x) = x + x P(x^2). Further out erfc(x) = exp(-x^2) h(t) / (1 + 2 x), where h is one
// polynomial of t = (x - 3) / (x + 3) for all x (Shepherd and Laframboise, Chebyshev Approximation
// of (1 + 2x) exp(x^2) erfc x in 0 <= x < infinity, 1981). It depends little on t, but exp does on
// x^2, which is a pair, as the factors are. Floats go through double, with fewer terms.
#pragma once

#include "math/exponential.hpp"

namespace tgm::TGM_TARGET {

template <class Result>
struct ErfConstants;

template <>
struct ErfConstants<float> {  // in double
  static constexpr double near_poly[] = {0.12837916562882548,  -0.376126199091986,
                                         0.11283392729342248,  -0.026835419930471272,
                                         0.005115947263536083, -0.0006760818597292753};
  static constexpr double far_poly[] = {
      1.2530080576682074,    -0.13562109184976734,  -0.047562200008924305, 0.12964442205227208,
      -0.1192760496662171,   0.06831853872173294,   -0.02374915959823702,  0.002469542466365932,
      0.0018095904831132547, -0.0006355359336321331};
};

template <>
struct ErfConstants<double> {
  // erf(x) / x - 1 as a polynomial of x^2, for |x| <= 3/4.
  static constexpr double near_poly[] = {
      0.1283791670955126,      -0.37612638903183715,    0.11283791670952628,
      -0.02686617064443583,    0.005223977615504435,    -0.0008548326194264617,
      0.00012055289787432122,  -1.4924201741622234e-05, 1.6430765387717393e-06,
      -1.5940738462761394e-07, 1.1474860158502705e-08};
  // h(0), and (h - h(0)) / t as a polynomial of t, for x from 3/4 to 27.3.
  static constexpr Pair<double> far_first = {1.2530080582697296, 4.5276203702746546e-17};
  static constexpr double far_poly[] = {
      -0.13562110612458161,    -0.047562294353444265,  0.12964515870282348,
      -0.1192736634157768,     0.06830802734147133,    -0.023770514905241784,
      0.002529391860550958,    0.0018886901601764994,  -0.0007798326868104542,
      -0.00010515807528250741, 0.00012510151112486332, 4.94028669005379e-06,
      -2.0106690069605103e-05, -7.008871201767395e-07, 3.4799467214997637e-06,
      2.944827534173074e-07,   -6.134702036835614e-07, -6.888819204460783e-08,
      8.407074384158762e-08};
};

constexpr double kErfNear = 0.75;

// erf(x) - x for |x| <= 3/4.
template <class Result>
TGM_INLINE Doubles erf_rest(Doubles x) {
  return x * polynomial(x * x, ErfConstants<Result>::near_poly);
}

// erfc(a) for a >= 3/4.
template <class Result>
TGM_INLINE Doubles erfc_far(Doubles a) {
  using C = ErfConstants<Result>;
  a = vmin(a, splat(28.0));  // erfc is 0 from there on
  const Doubles t = (a - 3) / (a + 3);
  if constexpr (std::is_same_v<Result, float>) {
    return vexp(-(a * a)) * polynomial(t, C::far_poly) / (2 * a + 1);
  } else {
    const Pair<Doubles> square = two_product(a, a);
    const ExpParts<Doubles> e = exp_parts(-square.high);
    const Pair<Doubles> sum = fast_two_sum(splat(1.0), e.r);
    const Pair<Doubles> exp = {sum.high, sum.low + (e.low - square.low * (sum.high + e.low))};
    const Pair<Doubles> h = fast_two_sum(splat(C::far_first.high), t * polynomial(t, C::far_poly));
    const Pair<Doubles> factor =
        divide({h.high, h.low + C::far_first.low}, fast_two_sum(2 * a, splat(1.0)));
    const Pair<Doubles> y = multiply(exp, factor);
    return y.high * e.scale[0] * e.scale[1];
  }
}

template <class Result>
TGM_INLINE Doubles erf_of(Doubles x) {
  const Doubles a = vabs(x);
  const Doubles y = (a < kErfNear) ? a + erf_rest<Result>(a) : 1 - erfc_far<Result>(a);
  return with_sign_of(y, x);
}

template <class Result>
TGM_INLINE Doubles erfc_of(Doubles x) {
  const Doubles a = vabs(x);
  const Pair<Doubles> line = fast_two_sum(splat(1.0), -x);
  const Doubles near = line.high + (line.low - erf_rest<Result>(x));
  const Doubles far = erfc_far<Result>(a);
  return (a < kErfNear) ? near : (x < 0) ? 2 - far : far;
}

template <class V>
TGM_INLINE V verf(V x) {
  if constexpr (std::is_same_v<Element<V>, float>) {
    return through_double([](Doubles x) { return erf_of<float>(x); }, x);
  } else {
    return erf_of<double>(x);
  }
}

template <class V>
TGM_INLINE V verfc(V x) {
  if constexpr (std::is_same_v<Element<V>, float>) {
    return through_double([](Doubles x) { return erfc_of<float>(x); }, x);
  } else {
    return erfc_of<double>(x);
  }
}

}  // namespace tgm::TGM_TARGET
