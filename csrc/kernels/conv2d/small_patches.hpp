// The filters' gradient behind a pool, where a whole patch of x is a few vectors: a first layer.
//
// There, adding a patch costs no more than listing it as a term, so windows are visited in
// memory order, gradients of zero included. Two things are done once for all filters:
//
// * Images are packed as *strips*, one for each column of output positions: [column][h][KW * C].
//   A patch is then one run of KH * KW * C elements, and fills its vectors but for the last: 4
//   where 5 rows of 5 would be 5, 2 where 3 rows of 3 would be 3.
// * Windows are listed, *live* ones first: those that see anything but zeros. A patch of zeros adds
//   nothing. On MNIST a quarter to a third of all windows are wholly on the black border, where all
//   positions tie besides, and many more have some positions there.
#pragma once

#include <array>

#include "kernels/conv2d/patches.hpp"
#include "kernels/core/long_sum.hpp"
#include "kernels/core/row_copies.hpp"

namespace tgm::TGM_TARGET {

// A window of the pool, in one word, since what limits the loop over windows is the number of its
// loads.
class Window {
 public:
  Window(int64_t number, int64_t offset, uint32_t live)
      : word_(static_cast<uint64_t>(offset) << 32 | static_cast<uint64_t>(number) << 8 | live) {}

  // Of its first position's patch, in elements.
  int64_t offset() const { return static_cast<int64_t>(word_ >> 32); }
  // In a plane of windows.
  int64_t number() const { return static_cast<uint32_t>(word_) >> 8; }
  // By position: whether its patch has anything but zeros.
  unsigned live() const { return static_cast<uint8_t>(word_); }

 private:
  uint64_t word_;
};
constexpr int64_t kMaxWindows = 1 << 24;
constexpr int kMaxPositions = 4;   // of a window: a 2 x 2 pool
constexpr int64_t kMaxCopies = 8;  // of an image, in its strips
constexpr int64_t kPiece = 32;     // windows between requests for what the next image needs

// An image as strips, with room behind for the last vector of the last patch.
template <class T>
struct Strips {
  int64_t length, strip, image;  // elements: of a patch's row, of a strip, of an image
  int64_t vectors;               // of a patch

  explicit Strips(const ConvShape& s)
      : length(s.KW * s.C),
        strip(s.padded_h() * length),
        image(s.OW * strip + kLanes<T>),
        vectors(ceil_div(s.taps(), kLanes<T>)) {}

  // Of the patch of an output position, in elements.
  int64_t offset(const ConvShape& s, int64_t h, int64_t w) const {
    return w * strip + h * s.stride_h * length;
  }

  // Whether patches of this size are worked on so: their sums fit in registers, and strips, which
  // have a pixel up to KW times, don't take too much memory. It is faster where up to
  // three filters share what is looked up of a window, or where rows of whole vectors are a third
  // longer.
  bool fit(const ConvShape& s) const {
    const bool pays =
        vectors <= kMaxPatchVectors / 3 || 4 * vectors <= 3 * s.KH * ceil_div(length, kLanes<T>);
    return s.PH * s.PW < kMaxWindows && s.pool_size() <= kMaxPositions && vectors >= 1 && pays &&
           vectors <= kMaxPatchVectors && image <= INT32_MAX &&
           image <= kMaxCopies * PatchImages<T>(s).image;
  }
};

// What is known of an image's windows.
struct WindowCount {
  int64_t live;   // come first in the list
  bool x_finite;  // so that a gradient of zero may be multiplied
};

template <class T>
using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;

template <class T>
bool all_finite(const T* values, int64_t n) {
  Bits<T> nonfinite = 0;  // x - x has no bit set, unless it is NaN
  for (int64_t i = 0; i < n; i++) nonfinite |= bits<Bits<T>>(values[i] - values[i]);
  return nonfinite == 0;
}

// Filters that share what is looked up of a window: as many as have room for their sums.
template <class T>
constexpr int kSharedFilters = 16 / sizeof(T);
template <class T>
constexpr int shared_filters(int64_t vectors) {
  return std::clamp<int>(kMaxPatchVectors / vectors, 1, kSharedFilters<T>);
}

// The offset of the patch of a window's winner from the window's, by [live positions][winners];
// kSeveral where more than one has to be added. Positions that are not live are left out if there
// are others. A second table, for gradients that are not all finite, has every position count as
// live: their zeros make NaN of inf.
constexpr int32_t kSeveral = -1;
constexpr int64_t kTableOffsets = 1 << 2 * kMaxPositions;
constexpr unsigned kAllPositions = (1 << kMaxPositions) - 1;

// Planes of some filters, [filter][window], and their sums.
template <class T>
struct WindowPlanes {
  const T* g;
  const uint8_t* winners;
  int64_t plane;
  T* sums;
  int64_t filter_sums;
};

// sums += sum over windows and their winners of g * patch, for F filters. `always`: positions that
// count as live in all windows, as they do in `offsets`.
template <class T, int V, int F>
void add_windows(const T* image, const WindowPlanes<T>& planes, const int32_t* offsets,
                 unsigned always, const Window* windows, int64_t n) {
  RegisterTile<T, F, V> sums;
  sums.read(planes.sums, planes.filter_sums);
  for (int64_t i = 0; i < n; i++) {
    const Window window = windows[i];
    const T* first = image + window.offset();
    const T* g = planes.g + window.number();
    const uint8_t* winners = planes.winners + window.number();
#pragma GCC unroll 16
    for (int f = 0; f < F; f++) {
      const Vec<T> factor = splat<T>(g[f * planes.plane]);
      unsigned mask = winners[f * planes.plane];
      const int64_t inside = offsets[window.live() << kMaxPositions | mask];
      if (inside != kSeveral) [[likely]] {
        sums.add_row(f, factor, first + inside);
      } else {
        for (mask &= window.live() | always; mask != 0; mask &= mask - 1) {
          const unsigned single = mask & -mask;
          sums.add_row(f, factor, first + offsets[single << kMaxPositions | single]);
        }
      }
    }
  }
  sums.write(planes.sums, planes.filter_sums);
}

template <class T>
using AddWindows = void (*)(const T* image, const WindowPlanes<T>& planes, const int32_t* offsets,
                            unsigned always, const Window* windows, int64_t n);

// Both phases of the gradient, and what they need of the workspace.
template <class T>
class SmallPatches {
 public:
  SmallPatches(const ConvShape& s, int64_t n_pack_chunks, int64_t n_chunks, WorkspaceLayout& layout)
      : s_(s), strips_(s), packed_(s), plane_(s.PH * s.PW) {
    strip_images_ = layout.take<T>(s.N * strips_.image);
    windows_ = layout.take<Window>(s.N * plane_);
    counts_ = layout.take<WindowCount>(s.N);
    offsets_ = layout.take<int32_t>(2 * kTableOffsets);
    image_ = layout.take<T>(n_pack_chunks * packed_.size(1));
    live_rows_ = layout.take<Bits<T>>(n_pack_chunks * s.padded_h() * s.OW);
    live_ = layout.take<Bits<T>>(n_pack_chunks * s.OH * s.OW);
    g_ = layout.take<T>(n_chunks * kSharedFilters<T> * plane_);
    winners_ = layout.take<uint8_t>(n_chunks * kSharedFilters<T> * plane_);
  }

  // Packs some images of x as strips, and lists their windows.
  void pack(const Tensor& x, Span images, int64_t chunk) const {
    T* const image = image_ + chunk * packed_.size(1);
    std::fill_n(image + packed_.image, kLanes<T>, T(0));
    for (int64_t n = images.first; n < images.last; n++) {
      pack_patch_image(ChannelGroups(s_, s_.C), 0, x, n, image);
      copy_strips(image, strip_images_ + n * strips_.image);
      const Bits<T>* live = find_live(image, chunk);
      counts_[n] = {list_windows(live, windows_ + n * plane_), all_finite(image, packed_.image)};
    }
    if (chunk == 0) fill_offsets();
  }

  // Adds all images to the sums of some filters, `filter_sums` apart. Calls end_run(filters) after
  // each run of positions (long_sum.hpp).
  template <class EndRun>
  void add(const Tensor& g, const Tensor& winners, Span filters, int64_t chunk, T* sums,
           int64_t filter_sums, EndRun end_run) const {
    const int64_t run = run_length(s_.N * plane_ * s_.pool_size()) / s_.pool_size();  // windows
    const int64_t images = std::max<int64_t>(1, run / std::max<int64_t>(1, plane_));
    const int64_t buffer = chunk * kSharedFilters<T> * plane_;
    const int64_t n_filters = filters.last - filters.first;
    const int64_t groups = ceil_div(n_filters, shared_filters<T>(strips_.vectors));
    for (int64_t n = 0; n < s_.N; n++) {
      for (int64_t group = 0; group < groups; group++) {
        const Span span = span_of(n_filters, group, groups);
        const int64_t count = span.last - span.first;
        WindowPlanes<T> planes{
            side_by_side(g, n, filters.first + span.first, count, g_ + buffer),
            side_by_side(winners, n, filters.first + span.first, count, winners_ + buffer), plane_,
            sums + span.first * filter_sums, filter_sums};
        if (!counts_[n].x_finite) {
          for (int64_t i = 0; i < count * plane_; i++) {
            winners_[buffer + i] = planes.g[i] == T(0) ? 0 : planes.winners[i];
          }
          planes.winners = winners_ + buffer;
        }
        const auto ahead = behind(
            n, g, winners, {filters.first + span.first, filters.first + span.last}, group, groups);
        const bool ends_run = (n + 1) % images == 0 || n + 1 == s_.N;
        add_image(n, planes, count, run, ahead, [&](bool is_last) {
          if (is_last && !ends_run) return;
          end_run({filters.first + span.first, filters.first + span.last});
        });
      }
    }
  }

 private:
  // Rows are copied in whole vectors: what is behind a row is written over by the next one.
  void copy_strips(const T* image, T* to) const {
    const int64_t length = strips_.length, row = packed_.row, rows = s_.padded_h();
    const int64_t columns = s_.OW, step = s_.stride_w * s_.C;
    for (int64_t j = 0; j < columns; j++, image += step) {
      const T* from = image;
      for (int64_t h = 0; h < rows; h++, from += row, to += length) {
        for (int64_t i = 0; i < length; i += kLanes<T>) store(to + i, load(from + i));
      }
    }
  }

  // By position, not 0 if its patch has a bit set: first along rows, then down.
  const Bits<T>* find_live(const T* image, int64_t chunk) const {
    Bits<T>* const rows = live_rows_ + chunk * s_.padded_h() * s_.OW;
    Bits<T>* const live = live_ + chunk * s_.OH * s_.OW;
    for (int64_t h = 0; h < s_.padded_h(); h++) {
      join(image + h * packed_.row, 1, strips_.length, s_.stride_w * s_.C, rows + h * s_.OW);
    }
    for (int64_t h = 0; h < s_.OH; h++) {
      join(rows + h * s_.stride_h * s_.OW, s_.OW, s_.KH, 1, live + h * s_.OW);
    }
    return live;
  }

  // to[i], for a row of positions: all bits of n values, `step` apart, from i * stride on.
  template <class Value>
  void join(const Value* from, int64_t step, int64_t n, int64_t stride, Bits<T>* to) const {
    std::fill_n(to, s_.OW, 0);
    for (int64_t k = 0; k < n; k++, from += step) {
      if (stride == 1) {  // in vectors
        TGM_INDEPENDENT_LOOP
        for (int64_t i = 0; i < s_.OW; i++) to[i] |= bits<Bits<T>>(from[i]);
        continue;
      }
      for (int64_t i = 0; i < s_.OW; i++) to[i] |= bits<Bits<T>>(from[i * stride]);
    }
  }

  // The number of live windows.
  int64_t list_windows(const Bits<T>* live, Window* windows) const {
    Window *first = windows, *last = windows + plane_;
    const int64_t n = s_.pool_size();
    int64_t position[kMaxPositions], number = 0;
    for (int64_t p = 0; p < n; p++) position[p] = p / s_.pool_w * s_.OW + p % s_.pool_w;
    for (int64_t h = 0; h < s_.PH; h++) {
      const Bits<T>* at = live + h * s_.pool_h * s_.OW;
      int64_t offset = strips_.offset(s_, h * s_.pool_h, 0);
      const int64_t step = strips_.offset(s_, 0, s_.pool_w);
      for (int64_t w = 0; w < s_.PW; w++, number++, at += s_.pool_w, offset += step) {
        uint32_t mask = 0;
        for (int64_t p = 0; p < n; p++) mask |= uint32_t{at[position[p]] != 0} << p;
        *(mask != 0 ? first : last - 1) = Window(number, offset, mask);
        first += mask != 0;
        last -= mask == 0;
      }
    }
    return first - windows;
  }

  void fill_offsets() const {
    for (unsigned entry = 0; entry < 2 * kTableOffsets; entry++) {
      const unsigned mask = entry & kAllPositions;
      const unsigned live = entry < kTableOffsets ? entry >> kMaxPositions : kAllPositions;
      const unsigned seen = mask & live;
      const bool several = mask == 0 || (seen & (seen - 1)) != 0;
      const int p = __builtin_ctz(seen != 0 ? seen : mask | 1 << kMaxPositions);
      const int64_t offset = strips_.offset(s_, p / s_.pool_w, p % s_.pool_w);
      offsets_[entry] = several ? kSeveral : static_cast<int32_t>(offset);
    }
  }

  // Planes of `count` filters from `o` on, [count][PH][PW]: where they are, or in `buffer`.
  template <class Value>
  const Value* side_by_side(const Tensor& tensor, int64_t n, int64_t o, int64_t count,
                            Value* buffer) const {
    const int64_t* stride = tensor.stride;
    const Value* planes = tensor.as<Value>() + n * stride[0] + o * stride[1];
    if (stride[3] == 1 && stride[2] == s_.PW && stride[1] == plane_) return planes;
    for (int64_t row = 0; row < count * s_.PH; row++) {
      copy_row(planes + row / s_.PH * stride[1] + row % s_.PH * stride[2], stride[3], s_.PW,
               buffer + row * s_.PW, 1);
    }
    return buffer;
  }

  // What the image behind n has for some filters, and a share of its strips: nothing where all
  // images fit the L2 cache.
  std::array<Ahead, 3> behind(int64_t n, const Tensor& g, const Tensor& winners, Span filters,
                              int64_t share, int64_t shares) const {
    if (!are_far<T>(s_.N * strips_.image) || n + 1 == s_.N) return {};
    const auto planes = [&]<class Value>(const Tensor& tensor, Value) {
      const Value* first = tensor.as<Value>() + (n + 1) * tensor.stride[0];
      return Ahead(first + filters.first * tensor.stride[1],
                   (filters.last - filters.first) * plane_ * int64_t{sizeof(Value)});
    };
    const Span part = span_of(strips_.image, share, shares);
    return {planes(g, T{}), planes(winners, uint8_t{}),
            Ahead(strip_images_ + (n + 1) * strips_.image + part.first,
                  (part.last - part.first) * int64_t{sizeof(T)})};
  }

  // Adds an image to the sums of `count` filters, up to shared_filters. Calls after(is_last) for
  // every `run` windows. `ahead` is requested piece by piece.
  template <class After>
  void add_image(int64_t n, WindowPlanes<T> planes, int64_t count, int64_t run,
                 std::array<Ahead, 3> ahead, After after) const {
    // What is not live matters to gradients that are NaN or inf.
    const bool all_count = !all_finite(planes.g, count * plane_);
    const T* image = strip_images_ + n * strips_.image;
    const Window* windows = windows_ + n * plane_;
    const int64_t n_windows = all_count ? plane_ : counts_[n].live;
    const unsigned always = all_count ? kAllPositions : 0;
    const int32_t* offsets = offsets_ + (all_count ? kTableOffsets : 0);
    AddWindows<T> add = nullptr;
    with_width<kMaxPatchVectors>(strips_.vectors, [&]<int V>() {
      // Three or more may share, so one alone is rare: it is computed twice, to the same sums, for
      // it isn't worth a loop.
      constexpr int kMost = shared_filters<T>(V), kLess = kMost > 2 ? 1 : 0;
      if (count <= kLess) planes.plane = planes.filter_sums = 0;
      with_width<kMost - kLess>(std::max<int64_t>(1, count - kLess),
                                [&]<int W>() { add = add_windows<T, V, W + kLess>; });
    });
    const int64_t piece = ahead.back().is_empty() ? n_windows : kPiece;
    int64_t first = 0, last = 0;
    do {
      last = std::min(n_windows, first + run);
      for (int64_t end = 0; first < last; first = end) {
        end = std::min(last, first + piece);
        for (Ahead& part : ahead) part.request(ceil_div(n_windows - first, piece));
        add(image, planes, offsets, always, windows + first, end - first);
      }
      after(last == n_windows);
    } while (last < n_windows);
  }

  const ConvShape& s_;
  Strips<T> strips_;
  PatchImages<T> packed_;
  int64_t plane_;              // windows
  T* strip_images_;            // [n][strip]
  Window* windows_;            // [n][window], live ones first
  WindowCount* counts_;        // [n]
  int32_t* offsets_;           // the two tables
  T* image_;                   // [chunk of packing][h][w][c]
  Bits<T>*live_rows_, *live_;  // [chunk of packing][h or OH][OW]: some bits of the patches
  T* g_;                       // [chunk][filter][window]: planes that were not contiguous
  uint8_t* winners_;           // likewise
};

}  // namespace tgm::TGM_TARGET
