// Checks of operands: see check.hpp.
#include "kernels/core/check.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "sizes.hpp"

namespace tgm::TGM_TARGET {
namespace {

const char* dtype_name(DType dtype) {
  switch (dtype) {
    case DType::Float32:
      return "float32";
    case DType::Float64:
      return "float64";
    case DType::UInt8:
      return "uint8";
    default:
      return "another dtype";
  }
}

}  // namespace

const Tensor& operand(const Args& args, int number) {
  return number >= kOut ? args.out[number - kOut] : args.in[number];
}

const char* operand_name(int number, const char* role) {
  static thread_local char name[64];
  std::snprintf(name, sizeof name, "%s %d (%s)", number >= kOut ? "output" : "input",
                number >= kOut ? number - kOut : number, role);
  return name;
}

const char* check_failed(const char* format, ...) {
  static thread_local char message[256];
  va_list values;
  va_start(values, format);
  std::vsnprintf(message, sizeof message, format, values);
  va_end(values);
  return message;
}

const char* check_operand(const Tensor& tensor, const char* name, DType dtype, int32_t ndim,
                          const int64_t* shape) {
  if (tensor.dtype != dtype) return check_failed("%s must be %s", name, dtype_name(dtype));
  if (tensor.ndim != ndim) return check_failed("%s must have %d dimensions", name, ndim);
  for (int32_t d = 0; d < ndim && shape; d++) {
    if (tensor.shape[d] != shape[d]) {
      return check_failed("%s must have size %lld on axis %d, not %lld", name,
                          static_cast<long long>(shape[d]), d,
                          static_cast<long long>(tensor.shape[d]));
    }
  }
  return nullptr;
}

const char* check_windows(const WindowSizes& sizes) {
  int64_t padded = 1, positions = 1;
  for (int axis = 0; axis < 2; axis++) {
    const int64_t image = sizes.image[axis], pooled = sizes.pooled[axis];
    const int64_t window = sizes.window[axis], pad = sizes.pad[axis];
    for (const int64_t n : {image, pooled, window, pad, sizes.stride[axis]}) {
      if (n > kMaxLength) return "has a length, window, stride or padding that is too large";
    }
    if (std::max<int64_t>(pooled - 1, 0) * sizes.stride[axis] > image + 2 * pad + window) {
      return "has windows outside the padded image";
    }
    padded = checked_product({padded, image + 2 * pad + window});
    positions = checked_product({positions, window, pooled});
  }
  if (padded > kMaxPlane || positions > kMaxPlane) return "has windows that are too large";
  return nullptr;
}

const char* check_epilogue(const Args& args, int32_t n_own) {
  if (args.n_tapes != 1) return "takes one tape, the epilogue";
  const Tape& tape = *args.tapes[0];
  if (tape.outputs.size() != 1) return "the epilogue must have one output";
  if (tape.n_inputs != args.n_in - n_own + 1) {
    return check_failed("the epilogue must have %d inputs: the result and the extras",
                        args.n_in - n_own + 1);
  }
  if (tape.n_inputs > kMaxEpilogueInputs) return "the epilogue has too many inputs";
  const Tensor& out = args.out[0];
  for (int32_t k = n_own; k < args.n_in; k++) {
    const Tensor& extra = args.in[k];
    if (extra.ndim == 0) continue;
    const char* name = operand_name(k, "extra");
    if (const char* why = check_operand(extra, name, extra.dtype, out.ndim, out.shape)) return why;
  }
  return nullptr;
}

}  // namespace tgm::TGM_TARGET
