// conv2d: x (N, C, H, W), w (O, C, KH, KW), extras (N, O, OH, OW) -> epilogue(convolution, extras)
//
// conv2d_pool: conv2d, then the maximum of each block of pool_h x pool_w positions, then the
// epilogue; the convolution's own output is never stored.
//
//   x (N, C, H, W), w (O, C, KH, KW), extras (N, O, PH, PW)
//     -> y (N, O, PH, PW) [, winners uint8 (N, O, PH, PW, ceil(pool_h * pool_w / 8))]
//
// conv2d_bias_pool: the same with the bias of each filter, added to the sum of every position
// before positions are compared: x, w, bias (O,), extras -> y [, winners].
//
// Bit i of the winners says that position i of the window equals the maximum: ties are all set, and
// of a window with NaNs the NaNs. Where `first` is 1, only the lowest of a window's bits is kept.
//
// ints: stride_h, stride_w, pad_h, pad_w, flip [, pool_h, pool_w [, first]]. tapes: epilogue.
//
// Vectors run over positions (position_vectors.hpp) with few taps, and for small images in front of
// a 2 x 2 pool; over images (image_vectors.hpp) for many images without a pool; else over filters
// (filter_vectors.hpp). Each says in fits() what it takes. With vectors of filters, phase 0 packs
// the filters, writes the table of tap offsets, and copies the images into zeros if there is
// padding; phase 1 works on units. The four pixels that the inner loop works on together are side
// by side in the output, or those of one window of the pool, which may have several groups of four.
#include "kernel.hpp"
#include "kernels/conv2d/filter_vectors.hpp"
#include "kernels/conv2d/image_vectors.hpp"
#include "kernels/conv2d/position_vectors.hpp"
#include "kernels/core/by_dtype.hpp"
#include "kernels/core/workspace.hpp"
#include "math/basic.hpp"

namespace tgm::TGM_TARGET {

template void accumulate(const Taps<float>&, const Group<float>*, int64_t, float*);
template void accumulate(const Taps<double>&, const Group<double>*, int64_t, double*);

namespace {

ConvShape shape(const Args& args) { return conv_shape(args.in[0], args.in[1], args); }

// How many inputs come before the extras, and the bias among them; null: none.
int32_t n_own(const Args& args) { return args.n_in - args.tapes[0]->n_inputs + 1; }
const Tensor* bias_of(const Args& args) { return n_own(args) > 2 ? args.in + 2 : nullptr; }

template <class T>
using Mask = decltype(Vec<T>{} == Vec<T>{});

// The maximum of n pixels; `pixel(p)` gives the values of one vector of filters or windows.
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

// Maxima of V vectors of windows of four, and their winners unless `marks` is null, `step` apart;
// sums: [pixel][vector][lane].
template <class T>
TGM_NOINLINE void pool_four_with_nan(const T* sums, int64_t vectors, T* maxima, T* marks,
                                     int64_t step) {
  for (int64_t v = 0; v < vectors; v++) {
    auto pixel = [&](int64_t p) { return load(sums + (p * vectors + v) * kLanes<T>); };
    const Vec<T> top = pool_maximum<T>(kPixels, pixel);
    store(maxima + v * step, top);
    if (marks) store(marks + v * step, bits<Vec<T>>(pool_winners<T>(0, kPixels, pixel, top)));
  }
}

// The same for sums in registers. Where no lane has a NaN, half of the comparisons do; a window's
// sum is NaN if one of its pixels is (or for two infinities: then the full comparisons do no harm).
template <class T, int V>
TGM_INLINE void pool_four(const Accumulators<T, V>& sums, T* maxima, T* marks, int64_t step) {
  static_assert(kPixels == 4);
  const auto& at = sums.at;
  Mask<T> has_nan{};
#pragma GCC unroll 32
  for (int v = 0; v < V; v++) {
    const Vec<T> sum = (at[0][v] + at[1][v]) + (at[2][v] + at[3][v]);
    has_nan |= sum != sum;
  }
  if (any(has_nan)) [[unlikely]] {
    alignas(64) T memory[kPixels * V * kLanes<T>];
    sums.write(memory, V * kLanes<T>);
    return pool_four_with_nan(memory, V, maxima, marks, step);
  }
#pragma GCC unroll 32
  for (int v = 0; v < V; v++) {
    Vec<T> top = at[0][v];
#pragma GCC unroll 4
    for (int p = 1; p < kPixels; p++) top = top > at[p][v] ? top : at[p][v];
    store(maxima + v * step, top);
    if (!marks) continue;
    Mask<T> byte{};
#pragma GCC unroll 4
    for (int p = 0; p < kPixels; p++) byte |= (at[p][v] == top) & (Mask<T>{} + (1 << p));
    store(marks + v * step, bits<Vec<T>>(byte));
  }
}

// Adds to every pixel's sums a bias for each vector: `bias(v)`.
template <class T, int V, class Bias>
TGM_INLINE void add_bias(Accumulators<T, V>& sums, Bias bias) {
#pragma GCC unroll 32
  for (int v = 0; v < V; v++) {
    const Vec<T> b = bias(v);
#pragma GCC unroll 4
    for (int p = 0; p < kPixels; p++) sums.at[p][v] += b;
  }
}

// The windows of n groups of sums [pixel][vector][lane]; bias: [vector][lane], or null.
template <class T, int V>
TGM_NOINLINE void pool_groups(const T* sums, int64_t n, const T* bias, T* maxima, T* marks) {
  constexpr int64_t row = V * kLanes<T>;
  for (int64_t g = 0; g < n; g++, sums += kPixels * row, maxima += row) {
    Accumulators<T, V> acc;
    acc.read(sums, row);
    if (bias) add_bias<T, V>(acc, [&](int v) { return load(bias + v * kLanes<T>); });
    pool_four<T, V>(acc, maxima, marks, kLanes<T>);
    if (marks) marks += row;
  }
}

// The first byte of the winners of filter o's window (h, w).
uint8_t* winners_of(const Tensor& winners, int64_t n, int64_t o, int64_t h, int64_t w) {
  const int64_t* stride = winners.stride;
  return winners.as<uint8_t>() + n * stride[0] + o * stride[1] + h * stride[2] + w * stride[3];
}

// One row of winners, one in each T, to the output's bytes; of each the lowest bit, if kFirst.
template <class T, bool kFirst>
void store_bytes(const ConvShape& s, const T* from, const Tensor& winners, int64_t image,
                 int64_t row, Span positions) {
  const bool contiguous = winners.stride[3] == 1 && (winners.stride[2] == s.PW || s.PH == 1);
  uint8_t* const to = winners_of(winners, image, row, 0, 0);
  auto byte = [&](int64_t q) {
    Element<Mask<T>> lane;
    std::memcpy(&lane, from + q - positions.first, sizeof lane);
    return static_cast<uint8_t>(kFirst ? lane & -lane : lane);
  };
  if (contiguous) {
    for (int64_t q = positions.first; q < positions.last; q++) to[q] = byte(q);
  } else {
    for (int64_t q = positions.first; q < positions.last; q++) {
      to[q / s.PW * winners.stride[2] + q % s.PW * winners.stride[3]] = byte(q);
    }
  }
}

template <class T>
void store_winners(const ConvShape& s, const T* from, const Tensor& winners, int64_t image,
                   int64_t row, Span positions) {
  (s.first ? store_bytes<T, true> : store_bytes<T, false>)(s, from, winners, image, row, positions);
}

// What the vectors of filters need.
template <class T>
struct Work {
  Units<T> units;
  PaddedPlanes padded;
  int64_t window_groups;  // of pixels, of a window of the pool
  T* filters;             // [block][tap][filter]
  T* bias;                // [block][filter]; null: none
  int64_t* offsets;       // [tap], in the image
  T* images;              // with zeros around; none without padding
  int64_t* window;        // [pixel]: offset from the window's first; the last pixel repeats
  T* sums;                // [chunk of phase 1][window][pixel][vector][lane]
  int64_t sums_size;      // of a chunk
  size_t bytes;

  Work(const ConvShape& s, const Args& args) : Work(s, args, args.workspace) {}
  Work(const ConvShape& s, const Args& args, char* workspace)
      : units(s.O, s.N, s.PH * s.PW, s.flops_per_position()),
        padded{s.pad_h, s.pad_w, s.padded_h(), s.padded_w(), s.padded_h() * s.padded_w()},
        window_groups(ceil_div(s.pool_size(), kPixels)),
        sums_size(std::max(kGroups, window_groups) * kPixels * kMaxFilterVectors * kLanes<T>) {
    WorkspaceLayout layout{workspace};
    filters = layout.take<T>(units.blocks.packed_size(s.taps()));
    bias = bias_of(args) ? layout.take<T>(units.blocks.packed_size(1)) : nullptr;
    offsets = layout.take<int64_t>(s.taps());
    images = layout.take<T>(s.is_padded() ? s.N * s.C * padded.plane : 0);
    window = layout.take<int64_t>(s.pooled ? window_groups * kPixels : 0);
    sums = layout.take<T>(s.pooled ? units.chunks() * sums_size : 0);
    bytes = layout.used;
  }

  Taps<T> taps(const ConvShape& s, int64_t block) const {
    return {offsets, s.taps(), filters + units.blocks.first(block) * s.taps(),
            units.blocks.width(block)};
  }
};

// The images that the inner loop reads: x itself, or the padded copy.
template <class T>
struct Images {
  const T* data;
  int64_t stride[4];  // n, c, h, w

  Images(const ConvShape& s, const Tensor& x, const Work<T>& work)
      : data(x.as<T>()), stride{x.stride[0], x.stride[1], x.stride[2], x.stride[3]} {
    if (!s.is_padded()) return;
    data = work.images;
    stride[0] = s.C * work.padded.plane, stride[1] = work.padded.plane;
    stride[2] = work.padded.width, stride[3] = 1;
  }
  // Of the positions of image n; behind a pool, of the windows.
  Positions<T> positions(const ConvShape& s, int64_t n) const {
    return {data + n * stride[0], s.pool_h * s.stride_h * stride[2],
            s.pool_w * s.stride_w * stride[3], s.PW};
  }
};

// Of each tap (c, kh, kw), where an image has it: counted up, since a division takes longer than to
// pack a tap's filters.
void fill_offsets(const ConvShape& s, const int64_t* stride, int64_t* to) {
  const int64_t down = s.flip ? -stride[2] : stride[2], across = s.flip ? -stride[3] : stride[3];
  const int64_t first = s.flip ? (s.KH - 1) * stride[2] + (s.KW - 1) * stride[3] : 0;
  for (int64_t c = 0; c < s.C; c++) {
    for (int64_t kh = 0; kh < s.KH; kh++) {
      for (int64_t kw = 0; kw < s.KW; kw++) *to++ = first + c * stride[1] + kh * down + kw * across;
    }
  }
}

template <class T>
void pack_blocks(const ConvShape& s, const Args& args, int64_t chunk, int64_t n_chunks) {
  const Tensor &x = args.in[0], &w = args.in[1];
  const Work<T> work(s, args);
  const FilterBlocks<T>& blocks = work.units.blocks;
  if (chunk >= blocks.count) {
    const Span span = span_of(s.N, chunk - blocks.count, n_chunks - blocks.count);
    for (int64_t n = span.first; n < span.last; n++) {
      pad_image(work.padded, x, n, work.images + n * s.C * work.padded.plane);
    }
    return;
  }
  pack_filters(FilterView<T>::of(w), blocks.first(chunk), blocks.size(chunk),
               blocks.width(chunk) * kLanes<T>, work.filters + blocks.first(chunk) * s.taps());
  if (const Tensor* bias = bias_of(args)) {
    const int64_t first = blocks.first(chunk), size = blocks.size(chunk);
    T* const to = work.bias + first;
    std::fill(to + size, to + blocks.width(chunk) * kLanes<T>, T(0));
    copy_elements(to, 1, bias->as<T>() + first * bias->stride[0], bias->stride[0], size);
  }
  if (chunk > 0) return;
  const Images<T> images(s, x, work);
  fill_offsets(s, images.stride, work.offsets);
  for (int64_t i = 0; s.pooled && i < work.window_groups * kPixels; i++) {
    const int64_t p = std::min(i, s.pool_size() - 1);
    work.window[i] =
        p / s.pool_w * s.stride_h * images.stride[2] + p % s.pool_w * s.stride_w * images.stride[3];
  }
}

// Runs units whose vectors run over filters.
template <class T>
class FilterVectors {
 public:
  FilterVectors(const ConvShape& s, const Args& args, int64_t chunk)
      : s_(s),
        work_(s, args),
        images_(s, args.in[0], work_),
        winners_(args.n_out > 1 ? args.out + 1 : nullptr),
        sums_(work_.sums + chunk * work_.sums_size) {}

  void run(const Args& args, int64_t chunk, int64_t n_chunks) {
    run_units(work_.units, args, n_own(args), chunk, n_chunks, [&](const Unit& unit, T* values) {
      const Positions<T> positions = images_.positions(s_, unit.image);
      if (!s_.pooled) {
        return convolve_positions(work_.taps(s_, unit.block), positions, unit.positions, values);
      }
      alignas(64) T marks[kTileElements];
      pool_windows(unit, positions, values, marks);
      if (winners_ && s_.pool_size() == kPixels) store_marks(unit, marks);
    });
  }

 private:
  // The maxima of the unit's windows, [window][vector][lane], and the winners of windows of four in
  // the same way; those of other windows go straight into the output.
  void pool_windows(const Unit& unit, const Positions<T>& positions, T* maxima, T* marks) {
    const Taps<T> taps = work_.taps(s_, unit.block);
    const int64_t groups = work_.window_groups, row = taps.vectors * kLanes<T>;
    const int64_t batch = std::max<int64_t>(1, kGroups / groups);  // windows that share taps
    int64_t h = unit.positions.first / s_.PW, w = unit.positions.first % s_.PW;
    Group<T> pixels[kGroups];
    for (int64_t q = unit.positions.first; q < unit.positions.last; q += batch) {
      const int64_t windows = std::min(batch, unit.positions.last - q);
      T* sums = sums_;
      for (int64_t i = 0, n = 0; i < windows; i++) {
        const T* const first = positions.at(h, w);
        if (++w == s_.PW) w = 0, h++;
        for (int64_t g = 0; g < groups; g++) {
          for (int p = 0; p < kPixels; p++)
            pixels[n].pixel[p] = first + work_.window[g * kPixels + p];
          if (++n < kGroups && (i + 1 < windows || g + 1 < groups)) continue;
          accumulate(taps, pixels, n, sums);
          sums += n * taps.group(), n = 0;
        }
      }
      if (s_.pool_size() == kPixels) {
        with_width<kMaxFilterVectors>(taps.vectors, [&]<int V>() {
          pool_groups<T, V>(sums_, windows, bias_at(unit, 0), maxima, winners_ ? marks : nullptr);
        });
      } else {
        for (int64_t i = 0; i < windows; i++) {
          pool_window(unit, q + i, sums_ + i * groups * taps.group(), maxima + i * row);
        }
      }
      maxima += windows * row, marks += windows * row;
    }
  }

  // The bias of a vector of the unit's filters; null: none.
  const T* bias_at(const Unit& unit, int64_t vector) const {
    const int64_t first = work_.units.blocks.first(unit.block) + vector * kLanes<T>;
    return work_.bias ? work_.bias + first : nullptr;
  }

  // One window of any size, with winners of any number of bytes.
  void pool_window(const Unit& unit, int64_t q, const T* sums, T* maxima) {
    constexpr int L = kLanes<T>;
    const FilterBlocks<T>& blocks = work_.units.blocks;
    const int64_t n = s_.pool_size(), h = q / s_.PW, w = q % s_.PW;
    const int64_t vectors = blocks.width(unit.block), filters = blocks.size(unit.block);
    for (int64_t v = 0; v < vectors; v++) {
      const T* const bias = bias_at(unit, v);
      const Vec<T> b = bias ? load(bias) : splat(-T(0));  // x + -0 is x, also where x is -0
      auto pixel = [&](int64_t p) { return load(sums + (p * vectors + v) * L) + b; };
      const Vec<T> top = pool_maximum<T>(n, pixel);
      store(maxima + v * L, top);
      if (!winners_) continue;
      const int64_t o = blocks.first(unit.block) + v * L,
                    lanes = std::min<int64_t>(L, filters - v * L);
      uint8_t* const to = winners_of(*winners_, unit.image, o, h, w);
      Mask<T> found{};
      for (int64_t byte = 0; byte < s_.winner_bytes(); byte++) {
        const int64_t first = 8 * byte;
        Mask<T> marks = pool_winners<T>(first, std::min<int64_t>(8, n - first), pixel, top);
        if (s_.first) {
          const Mask<T> before = found;
          found |= marks;
          marks &= -marks & (before == 0);
        }
        for (int64_t lane = 0; lane < lanes; lane++) {
          to[lane * winners_->stride[1] + byte * winners_->stride[4]] =
              static_cast<uint8_t>(marks[lane]);
        }
      }
    }
  }

  void store_marks(const Unit& unit, const T* marks) {
    const FilterBlocks<T>& blocks = work_.units.blocks;
    const int64_t n = unit.size(), size = blocks.size(unit.block);
    alignas(64) T rows[kTileElements];
    transpose(marks, blocks.width(unit.block) * kLanes<T>, rows, n, n, size);
    for (int64_t r = 0; r < size; r++) {
      store_winners(s_, rows + r * n, *winners_, unit.image, blocks.first(unit.block) + r,
                    unit.positions);
    }
  }

  const ConvShape& s_;
  Work<T> work_;
  Images<T> images_;
  const Tensor* winners_;  // null: not wanted
  T* sums_;
};

template <class T>
void run_position_vectors(const PositionVectors<T>& planes, const ConvShape& s, const Args& args,
                          int64_t chunk, int64_t n_chunks) {
  const Tensor* winners = args.n_out > 1 ? args.out + 1 : nullptr;
  alignas(64) T values[kTileElements], marks[kTileElements];
  auto store_group = [&]<int F>(const Accumulators<T, F>& sums, int64_t, int64_t offset,
                                int64_t pitch) { sums.write(values + offset, kLanes<T>, pitch); };
  auto pool_group = [&]<int F>(const Accumulators<T, F>& sums, int64_t, int64_t offset,
                               int64_t pitch) {
    pool_four<T, F>(sums, values + offset, winners ? marks + offset : nullptr, pitch);
  };
  auto finish = [&](const PlaneTile& tile) {
    const int64_t first = tile.filters.first, size = tile.filters.last - first;
    for (int64_t f = 0; winners && f < size; f++) {
      store_winners(s, marks + f * tile.pitch, *winners, tile.image, first + f, tile.windows);
    }
    finish_tile(*args.tapes[0],
                {reinterpret_cast<const char*>(values), tile.pitch, 1, tile.image, first, size,
                 tile.windows.first, tile.count()},
                args.in + n_own(args), args.out[0]);
  };
  // Loops of their own: in a common one, registers that both need are not enough.
  if (const Tensor* bias = bias_of(args)) {
    auto pool_biased_group = [&]<int F>(Accumulators<T, F>& sums, int64_t first, int64_t offset,
                                        int64_t pitch) {
      const T* const b = bias->as<T>() + first * bias->stride[0];
      add_bias<T, F>(sums, [&](int f) { return splat(b[f * bias->stride[0]]); });
      pool_four<T, F>(sums, values + offset, winners ? marks + offset : nullptr, pitch);
    };
    return planes.run(args.in[0], chunk, n_chunks, pool_biased_group, finish);
  }
  if (s.pooled) return planes.run(args.in[0], chunk, n_chunks, pool_group, finish);
  planes.run(args.in[0], chunk, n_chunks, store_group, finish);
}

// Nothing is computed, and the pool may be so large that sizes made of it pass 64 bits.
bool is_empty(const ConvShape& s) { return s.N * s.PH * s.PW == 0; }

template <class T>
int64_t pack_chunks(const Args& args) {
  const ConvShape s = shape(args);
  if (is_empty(s)) return 0;
  const PositionVectors<T> planes(s, args.in[1], nullptr);
  if (planes.fits()) return planes.pack_chunks();
  const ImageVectors lanes = ImageVectors::forward(s, args, nullptr);
  if (lanes.fits()) return lanes.pack_chunks();
  return FilterBlocks<T>(s.O).count + (s.is_padded() ? std::min(s.N, kEnoughUnits) : 0);
}

template <class T>
void pack(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const PositionVectors<T> planes(s, args.in[1], args.workspace);
  if (planes.fits()) return planes.pack(args.in[1]);
  const ImageVectors lanes = ImageVectors::forward(s, args, args.workspace);
  if (lanes.fits()) return lanes.pack(args, chunk);
  pack_blocks<T>(s, args, chunk, n_chunks);
}

template <class T>
int64_t chunks(const Args& args) {
  const ConvShape s = shape(args);
  if (is_empty(s)) return 0;
  const PositionVectors<T> planes(s, args.in[1], nullptr);
  if (planes.fits()) return planes.chunks();
  const ImageVectors lanes = ImageVectors::forward(s, args, nullptr);
  return lanes.fits() ? lanes.chunks() : Work<T>(s, args, nullptr).units.chunks();
}

template <class T>
void run(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const PositionVectors<T> planes(s, args.in[1], args.workspace);
  if (planes.fits()) return run_position_vectors(planes, s, args, chunk, n_chunks);
  const ImageVectors lanes = ImageVectors::forward(s, args, args.workspace);
  if (lanes.fits()) return lanes.run(args, chunk, n_chunks);
  FilterVectors<T>(s, args, chunk).run(args, chunk, n_chunks);
}

template <class T>
size_t work_bytes(const Args& args) {
  const ConvShape s = shape(args);
  if (is_empty(s)) return 0;
  const PositionVectors<T> planes(s, args.in[1], nullptr);
  if (planes.fits()) return planes.workspace_bytes;
  const ImageVectors lanes = ImageVectors::forward(s, args, nullptr);
  return lanes.fits() ? lanes.workspace_bytes : Work<T>(s, args, nullptr).bytes;
}

constexpr Phase kPack{TGM_BY_DTYPE(pack_chunks), TGM_BY_DTYPE(pack)};
constexpr Phase kRun{TGM_BY_DTYPE(chunks), TGM_BY_DTYPE(run)};

}  // namespace

extern const Kernel conv2d_kernel = {
    "conv2d", 2, {kPack, kRun}, TGM_BY_DTYPE(work_bytes), [](const Args& args) {
      return check_conv(args, {0, 1, kOut});
    }};

extern const Kernel conv2d_pool_kernel = {
    "conv2d_pool", 2, {kPack, kRun}, TGM_BY_DTYPE(work_bytes), [](const Args& args) {
      return check_conv(args, {0, 1, kOut, kOut + 1});
    }};

extern const Kernel conv2d_bias_pool_kernel = {
    "conv2d_bias_pool", 2, {kPack, kRun}, TGM_BY_DTYPE(work_bytes), [](const Args& args) {
      return check_conv(args, {0, 1, kOut, kOut + 1, 2});
    }};

}  // namespace tgm::TGM_TARGET
