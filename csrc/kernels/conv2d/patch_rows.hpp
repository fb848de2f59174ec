// Patches of images that lie channels last: what gradients of a convolution are made of.
//
// With x as [h][w][c], the KW * C values that a row of a filter meets at one output position are
// side by side: a *patch row*. Padded to whole vectors, patch rows and filter rows are added up by
// one loop over contiguous memory, whatever C and KW are; what the lanes of the padding hold is
// dropped at the end. A *patch block* is the part of the KH rows that is kept in registers at once:
// R rows of V vectors.
#pragma once

#include <algorithm>
#include <cstring>

#include "kernels/conv2d/geometry.hpp"
#include "kernels/core/workspace.hpp"

namespace tgm::TGM_TARGET {

// Accumulators of a patch block; with a broadcast they fit 16 registers.
constexpr int kMaxPatchVectors = 13;

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
  Span block_rows(int64_t block) const { return span_of(rows, block / across, down); }
  Span block_vectors(int64_t block) const { return span_of(vectors, block % across, across); }
};

// Images as [n][padded h][padded w][c], with room behind for the last vector of the last row.
template <class T>
struct PatchImages {
  int64_t row, image;  // elements

  explicit PatchImages(const ConvShape& s) : row(s.padded_w() * s.C), image(s.padded_h() * row) {}
  int64_t size(int64_t n) const { return n * image + kLanes<T>; }
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

// A group of channels of image n of x, channels last, into the middle of zeros.
template <class T>
void pack_patch_image(const ChannelGroups& groups, int64_t group, const Tensor& x, int64_t n,
                      T* to);

// A chunk of the images of x as [group][n][h][w][c]; the first chunk writes zeros behind the last.
template <class T>
void pack_patch_images(const ChannelGroups& groups, const Tensor& x, int64_t chunk,
                       int64_t n_chunks, T* to);

// Windows, or positions where there is no pool, in blocks that see at most `bytes` of a group of
// channels, or one row of windows: those of some images, or some rows of one image's.
template <class T>
struct WindowBlocks {
  int64_t images, image_blocks, row_blocks, count;
  int64_t windows;  // of a block, at most

  WindowBlocks(const ConvShape& s, const PatchImages<T>& packed, int64_t bytes) {
    const int64_t row_bytes = std::max<int64_t>(1, packed.row * sizeof(T));
    const int64_t image_bytes = row_bytes * s.padded_h();
    const int64_t fit = (bytes / row_bytes - s.KH) / s.stride_h + 1;  // rows of positions
    const int64_t rows = image_bytes <= bytes
                             ? s.PH
                             : std::clamp<int64_t>(fit / s.pool_h, 1, std::max<int64_t>(1, s.PH));
    images = s.N;
    image_blocks = ceil_div(s.N, std::max<int64_t>(1, bytes / std::max<int64_t>(1, image_bytes)));
    row_blocks = ceil_div(s.PH, std::max<int64_t>(1, rows));
    count = image_blocks * row_blocks;
    windows = count == 0 ? 0 : ceil_div(s.N, image_blocks) * ceil_div(s.PH, row_blocks) * s.PW;
  }
  Span images_of(int64_t block) const { return span_of(images, block / row_blocks, image_blocks); }
  Span rows_of(const ConvShape& s, int64_t block) const {
    return span_of(s.PH, block % row_blocks, row_blocks);
  }
};

// A factor, and the offset of the patch that it multiplies.
template <class T>
struct Term {
  T factor;
  int32_t offset;  // elements
};

// Sums in registers: R rows of V vectors, of a patch block or of R filters.
template <class T, int R, int V>
struct PatchSums {
  Vec<T> sum[R][V];

  __attribute__((always_inline)) void clear() {
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 16
      for (int v = 0; v < V; v++) sum[r][v] = Vec<T>{};
    }
  }

  // From and to acc[r * row + v * L].
  __attribute__((always_inline)) void read(const T* acc, int64_t row) {
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 16
      for (int v = 0; v < V; v++) sum[r][v] = load(acc + r * row + v * kLanes<T>);
    }
  }
  __attribute__((always_inline)) void write(T* acc, int64_t row) const {
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 16
      for (int v = 0; v < V; v++) store(acc + r * row + v * kLanes<T>, sum[r][v]);
    }
  }

  __attribute__((always_inline)) void add(const PatchSums& other) {
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 16
      for (int v = 0; v < V; v++) sum[r][v] += other.sum[r][v];
    }
  }

  // Row r += factor * values.
  __attribute__((always_inline)) void add_row(int r, Vec<T> factor, const T* values) {
#pragma GCC unroll 16
    for (int v = 0; v < V; v++) {
      sum[r][v] = fmadd(factor, load(values + v * kLanes<T>), sum[r][v]);
    }
  }
};

// acc[r * acc_row] += sum over n terms of factor * the patch block at the term's offset in
// `patches`, whose rows are `row` apart.
template <class T>
using AddPatchBlock = void (*)(const T* patches, int64_t row, const Term<T>* terms, int64_t n,
                               T* acc, int64_t acc_row);

// The loop for blocks of `rows` rows of `vectors` vectors; rows * vectors <= kMaxPatchVectors.
template <class T>
AddPatchBlock<T> find_add_patch_block(int64_t rows, int64_t vectors);

// `size` channels, up to s.C, of one filter [c][kh][kw] of any strides to patch rows
// [kh][row_stride], as x meets it. What `buffer` [kh * kw][s.C] has in the other channels goes
// along.
template <class T>
void pack_filter(const ConvShape& s, int64_t size, const T* w, const int64_t* stride, T* buffer,
                 T* to, int64_t row_stride);

// The sums of which the filters' gradient is made, and their way into the output.
template <class T>
struct FilterSums {
  ConvShape s;
  ChannelGroups groups;
  int64_t row, group, filter;  // elements of a row of sums with its padding, of a group, a filter
  T* sums;                     // [o][group][kh][row]
  T* channels_last;            // [o][kh][kw][c], on the way where rows are padded
  T* result;                   // [o][c][kh][kw], before the epilogue

  FilterSums(const ConvShape& s, const ChannelGroups& groups, int64_t row, WorkspaceLayout& layout)
      : s(s),
        groups(groups),
        row(row),
        group(ceil_div(s.KH * row, kLanes<T>) * kLanes<T>),
        filter(groups.count * group) {
    result = layout.take<T>(s.O * s.taps());
    sums = layout.take<T>(s.O * filter);
    channels_last = layout.take<T>(is_padded() ? s.O * groups.part.taps() : 0);
  }

  bool is_padded() const { return row != s.KW * groups.part.C; }
  T* of(int64_t o, int64_t g = 0) const { return sums + o * filter + g * group; }
  void clear(Span filters) const {
    std::memset(of(filters.first), 0, (filters.last - filters.first) * filter * sizeof(T));
  }
  // Takes some filters' gradients through the epilogue, whose extras follow `n_own` inputs.
  void finish(const Args& args, Span filters, int n_own) const;

 private:
  void unpack(int64_t o, int64_t g) const;
};

}  // namespace tgm::TGM_TARGET
