// Random displacement fields of an elastic distortion, smoothed with a Gaussian.
//
// Source: Simard, Steinkraus, Platt, Best Practices for Convolutional Neural Networks Applied to
// Visual Document Analysis, ICDAR 2003.
#pragma once

#include "kernels/core/chunks.hpp"
#include "kernels/core/philox.hpp"
#include "kernels/core/workspace.hpp"

namespace tgm::TGM_TARGET {

// Numbers that an image draws before those of its fields.
constexpr int64_t kFirstOfField = 8;

// Half of the Gaussian, from its middle on, cut where it leaves the image; none: no displacement.
struct Gaussian {
  const float* weights;
  int64_t reach_y, reach_x;
  float alpha;
};

// The memory of one field: a row with zeros before and behind it, and all rows with zeros above and
// below them. A row of `width` elements begins every `width` elements, a whole number of vectors.
struct FieldRows {
  float* row;
  float* rows;
  int64_t height, width;
};

TGM_INLINE int64_t whole_vectors(int64_t n) { return ceil_div(n, kLanes<float>) * kLanes<float>; }

TGM_INLINE FieldRows take_field(WorkspaceLayout& layout, int64_t height, int64_t width,
                                const Gaussian& gaussian) {
  const int64_t whole = whole_vectors(width);
  FieldRows field;
  field.row = layout.take<float>(whole + 2 * gaussian.reach_x);
  field.rows = layout.take<float>((height + 2 * gaussian.reach_y) * whole);
  field.height = height;
  field.width = whole;
  return field;
}

// Zeros around the field; they stay for all images of a chunk.
TGM_INLINE void clear_field(const FieldRows& field, const Gaussian& gaussian) {
  std::memset(field.row, 0, (field.width + 2 * gaussian.reach_x) * sizeof(float));
  std::memset(field.rows, 0, (field.height + 2 * gaussian.reach_y) * field.width * sizeof(float));
}

// The sum of `at` and of its neighbours to both sides, `step` elements apart, by the weights.
TGM_INLINE Vec<float> smoothed(const float* at, int64_t step, const float* weights, int64_t reach) {
  Vec<float> sum = load(at) * weights[0];
  for (int64_t k = 1; k <= reach; k++) {
    sum += (load(at - k * step) + load(at + k * step)) * weights[k];
  }
  return sum;
}

// Smooths `noise`, uniform in [0, 1), height rows of `width` elements, along its rows.
TGM_INLINE void smooth_rows(const FieldRows& field, const Gaussian& gaussian, const float* noise,
                            int64_t width) {
  float* to = field.rows + gaussian.reach_y * field.width;
  float* row = field.row + gaussian.reach_x;
  for (int64_t y = 0; y < field.height; y++, noise += width, to += field.width) {
    for (int64_t x = 0; x < width; x++) row[x] = 2 * noise[x] - 1;
    for (int64_t x = 0; x < field.width; x += kLanes<float>) {
      store(to + x, smoothed(row + x, 1, gaussian.weights, gaussian.reach_x));
    }
  }
}

// Vector x of row y of the field: pixels by which to move.
TGM_INLINE Vec<float> displacement(const FieldRows& field, const Gaussian& gaussian, int64_t y,
                                   int64_t x) {
  const float* at = field.rows + (gaussian.reach_y + y) * field.width + x;
  return smoothed(at, field.width, gaussian.weights, gaussian.reach_y) * gaussian.alpha;
}

}  // namespace tgm::TGM_TARGET
