// integer_gemm: a (m, k), b (k, n) -> a b, of one integer dtype or bool.
//
// Any strides. Sums wrap as the dtype does: they are taken modulo 2^32 where its elements have at
// most 32 bits, else modulo 2^64. So their order doesn't matter. An element of a product of bools
// is whether one of its terms is true.
//
// The result is cut into tiles of kTileRows x kTileColumns. A tile's sums stay in the cache, and so
// does the part of b that they meet next, widened to the type of the sums.
#include "kernel.hpp"
#include "kernels/core/check.hpp"
#include "kernels/core/chunks.hpp"
#include "kernels/core/with_type.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kTileRows = 32;
constexpr int64_t kTileColumns = 128;
constexpr int64_t kDepth = 32;    // terms that a tile adds at a time
constexpr int64_t kTogether = 4;  // of these between a load of a sum and its store

struct Shape {
  int64_t m, n, k, row_tiles, column_tiles;

  explicit Shape(const Args& args)
      : m(args.out[0].shape[0]),
        n(args.out[0].shape[1]),
        k(args.in[0].shape[1]),
        row_tiles(ceil_div(m, kTileRows)),
        column_tiles(ceil_div(n, kTileColumns)) {}
};

template <class Sum>
struct Tile {
  Span rows, columns;
  alignas(64) Sum sums[kTileRows][kTileColumns];
  alignas(64) Sum b[kDepth][kTileColumns];
};

template <class T, class Sum>
void load_b(Tile<Sum>& tile, const Tensor& b, Span terms) {
  const int64_t width = tile.columns.last - tile.columns.first;
  for (int64_t term = terms.first; term < terms.last; term++) {
    const T* from = b.as<T>() + term * b.stride[0] + tile.columns.first * b.stride[1];
    Sum* to = tile.b[term - terms.first];
    for (int64_t j = 0; j < width; j++) to[j] = static_cast<Sum>(from[j * b.stride[1]]);
  }
}

template <class T, class Sum>
void add_terms(Tile<Sum>& tile, const Tensor& a, Span terms) {
  const int64_t width = tile.columns.last - tile.columns.first, step = a.stride[1];
  const int64_t depth = terms.last - terms.first;
  for (int64_t i = tile.rows.first; i < tile.rows.last; i++) {
    const T* row = a.as<T>() + i * a.stride[0] + terms.first * step;
    Sum* sums = tile.sums[i - tile.rows.first];
    int64_t t = 0;
    for (; t + kTogether <= depth; t += kTogether) {
      const Sum x0 = static_cast<Sum>(row[t * step]), x1 = static_cast<Sum>(row[(t + 1) * step]);
      const Sum x2 = static_cast<Sum>(row[(t + 2) * step]);
      const Sum x3 = static_cast<Sum>(row[(t + 3) * step]);
      const Sum *b0 = tile.b[t], *b1 = tile.b[t + 1], *b2 = tile.b[t + 2], *b3 = tile.b[t + 3];
      for (int64_t j = 0; j < width; j++) {
        sums[j] += x0 * b0[j] + x1 * b1[j] + x2 * b2[j] + x3 * b3[j];
      }
    }
    for (; t < depth; t++) {
      const Sum x = static_cast<Sum>(row[t * step]);
      for (int64_t j = 0; j < width; j++) sums[j] += x * tile.b[t][j];
    }
  }
}

template <class T, class Sum, bool is_bool>
void store_sums(const Tile<Sum>& tile, const Tensor& out) {
  for (int64_t i = tile.rows.first; i < tile.rows.last; i++) {
    T* to = out.as<T>() + i * out.stride[0] + tile.columns.first * out.stride[1];
    const Sum* sums = tile.sums[i - tile.rows.first];
    for (int64_t j = 0; j < tile.columns.last - tile.columns.first; j++) {
      to[j * out.stride[1]] = static_cast<T>(is_bool ? Sum(sums[j] != 0) : sums[j]);
    }
  }
}

template <class T, class Sum, bool is_bool = false>
void multiply(const Args& args, int64_t chunk, int64_t n_chunks) {
  const Shape s(args);
  const Span tiles = span_of(s.row_tiles * s.column_tiles, chunk, n_chunks);
  Tile<Sum> tile;
  for (int64_t number = tiles.first; number < tiles.last; number++) {
    tile.rows = span_of(s.m, number / s.column_tiles, s.row_tiles);
    tile.columns = span_of(s.n, number % s.column_tiles, s.column_tiles);
    std::memset(tile.sums, 0, sizeof tile.sums);
    for (int64_t k = 0; k < s.k; k += kDepth) {
      const Span terms{k, std::min(s.k, k + kDepth)};
      load_b<T>(tile, args.in[1], terms);
      add_terms<T>(tile, args.in[0], terms);
    }
    store_sums<T, Sum, is_bool>(tile, args.out[0]);
  }
}

int64_t chunks(const Args& args) {
  const Shape s(args);
  const int64_t tile = std::min(s.m, kTileRows) * std::min(s.n, kTileColumns);
  return chunks_for(s.row_tiles * s.column_tiles, 2 * tile * s.k);
}

void run(const Args& args, int64_t chunk, int64_t n_chunks) {
  const DType dtype = args.out[0].dtype;
  if (dtype == DType::Bool) return multiply<uint8_t, uint64_t, true>(args, chunk, n_chunks);
  with_type(dtype, [&]<class T>() {
    if constexpr (std::is_integral_v<T>) {
      using Sum = std::conditional_t<sizeof(T) <= 4, uint32_t, uint64_t>;
      multiply<T, Sum>(args, chunk, n_chunks);
    }
  });
}

const char* invalid(const Args& args) {
  if (args.n_in != 2 || args.n_out != 1 || args.n_ints != 0 || args.n_tapes != 0) {
    return "takes two inputs, no integers and no tape, and has one output";
  }
  const Tensor &a = args.in[0], &b = args.in[1], &out = args.out[0];
  if (out.dtype == DType::Float32 || out.dtype == DType::Float64) return "computes in integers";
  if (a.dtype != out.dtype || b.dtype != out.dtype) return "takes and returns one dtype";
  if (a.ndim != 2 || b.ndim != 2 || out.ndim != 2) return "takes and returns matrices";
  if (a.shape[1] != b.shape[0]) return "input 1 must have as many rows as input 0 has columns";
  if (out.shape[0] != a.shape[0] || out.shape[1] != b.shape[1]) {
    return "output 0 must have input 0's rows and input 1's columns";
  }
  return nullptr;
}

}  // namespace

extern const Kernel integer_gemm_kernel = {"integer_gemm", 1, {{chunks, run}}, nullptr, invalid};

}  // namespace tgm::TGM_TARGET
