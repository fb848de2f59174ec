// Patches of images that are channels last: what gradients of a convolution are made of.
//
// With x as [h][w][c], the KW * C values that a row of a filter meets at one output position are
// side by side: a *patch row*. Padded to whole vectors, patch rows and filter rows are added up by
// one loop over contiguous memory, whatever C and KW are; what the lanes of the padding hold is
// dropped at the end. A *patch block* is the part of the KH rows that is kept in registers at once.
#pragma once

#include <algorithm>
#include <cstring>

#include "kernels/conv2d/geometry.hpp"
#include "kernels/core/registers.hpp"
#include "kernels/core/row_copies.hpp"
#include "kernels/core/transpose.hpp"
#include "kernels/core/workspace.hpp"

namespace tgm::TGM_TARGET {

// Accumulators of a patch block; with a broadcast they fit 16 registers.
constexpr int kMaxPatchVectors = 13;

// Rows [row, row + rows) x vectors [vector, vector + vectors) of a patch.
struct PatchBlock {
  int64_t row, rows, vector, vectors;
};

// How KH rows of `length` elements are cut into patch blocks.
template <class T>
struct PatchRows {
  int64_t rows, length;
  int64_t vectors;       // of a padded row
  int64_t across, down;  // number of blocks along a row, and over the rows

  explicit PatchRows(const ConvShape& s, int64_t most = kMaxPatchVectors)
      : rows(s.KH), length(s.KW * s.C), vectors(ceil_div(length, kLanes<T>)) {
    across = std::max<int64_t>(1, ceil_div(vectors, most));
    const int64_t widest = std::max<int64_t>(1, ceil_div(vectors, across));
    down = ceil_div(rows, std::min(rows, most / widest));
  }

  int64_t padded() const { return vectors * kLanes<T>; }
  int64_t blocks() const { return vectors == 0 ? 0 : across * down; }
  PatchBlock block(int64_t number) const {
    const Span r = span_of(rows, number / across, down);
    const Span v = span_of(vectors, number % across, across);
    return {r.first, r.last - r.first, v.first, v.last - v.first};
  }
};

// Images as [n][padded h][padded w][c], with room behind for the last vector of the last row.
template <class T>
struct PatchImages {
  int64_t row, image;  // elements

  explicit PatchImages(const ConvShape& s) : row(s.padded_w() * s.C), image(s.padded_h() * row) {}
  int64_t size(int64_t n) const { return n * image + kLanes<T>; }
  // From the first element of a patch to that of one of its blocks.
  int64_t offset(const PatchBlock& block) const {
    return block.row * row + block.vector * kLanes<T>;
  }
};

// Channels in groups, each packed as if the convolution had no others.
struct ChannelGroups {
  ConvShape part;  // the convolution of one group; the last one's missing channels are zeros
  int64_t channels, count;

  ChannelGroups(const ConvShape& s, int64_t width)
      : part(s), channels(s.C), count(ceil_div(s.C, width)) {
    part.C = width;
  }
  int64_t first(int64_t group) const { return group * part.C; }
  int64_t size(int64_t group) const { return std::min(part.C, channels - first(group)); }
};

// H rows of W pixels that lie, one behind the other, at the end of an image, to their places in it,
// with zeros around. No row goes further than where the rows behind it lie.
template <class T>
void spread_rows(const ConvShape& s, T* image) {
  const PatchImages<T> packed(s);
  const int64_t length = s.W * s.C;
  T *to = image, *place = image + s.pad_h * packed.row + s.pad_w * s.C;
  T* const end = image + packed.image;
  for (int64_t h = 0; h < s.H; h++, place += packed.row) {
    std::memmove(place, end - (s.H - h) * length, length * sizeof(T));
    std::fill(to, place, T(0));
    to = place + length;
  }
  std::fill(to, end, T(0));
}

// A group of channels of image n of x, channels last, into the middle of zeros.
template <class T>
void pack_patch_image(const ChannelGroups& groups, int64_t group, const Tensor& x, int64_t n,
                      T* to) {
  const ConvShape& s = groups.part;
  const PatchImages<T> packed(s);
  const int64_t *stride = x.stride, size = groups.size(group);
  const T* from = x.as<T>() + n * stride[0] + groups.first(group) * stride[1];
  const bool narrow = s.C < kLanes<T> || s.W < kLanes<T>;  // no square of a transpose fits a row
  if (stride[3] == 1 && stride[2] == s.W && s.pad_w > 0 && size == s.C && s.C > 1 && narrow) {
    const int64_t pixels = s.H * s.W;
    transpose(from, stride[1], to + packed.image - pixels * s.C, s.C, s.C, pixels);
    return spread_rows(s, to);
  }
  if (s.is_padded() || size < s.C) std::memset(to, 0, packed.image * sizeof(T));
  to += s.pad_h * packed.row + s.pad_w * s.C;
  if (stride[3] == 1 && stride[2] == s.W && s.pad_w == 0 && s.C > 1) {
    return transpose(from, stride[1], to, s.C, size, s.H * s.W);
  }
  for (int64_t h = 0; h < s.H; h++, from += stride[2], to += packed.row) {
    if (s.C == 1) {
      copy_elements(to, 1, from, stride[3], s.W);
    } else if (stride[3] == 1) {
      transpose(from, stride[1], to, s.C, size, s.W);
    } else {
      for (int64_t w = 0; w < s.W; w++) {
        for (int64_t c = 0; c < size; c++) to[w * s.C + c] = from[c * stride[1] + w * stride[3]];
      }
    }
  }
}

// Compiled with conv2d_grad_filter.cpp.
extern template void pack_patch_image(const ChannelGroups&, int64_t, const Tensor&, int64_t,
                                      float*);
extern template void pack_patch_image(const ChannelGroups&, int64_t, const Tensor&, int64_t,
                                      double*);

// Taps [kh * KW + kw][c] in the order in which x meets them, or back: reversed if flipped.
template <class T>
void copy_taps(const ConvShape& s, const T* from, int64_t from_row, T* to, int64_t to_row) {
  for (int64_t a = 0; a < s.KH; a++) {
    for (int64_t b = 0; b < s.KW; b++) {
      const T* tap = from + a * from_row + b * s.C;
      T* target =
          s.flip ? to + (s.KH - 1 - a) * to_row + (s.KW - 1 - b) * s.C : to + a * to_row + b * s.C;
      for (int64_t c = 0; c < s.C; c++) target[c] = tap[c];
    }
  }
}

// By byte of a window's winners and its value: value(p) where p is the window's only winner, and
// its bit is the byte's only one; else -1, also for bits behind the window's, which no pool writes.
template <class Value>
void fill_single_winner(const ConvShape& s, int32_t* table, Value value) {
  std::fill_n(table, 256 * s.winner_bytes(), -1);
  for (int64_t p = 0; p < s.pool_size(); p++) {
    table[p / 8 * 256 + (1 << p % 8)] = static_cast<int32_t>(value(p));
  }
}

// Whether so many packed elements leave the L2 cache.
template <class T>
constexpr bool are_far(int64_t elements) {
  return elements * static_cast<int64_t>(sizeof(T)) > 1 << 20;
}

// Memory that is needed soon, requested a few cache lines at a time: all at once would wait for
// each other, and patches are visited in an order that the processor can't foresee.
class Ahead {
  static constexpr int64_t kLineBytes = 64;

 public:
  Ahead() = default;
  Ahead(const void* first, int64_t bytes)
      : next_(static_cast<const char*>(first)), end_(next_ + bytes) {}

  bool is_empty() const { return next_ == end_; }

  // A share of what is left, if `shares` are still to come.
  void request(int64_t shares) {
    const int64_t bytes = (end_ - next_) / shares;
    for (const char* to = next_ + bytes; next_ < to; next_ += kLineBytes) {
      __builtin_prefetch(next_, 0, 2);
    }
  }

 private:
  const char *next_ = nullptr, *end_ = nullptr;
};

// A factor, and the offset of the patch that it multiplies.
template <class T>
struct Term {
  T factor;
  int32_t offset;  // elements
};

// For `invalid`: null, or why the offsets of terms don't reach all of an image, or of the filters.
template <class T>
const char* check_offsets(const ChannelGroups& groups) {
  const int64_t image = PatchImages<T>(groups.part).image;
  const int64_t filters = checked_product({groups.part.O, PatchRows<T>(groups.part).padded()});
  if (std::max(image, filters) > INT32_MAX)
    return "takes images of less than 2**31 elements with their borders";
  return nullptr;
}

// acc[r * acc_row] += sum over n terms of factor * the patch block at the term's offset in
// `patches`, whose rows are `row` apart.
template <class T>
using AddPatchBlock = void (*)(const T* patches, int64_t row, const Term<T>* terms, int64_t n,
                               T* acc, int64_t acc_row);

// In two interleaved sums where one would leave the multipliers waiting.
template <class T, int R, int V>
void add_patch_block(const T* patches, int64_t row, const Term<T>* terms, int64_t n, T* acc,
                     int64_t acc_row) {
  constexpr bool kTwoSums = R * V <= 6;
  RegisterTile<T, R, V> sums, more;
  sums.read(acc, acc_row);
  if constexpr (kTwoSums) more.clear();
  auto add = [&](const Term<T>& term, RegisterTile<T, R, V>& to) __attribute__((always_inline)) {
    const Vec<T> factor = splat<T>(term.factor);
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) to.add_row(r, factor, patches + term.offset + r * row);
  };
  int64_t i = 0;
  if constexpr (kTwoSums) {
    for (; i + 2 <= n; i += 2) {
      add(terms[i], sums);
      add(terms[i + 1], more);
    }
  }
  for (; i < n; i++) add(terms[i], sums);
  if constexpr (kTwoSums) sums.add(more);
  sums.write(acc, acc_row);
}

// The loop for a block, of rows * vectors <= kMaxPatchVectors.
template <class T>
AddPatchBlock<T> find_add_patch_block(const PatchBlock& block) {
  AddPatchBlock<T> found;
  with_width<kMaxPatchVectors>(block.rows, [&]<int R>() {
    with_width<kMaxPatchVectors / R>(block.vectors,
                                     [&]<int V>() { found = add_patch_block<T, R, V>; });
  });
  return found;
}

// Many loops, for both gradients: compiled with conv2d_pool_grad_input.cpp.
extern template AddPatchBlock<float> find_add_patch_block(const PatchBlock&);
extern template AddPatchBlock<double> find_add_patch_block(const PatchBlock&);

}  // namespace tgm::TGM_TARGET
