// Patches of images that lie channels last: what the gradients of a convolution are made of.
//
// With x as [h][w][c], the KW * C values that a row of a filter meets at one output position lie
// side by side: a *patch row*. Padded to whole vectors, patch rows and filter rows are added up by
// one loop over contiguous memory, whatever C and KW are; the lanes of the padding hold rubbish and
// are dropped at the end. A *patch block* is the part of the KH rows that is kept in registers at
// once: R rows of V vectors.
#pragma once

#include "kernels/conv2d/geometry.hpp"

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
                      T* to) {
  const ConvShape& s = groups.part;
  const PatchImages<T> packed(s);
  const int64_t* stride = x.stride;
  const int64_t size = groups.size(group);
  if (s.pad_h || s.pad_w || size < s.C) std::memset(to, 0, packed.image * sizeof(T));
  to += s.pad_h * packed.row + s.pad_w * s.C;
  const T* from = x.as<T>() + n * stride[0] + groups.first(group) * stride[1];
  if (stride[3] == 1 && stride[2] == s.W && s.pad_w == 0 && s.C > 1) {
    return transpose(from, stride[1], to, s.C, size, s.H * s.W);
  }
  for (int64_t h = 0; h < s.H; h++, from += stride[2], to += packed.row) {
    if (stride[3] == 1 && s.C == 1) {
      std::memcpy(to, from, s.W * sizeof(T));
    } else if (stride[3] == 1) {
      transpose(from, stride[1], to, s.C, size, s.W);
    } else {
      for (int64_t w = 0; w < s.W; w++) {
        for (int64_t c = 0; c < size; c++) to[w * s.C + c] = from[c * stride[1] + w * stride[3]];
      }
    }
  }
}

// All channels of it.
template <class T>
void pack_patch_image(const ConvShape& s, const Tensor& x, int64_t n, T* to) {
  pack_patch_image(ChannelGroups(s, std::max<int64_t>(1, s.C)), 0, x, n, to);
}

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

// A factor and the place of the patch that it multiplies.
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

// acc += sum over terms of factor * the patch block at the term's offset, in two interleaved sums
// where one would leave the multipliers waiting.
template <class T, int R, int V>
void add_patch_block(const T* patches, int64_t row, const Term<T>* terms, int64_t n, T* acc,
                     int64_t acc_row) {
  constexpr bool kTwoSums = R * V <= 6;
  PatchSums<T, R, V> sums, more;
  sums.read(acc, acc_row);
  if constexpr (kTwoSums) more.clear();
  auto add = [&](const Term<T>& term, PatchSums<T, R, V>& to) __attribute__((always_inline)) {
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

template <class T>
using AddPatchBlock = void (*)(const T*, int64_t, const Term<T>*, int64_t, T*, int64_t);

template <class T, int Code>
constexpr AddPatchBlock<T> add_patch_block_entry() {
  constexpr int R = Code / kMaxPatchVectors + 1, V = Code % kMaxPatchVectors + 1;
  if constexpr (R * V <= kMaxPatchVectors) {
    return add_patch_block<T, R, V>;
  } else {
    return nullptr;
  }
}

template <class T, int... Codes>
AddPatchBlock<T> add_patch_block_of(int64_t code, std::integer_sequence<int, Codes...>) {
  static constexpr AddPatchBlock<T> table[] = {add_patch_block_entry<T, Codes>()...};
  return table[code];
}

// The loop for blocks of `rows` rows of `vectors` vectors; rows * vectors <= kMaxPatchVectors.
template <class T>
AddPatchBlock<T> find_add_patch_block(int64_t rows, int64_t vectors) {
  constexpr int n = kMaxPatchVectors * kMaxPatchVectors;
  return add_patch_block_of<T>((rows - 1) * kMaxPatchVectors + vectors - 1,
                               std::make_integer_sequence<int, n>{});
}

// Taps [kh * KW + kw][c] in the order in which x meets them, or back: all turned if flipped.
template <class T>
void copy_taps(const ConvShape& s, const T* from, int64_t from_row, T* to, int64_t to_row) {
  for (int64_t a = 0; a < s.KH; a++) {
    for (int64_t b = 0; b < s.KW; b++) {
      const T* tap = from + a * from_row + b * s.C;
      T* place =
          s.flip ? to + (s.KH - 1 - a) * to_row + (s.KW - 1 - b) * s.C : to + a * to_row + b * s.C;
      for (int64_t c = 0; c < s.C; c++) place[c] = tap[c];
    }
  }
}

// Sums of patches [kh][padded row], as x meets the filter, to one filter's gradient [c][kh][kw] of
// `size` channels, up to s.C. `buffer` has room for a filter.
template <class T>
void unpack_filter(const ConvShape& s, int64_t size, const T* sums, int64_t padded_row, T* buffer,
                   T* to) {
  copy_taps(s, sums, padded_row, buffer, s.KW * s.C);
  transpose(buffer, s.C, to, s.KH * s.KW, s.KH * s.KW, size);
}

// `size` channels, up to s.C, of one filter [c][kh][kw] of any strides to patch rows
// [kh][row_stride], as x meets it. What `buffer` [kh * kw][s.C] has in the other channels goes
// along.
template <class T>
void pack_filter(const ConvShape& s, int64_t size, const T* w, const int64_t* stride, T* buffer,
                 T* to, int64_t row_stride) {
  const int64_t taps = s.KH * s.KW;
  if (stride[2] == 1 && stride[1] == s.KW) {
    transpose(w, stride[0], buffer, s.C, size, taps);
  } else {
    for (int64_t t = 0; t < taps; t++) {
      const T* from = w + t / s.KW * stride[1] + t % s.KW * stride[2];
      for (int64_t c = 0; c < size; c++) buffer[t * s.C + c] = from[c * stride[0]];
    }
  }
  copy_taps(s, buffer, s.KW * s.C, to, row_stride);
}

}  // namespace tgm::TGM_TARGET
