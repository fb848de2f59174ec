// The interface of a kernel: what the program passes to it, and how its work is cut into chunks.
#pragma once

#include <cstdint>

#include "tape.hpp"
#include "tensor.hpp"

namespace tgm {

struct Failure;  // failure.hpp

// The operands of one call, with the pointers of this step.
struct Args {
  const Tensor* in;
  int32_t n_in;
  const Tensor* out;
  int32_t n_out;
  const int64_t* ints;       // integer parameters, in the order that the kernel's contract lists
  const Tape* const* tapes;  // the contract's tapes, in its order; never null where listed
  char* workspace;           // shared by all chunks of the call, 64-byte aligned
  Failure* failure;          // where kernels that check their input store `call` + 1
  int64_t call;              // number of this call in the plan
  int32_t n_ints;
  int32_t n_tapes;
};

// A phase is cut into chunks at boundaries that depend on shapes alone, never on the number of
// threads, so results have the same bits for any number. All chunks of a phase are done before
// the next phase starts.
struct Phase {
  int64_t (*chunks)(const Args& args);  // shapes and params are set, pointers are not
  void (*run)(const Args& args, int64_t chunk, int64_t n_chunks);
};

constexpr int kMaxPhases = 3;

struct Kernel {
  const char* name;
  int32_t n_phases;
  Phase phases[kMaxPhases];
  size_t (*workspace_bytes)(const Args& args);  // null: needs none
  // Checks numbers, ranks, shapes and dtypes of the operands when a program is built, before
  // `chunks` and `workspace_bytes` are called. Null if they are right, else what is wrong, e.g.
  // "input 1 (labels) must have an integer dtype". Nothing is checked when the program runs.
  const char* (*invalid)(const Args& args);
};

}  // namespace tgm
