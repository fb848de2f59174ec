// recurrence: y[0] = x[0], y[k] = x[k] + a[k] * y[k - 1] along an axis.
//
//   inputs    x, float32, float64 or int64, of at least one dimension; a, like x
//   outputs   like x
//   ints      axis; reverse: whether it runs from the end of the axis
//
// Products and sums are rounded one by one, in the dtype of x. So results have the same bits on
// every target.
#include "kernel.hpp"
#include "kernels/core/check.hpp"
#include "kernels/core/chunks.hpp"
#include "kernels/core/dims.hpp"
#include "kernels/core/with_type.hpp"

namespace tgm::TGM_TARGET {
namespace {

int64_t chunks(const Args& args) {
  return chunks_for(rows_along(args.in[0], args.ints[0]),
                    args.in[0].shape[args.ints[0]] * kPackFlops);
}

template <class T>
TGM_INLINE T product(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return rounded(a * b);
  return multiply(a, b);
}

template <class T>
void run_rows(const Args& args, int64_t chunk, int64_t n_chunks) {
  const Tensor* operands[] = {&args.in[0], &args.in[1], &args.out[0]};
  const Tensor& x = args.in[0];
  const int64_t axis = args.ints[0];
  const int64_t length = x.shape[axis];
  const bool is_reversed = args.ints[1] != 0;
  int64_t shape[kMaxDims];
  for (int32_t d = 0; d < x.ndim; d++) shape[d] = d == axis ? 1 : x.shape[d];
  const Span rows = span_of(rows_along(args.in[0], args.ints[0]), chunk, n_chunks);
  for (int64_t row = rows.first; row < rows.last; row++) {
    T* first[3];
    int64_t step[3];
    for (int i = 0; i < 3; i++) {
      const Tensor& operand = *operands[i];
      step[i] = is_reversed ? -operand.stride[axis] : operand.stride[axis];
      first[i] = operand.as<T>() + (is_reversed ? (length - 1) * operand.stride[axis] : 0);
      for_coordinates(x.ndim, shape, row,
                      [&](int32_t d, int64_t index) { first[i] += index * operand.stride[d]; });
    }
    const auto [px, pa, py] = first;
    T y = py[0] = px[0];
    for (int64_t k = 1; k < length; k++) {
      y = py[k * step[2]] = add(px[k * step[0]], product(pa[k * step[1]], y));
    }
  }
}

void run(const Args& args, int64_t chunk, int64_t n_chunks) {
  with_tape_type(args.in[0].dtype, [&]<class T>() { run_rows<T>(args, chunk, n_chunks); });
}

const char* invalid(const Args& args) {
  if (args.n_in != 2 || args.n_out != 1 || args.n_ints != 2 || args.n_tapes != 0) {
    return "takes two inputs and two integers, and has one output";
  }
  const Tensor& x = args.in[0];
  if (x.dtype != DType::Float32 && x.dtype != DType::Float64 && x.dtype != DType::Int64) {
    return "input 0 (x) must be float32, float64 or int64";
  }
  if (args.ints[0] < 0 || args.ints[0] >= x.ndim) return "axis must be one of input 0's";
  if (args.in[1].dtype != x.dtype) return "input 1 (a) must have input 0's dtype";
  if (args.out[0].dtype != x.dtype) return "output 0 must have input 0's dtype";
  const char* wrong = check_operand(args.in[1], "input 1 (a)", x.dtype, x.ndim, x.shape);
  return wrong ? wrong : check_operand(args.out[0], "output 0", x.dtype, x.ndim, x.shape);
}

}  // namespace

extern const Kernel recurrence_kernel;
const Kernel recurrence_kernel = {"recurrence", 1, {{chunks, run}}, nullptr, invalid};

}  // namespace tgm::TGM_TARGET
