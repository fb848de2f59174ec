// check_range: fails unless low <= i < high for every element.
//
//   inputs    index, any shape, integer dtype
//   outputs   none
//   ints      low, high
#include "failure.hpp"
#include "kernel.hpp"
#include "kernels/core/chunks.hpp"
#include "kernels/core/dims.hpp"
#include "kernels/core/index_vector.hpp"
#include "kernels/core/with_type.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kChunkElements = 65536;

// Whether one of n elements, `step` bytes apart, is out of range.
template <class T>
bool any_outside(const char* p, int64_t step, int64_t n, int64_t low, int64_t high) {
  bool outside = false;
  if (step == static_cast<int64_t>(sizeof(T))) {
    const T* typed = reinterpret_cast<const T*>(p);
    for (int64_t i = 0; i < n; i++) outside |= (typed[i] < low) | (typed[i] >= high);
  } else {
    for (int64_t i = 0; i < n; i++) {
      const T value = *reinterpret_cast<const T*>(p + i * step);
      outside |= (value < low) | (value >= high);
    }
  }
  return outside;
}

int64_t chunks(const Args& args) { return ceil_div(element_count(args.in[0]), kChunkElements); }

// Elements are numbered in C order; a chunk is a range of them, taken row by row.
void run(const Args& args, int64_t chunk, int64_t) {
  const Tensor& index = args.in[0];
  const auto item = static_cast<int64_t>(item_size(index.dtype));
  const int64_t size = element_count(index);
  const int64_t end = size < (chunk + 1) * kChunkElements ? size : (chunk + 1) * kChunkElements;
  const int32_t inner = index.ndim - 1;
  const int64_t length = index.ndim == 0 ? 1 : index.shape[inner];
  const int64_t step = index.ndim == 0 ? 0 : index.stride[inner] * item;
  for (int64_t i = chunk * kChunkElements; i < end;) {
    const int64_t in_row = i % length;
    int64_t n = length - in_row;
    if (n > end - i) n = end - i;
    int64_t offset = in_row * step;
    for_coordinates(inner, index.shape, i / length,
                    [&](int32_t d, int64_t k) { offset += k * index.stride[d] * item; });
    const bool outside = with_type(index.dtype, [&]<class T>() {
      return any_outside<T>(index.data + offset, step, n, args.ints[0], args.ints[1]);
    });
    if (outside) {
      args.failure->call.store(args.call + 1);
      return;
    }
    i += n;
  }
}

const char* invalid(const Args& args) {
  if (args.n_in != 1 || args.n_out != 0 || args.n_ints != 2 || args.n_tapes != 0) {
    return "takes one input and two integers, and has no output";
  }
  return is_integer(args.in[0].dtype) ? nullptr : "input 0 (index) must have an integer dtype";
}

}  // namespace

extern const Kernel check_range_kernel = {"check_range", 1, {{chunks, run}}, nullptr, invalid};

}  // namespace tgm::TGM_TARGET
