// Philox4x32-10: a counter-based generator (Salmon et al., Parallel Random Numbers: As Easy as
// 1, 2, 3, SC 2011). Element e of a draw depends on (key, step, e) only.
#pragma once

#include "simd.hpp"

namespace tgm::TGM_TARGET {

// to[i] = the uniform number in [0, 1) of element index + i * index_stride, for i < n.
void fill_uniform(float* to, int64_t n, int64_t index, int64_t index_stride, int64_t step,
                  uint64_t key);
void fill_uniform(double* to, int64_t n, int64_t index, int64_t index_stride, int64_t step,
                  uint64_t key);

}  // namespace tgm::TGM_TARGET
