// What gather and scatter share: the offsets of what index vectors select, and loops over the axes
// before and behind the indexed ones.
//
// The indexed tensor has axes (outer, index, rest), the picked one (outer, n, rest): outer axes
// that both have in common, then one per index vector in the indexed tensor and one for all in the
// picked one.
#pragma once

#include "kernel.hpp"
#include "kernels/core/chunks.hpp"
#include "kernels/core/dims.hpp"
#include "kernels/core/index_vector.hpp"
#include "kernels/core/row_copies.hpp"
#include "kernels/core/with_type.hpp"
#include "simd.hpp"

namespace tgm::TGM_TARGET {

// Axes that the picked and the indexed tensor have in common, in C order.
struct CommonAxes {
  int32_t ndim;
  const int64_t* shape;
  const int64_t* picked;  // strides
  const int64_t* indexed;
  int64_t size;

  // Offsets of element i in both tensors.
  TGM_INLINE void offsets(const CommonAxes& axes, int64_t i, int64_t* picked, int64_t* indexed) {
    for_coordinates(axes.ndim, axes.shape, i, [&](int32_t d, int64_t index) {
      *picked += index * axes.picked[d];
      *indexed += index * axes.indexed[d];
    });
  }
};

// One call, seen from both tensors.
struct IndexedAxes {
  CommonAxes outer;
  CommonAxes rest;
  const Tensor* vectors;
  const Tensor* indexed;
  int32_t first;  // axis of the indexed tensor to which the first vector belongs
  int32_t n_vectors;
  int64_t n;  // elements of each vector
  int64_t picked_stride;
};

TGM_INLINE CommonAxes common_axes(const Tensor& picked, int32_t picked_first, const Tensor& indexed,
                                  int32_t indexed_first, int32_t ndim) {
  CommonAxes axes{ndim, picked.shape + picked_first, picked.stride + picked_first,
                  indexed.stride + indexed_first, 1};
  for (int32_t d = 0; d < ndim; d++) axes.size *= axes.shape[d];
  return axes;
}

// ints: the number of index vectors, the number of outer axes.
TGM_INLINE IndexedAxes indexed_axes(const Tensor& picked, const Tensor& indexed,
                                    const Tensor* vectors, const int64_t* ints) {
  const auto n_vectors = static_cast<int32_t>(ints[0]);
  const auto first = static_cast<int32_t>(ints[1]);
  IndexedAxes axes;
  axes.outer = common_axes(picked, 0, indexed, 0, first);
  axes.rest = common_axes(picked, first + 1, indexed, first + n_vectors, picked.ndim - first - 1);
  axes.vectors = vectors;
  axes.indexed = &indexed;
  axes.first = first;
  axes.n_vectors = n_vectors;
  axes.n = picked.shape[first];
  axes.picked_stride = picked.stride[first];
  return axes;
}

// Offset in the indexed tensor of what the vectors select at i.
TGM_INLINE int64_t offset_of(const IndexedAxes& axes, int64_t i) {
  int64_t offset = 0;
  for (int32_t k = 0; k < axes.n_vectors; k++) {
    const int32_t axis = axes.first + k;
    offset +=
        read_index(axes.vectors[k], i, axes.indexed->shape[axis]) * axes.indexed->stride[axis];
  }
  return offset;
}

// Where there are several outer elements, a first phase computes the offsets once for all of them.
constexpr int64_t kOffsetsInChunk = 16384;

TGM_INLINE bool lists_offsets(const IndexedAxes& axes) { return axes.outer.size > 1; }

TGM_INLINE size_t offset_bytes(const IndexedAxes& axes) {
  return lists_offsets(axes) ? static_cast<size_t>(axes.n) * sizeof(int64_t) : 0;
}

TGM_INLINE int64_t offset_chunks(const IndexedAxes& axes) {
  return lists_offsets(axes) ? ceil_div(axes.n, kOffsetsInChunk) : 0;
}

TGM_INLINE void list_offsets(const IndexedAxes& axes, char* workspace, int64_t chunk) {
  auto* offsets = reinterpret_cast<int64_t*>(workspace);
  const int64_t begin = chunk * kOffsetsInChunk;
  const int64_t end = begin + kOffsetsInChunk < axes.n ? begin + kOffsetsInChunk : axes.n;
  for (int64_t i = begin; i < end; i++) offsets[i] = offset_of(axes, i);
}

// Calls body(picked offset, indexed offset, length, picked stride, indexed stride) for every row
// of the elements begin .. end - 1 of the rest.
template <class Body>
TGM_INLINE void for_rows(const CommonAxes& rest, int64_t begin, int64_t end, Body body) {
  if (rest.ndim == 0) {
    if (begin < end) body(0, 0, 1, 1, 1);
    return;
  }
  const int32_t inner = rest.ndim - 1;
  const int64_t length = rest.shape[inner];
  CommonAxes rows = rest;
  rows.ndim = inner;
  for (int64_t i = begin; i < end;) {
    const int64_t in_row = i % length;
    int64_t n = length - in_row;
    if (n > end - i) n = end - i;
    int64_t picked = in_row * rest.picked[inner];
    int64_t indexed = in_row * rest.indexed[inner];
    CommonAxes::offsets(rows, i / length, &picked, &indexed);
    body(picked, indexed, n, rest.picked[inner], rest.indexed[inner]);
    i += n;
  }
}

// Null, or why the tensors and the vectors don't fit.
TGM_INLINE const char* index_mismatch(const Tensor& picked, const Tensor& indexed,
                                      const Tensor* vectors, const int64_t* ints) {
  if (picked.dtype != indexed.dtype) return "what is moved must have one dtype";
  const int64_t n_vectors = ints[0];
  const int64_t first = ints[1];
  // Differences: sums of such numbers may overflow.
  if (n_vectors < 1 || n_vectors > indexed.ndim || first < 0 || first > indexed.ndim - n_vectors ||
      picked.ndim != indexed.ndim - n_vectors + 1) {
    return "the moved rows must have the indexed shape with one axis for the indexed ones";
  }
  for (int32_t d = 0; d < picked.ndim; d++) {
    if (d == first) continue;
    if (picked.shape[d] != indexed.shape[d < first ? d : d - 1 + n_vectors]) {
      return "the moved rows must agree with the axes that are not indexed";
    }
  }
  for (int64_t k = 0; k < n_vectors; k++) {
    if (!is_integer(vectors[k].dtype)) return "an index vector must have an integer dtype";
    if (vectors[k].ndim != 1 || vectors[k].shape[0] != picked.shape[first]) {
      return "an index vector must have an element per moved row";
    }
  }
  return nullptr;
}

}  // namespace tgm::TGM_TARGET
