// Transposes through registers: channels are far apart in NCHW, and side by side in vectors.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "simd.hpp"

namespace tgm::TGM_TARGET {

// One step of the butterfly: swaps the lanes of a whose number has bit S with those of b that lack
// it.
template <class T, size_t S, size_t... J>
TGM_INLINE void exchange(Vec<T>& a, Vec<T>& b, std::index_sequence<J...>) {
  constexpr size_t n = sizeof...(J);
  const Vec<T> low = __builtin_shufflevector(a, b, ((J & S) ? n + J - S : J)...);
  b = __builtin_shufflevector(a, b, ((J & S) ? n + J : J + S)...);
  a = low;
}

template <class T, size_t S = 1>
TGM_INLINE void transpose_registers(Vec<T> (&rows)[kLanes<T>]) {
  if constexpr (S < kLanes<T>) {
#pragma GCC unroll 16
    for (size_t i = 0; i < kLanes<T>; i++) {
      if ((i & S) == 0) exchange<T, S>(rows[i], rows[i + S], std::make_index_sequence<kLanes<T>>{});
    }
    transpose_registers<T, 2 * S>(rows);
  }
}

// The same for fewer rows than a vector has lanes, whose columns are side by side in `to`: a vector
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

// to[c * to_stride + r] = from[r * from_stride + c] for r < rows, c < columns; no overlap.
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

}  // namespace tgm::TGM_TARGET
