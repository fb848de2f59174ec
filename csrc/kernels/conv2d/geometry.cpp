#include "kernels/conv2d/geometry.hpp"

namespace tgm::TGM_TARGET {
namespace {

const char* check_conv_ints(const Args& args, const ConvRoles& roles) {
  const bool pooled = roles.pooled(), has_first = roles.winners >= kOut && args.n_ints > kPoolInts;
  const int32_t wanted = pooled ? kPoolInts + has_first : kConvInts;
  if (args.n_ints != wanted) return check_failed("takes %d integer parameters", wanted);
  const int64_t* ints = args.ints;
  if (ints[0] < 1 || ints[1] < 1) return "strides must be 1 or more";
  if (ints[2] < 0 || ints[3] < 0) return "padding must not be negative";
  if (pooled && (ints[5] < 1 || ints[6] < 1)) return "the pool must be 1 or more each way";
  return nullptr;
}

}  // namespace

ConvShape conv_shape(const Tensor& x, const Tensor& w, const Args& args) {
  const int64_t* ints = args.ints;
  const bool pooled = args.n_ints >= kPoolInts;
  ConvShape s{};
  s.N = x.shape[0], s.C = x.shape[1], s.H = x.shape[2], s.W = x.shape[3];
  s.O = w.shape[0], s.KH = w.shape[2], s.KW = w.shape[3];
  s.stride_h = ints[0], s.stride_w = ints[1], s.pad_h = ints[2], s.pad_w = ints[3];
  s.flip = ints[4] != 0;
  s.pooled = pooled;
  s.pool_h = pooled ? ints[5] : 1;
  s.pool_w = pooled ? ints[6] : 1;
  s.first = args.n_ints > kPoolInts && ints[kPoolInts];
  s.OH = s.padded_h() < s.KH ? 0 : (s.padded_h() - s.KH) / s.stride_h + 1;
  s.OW = s.padded_w() < s.KW ? 0 : (s.padded_w() - s.KW) / s.stride_w + 1;
  s.PH = s.OH / s.pool_h;
  s.PW = s.OW / s.pool_w;
  return s;
}

const char* check_conv(const Args& args, const ConvRoles& roles) {
  const int n_own = roles.n_own(), n_out = roles.winners >= kOut ? 2 : 1;
  if (args.n_in < n_own) return check_failed("takes at least %d inputs", n_own);
  if (args.n_out < 1 || args.n_out > n_out) return "has the wrong number of outputs";
  if (const char* why = check_conv_ints(args, roles)) return why;
  const Tensor &x = operand(args, roles.x), &w = operand(args, roles.w),
               &y = operand(args, roles.y);
  const DType dtype = args.in[0].dtype;
  if (dtype != DType::Float32 && dtype != DType::Float64) return "computes in float32 or float64";
  if (x.ndim != 4) return check_failed("%s must have 4 dimensions", operand_name(roles.x, "x"));
  if (w.ndim != 4) return check_failed("%s must have 4 dimensions", operand_name(roles.w, "w"));

  const int64_t single[] = {1, 1}, *ints = args.ints;
  const WindowSizes sizes{x.shape + 2, single, w.shape + 2, ints, ints + 2};
  if (const char* why = check_windows(sizes)) return why;
  if (roles.pooled() && (ints[5] > kMaxLength || ints[6] > kMaxLength)) {
    return "the pool is too large";
  }
  const ConvShape s = conv_shape(x, w, args);
  if (s.KH < 1 || s.KW < 1) return "filters must not be empty";
  // With it, no product of sizes that a workspace is made of passes 2^63.
  const int64_t bytes = checked_product(
      {s.N, std::max(s.C, s.O) + kLanes<float>, s.padded_h() + s.KH, s.padded_w() + s.KW, 8});
  if (bytes > kMostBytes) return "the images are too large with their borders";
  const int64_t x_shape[] = {s.N, s.C, s.H, s.W}, w_shape[] = {s.O, s.C, s.KH, s.KW};
  const int64_t y_shape[] = {s.N, s.O, s.PH, s.PW, s.winner_bytes()};
  const char* why = check_operand(x, operand_name(roles.x, "x"), dtype, 4, x_shape);
  if (!why) why = check_operand(w, operand_name(roles.w, "w"), dtype, 4, w_shape);
  if (!why) why = check_operand(y, operand_name(roles.y, "y"), dtype, 4, y_shape);
  const bool has_winners = roles.pooled() && (roles.winners < kOut || args.n_out == 2);
  if (!why && has_winners) {
    const char* name = operand_name(roles.winners, "winners");
    why = check_operand(operand(args, roles.winners), name, DType::UInt8, 5, y_shape);
  }
  if (!why && roles.bias >= 0) {
    const char* name = operand_name(roles.bias, "bias");
    why = check_operand(operand(args, roles.bias), name, dtype, 1, w_shape);
  }
  return why ? why : check_epilogue(args, n_own);
}

}  // namespace tgm::TGM_TARGET
