// Runs an epilogue over a tile of results and stores it in a call's output.
//
// A kernel computes a tile (rows x positions: filters x pixels, matrix rows x columns) in a small
// buffer; `finish_tile` runs the epilogue over it, as one box: each start of the interpreter costs
// about 50 ns per instruction. Where an operand has no single stride through the positions of a
// row, rows are joined, and such operands are first copied to a buffer.
#pragma once

#include "kernel.hpp"
#include "simd.hpp"

namespace tgm::TGM_TARGET {

constexpr int32_t kMaxEpilogueInputs = 62;

// A part of the output and its values before the epilogue. The output's axes are seen as
//   [outer,] row, position...      (`row_axis` = 1 or 0)
// all axes behind `row_axis` taken together, in C order, as one axis of positions.
struct Tile {
  const char* values;  // of the output's dtype
  int64_t stride;      // elements between rows of `values`
  int32_t row_axis;
  int64_t outer;  // index on axis 0 where row_axis is 1
  int64_t row, n_rows;
  int64_t position, n_positions;
};

// `extras` are the call's inputs behind the kernel's own (tape.n_inputs - 1 of them), `out` is its
// whole output, which may alias an extra of the same view.
void finish_tile(const Tape& tape, const Tile& tile, const Tensor* extras, const Tensor& out);

// An estimate of the epilogue's cost for one element, in floating-point operations.
TGM_INLINE int64_t epilogue_cost(const Tape& tape) {
  return 4 + 8 * static_cast<int64_t>(tape.instructions.size());
}

}  // namespace tgm::TGM_TARGET
