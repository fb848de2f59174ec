#include "kernels/tape/operations.hpp"

#include "math/bit_count.hpp"
#include "math/error_function.hpp"
#include "math/exponential.hpp"
#include "math/inverse_trigonometric.hpp"
#include "math/logarithm.hpp"
#include "math/pair_logarithm.hpp"
#include "math/power.hpp"
#include "math/trigonometric.hpp"

namespace tgm::TGM_TARGET {
namespace {

// What an argument is: an element per element, one for all, or nothing that the operation reads.
enum Argument { kMany, kOne, kNone };

template <Argument kind, class T>
TGM_INLINE Vec<T> operand(const void* p, int64_t i) {
  const T* typed = static_cast<const T*>(p);
  if constexpr (kind == kNone) return Vec<T>{};
  return kind == kOne ? splat(*typed) : load(typed + i);
}

// A row shorter than a vector: as a whole vector, through copies of what it reads and writes.
// Out of line, so that an operation has no code of its own for it. many: bit k where argument k has
// an element per element.
template <class T>
TGM_NOINLINE void run_few(BlockFunction run, int many, int64_t n, void* out, const void* a,
                          const void* b, const void* c) {
  constexpr int64_t lanes = kLanes<T>;
  alignas(kVectorBytes) T copies[3][lanes], result[lanes];
  const void* arguments[] = {a, b, c};
  for (int k = 0; k < 3; k++) {
    if ((many >> k & 1) == 0) continue;
    store(copies[k], load_part(static_cast<const T*>(arguments[k]), n));
    arguments[k] = copies[k];
  }
  run(lanes, result, arguments[0], arguments[1], arguments[2]);
  copy_part(static_cast<T*>(out), result, n);
}

// Runs Op over whole vectors, the remainder of n included: every element goes through the same
// instructions. The last vector overlaps the one before; it is computed first, since `out` may be
// an operand.
template <class T, class Op, Argument kA, Argument kB, Argument kC>
void run_block(int64_t n, void* out, const void* a, const void* b, const void* c) {
  constexpr int64_t lanes = kLanes<T>;
  T* to = static_cast<T*>(out);
  if (n < lanes) {
    constexpr int many = (kA == kMany) | (kB == kMany) << 1 | (kC == kMany) << 2;
    if (n > 0) run_few<T>(run_block<T, Op, kA, kB, kC>, many, n, out, a, b, c);
    return;
  }
  const int64_t end = n - lanes;
  Vec<T> last{};
  if (n % lanes != 0) {
    last = Op::of(operand<kA, T>(a, end), operand<kB, T>(b, end), operand<kC, T>(c, end));
  }
  for (int64_t i = 0; i <= end; i += lanes) {
    store(to + i, Op::of(operand<kA, T>(a, i), operand<kB, T>(b, i), operand<kC, T>(c, i)));
  }
  if (n % lanes != 0) store(to + end, last);
}

// The same for long functions: each is compiled once, so the remainder goes through run_few.
template <class T, class Op, Argument kB>
void run_function(int64_t n, void* out, const void* a, const void* b, const void* c) {
  constexpr int64_t lanes = kLanes<T>;
  T* to = static_cast<T*>(out);
  int64_t i = 0;
  for (; n - i >= lanes; i += lanes) {
    const Vec<T> v = operand<kB, T>(b, i);
    store(to + i, Op::of(operand<kMany, T>(a, i), v, v));
  }
  if (i == n) return;
  constexpr int many = 1 | (kB == kMany) << 1;
  const void* x = static_cast<const T*>(a) + i;
  const void* y = kB == kMany ? static_cast<const T*>(b) + i : b;
  run_few<T>(run_function<T, Op, kB>, many, n - i, to + i, x, y, c);
}

// `run` of two arguments, of which the one with the number kRepeated is one element for all.
template <class T, BlockFunction run, int kRepeated>
void run_repeated(int64_t n, void* out, const void* a, const void* b, const void* c) {
  constexpr int64_t length = 8 * kLanes<T>;
  const T x = *static_cast<const T*>(kRepeated == 0 ? a : b);
  T copies[length];
  for (T& copy : copies) copy = x;
  for (int64_t i = 0; i < n; i += length) {
    const void* u = kRepeated == 0 ? copies : static_cast<const T*>(a) + i;
    const void* v = kRepeated == 1 ? copies : static_cast<const T*>(b) + i;
    run(n - i < length ? n - i : length, static_cast<T*>(out) + i, u, v, c);
  }
}

// run_block for operations of single elements; the compiler makes vectors of them where it can.
template <class T, class Op, Argument kA, Argument kB>
void run_lanes(int64_t n, void* out, const void* a, const void* b, const void*) {
  T* to = static_cast<T*>(out);
  const T* x = static_cast<const T*>(a);
  const T* y = static_cast<const T*>(b);
  TGM_INDEPENDENT_LOOP
  for (int64_t i = 0; i < n; i++) {
    to[i] = Op::of(x[kA == kMany ? i : 0], kB == kNone ? T(0) : y[kB == kMany ? i : 0]);
  }
}

#define TGM_VECTOR_OP(Name, expression)           \
  struct Name {                                   \
    template <class V>                            \
    TGM_INLINE V of(V a, V b, V c) {              \
      using T [[maybe_unused]] = Element<V>;      \
      static_cast<void>(b), static_cast<void>(c); \
      return expression;                          \
    }                                             \
  };

#define TGM_TRUTH(mask) ((mask) ? splat<T>(T(1)) : V{})

template <class V>
TGM_INLINE V absolute(V a) {
  if constexpr (std::is_floating_point_v<Element<V>>) {
    return vabs(a);
  } else {
    return (a < 0) ? negate(a) : a;
  }
}

// NaN stays NaN, and so does a zero.
template <class V>
TGM_INLINE V sign(V a) {
  using T = Element<V>;
  return (a > T(0)) ? splat<T>(T(1)) : ((a < T(0)) ? splat<T>(T(-1)) : a + T(0));
}

TGM_VECTOR_OP(NegOp, negate(a))
TGM_VECTOR_OP(AbsOp, absolute(a))
TGM_VECTOR_OP(SignOp, sign(a))
// Half away from zero. The fraction is exact, so that a half differs from its neighbours; that of
// an infinity is NaN, and 0 is added.
template <class V>
TGM_INLINE V round_away(V a) {
  using T = Element<V>;
  const V whole = vtrunc(a);
  return whole + with_sign_of((vabs(a - whole) >= T(0.5)) ? splat(T(1)) : V{}, a);
}

TGM_VECTOR_OP(SqrtOp, vsqrt(a))
TGM_VECTOR_OP(FloorOp, vfloor(a))
TGM_VECTOR_OP(CeilOp, vceil(a))
TGM_VECTOR_OP(RoundOp, vround(a))
TGM_VECTOR_OP(RoundAwayOp, round_away(a))
TGM_VECTOR_OP(BitCountOp, bit_count(a))
TGM_VECTOR_OP(TruncOp, vtrunc(a))
TGM_VECTOR_OP(ExpOp, vexp(a))
TGM_VECTOR_OP(LogOp, vlog(a))
TGM_VECTOR_OP(Log1pOp, vlog1p(a))
TGM_VECTOR_OP(SqrOp, multiply(a, a))
TGM_VECTOR_OP(SigmoidOp, vsigmoid(a))
TGM_VECTOR_OP(TanhOp, vtanh(a))
TGM_VECTOR_OP(SoftplusOp, vsoftplus(a))
TGM_VECTOR_OP(Exp2Op, vexp2(a))
TGM_VECTOR_OP(Expm1Op, vexpm1(a))
TGM_VECTOR_OP(Log2Op, vlog2(a))
TGM_VECTOR_OP(Log10Op, vlog10(a))
TGM_VECTOR_OP(SinOp, vsin(a))
TGM_VECTOR_OP(CosOp, vcos(a))
TGM_VECTOR_OP(TanOp, vtan(a))
TGM_VECTOR_OP(ArcSinOp, varcsin(a))
TGM_VECTOR_OP(ArcCosOp, varccos(a))
TGM_VECTOR_OP(ArcTanOp, varctan(a))
TGM_VECTOR_OP(SinhOp, vsinh(a))
TGM_VECTOR_OP(CoshOp, vcosh(a))
TGM_VECTOR_OP(ArcSinhOp, varcsinh(a))
TGM_VECTOR_OP(ArcCoshOp, varccosh(a))
TGM_VECTOR_OP(ArcTanhOp, varctanh(a))
TGM_VECTOR_OP(ErfOp, verf(a))
TGM_VECTOR_OP(ErfcOp, verfc(a))
TGM_VECTOR_OP(ArcTan2Op, varctan2(a, b))
TGM_VECTOR_OP(PowOp, vpow(a, b))
TGM_VECTOR_OP(LogicalNotOp, TGM_TRUTH(a == T(0)))
TGM_VECTOR_OP(AddOp, add(a, b))
TGM_VECTOR_OP(SubOp, subtract(a, b))
TGM_VECTOR_OP(MulOp, multiply(a, b))
TGM_VECTOR_OP(DivOp, a / b)
TGM_VECTOR_OP(MaximumOp, vmax(a, b))
TGM_VECTOR_OP(MinimumOp, vmin(a, b))
TGM_VECTOR_OP(EqOp, TGM_TRUTH(a == b))
TGM_VECTOR_OP(NeqOp, TGM_TRUTH(a != b))
TGM_VECTOR_OP(GtOp, TGM_TRUTH(a > b))
TGM_VECTOR_OP(GeOp, TGM_TRUTH(a >= b))
TGM_VECTOR_OP(LogicalAndOp, TGM_TRUTH((a != T(0)) & (b != T(0))))
TGM_VECTOR_OP(LogicalOrOp, TGM_TRUTH((a != T(0)) | (b != T(0))))
TGM_VECTOR_OP(IsNanOp, TGM_TRUTH(a != a))
TGM_VECTOR_OP(IsInfOp, TGM_TRUTH(vabs(a) == T(__builtin_inf())))
TGM_VECTOR_OP(BitNotOp, ~a)
TGM_VECTOR_OP(BitAndOp, a& b)
TGM_VECTOR_OP(BitOrOp, a | b)
TGM_VECTOR_OP(BitXorOp, a ^ b)
TGM_VECTOR_OP(SwitchOp, (a != T(0)) ? b : c)

struct IntPowOp {
  // Wraps around. A negative power is 1 / a^|b| rounded towards zero, and 0 for a = 0.
  TGM_INLINE int64_t of(int64_t a, int64_t b) {
    if (b < 0) {
      if (a == 1 || a == -1) return (b & 1) ? a : 1;
      return 0;
    }
    uint64_t power = 1, square = static_cast<uint64_t>(a);
    for (; b > 0; b >>= 1, square *= square) {
      if (b & 1) power *= square;
    }
    return static_cast<int64_t>(power);
  }
};

TGM_INLINE float remainder_of(float a, float b) { return __builtin_fmodf(a, b); }
TGM_INLINE double remainder_of(double a, double b) { return __builtin_fmod(a, b); }

// Remainder with the sign of the divisor, as Python has it.
struct ModOp {
  template <class T>
  TGM_INLINE T of(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      if (b == 0 || b == -1) return 0;  // -1: the least integer overflows
      const T rest = a % b;
      return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
    } else {
      const T rest = remainder_of(a, b);
      if (rest == 0) return __builtin_copysign(T(0), b);
      return (rest < 0) != (b < 0) ? rest + b : rest;
    }
  }
};

// Quotient rounded down. For floats: from the exact remainder, so that a quotient that rounds up
// to an integer is not taken for it.
struct IntDivOp {
  template <class T>
  TGM_INLINE T of(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      if (b == 0) return 0;
      if (b == -1) return static_cast<T>(0 - static_cast<uint64_t>(a));
      const T quotient = a / b;
      return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
    } else {
      if (b == 0) return a / b;
      const T rest = remainder_of(a, b);
      T quotient = (a - rest) / b;
      if (rest != 0 && (rest < 0) != (b < 0)) quotient -= 1;
      if (quotient == 0) return __builtin_copysign(T(0), a / b);
      const T whole = static_cast<T>(__builtin_floor(quotient));
      return quotient - whole > T(0.5) ? whole + 1 : whole;
    }
  }
};

template <class T, class Op>
constexpr BlockOp unary() {
  return {{run_block<T, Op, kMany, kNone, kNone>}};
}

template <class T, class Op>
constexpr BlockOp binary() {
  return {{run_block<T, Op, kMany, kMany, kNone>, run_block<T, Op, kOne, kMany, kNone>,
           run_block<T, Op, kMany, kOne, kNone>}};
}

// With its first two arguments exchanged.
template <BlockFunction run>
void swapped(int64_t n, void* out, const void* a, const void* b, const void* c) {
  run(n, out, b, a, c);
}

// Of an operation on truths or bits with of(a, b) = of(b, a): fewer loops to compile.
template <class T, class Op>
constexpr BlockOp symmetric() {
  constexpr BlockFunction many_one = run_block<T, Op, kMany, kOne, kNone>;
  return {{run_block<T, Op, kMany, kMany, kNone>, swapped<many_one>, many_one}};
}

// The same for one with of(a, b) = Mirror::of(b, a).
template <class T, class Mirror>
constexpr BlockOp mirrored() {
  return {{swapped<run_block<T, Mirror, kMany, kMany, kNone>>,
           swapped<run_block<T, Mirror, kMany, kOne, kNone>>,
           swapped<run_block<T, Mirror, kOne, kMany, kNone>>}};
}

template <class T, class Op>
constexpr BlockOp ternary() {
  return {{run_block<T, Op, kMany, kMany, kMany>, run_block<T, Op, kOne, kMany, kMany>,
           run_block<T, Op, kMany, kOne, kMany>, run_block<T, Op, kOne, kOne, kMany>,
           run_block<T, Op, kMany, kMany, kOne>, run_block<T, Op, kOne, kMany, kOne>,
           run_block<T, Op, kMany, kOne, kOne>}};
}

template <class T, class Op>
constexpr BlockOp function() {
  return {{run_function<T, Op, kNone>}};
}

template <class T, class Op>
constexpr BlockOp binary_function() {
  constexpr BlockFunction run = run_function<T, Op, kMany>;
  return {{run, run_repeated<T, run, 0>, run_repeated<T, run, 1>}};
}

template <class T, class Op>
constexpr BlockOp binary_lanes() {
  return {{run_lanes<T, Op, kMany, kMany>, run_lanes<T, Op, kOne, kMany>,
           run_lanes<T, Op, kMany, kOne>}};
}

struct BlockOps {
  BlockOp ops[static_cast<int>(Opcode::Count)];

  constexpr BlockOp& operator[](Opcode opcode) { return ops[static_cast<int>(opcode)]; }
};

template <class T>
constexpr BlockOps common_ops() {
  BlockOps all{};
  all[Opcode::Neg] = unary<T, NegOp>();
  all[Opcode::Abs] = unary<T, AbsOp>();
  all[Opcode::Sign] = unary<T, SignOp>();
  all[Opcode::Sqr] = unary<T, SqrOp>();
  all[Opcode::LogicalNot] = unary<T, LogicalNotOp>();
  all[Opcode::Add] = binary<T, AddOp>();
  all[Opcode::Sub] = binary<T, SubOp>();
  all[Opcode::Mul] = binary<T, MulOp>();
  all[Opcode::IntDiv] = binary_lanes<T, IntDivOp>();
  all[Opcode::Mod] = binary_lanes<T, ModOp>();
  all[Opcode::Maximum] = binary<T, MaximumOp>();
  all[Opcode::Minimum] = binary<T, MinimumOp>();
  all[Opcode::Eq] = symmetric<T, EqOp>();
  all[Opcode::Neq] = symmetric<T, NeqOp>();
  all[Opcode::Lt] = mirrored<T, GtOp>();
  all[Opcode::Le] = mirrored<T, GeOp>();
  all[Opcode::Gt] = binary<T, GtOp>();
  all[Opcode::Ge] = binary<T, GeOp>();
  all[Opcode::LogicalAnd] = symmetric<T, LogicalAndOp>();
  all[Opcode::LogicalOr] = symmetric<T, LogicalOrOp>();
  all[Opcode::Switch] = ternary<T, SwitchOp>();
  return all;
}

template <class T>
constexpr BlockOps float_ops() {
  BlockOps all = common_ops<T>();
  all[Opcode::Exp] = function<T, ExpOp>();
  all[Opcode::Log] = function<T, LogOp>();
  all[Opcode::Log1p] = function<T, Log1pOp>();
  all[Opcode::Sqrt] = unary<T, SqrtOp>();
  all[Opcode::Sigmoid] = function<T, SigmoidOp>();
  all[Opcode::Tanh] = function<T, TanhOp>();
  all[Opcode::Softplus] = function<T, SoftplusOp>();
  all[Opcode::Floor] = unary<T, FloorOp>();
  all[Opcode::Ceil] = unary<T, CeilOp>();
  all[Opcode::Round] = unary<T, RoundOp>();
  all[Opcode::RoundAway] = unary<T, RoundAwayOp>();
  all[Opcode::Trunc] = unary<T, TruncOp>();
  all[Opcode::BitCount] = unary<T, BitCountOp>();
  all[Opcode::IsNan] = unary<T, IsNanOp>();
  all[Opcode::IsInf] = unary<T, IsInfOp>();
  all[Opcode::Div] = binary<T, DivOp>();
  all[Opcode::Pow] = binary_function<T, PowOp>();
  all[Opcode::ArcTan2] = binary_function<T, ArcTan2Op>();
  all[Opcode::Exp2] = function<T, Exp2Op>();
  all[Opcode::Expm1] = function<T, Expm1Op>();
  all[Opcode::Log2] = function<T, Log2Op>();
  all[Opcode::Log10] = function<T, Log10Op>();
  all[Opcode::Sin] = function<T, SinOp>();
  all[Opcode::Cos] = function<T, CosOp>();
  all[Opcode::Tan] = function<T, TanOp>();
  all[Opcode::ArcSin] = function<T, ArcSinOp>();
  all[Opcode::ArcCos] = function<T, ArcCosOp>();
  all[Opcode::ArcTan] = function<T, ArcTanOp>();
  all[Opcode::Sinh] = function<T, SinhOp>();
  all[Opcode::Cosh] = function<T, CoshOp>();
  all[Opcode::ArcSinh] = function<T, ArcSinhOp>();
  all[Opcode::ArcCosh] = function<T, ArcCoshOp>();
  all[Opcode::ArcTanh] = function<T, ArcTanhOp>();
  all[Opcode::Erf] = function<T, ErfOp>();
  all[Opcode::Erfc] = function<T, ErfcOp>();
  return all;
}

constexpr BlockOps integer_ops() {
  using T = int64_t;
  BlockOps all = common_ops<T>();
  all[Opcode::Pow] = binary_lanes<T, IntPowOp>();
  all[Opcode::BitNot] = unary<T, BitNotOp>();
  all[Opcode::BitAnd] = symmetric<T, BitAndOp>();
  all[Opcode::BitOr] = symmetric<T, BitOrOp>();
  all[Opcode::BitXor] = symmetric<T, BitXorOp>();
  return all;
}

constexpr BlockOps kFloatOps = float_ops<float>();
constexpr BlockOps kDoubleOps = float_ops<double>();
constexpr BlockOps kIntOps = integer_ops();

}  // namespace

const BlockOp* block_ops(DType dtype) {
  if (dtype == DType::Float32) return kFloatOps.ops;
  return dtype == DType::Float64 ? kDoubleOps.ops : kIntOps.ops;
}

}  // namespace tgm::TGM_TARGET
