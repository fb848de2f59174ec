#include "kernels/reduce/problem.hpp"

#include "kernels/core/dims.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kChunkElements = 32768;
constexpr int64_t kMaxChunks = 256;

int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// Sets the strides of dimension `to` from dimension `from` of the call's operands.
void set_dimension(ReduceProblem& p, int32_t to, const Args& args, int32_t from) {
  const auto n_prologue = static_cast<int32_t>(args.ints[2]);
  for (int32_t i = 0; i < n_prologue; i++) p.operands[i].stride[to] = args.in[i].stride[from];
  for (int32_t i = n_prologue; i < args.n_in; i++) {
    p.extras[i - n_prologue].stride[to] = p.reduced[to] ? 0 : args.in[i].stride[from];
  }
  p.out.stride[to] = p.reduced[to] ? 0 : args.out[0].stride[from];
}

// Whether dimension b continues dimension a with one stride, for all operands.
bool continues(const ReduceProblem& p, int32_t a, int32_t b) {
  if (p.reduced[a] != p.reduced[b]) return false;
  const auto fits = [&](const int64_t* stride) { return has_one_stride(stride, a, b, p.shape[b]); };
  for (int32_t i = 0; i < p.prologue->n_inputs; i++) {
    if (p.prologue->input_is_read[i] != 0 && !fits(p.operands[i].stride)) return false;
  }
  if (p.prologue->has_uniform && !fits(p.index_stride)) return false;
  if (p.reduced[a]) return true;
  for (int32_t i = 0; i < p.n_extras(); i++) {
    if (p.epilogue->input_is_read[i + 1] != 0 && !fits(p.extras[i].stride)) return false;
  }
  return fits(p.out.stride) && fits(p.result_stride);
}

// Moves what is known of dimension `from`, but for its size, to dimension `to`.
void move_dimension(ReduceProblem& p, int32_t to, int32_t from) {
  p.reduced[to] = p.reduced[from];
  p.index_stride[to] = p.index_stride[from];
  p.result_stride[to] = p.result_stride[from];
  for (int32_t i = 0; i < p.prologue->n_inputs; i++) {
    p.operands[i].stride[to] = p.operands[i].stride[from];
  }
  for (int32_t i = 0; i < p.n_extras(); i++) p.extras[i].stride[to] = p.extras[i].stride[from];
  p.out.stride[to] = p.out.stride[from];
}

// A range of a dimension is worth a chunk if it holds that many elements of it: the innermost one
// is read in vectors.
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
  const int64_t mask = args.ints[1];
  const auto n_prologue = static_cast<int32_t>(args.ints[2]);
  for (int32_t i = 0; i < n_prologue; i++) p.operands[i] = args.in[i];
  for (int32_t i = n_prologue; i < args.n_in; i++) p.extras[i - n_prologue] = args.in[i];
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
  int64_t result = 1;
  for (int32_t d = full.ndim - 1; d >= 0; d--) {
    index_stride[d] = index;
    result_stride[d] = result;
    index *= full.shape[d];
    result *= args.out[0].shape[d];
  }
  p.n_results = result;

  int32_t order[kMaxDims];
  p.n_dims = dense_last(full.ndim, full.shape, full.stride, order);
  for (int32_t k = 0; k < p.n_dims; k++) {
    const int32_t d = order[k];
    p.shape[k] = full.shape[d];
    p.reduced[k] = (mask >> d & 1) != 0;
    p.index_stride[k] = index_stride[d];
    p.result_stride[k] = p.reduced[k] ? 0 : result_stride[d];
    set_dimension(p, k, args, d);
  }
  if (p.n_dims == 0) {  // one element
    p.n_dims = 1;
    p.shape[0] = 1;
    p.reduced[0] = true;
    p.index_stride[0] = 0;
    p.result_stride[0] = 0;
    for (int32_t i = 0; i < n_prologue; i++) p.operands[i].stride[0] = 1;
    for (int32_t i = 0; i < p.n_extras(); i++) p.extras[i].stride[0] = 0;
    p.out.stride[0] = 0;
  }
  p.n_dims = merge_dims(
      p.n_dims, p.shape, [&](int32_t a, int32_t b) { return continues(p, a, b); },
      [&](int32_t to, int32_t from) { move_dimension(p, to, from); });
  return p;
}

ReduceCut cut_reduction(const ReduceProblem& p) {
  ReduceCut cut{p.longest(false), 1, p.longest(true), 1};
  const int64_t elements = p.count(true) * p.count(false);
  const int64_t wanted = smaller((elements + kChunkElements - 1) / kChunkElements, kMaxChunks);
  if (wanted <= 1) return cut;
  cut.n_outer = smaller(wanted, pieces(p, cut.outer_dim));
  const int64_t missing = (wanted + cut.n_outer - 1) / cut.n_outer;
  if (missing > 1) cut.n_parts = smaller(missing, pieces(p, cut.part_dim));
  return cut;
}

}  // namespace tgm::TGM_TARGET
