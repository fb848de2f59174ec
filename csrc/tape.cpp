#include "tape.hpp"

#include <stdexcept>

#include "opcodes.hpp"

namespace tgm {
namespace {

enum class Tapes : char { Float, Integer, Any };

struct OpcodeRecord {
  const char* name;
  int32_t arity;
  Tapes tapes;
};

constexpr OpcodeRecord kRecords[] = {
#define X(enumerator, name, arity, tapes) {name, arity, Tapes::tapes},
    TGM_OPCODES(X)
#undef X
};

const OpcodeRecord& record(const Instruction& instruction) {
  return kRecords[static_cast<int32_t>(instruction.opcode)];
}

void check_instruction(const Tape& tape, int32_t number) {
  const Instruction& instruction = tape.instructions[number];
  const OpcodeRecord& op = record(instruction);
  const bool is_integer = tape.dtype == DType::Int64;
  if (op.tapes == (is_integer ? Tapes::Float : Tapes::Integer)) {
    const char* kind = is_integer ? "an int64 tape" : "a tape of floats";
    throw std::invalid_argument(std::string(kind) + " has no " + op.name);
  }
  const bool is_uniform = instruction.opcode == Opcode::Uniform;
  const int32_t known = is_uniform ? tape.n_inputs : tape.n_inputs + number;
  for (int32_t k = 0; k < op.arity; k++) {
    if (instruction.arg[k] < 0 || instruction.arg[k] >= known) {
      throw std::invalid_argument(std::string("instruction ") + std::to_string(number) + " (" +
                                  op.name + ") reads value " + std::to_string(instruction.arg[k]) +
                                  ", which does not exist there");
    }
  }
}

// Finds which inputs are read, and by which instruction last.
void find_input_reads(Tape& tape) {
  const int32_t n = static_cast<int32_t>(tape.instructions.size());
  tape.input_is_read.assign(tape.n_inputs, 0);
  tape.last_read.assign(tape.n_inputs, -1);
  for (int32_t i = 0; i < n; i++) {
    const Instruction& instruction = tape.instructions[i];
    if (instruction.opcode == Opcode::Uniform) {
      tape.has_uniform = true;
      continue;
    }
    for (int32_t k = 0; k < record(instruction).arity; k++) {
      if (instruction.arg[k] >= tape.n_inputs) continue;
      tape.input_is_read[instruction.arg[k]] = 1;
      tape.last_read[instruction.arg[k]] = i;
    }
  }
  for (int32_t output : tape.outputs) {
    if (output >= tape.n_inputs) continue;
    tape.input_is_read[output] = 1;
    tape.last_read[output] = n;
  }
}

// Gives every value a register, and reuses it after the value's last use. An instruction may get
// the register of its own argument: blocks are read before they are written, element by element.
void assign_registers(Tape& tape) {
  const int32_t n = static_cast<int32_t>(tape.instructions.size());
  std::vector<int32_t> last_use(n, -1);
  for (int32_t i = 0; i < n; i++) {
    if (tape.instructions[i].opcode == Opcode::Uniform) continue;
    for (int32_t k = 0; k < record(tape.instructions[i]).arity; k++) {
      const int32_t value = tape.instructions[i].arg[k] - tape.n_inputs;
      if (value >= 0) last_use[value] = i;
    }
  }
  for (int32_t output : tape.outputs) {
    if (output >= tape.n_inputs) last_use[output - tape.n_inputs] = n;
  }
  std::vector<int32_t> free;
  tape.registers.assign(n, 0);
  tape.n_registers = tape.n_inputs;
  for (int32_t i = 0; i < n; i++) {
    for (int32_t value = 0; value < i; value++) {
      if (last_use[value] == i) free.push_back(tape.registers[value]);
    }
    if (free.empty()) {
      tape.registers[i] = tape.n_registers++;
    } else {
      tape.registers[i] = free.back();
      free.pop_back();
    }
    if (last_use[i] < 0) free.push_back(tape.registers[i]);
  }
}

// Finds the form of a tape with one output.
class FormMatcher {
 public:
  explicit FormMatcher(const Tape& tape) : tape_(tape), result_(tape.outputs[0]) {}

  bool is_identity() const { return tape_.instructions.empty() && result_ == 0; }

  bool match(Descent& found) const {
    const Instruction* step = instruction(result_, Opcode::Sub);
    if (step == nullptr || step->arg[0] <= 0 || step->arg[0] >= tape_.n_inputs) return false;
    found.old = step->arg[0];
    const Instruction* product = instruction(step->arg[1], Opcode::Mul);
    if (product == nullptr) return false;
    for (int k = 0; k < 2; k++) {
      const int32_t slope = product->arg[k];
      found.rate = product->arg[1 - k];
      found.decay = slope == 0 ? -1 : decay_of(slope, found.old);
      if (is_scalar(found.rate) && (slope == 0 || found.decay >= 0)) return true;
    }
    return false;
  }

  bool match(BiasActivation& found) const {
    found = {Activation::None, false, 0.0};
    if (tape_.n_inputs != 2) return false;
    if (is_biased(result_)) return true;
    if (const Instruction* sigmoid = instruction(result_, Opcode::Sigmoid)) {
      found.activation = Activation::Sigmoid;
      return is_biased(sigmoid->arg[0]);
    }
    const Instruction* maximum = instruction(result_, Opcode::Maximum);
    if (maximum == nullptr) return false;
    found.constant_first = is_biased(maximum->arg[1]);
    const int32_t sum = found.constant_first ? 1 : 0;
    const Instruction* constant = instruction(maximum->arg[1 - sum], Opcode::Const);
    if (constant == nullptr) return false;
    found.activation = Activation::Relu;
    found.constant = constant->immediate;
    return is_biased(maximum->arg[sum]);
  }

  bool is_times_bit_count() const {
    const Instruction* product = instruction(result_, Opcode::Mul);
    if (tape_.n_inputs != 2 || product == nullptr || product->arg[0] != 0) return false;
    const Instruction* count = instruction(product->arg[1], Opcode::BitCount);
    return count != nullptr && count->arg[0] == 1;
  }

 private:
  // decay, if `value` is x + decay * old; else -1.
  int32_t decay_of(int32_t value, int32_t old) const {
    const Instruction* sum = instruction(value, Opcode::Add);
    if (sum == nullptr || (sum->arg[0] != 0 && sum->arg[1] != 0)) return -1;
    const Instruction* product = instruction(sum->arg[sum->arg[0] == 0 ? 1 : 0], Opcode::Mul);
    if (product == nullptr || (product->arg[0] != old && product->arg[1] != old)) return -1;
    const int32_t decay = product->arg[product->arg[0] == old ? 1 : 0];
    return is_scalar(decay) ? decay : -1;
  }

  // Whether a value is the sum of inputs 0 and 1.
  bool is_biased(int32_t value) const {
    const Instruction* sum = instruction(value, Opcode::Add);
    return sum != nullptr &&
           (sum->arg[0] == 0 ? sum->arg[1] == 1 : sum->arg[0] == 1 && sum->arg[1] == 0);
  }

  // The instruction that computes a value, if it is an `opcode`.
  const Instruction* instruction(int32_t value, Opcode opcode) const {
    if (value < tape_.n_inputs) return nullptr;
    const Instruction& found = tape_.instructions[value - tape_.n_inputs];
    return found.opcode == opcode ? &found : nullptr;
  }

  // Whether a value may be the same for all elements: for an input, the call's operand decides.
  bool is_scalar(int32_t value) const {
    return (value > 0 && value < tape_.n_inputs) || instruction(value, Opcode::Const) != nullptr;
  }

  const Tape& tape_;
  const int32_t result_;
};

void find_form(Tape& tape) {
  if (tape.outputs.size() != 1) return;
  const FormMatcher matcher(tape);
  if (matcher.is_identity()) {
    tape.form = TapeForm::Identity;
  } else if (matcher.match(tape.descent)) {
    tape.form = TapeForm::Descent;
  } else if (matcher.match(tape.bias_activation)) {
    tape.form = TapeForm::BiasActivation;
  } else if (matcher.is_times_bit_count()) {
    tape.form = TapeForm::TimesBitCount;
  }
}

}  // namespace

void prepare_tape(Tape& tape) {
  if (tape.dtype != DType::Float32 && tape.dtype != DType::Float64 && tape.dtype != DType::Int64) {
    throw std::invalid_argument("a tape computes in float32, float64 or int64");
  }
  if (tape.n_inputs < 0) throw std::invalid_argument("a tape has no negative number of inputs");
  // Before numbers of values are added up.
  if (tape.n_inputs > kMaxTapeInputs || tape.outputs.size() > kMaxTapeOutputs ||
      tape.instructions.size() > static_cast<size_t>(kMaxTapeValues - tape.n_inputs)) {
    throw std::invalid_argument("a tape has at most " + std::to_string(kMaxTapeValues) +
                                " values, " + std::to_string(kMaxTapeInputs) + " inputs and " +
                                std::to_string(kMaxTapeOutputs) + " outputs");
  }
  const int32_t n = static_cast<int32_t>(tape.instructions.size());
  for (int32_t i = 0; i < n; i++) check_instruction(tape, i);
  for (int32_t output : tape.outputs) {
    if (output < 0 || output >= tape.n_inputs + n) {
      throw std::invalid_argument("output value " + std::to_string(output) + " does not exist");
    }
  }
  find_input_reads(tape);
  assign_registers(tape);
  find_form(tape);
}

int32_t opcode_arity(Opcode opcode) { return kRecords[static_cast<int32_t>(opcode)].arity; }

const std::vector<const char*>& tape_opcodes() {
  static const std::vector<const char*> names = [] {
    std::vector<const char*> all;
    for (const OpcodeRecord& op : kRecords) all.push_back(op.name);
    return all;
  }();
  return names;
}

}  // namespace tgm
