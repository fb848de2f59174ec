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

// What the sums of a block of filters are made of.
template <class T>
struct PlaneBlock {
  const T* strip;
  int64_t across;
  const PlaneTap* taps;
  int64_t n_taps;
  const T* filters;
  int64_t filter_step;  // from tap to tap
  int64_t first;        // number of the first filter
};

// The block's filters at `count` windows, `group` at a time: at[p][f] of the sums are those of
// filter f over the four vectors of positions p that begin at a window. The last group overlaps the
// one before it. See PositionVectors::run for
// `store_group`.
template <class T, int F, class Store>
TGM_NOINLINE void convolve_planes(const PlaneBlock<T>& block, int64_t count, int64_t group,
                                  int64_t offset, int64_t pitch, const Store& store_group) {
  for (int64_t q = 0; q < count; q += group) {
    if (q + group > count) q = std::max<int64_t>(0, count - group);
    Accumulators<T, F> sums;
    sums.clear();
    const T *strip = block.strip + q, *filters = block.filters;
    for (int64_t t = 0; t < block.n_taps; t++, filters += block.filter_step) {
      const T *upper = strip + block.taps[t].upper, *lower = strip + block.taps[t].lower;
      const T* const pixels[kPixels] = {upper, upper + block.across, lower, lower + block.across};
      sums.add_products([&](int p) { return load(pixels[p]); },
                        [&](int f) { return splat(filters[f]); });
    }
    store_group.template operator()<F>(sums, block.first, offset + q, pitch);
  }
}

// A tile: some filters at the windows of a strip. Its results are [filter][pitch].
struct PlaneTile {
  int64_t image;
  Span windows, filters;
  int64_t pitch;

  int64_t count() const { return windows.last - windows.first; }
};

// A convolution over planes: how its images are lowered and cut, and its two phases.
template <class T>
class PositionVectors {
 public:
  size_t workspace_bytes = 0;

  PositionVectors(const ConvShape& s, char* workspace)
      : s_(s),
        step_h_(s.pool_h * s.stride_h),
        step_w_(s.pool_w * s.stride_w),
        reach_h_((s.pool_h - 1) * s.stride_h + s.KH),
        reach_w_((s.pool_w - 1) * s.stride_w + s.KW),
        phases_(std::min(step_h_, reach_h_)),
        group_(s.pooled ? kLanes<T> : kPixels * kLanes<T>) {
    cut_strips();
    WorkspaceLayout layout{workspace};
    filters_ = layout.take<T>(s.taps() * s.O);
    taps_ = layout.take<PlaneTap>(s.taps());
    workspace_bytes = layout.used;
  }

  // Whether a convolution runs so. With more taps, lowering costs more than transposing the
  // results, and the planes of a row of windows outgrow the first-level cache.
  bool fits() const {
    return s_.taps() <= kMostPlaneTaps && (!s_.pooled || (s_.pool_h == 2 && s_.pool_w == 2)) &&
           rows_ > 0 && rows_ * s_.PW >= group_ && s_.padded_w() + step_w_ <= kLineElements;
  }

  int64_t chunks() const {
    const int64_t flops = s_.N * s_.PH * s_.PW * s_.O * s_.flops_per_position();
    return chunks_for(units(), flops / std::max<int64_t>(1, units()));
  }

  void pack(const Tensor& w) const {
    pack_filters(FilterView<T>::of(w), 0, s_.O, s_.O, filters_);
    const auto offset = [&](int64_t c, int64_t a, int64_t b) {
      return (c * reach_w_ + b) * column_ + a % step_h_ * plane_ + a / step_h_ * s_.PW;
    };
    for (int64_t t = 0; t < s_.taps(); t++) {
      int64_t b = t % s_.KW, a = t / s_.KW % s_.KH;
      const int64_t c = t / (s_.KW * s_.KH);
      if (s_.flip) b = s_.KW - 1 - b, a = s_.KH - 1 - a;
      const int64_t upper = offset(c, a, b);
      taps_[t] = {upper, s_.pooled ? offset(c, a + s_.stride_h, b) : upper + 2 * kLanes<T>};
    }
  }

  // Runs the chunk's tiles. store_group.operator()<F>(sums, first, offset, pitch) takes the sums of
  // a group of F filters from `first` on, whose results begin at `offset`; finish(tile) the
  // complete tile.
  template <class Store, class Finish>
  void run(const Tensor& x, int64_t chunk, int64_t n_chunks, const Store& store_group,
           const Finish& finish) const {
    const int64_t across = s_.pooled ? s_.stride_w * column_ : kLanes<T>;
    const int64_t blocks = ceil_div(s_.O, kMaxFilterVectors);
    alignas(64) T strip[kStripElements + kPixels * kLanes<T>];
    const Span span = span_of(units(), chunk, n_chunks);
    for (int64_t unit = span.first; unit < span.last; unit++) {
      const Span rows = span_of(s_.PH, unit % strips_, strips_);
      PlaneTile tile{unit / strips_, {rows.first * s_.PW, rows.last * s_.PW}, {}, 0};
      lower_strip(x, tile.image, rows, strip);
      tile.pitch = std::max(tile.count(), group_);
      const int64_t fit = std::max<int64_t>(1, kTileElements / tile.pitch / kMaxFilterVectors);
      for (int64_t block = 0; block < blocks; block += fit) {
        const int64_t end = std::min(block + fit, blocks);
        tile.filters = {span_of(s_.O, block, blocks).first, span_of(s_.O, end - 1, blocks).last};
        for (int64_t i = block; i < end; i++) {
          const Span span = span_of(s_.O, i, blocks);
          const int64_t offset = (span.first - tile.filters.first) * tile.pitch;
          const PlaneBlock<T> planes{strip, across,    taps_, s_.taps(), filters_ + span.first,
                                     s_.O,  span.first};
          with_width<kMaxFilterVectors>(span.last - span.first, [&]<int F>() {
            convolve_planes<T, F>(planes, tile.count(), group_, offset, tile.pitch, store_group);
          });
        }
        finish(tile);
      }
    }
  }

 private:
  void cut_strips() {
    if (s_.PH * s_.PW == 0) return;
    const int64_t below = (reach_h_ - 1) / step_h_;  // rows of a plane behind the windows'
    const int64_t columns = std::max<int64_t>(1, s_.C) * reach_w_ * phases_;
    rows_ = std::min(kStripElements / (columns * s_.PW) - below,
                     kTileElements / kMaxFilterVectors / s_.PW);
    rows_ = std::clamp<int64_t>(rows_, 0, s_.PH);
    if (rows_ == 0) return;
    const int64_t work = s_.PH * s_.PW * s_.O * s_.flops_per_position();
    const int64_t wanted = ceil_div(kEnoughUnits, std::max<int64_t>(1, s_.N));
    strips_ = std::max(ceil_div(s_.PH, rows_), std::min({wanted, work / kChunkFlops, s_.PH}));
    rows_ = ceil_div(s_.PH, strips_);
    plane_ = (rows_ + below) * s_.PW, column_ = phases_ * plane_;
  }

  // One row of an image, zeros beside it, to the rows of its planes.
  void lower_row(const T* from, int64_t step, T* to) const {
    alignas(64) T line[kLineElements], split[kLineElements];
    if (s_.pad_w || step != 1) {
      std::fill_n(line, s_.pad_w, T(0));
      copy_row(from, step, s_.W, line + s_.pad_w, 1);
      std::fill_n(line + s_.pad_w + s_.W, s_.pad_w, T(0));
      from = line;
    }
    int64_t phase_size = 0;  // of columns
    if (step_w_ > 1) {
      phase_size = ceil_div(s_.padded_w(), step_w_);
      split_phases(from, s_.padded_w(), step_w_, split, phase_size);
      from = split;
    }
    for (int64_t b = 0; b < reach_w_; b++, to += column_) {
      const T* pixels = from + b % step_w_ * phase_size + b / step_w_;
      if (s_.PW < kLanes<T>) {
        copy_part(to, pixels, s_.PW);
        continue;
      }
      for (int64_t i = 0; i < s_.PW; i += kLanes<T>) {
        i = std::min(i, s_.PW - kLanes<T>);
        store(to + i, load(pixels + i));
      }
    }
  }

  // The planes of the windows in rows [span.first, span.last) of image n.
  TGM_NOINLINE void lower_strip(const Tensor& x, int64_t n, Span span, T* strip) const {
    const int64_t first = span.first * step_h_, end = (span.last - 1) * step_h_ + reach_h_;
    for (int64_t c = 0; c < s_.C; c++) {
      const T* image = x.as<T>() + n * x.stride[0] + c * x.stride[1];
      for (int64_t a = first; a < end; a++) {
        const int64_t phase = (a - first) % step_h_, row = (a - first) / step_h_;
        if (phase >= phases_) continue;  // between the patches
        T* to = strip + c * reach_w_ * column_ + phase * plane_ + row * s_.PW;
        const int64_t h = a - s_.pad_h;
        if (h >= 0 && h < s_.H) {
          lower_row(image + h * x.stride[2], x.stride[3], to);
        } else {
          for (int64_t b = 0; b < reach_w_; b++) std::fill_n(to + b * column_, s_.PW, T(0));
        }
      }
    }
  }

  int64_t units() const { return s_.N * strips_; }

  const ConvShape& s_;
  int64_t step_h_, step_w_;         // from a window to the next, in pixels
  int64_t reach_h_, reach_w_;       // of the patch of a window
  int64_t phases_;                  // of rows
  int64_t group_;                   // windows that the inner loop works on together
  int64_t rows_ = 0;                // of windows in a strip, at most; 0: not even one fits
  int64_t strips_ = 0;              // of an image
  int64_t plane_ = 0, column_ = 0;  // elements of a plane, of the phases of a column
  T* filters_;                      // [tap][filter]
  PlaneTap* taps_;
};

}  // namespace tgm::TGM_TARGET
