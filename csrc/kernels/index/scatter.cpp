// scatter_add, scatter_set: rows added to, or stored in, what index vectors select.
//
//   inputs    x (outer, index, rest), rows (outer, n, rest), k index vectors (n,) of any integer
//             dtype
//   outputs   x itself, the same view: x[:, i0, ..., ik-1] += rows, or = rows
//   ints      n_index, the k above; axis, the number of outer axes
//
// The output is written in place: only what is selected is touched. Indices are in range;
// negative ones count from the end. Work is cut along outer axes and rest, so that every element
// belongs to one chunk, which goes through the rows in order: sums have the same bits for any
// number of threads, and of several rows for one index the last one stays.
#include "kernels/core/chunks.hpp"
#include "kernels/index/rows.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kChunkElements = 16384;

struct Add {
  template <class T>
  TGM_INLINE void put(T& to, T from) {
    to = static_cast<T>(to + from);
  }
};

// Bools add up as truth values: a sum is whether one of them is true.
struct Or {
  TGM_INLINE void put(uint8_t& to, uint8_t from) { to |= from; }
};

struct Set {
  template <class T>
  TGM_INLINE void put(T& to, T from) {
    to = from;
  }
};

template <class Op, class T>
void put_row(T* to, int64_t to_stride, const T* from, int64_t from_stride, int64_t n) {
  if (to_stride == 1 && from_stride == 1) {
    for (int64_t i = 0; i < n; i++) Op::put(to[i], from[i]);
  } else {
    for (int64_t i = 0; i < n; i++) Op::put(to[i * to_stride], from[i * from_stride]);
  }
}

IndexedAxes axes_of(const Args& args) {
  return indexed_axes(args.in[1], args.out[0], args.in + 2, args.ints);
}

int64_t list_chunks(const Args& args) { return offset_chunks(axes_of(args)); }

void list(const Args& args, int64_t chunk, int64_t) {
  list_offsets(axes_of(args), args.workspace, chunk);
}

// All rows into the elements begin .. end - 1 of the rest of one outer element.
template <class T, class Op>
void scatter_rows(const Args& args, const IndexedAxes& axes, int64_t outer, int64_t begin,
                  int64_t end) {
  int64_t picked0 = 0;
  int64_t indexed0 = 0;
  CommonAxes::offsets(axes.outer, outer, &picked0, &indexed0);
  const T* from = args.in[1].as<const T>() + picked0;
  T* to = args.out[0].as<T>() + indexed0;
  const auto* offsets = reinterpret_cast<const int64_t*>(args.workspace);
  const bool listed = lists_offsets(axes);
  if (listed && axes.rest.size == 1) {
    for (int64_t i = 0; i < axes.n; i++) Op::put(to[offsets[i]], from[i * axes.picked_stride]);
    return;
  }
  for (int64_t i = 0; i < axes.n; i++, from += axes.picked_stride) {
    T* row = to + (listed ? offsets[i] : offset_of(axes, i));
    for_rows(axes.rest, begin, end,
             [&](int64_t picked, int64_t indexed, int64_t n, int64_t from_step, int64_t to_step) {
               put_row<Op>(row + indexed, to_step, from + picked, from_step, n);
             });
  }
}

template <class T, class Op>
void run(const Args& args, int64_t chunk, int64_t n_chunks) {
  const IndexedAxes axes = axes_of(args);
  const int64_t length = axes.rest.size;
  const Span columns = span_of(axes.outer.size * length, chunk, n_chunks);
  for (int64_t column = columns.first; column < columns.last;) {
    const int64_t begin = column % length;
    const int64_t n = std::min(length - begin, columns.last - column);
    scatter_rows<T, Op>(args, axes, column / length, begin, begin + n);
    column += n;
  }
}

// Integers are added as unsigned ones, which wrap.
template <class T>
using Addend = typename std::conditional_t<std::is_integral_v<T>, std::make_unsigned<T>,
                                           std::type_identity<T>>::type;

void run_add(const Args& args, int64_t chunk, int64_t n_chunks) {
  const DType dtype = args.out[0].dtype;
  if (dtype == DType::Bool) return run<uint8_t, Or>(args, chunk, n_chunks);
  with_type(dtype, [&]<class T>() { run<Addend<T>, Add>(args, chunk, n_chunks); });
}

void run_set(const Args& args, int64_t chunk, int64_t n_chunks) {
  with_word(args.out[0].dtype, [&]<class Word>() { run<Word, Set>(args, chunk, n_chunks); });
}

int64_t chunks(const Args& args) {
  if (element_count(args.out[0]) == 0) return 0;
  const IndexedAxes axes = axes_of(args);
  const int64_t work = axes.outer.size * axes.n * axes.rest.size;
  const int64_t wanted = ceil_div(work, kChunkElements);
  const int64_t most = axes.outer.size * ceil_div(axes.rest.size, 64);  // whole cache lines
  return std::min(wanted, most);
}

size_t workspace_bytes(const Args& args) { return offset_bytes(axes_of(args)); }

const char* invalid(const Args& args) {
  if (args.n_ints != 2 || args.n_tapes != 0 || args.n_out != 1 || args.n_in < 3) {
    return "takes an array, rows, index vectors and two integers, and has one output";
  }
  if (args.ints[0] != args.n_in - 2) return "n_index must be the number of index vectors";
  const Tensor& x = args.in[0];
  const Tensor& out = args.out[0];
  bool is_same = x.ndim == out.ndim && x.dtype == out.dtype;
  for (int32_t d = 0; is_same && d < x.ndim; d++) {
    is_same = x.shape[d] == out.shape[d] && x.stride[d] == out.stride[d];
  }
  if (!is_same) return "output 0 must be the same view as input 0";
  return index_mismatch(args.in[1], out, args.in + 2, args.ints);
}

}  // namespace

extern const Kernel scatter_add_kernel = {
    "scatter_add", 2, {{list_chunks, list}, {chunks, run_add}}, workspace_bytes, invalid};
extern const Kernel scatter_set_kernel = {
    "scatter_set", 2, {{list_chunks, list}, {chunks, run_set}}, workspace_bytes, invalid};

}  // namespace tgm::TGM_TARGET
