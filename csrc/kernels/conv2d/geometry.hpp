// What all kernels of a convolution share: its sizes, and the check of its operands.
#pragma once

#include "kernel.hpp"
#include "kernels/core/check.hpp"
#include "kernels/core/chunks.hpp"
#include "simd.hpp"

namespace tgm::TGM_TARGET {

constexpr int64_t kMaxStrips = 64;    // images or accumulators that are in the workspace at once
constexpr int64_t kEnoughUnits = 16;  // of work: keeps 8 threads busy

constexpr int32_t kConvInts = 5, kPoolInts = 7;

// Sizes and parameters of a convolution y (N, O, OH, OW) of x (N, C, H, W) with w (O, C, KH, KW).
struct ConvShape {
  int64_t N, C, H, W, O, KH, KW;
  int64_t stride_h, stride_w, pad_h, pad_w;
  bool flip, pooled;
  int64_t pool_h, pool_w;  // 1, 1 without a pool
  int64_t OH, OW;          // of the convolution
  int64_t PH, PW;          // behind the pool

  int64_t padded_h() const { return H + 2 * pad_h; }
  int64_t padded_w() const { return W + 2 * pad_w; }
  int64_t taps() const { return C * KH * KW; }
  int64_t pool_size() const { return pool_h * pool_w; }
  int64_t winner_bytes() const { return (pool_size() + 7) / 8; }
  int64_t flops_per_position() const { return 2 * taps() * pool_size(); }
};

// x and w are operands with these shapes: a result or a gradient may take their place. The call's
// ints are stride_h, stride_w, pad_h, pad_w, flip and, of kernels with a pool, pool_h, pool_w.
inline ConvShape conv_shape(const Tensor& x, const Tensor& w, const Args& args) {
  const int64_t* ints = args.ints;
  const bool pooled = args.n_ints == kPoolInts;
  ConvShape s{};
  s.N = x.shape[0], s.C = x.shape[1], s.H = x.shape[2], s.W = x.shape[3];
  s.O = w.shape[0], s.KH = w.shape[2], s.KW = w.shape[3];
  s.stride_h = ints[0], s.stride_w = ints[1], s.pad_h = ints[2], s.pad_w = ints[3];
  s.flip = ints[4] != 0;
  s.pooled = pooled;
  s.pool_h = pooled ? ints[5] : 1;
  s.pool_w = pooled ? ints[6] : 1;
  s.OH = s.padded_h() < s.KH ? 0 : (s.padded_h() - s.KH) / s.stride_h + 1;
  s.OW = s.padded_w() < s.KW ? 0 : (s.padded_w() - s.KW) / s.stride_w + 1;
  s.PH = s.OH / s.pool_h;
  s.PW = s.OW / s.pool_w;
  return s;
}

// Which of the call's operands are those of y = x * w (numbers from kOut on are outputs).
struct ConvRoles {
  int x, w, y;
  int winners;  // -1: none
  int n_own;    // inputs before the extras
  bool pooled;
};

// Null, or what is wrong.
const char* check_conv(const Args& args, const ConvRoles& roles);

}  // namespace tgm::TGM_TARGET
