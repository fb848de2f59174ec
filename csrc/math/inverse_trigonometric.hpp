// arcsin, arccos, arctan and arctan2.
//
// Arguments are brought to where a short odd polynomial serves; the constant that this adds, and
// what the reduced argument lost to rounding, are added as pairs.
#pragma once

#include "math/basic.hpp"

namespace tgm::TGM_TARGET {

template <class T>
struct ArcConstants;

template <>
struct ArcConstants<float> {
  static constexpr Pair<float> quarter_pi = {0.785398185f, -2.18556941e-8f};
  static constexpr Pair<float> half_pi = {1.57079637f, -4.37113883e-8f};
  static constexpr Pair<float> three_quarters_pi = {2.35619450f, -5.96244032e-9f};
  static constexpr Pair<float> pi = {3.14159274f, -8.74227766e-8f};
  // (arcsin(x) - x) / x^3 as a polynomial of x^2 up to 1/4.
  static constexpr float asin_poly[] = {0.16666754f, 0.07495252f, 0.045476034f, 0.024152158f,
                                        0.04221166f};
  // (arctan(x) - x) / x^3 as a polynomial of x^2, up to x = tan(pi/8).
  static constexpr float atan_poly[] = {-0.33333316f, 0.1999853f, -0.14244422f, 0.10599357f,
                                        -0.060903568f};
};

template <>
struct ArcConstants<double> {
  static constexpr Pair<double> quarter_pi = {0.7853981633974483, 3.061616997868383e-17};
  static constexpr Pair<double> half_pi = {1.5707963267948966, 6.123233995736766e-17};
  static constexpr Pair<double> three_quarters_pi = {2.356194490192345, 9.184850993605148e-17};
  static constexpr Pair<double> pi = {3.141592653589793, 1.2246467991473532e-16};
  static constexpr double asin_poly[] = {
      0.16666666666666763,  0.07499999999970264,  0.044642857175119975, 0.03038194268364009,
      0.022372215659989814, 0.017351600093335428, 0.013980961466921547, 0.011397775680944798,
      0.01078653140353819,  0.003683031763124389, 0.021763525352642765, -0.021077329131729793,
      0.032676911744075755};
  static constexpr double atan_poly[] = {
      -0.33333333333333326, 0.1999999999999767,  -0.1428571428538814,  0.11111111088185568,
      -0.09090908144793623, 0.07692282764317028, -0.06666226836051997, 0.05877022522350281,
      -0.0521840876033246,  0.04503566038002874, -0.0334748169186098,  0.015195492114962272};
};

// arcsin(s) - s for |s| <= 1/2, z = s^2.
template <class V>
TGM_INLINE V arcsin_rest(V s, V z) {
  return s * z * polynomial(z, ArcConstants<Element<V>>::asin_poly);
}

template <class V>
TGM_INLINE V varcsin(V x) {
  using T = Element<V>;
  constexpr Pair<T> half_pi = ArcConstants<T>::half_pi;
  const V a = vabs(x);
  const auto near = a <= T(0.5);
  const V z = near ? a * a : (1 - a) * T(0.5);
  const Pair<V> root = square_root(Pair<V>{z, V{}});
  const V s = near ? a : root.high;
  const V rest = arcsin_rest(s, z);
  const Pair<V> turned = fast_two_sum(splat(half_pi.high), s * -2);
  const V far = turned.high + (turned.low + (half_pi.low - 2 * (root.low + rest)));
  return with_sign_of(near ? a + rest : far, x);
}

// pi/2 - arcsin(x) near 0, 2 arcsin(sqrt((1 - x) / 2)) near 1, pi less that near -1.
template <class V>
TGM_INLINE V varccos(V x) {
  using T = Element<V>;
  using C = ArcConstants<T>;
  const V a = vabs(x);
  const auto near = a <= T(0.5);
  const auto negative = x < 0;
  const V z = near ? a * a : (1 - a) * T(0.5);
  const Pair<V> root = square_root(Pair<V>{z, V{}});
  const V s = near ? x : root.high + root.high;
  const V rest = near ? arcsin_rest(x, z) : 2 * (root.low + arcsin_rest(root.high, z));
  const auto plain = ~near & ~negative;
  const V base = near ? splat(C::half_pi.high) : splat(C::pi.high);
  const V base_rest = near ? splat(C::half_pi.low) : splat(C::pi.low);
  const Pair<V> sum = fast_two_sum(base, -s);
  return plain ? s + rest : sum.high + (sum.low + (base_rest - rest));
}

// arctan(t) - t.high for |t| <= tan(pi/8).
template <class V>
TGM_INLINE V arctan_rest(Pair<V> t) {
  const V z = t.high * t.high;
  const V low = t.low - t.low * z;  // the derivative is near 1 - z
  return fmadd(t.high * z, polynomial(z, ArcConstants<Element<V>>::atan_poly), low);
}

template <class V>
constexpr auto kTanPiOver8 = Element<V>(0.41421356237309503);

// arctan(x) = pi/4 + arctan((x - 1) / (x + 1)) = pi/2 + arctan(-1 / x).
template <class V>
TGM_INLINE V varctan(V x) {
  using T = Element<V>;
  using C = ArcConstants<T>;
  const V a = vmin(vabs(x), splat(T(0x1p60)));  // from there on it is pi/2
  const auto far = a > T(2.414213562373095), middle = (a > kTanPiOver8<V>)&~far;
  const V one = splat(T(1));
  const Pair<V> less = two_sum(a, -one), more = two_sum(a, one);
  const Pair<V> above = {far ? -one : middle ? less.high : a, middle ? less.low : V{}};
  const Pair<V> below = {far ? a : middle ? more.high : one, middle ? more.low : V{}};
  const Pair<V> t = divide(above, below);
  const V base = far ? splat(C::half_pi.high) : middle ? splat(C::quarter_pi.high) : V{};
  const V base_rest = far ? splat(C::half_pi.low) : middle ? splat(C::quarter_pi.low) : V{};
  const Pair<V> sum = fast_two_sum(base, t.high);
  return with_sign_of(sum.high + (sum.low + (base_rest + arctan_rest(t))), x);
}

// The angle of the point (x, y). With the smaller and the larger of |x| and |y| it is in the first
// octant, where arctan(small / large) = pi/4 + arctan((small - large) / (small + large)); each
// mirroring to another octant turns the sign of the arctan and adds to the quarters of pi before
// it.
TGM_INLINE Doubles arctan2_of_doubles(Doubles y, Doubles x) {
  const Doubles one = splat(1.0), endless = infinity<Doubles>();
  // Two infinities have the quotient 1 and two zeros 0, as in C.
  Doubles width = vabs(x), height = vabs(y);
  const auto unbounded = (width == endless) | (height == endless);
  const Doubles far_width = (width == endless) ? one : Doubles{};
  const Doubles far_height = (height == endless) ? one : Doubles{};
  width = unbounded ? far_width : width;
  height = unbounded ? far_height : height;
  const auto steep = height > width;
  Doubles small = steep ? width : height, large = steep ? height : width;
  large = (large == 0) ? one : large;
  // Away from the ends of the range, where products lose bits.
  const Doubles scale = (large > 0x1p500)    ? splat(0x1p-500)
                        : (large < 0x1p-400) ? splat(0x1p600)
                                             : one;
  small = small * scale;
  large = large * scale;

  const auto middle = small > large * kTanPiOver8<Doubles>;
  const Pair<Doubles> less = two_sum(small, -large), more = two_sum(large, small);
  const Pair<Doubles> above = {middle ? less.high : small, middle ? less.low : Doubles{}};
  const Pair<Doubles> below = {middle ? more.high : large, middle ? more.low : Doubles{}};
  Pair<Doubles> t = divide(above, below);
  const Doubles quotient = above.high / below.high;
  const auto tiny = vabs(quotient) < 0x1p-400;
  t = {tiny ? quotient : t.high, tiny ? Doubles{} : t.low};
  const Doubles rest = arctan_rest(t);

  const auto left = (bits<Vec<uint64_t>>(x) >> 63) != 0;
  Doubles quarters = middle ? one : Doubles{};
  quarters = steep ? 2 - quarters : quarters;
  quarters = left ? 4 - quarters : quarters;
  const Pair<Doubles> base =
      multiply({quarters, Doubles{}}, splat_pair(ArcConstants<double>::quarter_pi));
  const Doubles sign = (steep ^ left) ? -one : one;
  const Pair<Doubles> sum = fast_two_sum(base.high, sign * t.high);
  const Doubles angle = sum.high + (sum.low + (base.low + sign * rest));
  return ((x != x) | (y != y)) ? x + y : with_sign_of(angle, y);
}

template <class V>
TGM_INLINE V varctan2(V y, V x) {
  if constexpr (std::is_same_v<Element<V>, float>) {
    return through_double([](Doubles y, Doubles x) { return arctan2_of_doubles(y, x); }, y, x);
  } else {
    return arctan2_of_doubles(y, x);
  }
}

}  // namespace tgm::TGM_TARGET
