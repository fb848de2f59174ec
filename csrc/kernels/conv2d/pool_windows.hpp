// The maximum of a window of the pool, and which of its positions win, for a vector of filters or
// of windows at a time. Bit i of the winners says that position i equals the maximum: ties are all
// set, and of a window with NaNs the NaNs.
#pragma once

#include "kernels/conv2d/filter_vectors.hpp"
#include "math/basic.hpp"
#include "simd.hpp"

namespace tgm::TGM_TARGET {

template <class T>
using Mask = decltype(Vec<T>{} == Vec<T>{});

// The maximum of n pixels; `pixel(p)` gives the values of one vector of filters.
template <class T, class Pixel>
TGM_INLINE Vec<T> pool_maximum(int64_t n, Pixel pixel) {
  Vec<T> top = pixel(0);
#pragma GCC unroll 4
  for (int64_t p = 1; p < n; p++) top = vmax(top, pixel(p));
  return top;
}

// The winners among the n <= 8 pixels from `first` on, as one byte in each lane.
template <class T, class Pixel>
TGM_INLINE Mask<T> pool_winners(int64_t first, int64_t n, Pixel pixel, Vec<T> top) {
  Mask<T> byte{};
#pragma GCC unroll 4
  for (int64_t i = 0; i < n; i++) {
    const Vec<T> x = pixel(first + i);
    byte |= ((x == top) | (x != x)) & (Mask<T>{} + (1 << i));
  }
  return byte;
}

// Maxima of V vectors of windows of four, and their winners unless `marks` is null, `step` apart.
// Where no lane has a NaN, half of the comparisons do; a window's sum is NaN if one of its pixels
// is (or for two infinities: then care does no harm).
template <class T, int V>
TGM_INLINE void keep_windows(const Accumulators<T, V>& acc, T* maxima, T* marks, int64_t step) {
  static_assert(kPixels == 4);
  Mask<T> has_nan{};
#pragma GCC unroll 32
  for (int v = 0; v < V; v++) {
    const Vec<T> sum = (acc[0][v] + acc[1][v]) + (acc[2][v] + acc[3][v]);
    has_nan |= sum != sum;
  }
  const bool careful = any(has_nan);
#pragma GCC unroll 32
  for (int v = 0; v < V; v++) {
    auto pixel = [&](int64_t p) { return acc[p][v]; };
    if (careful) [[unlikely]] {
      const Vec<T> top = pool_maximum<T>(kPixels, pixel);
      store(maxima + v * step, top);
      if (marks) store(marks + v * step, bits<Vec<T>>(pool_winners<T>(0, kPixels, pixel, top)));
      continue;
    }
    Vec<T> top = acc[0][v];
#pragma GCC unroll 4
    for (int p = 1; p < kPixels; p++) top = top > acc[p][v] ? top : acc[p][v];
    store(maxima + v * step, top);
    if (!marks) continue;
    Mask<T> byte{};
#pragma GCC unroll 4
    for (int p = 0; p < kPixels; p++) byte |= (acc[p][v] == top) & (Mask<T>{} + (1 << p));
    store(marks + v * step, bits<Vec<T>>(byte));
  }
}

// The first byte of the winners of filter o's window (h, w).
TGM_INLINE uint8_t* winners_of(const Tensor& winners, int64_t n, int64_t o, int64_t h, int64_t w) {
  const int64_t* stride = winners.stride;
  return winners.as<uint8_t>() + n * stride[0] + o * stride[1] + h * stride[2] + w * stride[3];
}

// One row of winners, one in each T, to the output's bytes.
template <class T>
void store_winners(const ConvShape& s, const T* from, const Tensor& winners, int64_t image,
                   int64_t row, Span positions) {
  using Lane = Element<Mask<T>>;
  const int64_t n = positions.last - positions.first;
  const bool even = winners.stride[2] == s.PW * winners.stride[3] || s.PH == 1;
  uint8_t* to = winners_of(winners, image, row, 0, 0);
  if (even && winners.stride[3] == 1) {
    to += positions.first;
    for (int64_t i = 0; i < n; i++) {
      Lane lane;
      std::memcpy(&lane, from + i, sizeof lane);
      to[i] = static_cast<uint8_t>(lane);
    }
    return;
  }
  for (int64_t i = 0; i < n; i++) {
    Lane lane;
    std::memcpy(&lane, from + i, sizeof lane);
    const int64_t q = positions.first + i;
    to[q / s.PW * winners.stride[2] + q % s.PW * winners.stride[3]] = static_cast<uint8_t>(lane);
  }
}

}  // namespace tgm::TGM_TARGET
