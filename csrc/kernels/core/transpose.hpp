// Transposes through registers: channels are far apart in NCHW, and side by side in vectors.
#pragma once

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

// to[c * to_stride + r] = from[r * from_stride + c] for r < rows, c < columns; no overlap. T is
// float or double.
template <class T>
void transpose(const T* from, int64_t from_stride, T* to, int64_t to_stride, int64_t rows,
               int64_t columns);

}  // namespace tgm::TGM_TARGET
