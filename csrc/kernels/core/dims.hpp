// Dimensions of strided operands, sorted and merged: fewer and longer inner loops.
#pragma once

#include <cstdint>

#include "simd.hpp"
#include "tensor.hpp"

namespace tgm::TGM_TARGET {

TGM_INLINE int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

// The dimensions whose size is not 1, the densest in `stride` last; equal ones keep their order.
// Returns how many there are.
TGM_INLINE int32_t dense_last(int32_t ndim, const int64_t* shape, const int64_t* stride,
                              int32_t* order) {
  int32_t n = 0;
  for (int32_t d = 0; d < ndim; d++) {
    if (shape[d] == 1) continue;
    int32_t k = n++;
    for (; k > 0 && magnitude(stride[order[k - 1]]) < magnitude(stride[d]); k--) {
      order[k] = order[k - 1];
    }
    order[k] = d;
  }
  return n;
}

// Whether an operand crosses dimensions a and b, the inner one of `size`, with one stride.
TGM_INLINE bool has_one_stride(const int64_t* stride, int32_t a, int32_t b, int64_t size) {
  return stride[a] == stride[b] * size;
}

// Merges neighbours among n dimensions where `continues(a, b)` says that all operands cross both
// with one stride. `move(to, from)` moves the operands' strides. Returns how many are left.
template <class Continues, class Move>
TGM_INLINE int32_t merge_dims(int32_t n, int64_t* shape, Continues continues, Move move) {
  int32_t kept = 0;
  for (int32_t d = 0; d < n; d++) {
    const bool merges = kept > 0 && continues(kept - 1, d);
    const int64_t outer = merges ? shape[--kept] : 1;
    const int64_t size = outer * shape[d];
    move(kept, d);
    shape[kept++] = size;
  }
  return kept;
}

}  // namespace tgm::TGM_TARGET
