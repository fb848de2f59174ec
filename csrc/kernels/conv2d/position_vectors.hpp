// Forward convolutions whose vectors run over output positions: for layers with few channels, and
// for small images where vectors of filters would have lanes to spare.
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
// pixel is copied to about KW / distance planes, once for all filters. Filters are read where they
// are, or if they lie in another order, from a copy.
//
// Every position adds its taps in the order (c, kh, kw), one fused multiply-add each, from zero, as
// in `accumulate`: both ways give the same bits.
#pragma once

#include "kernels/conv2d/filter_vectors.hpp"
#include "kernels/core/long_sum.hpp"
#include "kernels/core/row_copies.hpp"
#include "kernels/core/workspace.hpp"

namespace tgm::TGM_TARGET {

constexpr int64_t kStripElements = 8192;  // of a lowered strip: 32 KiB of float32
constexpr int64_t kLineElements = 2048;   // of a padded row of an image
constexpr int64_t kMostPlaneTaps = 100;
constexpr int64_t kMaxParts = 2;  // of the filters: each part lowers the images anew

// Where a tap meets the planes: for the left upper and the left lower positions of windows, or
// for the first and the third of four vectors. The others are `across` further.
struct PlaneTap {
  int64_t upper, lower;
};

// What the sums of a block of filters are made of.
template <class T>
struct PlaneBlock {
  const T* strip;
  int64_t across, channel;  // from one channel's planes to the next's
  int64_t channels;
  const PlaneTap* taps;  // of a channel
  int64_t n_taps;
  const T* filters;
  int64_t filter_step;  // from filter to filter
  int64_t first;        // number of the first filter
};

// The block's filters at `count` windows, `group` at a time: at[p][f] of the sums are those of
// filter f over the four vectors of positions p that begin at a window. The last group overlaps the
// one before it. See PositionVectors::run for `store_group`.
template <class T, int F, class Store>
TGM_NOINLINE void convolve_planes(const PlaneBlock<T>& block, int64_t count, int64_t group,
                                  int64_t offset, int64_t pitch, const Store& store_group) {
  for (int64_t q = 0; q < count; q += group) {
    if (q + group > count) q = std::max<int64_t>(0, count - group);
    Accumulators<T, F> sums;
    sums.clear();
    const T *strip = block.strip + q, *filters = block.filters;
    for (int64_t c = 0; c < block.channels; c++, strip += block.channel) {
      for (int64_t t = 0; t < block.n_taps; t++, filters++) {
        const T *upper = strip + block.taps[t].upper, *lower = strip + block.taps[t].lower;
        const T* const pixels[kPixels] = {upper, upper + block.across, lower, lower + block.across};
        sums.add_products([&](int p) { return load(pixels[p]); },
                          [&](int f) { return splat(filters[f * block.filter_step]); });
      }
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

  PositionVectors(const ConvShape& s, const Tensor& w, char* workspace)
      : s_(s),
        step_h_(s.pool_h * s.stride_h),
        step_w_(s.pool_w * s.stride_w),
        reach_h_((s.pool_h - 1) * s.stride_h + s.KH),
        reach_w_((s.pool_w - 1) * s.stride_w + s.KW),
        phases_(std::min(step_h_, reach_h_)),
        group_(s.pooled ? kLanes<T> : kPixels * kLanes<T>),
        in_place_(are_in_order(w)) {
    cut_strips();
    WorkspaceLayout layout{workspace};
    packed_ = layout.take<T>(in_place_ ? 0 : s.O * s.taps());
    workspace_bytes = layout.used;
    filters_ = in_place_ ? w.as<T>() : packed_;
    filter_step_ = in_place_ ? w.stride[0] : s.taps();
  }

  // Whether a convolution runs so. With more taps, lowering mostly costs more than transposing the
  // results, and the planes of a row of windows outgrow the first-level cache.
  bool fits() const {
    return rows_ > 0 && (!s_.pooled || (s_.pool_h == 2 && s_.pool_w == 2)) &&
           s_.KH * s_.KW <= kMostPlaneTaps && rows_ * s_.PW >= group_ &&
           s_.padded_w() + step_w_ <= kLineElements &&
           (s_.taps() <= kMostPlaneTaps || saves_lanes());  // last: no size overflows by now
  }

  int64_t chunks() const {
    const int64_t flops = s_.N * s_.PH * s_.PW * s_.O * s_.flops_per_position();
    return chunks_for(units(), flops / std::max<int64_t>(1, units()));
  }

  // Filters that don't lie as the inner loop reads them are copied first.
  int64_t pack_chunks() const { return in_place_ ? 0 : 1; }

  void pack(const Tensor& w) const {
    for (int64_t o = 0; o < s_.O; o++) {
      for (int64_t r = 0; r < s_.C * s_.KH; r++) {
        const int64_t row = o * w.stride[0] + r / s_.KH * w.stride[1] + r % s_.KH * w.stride[2];
        copy_row(w.as<T>() + row, w.stride[3], s_.KW, packed_ + o * s_.taps() + r * s_.KW, 1);
      }
    }
  }

  // Runs the chunk's tiles. store_group.operator()<F>(sums, first, offset, pitch) takes the sums of
  // a group of F filters from `first` on, whose results begin at `offset`; finish(tile) the
  // complete tile.
  template <class Store, class Finish>
  void run(const Tensor& x, int64_t chunk, int64_t n_chunks, const Store& store_group,
           const Finish& finish) const {
    alignas(64) T strip[kStripElements + kPixels * kLanes<T>];
    PlaneTap taps[kMostPlaneTaps];
    find_taps(taps);
    const Span own = span_of(units(), chunk, n_chunks);
    for (int64_t unit = own.first; unit < own.last; unit++) {
      const Span rows = span_of(s_.PH, unit / parts_ % strips_, strips_);
      PlaneTile tile{unit / parts_ / strips_, {rows.first * s_.PW, rows.last * s_.PW}, {}, 0};
      lower_strip(x, tile.image, rows, strip);
      tile.pitch = std::max(tile.count(), group_);
      const Span part = span_of(s_.O, unit % parts_, parts_);
      const int64_t blocks = ceil_div(part.last - part.first, kMaxFilterVectors);
      const int64_t fit = std::max<int64_t>(1, kTileElements / tile.pitch / kMaxFilterVectors);
      for (int64_t first = 0; first < blocks; first += fit) {
        const int64_t last = std::min(first + fit, blocks);
        tile.filters = {block_of(part, first, blocks).first, block_of(part, last - 1, blocks).last};
        for (int64_t block = first; block < last; block++) {
          convolve_block(strip, taps, tile, block_of(part, block, blocks), store_group);
        }
        finish(tile);
      }
    }
  }

 private:
  // Whether the filters lie as the inner loop reads them; an axis of one element has no step.
  static bool are_in_order(const Tensor& w) {
    int64_t step = 1;
    for (int axis = 3; axis > 0; step *= w.shape[axis--]) {
      if (w.shape[axis] != 1 && w.stride[axis] != step) return false;
    }
    return true;
  }

  // One of the blocks into which some filters are cut.
  static Span block_of(Span filters, int64_t block, int64_t blocks) {
    const Span inner = span_of(filters.last - filters.first, block, blocks);
    return {filters.first + inner.first, filters.first + inner.last};
  }

  // The results of a block of filters in a tile.
  template <class Store>
  void convolve_block(const T* strip, const PlaneTap* taps, const PlaneTile& tile, Span filters,
                      const Store& store_group) const {
    const PlaneBlock<T> block{.strip = strip,
                              .across = s_.pooled ? s_.stride_w * column_ : kLanes<T>,
                              .channel = reach_w_ * column_,
                              .channels = s_.C,
                              .taps = taps,
                              .n_taps = s_.KH * s_.KW,
                              .filters = filters_ + filters.first * filter_step_,
                              .filter_step = filter_step_,
                              .first = filters.first};
    const int64_t offset = (filters.first - tile.filters.first) * tile.pitch;
    with_width<kMaxFilterVectors>(filters.last - filters.first, [&]<int F>() {
      convolve_planes<T, F>(block, tile.count(), group_, offset, tile.pitch, store_group);
    });
  }

  // Whether vectors of filters would have lanes to spare that vectors of windows don't: of 40
  // filters, 8 of 48. An eighth has to be saved, for images are lowered for it.
  bool saves_lanes() const {
    if (!s_.pooled || s_.taps() > kFewTerms || !is_narrow() || strips_ > 1) return false;
    const int64_t windows = s_.PH * s_.PW;
    return 8 * ceil_div(windows, kLanes<T>) * s_.O < 7 * windows * ceil_div(s_.O, kLanes<T>);
  }

  // Where the taps of a channel meet its planes.
  void find_taps(PlaneTap* taps) const {
    const auto down = [&](int64_t a) { return a % step_h_ * plane_ + a / step_h_ * s_.PW; };
    for (int64_t kh = 0; kh < s_.KH; kh++) {
      const int64_t a = s_.flip ? s_.KH - 1 - kh : kh, upper = down(a);
      const int64_t lower = s_.pooled ? down(a + s_.stride_h) : upper + 2 * kLanes<T>;
      for (int64_t kw = 0; kw < s_.KW; kw++) {
        const int64_t column = (s_.flip ? s_.KW - 1 - kw : kw) * column_;
        *taps++ = {column + upper, column + lower};
      }
    }
  }

  void cut_strips() {
    if (s_.PH * s_.PW == 0) return;
    const int64_t below = (reach_h_ - 1) / step_h_;  // rows of a plane behind the windows'
    const int64_t columns = std::max<int64_t>(1, s_.C) * reach_w_ * phases_;
    rows_ = std::min(kStripElements / columns / s_.PW - below,
                     kTileElements / kMaxFilterVectors / s_.PW);
    rows_ = std::clamp<int64_t>(rows_, 0, s_.PH);
    if (rows_ == 0) return;
    const int64_t work = s_.PH * s_.PW * s_.O * s_.flops_per_position() / kChunkFlops;
    const int64_t wanted = ceil_div(kEnoughUnits, std::max<int64_t>(1, s_.N));
    strips_ = ceil_div(s_.PH, rows_);
    if (s_.taps() <= kMostPlaneTaps) {
      strips_ = std::max(strips_, std::min({wanted, work, s_.PH}));
      // One image alone: two smaller chunks are better than a thread that waits.
      if (s_.N == 1 && strips_ == 1 && work > 0 && s_.PH / 2 * s_.PW >= group_) strips_ = 2;
    } else {
      // Parts of the filters, for strips would overlap. Each part lowers the image anew, so there
      // are two only for so few images that threads would wait.
      parts_ = std::clamp<int64_t>(std::min(wanted / kMaxParts, work), 1, kMaxParts);
    }
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
    if (is_narrow()) return lower_narrow(x, n, span, strip);
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

  // Rows of less than a vector of windows, whose images are small.
  bool is_narrow() const {
    return s_.PW < kLanes<T> &&
           s_.C * s_.padded_h() * step_w_ * ceil_div(s_.padded_w(), step_w_) <= kStripElements;
  }

  // lower_strip for narrow rows. All rows are split by columns first. Then planes are written in
  // the order of memory, in whole vectors: what is behind a row is written over by the next.
  void lower_narrow(const Tensor& x, int64_t n, Span span, T* strip) const {
    alignas(64) T split[kStripElements + kLanes<T>];
    const int64_t first = span.first * step_h_;
    const int64_t rows = (span.last - 1 - span.first) * step_h_ + reach_h_;
    const int64_t row = ceil_div(s_.padded_w(), step_w_), phase = s_.C * rows * row;
    split_rows(x, n, {first, first + rows}, split, row, phase);
    for (int64_t c = 0; c < s_.C; c++) {
      for (int64_t b = 0; b < reach_w_; b++) {
        for (int64_t p = 0; p < phases_; p++) {
          T* to = strip + (c * reach_w_ + b) * column_ + p * plane_;
          const T* from = split + b % step_w_ * phase + (c * rows + p) * row + b / step_w_;
          for (int64_t a = p; a < rows; a += step_h_, to += s_.PW, from += step_h_ * row) {
            store(to, load(from));
          }
        }
      }
    }
  }

  // Rows of image n with its zeros, by the phases of their columns: to[phase][c][row][column].
  void split_rows(const Tensor& x, int64_t n, Span rows, T* to, int64_t row, int64_t phase) const {
    const T* image = x.as<T>() + n * x.stride[0];
    const int64_t count = rows.last - rows.first;
    if (x.stride[3] == 1 && x.stride[2] == s_.W && (s_.C == 1 || x.stride[1] == s_.H * s_.W) &&
        !s_.is_padded() && s_.W % step_w_ == 0 && (s_.C == 1 || count == s_.H)) {
      return split_phases(image + rows.first * s_.W, s_.C * count * s_.W, step_w_, to, phase);
    }
    alignas(64) T line[kLineElements];
    std::fill_n(line, s_.padded_w(), T(0));
    for (int64_t c = 0; c < s_.C; c++) {
      for (int64_t a = rows.first; a < rows.last; a++, to += row) {
        const int64_t h = a - s_.pad_h;
        const bool inside = h >= 0 && h < s_.H;
        if (inside) {
          copy_row(image + c * x.stride[1] + h * x.stride[2], x.stride[3], s_.W, line + s_.pad_w,
                   1);
        } else {
          std::fill_n(line + s_.pad_w, s_.W, T(0));
        }
        split_phases(line, s_.padded_w(), step_w_, to, phase);
      }
    }
  }

  int64_t units() const { return s_.N * strips_ * parts_; }

  const ConvShape& s_;
  int64_t step_h_, step_w_;         // from a window to the next, in pixels
  int64_t reach_h_, reach_w_;       // of the patch of a window
  int64_t phases_;                  // of rows
  int64_t group_;                   // windows that the inner loop works on together
  bool in_place_;                   // the filters lie as the inner loop reads them
  int64_t rows_ = 0;                // of windows in a strip, at most; 0: not even one fits
  int64_t strips_ = 0;              // of an image
  int64_t parts_ = 1;               // of the filters, in units of their own
  int64_t plane_ = 0, column_ = 0;  // elements of a plane, of the phases of a column
  T* packed_;                       // a copy, [filter][tap], if they don't
  const T* filters_;                // those that are read, `filter_step_` apart
  int64_t filter_step_;
};

}  // namespace tgm::TGM_TARGET
