#include "tape.hpp"

#include <stdexcept>

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

// Notes which inputs are read, and when the last of them is read.
void note_input_reads(Tape& tape) {
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

}  // namespace

void prepare_tape(Tape& tape) {
  if (tape.dtype != DType::Float32 && tape.dtype != DType::Float64 && tape.dtype != DType::Int64) {
    throw std::invalid_argument("a tape computes in float32, float64 or int64");
  }
  if (tape.n_inputs < 0) throw std::invalid_argument("a tape has no negative number of inputs");
  const int32_t n = static_cast<int32_t>(tape.instructions.size());
  for (int32_t i = 0; i < n; i++) check_instruction(tape, i);
  for (int32_t output : tape.outputs) {
    if (output < 0 || output >= tape.n_inputs + n) {
      throw std::invalid_argument("output value " + std::to_string(output) + " does not exist");
    }
  }
  if (tape.n_inputs + n > kMaxTapeValues || tape.n_inputs > kMaxTapeInputs ||
      tape.outputs.size() > kMaxTapeOutputs) {
    throw std::invalid_argument("a tape has at most " + std::to_string(kMaxTapeValues) +
                                " values, " + std::to_string(kMaxTapeInputs) + " inputs and " +
                                std::to_string(kMaxTapeOutputs) + " outputs");
  }
  note_input_reads(tape);
  assign_registers(tape);
  tape.form = form_of(tape);
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
