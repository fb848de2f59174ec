// elementwise: a tape over strided operands of one shape.
//
//   inputs    any dtypes, the output's shape (stride 0 broadcasts); 0-d where only `uniform` reads
//   outputs   one or more of one shape; may alias an input with the same view
//   tapes     tape
#include "kernels/core/chunks.hpp"
#include "kernels/core/tape_row.hpp"
#include "kernels/tape/copy_box.hpp"

namespace tgm::TGM_TARGET {
namespace {

// Work of a chunk, in elements times instructions: about 10 us.
constexpr int64_t kChunkWork = 65536;

// The work is cut along one dimension: the first one that is long enough, else the longest.
int32_t split_dimension(const Tensor& out, int64_t wanted) {
  int32_t longest = 0;
  for (int32_t d = 0; d < out.ndim; d++) {
    if (out.shape[d] >= wanted) return d;
    if (out.shape[d] > out.shape[longest]) longest = d;
  }
  return longest;
}

int64_t wanted_chunks(const Args& args) {
  int64_t size = 1;
  for (int32_t d = 0; d < args.out[0].ndim; d++) size *= args.out[0].shape[d];
  const int64_t work = size * (2 + static_cast<int64_t>(args.tapes[0]->instructions.size()));
  return ceil_div(work, kChunkWork);
}

int64_t chunks(const Args& args) {
  const int64_t wanted = wanted_chunks(args);
  if (args.out[0].ndim == 0 || wanted <= 1) return wanted;
  return std::min<int64_t>(wanted, args.out[0].shape[split_dimension(args.out[0], wanted)]);
}

// A tape without instructions copies, where its dtype holds all values of its operands'.
bool is_copy(const Tape& tape, const Tensor* in, const Tensor* out) {
  if (!tape.is_identity() || in[0].dtype != out[0].dtype) return false;
  const DType dtype = in[0].dtype;
  const bool is_float = dtype == DType::Float32 || dtype == DType::Float64;
  return tape.dtype == dtype || (tape.dtype == DType::Int64 && !is_float);
}

void run_box(const Args& args, const Box& box, const Tensor* in, const Tensor* out) {
  const Tape& tape = *args.tapes[0];
  if (is_copy(tape, in, out)) {
    copy_box(box, in[0], out[0]);
  } else {
    run_tape_box(tape, box, in, out);
  }
}

void run(const Args& args, int64_t chunk, int64_t n_chunks) {
  const Box whole = whole_box(args.out[0]);
  if (n_chunks == 1) return run_box(args, whole, args.in, args.out);
  const int32_t split = split_dimension(args.out[0], wanted_chunks(args));
  int64_t begin[kMaxDims] = {};
  int64_t shape[kMaxDims];
  for (int32_t d = 0; d < whole.ndim; d++) shape[d] = whole.shape[d];
  begin[split] = whole.shape[split] * chunk / n_chunks;
  shape[split] = whole.shape[split] * (chunk + 1) / n_chunks - begin[split];
  Tensor in[kMaxTapeInputs];
  Tensor out[kMaxTapeOutputs];
  for (int32_t i = 0; i < args.n_in; i++) in[i] = sub_tensor(args.in[i], begin);
  for (int32_t i = 0; i < args.n_out; i++) out[i] = sub_tensor(args.out[i], begin);
  run_box(args, sub_box(whole, begin, shape), in, out);
}

const char* invalid(const Args& args) {
  if (args.n_tapes != 1 || args.n_ints != 0) return "takes one tape and no integers";
  if (args.n_out < 1) return "has at least one output";
  return tape_mismatch(*args.tapes[0], args.in, args.n_in, args.out, args.n_out);
}

}  // namespace

extern const Kernel elementwise_kernel = {"elementwise", 1, {{chunks, run}}, nullptr, invalid};

}  // namespace tgm::TGM_TARGET
