// Functions that processors have as instructions: square roots and rounding to integers.
//
// Written lane by lane; the compiler makes one instruction of the loop where the target has it.
#pragma once

#include "simd.hpp"

namespace tgm::TGM_TARGET {

#define TGM_LANEWISE(name, float_call, double_call)                              \
  TGM_INLINE float name##_lane(float x) { return float_call(x); }                \
  TGM_INLINE double name##_lane(double x) { return double_call(x); }             \
  template <class V>                                                             \
  TGM_INLINE V name(V x) {                                                       \
    V y;                                                                         \
    _Pragma("GCC unroll 16") for (int i = 0; i < kLanes<Element<V>>; i++) y[i] = \
        name##_lane(x[i]);                                                       \
    return y;                                                                    \
  }

TGM_LANEWISE(vsqrt, __builtin_sqrtf, __builtin_sqrt)
TGM_LANEWISE(vfloor, __builtin_floorf, __builtin_floor)
TGM_LANEWISE(vceil, __builtin_ceilf, __builtin_ceil)
TGM_LANEWISE(vtrunc, __builtin_truncf, __builtin_trunc)
TGM_LANEWISE(vround, __builtin_rintf, __builtin_rint)  // half to even
#undef TGM_LANEWISE

}  // namespace tgm::TGM_TARGET
