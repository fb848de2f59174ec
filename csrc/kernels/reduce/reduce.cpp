// reduce: prologue tape, then sum, prod, max or min over axes, then epilogue tape.
//
//   inputs    n_prologue of the full shape, then extras of the output's shape
//   outputs   one: the full shape with 1 for every reduced axis
//   ints      op (0 sum, 1 prod, 2 max, 3 min), axes_mask, n_prologue
//   tapes     prologue, epilogue
//
// Phase 1 combines elements, phase 2 the parts into which long reductions are cut; the epilogue
// runs in the last phase that there is, once per chunk. Sums add short blocks in the tape's dtype
// and the blocks in something wider.
#include <algorithm>
#include <cstring>
#include <type_traits>

#include "kernels/core/with_type.hpp"
#include "kernels/reduce/operations.hpp"
#include "kernels/reduce/problem.hpp"
#include "math/bit_count.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kTile = 4096;    // elements that the prologue computes at a time
constexpr int64_t kBlock = 512;    // contiguous elements that are combined in the tape's dtype
constexpr int64_t kGroup = 16;     // rows that are
constexpr int64_t kSegment = 256;  // results next to each other that are computed together

// Adds the elements of `count` rows to one total, or with step 1 to one each.
template <class T, class Op>
void add_along(Total<T>* total, int64_t step, const T* row, int64_t stride, int64_t count,
               int64_t length) {
  for (int64_t r = 0; r < count; r++, row += stride, total += step) {
    for (int64_t begin = 0; begin < length; begin += kBlock) {
      const int64_t n = std::min<int64_t>(kBlock, length - begin);
      total->template add<Op>(reduce_block<T, Op>(row + begin, n));
    }
  }
}

// Adds `count` <= kGroup rows of `length` <= kSegment elements to a total for each column.
template <class T, class Op>
void add_across(Total<T>* totals, const T* row, int64_t stride, int64_t count, int64_t length) {
  T sums[kSegment];
  std::memcpy(sums, row, length * sizeof(T));
  for (int64_t r = 1; r < count; r++) combine_rows<T, Op>(sums, row + r * stride, length);
  for (int64_t i = 0; i < length; i++) totals[i].template add<Op>(sums[i]);
}

template <class T, class Op>
void add_totals(Total<T>* totals, const Total<T>* more, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    totals[i].template add<Op>(more[i].value);
    totals[i].lost += more[i].lost;
  }
}

// What depends on the operation. The loops around it are compiled once for each dtype.
template <class T>
struct Operation {
  T identity;
  void (*add_along)(Total<T>*, int64_t, const T*, int64_t, int64_t, int64_t);
  void (*add_across)(Total<T>*, const T*, int64_t, int64_t, int64_t);
  void (*add_totals)(Total<T>*, const Total<T>*, int64_t);
};

template <class T, class Op>
constexpr Operation<T> kOperation{Op::identity, add_along<T, Op>, add_across<T, Op>,
                                  add_totals<T, Op>};

template <class T>
Operation<T> find_operation(ReduceOp op) {
  switch (op) {
    case ReduceOp::Sum:
      return kOperation<T, SumOp<T>>;
    case ReduceOp::Prod:
      return kOperation<T, ProdOp<T>>;
    case ReduceOp::Max:
      return kOperation<T, MaxOp<T>>;
    default:
      return kOperation<T, MinOp<T>>;
  }
}

// Rows of elements after the prologue: row r begins at data + r * stride.
template <class T>
struct Rows {
  const T* data;
  int64_t stride;
};

template <class T>
class Reducer {
 public:
  // results: of the whole call, in C order; parts: null, or where this part's totals go.
  Reducer(const ReduceProblem& problem, const Operation<T>& op, T* results, Total<T>* parts)
      : p_(problem), op_(op), inner_(p_.n_dims - 1), results_(results), parts_(parts) {
    // Tiles run along a reduced dimension if there is one besides the innermost; else along a kept
    // one, if the innermost is reduced.
    along_ = -1;
    for (int32_t d = 0; d < inner_; d++) {
      if (along_ < 0 || p_.reduced[d] || !p_.reduced[along_]) along_ = d;
    }
    if (along_ >= 0 && !p_.reduced[along_] && !p_.reduced[inner_]) along_ = -1;
    is_direct_ = p_.prologue->is_identity() && p_.operands[0].dtype == p_.prologue->dtype &&
                 has_unit_step(0);
    is_counted_ = p_.prologue->form == TapeForm::TimesBitCount &&
                  p_.operands[0].dtype == p_.prologue->dtype &&
                  p_.operands[1].dtype == DType::UInt8 && has_unit_step(0) && has_unit_step(1);
  }

  // Goes through the results: all kept dimensions except the innermost and the one that tiles run
  // along. Out of line, as its parts: the compiler's time grows faster than a function.
  TGM_NOINLINE void run() {
    for (int32_t d = 0; d < p_.n_dims; d++) at_[d] = 0;
    do {
      if (p_.reduced[inner_]) {
        along_ >= 0 && !p_.reduced[along_] ? reduce_many() : reduce_one();
      } else {
        for (int64_t begin = 0; begin < p_.shape[inner_]; begin += kSegment) {
          reduce_segment(begin, std::min<int64_t>(kSegment, p_.shape[inner_] - begin));
        }
      }
    } while (advance(false));
  }

 private:
  // Moves on to the next element of the outer dimensions that are (or are not) reduced, except
  // `along_`; false at the end.
  bool advance(bool reduced) {
    for (int32_t d = inner_ - 1; d >= 0; d--) {
      if (p_.reduced[d] != reduced || d == along_) continue;
      if (++at_[d] < p_.shape[d]) return true;
      at_[d] = 0;
    }
    return false;
  }

  bool has_unit_step(int32_t operand) const {
    return p_.operands[operand].stride[inner_] == 1 || p_.shape[inner_] == 1;
  }

  bool is_empty(bool reduced) const {
    for (int32_t d = 0; d < inner_; d++) {
      if (p_.reduced[d] == reduced && p_.shape[d] == 0) return true;
    }
    return false;
  }

  int64_t length_along() const { return along_ < 0 ? 1 : p_.shape[along_]; }

  // Number of the result at the current coordinates.
  int64_t result_index() const {
    int64_t index = p_.result0;
    for (int32_t d = 0; d < inner_; d++) index += at_[d] * p_.result_stride[d];
    return index;
  }

  void finish(int64_t index, const Total<T>& total) {
    if (parts_ != nullptr) {
      parts_[index] = total;
    } else {
      results_[index] = total.result();
    }
  }

  // `n` rows from `row` on along `along_`, elements begin .. begin + length - 1 of each.
  Rows<T> rows(int64_t row, int64_t n, int64_t begin, int64_t length) {
    if (along_ >= 0) at_[along_] = row;
    Tensor operands[kMaxTapeInputs];
    const int64_t step = along_ < 0 ? 0 : p_.operands[0].stride[along_];
    if (is_direct_) return {element(p_.operands[0], begin).template as<T>(), step};
    for (int32_t i = 0; i < p_.prologue->n_inputs; i++) {
      if (p_.prologue->input_is_read[i] == 0) {
        operands[i] = p_.operands[i];
        continue;
      }
      operands[i] = element(p_.operands[i], begin);
      operands[i].stride[1] = p_.operands[i].stride[inner_];
      operands[i].stride[0] = along_ < 0 ? 0 : p_.operands[i].stride[along_];
    }
    if constexpr (std::is_floating_point_v<T>) {
      if (is_counted_) return counted_rows(operands, n, length);
    }
    Box box;
    box.ndim = 2;
    box.shape[0] = n;
    box.shape[1] = length;
    box.index0 = p_.index0 + begin * p_.index_stride[inner_];
    for (int32_t d = 0; d < inner_; d++) box.index0 += at_[d] * p_.index_stride[d];
    box.index_stride[0] = along_ < 0 ? 0 : p_.index_stride[along_];
    box.index_stride[1] = p_.index_stride[inner_];
    Tensor tile;
    tile.data = reinterpret_cast<char*>(tile_);
    tile.dtype = p_.prologue->dtype;
    tile.stride[0] = length;
    tile.stride[1] = 1;
    run_tape_box(*p_.prologue, box, operands, &tile);
    return {tile_, length};
  }

  // The bias gradient behind a max-pool: its rows are short, so that to start the interpreter for
  // each would cost more than the sum.
  Rows<T> counted_rows(const Tensor* operands, int64_t n, int64_t length) {
    const T* x = operands[0].as<T>();
    const uint8_t* bytes = operands[1].as<uint8_t>();
    for (int64_t r = 0; r < n; r++) {
      times_bit_count(x, bytes, tile_ + r * length, length);
      x += operands[0].stride[0], bytes += operands[1].stride[0];
    }
    return {tile_, length};
  }

  // The operand, moved to the current coordinates of the outer dimensions and `begin` of the
  // innermost.
  Tensor element(const Tensor& operand, int64_t begin) const {
    Tensor moved = operand;
    int64_t offset = begin * operand.stride[inner_];
    for (int32_t d = 0; d < inner_; d++) offset += at_[d] * operand.stride[d];
    moved.data += offset * static_cast<int64_t>(item_size(operand.dtype));
    return moved;
  }

  // One result: all elements that are reduced to it.
  TGM_NOINLINE void reduce_one() {
    const int64_t index = result_index();
    Total<T> total{op_.identity};
    if (!is_empty(true)) {
      const int64_t length = p_.shape[inner_];
      const int64_t piece = std::min<int64_t>(length, kTile);
      do {
        for (int64_t begin = 0; begin < length; begin += piece) {
          const int64_t n = std::min<int64_t>(piece, length - begin);
          const int64_t many = kTile / n;
          for (int64_t row = 0; row < length_along(); row += many) {
            const int64_t count = std::min<int64_t>(many, length_along() - row);
            const Rows<T> tile = rows(row, count, begin, n);
            op_.add_along(&total, 0, tile.data, tile.stride, count, n);
          }
        }
        if (along_ >= 0) at_[along_] = 0;
      } while (advance(true));
    }
    finish(index, total);
  }

  // One result per row along a kept dimension; no other outer dimension is reduced.
  TGM_NOINLINE void reduce_many() {
    const int64_t length = p_.shape[inner_];
    const int64_t first = result_index();
    if (length > kTile || length == 0) {
      for (int64_t row = 0; row < length_along(); row++) {
        Total<T> total{op_.identity};
        for (int64_t begin = 0; begin < length; begin += kTile) {
          const int64_t n = std::min<int64_t>(kTile, length - begin);
          op_.add_along(&total, 0, rows(row, 1, begin, n).data, 0, 1, n);
        }
        finish(first + row * p_.result_stride[along_], total);
      }
    } else {
      const int64_t many = std::min(kSegment, kTile / length);
      for (int64_t row = 0; row < length_along(); row += many) {
        const int64_t count = std::min<int64_t>(many, length_along() - row);
        const Rows<T> tile = rows(row, count, 0, length);
        std::fill_n(totals_, count, Total<T>{op_.identity});
        op_.add_along(totals_, 1, tile.data, tile.stride, count, length);
        for (int64_t r = 0; r < count; r++) {
          finish(first + (row + r) * p_.result_stride[along_], totals_[r]);
        }
      }
    }
    at_[along_] = 0;
  }

  // Results next to each other: rows are added to rows.
  TGM_NOINLINE void reduce_segment(int64_t begin, int64_t length) {
    std::fill_n(totals_, length, Total<T>{op_.identity});
    const int64_t first = result_index() + begin * p_.result_stride[inner_];
    if (!is_empty(true)) {
      const int64_t many = kTile / length;
      do {
        for (int64_t row = 0; row < length_along(); row += many) {
          const int64_t count = std::min<int64_t>(many, length_along() - row);
          const Rows<T> tile = rows(row, count, begin, length);
          for (int64_t r = 0; r < count; r += kGroup) {
            op_.add_across(totals_, tile.data + r * tile.stride, tile.stride,
                           std::min<int64_t>(kGroup, count - r), length);
          }
        }
        if (along_ >= 0) at_[along_] = 0;
      } while (advance(true));
    }
    for (int64_t i = 0; i < length; i++) {
      finish(first + i * p_.result_stride[inner_], totals_[i]);
    }
  }

  const ReduceProblem& p_;
  const Operation<T> op_;
  const int32_t inner_;
  int32_t along_;    // outer dimension that tiles run along; -1: there is none
  bool is_direct_;   // the rows are those of operand 0
  bool is_counted_;  // they are those of operand 0 times bit counts of operand 1
  T* results_;
  Total<T>* parts_;
  int64_t at_[kMaxDims];
  Total<T> totals_[kSegment];
  alignas(64) T tile_[kTile];
};

// Workspace: results of the whole call in C order, then the totals of each part.
constexpr int64_t kTotalBytes = 16;

int64_t result_bytes(int64_t n_results) { return (n_results * 8 + 63) / 64 * 64; }

void run_epilogue_tape(const ReduceProblem& p, char* results) {
  Tensor in[kMaxTapeInputs];
  Box box;
  box.ndim = 0;
  box.index0 = p.result0;
  const auto item = static_cast<int64_t>(item_size(p.prologue->dtype));
  in[0].data = results + p.result0 * item;
  in[0].dtype = p.prologue->dtype;
  Tensor out = p.out;
  for (int32_t i = 0; i < p.n_extras(); i++) in[i + 1] = p.extras[i];
  for (int32_t d = 0; d < p.n_dims; d++) {
    if (p.reduced[d]) continue;
    const int32_t k = box.ndim++;
    box.shape[k] = p.shape[d];
    box.index_stride[k] = p.result_stride[d];
    in[0].stride[k] = p.result_stride[d];
    for (int32_t i = 0; i < p.n_extras(); i++) in[i + 1].stride[k] = p.extras[i].stride[d];
    out.stride[k] = p.out.stride[d];
  }
  run_tape_box(*p.epilogue, box, in, &out);
}

template <class T>
Total<T>* totals_of(const ReduceProblem& problem, char* workspace, int64_t part) {
  static_assert(sizeof(Total<T>) <= kTotalBytes);
  char* const first = workspace + result_bytes(problem.n_results);
  return reinterpret_cast<Total<T>*>(first) + part * problem.n_results;
}

// One part of a reduction; -1: all of it.
void reduce_part(const Args& args, const ReduceProblem& problem, int64_t part) {
  with_tape_type(args.tapes[0]->dtype, [&]<class T>() {
    Total<T>* parts = part < 0 ? nullptr : totals_of<T>(problem, args.workspace, part);
    const auto op = find_operation<T>(static_cast<ReduceOp>(args.ints[0]));
    Reducer<T>(problem, op, reinterpret_cast<T*>(args.workspace), parts).run();
  });
}

void combine_parts(const Args& args, const ReduceProblem& problem, int64_t n_parts) {
  with_tape_type(args.tapes[0]->dtype, [&]<class T>() {
    const auto op = find_operation<T>(static_cast<ReduceOp>(args.ints[0]));
    Total<T>* totals = totals_of<T>(problem, args.workspace, 0);
    for (int64_t part = 1; part < n_parts; part++) {
      op.add_totals(totals, totals + part * problem.n_results, problem.n_results);
    }
    T* results = reinterpret_cast<T*>(args.workspace);
    for (int64_t i = 0; i < problem.n_results; i++) results[i] = totals[i].result();
  });
}

int64_t chunks(const Args& args) {
  const ReduceProblem problem = reduce_problem(args);
  if (problem.n_results == 0) return 0;
  const ReduceCut cut = cut_reduction(problem);
  return cut.n_outer * cut.n_parts;
}

void run(const Args& args, int64_t chunk, int64_t n_chunks) {
  ReduceProblem problem = reduce_problem(args);
  int64_t part = -1;
  if (n_chunks > 1) {
    const ReduceCut cut = cut_reduction(problem);
    const int64_t outer = chunk / cut.n_parts;
    const auto restrict_to = [&](int32_t dim, int64_t i, int64_t n) {
      const int64_t size = problem.shape[dim];
      problem.restrict_to(dim, size * i / n, size * (i + 1) / n);
    };
    if (cut.n_outer > 1) restrict_to(cut.outer_dim, outer, cut.n_outer);
    if (cut.n_parts > 1) {
      part = chunk % cut.n_parts;
      restrict_to(cut.part_dim, part, cut.n_parts);
    }
  }
  reduce_part(args, problem, part);
  if (part < 0) run_epilogue_tape(problem, args.workspace);
}

int64_t combine_chunks(const Args& args) {
  const ReduceProblem problem = reduce_problem(args);
  return problem.n_results > 0 && cut_reduction(problem).n_parts > 1 ? 1 : 0;
}

void combine(const Args& args, int64_t, int64_t) {
  const ReduceProblem problem = reduce_problem(args);
  combine_parts(args, problem, cut_reduction(problem).n_parts);
  run_epilogue_tape(problem, args.workspace);
}

size_t workspace_bytes(const Args& args) {
  const ReduceProblem problem = reduce_problem(args);
  const int64_t n_parts = cut_reduction(problem).n_parts;
  const int64_t part_bytes = n_parts > 1 ? n_parts * problem.n_results * kTotalBytes : 0;
  return static_cast<size_t>(result_bytes(problem.n_results) + part_bytes);
}

const char* invalid(const Args& args) {
  if (args.n_tapes != 2 || args.n_ints != 3 || args.n_out != 1) {
    return "takes two tapes and three integers, and has one output";
  }
  if (args.ints[0] < 0 || args.ints[0] > 3) return "op must be 0 (sum) to 3 (min)";
  if (args.ints[2] < 1 || args.ints[2] > args.n_in)
    return "n_prologue must be from 1 to the inputs";
  const auto n_prologue = static_cast<int32_t>(args.ints[2]);
  const Tape& prologue = *args.tapes[0];
  const Tape& epilogue = *args.tapes[1];
  if (prologue.n_inputs != n_prologue || prologue.outputs.size() != 1) {
    return "the prologue must have n_prologue inputs and one output";
  }
  int32_t first = 0;
  while (first < n_prologue && prologue.input_is_read[first] == 0) first++;
  if (first == n_prologue) return "the prologue must read an input";
  // `full` serves as the prologue's output, output 0 as the epilogue's first input.
  const Tensor& full = args.in[first];
  const char* mismatch = tape_mismatch(prologue, args.in, n_prologue, &full, 1);
  if (mismatch != nullptr) return mismatch;
  Tensor in[kMaxTapeInputs];
  in[0] = args.out[0];
  if (args.n_in - n_prologue + 1 > kMaxTapeInputs) return "has too many extra inputs";
  for (int32_t i = n_prologue; i < args.n_in; i++) in[i - n_prologue + 1] = args.in[i];
  mismatch = tape_mismatch(epilogue, in, args.n_in - n_prologue + 1, args.out, 1);
  if (mismatch != nullptr) return mismatch;
  if (args.out[0].ndim != full.ndim) return "output 0 must keep the reduced axes, with size 1";
  for (int32_t d = 0; d < full.ndim; d++) {
    const bool reduced = (args.ints[1] >> d & 1) != 0;
    if (args.out[0].shape[d] != (reduced ? 1 : full.shape[d])) {
      return "output 0 must have size 1 on the reduced axes and the inputs' size on the others";
    }
  }
  return nullptr;
}

}  // namespace

extern const Kernel reduce_kernel = {
    "reduce", 2, {{chunks, run}, {combine_chunks, combine}}, workspace_bytes, invalid};

}  // namespace tgm::TGM_TARGET
