// argmax, argmin: index of the greatest (least) element along an axis; the first of equal ones; NaN
// counts as more extreme than any number.
//
//   inputs    x, any dtype
//   outputs   int64, x's shape with size 1 along the axis
//   ints      axis
//
// Results are taken in C order. Where x is contiguous along the axis, a row is first scanned in
// vectors for its extreme, then for its index.
#include "kernel.hpp"
#include "kernels/core/chunks.hpp"
#include "kernels/core/dims.hpp"
#include "kernels/core/with_type.hpp"
#include "kernels/reduce/operations.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kChunkElements = 16384;

// Whether x beats y: is greater, or less.
struct Greater {
  template <class T>
  using Op = MaxOp<T>;
  template <class T>
  TGM_INLINE bool beats(T x, T y) {
    return x > y;
  }
};

struct Less {
  template <class T>
  using Op = MinOp<T>;
  template <class T>
  TGM_INLINE bool beats(T x, T y) {
    return x < y;
  }
};

// Index of the extreme one of n > 0 elements, `stride` apart.
template <class Order, class T>
int64_t index_of_extreme(const T* p, int64_t stride, int64_t n) {
  if constexpr (std::is_floating_point_v<T>) {
    if (stride == 1 && n >= 2 * kLanes<T>) {
      const T most = reduce_block<T, typename Order::template Op<T>>(p, n);
      int64_t i = 0;
      if (most == most) {
        while (p[i] != most) i++;
      } else {
        while (p[i] == p[i]) i++;
      }
      return i;
    }
  }
  int64_t best = 0;
  T most = p[0];
  if (most != most) return 0;
  for (int64_t i = 1; i < n; i++) {
    const T x = p[i * stride];
    if (Order::beats(x, most)) {
      most = x;
      best = i;
    } else if (x != x) {
      return i;
    }
  }
  return best;
}

int64_t chunks(const Args& args) {
  const int64_t results = element_count(args.out[0]);
  if (results == 0) return 0;
  const int64_t work = results * args.in[0].shape[args.ints[0]];
  const int64_t wanted = ceil_div(work, kChunkElements);
  return wanted < results ? wanted : results;
}

template <class Order>
void run(const Args& args, int64_t chunk, int64_t n_chunks) {
  const Tensor& x = args.in[0];
  const Tensor& out = args.out[0];
  const int64_t axis = args.ints[0];
  const int64_t results = element_count(args.out[0]);
  const int64_t end = results * (chunk + 1) / n_chunks;
  for (int64_t i = results * chunk / n_chunks; i < end; i++) {
    int64_t from = 0;
    int64_t to = 0;
    for_coordinates(out.ndim, out.shape, i, [&](int32_t d, int64_t index) {
      from += index * x.stride[d];
      to += index * out.stride[d];
    });
    out.as<int64_t>()[to] = with_type(x.dtype, [&]<class T>() {
      return index_of_extreme<Order>(x.as<const T>() + from, x.stride[axis], x.shape[axis]);
    });
  }
}

const char* invalid(const Args& args) {
  if (args.n_in != 1 || args.n_out != 1 || args.n_ints != 1 || args.n_tapes != 0) {
    return "takes one input and one integer, and has one output";
  }
  const Tensor& x = args.in[0];
  const Tensor& out = args.out[0];
  if (args.ints[0] < 0 || args.ints[0] >= x.ndim) return "axis must be one of input 0's";
  if (out.dtype != DType::Int64) return "output 0 must be int64";
  if (out.ndim != x.ndim) return "output 0 must keep the axis, with size 1";
  for (int32_t d = 0; d < x.ndim; d++) {
    if (out.shape[d] != (d == args.ints[0] ? 1 : x.shape[d])) {
      return "output 0 must have input 0's shape with size 1 along the axis";
    }
  }
  if (x.shape[args.ints[0]] == 0 && element_count(args.out[0]) > 0)
    return "input 0 is empty along the axis";
  return nullptr;
}

}  // namespace

extern const Kernel argmax_kernel = {"argmax", 1, {{chunks, run<Greater>}}, nullptr, invalid};
extern const Kernel argmin_kernel = {"argmin", 1, {{chunks, run<Less>}}, nullptr, invalid};

}  // namespace tgm::TGM_TARGET
