// conv2d_pool: conv2d, then the maximum of each block of pool_h x pool_w positions, then the
// epilogue; the convolution's own output is never stored.
//
//   x (N, C, H, W), w (O, C, KH, KW), extras (N, O, PH, PW)
//     -> y (N, O, PH, PW) [, winners uint8 (N, O, PH, PW, ceil(pool_h * pool_w / 8))]
// ints: stride_h, stride_w, pad_h, pad_w, flip, pool_h, pool_w. tapes: epilogue.
//
// With few taps and a 2 x 2 pool, vectors of windows (conv_planes.hpp). Else the pixels that the
// inner loop of conv_common.hpp works on together are those of one window. A window of four fits
// the registers: maximum and winners are formed there. Others pass through a small buffer. Bit i of
// `winners` says that the window's position i equals the maximum: ties are all set, and of a window
// with NaNs the NaNs.
#include "kernels/conv2d/check.hpp"
#include "kernels/conv2d/forward.hpp"
#include "kernels/conv2d/planes.hpp"
#include "kernels/core/table.hpp"
#include "math/basic.hpp"

namespace tgm::TGM_TARGET {
namespace {

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

TGM_INLINE int64_t buffered_pixels(const ConvShape& s) {
  return ceil_div(s.pool_size(), kPixels) * kPixels;
}

// What a unit of work needs to know.
template <class T>
struct PoolTile {
  const ConvShape& s;
  const Image<T>& images;
  const int64_t* offsets;
  const T* x;        // the image
  const T* filters;  // packed
  Span positions;
  T* maxima;  // [position][V vectors]
  T* marks;   // the same for the winners of windows of four; null where not wanted

  const T* origin(int64_t h, int64_t w) const {
    return x + h * s.pool_h * s.stride_h * images.stride[2] +
           w * s.pool_w * s.stride_w * images.stride[3];
  }
  int64_t inside(int64_t p) const {
    return p / s.pool_w * s.stride_h * images.stride[2] +
           p % s.pool_w * s.stride_w * images.stride[3];
  }
};

// Windows of four pixels, in registers.
template <class T, int V>
void pool_in_registers(const PoolTile<T>& tile) {
  constexpr int L = kLanes<T>;
  const ConvShape& s = tile.s;
  static_assert(kPixels == 4);
  const int64_t inside[kPixels] = {0, tile.inside(1), tile.inside(2), tile.inside(3)};
  T *maxima = tile.maxima, *marks = tile.marks;
  int64_t h = tile.positions.first / s.PW, w = tile.positions.first % s.PW;
  alignas(64) Accumulators<T, V> sums[kGroups];
  const T* pixels[kGroups][kPixels];
  for (int64_t q = tile.positions.first; q < tile.positions.last;) {
    int64_t n = 0;
    for (; n < kGroups && q < tile.positions.last; n++, q++) {
      for (int p = 0; p < kPixels; p++) pixels[n][p] = tile.origin(h, w) + inside[p];
      if (++w == s.PW) w = 0, h++;
    }
    accumulate_groups<T, V>(pixels, n, tile.offsets, s.taps(), tile.filters, sums);
    for (int64_t g = 0; g < n; g++) {
      keep_windows<T, V>(sums[g], maxima, marks, L);
      maxima += V * L;
      if (marks) marks += V * L;
    }
  }
}

// Where the winners of a filter's window are kept.
TGM_INLINE uint8_t* winners_of(const Tensor& winners, int64_t n, int64_t o, int64_t h, int64_t w) {
  const int64_t* stride = winners.stride;
  return winners.as<uint8_t>() + n * stride[0] + o * stride[1] + h * stride[2] + w * stride[3];
}

// Where the winners go that don't wait for a tile to be complete.
struct WinnersOut {
  const Tensor* winners;  // null: not wanted
  int64_t image, first_filter, n_filters;
};

// Windows of any size, through `buffer`: [pixel][V vectors].
template <class T, int V>
TGM_NOINLINE void pool_buffered(const PoolTile<T>& tile, T* buffer, const WinnersOut& out) {
  constexpr int L = kLanes<T>;
  const ConvShape& s = tile.s;
  const int64_t n = s.pool_size();
  for (int64_t q = tile.positions.first; q < tile.positions.last; q++) {
    const int64_t h = q / s.PW, w = q % s.PW;
    const T* const origin = tile.origin(h, w);
    for (int64_t first = 0; first < n; first += kPixels) {
      const T* pixels[kPixels];
      for (int p = 0; p < kPixels; p++) {
        pixels[p] = origin + tile.inside(std::min(first + p, n - 1));
      }
      Accumulators<T, V> acc;
      accumulate_taps<T, V>(pixels, tile.offsets, s.taps(), tile.filters, acc);
      T* group = buffer + first * V * L;
#pragma GCC unroll 32
      for (int p = 0; p < kPixels; p++) {
#pragma GCC unroll 32
        for (int v = 0; v < V; v++) store(group + (p * V + v) * L, acc[p][v]);
      }
    }
    T* const maxima = tile.maxima + (q - tile.positions.first) * V * L;
    for (int v = 0; v < V; v++) {
      auto pixel = [&](int64_t p) { return load(buffer + (p * V + v) * L); };
      const Vec<T> top = pool_maximum<T>(n, pixel);
      store(maxima + v * L, top);
      if (!out.winners) continue;
      const int64_t lanes = std::min<int64_t>(L, out.n_filters - v * L);
      for (int64_t byte = 0; byte < s.winner_bytes(); byte++) {
        const auto marks =
            pool_winners<T>(8 * byte, std::min<int64_t>(8, n - 8 * byte), pixel, top);
        for (int64_t lane = 0; lane < lanes; lane++) {
          const int64_t o = out.first_filter + v * L + lane;
          uint8_t* to = winners_of(*out.winners, out.image, o, h, w);
          to[byte * out.winners->stride[4]] = static_cast<uint8_t>(marks[lane]);
        }
      }
    }
  }
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

// Vectors of windows: see conv_planes.hpp.
template <class T>
void run_plane_tiles(const ConvShape& s, const Args& args, int64_t chunk, int64_t n_chunks) {
  const Tensor* winners = args.n_out > 1 ? args.out + 1 : nullptr;
  alignas(64) T maxima[kTileElements], marks[kTileElements];
  auto keep = [&]<int F>(const Accumulators<T, F>& acc, int64_t offset, int64_t pitch) {
    keep_windows<T, F>(acc, maxima + offset, winners ? marks + offset : nullptr, pitch);
  };
  auto finish = [&](const PlaneTile& tile) {
    const int64_t first = tile.filters.first, size = tile.filters.last - first;
    for (int64_t f = 0; winners && f < size; f++) {
      store_winners(s, marks + f * tile.pitch, *winners, tile.image, first + f, tile.windows);
    }
    finish_tile(*args.tapes[0],
                {reinterpret_cast<const char*>(maxima), tile.pitch, 1, tile.image, first, size,
                 tile.windows.first, tile.count()},
                args.in + 2, args.out[0]);
  };
  run_planes<T>(s, args.in[0], args.workspace, chunk, n_chunks, keep, finish);
}

template <class T>
void run_tiles(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = conv_shape(args.in[0], args.in[1], args.ints, true);
  if (uses_planes<T>(s)) return run_plane_tiles<T>(s, args, chunk, n_chunks);
  const ForwardUnits<T> units(s);
  const ForwardWork<T> work = forward_work<T>(s, args.workspace);
  const Image<T> images = forward_image(s, args.in[0], work);
  const Tensor* winners = args.n_out > 1 ? args.out + 1 : nullptr;
  const bool in_registers = s.pool_size() == kPixels;
  T* buffer = work.window;
  if (!in_registers) buffer += chunk * buffered_pixels(s) * kMaxFilterVectors * kLanes<T>;
  alignas(64) T maxima[kTileElements], marks[kTileElements], rows[kTileElements];
  const Span span = span_of(units.count(), chunk, n_chunks);
  for (int64_t unit = span.first; unit < span.last; unit++) {
    const ForwardTile<T> tile(units, work, images, s.taps(), unit);
    const int64_t first = units.blocks.first(tile.block), size = units.blocks.size(tile.block);
    const int64_t width = units.blocks.width(tile.block);
    const int64_t n = tile.positions.last - tile.positions.first;
    const PoolTile<T> pool{s,
                           images,
                           work.offsets,
                           tile.x,
                           tile.filters,
                           tile.positions,
                           maxima,
                           winners ? marks : nullptr};
    with_width<kMaxFilterVectors>(width, [&]<int V>() {
      if (in_registers) return pool_in_registers<T, V>(pool);
      pool_buffered<T, V>(pool, buffer, {winners, tile.image, first, size});
    });
    if (winners && in_registers) {
      transpose(marks, width * kLanes<T>, rows, n, n, size);
      for (int64_t r = 0; r < size; r++) {
        store_winners(s, rows + r * n, *winners, tile.image, first + r, tile.positions);
      }
    }
    transpose(maxima, width * kLanes<T>, rows, n, n, size);
    finish_tile(*args.tapes[0],
                {reinterpret_cast<const char*>(rows), n, 1, tile.image, first, size,
                 tile.positions.first, n},
                args.in + 2, args.out[0]);
  }
}

ConvShape shape(const Args& args) { return conv_shape(args.in[0], args.in[1], args.ints, true); }

template <class T>
int64_t unit_chunks(const Args& args) {
  return forward_chunks<T>(shape(args));
}

template <class T>
int64_t pack_chunk_count(const Args& args) {
  return forward_pack_chunks<T>(shape(args));
}

template <class T>
size_t work_bytes(const Args& args) {
  return forward_bytes<T>(shape(args));
}

int64_t pack_chunks(const Args& args) {
  return TGM_FLOATS(args.in[0].dtype, pack_chunk_count, args);
}

void pack(const Args& args, int64_t chunk, int64_t n_chunks) {
  TGM_FLOATS(args.in[0].dtype, forward_pack, shape(args), args.in[0], args.in[1], args.workspace,
             chunk, n_chunks);
}

int64_t chunks(const Args& args) { return TGM_FLOATS(args.in[0].dtype, unit_chunks, args); }

void run(const Args& args, int64_t chunk, int64_t n_chunks) {
  TGM_FLOATS(args.in[0].dtype, run_tiles, args, chunk, n_chunks);
}

size_t workspace_bytes(const Args& args) { return TGM_FLOATS(args.in[0].dtype, work_bytes, args); }

const char* invalid(const Args& args) { return check_conv(args, {0, 1, kOut, kOut + 1, 2, true}); }

}  // namespace

extern const Kernel conv2d_pool_kernel = {
    "conv2d_pool", 2, {{pack_chunks, pack}, {chunks, run}}, workspace_bytes, invalid};

}  // namespace tgm::TGM_TARGET
