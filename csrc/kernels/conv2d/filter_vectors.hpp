// The inner loop whose vectors run over filters: a convolution's result is made of it, and its
// input's gradient, where channels take the place of filters.
//
// It keeps kPixels output pixels x up to kMaxFilterVectors vectors of filters in registers. For
// each tap (c, kh, kw) it loads the filters' vectors, which are packed one after the other, and one
// broadcast value per pixel, straight from the image: no im2col. Filters are padded to whole
// vectors with zeros and pixels to whole groups by repeating one, so there is no other code for
// remainders and every output adds its taps in the same order with the same rounding: equal patches
// give equal bits. A table holds each tap's offset in the image; strides, flips and channels are
// worked out there once, and the loop knows nothing of them.
#pragma once

#include <algorithm>
#include <cstring>

#include "kernels/conv2d/geometry.hpp"
#include "kernels/core/chunks.hpp"
#include "kernels/core/registers.hpp"
#include "kernels/core/transpose.hpp"
#include "simd.hpp"

namespace tgm::TGM_TARGET {

// Output pixels and vectors of filters whose sums are in registers at once.
constexpr int kPixels = 4;
constexpr int kMaxFilterVectors = kAccumulators / kPixels;

// Filters in blocks of up to kMaxFilterVectors vectors, as even as possible. A block's filters are
// packed [tap][filter of the block], blocks one after the other.
template <class T>
struct FilterBlocks {
  int64_t filters, vectors, count;

  explicit FilterBlocks(int64_t n)
      : filters(n), vectors(ceil_div(n, kLanes<T>)), count(ceil_div(vectors, kMaxFilterVectors)) {}

  int64_t first_vector(int64_t block) const {
    return block * (vectors / count) + std::min(block, vectors % count);
  }
  int64_t first(int64_t block) const { return first_vector(block) * kLanes<T>; }
  int64_t width(int64_t block) const { return first_vector(block + 1) - first_vector(block); }
  int64_t size(int64_t block) const { return std::min(filters, first(block + 1)) - first(block); }
  int64_t packed_size(int64_t taps) const { return vectors * kLanes<T> * taps; }
};

template <class T, int V>
using Accumulators = Vec<T>[kPixels][V];

template <class T, int V>
TGM_INLINE void clear(Accumulators<T, V>& acc) {
#pragma GCC unroll 32
  for (int p = 0; p < kPixels; p++) {
#pragma GCC unroll 32
    for (int v = 0; v < V; v++) acc[p][v] = Vec<T>{};
  }
}

// acc[p][v] += sum over taps of pixel[p][offset of tap] * filters[tap][v], in the order of the
// taps.
template <class T, int V>
TGM_INLINE void add_taps(const T* const (&pixel)[kPixels], const int64_t* offsets, int64_t n_taps,
                         const T* filters, Accumulators<T, V>& acc) {
  for (int64_t t = 0; t < n_taps; t++) {
    const int64_t offset = offsets[t];
    Vec<T> filter[V];
#pragma GCC unroll 32
    for (int v = 0; v < V; v++) filter[v] = load(filters + v * kLanes<T>);
#pragma GCC unroll 32
    for (int p = 0; p < kPixels; p++) {
      const Vec<T> x = splat<T>(pixel[p][offset]);
#pragma GCC unroll 32
      for (int v = 0; v < V; v++) acc[p][v] = fmadd(x, filter[v], acc[p][v]);
    }
    filters += V * kLanes<T>;
  }
}

// The same from zero.
template <class T, int V>
TGM_INLINE void accumulate_taps(const T* const (&pixel)[kPixels], const int64_t* offsets,
                                int64_t n_taps, const T* filters, Accumulators<T, V>& acc) {
  clear<T, V>(acc);
  add_taps<T, V>(pixel, offsets, n_taps, filters, acc);
}

constexpr int64_t kGroups = 16;               // of four pixels that share a stretch of taps
constexpr int64_t kStretchBytes = 20 * 1024;  // of filters: with sums and pixels they fit L1

// sums[group][pixel][vector][lane] = the sums of a block of filters at the four pixels of each of n
// groups. Filters of many taps exceed the first-level cache, and so do the pixels under them.
// Therefore all groups add one stretch of taps, whose filters and channels stay there, before the
// next; each sum still adds its taps in their order.
template <class T, int V>
TGM_NOINLINE void accumulate_groups(const T* const (*pixels)[kPixels], int64_t n,
                                    const int64_t* offsets, int64_t n_taps, const T* filters,
                                    T* sums) {
  constexpr int64_t kStretch = kStretchBytes / (V * kVectorBytes);
  const int64_t stretches = std::max<int64_t>(1, ceil_div(n_taps, kStretch));
  for (int64_t i = 0; i < stretches; i++) {
    const Span taps = span_of(n_taps, i, stretches);
    T* group = sums;
    for (int64_t g = 0; g < n; g++, group += kPixels * V * kLanes<T>) {
      Accumulators<T, V> acc;
      if (i == 0) {
        clear<T, V>(acc);
      } else {
#pragma GCC unroll 32
        for (int p = 0; p < kPixels; p++) {
#pragma GCC unroll 32
          for (int v = 0; v < V; v++) acc[p][v] = load(group + (p * V + v) * kLanes<T>);
        }
      }
      add_taps<T, V>(pixels[g], offsets + taps.first, taps.last - taps.first,
                     filters + taps.first * V * kLanes<T>, acc);
#pragma GCC unroll 32
      for (int p = 0; p < kPixels; p++) {
#pragma GCC unroll 32
        for (int v = 0; v < V; v++) store(group + (p * V + v) * kLanes<T>, acc[p][v]);
      }
    }
  }
}

// Filters of one block to [tap][filter].
template <class T>
void pack_filters(const ConvShape& s, const Tensor& w, int64_t first, int64_t size, int64_t width,
                  T* to) {
  const int64_t taps = s.taps();
  if (size < width) std::memset(to, 0, taps * width * sizeof(T));
  const T* from = w.as<T>() + first * w.stride[0];
  if (w.stride[3] == 1 && w.stride[2] == s.KW && w.stride[1] == s.KH * s.KW) {
    return transpose(from, w.stride[0], to, width, size, taps);
  }
  for (int64_t t = 0; t < taps; t++) {
    const int64_t kw = t % s.KW, kh = t / s.KW % s.KH, c = t / (s.KW * s.KH);
    const T* tap = from + c * w.stride[1] + kh * w.stride[2] + kw * w.stride[3];
    for (int64_t o = 0; o < size; o++) to[t * width + o] = tap[o * w.stride[0]];
  }
}

}  // namespace tgm::TGM_TARGET
