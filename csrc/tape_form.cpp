// Recognises the expressions for which kernels have code of their own.
#include "tape.hpp"

namespace tgm {
namespace {

class Matcher {
 public:
  explicit Matcher(const Tape& tape) : tape_(tape) {}

  bool is_identity() const { return tape_.instructions.empty() && tape_.outputs[0] == 0; }

  // Whether the tape is a step of descent, and which one.
  bool match(Descent* found) const {
    const Instruction* step = instruction(tape_.outputs[0], Opcode::Sub);
    if (step == nullptr || step->arg[0] <= 0 || step->arg[0] >= tape_.n_inputs) return false;
    const int32_t old = step->arg[0];
    const Instruction* product = instruction(step->arg[1], Opcode::Mul);
    if (product == nullptr) return false;
    for (int k = 0; k < 2; k++) {
      const int32_t slope = product->arg[k], rate = product->arg[1 - k];
      if (!is_scalar(rate)) continue;
      const int32_t decay = slope == 0 ? -1 : decay_of(slope, old);
      if (slope != 0 && decay < 0) continue;
      *found = {old, rate, decay};
      return true;
    }
    return false;
  }

  // Whether the tape is an activation of a value with a bias, and which one.
  bool match(BiasActivation* found) const {
    constexpr int32_t kValue = 0, kBias = 1;
    if (tape_.n_inputs != 2) return false;
    int32_t sum = -1, constant = -1, last = -1;
    for (int32_t i = 0; i < static_cast<int32_t>(tape_.instructions.size()); i++) {
      const Instruction& instruction = tape_.instructions[i];
      const int32_t *arg = instruction.arg, number = tape_.n_inputs + i;
      if (instruction.opcode == Opcode::Const && constant < 0) {
        constant = number;
        found->constant = instruction.immediate;
      } else if (instruction.opcode == Opcode::Add && sum < 0 && arg[0] + arg[1] == kBias &&
                 (arg[0] == kValue || arg[1] == kValue)) {
        sum = last = number;
      } else if (instruction.opcode == Opcode::Maximum && last == sum && sum >= 0 &&
                 constant >= 0 && arg[0] + arg[1] == sum + constant && arg[0] != arg[1]) {
        found->function = BiasActivation::Function::Relu;
        found->constant_first = arg[0] == constant;
        last = number;
      } else if (instruction.opcode == Opcode::Sigmoid && last == sum && arg[0] == sum) {
        found->function = BiasActivation::Function::Sigmoid;
        last = number;
      } else {
        return false;
      }
    }
    return last >= 0 && tape_.outputs[0] == last;
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

  // The instruction that computes a value, if it is an `opcode`.
  const Instruction* instruction(int32_t value, Opcode opcode) const {
    if (value < tape_.n_inputs) return nullptr;
    const Instruction& found = tape_.instructions[value - tape_.n_inputs];
    return found.opcode == opcode ? &found : nullptr;
  }

  // Whether a value may be the same for all elements. For an input, the operand decides.
  bool is_scalar(int32_t value) const {
    return (value > 0 && value < tape_.n_inputs) || instruction(value, Opcode::Const) != nullptr;
  }

  const Tape& tape_;
};

}  // namespace

TapeForm form_of(const Tape& tape) {
  using Kind = TapeForm::Kind;
  TapeForm form;
  if (tape.outputs.size() != 1) return form;
  const Matcher matcher(tape);
  if (matcher.is_identity()) {
    form.kind = Kind::Identity;
  } else if (matcher.match(&form.descent)) {
    form.kind = Kind::Descent;
  } else if (matcher.match(&form.bias_activation)) {
    form.kind = Kind::BiasActivation;
  }
  return form;
}

}  // namespace tgm
