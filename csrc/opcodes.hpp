// The operations of a tape, listed once: X(enumerator, name, arity, tapes).
//
// tapes: which tapes have it: Float, Integer or Any. `uniform` has one argument, the number of the
// 0-d int64 input that counts steps; that argument is no value of the tape.
#pragma once

#include <cstdint>

#define TGM_OPCODES(X)                 \
  X(Const, "const", 0, Any)            \
  X(Neg, "neg", 1, Any)                \
  X(Abs, "abs", 1, Any)                \
  X(Sign, "sign", 1, Any)              \
  X(Exp, "exp", 1, Float)              \
  X(Log, "log", 1, Float)              \
  X(Log1p, "log1p", 1, Float)          \
  X(Sqrt, "sqrt", 1, Float)            \
  X(Sqr, "sqr", 1, Any)                \
  X(Sigmoid, "sigmoid", 1, Float)      \
  X(Tanh, "tanh", 1, Float)            \
  X(Softplus, "softplus", 1, Float)    \
  X(Exp2, "exp2", 1, Float)            \
  X(Expm1, "expm1", 1, Float)          \
  X(Log2, "log2", 1, Float)            \
  X(Log10, "log10", 1, Float)          \
  X(Sin, "sin", 1, Float)              \
  X(Cos, "cos", 1, Float)              \
  X(Tan, "tan", 1, Float)              \
  X(ArcSin, "arcsin", 1, Float)        \
  X(ArcCos, "arccos", 1, Float)        \
  X(ArcTan, "arctan", 1, Float)        \
  X(Sinh, "sinh", 1, Float)            \
  X(Cosh, "cosh", 1, Float)            \
  X(ArcSinh, "arcsinh", 1, Float)      \
  X(ArcCosh, "arccosh", 1, Float)      \
  X(ArcTanh, "arctanh", 1, Float)      \
  X(Erf, "erf", 1, Float)              \
  X(Erfc, "erfc", 1, Float)            \
  X(Floor, "floor", 1, Float)          \
  X(Ceil, "ceil", 1, Float)            \
  X(Round, "round", 1, Float)          \
  X(RoundAway, "round_away", 1, Float) \
  X(Trunc, "trunc", 1, Float)          \
  X(IsNan, "isnan", 1, Float)          \
  X(IsInf, "isinf", 1, Float)          \
  X(BitCount, "bit_count", 1, Float)   \
  X(LogicalNot, "logical_not", 1, Any) \
  X(BitNot, "bit_not", 1, Integer)     \
  X(Add, "add", 2, Any)                \
  X(Sub, "sub", 2, Any)                \
  X(Mul, "mul", 2, Any)                \
  X(Div, "div", 2, Float)              \
  X(IntDiv, "int_div", 2, Any)         \
  X(Mod, "mod", 2, Any)                \
  X(Pow, "pow", 2, Any)                \
  X(ArcTan2, "arctan2", 2, Float)      \
  X(Maximum, "maximum", 2, Any)        \
  X(Minimum, "minimum", 2, Any)        \
  X(Eq, "eq", 2, Any)                  \
  X(Neq, "neq", 2, Any)                \
  X(Lt, "lt", 2, Any)                  \
  X(Le, "le", 2, Any)                  \
  X(Gt, "gt", 2, Any)                  \
  X(Ge, "ge", 2, Any)                  \
  X(LogicalAnd, "logical_and", 2, Any) \
  X(LogicalOr, "logical_or", 2, Any)   \
  X(BitAnd, "bit_and", 2, Integer)     \
  X(BitOr, "bit_or", 2, Integer)       \
  X(BitXor, "bit_xor", 2, Integer)     \
  X(Switch, "switch", 3, Any)          \
  X(Uniform, "uniform", 1, Float)

namespace tgm {

enum class Opcode : int32_t {
#define X(enumerator, name, arity, tapes) enumerator,
  TGM_OPCODES(X)
#undef X
      Count
};

}  // namespace tgm
