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
#include "kernels/tile.hpp"
#include "kernels/transpose.hpp"
#include "simd.hpp"

namespace tgm::TGM_TARGET {

constexpr int kPixels = 4;
// 16 vector registers hold 4 x 3 accumulators, 3 filter vectors and a broadcast; 32 hold 4 x 6.
#if defined(TGM_64_BYTE_VECTORS) || defined(__aarch64__)
constexpr int kMaxFilterVectors = 6;
#else
constexpr int kMaxFilterVectors = 3;
#endif
constexpr int64_t kTileElements = 4096;   // of one tile of results: 16 KiB of float32
constexpr int64_t kChunkFlops = 400'000;  // some 5 us: less isn't worth handing out
constexpr int64_t kPackFlops = 16;        // what copying an element costs, as arithmetic
constexpr int64_t kMaxStrips = 64;  // accumulators or images that live in the workspace at once

TGM_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

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

TGM_INLINE size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

// Cuts a workspace into aligned pieces; with a null start it only measures.
struct Pieces {
  char* start;
  size_t used = 0;

  template <class T>
  T* take(int64_t count) {
    T* piece = reinterpret_cast<T*>(start + used);
    used += aligned(count * sizeof(T));
    return piece;
  }
};

// Groups equal units of work into chunks of at least `kChunkFlops`.
TGM_INLINE int64_t chunks_for(int64_t units, int64_t flops_per_unit) {
  if (units == 0) return 0;
  const int64_t per_chunk =
      std::clamp<int64_t>(kChunkFlops / std::max<int64_t>(1, flops_per_unit), 1, units);
  return ceil_div(units, per_chunk);
}

// The units of a chunk: [first, last), as even as possible.
struct Span {
  int64_t first, last;
};
TGM_INLINE Span span_of(int64_t units, int64_t chunk, int64_t n_chunks) {
  return {units * chunk / n_chunks, units * (chunk + 1) / n_chunks};
}

// For functions around an inner loop: among the pointers of a larger function g++ 12 keeps those of
// the loop on the stack.
#define TGM_APART __attribute__((noinline))

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

// Calls f.template operator()<V>() with the constant V = width.
template <int V = kMaxFilterVectors, class F>
TGM_INLINE void with_width(int64_t width, F&& f) {
  if constexpr (V == 1) {
    f.template operator()<1>();
  } else {
    if (width == V) return f.template operator()<V>();
    with_width<V - 1>(width, f);
  }
}

// Dispatches on the dtype of the call's floats: RUN<float>(...) or RUN<double>(...).
#define TGM_FLOATS(dtype, RUN, ...) \
  ((dtype) == DType::Float32 ? RUN<float>(__VA_ARGS__) : RUN<double>(__VA_ARGS__))

}  // namespace tgm::TGM_TARGET
