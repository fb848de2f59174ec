// What the convolution kernels share: geometry, packed operands, and the inner loop.
//
// The inner loop keeps kPixels output pixels x up to kMaxFilterVectors vectors of filters in
// registers. For each tap (c, kh, kw) it loads the filters' vectors, which lie packed one after the
// other, and one broadcast value per pixel, straight from the image: no im2col. Filters are padded
// to whole vectors with zeros and pixels to whole groups by repeating one, so there is no other
// code for remainders and every output adds its taps in the same order with the same rounding:
// equal patches give equal bits. A table holds each tap's offset in the image; strides, flips and
// channels are worked out there once, and the loop knows nothing of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernel.hpp"
#include "kernels/core/by_dtype.hpp"
#include "kernels/core/chunks.hpp"
#include "kernels/core/registers.hpp"
#include "kernels/core/tile.hpp"
#include "kernels/core/transpose.hpp"
#include "kernels/core/workspace.hpp"
#include "simd.hpp"

namespace tgm::TGM_TARGET {

// Output pixels and vectors of filters whose sums are in registers at once.
constexpr int kPixels = 4;
constexpr int kMaxFilterVectors = kAccumulators / kPixels;

constexpr int64_t kMaxStrips = 64;  // accumulators or images that live in the workspace at once

// Sizes and parameters of a convolution y (N, O, OH, OW) of x (N, C, H, W) with w (O, C, KH, KW).
struct ConvShape {
  int64_t N, C, H, W, O, KH, KW;
  int64_t stride_h, stride_w, pad_h, pad_w;
  bool flip, pooled;
  int64_t pool_h, pool_w;  // 1, 1 without a pool
  int64_t OH, OW;          // of the convolution
  int64_t PH, PW;          // behind the pool

  int64_t padded_h() const { return H + 2 * pad_h; }
  int64_t padded_w() const { return W + 2 * pad_w; }
  int64_t taps() const { return C * KH * KW; }
  int64_t pool_size() const { return pool_h * pool_w; }
  int64_t winner_bytes() const { return (pool_size() + 7) / 8; }
  int64_t flops_per_position() const { return 2 * taps() * pool_size(); }
};

// x and w stand for any operands of these shapes.
inline ConvShape conv_shape(const Tensor& x, const Tensor& w, const int64_t* ints, bool pooled) {
  ConvShape s{};
  s.N = x.shape[0], s.C = x.shape[1], s.H = x.shape[2], s.W = x.shape[3];
  s.O = w.shape[0], s.KH = w.shape[2], s.KW = w.shape[3];
  s.stride_h = ints[0], s.stride_w = ints[1], s.pad_h = ints[2], s.pad_w = ints[3];
  s.flip = ints[4] != 0;
  s.pooled = pooled;
  s.pool_h = pooled ? ints[5] : 1;
  s.pool_w = pooled ? ints[6] : 1;
  s.OH = s.padded_h() < s.KH ? 0 : (s.padded_h() - s.KH) / s.stride_h + 1;
  s.OW = s.padded_w() < s.KW ? 0 : (s.padded_w() - s.KW) / s.stride_w + 1;
  s.PH = s.OH / s.pool_h;
  s.PW = s.OW / s.pool_w;
  return s;
}

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

// The image a kernel reads: x itself, or a zero-padded copy of it.
template <class T>
struct Image {
  const T* data;
  int64_t stride[4];  // n, c, h, w
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

}  // namespace tgm::TGM_TARGET
