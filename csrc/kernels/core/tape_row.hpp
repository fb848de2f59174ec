// Runs a tape over a row or a box of elements: the epilogue and prologue of every kernel.
#pragma once

#include "kernel.hpp"
#include "simd.hpp"

namespace tgm::TGM_TARGET {

// A box of elements inside a call's output. index0 and index_stride give the number of each
// element in C order of the whole output: it decides what `uniform` draws.
struct Box {
  int32_t ndim;
  int64_t shape[kMaxDims];
  int64_t index0;
  int64_t index_stride[kMaxDims];
};

// The box that covers a whole tensor.
Box whole_box(const Tensor& tensor);

// The part of a box or tensor that starts at `begin`. A 0-d tensor stays the same; sub_tensor
// keeps the shape.
Box sub_box(const Box& box, const int64_t* begin, const int64_t* shape);
Tensor sub_tensor(const Tensor& tensor, const int64_t* begin);

// Runs `tape` over the box. in (tape.n_inputs of them) and out (one per tape output) have a data
// pointer to the box's first element and a stride per dimension of the box, 0 where they broadcast;
// their ndim and shape are not read. Inputs that only `uniform` reads may be 0-d. An output may
// alias an input at the same address with the same strides and dtype. All
// elements go through the same instructions, so equal inputs give equal bits.
void run_tape_box(const Tape& tape, const Box& box, const Tensor* in, const Tensor* out);

// The same over one row of n elements; index0 is the number of its first element.
void run_tape_row(const Tape& tape, int64_t n, const RowOperand* in, const RowOperand* out,
                  int64_t index0);

// Runs an epilogue over the box of `out` that starts at `begin` and has `shape`. acc: the values
// of that box (data pointer and strides of its own). extras (tape.n_inputs - 1) and out are the
// call's whole operands; extras have out's shape, or none if only `uniform` reads them.
void run_epilogue(const Tape& tape, const Tensor& acc, const Tensor* extras, const Tensor& out,
                  const int64_t* begin, const int64_t* shape);

// For a kernel's `invalid`: null if the operands fit the tape: their numbers, out's shape for all
// that is read as values, a 0-d int64 for what counts `uniform`'s steps.
const char* tape_mismatch(const Tape& tape, const Tensor* in, int32_t n_in, const Tensor* out,
                          int32_t n_out);

}  // namespace tgm::TGM_TARGET
