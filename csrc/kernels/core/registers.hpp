// How many accumulators fit the vector registers, and loops whose width is a constant.
#pragma once

#include <cstdint>

#include "simd.hpp"

namespace tgm::TGM_TARGET {

constexpr int kPixels = 4;
// 16 vector registers hold 4 x 3 accumulators, 3 filter vectors and a broadcast; 32 hold 4 x 6.
#if defined(TGM_64_BYTE_VECTORS) || defined(__aarch64__)
constexpr int kMaxFilterVectors = 6;
#else
constexpr int kMaxFilterVectors = 3;
#endif

// For functions around an inner loop: among the pointers of a larger function g++ 12 keeps those of
// the loop on the stack.
#define TGM_APART __attribute__((noinline))

// Calls f.template operator()<V>() with the constant V = width.
template <int V = kMaxFilterVectors, class F>
TGM_INLINE void with_width(int64_t width, F&& f) {
  if constexpr (V == 1) {
    f.template operator()<1>();
  } else {
    if (width == V) return f.template operator()<V>();
    with_width<V - 1>(width, f);
  }
}

}  // namespace tgm::TGM_TARGET
