// Rows of elements, copied with any step, and split into phases (every second or third element)
// and merged again, by shuffles.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "simd.hpp"

namespace tgm::TGM_TARGET {

// n elements to or from any stride.
template <class T>
TGM_INLINE void copy_row(const T* from, int64_t from_step, int64_t n, T* to, int64_t to_step) {
  if (from_step == 1 && to_step == 1) {
    int64_t i = 0;
    for (; i + kLanes<T> <= n; i += kLanes<T>) store(to + i, load(from + i));
    copy_part(to + i, from + i, n - i);
    return;
  }
  for (int64_t i = 0; i < n; i++) to[i * to_step] = from[i * from_step];
}

// The same for rows of n elements, from one type of integers to another if wanted; joined to one
// row where both sides allow it.
template <class From, class To>
TGM_INLINE void copy_rows(const From* from, int64_t from_row, int64_t from_step, int64_t rows,
                          int64_t n, To* to, int64_t to_row, int64_t to_step) {
  if (from_row == n * from_step && to_row == n * to_step) n *= rows, rows = 1;
  for (; rows > 0; rows--, from += from_row, to += to_row) {
    if constexpr (std::is_same_v<From, To>) {
      copy_row(from, from_step, n, to, to_step);
    } else if (from_step == 1 && to_step == 1) {
      for (int64_t i = 0; i < n; i++) to[i] = static_cast<To>(from[i]);
    } else {
      for (int64_t i = 0; i < n; i++) to[i * to_step] = static_cast<To>(from[i * from_step]);
    }
  }
}

// As copy_row for rows that are long enough for a call of memmove; from_stride 0 repeats an
// element. The rows may overlap where both strides are 1.
template <class T>
void copy_elements(T* to, int64_t to_stride, const T* from, int64_t from_stride, int64_t n) {
  if (to_stride == 1 && from_stride == 1) {
    std::memmove(to, from, n * sizeof(T));
  } else if (to_stride == 1 && from_stride == 0) {
    const T value = *from;
    for (int64_t i = 0; i < n; i++) to[i] = value;
  } else {
    for (int64_t i = 0; i < n; i++) to[i * to_stride] = from[i * from_stride];
  }
}

template <class T, int... I>
TGM_INLINE void deinterleave_vector(const T* from, T* even, T* odd,
                                    std::integer_sequence<int, I...>) {
  const Vec<T> a = load(from), b = load(from + kLanes<T>);
  store(even, __builtin_shufflevector(a, b, 2 * I...));
  store(odd, __builtin_shufflevector(a, b, 2 * I + 1 ...));
}

template <class T, int... I>
TGM_INLINE void interleave_vector(const T* even, const T* odd, T* to,
                                  std::integer_sequence<int, I...>) {
  constexpr int L = kLanes<T>;
  const Vec<T> a = load(even), b = load(odd);
  store(to, __builtin_shufflevector(a, b, I / 2 + I % 2 * L...));
  store(to + L, __builtin_shufflevector(a, b, L / 2 + I / 2 + I % 2 * L...));
}

// Calls pairs(i) for i = 0, 2 L, 4 L, ... so that [i, i + 2 L) covers n elements, the last time
// overlapping the one before, and one(i) for what is left: an odd last element, or all if few.
template <class T, class Pairs, class One>
TGM_INLINE void in_pairs_of_vectors(int64_t n, Pairs pairs, One one) {
  constexpr int64_t step = 2 * kLanes<T>;
  int64_t i = 0;
  for (; i + step <= n; i += step) pairs(i);
  if (n >= step && i + 1 < n) {
    pairs((n - step) / 2 * 2);
    i = n / 2 * 2;
  }
  for (; i < n; i++) one(i);
}

// In the last lambdas each branch of the choice has its own index: g++ 12 with -fsanitize=undefined
// miscompiles an index of the choice, (i % 2 ? odd : even)[i / 2].
//
// even[i] = from[2 i], odd[i] = from[2 i + 1], for n elements in all.
template <class T>
TGM_INLINE void deinterleave(const T* from, int64_t n, T* even, T* odd) {
  in_pairs_of_vectors<T>(
      n,
      [=](int64_t i) {
        deinterleave_vector(from + i, even + i / 2, odd + i / 2,
                            std::make_integer_sequence<int, kLanes<T>>{});
      },
      [=](int64_t i) { *(i % 2 ? odd + i / 2 : even + i / 2) = from[i]; });
}

template <class T>
TGM_INLINE void interleave(const T* even, const T* odd, int64_t n, T* to) {
  in_pairs_of_vectors<T>(
      n,
      [=](int64_t i) {
        interleave_vector(even + i / 2, odd + i / 2, to + i,
                          std::make_integer_sequence<int, kLanes<T>>{});
      },
      [=](int64_t i) { to[i] = *(i % 2 ? odd + i / 2 : even + i / 2); });
}

// The same for three phases; the compiler makes shuffles of it.
template <class T>
TGM_INLINE void deinterleave3(const T* __restrict from, int64_t n, T* __restrict a, T* __restrict b,
                              T* __restrict c) {
  for (int64_t i = 0; i < n / 3; i++) {
    a[i] = from[3 * i];
    b[i] = from[3 * i + 1];
    c[i] = from[3 * i + 2];
  }
  if (n % 3 > 0) a[n / 3] = from[n - n % 3];
  if (n % 3 > 1) b[n / 3] = from[n - 1];
}

template <class T>
TGM_INLINE void interleave3(const T* __restrict a, const T* __restrict b, const T* __restrict c,
                            int64_t n, T* __restrict to) {
  for (int64_t i = 0; i < n / 3; i++) {
    to[3 * i] = a[i];
    to[3 * i + 1] = b[i];
    to[3 * i + 2] = c[i];
  }
  if (n % 3 > 0) to[n - n % 3] = a[n / 3];
  if (n % 3 > 1) to[n - 1] = b[n / 3];
}

// Element i of n goes to to[i % phases * plane + i / phases].
template <class T>
TGM_INLINE void split_phases(const T* from, int64_t n, int64_t phases, T* to, int64_t plane) {
  if (phases == 2) return deinterleave(from, n, to, to + plane);
  if (phases == 3) return deinterleave3(from, n, to, to + plane, to + 2 * plane);
  for (int64_t p = 0; p < phases && p < n; p++) {
    copy_row(from + p, phases, (n - 1 - p) / phases + 1, to + p * plane, 1);
  }
}

}  // namespace tgm::TGM_TARGET
