// What kernels need besides the interpreter: boxes, parts of tensors, epilogues, checks.
#include <cstdio>

#include "kernels/core/tape_row.hpp"
#include "opcodes.hpp"

namespace tgm::TGM_TARGET {

const char* tape_mismatch(const Tape& tape, const Tensor* in, int32_t n_in, const Tensor* out,
                          int32_t n_out) {
  static thread_local char text[160];
  if (n_in != tape.n_inputs || n_out != static_cast<int32_t>(tape.outputs.size())) {
    std::snprintf(text, sizeof text, "the tape has %d inputs and %d outputs, the call %d and %d",
                  tape.n_inputs, static_cast<int>(tape.outputs.size()), n_in, n_out);
    return text;
  }
  for (int32_t i = 0; i < n_in + n_out; i++) {
    const bool is_input = i < n_in;
    const Tensor& operand = is_input ? in[i] : out[i - n_in];
    if (is_input && tape.input_is_read[i] == 0) continue;
    bool same = operand.ndim == out[0].ndim;
    for (int32_t d = 0; same && d < operand.ndim; d++) same = operand.shape[d] == out[0].shape[d];
    if (same) continue;
    std::snprintf(text, sizeof text, "%s %d of the tape must have the shape of output 0",
                  is_input ? "input" : "output", is_input ? i : i - n_in);
    return text;
  }
  for (const Instruction& instruction : tape.instructions) {
    if (instruction.opcode != Opcode::Uniform) continue;
    const int32_t i = instruction.arg[0];
    if (in[i].dtype == DType::Int64 && in[i].ndim == 0) continue;
    std::snprintf(text, sizeof text, "input %d of the tape counts steps and must be a 0-d int64",
                  i);
    return text;
  }
  return nullptr;
}

Box whole_box(const Tensor& tensor) {
  Box box;
  box.ndim = tensor.ndim;
  box.index0 = 0;
  int64_t stride = 1;
  for (int32_t d = tensor.ndim - 1; d >= 0; d--) {
    box.shape[d] = tensor.shape[d];
    box.index_stride[d] = stride;
    stride *= tensor.shape[d];
  }
  return box;
}

Box sub_box(const Box& box, const int64_t* begin, const int64_t* shape) {
  Box part = box;
  for (int32_t d = 0; d < box.ndim; d++) {
    part.shape[d] = shape[d];
    part.index0 += begin[d] * box.index_stride[d];
  }
  return part;
}

Tensor sub_tensor(const Tensor& tensor, const int64_t* begin) {
  Tensor part = tensor;
  for (int32_t d = 0; d < tensor.ndim; d++) {
    part.data += begin[d] * tensor.stride[d] * static_cast<int64_t>(item_size(tensor.dtype));
  }
  return part;
}

void run_epilogue(const Tape& tape, const Tensor& acc, const Tensor* extras, const Tensor& out,
                  const int64_t* begin, const int64_t* shape) {
  Tensor in[kMaxTapeInputs];
  in[0] = acc;
  for (int32_t i = 1; i < tape.n_inputs; i++) in[i] = sub_tensor(extras[i - 1], begin);
  const Tensor part = sub_tensor(out, begin);
  run_tape_box(tape, sub_box(whole_box(out), begin, shape), in, &part);
}

}  // namespace tgm::TGM_TARGET
