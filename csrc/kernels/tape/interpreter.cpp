// The interpreter of tapes.
//
// A box is computed in blocks of at most kBlock elements: a piece of one row, or several whole
// short rows. For each block, operands that can't be used in place (another dtype, not contiguous)
// are copied to their registers, then each instruction runs over the block, then results are
// stored. What is the same for the whole box is computed once: single elements and values computed
// from them alone; in boxes of short rows also operands that repeat in every row.
#include "kernels/core/chunks.hpp"
#include "kernels/core/dims.hpp"
#include "kernels/core/philox.hpp"
#include "kernels/core/tape_row.hpp"
#include "kernels/tape/convert.hpp"
#include "kernels/tape/operations.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kBlock = 256;
constexpr int64_t kMinBlock = 16;
constexpr int64_t kRegisterBytes = 64 * 1024;  // of all registers together
static_assert(kMaxTapeValues * kMinBlock * sizeof(double) <= kRegisterBytes);

// How long a value stays the same.
enum class Span : char {
  Unread,   // not read
  Box,      // one element for the whole box
  Row,      // one element for the row of the block
  Pattern,  // the same elements in every block
  Block,    // elements of their own in every block
};

// An operand of the box: its strides go over the box's merged dimensions.
struct Operand {
  char* data;
  DType dtype;
  bool linear;    // one stride reaches all elements
  bool in_place;  // can be used where it is, without a copy
  Span span;
  int64_t item;   // bytes per element
  int64_t inner;  // stride of the innermost dimension, in elements
  int64_t stride[kMaxDims];
};

// Elements of the box that are computed together.
struct Block {
  int64_t row;  // first row, counted in C order of the outer dimensions
  int64_t rows;
  int64_t begin;   // first element of each row
  int64_t length;  // elements of each row

  int64_t size() const { return rows * length; }
};

// An instruction prepared for the box.
struct Step {
  BlockFunction function;  // null: uniform
  int32_t value;
  int32_t arg[3];
  bool single;  // computes one element per block
};

class Runner {
 public:
  Runner(const Tape& tape, const Box& box, const Tensor* in, const Tensor* out) : tape_(tape) {
    merge_dimensions(box, in, out);
    choose_blocks();
  }

  void run() {
    prepare_inputs();
    prepare_outputs();
    prepare_steps();
    const int64_t inner = shape_[n_dims_ - 1];
    Block block{};
    if (rows_per_block_ > 1) {
      block.length = inner;
      for (; block.row < n_rows_; block.row += block.rows) {
        block.rows = n_rows_ - block.row < rows_per_block_ ? n_rows_ - block.row : rows_per_block_;
        run_block(block);
      }
      return;
    }
    block.rows = 1;
    for (; block.row < n_rows_; block.row++) {
      for (block.begin = 0; block.begin < inner; block.begin += block.length) {
        const int64_t rest = inner - block.begin;
        block.length = rest < piece_ ? rest : piece_;
        run_block(block);
      }
    }
  }

  bool empty() const { return n_rows_ == 0 || shape_[n_dims_ - 1] == 0; }

 private:
  // Operands in one array: inputs, outputs, then the index of `uniform`.
  Operand* input(int32_t i) { return operands_ + i; }
  Operand* output(int32_t i) { return operands_ + tape_.n_inputs + i; }
  Operand* index() { return operands_ + tape_.n_inputs + n_outputs(); }
  int32_t n_outputs() const { return static_cast<int32_t>(tape_.outputs.size()); }

  // The densest dimension of the first output is innermost.
  void merge_dimensions(const Box& box, const Tensor* in, const Tensor* out) {
    n_operands_ = 0;
    for (int32_t i = 0; i < tape_.n_inputs; i++) {
      add_operand(in[i].data, in[i].dtype, tape_.input_is_read[i] != 0);
    }
    for (int32_t i = 0; i < n_outputs(); i++) add_operand(out[i].data, out[i].dtype, true);
    index0_ = box.index0;
    add_operand(nullptr, DType::Int64, tape_.has_uniform);

    const auto strides_of = [&](int32_t i) {
      if (i < tape_.n_inputs) return in[i].stride;
      return i < n_operands_ - 1 ? out[i - tape_.n_inputs].stride : box.index_stride;
    };
    const auto can_merge = [&](int32_t outer, int32_t inner) {
      for (int32_t i = 0; i < n_operands_; i++) {
        if (operands_[i].span == Span::Unread) continue;
        if (!is_one_stride(strides_of(i), outer, inner, box.shape[inner])) return false;
      }
      return true;
    };
    const int64_t* key = n_outputs() == 0 ? box.index_stride : out[0].stride;
    const LoopDims dims = sort_and_merge(box.ndim, box.shape, key, can_merge);
    n_dims_ = dims.n == 0 ? 1 : dims.n;
    shape_[0] = 1;
    for (int32_t d = 0; d < dims.n; d++) shape_[d] = dims.shape[d];
    n_rows_ = 1;
    for (int32_t d = 0; d + 1 < n_dims_; d++) n_rows_ *= shape_[d];
    for (int32_t i = 0; i < n_operands_; i++) {
      if (operands_[i].span == Span::Unread) continue;
      operands_[i].stride[0] = 0;
      for (int32_t d = 0; d < dims.n; d++) operands_[i].stride[d] = strides_of(i)[dims.axis[d]];
      find_layout(operands_[i]);
    }
  }

  void add_operand(char* data, DType dtype, bool is_read) {
    Operand& operand = operands_[n_operands_++];
    operand.data = data;
    operand.dtype = dtype;
    operand.item = static_cast<int64_t>(item_size(dtype));
    operand.in_place = false;
    operand.span = is_read ? Span::Block : Span::Unread;
  }

  void find_layout(Operand& operand) const {
    operand.inner = operand.stride[n_dims_ - 1];
    operand.linear = true;
    for (int32_t d = 0; d + 1 < n_dims_; d++) {
      if (operand.stride[d] != operand.stride[d + 1] * shape_[d + 1]) operand.linear = false;
    }
  }

  void choose_blocks() {
    item_ = static_cast<int64_t>(item_size(tape_.dtype));
    capacity_ = kBlock;
    if (tape_.n_registers * kBlock * item_ > kRegisterBytes) {
      capacity_ = kRegisterBytes / (tape_.n_registers * item_) / kMinBlock * kMinBlock;
    }
    const int64_t inner = shape_[n_dims_ - 1];
    rows_per_block_ = n_dims_ == 1 || inner == 0 ? 1 : capacity_ / inner;
    piece_ = capacity_;
    if (rows_per_block_ <= 1 && inner > capacity_) {  // pieces of about the same length
      const int64_t pieces = ceil_div(inner, capacity_);
      piece_ = ((inner + pieces - 1) / pieces + kMinBlock - 1) / kMinBlock * kMinBlock;
    }
  }

  char* register_of(int64_t number) { return registers_ + number * capacity_ * item_; }

  // Address of the element `begin` of `row`.
  char* address(const Operand& operand, int64_t row, int64_t begin) const {
    return operand.data + offset(operand, row, begin) * operand.item;
  }

  int64_t offset(const Operand& operand, int64_t row, int64_t begin) const {
    if (operand.linear) return (row * shape_[n_dims_ - 1] + begin) * operand.inner;
    int64_t sum = begin * operand.inner;
    for_coordinates(n_dims_ - 1, shape_, row,
                    [&](int32_t d, int64_t index) { sum += index * operand.stride[d]; });
    return sum;
  }

  // Whether blocks of the operand are contiguous in memory and need no conversion.
  bool is_contiguous(const Operand& operand) const {
    if (operand.dtype != tape_.dtype || operand.inner != 1) return false;
    return operand.linear || rows_per_block_ <= 1;
  }

  void prepare_inputs() {
    // Results may overwrite inputs: a value that is also an output is copied before that.
    char is_output[kMaxTapeInputs] = {};
    if (n_outputs() > 1) {
      for (int32_t value : tape_.outputs) {
        if (value < tape_.n_inputs) is_output[value] = 1;
      }
    }
    for (int32_t i = 0; i < tape_.n_inputs; i++) {
      Operand& operand = *input(i);
      values_[i] = register_of(i);
      if (operand.span == Span::Unread) continue;
      if (operand.inner == 0 && operand.linear) {
        operand.span = Span::Box;
        values_[i] = singles_[i];
        load_elements(tape_.dtype, values_[i], operand.dtype, operand.data, 0, 1);
      } else if (operand.inner == 0 && rows_per_block_ <= 1) {
        operand.span = Span::Row;
        values_[i] = singles_[i];
      } else if (rows_per_block_ > 1 && repeats_in_rows(operand)) {
        operand.span = Span::Pattern;
        const int64_t rows = n_rows_ < rows_per_block_ ? n_rows_ : rows_per_block_;
        load_rows(operand, values_[i], Block{0, rows, 0, shape_[n_dims_ - 1]});
      } else {
        operand.in_place = is_contiguous(operand) && !is_output[i];
      }
      spans_[i] = operand.span;
    }
  }

  bool repeats_in_rows(const Operand& operand) const {
    for (int32_t d = 0; d + 1 < n_dims_; d++) {
      if (operand.stride[d] != 0) return false;
    }
    return true;
  }

  // An output is written in place by the instruction that computes it if no input that
  // is read later may alias it.
  void prepare_outputs() {
    for (int32_t k = 0; k < n_outputs(); k++) {
      const int32_t value = tape_.outputs[k];
      bool is_first = true;
      for (int32_t j = 0; j < k; j++) is_first = is_first && tape_.outputs[j] != value;
      output(k)->in_place = value >= tape_.n_inputs && is_first && is_contiguous(*output(k)) &&
                            !aliases_later_input(*output(k), value - tape_.n_inputs);
    }
  }

  // Whether an output aliases an input that is read after instruction i.
  bool aliases_later_input(const Operand& output, int32_t i) const {
    for (int32_t k = 0; k < tape_.n_inputs; k++) {
      if (tape_.last_read[k] > i && operands_[k].data == output.data) return true;
    }
    return false;
  }

  void prepare_steps() {
    const BlockOp* ops = block_ops(tape_.dtype);
    n_steps_ = 0;
    const auto n = static_cast<int32_t>(tape_.instructions.size());
    for (int32_t i = 0; i < n; i++) {
      const Instruction& instruction = tape_.instructions[i];
      const int32_t value = tape_.n_inputs + i;
      values_[value] = register_of(tape_.registers[i]);
      if (instruction.opcode == Opcode::Const) {
        spans_[value] = Span::Box;
        values_[value] = singles_[value];
        store_constant(instruction, values_[value]);
        continue;
      }
      Step step{
          nullptr, value, {instruction.arg[0], instruction.arg[1], instruction.arg[2]}, false};
      if (instruction.opcode == Opcode::Uniform) {
        spans_[value] = Span::Block;
        step.arg[1] = i;
        steps_[n_steps_++] = step;
        continue;
      }
      const BlockOp& op = ops[static_cast<int32_t>(instruction.opcode)];
      spans_[value] = combine_spans(instruction, step, op);
      if (step.single) values_[value] = singles_[value];
      if (spans_[value] == Span::Box) {
        call(step, 1);
      } else {
        steps_[n_steps_++] = step;
      }
    }
  }

  // Span of the instruction's value, and the function that fits those of its arguments.
  Span combine_spans(const Instruction& instruction, Step& step, const BlockOp& op) const {
    const int32_t arity = opcode_arity_of(instruction.opcode);
    Span span = Span::Box;
    int mask = 0;
    for (int32_t k = 0; k < arity; k++) {
      const Span of_arg = spans_[instruction.arg[k]];
      if (of_arg == Span::Box || of_arg == Span::Row) mask |= 1 << k;
      if (of_arg > span) span = of_arg;
    }
    step.single = span <= Span::Row;
    step.function = op.functions[step.single ? 0 : mask];
    // The registers of patterns are kept, those of what is computed from them are not.
    return span == Span::Pattern ? Span::Block : span;
  }

  static int32_t opcode_arity_of(Opcode opcode) {
    constexpr char arities[] = {
#define X(enumerator, name, arity, tapes) arity,
        TGM_OPCODES(X)
#undef X
    };
    return arities[static_cast<int32_t>(opcode)];
  }

  void store_constant(const Instruction& instruction, char* to) const {
    if (tape_.dtype == DType::Float32) {
      *reinterpret_cast<float*>(to) = static_cast<float>(instruction.immediate);
    } else if (tape_.dtype == DType::Float64) {
      *reinterpret_cast<double*>(to) = instruction.immediate;
    } else {
      *reinterpret_cast<int64_t*>(to) = instruction.integer;
    }
  }

  void call(const Step& step, int64_t n) {
    step.function(n, values_[step.value], values_[step.arg[0]], values_[step.arg[1]],
                  values_[step.arg[2]]);
  }

  void run_block(const Block& block) {
    for (int32_t i = 0; i < tape_.n_inputs; i++) {
      const Operand& operand = *input(i);
      if (operand.in_place) {
        values_[i] = address(operand, block.row, block.begin);
      } else if (operand.span == Span::Block) {
        load_rows(operand, values_[i], block);
      } else if (operand.span == Span::Row && block.begin == 0) {
        load_elements(tape_.dtype, values_[i], operand.dtype, address(operand, block.row, 0), 0, 1);
      }
    }
    for (int32_t k = 0; k < n_outputs(); k++) {
      if (output(k)->in_place && spans_[tape_.outputs[k]] == Span::Block) {
        values_[tape_.outputs[k]] = address(*output(k), block.row, block.begin);
      }
    }
    const int64_t n = block.size();
    for (int32_t s = 0; s < n_steps_; s++) {
      const Step& step = steps_[s];
      if (step.function != nullptr) {
        call(step, step.single ? 1 : n);
      } else {
        draw(step, block);
      }
    }
    for (int32_t k = 0; k < n_outputs(); k++) {
      const Span span = spans_[tape_.outputs[k]];
      if (!output(k)->in_place || span != Span::Block) {
        store_rows(*output(k), values_[tape_.outputs[k]], span, block);
      }
    }
  }

  void load_rows(const Operand& operand, char* to, const Block& block) const {
    if (operand.linear || block.rows == 1) {
      load_elements(tape_.dtype, to, operand.dtype, address(operand, block.row, block.begin),
                    operand.inner, block.size());
      return;
    }
    for (int64_t r = 0; r < block.rows; r++) {
      load_elements(tape_.dtype, to + r * block.length * item_, operand.dtype,
                    address(operand, block.row + r, 0), operand.inner, block.length);
    }
  }

  void store_rows(const Operand& operand, const char* from, Span span, const Block& block) const {
    const int64_t step = span <= Span::Row ? 0 : 1;
    if (operand.linear || block.rows == 1) {
      store_elements(operand.dtype, address(operand, block.row, block.begin), operand.inner,
                     tape_.dtype, from, step, block.size());
      return;
    }
    for (int64_t r = 0; r < block.rows; r++) {
      store_elements(operand.dtype, address(operand, block.row + r, 0), operand.inner, tape_.dtype,
                     from + r * block.length * item_ * step, step, block.length);
    }
  }

  void draw(const Step& step, const Block& block) {
    const uint64_t key = tape_.instructions[step.arg[1]].key;
    const int64_t count = *reinterpret_cast<const int64_t*>(input(step.arg[0])->data);
    const bool at_once = index()->linear || block.rows == 1;
    const int64_t rows = at_once ? 1 : block.rows;
    const int64_t length = at_once ? block.size() : block.length;
    for (int64_t r = 0; r < rows; r++) {
      const int64_t first = index0_ + offset(*index(), block.row + r, block.begin);
      char* to = values_[step.value] + r * length * item_;
      if (tape_.dtype == DType::Float32) {
        fill_uniform(reinterpret_cast<float*>(to), length, first, index()->inner, count, key);
      } else {
        fill_uniform(reinterpret_cast<double*>(to), length, first, index()->inner, count, key);
      }
    }
  }

  const Tape& tape_;
  int32_t n_dims_;
  int64_t shape_[kMaxDims];
  int64_t n_rows_;
  int64_t rows_per_block_;
  int64_t piece_;     // elements of a block inside one row
  int64_t capacity_;  // elements of a register
  int64_t item_;      // bytes of an element of the tape
  int64_t index0_;
  int32_t n_operands_;
  int32_t n_steps_;
  char* values_[kMaxTapeValues];  // where each value is
  Span spans_[kMaxTapeValues];
  Step steps_[kMaxTapeValues];
  Operand operands_[kMaxTapeInputs + kMaxTapeOutputs + 1];
  alignas(8) char singles_[kMaxTapeValues]
                          [8];  // values of one element, which stay the same from block to block
  alignas(64) char registers_[kRegisterBytes];
};

}  // namespace

void run_tape_box(const Tape& tape, const Box& box, const Tensor* in, const Tensor* out) {
  Runner runner(tape, box, in, out);
  if (!runner.empty()) runner.run();
}

void run_tape_row(const Tape& tape, int64_t n, const RowOperand* in, const RowOperand* out,
                  int64_t index0) {
  Tensor tensors[kMaxTapeInputs + kMaxTapeOutputs];
  const auto n_out = static_cast<int32_t>(tape.outputs.size());
  for (int32_t i = 0; i < tape.n_inputs + n_out; i++) {
    const RowOperand& operand = i < tape.n_inputs ? in[i] : out[i - tape.n_inputs];
    tensors[i].data = operand.data;
    tensors[i].dtype = operand.dtype;
    tensors[i].stride[0] = operand.stride;
  }
  Box box;
  box.ndim = 1;
  box.shape[0] = n;
  box.index0 = index0;
  box.index_stride[0] = 1;
  run_tape_box(tape, box, tensors, tensors + tape.n_inputs);
}

}  // namespace tgm::TGM_TARGET
