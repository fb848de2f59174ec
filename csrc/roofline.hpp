// The two lines of the machine's roofline, measured: the peak of its arithmetic and the bandwidth
// of each level of its memory.
#pragma once

#include <cstdint>

#include "tensor.hpp"

namespace tgm {

// FLOP/s of `threads` threads that multiply and add in registers, with the present target. dtype:
// Float32 or Float64. Takes about 50 ms, as does the next; both use the best of each thread's many
// short runs.
double measure_peak(DType dtype, int threads);

// Bytes/s of `threads` threads that go through `bytes` of memory in all, each through its own part,
// again and again: the higher of a triad's (two reads, one write) and a plain read's.
constexpr int64_t kLeastBytes = 4096;  // for each thread
double measure_bandwidth(int64_t bytes, int threads);

}  // namespace tgm
