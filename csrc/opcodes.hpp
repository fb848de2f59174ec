// The operations of a tape, listed once: X(enumerator, name, arity, integer).
//
// integer: whether int64 tapes have it too. `uniform` has one argument, the number of the 0-d
// int64 input that counts steps; that argument is no value of the tape.
#pragma once

#include <cstdint>

#define TGM_OPCODES(X)                  \
  X(Const, "const", 0, true)            \
  X(Neg, "neg", 1, true)                \
  X(Abs, "abs", 1, true)                \
  X(Sign, "sign", 1, true)              \
  X(Exp, "exp", 1, false)               \
  X(Log, "log", 1, false)               \
  X(Log1p, "log1p", 1, false)           \
  X(Sqrt, "sqrt", 1, false)             \
  X(Sqr, "sqr", 1, true)                \
  X(Sigmoid, "sigmoid", 1, false)       \
  X(Tanh, "tanh", 1, false)             \
  X(Softplus, "softplus", 1, false)     \
  X(Floor, "floor", 1, false)           \
  X(Ceil, "ceil", 1, false)             \
  X(Round, "round", 1, false)           \
  X(Trunc, "trunc", 1, false)           \
  X(LogicalNot, "logical_not", 1, true) \
  X(Add, "add", 2, true)                \
  X(Sub, "sub", 2, true)                \
  X(Mul, "mul", 2, true)                \
  X(Div, "div", 2, false)               \
  X(IntDiv, "int_div", 2, true)         \
  X(Mod, "mod", 2, true)                \
  X(Pow, "pow", 2, false)               \
  X(Maximum, "maximum", 2, true)        \
  X(Minimum, "minimum", 2, true)        \
  X(Eq, "eq", 2, true)                  \
  X(Neq, "neq", 2, true)                \
  X(Lt, "lt", 2, true)                  \
  X(Le, "le", 2, true)                  \
  X(Gt, "gt", 2, true)                  \
  X(Ge, "ge", 2, true)                  \
  X(LogicalAnd, "logical_and", 2, true) \
  X(LogicalOr, "logical_or", 2, true)   \
  X(Switch, "switch", 3, true)          \
  X(Uniform, "uniform", 1, false)

namespace tgm {

enum class Opcode : int32_t {
#define X(enumerator, name, arity, integer) enumerator,
  TGM_OPCODES(X)
#undef X
      Count
};

}  // namespace tgm
