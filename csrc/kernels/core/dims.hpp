// The dimensions of a loop over strided operands: sorted, merged, and an element's place in them.
#pragma once

#include <cstdint>

#include "simd.hpp"
#include "tensor.hpp"

namespace tgm::TGM_TARGET {

TGM_INLINE int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

TGM_INLINE int64_t element_count(const Tensor& tensor) {
  int64_t count = 1;
  for (int32_t d = 0; d < tensor.ndim; d++) count *= tensor.shape[d];
  return count;
}

// The number of rows along an axis; 0 if there are no elements.
TGM_INLINE int64_t rows_along(const Tensor& tensor, int64_t axis) {
  int64_t rows = 1;
  for (int32_t d = 0; d < tensor.ndim; d++) {
    rows *= d == axis ? tensor.shape[d] > 0 : tensor.shape[d];
  }
  return rows;
}

// Dimensions after sorting and merging. Operands cross dimension k with the stride of their axis
// `axis[k]`: of the axes that were merged, the innermost.
struct LoopDims {
  int32_t n = 0;
  int64_t shape[kMaxDims];
  int32_t axis[kMaxDims];
};

// Whether an operand crosses two neighbouring axes with one stride; size: of the inner axis.
TGM_INLINE bool is_one_stride(const int64_t* stride, int32_t outer, int32_t inner, int64_t size) {
  return stride[outer] == stride[inner] * size;
}

// Drops axes of one element, sorts the others by descending magnitude of `key` (a stride per axis;
// equal ones keep their order), and merges neighbours for which can_merge(outer axis, inner axis).
template <class CanMerge>
TGM_INLINE LoopDims sort_and_merge(int32_t ndim, const int64_t* shape, const int64_t* key,
                                   CanMerge can_merge) {
  int32_t order[kMaxDims];
  int32_t n_axes = 0;
  for (int32_t axis = 0; axis < ndim; axis++) {
    if (shape[axis] == 1) continue;
    int32_t k = n_axes++;
    for (; k > 0 && magnitude(key[order[k - 1]]) < magnitude(key[axis]); k--) {
      order[k] = order[k - 1];
    }
    order[k] = axis;
  }
  LoopDims dims;
  for (int32_t k = 0; k < n_axes; k++) {
    const int32_t axis = order[k];
    const bool merges = dims.n > 0 && can_merge(dims.axis[dims.n - 1], axis);
    if (!merges) dims.shape[dims.n++] = 1;
    dims.shape[dims.n - 1] *= shape[axis];
    dims.axis[dims.n - 1] = axis;
  }
  return dims;
}

// Calls visit(dimension, index in it) for element i, counted in C order.
template <class Visit>
TGM_INLINE void for_coordinates(int32_t ndim, const int64_t* shape, int64_t i, Visit visit) {
  for (int32_t d = ndim - 1; d > 0; d--) {
    visit(d, i % shape[d]);
    i /= shape[d];
  }
  if (ndim > 0) visit(0, i);
}

}  // namespace tgm::TGM_TARGET
