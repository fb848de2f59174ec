// argsort: the indices that put the elements along an axis into ascending order.
//
//   inputs    x, any dtype, of at least one dimension
//   outputs   int64, x's shape
//   ints      axis
//
// Equal elements keep their order, and NaN comes after all numbers. So there is one result, the
// same on every target. A row is copied to the workspace with its indices, integers and bools as
// int64; runs of a few elements are sorted by insertion and then merged, from one half of the
// workspace to the other and back.
// Every chunk has a workspace of its own.
#include <algorithm>
#include <bit>

#include "kernel.hpp"
#include "kernels/core/check.hpp"
#include "kernels/core/chunks.hpp"
#include "kernels/core/dims.hpp"
#include "kernels/core/with_type.hpp"
#include "kernels/core/workspace.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kRun = 16;  // elements that are sorted by insertion

template <class T>
struct Entry {
  T key;
  int64_t index;
};

// Whether an element equal to x goes before one equal to y, wherever they are.
template <class T>
TGM_INLINE bool is_less(T x, T y) {
  if constexpr (std::is_floating_point_v<T>) return x < y || (y != y && x == x);
  return x < y;
}

template <class T>
void insertion_sort(Entry<T>* row, int64_t n) {
  for (int64_t i = 1; i < n; i++) {
    const Entry<T> entry = row[i];
    int64_t k = i;
    for (; k > 0 && is_less(entry.key, row[k - 1].key); k--) row[k] = row[k - 1];
    row[k] = entry;
  }
}

// Merges the sorted [first, middle) and [middle, last) of `from` into the same part of `to`.
template <class T>
void merge(const Entry<T>* from, Entry<T>* to, int64_t first, int64_t middle, int64_t last) {
  int64_t left = first;
  int64_t right = middle;
  for (int64_t k = first; k < last; k++) {
    const bool takes_right =
        right < last && (left == middle || is_less(from[right].key, from[left].key));
    to[k] = from[takes_right ? right : left];
    (takes_right ? right : left)++;
  }
}

// Sorts n entries; `other` is as long. Returns which of the two has the result.
template <class T>
const Entry<T>* merge_sort(Entry<T>* row, Entry<T>* other, int64_t n) {
  for (int64_t i = 0; i < n; i += kRun) insertion_sort(row + i, std::min(kRun, n - i));
  for (int64_t width = kRun; width < n; width *= 2) {
    for (int64_t i = 0; i < n; i += 2 * width) {
      merge(row, other, i, std::min(i + width, n), std::min(i + 2 * width, n));
    }
    std::swap(row, other);
  }
  return row;
}

int64_t chunks(const Args& args) {
  const int64_t length = args.in[0].shape[args.ints[0]];
  const int64_t passes = std::bit_width(static_cast<uint64_t>(length));
  return chunks_for(rows_along(args.in[0], args.ints[0]), length * passes * kPackFlops);
}

// The n elements `stride` apart from `offset` on, with their indices.
template <class T>
void copy_keys(const Tensor& x, int64_t offset, int64_t stride, int64_t n, Entry<T>* to) {
  with_type(x.dtype, [&]<class Element>() {
    if constexpr (std::is_same_v<T, Element> ||
                  (std::is_integral_v<T> && std::is_integral_v<Element>)) {
      const Element* from = x.as<Element>() + offset;
      for (int64_t k = 0; k < n; k++) to[k] = {from[k * stride], k};
    }
  });
}

template <class T>
void sort_rows(const Args& args, int64_t chunk, int64_t n_chunks) {
  const Tensor& x = args.in[0];
  const Tensor& out = args.out[0];
  const int64_t axis = args.ints[0];
  const int64_t length = x.shape[axis];
  auto* entries = reinterpret_cast<Entry<T>*>(args.workspace) + chunk * 2 * length;
  int64_t shape[kMaxDims];
  for (int32_t d = 0; d < x.ndim; d++) shape[d] = d == axis ? 1 : x.shape[d];
  const Span rows = span_of(rows_along(args.in[0], args.ints[0]), chunk, n_chunks);
  for (int64_t row = rows.first; row < rows.last; row++) {
    int64_t offset = 0;
    int64_t* to = out.as<int64_t>();
    for_coordinates(x.ndim, shape, row, [&](int32_t d, int64_t index) {
      offset += index * x.stride[d];
      to += index * out.stride[d];
    });
    copy_keys(x, offset, x.stride[axis], length, entries);
    const Entry<T>* sorted = merge_sort(entries, entries + length, length);
    for (int64_t k = 0; k < length; k++) to[k * out.stride[axis]] = sorted[k].index;
  }
}

void run(const Args& args, int64_t chunk, int64_t n_chunks) {
  const DType dtype = args.in[0].dtype;
  const DType key = dtype == DType::Float32 || dtype == DType::Float64 ? dtype : DType::Int64;
  with_tape_type(key, [&]<class T>() { sort_rows<T>(args, chunk, n_chunks); });
}

size_t workspace_bytes(const Args& args) {
  const int64_t length = args.in[0].shape[args.ints[0]];
  return aligned(chunks(args) * 2 * length * sizeof(Entry<int64_t>));
}

const char* invalid(const Args& args) {
  if (args.n_in != 1 || args.n_out != 1 || args.n_ints != 1 || args.n_tapes != 0) {
    return "takes one input and one integer, and has one output";
  }
  const Tensor& x = args.in[0];
  if (args.ints[0] < 0 || args.ints[0] >= x.ndim) return "axis must be one of input 0's";
  if (args.out[0].dtype != DType::Int64) return "output 0 must be int64";
  return check_operand(args.out[0], "output 0", DType::Int64, x.ndim, x.shape);
}

}  // namespace

extern const Kernel argsort_kernel;
const Kernel argsort_kernel = {"argsort", 1, {{chunks, run}}, workspace_bytes, invalid};

}  // namespace tgm::TGM_TARGET
