// A reduction in the form in which it is computed: dimensions sorted and merged.
#pragma once

#include "kernels/core/tape_row.hpp"

namespace tgm::TGM_TARGET {

// The last dimension is the densest one of the first input. Results are numbered in C order of
// the output. All operands have a stride for every dimension; the output's and the extras' count
// only where `reduced` is false.
struct ReduceProblem {
  const Tape* prologue;
  const Tape* epilogue;
  int32_t n_dims;  // at least 1
  int64_t shape[kMaxDims];
  bool reduced[kMaxDims];
  int64_t index0;  // of the first element, for `uniform` in the prologue
  int64_t index_stride[kMaxDims];
  int64_t result0;
  int64_t result_stride[kMaxDims];
  int64_t n_results;                // of the whole call
  Tensor operands[kMaxTapeInputs];  // of the prologue
  Tensor extras[kMaxTapeInputs];    // of the epilogue, from its input 1 on
  Tensor out;

  int32_t n_extras() const { return epilogue->n_inputs - 1; }
  // Elements of the dimensions that are (or are not) reduced.
  int64_t count(bool of_reduced) const;
  // The longest such dimension with more than one element; -1 if there is none.
  int32_t longest(bool of_reduced) const;
  // Keeps elements begin .. end - 1 of a dimension.
  void restrict_to(int32_t dim, int64_t begin, int64_t end);
};

ReduceProblem reduce_problem(const Args& args);

// How the work is cut: into n_outer ranges of the results and n_parts ranges of the elements that
// make up each; it depends only on shapes and strides.
struct ReduceCut {
  int32_t outer_dim;
  int64_t n_outer;
  int32_t part_dim;
  int64_t n_parts;
};

ReduceCut cut_reduction(const ReduceProblem& problem);

}  // namespace tgm::TGM_TARGET
