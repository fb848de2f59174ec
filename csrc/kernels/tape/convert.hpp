// Moves elements between memory of any dtype and registers of a tape's dtype.
#pragma once

#include "simd.hpp"
#include "tensor.hpp"

namespace tgm::TGM_TARGET {

// to[i] = from[i * stride] for i < n, converted to `to_dtype` (float32, float64 or int64).
void load_elements(DType to_dtype, void* to, DType from_dtype, const char* from, int64_t stride,
                   int64_t n);

// to[i * stride] = from[i * from_stride] for i < n, converted from `from_dtype`, one of the three.
// To bool: whether the value differs from 0. To integers: floats are truncated toward zero, and
// values wrap.
void store_elements(DType to_dtype, char* to, int64_t stride, DType from_dtype, const void* from,
                    int64_t from_stride, int64_t n);

}  // namespace tgm::TGM_TARGET
