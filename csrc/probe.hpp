// Loops for the peak rates of a processor: they only multiply and add in registers, or load and
// store, compiled per target like the kernels. `roofline` times them.
#pragma once

#include <cstdint>

#include "tensor.hpp"

namespace tgm {

struct Probe {
  // `rounds` rounds of multiply-adds in registers, with enough independent sums to keep all units
  // busy. dtype: Float32 or Float64. Returns the FLOPs done.
  int64_t (*multiply_adds)(DType dtype, int64_t rounds);

  // a[i] = b[i] + 0.5 * c[i] for the three thirds a, b, c of `memory`, a whole `passes` times.
  // `n` elements in all. Returns the bytes read and written.
  int64_t (*triad)(float* memory, int64_t n, int64_t passes);

  // Reads `n` elements `passes` times. Returns the bytes read.
  int64_t (*read)(const float* memory, int64_t n, int64_t passes);
};

}  // namespace tgm
