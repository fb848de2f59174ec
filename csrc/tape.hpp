// An elementwise expression as straight-line code over blocks of elements.
//
// A tape computes in one dtype (float32, float64 or int64): operands are converted when they are
// loaded, results when they are stored, and comparisons give 0 or 1 in the tape's dtype. Fused
// kernels use a tape as prologue or epilogue, so that bias, activation and SGD update cost no pass
// over memory of their own.
#pragma once

#include <cstdint>
#include <vector>

#include "opcodes.hpp"
#include "tensor.hpp"

namespace tgm {

// Room that the interpreter sets aside on the stack.
constexpr int kMaxTapeValues = 512;  // inputs and instructions together
constexpr int kMaxTapeInputs = 64;
constexpr int kMaxTapeOutputs = 16;

struct Instruction {
  Opcode opcode;
  int32_t arg[3];    // numbers of earlier values: inputs first, then instructions in order
  double immediate;  // of "const" in a float tape
  int64_t integer;   // of "const" in an int64 tape
  uint64_t key;      // of "uniform": the Philox key
};

// A step of gradient descent, old - rate * x or old - rate * (x + decay * old), where x is input 0.
// The members are value numbers: old is an input, rate and decay are constants or inputs.
struct Descent {
  int32_t old = -1;
  int32_t rate = -1;
  int32_t decay = -1;  // -1: none
};

// The epilogue of nearly every layer: an activation of input 0 + input 1, a bias.
struct BiasActivation {
  enum class Function { None, Relu, Sigmoid } function = Function::None;
  bool constant_first = false;  // maximum(constant, sum): decides between 0.0 and -0.0
  double constant = 0.0;
};

// What a tape computes, where kernels have code of their own for it.
struct TapeForm {
  enum class Kind { Other, Identity, Descent, BiasActivation } kind = Kind::Other;
  Descent descent;                 // where kind is Descent
  BiasActivation bias_activation;  // where kind is BiasActivation
};

struct Tape {
  DType dtype;  // Float32, Float64 or Int64
  int32_t n_inputs = 0;
  std::vector<Instruction> instructions;
  std::vector<int32_t> outputs;  // value numbers

  // The rest is worked out by prepare_tape().
  // Register of each instruction's value. Inputs own registers 0 .. n_inputs - 1.
  std::vector<int32_t> registers;
  int32_t n_registers = 0;
  // Whether an input is read as a value, and not only by `uniform`.
  std::vector<char> input_is_read;
  // The last instruction that reads each input, -1 for none, their number where it is an output:
  // results behind it may be written straight into an output that lies in its memory.
  std::vector<int32_t> last_read;
  bool has_uniform = false;
  TapeForm form;

  // Whether the tape returns its first input unchanged.
  bool is_identity() const { return form.kind == TapeForm::Kind::Identity; }
};

// One operand of one row: a pointer to its first element and the step between elements.
struct RowOperand {
  char* data;
  DType dtype;
  int64_t stride;  // in elements; 0 repeats one element
};

// Checks the tape, assigns registers and recognises its form; throws std::invalid_argument.
void prepare_tape(Tape& tape);

// The form of a tape, found once for all kernels that use it.
TapeForm form_of(const Tape& tape);

int32_t opcode_arity(Opcode opcode);

// Names of the opcodes in the order of their numbers.
const std::vector<const char*>& tape_opcodes();

}  // namespace tgm
