#include "kernels/reduce/problem.hpp"

#include "kernels/core/chunks.hpp"
#include "kernels/core/dims.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kChunkElements = 32768;
constexpr int64_t kMaxChunks = 256;

// How many chunks a dimension can be cut into. A range of the innermost one, which is read in
// vectors, needs more elements to be worth a chunk.
int64_t pieces(const ReduceProblem& p, int32_t dim) {
  if (dim < 0) return 1;
  const int64_t least = dim < p.n_dims - 1 ? 1 : p.reduced[dim] ? 4096 : 64;
  const int64_t n = p.shape[dim] / least;
  return n > 1 ? n : 1;
}

}  // namespace

int64_t ReduceProblem::count(bool of_reduced) const {
  int64_t n = 1;
  for (int32_t d = 0; d < n_dims; d++) {
    if (reduced[d] == of_reduced) n *= shape[d];
  }
  return n;
}

int32_t ReduceProblem::longest(bool of_reduced) const {
  int32_t best = -1;
  for (int32_t d = 0; d < n_dims; d++) {
    if (reduced[d] != of_reduced || shape[d] <= 1) continue;
    if (best < 0 || pieces(*this, d) > pieces(*this, best)) best = d;
  }
  return best;
}

void ReduceProblem::restrict_to(int32_t dim, int64_t begin, int64_t end) {
  const auto move = [&](Tensor& tensor) {
    tensor.data += begin * tensor.stride[dim] * static_cast<int64_t>(item_size(tensor.dtype));
  };
  for (int32_t i = 0; i < prologue->n_inputs; i++) {
    if (prologue->input_is_read[i] != 0) move(operands[i]);
  }
  for (int32_t i = 0; i < n_extras(); i++) {
    if (epilogue->input_is_read[i + 1] != 0) move(extras[i]);
  }
  move(out);
  index0 += begin * index_stride[dim];
  result0 += begin * result_stride[dim];
  shape[dim] = end - begin;
}

ReduceProblem reduce_problem(const Args& args) {
  ReduceProblem p;
  p.prologue = args.tapes[0];
  p.epilogue = args.tapes[1];
  const auto n_prologue = static_cast<int32_t>(args.ints[2]);
  for (int32_t i = 0; i < n_prologue; i++) p.operands[i] = args.in[i];
  const Tensor* const extras = args.in + n_prologue;
  for (int32_t i = 0; i < p.n_extras(); i++) p.extras[i] = extras[i];
  p.out = args.out[0];
  p.index0 = 0;
  p.result0 = 0;

  // Inputs that only `uniform` reads are 0-d; the others have the full shape.
  int32_t first = 0;
  while (p.prologue->input_is_read[first] == 0) first++;
  const Tensor& full = args.in[first];
  int64_t index_stride[kMaxDims];
  int64_t result_stride[kMaxDims];
  int64_t index = 1;
  p.n_results = 1;
  for (int32_t axis = full.ndim - 1; axis >= 0; axis--) {
    index_stride[axis] = index;
    result_stride[axis] = p.n_results;
    index *= full.shape[axis];
    p.n_results *= args.out[0].shape[axis];
  }

  const auto is_reduced = [&](int32_t axis) { return (args.ints[1] >> axis & 1) != 0; };
  const auto can_merge = [&](int32_t outer, int32_t inner) {
    const auto fits = [&](const int64_t* stride) {
      return is_one_stride(stride, outer, inner, full.shape[inner]);
    };
    if (is_reduced(outer) != is_reduced(inner)) return false;
    for (int32_t i = 0; i < n_prologue; i++) {
      if (p.prologue->input_is_read[i] != 0 && !fits(args.in[i].stride)) return false;
    }
    if (p.prologue->has_uniform && !fits(index_stride)) return false;
    if (is_reduced(outer)) return true;
    for (int32_t i = 0; i < p.n_extras(); i++) {
      if (p.epilogue->input_is_read[i + 1] != 0 && !fits(extras[i].stride)) return false;
    }
    return fits(args.out[0].stride) && fits(result_stride);
  };
  const LoopDims dims = sort_and_merge(full.ndim, full.shape, full.stride, can_merge);
  p.n_dims = dims.n;
  for (int32_t d = 0; d < dims.n; d++) {
    const int32_t axis = dims.axis[d];
    const bool reduced = is_reduced(axis);
    p.shape[d] = dims.shape[d];
    p.reduced[d] = reduced;
    p.index_stride[d] = index_stride[axis];
    p.result_stride[d] = reduced ? 0 : result_stride[axis];
    p.out.stride[d] = reduced ? 0 : args.out[0].stride[axis];
    for (int32_t i = 0; i < n_prologue; i++) p.operands[i].stride[d] = args.in[i].stride[axis];
    for (int32_t i = 0; i < p.n_extras(); i++) {
      p.extras[i].stride[d] = reduced ? 0 : extras[i].stride[axis];
    }
  }
  if (dims.n == 0) {  // one element
    p.n_dims = 1;
    p.shape[0] = 1;
    p.reduced[0] = true;
    p.index_stride[0] = 0;
    p.result_stride[0] = 0;
    p.out.stride[0] = 0;
    for (int32_t i = 0; i < n_prologue; i++) p.operands[i].stride[0] = 1;
    for (int32_t i = 0; i < p.n_extras(); i++) p.extras[i].stride[0] = 0;
  }
  return p;
}

ReduceCut cut_reduction(const ReduceProblem& p) {
  ReduceCut cut{p.longest(false), 1, p.longest(true), 1};
  const int64_t elements = p.count(true) * p.count(false);
  const int64_t wanted = std::min<int64_t>(ceil_div(elements, kChunkElements), kMaxChunks);
  if (wanted <= 1) return cut;
  cut.n_outer = std::min<int64_t>(wanted, pieces(p, cut.outer_dim));
  const int64_t missing = ceil_div(wanted, cut.n_outer);
  if (missing > 1) cut.n_parts = std::min<int64_t>(missing, pieces(p, cut.part_dim));
  return cut;
}

}  // namespace tgm::TGM_TARGET
