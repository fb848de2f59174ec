// How many accumulators fit the vector registers, and loops whose width is a constant.
#pragma once

#include <cstdint>

#include "simd.hpp"

namespace tgm::TGM_TARGET {

// Vectors of sums that an inner loop keeps in registers. Of 16 registers, 12 leave room for three
// vectors of an operand and a broadcast value of the other; of 32, 24 leave room for six. The x86
// baseline, for processors from before 2013, has fewer: every width is a loop to compile.
#if defined(TGM_64_BYTE_VECTORS) || defined(__aarch64__)
constexpr int kAccumulators = 24;
#elif defined(TGM_TARGET_baseline) && defined(__x86_64__)
constexpr int kAccumulators = 6;
#else
constexpr int kAccumulators = 12;
#endif

// Calls f.template operator()<V>() with the constant V = width, which is 1 to kMost.
template <int kMost, class F>
TGM_INLINE void with_width(int64_t width, F&& f) {
  if constexpr (kMost == 1) {
    f.template operator()<1>();
  } else {
    if (width == kMost) return f.template operator()<kMost>();
    with_width<kMost - 1>(width, f);
  }
}

}  // namespace tgm::TGM_TARGET
