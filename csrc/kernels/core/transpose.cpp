#include "kernels/core/transpose.hpp"

#include <algorithm>

namespace tgm::TGM_TARGET {
namespace {

// For fewer rows than a vector has lanes, whose columns are side by side in `to`: a vector
// that is stored is longer than a column, and the next one overwrites what is too much.
template <class T>
void transpose_few_rows(const T* from, int64_t from_stride, T* to, int64_t rows, int64_t columns) {
  constexpr int L = kLanes<T>;
  alignas(64) T buffer[L * L];
  for (int64_t c = 0; c < columns; c += L) {
    c = std::min(c, columns - L);
    Vec<T> block[L];
#pragma GCC unroll 16
    for (int i = 0; i < L; i++)
      block[i] = load(from + std::min<int64_t>(i, rows - 1) * from_stride + c);
    transpose_registers<T>(block);
#pragma GCC unroll 16
    for (int i = 0; i < L; i++) store(buffer + i * rows, block[i]);
    for (int64_t i = 0; i < rows; i++) store(to + c * rows + i * L, load(buffer + i * L));
  }
}

}  // namespace

// The last blocks overlap the ones before them; without room for a block, elements are copied.
template <class T>
void transpose(const T* from, int64_t from_stride, T* to, int64_t to_stride, int64_t rows,
               int64_t columns) {
  constexpr int L = kLanes<T>;
  if (rows > 1 && rows < L && columns >= L && to_stride == rows) {
    return transpose_few_rows(from, from_stride, to, rows, columns);
  }
  if (rows < L || columns < L) {
    for (int64_t c = 0; c < columns; c++) {
      for (int64_t r = 0; r < rows; r++) to[c * to_stride + r] = from[r * from_stride + c];
    }
    return;
  }
  for (int64_t r = 0; r < rows; r += L) {
    r = std::min(r, rows - L);
    for (int64_t c = 0; c < columns; c += L) {
      c = std::min(c, columns - L);
      Vec<T> block[L];
#pragma GCC unroll 16
      for (int i = 0; i < L; i++) block[i] = load(from + (r + i) * from_stride + c);
      transpose_registers<T>(block);
#pragma GCC unroll 16
      for (int i = 0; i < L; i++) store(to + (c + i) * to_stride + r, block[i]);
    }
  }
}

template void transpose(const float*, int64_t, float*, int64_t, int64_t, int64_t);
template void transpose(const double*, int64_t, double*, int64_t, int64_t, int64_t);

}  // namespace tgm::TGM_TARGET
