// Dimensions are sorted by the output's strides and merged; then rows are copied along the
// innermost. Where the input is denser along another dimension, squares of these two are copied, so
// that all of a cache line is used while it is in the cache.
#include "kernels/tape/copy_box.hpp"

#include "kernels/core/dims.hpp"
#include "kernels/core/row_copies.hpp"
#include "kernels/core/with_type.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kSquareSide = 16;  // elements

struct Copy {
  int32_t n_dims;
  int64_t shape[kMaxDims];
  int64_t from[kMaxDims];  // strides
  int64_t to[kMaxDims];
};

// The densest dimension of the output last.
Copy sorted_copy(const Box& box, const Tensor& from, const Tensor& to) {
  const LoopDims dims =
      sort_and_merge(box.ndim, box.shape, to.stride, [&](int32_t outer, int32_t inner) {
        return is_one_stride(from.stride, outer, inner, box.shape[inner]) &&
               is_one_stride(to.stride, outer, inner, box.shape[inner]);
      });
  Copy copy;
  copy.n_dims = dims.n;
  for (int32_t d = 0; d < dims.n; d++) {
    copy.shape[d] = dims.shape[d];
    copy.from[d] = from.stride[dims.axis[d]];
    copy.to[d] = to.stride[dims.axis[d]];
  }
  return copy;
}

// Dimensions a and b, square by square; the output is densest along b, the input along a.
template <class Word>
void copy_squares(const Copy& copy, int32_t a, int32_t b, Word* to, const Word* from) {
  for (int64_t i0 = 0; i0 < copy.shape[a]; i0 += kSquareSide) {
    const int64_t i1 = i0 + kSquareSide < copy.shape[a] ? i0 + kSquareSide : copy.shape[a];
    for (int64_t j0 = 0; j0 < copy.shape[b]; j0 += kSquareSide) {
      const int64_t n = j0 + kSquareSide < copy.shape[b] ? kSquareSide : copy.shape[b] - j0;
      for (int64_t i = i0; i < i1; i++) {
        copy_elements(to + i * copy.to[a] + j0 * copy.to[b], copy.to[b],
                      from + i * copy.from[a] + j0 * copy.from[b], copy.from[b], n);
      }
    }
  }
}

template <class Word>
void run_copy(const Copy& copy, Word* to, const Word* from) {
  if (copy.n_dims == 0) {
    *to = *from;
    return;
  }
  const int32_t inner = copy.n_dims - 1;
  int32_t square = -1;  // the dimension along which the input is denser than along the innermost
  for (int32_t d = 0; d < inner; d++) {
    const int32_t best = square < 0 ? inner : square;
    if (copy.from[d] != 0 && magnitude(copy.from[d]) < magnitude(copy.from[best])) square = d;
  }
  int64_t at[kMaxDims] = {};
  for (;;) {
    if (square >= 0) {
      copy_squares(copy, square, inner, to, from);
    } else {
      copy_elements(to, copy.to[inner], from, copy.from[inner], copy.shape[inner]);
    }
    int32_t d = inner - 1;
    for (; d >= 0; d--) {
      if (d == square) continue;
      to += copy.to[d];
      from += copy.from[d];
      if (++at[d] < copy.shape[d]) break;
      to -= at[d] * copy.to[d];
      from -= at[d] * copy.from[d];
      at[d] = 0;
    }
    if (d < 0) return;
  }
}

}  // namespace

void copy_box(const Box& box, const Tensor& from, const Tensor& to) {
  for (int32_t d = 0; d < box.ndim; d++) {
    if (box.shape[d] == 0) return;
  }
  const Copy copy = sorted_copy(box, from, to);
  with_word(to.dtype, [&]<class Word>() { run_copy(copy, to.as<Word>(), from.as<const Word>()); });
}

}  // namespace tgm::TGM_TARGET
