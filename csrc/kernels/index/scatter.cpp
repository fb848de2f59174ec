// scatter_add, scatter_set: rows added to, or put into, the places that index vectors name.
//
//   inputs    x (outer, index, rest), rows (outer, n, rest), k index vectors (n,) of any integer
//             dtype
//   outputs   x itself, the same view: x[:, i0, ..., ik-1] += rows, or = rows
//   ints      n_index, the k above; axis, the number of outer axes
//
// The output is written in place: nothing but the named places is touched. Indices are in range;
// negative ones count from the end. Work is cut along outer axes and rest, so that every element
// belongs to one chunk, which goes through the rows in order: sums have the same bits for any
// number of threads, and the last of several rows for one place is the one that stays.
#include "kernels/core/tape_row.hpp"
#include "kernels/index/rows.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kChunkElements = 16384;

template <class T>
struct Add {
  TGM_INLINE void put(T& to, T from) { to = static_cast<T>(to + from); }
};

// Bools add up as truth values: a sum is whether one of them is true.
struct Or {
  TGM_INLINE void put(uint8_t& to, uint8_t from) { to |= from; }
};

template <class T>
struct Set {
  TGM_INLINE void put(T& to, T from) { to = from; }
};

// A row of elements, strides in elements.
template <class T, class Op>
void put_row(char* to, int64_t to_stride, const char* from, int64_t from_stride, int64_t n) {
  T* out = reinterpret_cast<T*>(to);
  const T* in = reinterpret_cast<const T*>(from);
  if (to_stride == 1 && from_stride == 1) {
    for (int64_t i = 0; i < n; i++) Op::put(out[i], in[i]);
  } else {
    for (int64_t i = 0; i < n; i++) Op::put(out[i * to_stride], in[i * from_stride]);
  }
}

// An element into each place of a list.
template <class T, class Op>
void put_each(char* to, const int64_t* places, const char* from, int64_t from_stride, int64_t n) {
  T* out = reinterpret_cast<T*>(to);
  const T* in = reinterpret_cast<const T*>(from);
  for (int64_t i = 0; i < n; i++) Op::put(out[places[i]], in[i * from_stride]);
}

using EachFunction = void (*)(char*, const int64_t*, const char*, int64_t, int64_t);

struct Functions {
  RowFunction row;
  EachFunction each;
};

template <class T, class Op>
constexpr Functions kFunctions = {put_row<T, Op>, put_each<T, Op>};

Functions add_of(DType dtype) {
  switch (dtype) {
    case DType::Float32:
      return kFunctions<float, Add<float>>;
    case DType::Float64:
      return kFunctions<double, Add<double>>;
    case DType::Int64:
      return kFunctions<uint64_t, Add<uint64_t>>;
    case DType::Int32:
      return kFunctions<uint32_t, Add<uint32_t>>;
    case DType::Int16:
      return kFunctions<uint16_t, Add<uint16_t>>;
    case DType::Bool:
      return kFunctions<uint8_t, Or>;
    default:
      return kFunctions<uint8_t, Add<uint8_t>>;
  }
}

Functions set_of(DType dtype) {
  switch (item_size(dtype)) {
    case 1:
      return kFunctions<uint8_t, Set<uint8_t>>;
    case 2:
      return kFunctions<uint16_t, Set<uint16_t>>;
    case 4:
      return kFunctions<uint32_t, Set<uint32_t>>;
    default:
      return kFunctions<uint64_t, Set<uint64_t>>;
  }
}

IndexedAxes axes_of(const Args& args) {
  return indexed_axes(args.in[1], args.out[0], args.in + 2, args.ints);
}

int64_t list_chunks(const Args& args) { return place_chunks(axes_of(args)); }

void list(const Args& args, int64_t chunk, int64_t) {
  list_places(axes_of(args), args.workspace, chunk);
}

// All rows into the elements begin .. end - 1 of the rest of one outer element.
void scatter_rows(const Args& args, const IndexedAxes& axes, const Functions& functions,
                  int64_t outer, int64_t begin, int64_t end) {
  const auto item = static_cast<int64_t>(item_size(args.out[0].dtype));
  int64_t picked0 = 0;
  int64_t indexed0 = 0;
  CommonAxes::offsets(axes.outer, outer, &picked0, &indexed0);
  const char* from = args.in[1].data + picked0 * item;
  char* to = args.out[0].data + indexed0 * item;
  const auto* places = reinterpret_cast<const int64_t*>(args.workspace);
  const bool listed = lists_places(axes);
  if (listed && axes.rest.size == 1) {
    return functions.each(to, places, from, axes.picked_stride, axes.n);
  }
  for (int64_t i = 0; i < axes.n; i++, from += axes.picked_stride * item) {
    char* row = to + (listed ? places[i] : place_of(axes, i)) * item;
    for_rows(axes.rest, begin, end,
             [&](int64_t picked, int64_t indexed, int64_t n, int64_t from_step, int64_t to_step) {
               functions.row(row + indexed * item, to_step, from + picked * item, from_step, n);
             });
  }
}

template <Functions (*functions_of)(DType)>
void run(const Args& args, int64_t chunk, int64_t n_chunks) {
  const IndexedAxes axes = axes_of(args);
  const Functions functions = functions_of(args.out[0].dtype);
  const int64_t length = axes.rest.size;
  const int64_t columns = axes.outer.size * length;
  const int64_t end = columns * (chunk + 1) / n_chunks;
  for (int64_t column = columns * chunk / n_chunks; column < end;) {
    const int64_t begin = column % length;
    const int64_t n = length - begin < end - column ? length - begin : end - column;
    scatter_rows(args, axes, functions, column / length, begin, begin + n);
    column += n;
  }
}

int64_t chunks(const Args& args) {
  const IndexedAxes axes = axes_of(args);
  const int64_t work = axes.outer.size * axes.n * axes.rest.size;
  const int64_t wanted = (work + kChunkElements - 1) / kChunkElements;
  const int64_t most = axes.outer.size * ((axes.rest.size + 63) / 64);  // whole cache lines
  return wanted < most ? wanted : most;
}

size_t workspace_bytes(const Args& args) { return place_bytes(axes_of(args)); }

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

extern const Kernel scatter_add_kernel;
extern const Kernel scatter_set_kernel;
const Kernel scatter_add_kernel = {
    "scatter_add", 2, {{list_chunks, list}, {chunks, run<add_of>}}, workspace_bytes, invalid};
const Kernel scatter_set_kernel = {
    "scatter_set", 2, {{list_chunks, list}, {chunks, run<set_of>}}, workspace_bytes, invalid};

}  // namespace tgm::TGM_TARGET
