// conv2d: x (N, C, H, W), w (O, C, KH, KW), extras (N, O, OH, OW) -> epilogue(convolution, extras)
//
// conv2d_pool: conv2d, then the maximum of each block of pool_h x pool_w positions, then the
// epilogue; the convolution's own output is never stored.
//
//   x (N, C, H, W), w (O, C, KH, KW), extras (N, O, PH, PW)
//     -> y (N, O, PH, PW) [, winners uint8 (N, O, PH, PW, ceil(pool_h * pool_w / 8))]
//
// ints: stride_h, stride_w, pad_h, pad_w, flip [, pool_h, pool_w]. tapes: epilogue.
//
// With few taps, and no pool or one of 2 x 2, vectors run over positions (position_vectors.hpp);
// else over filters (filter_vectors.hpp), and the rest of this file is about that. Phase 0 packs
// the filters to [block][tap][filter], writes the table of tap offsets, and copies the images into
// zeros if there is padding. Phase 1 works on units: an image x a tile of its output positions x a
// block of filters.
//
// The four pixels that the inner loop works on together are side by side in the output, or those
// of one window of the pool, which may have several groups of four. A tile of results is first
// [position][filter], and is transposed to [filter][position], the order of the output, so that the
// epilogue has long rows.
#include "kernel.hpp"
#include "kernels/conv2d/filter_vectors.hpp"
#include "kernels/conv2d/pool_windows.hpp"
#include "kernels/conv2d/position_vectors.hpp"
#include "kernels/core/by_dtype.hpp"
#include "kernels/core/row_copies.hpp"
#include "kernels/core/workspace.hpp"

namespace tgm::TGM_TARGET {
namespace {

ConvShape shape(const Args& args) { return conv_shape(args.in[0], args.in[1], args); }

// How the positions of an output plane are cut, and the units that follow from it.
template <class T>
struct Units {
  FilterBlocks<T> blocks;
  int64_t positions, tiles, images;

  explicit Units(const ConvShape& s) : blocks(s.O), positions(s.PH * s.PW), tiles(1), images(s.N) {
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

// Elements of a window of the pool, padded to whole groups of pixels, for a block of filters.
template <class T>
int64_t window_elements(const ConvShape& s) {
  return ceil_div(s.pool_size(), kPixels) * kPixels * kMaxFilterVectors * kLanes<T>;
}

template <class T>
struct Work {
  T* filters;        // [block][tap][filter]
  int64_t* offsets;  // [tap], in the image
  T* padded;         // null without padding
  T* window;         // [chunk of phase 1][pixel][filter]: one window of the pool
  size_t bytes;

  Work(const ConvShape& s, char* workspace) : padded(nullptr), window(nullptr) {
    const Units<T> units(s);
    WorkspaceLayout layout{workspace};
    filters = layout.take<T>(units.blocks.packed_size(s.taps()));
    offsets = layout.take<int64_t>(s.taps());
    if (s.pad_h || s.pad_w) padded = layout.take<T>(s.N * s.C * s.padded_h() * s.padded_w());
    if (s.pooled && s.pool_size() != kPixels) {
      window = layout.take<T>(units.chunks(s) * window_elements<T>(s));
    }
    bytes = layout.used;
  }
};

// The image a kernel reads: x itself, or a zero-padded copy of it.
template <class T>
struct Image {
  const T* data;
  int64_t stride[4];  // n, c, h, w
};

template <class T>
Image<T> image_of(const ConvShape& s, const Tensor& x, const Work<T>& work) {
  if (!s.pad_h && !s.pad_w) {
    return {x.as<T>(), {x.stride[0], x.stride[1], x.stride[2], x.stride[3]}};
  }
  const int64_t plane = s.padded_h() * s.padded_w();
  return {work.padded, {s.C * plane, plane, s.padded_w(), 1}};
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
void pack_blocks(const ConvShape& s, const Args& args, int64_t chunk, int64_t n_chunks) {
  const Tensor &x = args.in[0], &w = args.in[1];
  const Work<T> work(s, args.workspace);
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
  const Image<T> image = image_of(s, x, work);
  for (int64_t t = 0; t < s.taps(); t++) {
    int64_t kw = t % s.KW, kh = t / s.KW % s.KH;
    if (s.flip) kw = s.KW - 1 - kw, kh = s.KH - 1 - kh;
    work.offsets[t] =
        t / (s.KW * s.KH) * image.stride[1] + kh * image.stride[2] + kw * image.stride[3];
  }
}

// A unit of phase 1: what its sums are made of, and where they go.
template <class T>
struct Unit {
  const ConvShape& s;
  const Image<T>& images;
  const int64_t* offsets;
  int64_t image;
  Span positions;
  int64_t first_filter, n_filters, vectors;  // vectors of filters
  const T* x;                                // the image
  const T* filters;                          // packed
  T* values;                                 // [position][vector][lane]
  T* winners;  // the same, for the winners of windows of four; null: not wanted

  Unit(const ConvShape& s, const Units<T>& units, const Work<T>& work, const Image<T>& images,
       int64_t number, T* values, T* winners)
      : s(s), images(images), offsets(work.offsets), values(values), winners(winners) {
    const int64_t block = number % units.blocks.count, tile = number / units.blocks.count;
    positions = span_of(units.positions, tile % units.tiles, units.tiles);
    image = tile / units.tiles;
    first_filter = units.blocks.first(block);
    n_filters = units.blocks.size(block);
    vectors = units.blocks.width(block);
    x = images.data + image * images.stride[0];
    filters = work.filters + first_filter * s.taps();
  }

  // The first pixel of a window, and how far its position p is from there. Without a pool, a
  // window is one position.
  const T* origin(int64_t h, int64_t w) const {
    return x + h * s.pool_h * s.stride_h * images.stride[2] +
           w * s.pool_w * s.stride_w * images.stride[3];
  }
  int64_t inside(int64_t p) const {
    return p / s.pool_w * s.stride_h * images.stride[2] +
           p % s.pool_w * s.stride_w * images.stride[3];
  }

  // Elements of a group's sums, and the sums of n groups: see accumulate_groups.
  int64_t group() const { return kPixels * vectors * kLanes<T>; }
  void accumulate(const T* const (*pixels)[kPixels], int64_t n, T* sums) const {
    with_width<kMaxFilterVectors>(vectors, [&]<int V>() {
      accumulate_groups<T, V>(pixels, n, offsets, s.taps(), filters, sums);
    });
  }
};

// Without a pool: groups of four positions in a row.
template <class T>
void convolve_positions(const Unit<T>& unit) {
  const ConvShape& s = unit.s;
  T* values = unit.values;
  int64_t h = unit.positions.first / s.PW, w = unit.positions.first % s.PW;
  const T* pixels[kGroups][kPixels];
  for (int64_t q = unit.positions.first; q < unit.positions.last;) {
    int64_t n = 0;
    for (; n < kGroups && q < unit.positions.last; n++, q += kPixels) {
      for (int p = 0; p < kPixels; p++) {
        pixels[n][p] = unit.origin(h, w);
        if (q + p + 1 >= unit.positions.last) continue;  // the last pixel fills the group
        if (++w == s.PW) w = 0, h++;
      }
    }
    unit.accumulate(pixels, n, values);
    values += n * unit.group();
  }
}

// The windows of n groups of sums [pixel][vector][lane].
template <class T, int V>
TGM_NOINLINE void pool_groups(const T* sums, int64_t n, T* maxima, T* winners) {
  constexpr int L = kLanes<T>;
  for (int64_t g = 0; g < n; g++, sums += kPixels * V * L) {
    Accumulators<T, V> acc;
#pragma GCC unroll 32
    for (int p = 0; p < kPixels; p++) {
#pragma GCC unroll 32
      for (int v = 0; v < V; v++) acc[p][v] = load(sums + (p * V + v) * L);
    }
    keep_windows<T, V>(acc, maxima + g * V * L, winners ? winners + g * V * L : nullptr, L);
  }
}

// Windows of four pixels: each is a group.
template <class T>
void pool_windows_of_four(const Unit<T>& unit) {
  constexpr int L = kLanes<T>;
  static_assert(kPixels == 4);
  const ConvShape& s = unit.s;
  const int64_t inside[kPixels] = {0, unit.inside(1), unit.inside(2), unit.inside(3)};
  T *maxima = unit.values, *winners = unit.winners;
  int64_t h = unit.positions.first / s.PW, w = unit.positions.first % s.PW;
  alignas(64) T sums[kGroups * kPixels * kMaxFilterVectors * L];
  const T* pixels[kGroups][kPixels];
  for (int64_t q = unit.positions.first; q < unit.positions.last;) {
    int64_t n = 0;
    for (; n < kGroups && q < unit.positions.last; n++, q++) {
      for (int p = 0; p < kPixels; p++) pixels[n][p] = unit.origin(h, w) + inside[p];
      if (++w == s.PW) w = 0, h++;
    }
    unit.accumulate(pixels, n, sums);
    with_width<kMaxFilterVectors>(unit.vectors,
                                  [&]<int V>() { pool_groups<T, V>(sums, n, maxima, winners); });
    maxima += n * unit.vectors * L;
    if (winners) winners += n * unit.vectors * L;
  }
}

// Windows of any size, through `buffer`: [pixel][vector][lane]. Their winners, of any number of
// bytes, go straight into the output `winners` if it is wanted.
template <class T>
void pool_any_windows(const Unit<T>& unit, const Tensor* winners, T* buffer) {
  constexpr int L = kLanes<T>;
  const ConvShape& s = unit.s;
  const int64_t n = s.pool_size(), vectors = unit.vectors;
  const T* pixels[kGroups][kPixels];
  T* maxima = unit.values;
  for (int64_t q = unit.positions.first; q < unit.positions.last; q++) {
    const int64_t h = q / s.PW, w = q % s.PW;
    const T* const origin = unit.origin(h, w);
    for (int64_t first = 0; first < n; first += kGroups * kPixels) {
      const int64_t groups = std::min(kGroups, ceil_div(n - first, kPixels));
      for (int64_t i = 0; i < groups * kPixels; i++) {
        pixels[i / kPixels][i % kPixels] = origin + unit.inside(std::min(first + i, n - 1));
      }
      unit.accumulate(pixels, groups, buffer + first * vectors * L);
    }
    for (int64_t v = 0; v < vectors; v++, maxima += L) {
      auto pixel = [&](int64_t p) { return load(buffer + (p * vectors + v) * L); };
      const Vec<T> top = pool_maximum<T>(n, pixel);
      store(maxima, top);
      if (!winners) continue;
      const int64_t lanes = std::min<int64_t>(L, unit.n_filters - v * L);
      for (int64_t byte = 0; byte < s.winner_bytes(); byte++) {
        const auto marks =
            pool_winners<T>(8 * byte, std::min<int64_t>(8, n - 8 * byte), pixel, top);
        for (int64_t lane = 0; lane < lanes; lane++) {
          const int64_t o = unit.first_filter + v * L + lane;
          uint8_t* to = winners_of(*winners, unit.image, o, h, w);
          to[byte * winners->stride[4]] = static_cast<uint8_t>(marks[lane]);
        }
      }
    }
  }
}

template <class T>
void run_filter_vectors(const ConvShape& s, const Args& args, int64_t chunk, int64_t n_chunks) {
  const Units<T> units(s);
  const Work<T> work(s, args.workspace);
  const Image<T> images = image_of(s, args.in[0], work);
  const Tensor* winners = args.n_out > 1 ? args.out + 1 : nullptr;
  const bool of_four = s.pool_size() == kPixels;
  T* const buffer = work.window + (work.window ? chunk * window_elements<T>(s) : 0);
  alignas(64) T values[kTileElements + kPixels * kMaxFilterVectors * kLanes<T>];
  alignas(64) T winner_values[kTileElements], rows[kTileElements];
  const Span span = span_of(units.count(), chunk, n_chunks);
  for (int64_t number = span.first; number < span.last; number++) {
    const Unit<T> unit(s, units, work, images, number, values, winners ? winner_values : nullptr);
    const int64_t first = unit.first_filter, size = unit.n_filters;
    const int64_t n = unit.positions.last - unit.positions.first;
    if (!s.pooled) {
      convolve_positions(unit);
    } else if (of_four) {
      pool_windows_of_four(unit);
    } else {
      pool_any_windows(unit, winners, buffer);
    }
    if (winners && of_four) {
      transpose(winner_values, unit.vectors * kLanes<T>, rows, n, n, size);
      for (int64_t r = 0; r < size; r++) {
        store_winners(s, rows + r * n, *winners, unit.image, first + r, unit.positions);
      }
    }
    transpose(values, unit.vectors * kLanes<T>, rows, n, n, size);
    finish_tile(*args.tapes[0],
                {reinterpret_cast<const char*>(rows), n, 1, unit.image, first, size,
                 unit.positions.first, n},
                args.in + 2, args.out[0]);
  }
}

template <class T>
void run_position_vectors(const ConvShape& s, const Args& args, int64_t chunk, int64_t n_chunks) {
  const Tensor* winners = args.n_out > 1 ? args.out + 1 : nullptr;
  alignas(64) T values[kTileElements], winner_values[kTileElements];
  auto keep = [&]<int F>(const Accumulators<T, F>& acc, int64_t offset, int64_t pitch) {
#pragma GCC unroll 32
    for (int f = 0; f < F; f++) {
#pragma GCC unroll 32
      for (int p = 0; p < kPixels; p++) {
        store(values + offset + f * pitch + p * kLanes<T>, acc[p][f]);
      }
    }
  };
  auto keep_pooled = [&]<int F>(const Accumulators<T, F>& acc, int64_t offset, int64_t pitch) {
    keep_windows<T, F>(acc, values + offset, winners ? winner_values + offset : nullptr, pitch);
  };
  auto finish = [&](const PlaneTile& tile) {
    const int64_t first = tile.filters.first, size = tile.filters.last - first;
    finish_tile(*args.tapes[0],
                {reinterpret_cast<const char*>(values), tile.pitch, 1, tile.image, first, size,
                 tile.windows.first, tile.count()},
                args.in + 2, args.out[0]);
  };
  auto finish_pooled = [&](const PlaneTile& tile) {
    const int64_t first = tile.filters.first, size = tile.filters.last - first;
    for (int64_t f = 0; winners && f < size; f++) {
      store_winners(s, winner_values + f * tile.pitch, *winners, tile.image, first + f,
                    tile.windows);
    }
    finish(tile);
  };
  if (s.pooled) {
    run_planes<T>(s, args.in[0], args.workspace, chunk, n_chunks, keep_pooled, finish_pooled);
  } else {
    run_planes<T>(s, args.in[0], args.workspace, chunk, n_chunks, keep, finish);
  }
}

template <class T>
int64_t pack_chunks(const Args& args) {
  const ConvShape s = shape(args);
  if (uses_planes<T>(s)) return s.N > 0 ? 1 : 0;
  if (s.N * s.PH * s.PW == 0) return 0;
  return FilterBlocks<T>(s.O).count + (s.pad_h || s.pad_w ? std::min(s.N, kEnoughUnits) : 0);
}

template <class T>
void pack(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  if (uses_planes<T>(s)) return pack_planes<T>(s, args.in[1], args.workspace);
  pack_blocks<T>(s, args, chunk, n_chunks);
}

template <class T>
int64_t chunks(const Args& args) {
  const ConvShape s = shape(args);
  return uses_planes<T>(s) ? plane_chunks<T>(s) : Units<T>(s).chunks(s);
}

template <class T>
void run(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  if (uses_planes<T>(s)) return run_position_vectors<T>(s, args, chunk, n_chunks);
  run_filter_vectors<T>(s, args, chunk, n_chunks);
}

template <class T>
size_t work_bytes(const Args& args) {
  const ConvShape s = shape(args);
  return uses_planes<T>(s) ? PlaneWork<T>(s, nullptr).bytes : Work<T>(s, nullptr).bytes;
}

const char* invalid(const Args& args) { return check_conv(args, {0, 1, kOut, -1, 2, false}); }

const char* invalid_pool(const Args& args) {
  return check_conv(args, {0, 1, kOut, kOut + 1, 2, true});
}

}  // namespace

extern const Kernel conv2d_kernel = {
    "conv2d",
    2,
    {{TGM_BY_DTYPE(pack_chunks), TGM_BY_DTYPE(pack)}, {TGM_BY_DTYPE(chunks), TGM_BY_DTYPE(run)}},
    TGM_BY_DTYPE(work_bytes),
    invalid};

extern const Kernel conv2d_pool_kernel = {
    "conv2d_pool",
    2,
    {{TGM_BY_DTYPE(pack_chunks), TGM_BY_DTYPE(pack)}, {TGM_BY_DTYPE(chunks), TGM_BY_DTYPE(run)}},
    TGM_BY_DTYPE(work_bytes),
    invalid_pool};

}  // namespace tgm::TGM_TARGET
