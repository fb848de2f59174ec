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

#include "kernels/conv2d/patches.hpp"
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
  // have a pixel up to KW times, don't take too much memory.
  bool fit(const ConvShape& s) const {
    return s.PH * s.PW < kMaxWindows && s.pool_size() <= kMaxPositions && vectors >= 1 &&
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

// Packs images as strips and lists their windows.
template <class T>
struct StripPacker {
  const ConvShape& s;
  PatchImages<T> packed;
  Strips<T> strips;
  T* image;            // [h][w][c]
  Bits<T>* live_rows;  // [h][position]: of the row of a patch, some bit that is set
  Bits<T>* live;       // [position], of the patch

  size_t bytes;

  StripPacker(const ConvShape& s, char* scratch) : s(s), packed(s), strips(s) {
    WorkspaceLayout layout{scratch};
    image = layout.take<T>(packed.size(1));
    live_rows = layout.take<Bits<T>>(s.padded_h() * s.OW);
    live = layout.take<Bits<T>>(s.OH * s.OW);
    bytes = layout.used;
  }

  // The image, which is packed already, to strips. Rows are copied in whole vectors: what is behind
  // a row is written over by the next one.
  WindowCount pack(T* to, Window* windows) const {
    std::fill_n(image + packed.image, kLanes<T>, T(0));
    for (int64_t j = 0; j < s.OW; j++) {
      const T* from = image + j * s.stride_w * s.C;
      for (int64_t h = 0; h < s.padded_h(); h++, from += packed.row, to += strips.length) {
        for (int64_t i = 0; i < strips.length; i += kLanes<T>) store(to + i, load(from + i));
      }
    }
    for (int64_t h = 0; h < s.padded_h(); h++) {
      join(image + h * packed.row, 1, strips.length, s.stride_w * s.C, live_rows + h * s.OW);
    }
    for (int64_t h = 0; h < s.OH; h++) {
      join(live_rows + h * s.stride_h * s.OW, s.OW, s.KH, 1, live + h * s.OW);
    }
    return {list_windows(windows), all_finite(image, packed.image)};
  }

 private:
  // to[i], for a row of positions: all bits of n values, `step` apart, from i * stride on.
  template <class Value>
  void join(const Value* from, int64_t step, int64_t n, int64_t stride, Bits<T>* to) const {
    std::fill_n(to, s.OW, 0);
    for (int64_t k = 0; k < n; k++, from += step) {
      TGM_INDEPENDENT_LOOP
      for (int64_t i = 0; i < s.OW; i++) to[i] |= bits<Bits<T>>(from[i * stride]);
    }
  }

  // The number of live windows.
  int64_t list_windows(Window* windows) const {
    Window* first = windows;
    Window* last = windows + s.PH * s.PW;
    for (int64_t h = 0; h < s.PH; h++) {
      for (int64_t w = 0; w < s.PW; w++) {
        const Bits<T>* at = live + h * s.pool_h * s.OW + w * s.pool_w;
        uint32_t mask = 0;
        for (int64_t r = 0, p = 0; r < s.pool_h; r++) {
          for (int64_t c = 0; c < s.pool_w; c++, p++) {
            mask |= uint32_t{at[r * s.OW + c] != 0} << p;
          }
        }
        const Window window(h * s.PW + w, strips.offset(s, h * s.pool_h, w * s.pool_w), mask);
        *(mask != 0 ? first : last - 1) = window;
        first += mask != 0;
        last -= mask == 0;
      }
    }
    return first - windows;
  }
};

// Planes of `count` filters [count][PH][PW] side by side: where they are, or in `buffer`.
// stride: of filters, rows, columns.
template <class T>
const T* side_by_side(const ConvShape& s, const T* planes, const int64_t* stride, int64_t count,
                      T* buffer) {
  if (stride[2] == 1 && stride[1] == s.PW && stride[0] == s.PH * s.PW) return planes;
  T* to = buffer;
  for (int64_t o = 0; o < count; o++) {
    for (int64_t h = 0; h < s.PH; h++, to += s.PW) {
      copy_row(planes + o * stride[0] + h * stride[1], stride[2], s.PW, to, 1);
    }
  }
  return buffer;
}

// The offset of the patch of a window's winner from the window's, by [live positions][winners];
// kSeveral where more than one has to be added. Positions that are not live are left out if there
// are others. A second table, for gradients that are not all finite, has every position count as
// live: their zeros make NaN of inf.
constexpr int32_t kSeveral = -1;
constexpr int64_t kTableOffsets = 1 << 2 * kMaxPositions;
constexpr int64_t kWinnerOffsets = 2 * kTableOffsets;
constexpr unsigned kAllPositions = (1 << kMaxPositions) - 1;

template <class T>
void fill_winner_offsets(const ConvShape& s, int32_t* offsets) {
  const Strips<T> strips(s);
  for (unsigned entry = 0; entry < kWinnerOffsets; entry++) {
    const unsigned mask = entry & kAllPositions;
    const unsigned live = entry < kTableOffsets ? entry >> kMaxPositions : kAllPositions;
    const unsigned seen = mask & live;
    const bool several = mask == 0 || (seen & (seen - 1)) != 0;
    const int position = __builtin_ctz(seen != 0 ? seen : mask | 1 << kMaxPositions);
    offsets[entry] =
        several ? kSeveral
                : static_cast<int32_t>(strips.offset(s, position / s.pool_w, position % s.pool_w));
  }
}

// Planes of some filters, [filter][window], and their sums.
template <class T>
struct WindowPlanes {
  const T* g;
  const uint8_t* winners;
  int64_t plane;
  T* sums;
  int64_t filter_sums;

  // Those of filter f alone.
  WindowPlanes of(int64_t f) const {
    return {g + f * plane, winners + f * plane, plane, sums + f * filter_sums, filter_sums};
  }
};

// Filters that share what is looked up of a window: as many as have room for their sums.
constexpr int64_t kSharedFilters = 4;
constexpr int64_t shared_filters(int64_t vectors) {
  return std::clamp<int64_t>(kMaxPatchVectors / vectors, 1, kSharedFilters);
}

// sums += sum over windows and their winners of g * patch, for F filters. kSkipZeros leaves out
// gradients of zero. `always`: positions that count as live in all windows, as they do in
// `offsets`.
template <class T, int V, int F, bool kSkipZeros>
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
      const T factor = g[f * planes.plane];
      if (kSkipZeros && factor == T(0)) continue;
      unsigned mask = winners[f * planes.plane];
      const int64_t inside = offsets[window.live() << kMaxPositions | mask];
      if (inside != kSeveral) [[likely]] {
        sums.add_row(f, splat<T>(factor), first + inside);
      } else {
        for (mask &= window.live() | always; mask != 0; mask &= mask - 1) {
          const unsigned single = mask & -mask;
          sums.add_row(f, splat<T>(factor), first + offsets[single << kMaxPositions | single]);
        }
      }
    }
  }
  sums.write(planes.sums, planes.filter_sums);
}

// Adds an image to the sums of `count` filters, up to shared_filters.
template <class T>
void add_image(const Strips<T>& strips, const T* image, const Window* windows,
               const WindowCount& known, const int32_t* offsets, const WindowPlanes<T>& planes,
               int64_t count) {
  // What is not live matters to gradients that are NaN or inf.
  const bool all_count = !all_finite(planes.g, count * planes.plane);
  const int64_t n = all_count ? planes.plane : known.live;
  const unsigned always = all_count ? kAllPositions : 0;
  if (all_count) offsets += kTableOffsets;
  with_width<kMaxPatchVectors>(strips.vectors, [&]<int V>() {
    if (!known.x_finite) [[unlikely]] {  // rare: not worth a loop for each number of filters
      for (int64_t f = 0; f < count; f++) {
        add_windows<T, V, 1, true>(image, planes.of(f), offsets, always, windows, n);
      }
      return;
    }
    with_width<shared_filters(V)>(count, [&]<int F>() {
      add_windows<T, V, F, false>(image, planes, offsets, always, windows, n);
    });
  });
}

}  // namespace tgm::TGM_TARGET
