// cumsum: the sums of the elements up to and including each one, along an axis.
//
//   inputs    x, float32, float64 or int64, of at least one dimension
//   outputs   like x
//   ints      axis; reverse: whether the sums run from the end of the axis
//
// A sum is carried from element to element in the dtype of x, as by np.cumsum. So results have the
// same bits on every target. The rows along the axis are independent: several are added up at a
// time, in vectors where they are adjacent in memory.
#include <type_traits>

#include "kernel.hpp"
#include "kernels/core/check.hpp"
#include "kernels/core/chunks.hpp"
#include "kernels/core/dims.hpp"
#include "kernels/core/registers.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int kMostVectors = 4;  // or elements, where rows are not adjacent
constexpr int64_t kMostRows = kMostVectors * kVectorBytes / 4;

// A step along the axis, or from one row to the next, in each operand.
struct Step {
  int64_t x, y;
};

// The rows along the axis, in a box of dimensions; the innermost is cut into groups of rows.
struct Rows {
  int64_t length;  // of a row
  Step along;
  bool is_reversed;
  int32_t n_outer;
  int64_t shape[kMaxDims];  // of the outer dimensions
  Step outer[kMaxDims];
  int64_t n_outer_rows;  // their product
  int64_t inner;
  Step inner_step;

  bool is_adjacent() const { return inner_step.x == 1 && inner_step.y == 1; }
  int64_t width() const { return is_adjacent() ? kMostRows : kMostVectors; }
  int64_t groups() const { return ceil_div(inner, width()); }
};

Rows rows_of(const Args& args) {
  const Tensor& x = args.in[0];
  const Tensor& y = args.out[0];
  const int64_t axis = args.ints[0];
  Rows rows{};
  rows.length = x.shape[axis];
  rows.along = {x.stride[axis], y.stride[axis]};
  rows.is_reversed = args.ints[1] != 0;
  int64_t shape[kMaxDims];
  for (int32_t d = 0; d < x.ndim; d++) shape[d] = d == axis ? 1 : x.shape[d];
  const LoopDims dims = sort_and_merge(x.ndim, shape, y.stride, [&](int32_t outer, int32_t inner) {
    return is_one_stride(x.stride, outer, inner, shape[inner]) &&
           is_one_stride(y.stride, outer, inner, shape[inner]);
  });
  const auto step = [&](int32_t d) { return Step{x.stride[dims.axis[d]], y.stride[dims.axis[d]]}; };
  rows.inner = dims.n > 0 ? dims.shape[dims.n - 1] : 1;
  if (dims.n > 0) rows.inner_step = step(dims.n - 1);
  rows.n_outer = dims.n > 0 ? dims.n - 1 : 0;
  rows.n_outer_rows = 1;
  for (int32_t d = 0; d < rows.n_outer; d++) {
    rows.shape[d] = dims.shape[d];
    rows.outer[d] = step(d);
    rows.n_outer_rows *= rows.shape[d];
  }
  return rows;
}

// kWidth vectors of adjacent rows.
template <int kWidth, class T>
void add_vectors(int64_t length, Step along, const T* x, T* y) {
  Vec<T> sums[kWidth];
  for (auto& sum : sums) sum = -Vec<T>{};  // -0.0 + x is x, also for x = -0.0
  for (; length > 0; length--, x += along.x, y += along.y) {
#pragma GCC unroll 4
    for (int j = 0; j < kWidth; j++) {
      sums[j] = add(sums[j], load(x + j * kLanes<T>));
      store(y + j * kLanes<T>, sums[j]);
    }
  }
}

// kWidth rows, any distance apart.
template <int kWidth, class T>
void add_scalars(int64_t length, Step along, Step next, const T* x, T* y) {
  T sums[kWidth];
  for (T& sum : sums) sum = -T{};
  for (; length > 0; length--, x += along.x, y += along.y) {
#pragma GCC unroll 4
    for (int j = 0; j < kWidth; j++) {
      sums[j] = add(sums[j], x[j * next.x]);
      y[j * next.y] = sums[j];
    }
  }
}

template <class T>
void add_group(const Rows& rows, int64_t n, const T* x, T* y) {
  Step along = rows.along;
  if (rows.is_reversed) {
    x += (rows.length - 1) * along.x;
    y += (rows.length - 1) * along.y;
    along = {-along.x, -along.y};
  }
  const Step next = rows.inner_step;
  for (int64_t done = 0; done < n;) {
    const int64_t left = n - done;
    const bool in_vectors = rows.is_adjacent() && left >= kLanes<T>;
    const auto width = std::min<int64_t>(in_vectors ? left / kLanes<T> : left, kMostVectors);
    const T* from = x + done * next.x;
    T* to = y + done * next.y;
    with_width<kMostVectors>(width, [&]<int kWidth>() {
      if (in_vectors) return add_vectors<kWidth>(rows.length, along, from, to);
      add_scalars<kWidth>(rows.length, along, next, from, to);
    });
    done += in_vectors ? width * kLanes<T> : width;
  }
}

int64_t chunks(const Args& args) {
  const Rows rows = rows_of(args);
  if (rows.length == 0) return 0;
  const int64_t flops = std::min(rows.width(), rows.inner) * rows.length * kPackFlops;
  return chunks_for(rows.n_outer_rows * rows.groups(), flops);
}

template <class T>
void run_groups(const Args& args, int64_t chunk, int64_t n_chunks) {
  const Rows rows = rows_of(args);
  const Span groups = span_of(rows.n_outer_rows * rows.groups(), chunk, n_chunks);
  for (int64_t i = groups.first; i < groups.last; i++) {
    const int64_t first = i % rows.groups() * rows.width();
    Step offset = {first * rows.inner_step.x, first * rows.inner_step.y};
    int64_t rest = i / rows.groups();
    for (int32_t d = rows.n_outer - 1; d >= 0; d--) {
      const int64_t at = rest % rows.shape[d];
      rest /= rows.shape[d];
      offset.x += at * rows.outer[d].x;
      offset.y += at * rows.outer[d].y;
    }
    add_group(rows, std::min(rows.width(), rows.inner - first), args.in[0].as<T>() + offset.x,
              args.out[0].as<T>() + offset.y);
  }
}

void run(const Args& args, int64_t chunk, int64_t n_chunks) {
  switch (args.in[0].dtype) {
    case DType::Int64:
      return run_groups<int64_t>(args, chunk, n_chunks);
    case DType::Float32:
      return run_groups<float>(args, chunk, n_chunks);
    default:
      return run_groups<double>(args, chunk, n_chunks);
  }
}

const char* invalid(const Args& args) {
  if (args.n_in != 1 || args.n_out != 1 || args.n_ints != 2 || args.n_tapes != 0) {
    return "takes one input and two integers, and has one output";
  }
  const Tensor& x = args.in[0];
  if (x.dtype != DType::Float32 && x.dtype != DType::Float64 && x.dtype != DType::Int64) {
    return "input 0 (x) must be float32, float64 or int64";
  }
  if (args.ints[0] < 0 || args.ints[0] >= x.ndim) return "axis must be one of input 0's";
  if (args.out[0].dtype != x.dtype) return "output 0 must have input 0's dtype";
  return check_operand(args.out[0], "output 0", x.dtype, x.ndim, x.shape);
}

}  // namespace

extern const Kernel cumsum_kernel;
const Kernel cumsum_kernel = {"cumsum", 1, {{chunks, run}}, nullptr, invalid};

}  // namespace tgm::TGM_TARGET
