// An elementwise expression as straight-line code over blocks of elements.
//
// A tape computes in one dtype (float32, float64 or int64): operands are converted when they are
// loaded, results when they are stored, and comparisons give 0 or 1 in the tape's dtype. Fused
// kernels use a tape as prologue or epilogue, so that bias, activation and SGD update cost no pass
// over memory of their own.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor.hpp"

namespace tgm {

// The values are in opcodes.hpp. Few files need them, so a new one compiles within seconds.
enum class Opcode : int32_t;

// What the interpreter reserves on the stack.
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

// Forms of a tape that kernels have code of their own for. x is input 0.
//   Identity         x
//   Descent          old - rate * x, or old - rate * (x + decay * old)
//   BiasActivation   activation(x + input 1), of exactly two inputs
//   TimesBitCount    x * bit_count(input 1), of exactly two inputs
enum class TapeForm : char { Other, Identity, Descent, BiasActivation, TimesBitCount };

// The values of a tape of this form. `old` is an input, the others are inputs or constants.
struct Descent {
  int32_t old;
  int32_t rate;
  int32_t decay;  // -1: none
};

enum class Activation : char { None, Relu, Sigmoid };

struct BiasActivation {
  Activation activation;
  bool constant_first;  // maximum(constant, sum): decides between 0.0 and -0.0
  double constant;      // of Relu: the maximum of the sum and this
};

struct Tape {
  DType dtype;  // Float32, Float64 or Int64
  int32_t n_inputs = 0;
  std::vector<Instruction> instructions;
  std::vector<int32_t> outputs;  // value numbers

  // The rest is computed by prepare_tape().
  // Register of each instruction's value. Inputs own registers 0 .. n_inputs - 1.
  std::vector<int32_t> registers;
  int32_t n_registers = 0;
  // Whether an input is read as a value, and not only by `uniform`.
  std::vector<char> input_is_read;
  // The last instruction that reads each input; -1: none; the number of instructions: it is an
  // output. Later results may be written directly to an output that aliases the input.
  std::vector<int32_t> last_read;
  bool has_uniform = false;
  TapeForm form = TapeForm::Other;
  Descent descent{};                 // where form is Descent
  BiasActivation bias_activation{};  // where form is BiasActivation

  bool is_identity() const { return form == TapeForm::Identity; }
};

// One operand of one row: a pointer to its first element and the step between elements.
struct RowOperand {
  char* data;
  DType dtype;
  int64_t stride;  // in elements; 0 repeats one element
};

// Checks the tape, assigns registers and finds its form; throws std::invalid_argument.
void prepare_tape(Tape& tape);

int32_t opcode_arity(Opcode opcode);

// Names of the opcodes in the order of their numbers.
const std::vector<const char*>& tape_opcodes();

}  // namespace tgm
