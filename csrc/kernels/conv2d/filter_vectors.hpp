// Convolutions whose vectors run over filters: the forward ones, and the gradient of the input,
// where channels take the place of filters.
//
// The inner loop keeps kPixels output pixels x up to kMaxFilterVectors vectors of filters in
// registers, or twice as many pixels where the vectors are few. For each tap (c, kh, kw) it loads
// the filters' vectors, which are packed one after the other, and one broadcast value per pixel,
// straight from the image: no im2col. Filters are padded to whole vectors with zeros and pixels to
// whole groups by repeating one, so there is no other code for remainders and every output adds its
// taps in the same order with the same rounding: equal patches give equal bits. A table holds each
// tap's offset in the image, with strides, flips and channels; the loop knows nothing of them.
#pragma once

#include <algorithm>
#include <cstring>

#include "kernels/conv2d/geometry.hpp"
#include "kernels/core/long_sum.hpp"
#include "kernels/core/registers.hpp"
#include "kernels/core/row_copies.hpp"
#include "kernels/core/tile.hpp"
#include "kernels/core/transpose.hpp"

namespace tgm::TGM_TARGET {

// Output pixels and vectors of filters whose sums are in registers at once.
constexpr int kPixels = 4;
constexpr int kMaxFilterVectors = kAccumulators / kPixels;

template <class T, int V>
using Accumulators = RegisterTile<T, kPixels, V>;

// The taps of a block of filters: their offsets in the image, and the packed filters.
template <class T>
struct Taps {
  const int64_t* offsets;
  int64_t count;
  const T* filters;  // [tap][vector][lane]
  int64_t vectors;

  int64_t group() const { return kPixels * vectors * kLanes<T>; }  // elements of its sums
  Taps part(Span taps) const {
    return {offsets + taps.first, taps.last - taps.first,
            filters + taps.first * vectors * kLanes<T>, vectors};
  }
};

// Where the patches of the pixels that are worked on together begin.
template <class T>
struct Group {
  const T* pixel[kPixels];
};

constexpr int64_t kGroups = 16;             // that share a slice of taps
constexpr int64_t kSliceBytes = 20 * 1024;  // of filters: with sums and pixels they fit L1

// Groups whose sums are in registers at once. With one or two vectors of filters, the sums of one
// group are fewer than the multiply-adds that a processor has under way, and it would wait.
template <int V>
constexpr int kJoinedGroups = V * kPixels * 2 <= std::min(16, kAccumulators) ? 2 : 1;

// sums[pixel][vector][lane] += (or =, if `first`) the sums over taps, G groups at once.
template <class T, int V, int G>
TGM_INLINE void accumulate_groups(const Taps<T>& taps, bool first, const Group<T>* groups,
                                  T* sums) {
  constexpr int64_t row = V * kLanes<T>;
  RegisterTile<T, G * kPixels, V> acc;
  if (first) {
    acc.clear();
  } else {
    acc.read(sums, row);
  }
  const T* pixels[G * kPixels];
#pragma GCC unroll 32
  for (int p = 0; p < G * kPixels; p++) pixels[p] = groups[p / kPixels].pixel[p % kPixels];
  const T* filter = taps.filters;
  for (int64_t t = 0; t < taps.count; t++, filter += row) {
    const int64_t offset = taps.offsets[t];
    acc.add_products([&](int p) { return splat<T>(pixels[p][offset]); },
                     [&](int v) { return load(filter + v * kLanes<T>); });
  }
  acc.write(sums, row);
}

// sums[group][pixel][vector][lane] = the sums over taps of pixel[offset of tap] * filters[tap], for
// n groups. Filters of many taps exceed the first-level cache, and so do the pixels under them.
// Therefore all groups add one slice of taps, whose filters and channels stay there, before the
// next; each sum still adds its taps in order.
template <class T, int V>
TGM_NOINLINE void accumulate_vectors(const Taps<T>& taps, const Group<T>* groups, int64_t n,
                                     T* sums) {
  constexpr int G = kJoinedGroups<V>;
  constexpr int64_t kSlice = kSliceBytes / (V * kVectorBytes);
  const int64_t slices = std::max<int64_t>(1, ceil_div(taps.count, kSlice));
  for (int64_t i = 0; i < slices; i++) {
    const Taps<T> slice = taps.part(span_of(taps.count, i, slices));
    int64_t g = 0;
    for (; g + G <= n; g += G) {
      accumulate_groups<T, V, G>(slice, i == 0, groups + g, sums + g * taps.group());
    }
    for (; G > 1 && g < n; g++) {
      accumulate_groups<T, V, 1>(slice, i == 0, groups + g, sums + g * taps.group());
    }
  }
}

// Many taps in runs, for the error's sake (long_sum.hpp).
template <class T, int V>
TGM_NOINLINE void accumulate_runs(const Taps<T>& taps, const Group<T>* groups, int64_t n, T* sums) {
  alignas(64) T partial[kGroups * kPixels * V * kLanes<T>];
  const int64_t runs = ceil_div(taps.count, run_length(taps.count));
  for (int64_t i = 0; i < runs; i++) {
    const Taps<T> run = taps.part(span_of(taps.count, i, runs));
    accumulate_vectors<T, V>(run, groups, n, i == 0 ? sums : partial);
    for (int64_t j = 0; i > 0 && j < n * taps.group(); j++) sums[j] += partial[j];
  }
}

template <class T>
void accumulate(const Taps<T>& taps, const Group<T>* groups, int64_t n, T* sums) {
  with_width<kMaxFilterVectors>(taps.vectors, [&]<int V>() {
    const auto run = taps.count <= kFewTerms ? accumulate_vectors<T, V> : accumulate_runs<T, V>;
    run(taps, groups, n, sums);
  });
}

// A loop for each number of vectors: compiled with conv2d.cpp.
extern template void accumulate(const Taps<float>&, const Group<float>*, int64_t, float*);
extern template void accumulate(const Taps<double>&, const Group<double>*, int64_t, double*);

// Rows of pixels where the patches of output positions begin.
template <class T>
struct Positions {
  const T* first;
  int64_t row, column;  // from a position to the one below it, and beside it, in elements
  int64_t width;

  const T* at(int64_t h, int64_t w) const { return first + h * row + w * column; }
};

// Sums [position][vector][lane] of the positions of a span. The last group is filled up with copies
// of the last position.
template <class T>
void convolve_positions(const Taps<T>& taps, const Positions<T>& positions, Span span, T* sums) {
  int64_t h = span.first / positions.width, w = span.first % positions.width;
  Group<T> pixels[kGroups];
  for (int64_t q = span.first; q < span.last;) {
    int64_t n = 0;
    for (; n < kGroups && q < span.last; n++, q += kPixels) {
      for (int p = 0; p < kPixels; p++) {
        pixels[n].pixel[p] = positions.at(h, w);
        if (q + p + 1 >= span.last) continue;  // the last position fills the group
        if (++w == positions.width) w = 0, h++;
      }
    }
    accumulate(taps, pixels, n, sums);
    sums += n * taps.group();
  }
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

// Filters [filter][c][h][w] of any strides.
template <class T>
struct FilterView {
  const T* data;
  int64_t C, H, W;
  int64_t stride[4];

  static FilterView of(const Tensor& w) {
    return {w.as<T>(),
            w.shape[1],
            w.shape[2],
            w.shape[3],
            {w.stride[0], w.stride[1], w.stride[2], w.stride[3]}};
  }
  int64_t taps() const { return C * H * W; }
};

// `size` filters from `first` on to [tap][width], less than a vector of zeros behind them.
template <class T>
void pack_filters(const FilterView<T>& w, int64_t first, int64_t size, int64_t width, T* to) {
  const int64_t *stride = w.stride, taps = w.taps();
  for (int64_t t = 0; size < width && t < taps; t++) {
    T* const end = to + (t + 1) * width;
    if (width < kLanes<T>) {
      std::fill_n(end - width, width, T(0));
    } else {
      store(end - kLanes<T>, Vec<T>{});
    }
  }
  const T* from = w.data + first * stride[0];
  if (stride[3] == 1 && stride[2] == w.W && stride[1] == w.H * w.W) {
    return transpose(from, stride[0], to, width, size, taps);
  }
  for (int64_t c = 0; c < w.C; c++) {
    for (int64_t h = 0; h < w.H; h++) {
      const T* tap = from + c * stride[1] + h * stride[2];
      for (int64_t i = 0; i < w.W; i++, tap += stride[3], to += width) {
        for (int64_t f = 0; f < size; f++) to[f] = tap[f * stride[0]];
      }
    }
  }
}

// An image with zeros around: planes [c][height][width], each in `plane` elements, in which x
// begins in row `top` and column `left`.
struct PaddedPlanes {
  int64_t top, left, height, width, plane;
};

// Zeros from `to` to `last`, in vectors which may reach further, but not past `end`.
template <class T>
TGM_INLINE void clear_up_to(T* to, T* last, const T* end) {
  for (; to < last && end - to >= kLanes<T>; to += kLanes<T>) store(to, Vec<T>{});
  for (; to < last; to++) *to = T(0);
}

// n elements side by side; the last vector overlaps the one before it.
template <class T>
TGM_INLINE void copy_vectors(const T* from, int64_t n, T* to) {
  for (int64_t i = 0; i < n; i += kLanes<T>) {
    i = std::min<int64_t>(i, n - kLanes<T>);
    store(to + i, load(from + i));
  }
}

// Image n of x (N, C, H, W), in one pass over the copy. What is cleared too far is written over.
template <class T>
void pad_image(const PaddedPlanes& padded, const Tensor& x, int64_t n, T* to) {
  const bool in_vectors = x.stride[3] == 1 && x.shape[3] >= kLanes<T>;
  for (int64_t c = 0; c < x.shape[1]; c++) {
    const T* from = x.as<T>() + n * x.stride[0] + c * x.stride[1];
    T* row = to + padded.top * padded.width + padded.left;
    T* const end = to + padded.plane;
    for (int64_t h = 0; h < x.shape[2]; h++, from += x.stride[2], row += padded.width) {
      clear_up_to(to, row, end);
      if (in_vectors) {
        copy_vectors(from, x.shape[3], row);
      } else {
        copy_row(from, x.stride[3], x.shape[3], row, 1);
      }
      to = row + x.shape[3];
    }
    clear_up_to(to, end, end);
    to = end;
  }
}

// The units of a convolution's work: an image x a tile of its output positions x a block of
// filters.
template <class T>
struct Units {
  FilterBlocks<T> blocks;
  int64_t images, positions, flops;  // flops: of one position of one filter
  int64_t tiles = 1;                 // of an image's positions

  Units(int64_t filters, int64_t images, int64_t positions, int64_t flops)
      : blocks(filters), images(images), positions(positions), flops(flops) {
    if (count() == 0) return;
    const int64_t lanes = ceil_div(blocks.vectors, blocks.count) * kLanes<T>;
    tiles = ceil_div(positions, kTileElements / lanes);
    if (count() < kEnoughUnits) {
      const int64_t wanted = ceil_div(kEnoughUnits, images * blocks.count);
      const int64_t worth = std::min(positions * lanes * flops / kChunkFlops,  //
                                     ceil_div(positions, kPixels));
      tiles = std::max(tiles, std::min(wanted, worth));
    }
  }

  int64_t count() const { return positions == 0 ? 0 : images * tiles * blocks.count; }
  int64_t chunks() const {
    if (count() == 0) return 0;
    return chunks_for(count(), images * positions * blocks.filters * flops / count());
  }
};

struct Unit {
  int64_t image, block;
  Span positions;

  int64_t size() const { return positions.last - positions.first; }
};

// Runs a chunk of the units: convolve(unit, values) makes the sums, [position][vector][lane]. They
// are transposed to the order of the output, so that the epilogue has long rows.
template <class T, class Convolve>
void run_units(const Units<T>& units, const Args& args, int n_own, int64_t chunk, int64_t n_chunks,
               Convolve convolve) {
  const FilterBlocks<T>& blocks = units.blocks;
  alignas(64) T values[kTileElements + kPixels * kMaxFilterVectors * kLanes<T>];
  alignas(64) T rows[kTileElements];
  const Span span = span_of(units.count(), chunk, n_chunks);
  for (int64_t number = span.first; number < span.last; number++) {
    const int64_t block = number % blocks.count, tile = number / blocks.count;
    const Unit unit{tile / units.tiles, block,
                    span_of(units.positions, tile % units.tiles, units.tiles)};
    convolve(unit, values);
    const int64_t n = unit.size(), size = blocks.size(block);
    transpose(values, blocks.width(block) * kLanes<T>, rows, n, n, size);
    finish_tile(*args.tapes[0],
                {reinterpret_cast<const char*>(rows), n, 1, unit.image, blocks.first(block), size,
                 unit.positions.first, n},
                args.in + n_own, args.out[0]);
  }
}

}  // namespace tgm::TGM_TARGET
