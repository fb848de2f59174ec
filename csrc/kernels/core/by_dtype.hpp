// A kernel's functions by the dtype of its first input: TGM_BY_DTYPE(run) is a function of that
// kernel's table, made of run<float> and run<double>.
#pragma once

#include "kernel.hpp"
#include "simd.hpp"

namespace tgm::TGM_TARGET {

template <auto kFloat, auto kDouble, class Signature = decltype(kFloat)>
struct ByDtype;

template <auto kFloat, auto kDouble, class Result, class... Rest>
struct ByDtype<kFloat, kDouble, Result (*)(const Args&, Rest...)> {
  static Result call(const Args& args, Rest... rest) {
    // A call without inputs is refused; the type doesn't matter.
    const bool is_float = args.n_in == 0 || args.in[0].dtype == DType::Float32;
    return is_float ? kFloat(args, rest...) : kDouble(args, rest...);
  }
};

#define TGM_BY_DTYPE(FUNCTION) ByDtype<&FUNCTION<float>, &FUNCTION<double>>::call

}  // namespace tgm::TGM_TARGET
