// The number of ones among the bits of a byte.
#pragma once

#include "simd.hpp"

namespace tgm::TGM_TARGET {

// For each element of a vector of integers from 0 to 255.
template <class N>
TGM_INLINE N ones_of_bytes(N n) {
  n -= (n >> 1) & 0x55;                // in pairs of bits
  n = (n & 0x33) + ((n >> 2) & 0x33);  // in fours
  return (n + (n >> 4)) & 0x0f;
}

// Of floats: they are clipped to [0, 255] and rounded down, and NaN counts as 0.
template <class V>
TGM_INLINE V bit_count(V a) {
  using T = Element<V>;
  a = a > T(0) ? a : V{};
  a = a < T(255) ? a : splat(T(255));
  return __builtin_convertvector(ones_of_bytes(__builtin_convertvector(a, decltype(a == a))), V);
}

// `lanes` integers of type N.
template <class N, int lanes>
struct IntegersOf {
  typedef N type __attribute__((vector_size(lanes * sizeof(N))));
};
template <class N, int lanes>
using Integers = typename IntegersOf<N, lanes>::type;

// out[i] = x[i] * the number of ones of bytes[i], for i < n. The last vector overlaps the one
// before.
template <class T>
TGM_INLINE void times_bit_count(const T* x, const uint8_t* bytes, T* out, int64_t n) {
  constexpr int lanes = kLanes<T>;
  // By doublings: g++ 12 converts element by element where the size changes by more.
  const auto product = [](Vec<T> values, const uint8_t* from) {
    Integers<uint8_t, lanes> few;
    std::memcpy(&few, from, sizeof few);
    const auto ones = ones_of_bytes(__builtin_convertvector(few, Integers<uint16_t, lanes>));
    const auto wide = __builtin_convertvector(ones, Integers<int32_t, lanes>);
    return values * __builtin_convertvector(wide, Vec<T>);
  };
  if (n < lanes) {
    uint8_t few[lanes] = {};
    std::memcpy(few, bytes, n);
    return store_part(out, product(load_part(x, n), few), n);
  }
  for (int64_t i = 0; i < n; i += lanes) {
    if (i + lanes > n) i = n - lanes;
    store(out + i, product(load(x + i), bytes + i));
  }
}

}  // namespace tgm::TGM_TARGET
