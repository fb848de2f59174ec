// Packing and unpacking of patches, and the loops over terms, for all gradients: see
// patch_rows.hpp.
#include "kernels/conv2d/patch_rows.hpp"

#include <utility>

#include "kernels/core/tile.hpp"
#include "kernels/core/transpose.hpp"

namespace tgm::TGM_TARGET {
namespace {

// See AddPatchBlock. In two interleaved sums where one would leave the multipliers waiting.
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

}  // namespace

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

template <class T>
void pack_patch_images(const ChannelGroups& groups, const Tensor& x, int64_t chunk,
                       int64_t n_chunks, T* to) {
  const int64_t image = PatchImages<T>(groups.part).image, images = groups.part.N;
  const Span span = span_of(images, chunk, n_chunks);
  for (int64_t n = span.first; n < span.last; n++) {
    for (int64_t group = 0; group < groups.count; group++) {
      pack_patch_image(groups, group, x, n, to + (group * images + n) * image);
    }
  }
  if (chunk == 0) std::memset(to + groups.count * images * image, 0, kLanes<T> * sizeof(T));
}

template <class T>
AddPatchBlock<T> find_add_patch_block(int64_t rows, int64_t vectors) {
  constexpr int n = kMaxPatchVectors * kMaxPatchVectors;
  return add_patch_block_of<T>((rows - 1) * kMaxPatchVectors + vectors - 1,
                               std::make_integer_sequence<int, n>{});
}

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

// The sums of a group of channels, in the order in which x meets the filter, to the filter's
// gradient [c][kh][kw].
template <class T>
void FilterSums<T>::unpack(int64_t o, int64_t g) const {
  const ConvShape& part = groups.part;
  const int64_t taps = s.KH * s.KW, size = groups.size(g);
  const T* from = of(o, g);
  T* to = result + o * s.taps() + groups.first(g) * taps;
  if (is_padded()) {
    T* const buffer = channels_last + o * part.taps();
    copy_taps(part, from, row, buffer, s.KW * part.C);
    transpose(buffer, part.C, to, taps, taps, size);
  } else if (s.flip) {
    transpose(from + (taps - 1) * part.C, -part.C, to, taps, taps, size);
  } else {
    transpose(from, part.C, to, taps, taps, size);
  }
}

template <class T>
void FilterSums<T>::finish(const Args& args, Span filters, int n_own) const {
  for (int64_t o = filters.first; o < filters.last; o++) {
    for (int64_t g = 0; g < groups.count; g++) unpack(o, g);
  }
  finish_tile(*args.tapes[0],
              {reinterpret_cast<const char*>(result + filters.first * s.taps()), s.taps(), 0, 0,
               filters.first, filters.last - filters.first, 0, s.taps()},
              args.in + n_own, args.out[0]);
}

#define TGM_INSTANTIATE(T)                                                                         \
  template void pack_patch_image(const ChannelGroups&, int64_t, const Tensor&, int64_t, T*);       \
  template void pack_patch_images(const ChannelGroups&, const Tensor&, int64_t, int64_t, T*);      \
  template AddPatchBlock<T> find_add_patch_block<T>(int64_t, int64_t);                             \
  template void pack_filter(const ConvShape&, int64_t, const T*, const int64_t*, T*, T*, int64_t); \
  template struct FilterSums<T>;
TGM_INSTANTIATE(float)
TGM_INSTANTIATE(double)
#undef TGM_INSTANTIATE

}  // namespace tgm::TGM_TARGET
