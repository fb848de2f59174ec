// gemm: a (m, k), b (k, n), extras (m, n) -> epilogue(a b, extras)
//
// tapes: epilogue. Any strides: a transpose is a view. The output may alias an extra.
//
// The inner loop keeps R rows x V vectors of columns in registers and adds terms in the order of k,
// always: a result's bits don't depend on the tile that it falls into. a is read in place, one
// broadcast at a time (copied to rows first if it is large and its rows are not contiguous). b is
// read in place where its rows are contiguous and m is small, as in a layer of a network at a small
// batch: then packing would cost as much as the product. Otherwise phase 0 packs it, a vector of
// columns after the other: [vector][k][lane]. The last vector of columns overlaps the one before it
// (the same sums are found twice), so there is no other code for remainders.
//
// Phase 1 cuts the result in blocks: along m if k is small (a weight's gradient), along n if m is
// (a layer), else both ways. A block goes through tiles that fit the L1 cache, k in steps of kStep.
#include <cmath>

#include "kernels/conv_check.hpp"
#include "kernels/table.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int kRows = 6;
constexpr int kVectors = 6;
constexpr int kSums = kPixels * kMaxFilterVectors;  // vectors that fit the registers
constexpr int64_t kStep = 256;                      // of k: what is used of b stays in L1
constexpr int64_t kAhead = 8;                       // steps of k that b is fetched before its use
constexpr int64_t kDirectRows = 48;                 // up to which b is not packed
constexpr int64_t kShallow = 64;                    // up to which a is not copied, and n is not cut
constexpr int64_t kMaxBlocks = 64;
constexpr int64_t kMaxThinBlocks = 16;  // of few rows: b is streamed, in not too narrow pieces

struct Shape {
  int64_t m, n, k;
  explicit Shape(const Args& args)
      : m(args.in[0].shape[0]), n(args.in[1].shape[1]), k(args.in[0].shape[1]) {}
};

// How a product is cut and what is packed: a function of shapes and strides alone.
template <class T>
struct Scheme {
  Shape s;
  bool copy_a, pack_b;
  int64_t vectors;  // of columns
  int64_t row_blocks, column_blocks;
  T *a, *b;
  size_t bytes;

  Scheme(const Args& args, char* workspace) : s(args) {
    const Tensor &left = args.in[0], &right = args.in[1];
    vectors = ceil_div(s.n, kLanes<T>);
    copy_a = left.stride[1] != 1 && s.k > kShallow && s.n > kLanes<T>;
    pack_b = right.stride[1] != 1 || s.n < kLanes<T> || s.m > kDirectRows;
    Pieces pieces{workspace};
    a = pieces.take<T>(copy_a ? s.m * s.k : 0);
    b = pieces.take<T>(pack_b ? vectors * s.k * kLanes<T> : 0);
    bytes = pieces.used;
    cut(2.0 * s.m * s.n * s.k + 1.0 * s.m * s.n * epilogue_cost(*args.tapes[0]));
  }

  void cut(double flops) {
    const int64_t most = s.m <= kDirectRows ? kMaxThinBlocks : kMaxBlocks;
    // Even, for two threads.
    const double wanted = flops < 2 * kChunkFlops
                              ? 1
                              : std::min<double>(most, 2 * std::floor(flops / kChunkFlops / 2));
    const int64_t max_rows = std::max<int64_t>(1, s.m / (2 * kRows));
    const int64_t max_columns = std::max<int64_t>(1, vectors / 4);
    const double rows =
        s.k <= kShallow ? wanted : std::sqrt(wanted * s.m / std::max<int64_t>(1, s.n));
    row_blocks = std::clamp<int64_t>(std::llround(rows), 1, max_rows);
    column_blocks = std::clamp<int64_t>(std::ceil(wanted / row_blocks), 1, max_columns);
    row_blocks = std::clamp<int64_t>(std::ceil(wanted / column_blocks), 1, max_rows);
  }

  int64_t column(int64_t vector) const {
    return std::min(vector * kLanes<T>, std::max<int64_t>(0, s.n - kLanes<T>));
  }
  int64_t blocks() const { return s.m * s.n == 0 ? 0 : row_blocks * column_blocks; }
  int64_t a_chunks() const { return copy_a ? chunks_for(s.m, s.k * kPackFlops) : 0; }
  int64_t b_chunks() const {
    return pack_b ? chunks_for(vectors, s.k * kLanes<T> * kPackFlops) : 0;
  }
};

template <class T>
int64_t pack_chunk_count(const Args& args) {
  const Scheme<T> scheme(args, nullptr);
  return scheme.blocks() == 0 ? 0 : scheme.a_chunks() + scheme.b_chunks();
}

template <class T>
void copy_rows(const Scheme<T>& scheme, const Tensor& a, Span rows) {
  const int64_t k = scheme.s.k;
  T* to = scheme.a + rows.first * k;
  const T* from = a.as<T>() + rows.first * a.stride[0];
  if (a.stride[0] == 1) return transpose(from, a.stride[1], to, k, k, rows.last - rows.first);
  for (int64_t i = rows.first; i < rows.last; i++, to += k, from += a.stride[0]) {
    for (int64_t j = 0; j < k; j++) to[j] = from[j * a.stride[1]];
  }
}

template <class T>
void pack_vectors(const Scheme<T>& scheme, const Tensor& b, Span vectors) {
  constexpr int L = kLanes<T>;
  const int64_t k = scheme.s.k, lanes = std::min<int64_t>(L, scheme.s.n);
  for (int64_t v = vectors.first; v < vectors.last; v++) {
    T* to = scheme.b + v * k * L;
    const T* from = b.as<T>() + scheme.column(v) * b.stride[1];
    if (lanes < L) std::memset(to, 0, k * L * sizeof(T));
    if (b.stride[0] == 1) {
      transpose(from, b.stride[1], to, L, lanes, k);
    } else if (b.stride[1] == 1 && lanes == L) {
      for (int64_t i = 0; i < k; i++) store(to + i * L, load(from + i * b.stride[0]));
    } else {
      for (int64_t i = 0; i < k; i++) {
        for (int64_t j = 0; j < lanes; j++) to[i * L + j] = from[i * b.stride[0] + j * b.stride[1]];
      }
    }
  }
}

template <class T>
void pack_operands(const Args& args, int64_t chunk, int64_t n_chunks) {
  const Scheme<T> scheme(args, args.workspace);
  const int64_t for_a = scheme.a_chunks();
  if (chunk < for_a) {
    copy_rows(scheme, args.in[0], span_of(scheme.s.m, chunk, for_a));
  } else {
    pack_vectors(scheme, args.in[1], span_of(scheme.vectors, chunk - for_a, n_chunks - for_a));
  }
}

// Rows of a, vectors of b and their sums, for some steps of k.
template <class T>
struct Strip {
  const T* a;
  int64_t a_row, a_step;
  const T* b[kVectors];
  int64_t b_step;
  T* sums[kVectors];
  int64_t sums_row;
  int64_t steps;
  bool first;  // sums start at zero
};

template <class T, int R, int V>
__attribute__((noinline)) void add_strip(const Strip<T>& strip) {
  Vec<T> sum[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) {
      sum[r][v] = strip.first ? Vec<T>{} : load(strip.sums[v] + r * strip.sums_row);
    }
  }
  const T* a[R];
  const T* b[V];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) a[r] = strip.a + r * strip.a_row;
#pragma GCC unroll 8
  for (int v = 0; v < V; v++) b[v] = strip.b[v];
  int64_t a_offset = 0, b_offset = 0;
  for (int64_t i = 0; i < strip.steps; i++, a_offset += strip.a_step, b_offset += strip.b_step) {
    Vec<T> row[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) row[v] = load(b[v] + b_offset);
    // Rows of b in place are too far apart for the processor to foresee the next one.
    __builtin_prefetch(b[0] + b_offset + kAhead * strip.b_step);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      const Vec<T> factor = splat<T>(a[r][a_offset]);
#pragma GCC unroll 8
      for (int v = 0; v < V; v++) sum[r][v] = fmadd(factor, row[v], sum[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) store(strip.sums[v] + r * strip.sums_row, sum[r][v]);
  }
}

// The most vectors of columns that go with a number of rows.
constexpr int widest(int rows) { return std::min(kVectors, kSums / rows); }

template <class T, int R = kRows>
void add_strip_of(int64_t rows, int64_t vectors, const Strip<T>& strip) {
  if constexpr (R > 1) {
    if (rows < R) return add_strip_of<T, R - 1>(rows, vectors, strip);
  }
  with_width<widest(R)>(vectors, [&]<int V>() { add_strip<T, R, V>(strip); });
}

// The sums of rows x vectors (a tile) into values[row][column]; if values_row has no room for the
// last vector, it lies over the one before it, with the same bits.
template <class T>
void multiply_tile(const Scheme<T>& scheme, const Tensor& left, const Tensor& right, Span rows,
                   Span vectors, T* values, int64_t values_row) {
  constexpr int L = kLanes<T>;
  const Shape& s = scheme.s;
  const int64_t n_rows = rows.last - rows.first, n_vectors = vectors.last - vectors.first;
  const int64_t row_groups = ceil_div(n_rows, kRows);
  const int64_t most = widest(static_cast<int>(ceil_div(n_rows, row_groups)));
  const int64_t column_groups = ceil_div(n_vectors, most);
  const T* a = scheme.copy_a ? scheme.a : left.as<T>();
  const bool tight = values_row < n_vectors * L;
  Strip<T> strip{};
  strip.a_row = scheme.copy_a ? s.k : left.stride[0];
  strip.a_step = scheme.copy_a ? 1 : left.stride[1];
  strip.b_step = scheme.pack_b ? L : right.stride[0];
  strip.sums_row = values_row;
  for (int64_t k = 0; k == 0 || k < s.k; k += kStep) {
    strip.first = k == 0;
    strip.steps = std::min(kStep, s.k - k);
    for (int64_t group = 0; group < column_groups; group++) {
      const Span columns = span_of(n_vectors, group, column_groups);
      const int64_t width = columns.last - columns.first;
      for (int64_t row_group = 0; row_group < row_groups; row_group++) {
        const Span part = span_of(n_rows, row_group, row_groups);
        strip.a = a + (rows.first + part.first) * strip.a_row + k * strip.a_step;
        for (int64_t v = 0; v < width; v++) {
          const int64_t vector = vectors.first + columns.first + v;
          const int64_t column = scheme.column(vector);
          strip.b[v] = (scheme.pack_b ? scheme.b + vector * s.k * L : right.as<T>() + column) +
                       k * strip.b_step;
          const int64_t place =
              tight ? column - scheme.column(vectors.first) : (columns.first + v) * L;
          strip.sums[v] = values + part.first * values_row + place;
        }
        add_strip_of(part.last - part.first, width, strip);
      }
    }
  }
}

// A vector that overlaps the one before it: its own columns to the front.
template <class T>
void close_gap(const Scheme<T>& scheme, int64_t vector, T* values, int64_t rows, int64_t row) {
  const int64_t gap = vector * kLanes<T> - scheme.column(vector);
  if (gap == 0) return;
  for (int64_t r = 0; r < rows; r++, values += row) {
    for (int64_t j = gap; j < kLanes<T>; j++) values[j - gap] = values[j];
  }
}

template <class T>
void multiply_block(const Args& args, int64_t chunk, int64_t) {
  constexpr int L = kLanes<T>;
  const Scheme<T> scheme(args, args.workspace);
  const Span rows = span_of(scheme.s.m, chunk / scheme.column_blocks, scheme.row_blocks);
  const Span vectors = span_of(scheme.vectors, chunk % scheme.column_blocks, scheme.column_blocks);
  alignas(64) T values[kTileElements];
  // Tiles of whole vectors, and rows as many as fit.
  const int64_t n_vectors = vectors.last - vectors.first;
  const int64_t parts = ceil_div(n_vectors, kTileElements / (kRows * L));
  for (int64_t part = 0; part < parts; part++) {
    const Span within = span_of(n_vectors, part, parts);
    const Span columns{vectors.first + within.first, vectors.first + within.last};
    const int64_t width = (columns.last - columns.first) * L, first = columns.first * L;
    const int64_t n_columns = std::min(width, scheme.s.n - first);
    // Sums that are not taken up again may lie without gaps: then the epilogue has longer rows.
    const bool tight = scheme.s.k <= kStep && n_columns > L;
    const int64_t row = tight ? n_columns : width;
    const int64_t height = kTileElements / width / kRows * kRows;
    for (int64_t i = rows.first; i < rows.last; i += height) {
      const int64_t n_rows = std::min(height, rows.last - i);
      multiply_tile(scheme, args.in[0], args.in[1], {i, i + n_rows}, columns, values, row);
      if (!tight) close_gap(scheme, columns.last - 1, values + width - L, n_rows, width);
      finish_tile(*args.tapes[0],
                  {reinterpret_cast<const char*>(values), row, 0, 0, i, n_rows, first, n_columns},
                  args.in + 2, args.out[0]);
    }
  }
}

template <class T>
int64_t block_count(const Args& args) {
  return Scheme<T>(args, nullptr).blocks();
}

template <class T>
size_t work_bytes(const Args& args) {
  return Scheme<T>(args, nullptr).bytes;
}

int64_t pack_chunks(const Args& args) {
  return TGM_FLOATS(args.in[0].dtype, pack_chunk_count, args);
}

void pack(const Args& args, int64_t chunk, int64_t n_chunks) {
  TGM_FLOATS(args.in[0].dtype, pack_operands, args, chunk, n_chunks);
}

int64_t chunks(const Args& args) { return TGM_FLOATS(args.in[0].dtype, block_count, args); }

void run(const Args& args, int64_t chunk, int64_t n_chunks) {
  TGM_FLOATS(args.in[0].dtype, multiply_block, args, chunk, n_chunks);
}

size_t workspace_bytes(const Args& args) { return TGM_FLOATS(args.in[0].dtype, work_bytes, args); }

const char* invalid(const Args& args) {
  if (args.n_in < 2 || args.n_out != 1) return "takes two inputs, extras, and has one output";
  const DType dtype = args.in[0].dtype;
  if (dtype != DType::Float32 && dtype != DType::Float64) return "computes in float32 or float64";
  if (const char* why = check_operand(args.in[0], "input 0 (a)", dtype, 2, nullptr)) return why;
  if (const char* why = check_operand(args.in[1], "input 1 (b)", dtype, 2, nullptr)) return why;
  const int64_t b_shape[] = {args.in[0].shape[1], args.in[1].shape[1]};
  const int64_t out_shape[] = {args.in[0].shape[0], args.in[1].shape[1]};
  if (const char* why = check_operand(args.in[1], "input 1 (b)", dtype, 2, b_shape)) return why;
  if (const char* why = check_operand(args.out[0], "output 0", dtype, 2, out_shape)) return why;
  return check_epilogue(args, 2);
}

}  // namespace

extern const Kernel gemm_kernel = {
    "gemm", 2, {{pack_chunks, pack}, {chunks, run}}, workspace_bytes, invalid};

}  // namespace tgm::TGM_TARGET
