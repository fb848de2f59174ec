// gemm: a (m, k), b (k, n), extras (m, n) -> epilogue(a b, extras)
//
// tapes: epilogue. Any strides: a transpose is a view. The output may alias an extra.
//
// The inner loop keeps R rows x V vectors of columns in registers and adds terms in the order of k,
// always: a result's bits don't depend on the tile that it falls into. a is read in place, one
// broadcast at a time (copied to rows first if it is large and its rows are not contiguous). b is
// read in place where its rows are contiguous and m is small, as in a layer of a network at a small
// batch: then packing would cost as much as the product. Otherwise it is packed a vector of columns
// after the other: by phase 0, [vector][k][lane], or, if one block has all rows, strip by strip in
// the L1 cache as they are used. The last vector of columns overlaps the one before it
// (the same sums are found twice), so there is no other code for remainders.
//
// Phase 1 cuts the result in blocks: along m if k is small (a weight's gradient), along n if m is
// (a layer), else both ways, and k in steps of kStep. Sums go from the registers into the output
// where there is no epilogue, or one that updates weights (old - rate * gradient, Descent in
// tape.hpp): with few terms a sum, a buffer and an interpreter would take longer than the product.
// Other epilogues work on tiles that fit the L1 cache.
#include <cmath>

#include "kernels/conv_check.hpp"
#include "kernels/gemm_strips.hpp"
#include "kernels/table.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int kOwn = 2;  // inputs: a and b
constexpr int kRows = 6;
constexpr int kVectors = 6;
constexpr int kSums = kPixels * kMaxFilterVectors;  // vectors that fit the registers
constexpr int64_t kStep = 256;                      // of k: what is used of b stays in L1
constexpr int64_t kDirectRows = 48;                 // up to which b is not packed
constexpr int64_t kShallow = 64;                    // up to which a is not copied, and n is not cut
constexpr int64_t kMaxBlocks = 64;
constexpr int64_t kMaxThinBlocks = 16;  // of few rows: b is streamed, in not too narrow pieces

struct Shape {
  int64_t m, n, k;
  explicit Shape(const Args& args)
      : m(args.in[0].shape[0]), n(args.in[1].shape[1]), k(args.in[0].shape[1]) {}
};

bool is_scalar(const Args& args, int32_t value) {
  const Tape& tape = *args.tapes[0];
  if (value >= tape.n_inputs) return true;
  const Tensor& operand = args.in[kOwn + value - 1];
  return operand.dtype == args.out[0].dtype &&
         (operand.ndim == 0 || (operand.stride[0] == 0 && operand.stride[1] == 0));
}

// Whether the epilogue is one of those that are carried out on the registers.
bool goes_direct(const Args& args) {
  const Tensor& out = args.out[0];
  const Tape& tape = *args.tapes[0];
  if (out.stride[1] != 1) return false;
  if (tape.is_identity()) return true;
  if (tape.descent.old < 0 || tape.dtype != out.dtype) return false;
  const Tensor& old = args.in[kOwn + tape.descent.old - 1];
  return old.dtype == out.dtype && old.ndim == 2 && old.stride[1] == 1 &&
         is_scalar(args, tape.descent.rate) &&
         (tape.descent.decay < 0 || is_scalar(args, tape.descent.decay));
}

// How a product is cut and what is packed: a function of shapes and strides alone.
template <class T>
struct Scheme {
  Shape s;
  bool copy_a;
  bool pack_b;       // whole, in phase 0
  bool pack_strips;  // strip by strip, as they are used
  bool direct;       // sums go from the registers into the output
  int64_t vectors;   // of columns
  int64_t row_blocks, column_blocks;
  T *a, *b;
  size_t bytes;

  Scheme(const Args& args, char* workspace) : s(args) {
    const Tensor &left = args.in[0], &right = args.in[1];
    vectors = ceil_div(s.n, kLanes<T>);
    copy_a = left.stride[1] != 1 && s.k > kShallow && s.n > kLanes<T>;
    cut(2.0 * s.m * s.n * s.k + 1.0 * s.m * s.n * epilogue_cost(*args.tapes[0]));
    const bool in_place = right.stride[1] == 1 && s.n >= kLanes<T> && s.m <= kDirectRows;
    pack_strips = !in_place && row_blocks == 1 && s.k > kShallow;
    pack_b = !in_place && !pack_strips;
    Pieces pieces{workspace};
    a = pieces.take<T>(copy_a ? s.m * s.k : 0);
    b = pieces.take<T>(pack_b ? vectors * s.k * kLanes<T> : 0);
    bytes = pieces.used;
    direct = s.n >= kLanes<T> && goes_direct(args);
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
  // Lanes of a vector that lie over the one before it: only of the last, and if there is another.
  int64_t lap(int64_t vector) const { return vector * kLanes<T> - column(vector); }
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

// A vector of columns of b for some steps of k: to[step * to_step + lane].
template <class T>
void pack_vector(const Scheme<T>& scheme, const Tensor& b, int64_t vector, Span steps, T* to,
                 int64_t to_step) {
  constexpr int L = kLanes<T>;
  const int64_t n = steps.last - steps.first, lanes = std::min<int64_t>(L, scheme.s.n);
  const T* from = b.as<T>() + scheme.column(vector) * b.stride[1] + steps.first * b.stride[0];
  if (lanes < L) {
    for (int64_t i = 0; i < n; i++) std::memset(to + i * to_step, 0, L * sizeof(T));
  }
  if (b.stride[0] == 1) {
    transpose(from, b.stride[1], to, to_step, lanes, n);
  } else if (b.stride[1] == 1 && lanes == L) {
    for (int64_t i = 0; i < n; i++) store(to + i * to_step, load(from + i * b.stride[0]));
  } else {
    for (int64_t i = 0; i < n; i++) {
      for (int64_t j = 0; j < lanes; j++) {
        to[i * to_step + j] = from[i * b.stride[0] + j * b.stride[1]];
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
    const Span vectors = span_of(scheme.vectors, chunk - for_a, n_chunks - for_a);
    const int64_t k = scheme.s.k;
    for (int64_t v = vectors.first; v < vectors.last; v++) {
      pack_vector(scheme, args.in[1], v, {0, k}, scheme.b + v * k * kLanes<T>, kLanes<T>);
    }
  }
}

// The most vectors of columns that go with a number of rows.
constexpr int widest(int rows) { return std::min(kVectors, kSums / rows); }

template <class T, int R = kRows>
void add_strips_of(int64_t rows, int64_t vectors, const Strips<T>& strips, int64_t count) {
  if constexpr (R > 1) {
    if (rows < R) return add_strips_of<T, R - 1>(rows, vectors, strips, count);
  }
  with_width<widest(R)>(vectors, [&]<int V>() { add_strips<T, R, V>(strips, count); });
}

// A part of the product: rows x vectors of columns.
template <class T>
struct Part {
  Span rows, vectors;
  T* sums;  // [row][vector][lane], where k takes several steps
  int64_t sums_row;
  Finish<T> finish;  // of the part's first row and column
};

template <class T>
class Walk {
 public:
  Walk(const Scheme<T>& scheme, const Tensor& left, const Tensor& right, const Part<T>& part)
      : scheme_(scheme), right_(right), part_(part), n_rows_(part.rows.last - part.rows.first) {
    row_groups_ = ceil_div(n_rows_, kRows);
    most_ = widest(static_cast<int>(ceil_div(n_rows_, row_groups_)));
    a_ = scheme.copy_a ? scheme.a : left.as<T>();
    a_row_ = scheme.copy_a ? scheme.s.k : left.stride[0];
    a_step_ = scheme.copy_a ? 1 : left.stride[1];
    b_ = scheme.pack_b ? scheme.b : right.as<T>();
    b_step_ = scheme.pack_b ? L : right.stride[0];
    b_vector_ = scheme.pack_b ? scheme.s.k * L : L;
    n_vectors_ = part.vectors.last - part.vectors.first;
  }

  void run() const {
    const int64_t k = scheme_.s.k;
    for (int64_t step = 0; step == 0 || step < k; step += kStep) {
      const Span steps{step, std::min(k, step + kStep)};
      if (scheme_.pack_strips) {
        by_packed_columns(steps);
      } else if (k <= kShallow) {
        by_rows(steps);
      } else {
        by_columns(steps);
      }
    }
  }

 private:
  static constexpr int L = kLanes<T>;

  // A shallow product is little more than a pass over the output: in the order of its memory.
  void by_rows(Span steps) const {
    const int64_t whole = n_vectors_ - (lap(n_vectors_) > 0 ? 1 : 0);
    const int64_t count = whole / most_, rest = n_vectors_ - count * most_;
    for (int64_t group = 0; group < row_groups_; group++) {
      // The rest first: a vector that lies over its neighbour would wait for what that has written.
      const Span last{count * most_, n_vectors_}, first{0, most_};
      if (rest > 0) add(steps, group, last, 1, of_b(steps, last));
      if (count > 0) add(steps, group, first, count, of_b(steps, first));
    }
  }

  // Else a strip of b stays in the L1 cache while all rows meet it.
  void by_columns(Span steps) const {
    const int64_t strips = ceil_div(n_vectors_, most_);
    for (int64_t strip = 0; strip < strips; strip++) {
      for (int64_t group = 0; group < row_groups_; group++) {
        const Span vectors = span_of(n_vectors_, strip, strips);
        add(steps, group, vectors, 1, of_b(steps, vectors));
      }
    }
  }

  // The same where each strip is packed first: b is used here only, so that it need not go through
  // memory once more.
  void by_packed_columns(Span steps) const {
    alignas(64) T packed[kStep * kVectors * L];
    const int64_t strips = ceil_div(n_vectors_, most_);
    for (int64_t strip = 0; strip < strips; strip++) {
      const Span vectors = span_of(n_vectors_, strip, strips);
      const int64_t width = vectors.last - vectors.first;
      for (int64_t v = 0; v < width; v++) {
        pack_vector(scheme_, right_, part_.vectors.first + vectors.first + v, steps, packed + v * L,
                    width * L);
      }
      for (int64_t group = 0; group < row_groups_; group++) {
        add(steps, group, vectors, 1, {packed, width * L, L, 0});
      }
    }
  }

  // How far the last of the part's first `n` vectors lies over the one before it.
  int64_t lap(int64_t n) const { return scheme_.lap(part_.vectors.first + n - 1); }

  // Strips of b, as they lie in b or in what phase 0 has packed.
  StripsOfB<T> of_b(Span steps, Span vectors) const {
    const int64_t number = part_.vectors.first + vectors.first;
    return {b_ + number * b_vector_ + steps.first * b_step_, b_step_, b_vector_,
            scheme_.pack_b ? 0 : lap(vectors.last)};
  }

  // A group of rows, and `count` strips side by side, of which `vectors` (of the part) are the
  // first.
  void add(Span steps, int64_t group, Span vectors, int64_t count, const StripsOfB<T>& b) const {
    const Span rows = span_of(n_rows_, group, row_groups_);
    const int64_t slot = vectors.first * L;
    Strips<T> strips;
    strips.a = a_ + (part_.rows.first + rows.first) * a_row_ + steps.first * a_step_;
    strips.a_row = a_row_;
    strips.a_step = a_step_;
    strips.b = b;
    strips.steps = steps.last - steps.first;
    T* sums = part_.sums + rows.first * part_.sums_row + slot;
    strips.sums = steps.first == 0 ? nullptr : sums;
    strips.sums_row = part_.sums_row;
    if (steps.last == scheme_.s.k) {
      strips.finish = part_.finish;
      strips.finish.lap = lap(vectors.last);
      strips.finish.out += rows.first * part_.finish.out_row + slot;
      strips.finish.old += rows.first * part_.finish.old_row + slot;
    } else {
      strips.finish = {Finish<T>::kWrite, sums, part_.sums_row, nullptr, 0, T(0), T(0), 0};
    }
    add_strips_of(rows.last - rows.first, vectors.last - vectors.first, strips, count);
  }

  const Scheme<T>& scheme_;
  const Tensor& right_;
  const Part<T>& part_;
  int64_t n_rows_, n_vectors_, row_groups_, most_;
  const T *a_, *b_;
  int64_t a_row_, a_step_, b_step_, b_vector_;
};

// The value of a constant or of an operand that is one element for the whole output.
template <class T>
T scalar_value(const Args& args, int32_t value) {
  const Tape& tape = *args.tapes[0];
  if (value < tape.n_inputs) return *args.in[kOwn + value - 1].as<T>();
  return static_cast<T>(tape.instructions[value - tape.n_inputs].immediate);
}

template <class T>
Finish<T> direct_finish(const Args& args) {
  const Tensor& out = args.out[0];
  const Tape& tape = *args.tapes[0];
  Finish<T> finish{Finish<T>::kWrite, out.as<T>(), out.stride[0], out.as<T>(), 0, T(0), T(0), 0};
  if (tape.is_identity()) return finish;
  const Tensor& old = args.in[kOwn + tape.descent.old - 1];
  finish.old = old.as<T>();
  finish.old_row = old.stride[0];
  finish.rate = scalar_value<T>(args, tape.descent.rate);
  const bool decays = tape.descent.decay >= 0;
  finish.kind = decays ? Finish<T>::kDecay : Finish<T>::kDescend;
  if (decays) finish.decay = scalar_value<T>(args, tape.descent.decay);
  return finish;
}

// A part whose sums go through a buffer into the epilogue, tile by tile.
template <class T>
void multiply_tiles(const Args& args, const Scheme<T>& scheme, Span rows, Span columns) {
  constexpr int L = kLanes<T>;
  alignas(64) T values[kTileElements];
  const int64_t width = (columns.last - columns.first) * L, first = columns.first * L;
  const int64_t n_columns = std::min(width, scheme.s.n - first);
  // Sums that are not taken up again lie without gaps: then the epilogue has longer rows.
  const int64_t row = scheme.s.k <= kStep && scheme.s.n >= L ? n_columns : width;
  const int64_t tiles = ceil_div(rows.last - rows.first, kTileElements / width / kRows * kRows);
  for (int64_t tile = 0; tile < tiles; tile++) {
    const Span within = span_of(rows.last - rows.first, tile, tiles);
    const int64_t i = rows.first + within.first, n_rows = within.last - within.first;
    const Finish<T> finish{Finish<T>::kWrite, values, row, values, 0, T(0), T(0), 0};
    const Part<T> part{{i, i + n_rows}, columns, values, row, finish};
    Walk<T>(scheme, args.in[0], args.in[1], part).run();
    finish_tile(*args.tapes[0],
                {reinterpret_cast<const char*>(values), row, 0, 0, i, n_rows, first, n_columns},
                args.in + kOwn, args.out[0]);
  }
}

// A part whose sums go straight into the output.
template <class T>
void multiply_directly(const Args& args, const Scheme<T>& scheme, Span rows, Span columns) {
  constexpr int L = kLanes<T>;
  alignas(64) T sums[kTileElements];
  const Finish<T> whole = direct_finish<T>(args);
  const int64_t width = (columns.last - columns.first) * L, first = columns.first * L;
  const int64_t height =
      scheme.s.k <= kStep ? rows.last - rows.first : kTileElements / width / kRows * kRows;
  for (int64_t i = rows.first; i < rows.last; i += height) {
    Finish<T> finish = whole;
    finish.out += i * finish.out_row + first;
    finish.old += i * finish.old_row + first;
    const Part<T> part{{i, std::min(i + height, rows.last)}, columns, sums, width, finish};
    Walk<T>(scheme, args.in[0], args.in[1], part).run();
  }
}

template <class T>
void multiply_block(const Args& args, int64_t chunk, int64_t) {
  const Scheme<T> scheme(args, args.workspace);
  const Span rows = span_of(scheme.s.m, chunk / scheme.column_blocks, scheme.row_blocks);
  const Span vectors = span_of(scheme.vectors, chunk % scheme.column_blocks, scheme.column_blocks);
  const int64_t n_vectors = vectors.last - vectors.first;
  const int64_t parts = ceil_div(n_vectors, kTileElements / (kRows * kLanes<T>));
  for (int64_t part = 0; part < parts; part++) {
    const Span within = span_of(n_vectors, part, parts);
    const Span columns{vectors.first + within.first, vectors.first + within.last};
    if (scheme.direct) {
      multiply_directly(args, scheme, rows, columns);
    } else {
      multiply_tiles(args, scheme, rows, columns);
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
  return check_epilogue(args, kOwn);
}

}  // namespace

extern const Kernel gemm_kernel = {
    "gemm", 2, {{pack_chunks, pack}, {chunks, run}}, workspace_bytes, invalid};

}  // namespace tgm::TGM_TARGET
