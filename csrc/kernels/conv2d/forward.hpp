// What conv2d and conv2d_pool share where vectors run over filters (conv_planes.hpp has the other
// way): how their operands are packed, and how work is cut.
//
// Phase 0 packs the filters to [block][tap][filter], writes the table of tap offsets, and copies
// the images into zeros if there is padding. Phase 1 works on units: an image x a tile of its
// output positions x a block of filters.
#pragma once

#include "kernels/conv2d/geometry.hpp"
#include "kernels/core/row_copies.hpp"

namespace tgm::TGM_TARGET {

constexpr int64_t kEnoughUnits = 16;  // keeps 8 threads busy

template <class T>
struct ForwardWork {
  T* filters;
  int64_t* offsets;
  T* padded;  // null without padding
  T* window;  // per chunk of phase 1: the pixels of one window of the pool
  size_t bytes;
};

// How the positions of an output plane are cut, and the units that follow from it.
template <class T>
struct ForwardUnits {
  FilterBlocks<T> blocks;
  int64_t positions, tiles, images;

  explicit ForwardUnits(const ConvShape& s)
      : blocks(s.O), positions(s.PH * s.PW), tiles(1), images(s.N) {
    if (count() == 0) return;
    const int64_t lanes = ceil_div(blocks.vectors, blocks.count) * kLanes<T>;
    tiles = ceil_div(positions, kTileElements / lanes);
    const int64_t unit = positions * lanes * s.flops_per_position();
    if (count() < kEnoughUnits) {
      const int64_t wanted = ceil_div(kEnoughUnits, images * blocks.count);
      const int64_t worth = std::min(unit / kChunkFlops, ceil_div(positions, kPixels));
      tiles = std::max(tiles, std::min(wanted, worth));
    }
  }

  int64_t count() const { return positions == 0 ? 0 : images * tiles * blocks.count; }
  int64_t chunks(const ConvShape& s) const {
    if (count() == 0) return 0;
    return chunks_for(count(), images * positions * s.O * s.flops_per_position() / count());
  }
};

template <class T>
ForwardWork<T> forward_work(const ConvShape& s, char* workspace) {
  const ForwardUnits<T> units(s);
  WorkspaceLayout layout{workspace};
  ForwardWork<T> work{};
  work.filters = layout.take<T>(units.blocks.packed_size(s.taps()));
  work.offsets = layout.take<int64_t>(s.taps());
  if (s.pad_h || s.pad_w) work.padded = layout.take<T>(s.N * s.C * s.padded_h() * s.padded_w());
  const int64_t window = ceil_div(s.pool_size(), kPixels) * kPixels;
  if (s.pooled && s.pool_size() != kPixels) {
    const int64_t width = kMaxFilterVectors * kLanes<T>;
    work.window = layout.take<T>(units.chunks(s) * window * width);
  }
  work.bytes = layout.used;
  return work;
}

template <class T>
Image<T> forward_image(const ConvShape& s, const Tensor& x, const ForwardWork<T>& work) {
  if (!s.pad_h && !s.pad_w) {
    return {x.as<T>(), {x.stride[0], x.stride[1], x.stride[2], x.stride[3]}};
  }
  const int64_t plane = s.padded_h() * s.padded_w();
  return {work.padded, {s.C * plane, plane, s.padded_w(), 1}};
}

inline int64_t block_pack_chunks(const ConvShape& s, int64_t blocks) {
  if (s.N * s.PH * s.PW == 0) return 0;
  return blocks + (s.pad_h || s.pad_w ? std::min<int64_t>(s.N, kEnoughUnits) : 0);
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

// Image `n` of x with zeros around, (C, H + 2 pad, W + 2 pad), in one pass over the copy.
template <class T>
void pad_image(const ConvShape& s, const Tensor& x, int64_t n, T* to) {
  const int64_t width = s.padded_w(), above = s.pad_h * width;
  for (int64_t c = 0; c < s.C; c++) {
    const T* from = x.as<T>() + n * x.stride[0] + c * x.stride[1];
    to = std::fill_n(to, above, T(0));
    for (int64_t h = 0; h < s.H; h++, from += x.stride[2], to += width) {
      for (int64_t w = 0; w < s.pad_w; w++) to[w] = to[s.pad_w + s.W + w] = T(0);
      copy_row(from, x.stride[3], s.W, to + s.pad_w, 1);
    }
    to = std::fill_n(to, above, T(0));
  }
}

template <class T>
void pack_blocks(const ConvShape& s, const Tensor& x, const Tensor& w, char* workspace,
                 int64_t chunk, int64_t n_chunks) {
  const ForwardWork<T> work = forward_work<T>(s, workspace);
  const FilterBlocks<T> blocks(s.O);
  if (chunk >= blocks.count) {
    const int64_t image = s.C * s.padded_h() * s.padded_w();
    const Span span = span_of(s.N, chunk - blocks.count, n_chunks - blocks.count);
    for (int64_t n = span.first; n < span.last; n++) pad_image(s, x, n, work.padded + n * image);
    return;
  }
  pack_filters(s, w, blocks.first(chunk), blocks.size(chunk), blocks.width(chunk) * kLanes<T>,
               work.filters + blocks.first(chunk) * s.taps());
  if (chunk > 0) return;
  const Image<T> image = forward_image(s, x, work);
  for (int64_t t = 0; t < s.taps(); t++) {
    int64_t kw = t % s.KW, kh = t / s.KW % s.KH;
    if (s.flip) kw = s.KW - 1 - kw, kh = s.KH - 1 - kh;
    work.offsets[t] =
        t / (s.KW * s.KH) * image.stride[1] + kh * image.stride[2] + kw * image.stride[3];
  }
}

// One unit of phase 1, taken apart.
template <class T>
struct ForwardTile {
  int64_t image, block;
  Span positions;
  const T* x;        // the image
  const T* filters;  // packed, of the block

  ForwardTile(const ForwardUnits<T>& units, const ForwardWork<T>& work, const Image<T>& images,
              int64_t taps, int64_t unit) {
    block = unit % units.blocks.count;
    const int64_t rest = unit / units.blocks.count;
    positions = span_of(units.positions, rest % units.tiles, units.tiles);
    image = rest / units.tiles;
    x = images.data + image * images.stride[0];
    filters = work.filters + units.blocks.first(block) * taps;
  }
};

constexpr int64_t kGroups = 16;               // of four pixels that share a stretch of taps
constexpr int64_t kStretchBytes = 20 * 1024;  // of filters: with sums and pixels they fit L1

// sums[g] = the sums of a block of filters at the four pixels of each of n groups. Filters of many
// taps exceed the first-level cache, and so do the pixels under them. Therefore all groups add one
// stretch of taps, whose filters and channels stay there, before the next; each sum still adds its
// taps in their order.
template <class T, int V>
TGM_NOINLINE void accumulate_groups(const T* const (*pixels)[kPixels], int64_t n,
                                    const int64_t* offsets, int64_t n_taps, const T* filters,
                                    Accumulators<T, V>* sums) {
  constexpr int64_t kStretch = kStretchBytes / (V * kVectorBytes);
  const int64_t stretches = std::max<int64_t>(1, ceil_div(n_taps, kStretch));
  for (int64_t i = 0; i < stretches; i++) {
    const Span taps = span_of(n_taps, i, stretches);
    for (int64_t g = 0; g < n; g++) {
      Accumulators<T, V> acc;
      if (i == 0) {
        clear<T, V>(acc);
      } else {
#pragma GCC unroll 32
        for (int p = 0; p < kPixels; p++) {
#pragma GCC unroll 32
          for (int v = 0; v < V; v++) acc[p][v] = sums[g][p][v];
        }
      }
      add_taps<T, V>(pixels[g], offsets + taps.first, taps.last - taps.first,
                     filters + taps.first * V * kLanes<T>, acc);
#pragma GCC unroll 32
      for (int p = 0; p < kPixels; p++) {
#pragma GCC unroll 32
        for (int v = 0; v < V; v++) sums[g][p][v] = acc[p][v];
      }
    }
  }
}

}  // namespace tgm::TGM_TARGET
