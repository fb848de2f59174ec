// Forward convolutions whose vectors run over output positions: for layers with few channels.
//
// The inner loop of filter_vectors.hpp has a vector of filters for each pixel: 20 filters fill 2.5
// vectors of 8, and results have to be transposed, which counts where sums are short. Here a vector
// is kLanes<T> neighbouring windows (positions, where there is no pool) of one filter. Four such
// vectors x up to kMaxFilterVectors filters are kept in registers: the four positions of a 2 x 2
// pool, or four vectors in a row. Results are in the order of the output.
//
// For windows to be neighbours in memory, a strip of the image is first *lowered*: plane
// (c, b, phase) has, for every window, the pixel in column b of the window's patch; rows whose
// number is equal modulo the windows' distance (*phases*) follow one another. So pixel (a, b) of
// all patches is one flat array, across the ends of rows, and edges and strides are settled. A
// pixel is copied to about KW / distance planes, once for all filters.
//
// Every position adds its taps in the order (c, kh, kw), one fused multiply-add each, from zero, as
// in add_taps: both ways give the same bits.
#pragma once

#include "kernels/conv2d/filter_vectors.hpp"
#include "kernels/core/row_copies.hpp"
#include "kernels/core/workspace.hpp"

namespace tgm::TGM_TARGET {

constexpr int64_t kStripElements = 8192;  // of a lowered strip: 32 KiB of float32
constexpr int64_t kLineElements = 2048;   // of a padded row of an image
constexpr int64_t kMostPlaneTaps = 100;

// Where a tap meets the planes: for the left upper and the left lower positions of windows, or
// for the first and the third of four vectors. The others are `across` further.
struct PlaneTap {
  int64_t upper, lower;
};

// How an image is lowered and cut.
template <class T>
struct PlaneShape {
  int64_t step_h, step_w;    // from a window to the next, in pixels
  int64_t reach_h, reach_w;  // of the patch of a window
  int64_t phases;            // of rows
  int64_t group;             // windows that the inner loop works on together
  int64_t rows;              // of windows in a strip, at most; 0: not even one fits
  int64_t strips;            // of an image

  explicit PlaneShape(const ConvShape& s)
      : step_h(s.pool_h * s.stride_h),
        step_w(s.pool_w * s.stride_w),
        reach_h((s.pool_h - 1) * s.stride_h + s.KH),
        reach_w((s.pool_w - 1) * s.stride_w + s.KW),
        phases(std::min(step_h, reach_h)),
        group(s.pooled ? kLanes<T> : kPixels * kLanes<T>),
        rows(0),
        strips(0) {
    const int64_t width = std::max<int64_t>(1, s.PW);
    const int64_t columns = std::max<int64_t>(1, s.C) * reach_w * phases;
    rows = std::min(kStripElements / (columns * width) - below(),
                    kTileElements / kMaxFilterVectors / width);
    rows = std::clamp<int64_t>(rows, 0, s.PH);
    if (rows == 0) return;
    strips = ceil_div(s.PH, rows);
    const int64_t work = s.PH * s.PW * s.O * s.flops_per_position();
    const int64_t wanted = ceil_div(kEnoughUnits, std::max<int64_t>(1, s.N));
    strips = std::max(strips, std::min({wanted, work / kChunkFlops, s.PH}));
    rows = ceil_div(s.PH, strips);
  }

  int64_t below() const { return (reach_h - 1) / step_h; }  // rows of a plane behind the windows'
  int64_t plane(const ConvShape& s) const { return (rows + below()) * s.PW; }
  int64_t column(const ConvShape& s) const { return phases * plane(s); }
  int64_t units(const ConvShape& s) const { return s.N * strips; }
};

// Whether a convolution runs over planes. With more taps, lowering costs more than transposing the
// results, and the planes of a row of windows outgrow the first-level cache.
template <class T>
bool uses_planes(const ConvShape& s) {
  if (s.taps() > kMostPlaneTaps) return false;
  if (s.pooled && (s.pool_h != 2 || s.pool_w != 2)) return false;
  const PlaneShape<T> shape(s);
  return shape.rows > 0 && shape.rows * s.PW >= shape.group &&
         s.padded_w() + shape.step_w <= kLineElements;
}

template <class T>
struct PlaneWork {
  T* filters;  // [tap][filter]
  PlaneTap* taps;
  size_t bytes;

  PlaneWork(const ConvShape& s, char* workspace) {
    WorkspaceLayout layout{workspace};
    filters = layout.take<T>(s.taps() * s.O);
    taps = layout.take<PlaneTap>(s.taps());
    bytes = layout.used;
  }
};

template <class T>
void pack_planes(const ConvShape& s, const Tensor& w, char* workspace) {
  const PlaneWork<T> work(s, workspace);
  pack_filters(FilterView<T>::of(w), 0, s.O, s.O, work.filters);
  const PlaneShape<T> shape(s);
  const int64_t plane = shape.plane(s), column = shape.column(s);
  const auto offset = [&](int64_t c, int64_t a, int64_t b) {
    return (c * shape.reach_w + b) * column + a % shape.step_h * plane + a / shape.step_h * s.PW;
  };
  for (int64_t t = 0; t < s.taps(); t++) {
    int64_t b = t % s.KW, a = t / s.KW % s.KH;
    const int64_t c = t / (s.KW * s.KH);
    if (s.flip) b = s.KW - 1 - b, a = s.KH - 1 - a;
    const int64_t upper = offset(c, a, b);
    work.taps[t] = {upper, s.pooled ? offset(c, a + s.stride_h, b) : upper + 2 * kLanes<T>};
  }
}

// One row of an image, zeros beside it, to the rows of its planes, `column` apart.
template <class T>
void lower_row(const ConvShape& s, const PlaneShape<T>& shape, const T* from, int64_t step,
               int64_t column, T* to) {
  alignas(64) T line[kLineElements], split[kLineElements];
  if (s.pad_w || step != 1) {
    std::fill_n(line, s.pad_w, T(0));
    copy_row(from, step, s.W, line + s.pad_w, 1);
    std::fill_n(line + s.pad_w + s.W, s.pad_w, T(0));
    from = line;
  }
  const int64_t distance = shape.step_w;
  int64_t phase_size = 0;  // of columns
  if (distance > 1) {
    phase_size = ceil_div(s.padded_w(), distance);
    split_phases(from, s.padded_w(), distance, split, phase_size);
    from = split;
  }
  for (int64_t b = 0; b < shape.reach_w; b++, to += column) {
    const T* pixels = from + b % distance * phase_size + b / distance;
    if (s.PW < kLanes<T>) {
      copy_part(to, pixels, s.PW);
      continue;
    }
    for (int64_t i = 0; i < s.PW; i += kLanes<T>) {
      i = std::min(i, s.PW - kLanes<T>);
      store(to + i, load(pixels + i));
    }
  }
}

// The planes of the windows in rows [span.first, span.last) of image n.
template <class T>
void lower_strip(const ConvShape& s, const PlaneShape<T>& shape, const Tensor& x, int64_t n,
                 Span span, T* strip) {
  const int64_t plane = shape.plane(s), column = shape.column(s);
  const int64_t first = span.first * shape.step_h;
  const int64_t end = (span.last - 1) * shape.step_h + shape.reach_h;
  for (int64_t c = 0; c < s.C; c++) {
    const T* image = x.as<T>() + n * x.stride[0] + c * x.stride[1];
    for (int64_t a = first; a < end; a++) {
      const int64_t phase = (a - first) % shape.step_h, row = (a - first) / shape.step_h;
      if (phase >= shape.phases) continue;  // between the patches
      T* to = strip + c * shape.reach_w * column + phase * plane + row * s.PW;
      const int64_t h = a - s.pad_h;
      if (h >= 0 && h < s.H) {
        lower_row(s, shape, image + h * x.stride[2], x.stride[3], column, to);
      } else {
        for (int64_t b = 0; b < shape.reach_w; b++) std::fill_n(to + b * column, s.PW, T(0));
      }
    }
  }
}

// What the sums of a block of filters are made of.
template <class T>
struct PlaneBlock {
  const T* strip;
  int64_t across;
  const PlaneTap* taps;
  int64_t n_taps;
  const T* filters;
  int64_t filter_step;  // from tap to tap
};

// sums.at[p][f] = sums of the filters f over the four vectors of positions p that begin at window
// q.
template <class T, int F>
TGM_INLINE void accumulate_planes(const PlaneBlock<T>& block, int64_t q, Accumulators<T, F>& sums) {
  sums.clear();
  const T *strip = block.strip + q, *filters = block.filters;
  for (int64_t t = 0; t < block.n_taps; t++, filters += block.filter_step) {
    const T *upper = strip + block.taps[t].upper, *lower = strip + block.taps[t].lower;
    const T* const pixels[kPixels] = {upper, upper + block.across, lower, lower + block.across};
    sums.add_products([&](int p) { return load(pixels[p]); },
                      [&](int f) { return splat(filters[f]); });
  }
}

// The block's filters at `count` windows, `group` at a time; see run_planes for `keep`.
template <class T, int F, class Keep>
TGM_NOINLINE void convolve_planes(const PlaneBlock<T>& block, int64_t count, int64_t group,
                                  int64_t offset, int64_t pitch, const Keep& keep) {
  for (int64_t q = 0; q < count; q += group) {
    if (q + group > count) q = std::max<int64_t>(0, count - group);  // overlaps the one before
    Accumulators<T, F> acc;
    accumulate_planes<T, F>(block, q, acc);
    keep.template operator()<F>(acc, offset + q, pitch);
  }
}

// A tile: some filters at the windows of a strip. Its results are [filter][pitch].
struct PlaneTile {
  int64_t image;
  Span windows, filters;
  int64_t pitch;

  int64_t count() const { return windows.last - windows.first; }
};

// Runs the chunk's tiles. keep.operator()<F>(acc, offset, pitch) takes the accumulators of a group
// of F filters, whose results begin at `offset`; finish(tile) the complete tile.
template <class T, class Keep, class Finish>
void run_planes(const ConvShape& s, const Tensor& x, char* workspace, int64_t chunk,
                int64_t n_chunks, const Keep& keep, const Finish& finish) {
  const PlaneShape<T> shape(s);
  const PlaneWork<T> work(s, workspace);
  const int64_t across = s.pooled ? s.stride_w * shape.column(s) : kLanes<T>;
  const int64_t group = shape.group, blocks = ceil_div(s.O, kMaxFilterVectors);
  alignas(64) T strip[kStripElements + kPixels * kLanes<T>];
  const Span units = span_of(shape.units(s), chunk, n_chunks);
  for (int64_t unit = units.first; unit < units.last; unit++) {
    const Span rows = span_of(s.PH, unit % shape.strips, shape.strips);
    PlaneTile tile{unit / shape.strips, {rows.first * s.PW, rows.last * s.PW}, {}, 0};
    lower_strip(s, shape, x, tile.image, rows, strip);
    const int64_t count = tile.count();
    tile.pitch = std::max(count, group);
    const int64_t fit = std::max<int64_t>(1, kTileElements / tile.pitch / kMaxFilterVectors);
    for (int64_t block = 0; block < blocks; block += fit) {
      const int64_t end = std::min(block + fit, blocks);
      tile.filters = {span_of(s.O, block, blocks).first, span_of(s.O, end - 1, blocks).last};
      for (int64_t i = block; i < end; i++) {
        const Span span = span_of(s.O, i, blocks);
        const int64_t offset = (span.first - tile.filters.first) * tile.pitch;
        const PlaneBlock<T> planes{strip, across, work.taps, s.taps(), work.filters + span.first,
                                   s.O};
        with_width<kMaxFilterVectors>(span.last - span.first, [&]<int F>() {
          convolve_planes<T, F>(planes, count, group, offset, tile.pitch, keep);
        });
      }
      finish(tile);
    }
  }
}

template <class T>
int64_t plane_chunks(const ConvShape& s) {
  const int64_t units = PlaneShape<T>(s).units(s);
  const int64_t flops = s.N * s.PH * s.PW * s.O * s.flops_per_position();
  return chunks_for(units, flops / std::max<int64_t>(1, units));
}

}  // namespace tgm::TGM_TARGET
