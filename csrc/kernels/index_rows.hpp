// What gather and scatter share: the places that index vectors name, and walks over the axes behind
// them.
#pragma once

#include "kernel.hpp"
#include "kernels/index_vector.hpp"
#include "simd.hpp"

namespace tgm::TGM_TARGET {

// The dimensions after the index, of the picked tensor (n, rest) and of the indexed one (index,
// rest), in C order.
struct Rest {
  int32_t ndim;
  const int64_t* shape;
  const int64_t* picked;  // strides
  const int64_t* indexed;
  int64_t size;
};

TGM_INLINE Rest rest_of(const Tensor& picked, const Tensor& indexed, int64_t n_index) {
  Rest rest{picked.ndim - 1, picked.shape + 1, picked.stride + 1, indexed.stride + n_index, 1};
  for (int32_t d = 0; d < rest.ndim; d++) rest.size *= rest.shape[d];
  return rest;
}

// Calls body(picked offset, indexed offset, length, picked stride, indexed stride) for every row
// of the elements begin .. end - 1 of the rest.
template <class Body>
TGM_INLINE void for_rows(const Rest& rest, int64_t begin, int64_t end, Body body) {
  if (rest.ndim == 0) {
    if (begin < end) body(0, 0, 1, 1, 1);
    return;
  }
  const int32_t inner = rest.ndim - 1;
  const int64_t length = rest.shape[inner];
  for (int64_t i = begin; i < end;) {
    const int64_t in_row = i % length;
    int64_t n = length - in_row;
    if (n > end - i) n = end - i;
    int64_t picked = in_row * rest.picked[inner];
    int64_t indexed = in_row * rest.indexed[inner];
    int64_t row = i / length;
    for (int32_t d = inner - 1; d >= 0; d--) {
      const int64_t at = row % rest.shape[d];
      row /= rest.shape[d];
      picked += at * rest.picked[d];
      indexed += at * rest.indexed[d];
    }
    body(picked, indexed, n, rest.picked[inner], rest.indexed[inner]);
    i += n;
  }
}

// Offset in `indexed` of what n_index vectors name at i.
TGM_INLINE int64_t place_of(const Tensor* vectors, int64_t n_index, const Tensor& indexed,
                            int64_t i) {
  int64_t offset = 0;
  for (int64_t k = 0; k < n_index; k++) {
    offset += read_index(vectors[k], i, indexed.shape[k]) * indexed.stride[k];
  }
  return offset;
}

// Moves n elements, strides in elements.
using RowFunction = void (*)(char* to, int64_t to_stride, const char* from, int64_t from_stride,
                             int64_t n);

template <class Word>
void copy_row(char* to, int64_t to_stride, const char* from, int64_t from_stride, int64_t n) {
  Word* out = reinterpret_cast<Word*>(to);
  const Word* in = reinterpret_cast<const Word*>(from);
  if (to_stride == 1 && from_stride == 1) {
    std::memcpy(to, from, n * sizeof(Word));
  } else {
    for (int64_t i = 0; i < n; i++) out[i * to_stride] = in[i * from_stride];
  }
}

TGM_INLINE RowFunction copy_row_of(size_t item) {
  if (item == 1) return copy_row<uint8_t>;
  if (item == 2) return copy_row<uint16_t>;
  return item == 4 ? copy_row<uint32_t> : copy_row<uint64_t>;
}

// Null, or why `picked` (n, rest), `indexed` (index, rest) and the vectors don't fit.
TGM_INLINE const char* index_mismatch(const Tensor& picked, const Tensor& indexed,
                                      const Tensor* vectors, int64_t n_index) {
  if (picked.dtype != indexed.dtype) return "what is moved must have one dtype";
  if (n_index > indexed.ndim || picked.ndim != indexed.ndim - n_index + 1) {
    return "the moved rows must have the indexed shape with one axis for the indexed ones";
  }
  for (int32_t d = 1; d < picked.ndim; d++) {
    if (picked.shape[d] != indexed.shape[d - 1 + n_index]) {
      return "the moved rows must agree with the axes that are not indexed";
    }
  }
  for (int64_t k = 0; k < n_index; k++) {
    if (!is_integer(vectors[k].dtype)) return "an index vector must have an integer dtype";
    if (vectors[k].ndim != 1 || vectors[k].shape[0] != picked.shape[0]) {
      return "an index vector must have an element per moved row";
    }
  }
  return nullptr;
}

}  // namespace tgm::TGM_TARGET
