// grouped_reduce: several independent reductions in one call.
//
//   inputs    those of member 0, of member 1, ...
//   outputs   one per member
//   ints      n_inputs of each member, then op of each, axes_mask, n_prologue: see reduce
//   tapes     prologue of each member, then epilogue of each
//
// The reductions of a training step at a small batch (gradients of biases, sums of squared
// weights) take a few microseconds each, and synchronising threads between them costs as much.
// Here each is one chunk, computed by `reduce` with the same cut and order, hence with the same
// bits.
#include "kernels/core/tape_row.hpp"

namespace tgm::TGM_TARGET {

extern const Kernel reduce_kernel;  // reduce.cpp

namespace {

constexpr int32_t kIntsPerMember = 4;
constexpr int32_t kReduceInts = 3;  // all but n_inputs

// The call of one member, as `reduce` takes it.
struct Member {
  Args args;
  int64_t ints[kReduceInts];
  const Tape* tapes[2];

  Member(const Args& group, int64_t number) : args(group) {
    const int32_t n_members = group.n_out;
    for (int64_t k = 0; k < number; k++) args.in += group.ints[k];
    args.n_in = static_cast<int32_t>(group.ints[number]);
    args.out = group.out + number;
    args.n_out = 1;
    for (int32_t i = 0; i < kReduceInts; i++) ints[i] = group.ints[(i + 1) * n_members + number];
    args.ints = ints;
    args.n_ints = kReduceInts;
    tapes[0] = group.tapes[number];
    tapes[1] = group.tapes[n_members + number];
    args.tapes = tapes;
    args.n_tapes = 2;
  }
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;
};

size_t member_bytes(const Args& group, int64_t number) {
  const Member member(group, number);
  return (reduce_kernel.workspace_bytes(member.args) + 63) / 64 * 64;
}

int64_t chunks(const Args& args) { return args.n_out; }

void run(const Args& args, int64_t chunk, int64_t) {
  Member member(args, chunk);
  for (int64_t k = 0; k < chunk; k++) member.args.workspace += member_bytes(args, k);
  for (int32_t p = 0; p < reduce_kernel.n_phases; p++) {
    const Phase& phase = reduce_kernel.phases[p];
    const int64_t n_chunks = phase.chunks(member.args);
    for (int64_t i = 0; i < n_chunks; i++) phase.run(member.args, i, n_chunks);
  }
}

size_t workspace_bytes(const Args& args) {
  size_t bytes = 0;
  for (int32_t k = 0; k < args.n_out; k++) bytes += member_bytes(args, k);
  return bytes;
}

const char* invalid(const Args& args) {
  if (args.n_out < 1 || args.n_ints != kIntsPerMember * args.n_out ||
      args.n_tapes != 2 * args.n_out) {
    return "takes four integers and two tapes per output";
  }
  int64_t n_inputs = 0;
  for (int32_t k = 0; k < args.n_out; k++) {
    if (args.ints[k] < 1) return "every member needs an input";
    if (args.ints[k] > args.n_in - n_inputs) return "n_inputs must add up to the inputs";
    n_inputs += args.ints[k];
  }
  if (n_inputs != args.n_in) return "n_inputs must add up to the inputs";
  for (int32_t k = 0; k < args.n_out; k++) {
    const Member member(args, k);
    const char* why = reduce_kernel.invalid(member.args);
    if (why != nullptr) return why;
  }
  return nullptr;
}

}  // namespace

extern const Kernel grouped_reduce_kernel = {
    "grouped_reduce", 1, {{chunks, run}}, workspace_bytes, invalid};

}  // namespace tgm::TGM_TARGET
