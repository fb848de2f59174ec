// gather and scatter_add: elements picked by index vectors, and the adjoint.
//
//   gather        x, k index vectors (n,) -> x[i0, ..., ik-1]: (n, rest of x's shape)
//   scatter_add   g (n, rest), k index vectors (n,) -> zeros with out[i0, ..., ik-1] += g
//   ints          n_index, the k above
//
// Indices have any integer dtype and are in range; negative ones count from the end. scatter_add
// is cut along the rest, so that every element of the output belongs to one chunk, which adds in
// the order of n.
#include "kernels/convert.hpp"
#include "kernels/index_vector.hpp"
#include "kernels/tape_row.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kChunkElements = 16384;

// The dimensions after the index, of the picked and of the indexed tensor, C order.
struct Rest {
  int32_t ndim;
  const int64_t* shape;
  const int64_t* picked;  // strides
  const int64_t* indexed;
  int64_t size;
};

Rest rest_of(const Tensor& picked, const Tensor& indexed, int64_t n_index) {
  Rest rest{picked.ndim - 1, picked.shape + 1, picked.stride + 1, indexed.stride + n_index, 1};
  for (int32_t d = 0; d < rest.ndim; d++) rest.size *= rest.shape[d];
  return rest;
}

// Calls body(picked offset, indexed offset, length, picked stride, indexed stride) for every row
// of the elements begin .. end - 1 of the rest.
template <class Body>
TGM_INLINE void for_rows(const Rest& rest, int64_t begin, int64_t end, Body body) {
  if (rest.ndim == 0) {
    if (begin < end) body(0, 0, 1, 1, 1);
    return;
  }
  const int32_t inner = rest.ndim - 1;
  const int64_t length = rest.shape[inner];
  for (int64_t i = begin; i < end;) {
    const int64_t in_row = i % length;
    int64_t n = length - in_row;
    if (n > end - i) n = end - i;
    int64_t picked = in_row * rest.picked[inner];
    int64_t indexed = in_row * rest.indexed[inner];
    int64_t row = i / length;
    for (int32_t d = inner - 1; d >= 0; d--) {
      const int64_t at = row % rest.shape[d];
      row /= rest.shape[d];
      picked += at * rest.picked[d];
      indexed += at * rest.indexed[d];
    }
    body(picked, indexed, n, rest.picked[inner], rest.indexed[inner]);
    i += n;
  }
}

// Offset in the indexed tensor of what the index vectors name at i.
int64_t place(const Args& args, const Tensor& indexed, int64_t i) {
  int64_t offset = 0;
  for (int64_t k = 0; k < args.ints[0]; k++) {
    offset += read_index(args.in[1 + k], i, indexed.shape[k]) * indexed.stride[k];
  }
  return offset;
}

template <class Word>
void copy_row(char* to, int64_t to_stride, const char* from, int64_t from_stride, int64_t n) {
  Word* out = reinterpret_cast<Word*>(to);
  const Word* in = reinterpret_cast<const Word*>(from);
  if (to_stride == 1 && from_stride == 1) {
    std::memcpy(to, from, n * sizeof(Word));
  } else {
    for (int64_t i = 0; i < n; i++) out[i * to_stride] = in[i * from_stride];
  }
}

using CopyRow = void (*)(char*, int64_t, const char*, int64_t, int64_t);

CopyRow copy_row_of(size_t item) {
  if (item == 1) return copy_row<uint8_t>;
  if (item == 2) return copy_row<uint16_t>;
  return item == 4 ? copy_row<uint32_t> : copy_row<uint64_t>;
}

int64_t gather_chunks(const Args& args) {
  const Tensor& out = args.out[0];
  const int64_t n = out.shape[0];
  const Rest rest = rest_of(out, args.in[0], args.ints[0]);
  const int64_t wanted = (n * rest.size + kChunkElements - 1) / kChunkElements;
  return wanted < n ? wanted : n;
}

void gather(const Args& args, int64_t chunk, int64_t n_chunks) {
  const Tensor& x = args.in[0];
  const Tensor& out = args.out[0];
  const auto item = static_cast<int64_t>(item_size(x.dtype));
  const Rest rest = rest_of(out, x, args.ints[0]);
  const CopyRow copy = copy_row_of(item_size(x.dtype));
  const int64_t end = out.shape[0] * (chunk + 1) / n_chunks;
  for (int64_t i = out.shape[0] * chunk / n_chunks; i < end; i++) {
    char* to = out.data + i * out.stride[0] * item;
    const char* from = x.data + place(args, x, i) * item;
    for_rows(rest, 0, rest.size,
             [&](int64_t picked, int64_t indexed, int64_t n, int64_t to_step, int64_t from_step) {
               copy(to + picked * item, to_step, from + indexed * item, from_step, n);
             });
  }
}

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

CopyRow add_row_of(DType dtype) {
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
    default:
      return add_row<uint8_t>;
  }
}

// Bytes of a tensor that is contiguous in C order, else -1.
int64_t contiguous_bytes(const Tensor& tensor) {
  auto bytes = static_cast<int64_t>(item_size(tensor.dtype));
  int64_t stride = 1;
  for (int32_t d = tensor.ndim - 1; d >= 0; d--) {
    if (tensor.shape[d] != 1 && tensor.stride[d] != stride) return -1;
    stride *= tensor.shape[d];
  }
  return bytes * stride;
}

// Zeros in the elements begin .. end - 1 of every place that an index can name.
void clear_places(const Args& args, const Tensor& out, const Rest& rest, int64_t begin,
                  int64_t end) {
  const auto item = static_cast<int64_t>(item_size(out.dtype));
  const CopyRow copy = copy_row_of(item_size(out.dtype));
  const uint64_t zero = 0;
  int64_t places = 1;
  for (int64_t k = 0; k < args.ints[0]; k++) places *= out.shape[k];
  for (int64_t p = 0; p < places; p++) {
    int64_t offset = 0;
    int64_t left = p;
    for (int64_t k = args.ints[0] - 1; k >= 0; k--) {
      offset += left % out.shape[k] * out.stride[k];
      left /= out.shape[k];
    }
    for_rows(rest, begin, end, [&](int64_t, int64_t indexed, int64_t n, int64_t, int64_t to_step) {
      char* to = out.data + (offset + indexed) * item;
      if (to_step == 1) {
        std::memset(to, 0, n * item);
      } else {
        copy(to, to_step, reinterpret_cast<const char*>(&zero), 0, n);
      }
    });
  }
}

void scatter_add(const Args& args, int64_t chunk, int64_t n_chunks) {
  const Tensor& g = args.in[0];
  const Tensor& out = args.out[0];
  const auto item = static_cast<int64_t>(item_size(out.dtype));
  const Rest rest = rest_of(g, out, args.ints[0]);
  const int64_t begin = rest.size * chunk / n_chunks;
  const int64_t end = rest.size * (chunk + 1) / n_chunks;
  const int64_t bytes = n_chunks == 1 ? contiguous_bytes(out) : -1;
  if (bytes >= 0) {
    std::memset(out.data, 0, bytes);
  } else {
    clear_places(args, out, rest, begin, end);
  }
  const CopyRow add = add_row_of(out.dtype);
  for (int64_t i = 0; i < g.shape[0]; i++) {
    const char* from = g.data + i * g.stride[0] * item;
    char* to = out.data + place(args, out, i) * item;
    for_rows(rest, begin, end,
             [&](int64_t picked, int64_t indexed, int64_t n, int64_t from_step, int64_t to_step) {
               add(to + indexed * item, to_step, from + picked * item, from_step, n);
             });
  }
}

int64_t scatter_chunks(const Args& args) {
  const Rest rest = rest_of(args.in[0], args.out[0], args.ints[0]);
  if (rest.size == 0) return 0;
  const int64_t work = args.in[0].shape[0] * rest.size;
  int64_t wanted = (work + kChunkElements - 1) / kChunkElements;
  const int64_t most = (rest.size + 63) / 64;  // a chunk fills cache lines
  if (wanted > most) wanted = most;
  return wanted < 1 ? 1 : wanted;
}

// `picked`: (n, rest); `indexed`: (index, rest).
const char* mismatch(const Args& args, const Tensor& picked, const Tensor& indexed) {
  if (args.n_ints != 1 || args.n_tapes != 0 || args.n_out != 1 || args.n_in < 2) {
    return "takes an array, index vectors and one integer, and has one output";
  }
  const int64_t n_index = args.ints[0];
  if (n_index != args.n_in - 1) return "n_index must be the number of index vectors";
  if (picked.dtype != indexed.dtype) return "input 0 and output 0 must have one dtype";
  if (n_index > indexed.ndim || picked.ndim != indexed.ndim - n_index + 1) {
    return "output 0 must have input 0's shape with the index in place of the indexed axes";
  }
  for (int32_t d = 1; d < picked.ndim; d++) {
    if (picked.shape[d] != indexed.shape[d - 1 + n_index]) {
      return "input 0 and output 0 must agree in the axes that are not indexed";
    }
  }
  for (int32_t k = 1; k < args.n_in; k++) {
    const Tensor& index = args.in[k];
    if (!is_integer(index.dtype)) return "an index vector must have an integer dtype";
    if (index.ndim != 1 || index.shape[0] != picked.shape[0]) {
      return "an index vector must have an element per picked row";
    }
  }
  return nullptr;
}

const char* invalid_gather(const Args& args) {
  if (args.n_out < 1 || args.n_in < 1) return "takes an array and index vectors";
  return mismatch(args, args.out[0], args.in[0]);
}

const char* invalid_scatter(const Args& args) {
  if (args.n_out < 1 || args.n_in < 1) return "takes an array and index vectors";
  return mismatch(args, args.in[0], args.out[0]);
}

}  // namespace

extern const Kernel gather_kernel;
extern const Kernel scatter_add_kernel;
const Kernel gather_kernel = {"gather", 1, {{gather_chunks, gather}}, nullptr, invalid_gather};
const Kernel scatter_add_kernel = {
    "scatter_add", 1, {{scatter_chunks, scatter_add}}, nullptr, invalid_scatter};

}  // namespace tgm::TGM_TARGET
