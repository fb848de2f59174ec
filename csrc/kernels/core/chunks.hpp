// How work is cut into chunks: by shapes alone, never by the number of threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "simd.hpp"

namespace tgm::TGM_TARGET {

constexpr int64_t kTileElements = 4096;   // of one tile of results: 16 KiB of float32
constexpr int64_t kChunkFlops = 400'000;  // about 5 us: smaller chunks cost more than they save
constexpr int64_t kPackFlops = 16;        // the cost of copying one element, in arithmetic

TGM_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Groups equal units of work into chunks of at least `kChunkFlops`.
TGM_INLINE int64_t chunks_for(int64_t units, int64_t flops_per_unit) {
  if (units == 0) return 0;
  const int64_t per_chunk =
      std::clamp<int64_t>(kChunkFlops / std::max<int64_t>(1, flops_per_unit), 1, units);
  return ceil_div(units, per_chunk);
}

// The units of a chunk: [first, last), as even as possible.
struct Span {
  int64_t first, last;
};
TGM_INLINE Span span_of(int64_t units, int64_t chunk, int64_t n_chunks) {
  return {units * chunk / n_chunks, units * (chunk + 1) / n_chunks};
}

}  // namespace tgm::TGM_TARGET
