// Products of 32-bit numbers in 64-bit lanes, for Philox. The one file with intrinsics: from the
// vector expression g++ 12 makes a full 64-bit product, which makes Philox three times slower.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "simd.hpp"

namespace tgm::TGM_TARGET {

// Product of the lower halves of each lane.
TGM_INLINE Vec<uint64_t> multiply_low_halves(Vec<uint64_t> a, Vec<uint64_t> b) {
#if defined(TGM_TARGET_wide)
  return (a & 0xFFFFFFFF) * (b & 0xFFFFFFFF);
#elif defined(__AVX512F__)
  // With a mask of ones: g++ 12 warns of its own header's form without one.
  return (Vec<uint64_t>)_mm512_maskz_mul_epu32(0xFF, (__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (Vec<uint64_t>)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
  return (Vec<uint64_t>)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
  return (a & 0xFFFFFFFF) * (b & 0xFFFFFFFF);
#endif
}

}  // namespace tgm::TGM_TARGET
