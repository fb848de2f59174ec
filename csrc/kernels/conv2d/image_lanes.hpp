// Images side by side in vectors: [channel][row][column][image], one image in each lane.
//
// So a vector is full whatever the numbers of channels, filters and columns are, and every load is
// aligned. What is packed is a strip of rows, with zeros beside and around it as the taps of a
// convolution meet them, small enough to stay in the second-level cache.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/conv2d/geometry.hpp"
#include "kernels/core/registers.hpp"
#include "kernels/core/transpose.hpp"

namespace tgm::TGM_TARGET {

// With fewer lanes, packing costs more than full vectors save.
constexpr bool kHasImageLanes = kLanes<float> >= 8;
constexpr int64_t kImageLanes = kLanes<float>;

// Filters x positions (or taps) whose sums, a vector each, are in registers at once.
constexpr int kLaneFilters = 4;
constexpr int kLanePositions = std::max(1, kAccumulators / kLaneFilters);

// Where strips of images (N, C, H, W) lie once they are packed.
struct LanePlanes {
  int64_t C, H, W;
  int64_t left, width;  // zeros before a row; elements of a row with its zeros
  int64_t rows;         // of a strip

  int64_t row() const { return width * kImageLanes; }
  int64_t plane() const { return rows * row(); }
  int64_t size() const { return C * plane(); }
};

// Rows [first, first + planes.rows) of some channels of some images, up to kImageLanes; rows that
// an image doesn't have, and lanes without an image, are zeros. Returns whether all are finite.
bool pack_lanes(const LanePlanes& planes, const Tensor& x, Span images, int64_t first, float* to);

}  // namespace tgm::TGM_TARGET
