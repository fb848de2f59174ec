// scatter_add, scatter_set: rows added to, or put into, the places that index vectors name.
//
//   inputs    x, rows (n, rest), k index vectors (n,) of any integer dtype
//   outputs   x itself, the same view: x[i0, ..., ik-1] += rows, or = rows
//   ints      n_index, the k above
//
// The output is written in place: nothing but the named places is touched. Indices are in range;
// negative ones count from the end. Work is cut along the rest, so that every element belongs to
// one chunk, which goes through the rows in order: sums have the same bits for any number of
// threads, and the last of several rows for one place is the one that stays.
#include "kernels/index_rows.hpp"
#include "kernels/tape_row.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kChunkElements = 16384;

template <class T>
void add_row(char* to, int64_t to_stride, const char* from, int64_t from_stride, int64_t n) {
  T* out = reinterpret_cast<T*>(to);
  const T* in = reinterpret_cast<const T*>(from);
  if (to_stride == 1 && from_stride == 1) {
    for (int64_t i = 0; i < n; i++) out[i] = static_cast<T>(out[i] + in[i]);
  } else {
    for (int64_t i = 0; i < n; i++) {
      out[i * to_stride] = static_cast<T>(out[i * to_stride] + in[i * from_stride]);
    }
  }
}

// Bools add up as truth values: a sum is whether one of them is true.
void or_row(char* to, int64_t to_stride, const char* from, int64_t from_stride, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i * to_stride] |= from[i * from_stride];
}

RowFunction add_row_of(DType dtype) {
  switch (dtype) {
    case DType::Float32:
      return add_row<float>;
    case DType::Float64:
      return add_row<double>;
    case DType::Int64:
      return add_row<uint64_t>;
    case DType::Int32:
      return add_row<uint32_t>;
    case DType::Int16:
      return add_row<uint16_t>;
    case DType::Bool:
      return or_row;
    default:
      return add_row<uint8_t>;
  }
}

RowFunction set_row_of(DType dtype) { return copy_row_of(item_size(dtype)); }

template <RowFunction (*row_function_of)(DType)>
void run(const Args& args, int64_t chunk, int64_t n_chunks) {
  const Tensor& rows = args.in[1];
  const Tensor& out = args.out[0];
  const auto item = static_cast<int64_t>(item_size(out.dtype));
  const Rest rest = rest_of(rows, out, args.ints[0]);
  const int64_t begin = rest.size * chunk / n_chunks;
  const int64_t end = rest.size * (chunk + 1) / n_chunks;
  const RowFunction combine = row_function_of(out.dtype);
  for (int64_t i = 0; i < rows.shape[0]; i++) {
    const char* from = rows.data + i * rows.stride[0] * item;
    char* to = out.data + place_of(args.in + 2, args.ints[0], out, i) * item;
    for_rows(rest, begin, end,
             [&](int64_t picked, int64_t indexed, int64_t n, int64_t from_step, int64_t to_step) {
               combine(to + indexed * item, to_step, from + picked * item, from_step, n);
             });
  }
}

int64_t chunks(const Args& args) {
  const Tensor& rows = args.in[1];
  const Rest rest = rest_of(rows, args.out[0], args.ints[0]);
  const int64_t work = rows.shape[0] * rest.size;
  const int64_t wanted = (work + kChunkElements - 1) / kChunkElements;
  const int64_t most = (rest.size + 63) / 64;  // a chunk fills cache lines
  return wanted < most ? wanted : most;
}

const char* invalid(const Args& args) {
  if (args.n_ints != 1 || args.n_tapes != 0 || args.n_out != 1 || args.n_in < 3) {
    return "takes an array, rows, index vectors and one integer, and has one output";
  }
  if (args.ints[0] != args.n_in - 2) return "n_index must be the number of index vectors";
  const Tensor& x = args.in[0];
  const Tensor& out = args.out[0];
  bool is_same = x.ndim == out.ndim && x.dtype == out.dtype;
  for (int32_t d = 0; is_same && d < x.ndim; d++) {
    is_same = x.shape[d] == out.shape[d] && x.stride[d] == out.stride[d];
  }
  if (!is_same) return "output 0 must be the same view as input 0";
  return index_mismatch(args.in[1], out, args.in + 2, args.ints[0]);
}

}  // namespace

extern const Kernel scatter_add_kernel;
extern const Kernel scatter_set_kernel;
const Kernel scatter_add_kernel = {"scatter_add", 1, {{chunks, run<add_row_of>}}, nullptr, invalid};
const Kernel scatter_set_kernel = {"scatter_set", 1, {{chunks, run<set_row_of>}}, nullptr, invalid};

}  // namespace tgm::TGM_TARGET
