// softmax, log_softmax, softmax_xent, softmax_xent_grad: over the rows of a matrix.
//
//   softmax, log_softmax   x (n, c) -> (n, c)
//   softmax_xent           logits (n, c), labels (n,) -> loss (n,), probabilities (n, c)
//   softmax_xent_grad      probabilities (n, c), labels (n,), g (n,), extras (n, c) -> (n, c);
//                          tapes: epilogue
//
// One float dtype throughout; labels have any integer dtype and are in range, negative ones from
// the end. A row is shifted by its maximum, so that no exponential overflows, and is read three
// times: for the maximum, for the sum of exponentials, for the result. Short rows of softmax_xent
// are read once, into a tile.
#include "kernels/core/by_dtype.hpp"
#include "kernels/core/chunks.hpp"
#include "kernels/core/index_vector.hpp"
#include "kernels/core/row_copies.hpp"
#include "kernels/core/table.hpp"
#include "kernels/core/tape_row.hpp"
#include "kernels/reduce/operations.hpp"
#include "math/exponential.hpp"
#include "math/logarithm.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kChunkElements = 4096;
constexpr int64_t kBlock = 256;  // elements of a row that are gathered or computed at a time
constexpr int64_t kTile = 2048;  // elements of rows that are computed together

int64_t row_chunks(const Args& args) {
  const int64_t rows = args.in[0].shape[0];
  return std::min(rows, ceil_div(rows * args.in[0].shape[1], kChunkElements));
}

// Where row i of a matrix begins, and a block of it as contiguous elements.
template <class T>
struct RowReader {
  const T* row;
  int64_t stride;
  alignas(kVectorBytes) T copy[kBlock];

  RowReader(const Tensor& matrix, int64_t i)
      : row(matrix.as<T>() + i * matrix.stride[0]), stride(matrix.stride[1]) {}

  const T* block(int64_t begin, int64_t n) {
    if (stride == 1) return row + begin;
    for (int64_t j = 0; j < n; j++) copy[j] = row[(begin + j) * stride];
    return copy;
  }
};

// Calls body(begin, n) for the blocks of c elements.
template <class Body>
TGM_INLINE void for_blocks(int64_t c, Body body) {
  for (int64_t begin = 0; begin < c; begin += kBlock) {
    body(begin, std::min(kBlock, c - begin));
  }
}

// to[j] = f(from[j]) for j < n <= kBlock, in whole vectors.
template <class T, class F>
TGM_INLINE void map_block(T* to, const T* from, int64_t n, F f) {
  constexpr int64_t lanes = kLanes<T>;
  int64_t j = 0;
  for (; j + lanes <= n; j += lanes) store(to + j, f(load(from + j)));
  if (j < n) store_part(to + j, f(load_part(from + j, n - j)), n - j);
}

template <class T>
T row_max(RowReader<T>& reader, int64_t c) {
  T most = MaxOp<T>::identity;
  for_blocks(c, [&](int64_t begin, int64_t n) {
    const T block = reduce_block<T, MaxOp<T>>(reader.block(begin, n), n);
    most = most > block || most != most ? most : block;
  });
  return most;
}

template <class T>
void write_block(const Tensor& matrix, int64_t i, int64_t begin, const T* from, int64_t n) {
  T* to = matrix.as<T>() + i * matrix.stride[0] + begin * matrix.stride[1];
  copy_elements(to, matrix.stride[1], from, 1, n);
}

// Sum of exp(x - most) over the row; the exponentials are kept in `out`, if there is one.
template <class T>
T sum_of_exponentials(RowReader<T>& reader, int64_t c, T most, const Tensor* out, int64_t i) {
  alignas(kVectorBytes) T power[kBlock];
  Total<T> sum{0};
  for_blocks(c, [&](int64_t begin, int64_t n) {
    map_block(power, reader.block(begin, n), n, [&](auto x) { return vexp(x - most); });
    sum.template add<SumOp<T>>(reduce_block<T, SumOp<T>>(power, n));
    if (out != nullptr) write_block(*out, i, begin, power, n);
  });
  return sum.result();
}

template <class T>
T scalar_log(T x) {
  return vlog(splat(x))[0];
}

// Divides row i, which holds exponentials, by their sum.
template <class T>
void divide_row(const Tensor& out, int64_t i, int64_t c, T sum) {
  alignas(kVectorBytes) T quotient[kBlock];
  RowReader<T> reader(out, i);
  for_blocks(c, [&](int64_t begin, int64_t n) {
    map_block(quotient, reader.block(begin, n), n, [&](auto x) { return x / sum; });
    write_block(out, i, begin, quotient, n);
  });
}

// Calls row(i) for the rows of a chunk.
template <class Row>
TGM_INLINE void for_rows(const Args& args, int64_t chunk, int64_t n_chunks, Row row) {
  if (args.in[0].shape[1] == 0) return;
  const Span rows = span_of(args.in[0].shape[0], chunk, n_chunks);
  for (int64_t i = rows.first; i < rows.last; i++) row(i);
}

template <class T>
void softmax(const Args& args, int64_t chunk, int64_t n_chunks) {
  const int64_t c = args.in[0].shape[1];
  for_rows(args, chunk, n_chunks, [&](int64_t i) {
    RowReader<T> reader(args.in[0], i);
    const T most = row_max(reader, c);
    divide_row(args.out[0], i, c, sum_of_exponentials(reader, c, most, args.out, i));
  });
}

template <class T>
void log_softmax(const Args& args, int64_t chunk, int64_t n_chunks) {
  const int64_t c = args.in[0].shape[1];
  for_rows(args, chunk, n_chunks, [&](int64_t i) {
    RowReader<T> reader(args.in[0], i);
    const T most = row_max(reader, c);
    const T log_sum = scalar_log(sum_of_exponentials<T>(reader, c, most, nullptr, i));
    alignas(kVectorBytes) T result[kBlock];
    for_blocks(c, [&](int64_t begin, int64_t n) {
      map_block(result, reader.block(begin, n), n, [&](auto x) { return (x - most) - log_sum; });
      write_block(args.out[0], i, begin, result, n);
    });
  });
}

// Rows of up to kBlock elements, as many as a tile has room for: exponentials and logarithms of all
// of them fill whole vectors, where a row of ten classes would not fill one.
template <class T>
struct RowTile {
  alignas(kVectorBytes) T values[kTile + kLanes<T>];  // less the row's maximum; then exponentials
  alignas(kVectorBytes) T quotients[kTile + kLanes<T>];
  T chosen[kTile];                                  // of each row: its label's value
  alignas(kVectorBytes) T sums[kTile + kLanes<T>];  // of each row's exponentials; then logarithms

  // The losses and probabilities of n rows from `first` on.
  void xent(const Args& args, int64_t first, int64_t n) {
    const Tensor &x = args.in[0], &loss = args.out[0], &probabilities = args.out[1];
    const int64_t c = x.shape[1];
    copy_rows(x.as<T>() + first * x.stride[0], x.stride[0], x.stride[1], n, c, values, c, 1);
    for (int64_t r = 0; r < n; r++) {
      T* const row = values + r * c;
      const T most = reduce_block<T, MaxOp<T>>(row, c);
      for (int64_t j = 0; j < c; j++) row[j] -= most;
      chosen[r] = row[read_index(args.in[1], first + r, c)];
    }
    in_vectors(values, n * c, [](auto v) { return vexp(v); });
    for (int64_t r = 0; r < n; r++) {
      Total<T> sum{0};
      sum.template add<SumOp<T>>(reduce_block<T, SumOp<T>>(values + r * c, c));
      sums[r] = sum.result();
      // What is written behind the row is written over by the next.
      for (int64_t j = 0; j < c; j += kLanes<T>) {
        store(quotients + r * c + j, load(values + r * c + j) / sums[r]);
      }
    }
    in_vectors(sums, n, [](auto v) { return vlog(v); });
    for (int64_t r = 0; r < n; r++)
      loss.as<T>()[(first + r) * loss.stride[0]] = sums[r] - chosen[r];
    copy_rows(quotients, c, 1, n, c, probabilities.as<T>() + first * probabilities.stride[0],
              probabilities.stride[0], probabilities.stride[1]);
  }

 private:
  // to[j] = f(to[j]) for j < n; the last vector's other lanes compute with zeros.
  template <class F>
  static void in_vectors(T* to, int64_t n, F f) {
    store(to + n, Vec<T>{});
    for (int64_t j = 0; j < n; j += kLanes<T>) store(to + j, f(load(to + j)));
  }
};

template <class T>
void xent_long_row(const Args& args, int64_t i) {
  const int64_t c = args.in[0].shape[1];
  const Tensor &loss = args.out[0], &probabilities = args.out[1];
  RowReader<T> reader(args.in[0], i);
  const T most = row_max(reader, c);
  const int64_t label = read_index(args.in[1], i, c);
  const T chosen = reader.row[label * reader.stride];
  const T sum = sum_of_exponentials(reader, c, most, &probabilities, i);
  loss.as<T>()[i * loss.stride[0]] = scalar_log(sum) - (chosen - most);
  divide_row(probabilities, i, c, sum);
}

template <class T>
void xent(const Args& args, int64_t chunk, int64_t n_chunks) {
  const int64_t c = args.in[0].shape[1];
  if (c > kBlock) {
    return for_rows(args, chunk, n_chunks, [&](int64_t i) { xent_long_row<T>(args, i); });
  }
  if (c == 0) return;
  RowTile<T> tile;
  const Span rows = span_of(args.in[0].shape[0], chunk, n_chunks);
  const int64_t most_rows = kTile / c;
  for (int64_t i = rows.first; i < rows.last; i += most_rows) {
    tile.xent(args, i, std::min(most_rows, rows.last - i));
  }
}

// A part of row i of the gradient, columns [column, column + n).
template <class T>
void xent_grad_row(const Args& args, int64_t i, int64_t column, int64_t n, T* to) {
  const Tensor &probabilities = args.in[0], &g = args.in[2];
  const T scale = g.as<T>()[i * g.stride[0]];
  RowReader<T> reader(probabilities, i);
  for_blocks(n, [&](int64_t first, int64_t length) {
    map_block(to + first, reader.block(column + first, length), length,
              [&](auto p) { return p * scale; });
  });
  const int64_t label = read_index(args.in[1], i, probabilities.shape[1]) - column;
  if (label < 0 || label >= n) return;
  to[label] = (reader.row[(column + label) * reader.stride] - T(1)) * scale;
}

// Several rows at a time, into a tile, on which the epilogue runs.
template <class T>
void xent_grad(const Args& args, int64_t chunk, int64_t n_chunks) {
  alignas(kVectorBytes) T tile[kTile];
  const int64_t c = args.in[0].shape[1];
  if (c == 0) return;
  const Span span = span_of(args.in[0].shape[0], chunk, n_chunks);
  const int64_t most_columns = std::min(c, kTile), most_rows = kTile / most_columns;
  Tensor acc{};
  acc.data = reinterpret_cast<char*>(tile);
  acc.dtype = args.in[0].dtype;
  acc.ndim = 2;
  for (int64_t row = span.first; row < span.last; row += most_rows) {
    const int64_t rows = std::min(most_rows, span.last - row);
    for (int64_t column = 0; column < c; column += most_columns) {
      const int64_t columns = std::min(most_columns, c - column);
      for (int64_t r = 0; r < rows; r++) {
        xent_grad_row(args, row + r, column, columns, tile + r * columns);
      }
      acc.stride[0] = columns;
      acc.stride[1] = 1;
      const int64_t corner[2] = {row, column};
      const int64_t shape[2] = {rows, columns};
      run_epilogue(*args.tapes[0], acc, args.in + 3, args.out[0], corner, shape);
    }
  }
}

bool same_matrix(const Tensor& a, const Tensor& b) {
  return a.dtype == b.dtype && b.ndim == 2 && a.shape[0] == b.shape[0] && a.shape[1] == b.shape[1];
}

const char* wrong_matrix(const Tensor& x) {
  if (x.ndim != 2) return "input 0 must be a matrix";
  const bool is_float = x.dtype == DType::Float32 || x.dtype == DType::Float64;
  return is_float ? nullptr : "input 0 must be float32 or float64";
}

const char* wrong_labels(const Args& args) {
  const Tensor& labels = args.in[1];
  if (!is_integer(labels.dtype)) return "input 1 (labels) must have an integer dtype";
  if (labels.ndim != 1 || labels.shape[0] != args.in[0].shape[0]) {
    return "input 1 (labels) must be a vector with an element per row of input 0";
  }
  return nullptr;
}

const char* invalid(const Args& args) {
  if (args.n_in != 1 || args.n_out != 1 || args.n_ints != 0 || args.n_tapes != 0) {
    return "takes one input and has one output";
  }
  if (const char* wrong = wrong_matrix(args.in[0])) return wrong;
  return same_matrix(args.in[0], args.out[0]) ? nullptr
                                              : "output 0 must have input 0's shape and dtype";
}

const char* invalid_xent(const Args& args) {
  if (args.n_in != 2 || args.n_out != 2 || args.n_ints != 0 || args.n_tapes != 0) {
    return "takes logits and labels, and has two outputs";
  }
  if (const char* wrong = wrong_matrix(args.in[0])) return wrong;
  if (const char* wrong = wrong_labels(args)) return wrong;
  const Tensor& loss = args.out[0];
  if (loss.ndim != 1 || loss.shape[0] != args.in[0].shape[0] || loss.dtype != args.in[0].dtype) {
    return "output 0 (loss) must be a vector of input 0's rows and dtype";
  }
  return same_matrix(args.in[0], args.out[1])
             ? nullptr
             : "output 1 (probabilities) must have input 0's shape and dtype";
}

const char* invalid_xent_grad(const Args& args) {
  if (args.n_in < 3 || args.n_out != 1 || args.n_ints != 0 || args.n_tapes != 1) {
    return "takes probabilities, labels, g, extras and one tape, and has one output";
  }
  if (const char* wrong = wrong_matrix(args.in[0])) return wrong;
  if (const char* wrong = wrong_labels(args)) return wrong;
  const Tensor& g = args.in[2];
  if (g.ndim != 1 || g.shape[0] != args.in[0].shape[0] || g.dtype != args.in[0].dtype) {
    return "input 2 (g) must be a vector of input 0's rows and dtype";
  }
  const Tensor& out = args.out[0];
  if (out.ndim != 2 || out.shape[0] != args.in[0].shape[0] || out.shape[1] != args.in[0].shape[1]) {
    return "output 0 must have input 0's shape";
  }
  const int32_t n_extras = args.n_in - 3;
  if (n_extras + 1 > kMaxTapeInputs) return "has too many extra inputs";
  Tensor in[kMaxTapeInputs];
  in[0] = args.in[0];
  for (int32_t i = 0; i < n_extras; i++) in[i + 1] = args.in[i + 3];
  return tape_mismatch(*args.tapes[0], in, n_extras + 1, args.out, 1);
}

}  // namespace

extern const Kernel softmax_kernel = {
    "softmax", 1, {{row_chunks, TGM_BY_DTYPE(softmax)}}, nullptr, invalid};
extern const Kernel log_softmax_kernel = {
    "log_softmax", 1, {{row_chunks, TGM_BY_DTYPE(log_softmax)}}, nullptr, invalid};
extern const Kernel softmax_xent_kernel = {
    "softmax_xent", 1, {{row_chunks, TGM_BY_DTYPE(xent)}}, nullptr, invalid_xent};
extern const Kernel softmax_xent_grad_kernel = {
    "softmax_xent_grad", 1, {{row_chunks, TGM_BY_DTYPE(xent_grad)}}, nullptr, invalid_xent_grad};

}  // namespace tgm::TGM_TARGET
