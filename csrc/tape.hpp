// An elementwise expression as straight-line code over blocks of elements.
//
// A tape computes in one dtype (float32, float64 or int64): operands are converted when they are
// loaded, results when they are stored, and comparisons give 0 or 1 in the tape's dtype. Fused
// kernels use a tape as prologue or epilogue, so that bias, activation and SGD update cost no pass
// over memory of their own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tensor.hpp"

namespace tgm {

struct Instruction {
  int32_t opcode;    // index into tape_opcodes()
  int32_t arg[3];    // numbers of earlier values: inputs first, then instructions in order
  double immediate;  // of "const"
  uint64_t key;      // of "uniform": the Philox key
};

struct Tape {
  DType dtype;  // Float32, Float64 or Int64
  int32_t n_inputs = 0;
  std::vector<Instruction> instructions;
  std::vector<int32_t> outputs;  // value numbers

  // True for the tape that returns its first input unchanged.
  bool is_identity() const {
    return instructions.empty() && outputs.size() == 1 && outputs[0] == 0;
  }
};

// One operand of one row: a pointer to its first element and the step between elements.
struct RowOperand {
  char* data;
  DType dtype;
  int64_t stride;  // in elements; 0 repeats one element
};

// Names of the opcodes in the order of their numbers.
const std::vector<std::string>& tape_opcodes();

}  // namespace tgm
