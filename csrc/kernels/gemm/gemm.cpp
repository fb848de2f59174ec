// gemm: a (m, k), b (k, n), extras (m, n) -> epilogue(a b, extras)
//
// tapes: epilogue. Any strides: a transpose is a view. The output may alias an extra.
//
// The inner loop keeps R rows x V vectors of columns in registers and adds terms in the order of k.
// Where k is long and b is large, a sum is that of two halves of k, each in its order. Both follow
// from k and n alone: a result's bits don't depend on the tile that it falls into. a is read in
// place, one broadcast at a time (copied to rows first if it is large and its rows are not
// contiguous). b is read in place where its rows are contiguous and m is small, as in a layer of a
// network at a small batch: then packing would cost as much as the product. Otherwise it is packed
// a vector of columns after the other: by phase 0, [vector][k][lane], or, if one block has all
// rows, strip by strip in the L1 cache as they are used. The last vector of columns overlaps the
// one before it (the same sums are found twice), so there is no other code for remainders.
//
// Phase 1 cuts the result in blocks: along m if k is small (a weight's gradient), along n if m is
// (a layer), else both ways, and k in steps of kStep. Sums go from the registers into the output
// where there is no epilogue, or one that updates weights (old - rate * gradient, Descent in
// tape.hpp): with few terms a sum, a buffer and an interpreter would take longer than the product.
// Other epilogues work on tiles that fit the L1 cache.
//
// A layer's product with few rows reads b once, and what moves b between the caches of two cores
// costs more than the product. Its blocks are therefore cut along k first, and phase 2 adds the
// halves: then a thread reads those rows of b that it updates in the weights' gradient, and reads
// in the gradient of the layer's input.
#include "kernel.hpp"
#include "kernels/core/by_dtype.hpp"
#include "kernels/core/check.hpp"
#include "kernels/gemm/scheme.hpp"
#include "kernels/gemm/strips.hpp"

namespace tgm::TGM_TARGET {
namespace {

template <class T>
int64_t pack_chunks(const Args& args) {
  const Scheme<T> scheme(args, nullptr);
  return scheme.blocks() == 0 ? 0 : scheme.a_chunks() + scheme.b_chunks();
}

template <class T>
void copy_rows_of_a(const Scheme<T>& scheme, const Tensor& a, Span rows) {
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
    copy_rows_of_a(scheme, args.in[0], span_of(scheme.s.m, chunk, for_a));
  } else {
    const Span vectors = span_of(scheme.vectors, chunk - for_a, n_chunks - for_a);
    const int64_t k = scheme.s.k;
    for (int64_t v = vectors.first; v < vectors.last; v++) {
      pack_vector(scheme, args.in[1], v, {0, k}, scheme.b + v * k * kLanes<T>, kLanes<T>);
    }
  }
}

// The most vectors of columns that go with a number of rows. Of doubles four keep the processor
// busy, and every width is a loop to compile.
template <class T>
constexpr int widest(int rows) {
  return std::min(sizeof(T) == 8 ? 4 : kVectors, kAccumulators / rows);
}

template <class T, int R = kRows>
void add_strips_of(int64_t rows, int64_t vectors, const StripProduct<T>& strips, int64_t count) {
  if constexpr (R > 1) {
    if (rows < R) return add_strips_of<T, R - 1>(rows, vectors, strips, count);
  }
  with_width<widest<T>(R)>(vectors, [&]<int V>() { add_strips<T, R, V>(strips, count); });
}

// A part of the product: rows x vectors of columns, some or all terms.
template <class T>
struct Part {
  Span rows, vectors, terms;
  T* sums;        // [row][vector][lane], where k takes several steps
  T* first_half;  // the same, where there are two halves
  int64_t sums_row;
  Finish<T> finish;  // of the part's first row and column
};

// The loops over a part: steps of k, strips of b, groups of rows.
template <class T>
class BlockLoop {
 public:
  BlockLoop(const Scheme<T>& scheme, const Tensor& left, const Tensor& right, const Part<T>& part)
      : scheme_(scheme), right_(right), part_(part), n_rows_(part.rows.last - part.rows.first) {
    row_groups_ = ceil_div(n_rows_, kRows);
    most_ = widest<T>(static_cast<int>(ceil_div(n_rows_, row_groups_)));
    a_ = scheme.copy_a ? scheme.a : left.as<T>();
    a_row_ = scheme.copy_a ? scheme.s.k : left.stride[0];
    a_step_ = scheme.copy_a ? 1 : left.stride[1];
    b_ = scheme.pack_b ? scheme.b : right.as<T>();
    b_step_ = scheme.pack_b ? L : right.stride[0];
    b_vector_ = scheme.pack_b ? scheme.s.k * L : L;
    n_vectors_ = part.vectors.last - part.vectors.first;
  }

  void run() const {
    const Span terms = part_.terms;
    const int64_t half = scheme_.half;
    if (half == 0 || terms.first >= half || terms.last <= half) return add_terms(terms, {});
    add_terms({terms.first, half}, {part_.first_half, nullptr});
    add_terms({half, terms.last}, {nullptr, part_.first_half});
  }

 private:
  static constexpr int L = kLanes<T>;

  // Where the halves of a sum are: the sums are the first, and go to `into`; or they are the
  // second, and join `first`. Both null: they are the whole.
  struct Halves {
    T* into = nullptr;
    const T* first = nullptr;
  };

  struct Step {
    Span terms;
    bool is_first, is_last;
    Halves halves;
  };

  void add_terms(Span terms, Halves halves) const {
    for (int64_t k = terms.first; k == terms.first || k < terms.last; k += kStep) {
      const Span span{k, std::min(terms.last, k + kStep)};
      const Step step{span, k == terms.first, span.last == terms.last, halves};
      if (scheme_.pack_strips) {
        by_packed_columns(step);
      } else if (scheme_.s.k <= kShallow) {
        by_rows(step);
      } else {
        by_columns(step);
      }
    }
  }

  // A shallow product is little more than a pass over the output: in the order of its memory.
  void by_rows(const Step& step) const {
    const int64_t whole = n_vectors_ - (overlap(n_vectors_) > 0 ? 1 : 0);
    const int64_t count = whole / most_, rest = n_vectors_ - count * most_;
    for (int64_t group = 0; group < row_groups_; group++) {
      // The rest first: a vector that overlaps its neighbour would wait for what that has written.
      const Span last{count * most_, n_vectors_}, first{0, most_};
      if (rest > 0) add(step, group, last, 1, of_b(step.terms, last));
      if (count > 0) add(step, group, first, count, of_b(step.terms, first));
    }
  }

  // Else a strip of b stays in the L1 cache while all rows meet it.
  void by_columns(const Step& step) const {
    const int64_t strips = ceil_div(n_vectors_, most_);
    for (int64_t strip = 0; strip < strips; strip++) {
      for (int64_t group = 0; group < row_groups_; group++) {
        const Span vectors = span_of(n_vectors_, strip, strips);
        add(step, group, vectors, 1, of_b(step.terms, vectors));
      }
    }
  }

  // The same where each strip is packed first: b is used here only, so that it need not go through
  // memory once more.
  void by_packed_columns(const Step& step) const {
    alignas(64) T packed[kStep * kVectors * L];
    const int64_t strips = ceil_div(n_vectors_, most_);
    for (int64_t strip = 0; strip < strips; strip++) {
      const Span vectors = span_of(n_vectors_, strip, strips);
      const int64_t width = vectors.last - vectors.first;
      for (int64_t v = 0; v < width; v++) {
        pack_vector(scheme_, right_, part_.vectors.first + vectors.first + v, step.terms,
                    packed + v * L, width * L);
      }
      for (int64_t group = 0; group < row_groups_; group++) {
        add(step, group, vectors, 1, {packed, width * L, L, 0});
      }
    }
  }

  // Lanes that the last of the part's first `n` vectors shares with the one before it.
  int64_t overlap(int64_t n) const { return scheme_.overlap(part_.vectors.first + n - 1); }

  // Strips of b, in place or as phase 0 has packed them.
  StripsOfB<T> of_b(Span steps, Span vectors) const {
    const int64_t number = part_.vectors.first + vectors.first;
    return {b_ + number * b_vector_ + steps.first * b_step_, b_step_, b_vector_,
            scheme_.pack_b ? 0 : overlap(vectors.last)};
  }

  // A group of rows, and `count` strips side by side, of which `vectors` (of the part) are the
  // first.
  void add(const Step& step, int64_t group, Span vectors, int64_t count,
           const StripsOfB<T>& b) const {
    const Span rows = span_of(n_rows_, group, row_groups_);
    const int64_t column = vectors.first * L, offset = rows.first * part_.sums_row + column;
    StripProduct<T> strips;
    strips.a = a_ + (part_.rows.first + rows.first) * a_row_ + step.terms.first * a_step_;
    strips.a_row = a_row_;
    strips.a_step = a_step_;
    strips.b = b;
    strips.steps = step.terms.last - step.terms.first;
    T* sums = (step.halves.into != nullptr ? step.halves.into : part_.sums) + offset;
    strips.sums = step.is_first ? nullptr : sums;
    strips.sums_row = part_.sums_row;
    const bool joins = step.is_last && step.halves.first != nullptr;
    strips.first_half = joins ? step.halves.first + offset : nullptr;
    if (step.is_last && step.halves.into == nullptr) {
      strips.finish = part_.finish;
      strips.finish.overlap = overlap(vectors.last);
      strips.finish.out += rows.first * part_.finish.out_row + column;
      strips.finish.old += rows.first * part_.finish.old_row + column;
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
  alignas(64) T values[kTileElements], first_half[kTileElements];
  const int64_t width = (columns.last - columns.first) * L, first = columns.first * L;
  const int64_t n_columns = std::min(width, scheme.s.n - first);
  // Sums that are not read again are stored without gaps: then the epilogue has longer rows.
  const int64_t row = scheme.s.k <= kStep && scheme.s.n >= L ? n_columns : width;
  const int64_t tiles = ceil_div(rows.last - rows.first, kTileElements / width / kRows * kRows);
  for (int64_t tile = 0; tile < tiles; tile++) {
    const Span within = span_of(rows.last - rows.first, tile, tiles);
    const int64_t i = rows.first + within.first, n_rows = within.last - within.first;
    const Finish<T> finish{Finish<T>::kWrite, values, row, values, 0, T(0), T(0), 0};
    const Part<T> part{{i, i + n_rows}, columns, {0, scheme.s.k}, values, first_half, row, finish};
    BlockLoop<T>(scheme, args.in[0], args.in[1], part).run();
    finish_tile(*args.tapes[0],
                {reinterpret_cast<const char*>(values), row, 0, 0, i, n_rows, first, n_columns},
                args.in + kOwn, args.out[0]);
  }
}

// A part whose sums go straight into the output.
template <class T>
void multiply_directly(const Args& args, const Scheme<T>& scheme, Span rows, Span columns) {
  constexpr int L = kLanes<T>;
  alignas(64) T sums[kTileElements], first_half[kTileElements];
  const Finish<T> whole = direct_finish<T>(args);
  const int64_t width = (columns.last - columns.first) * L, first = columns.first * L;
  const int64_t height =
      scheme.s.k <= kStep ? rows.last - rows.first : kTileElements / width / kRows * kRows;
  for (int64_t i = rows.first; i < rows.last; i += height) {
    Finish<T> finish = whole;
    finish.out += i * finish.out_row + first;
    finish.old += i * finish.old_row + first;
    const Span group{i, std::min(i + height, rows.last)};
    const Part<T> part{group, columns, {0, scheme.s.k}, sums, first_half, width, finish};
    BlockLoop<T>(scheme, args.in[0], args.in[1], part).run();
  }
}

// Calls f(columns) for groups of the vectors that leave room for a few rows in a tile.
template <class T, class F>
void for_column_groups(Span vectors, F f) {
  const int64_t n_vectors = vectors.last - vectors.first;
  const int64_t groups = ceil_div(n_vectors, kTileElements / (kRows * kLanes<T>));
  for (int64_t group = 0; group < groups; group++) {
    const Span within = span_of(n_vectors, group, groups);
    f(Span{vectors.first + within.first, vectors.first + within.last});
  }
}

// One half of the sums of all rows and some columns.
template <class T>
void multiply_half(const Args& args, const Scheme<T>& scheme, int64_t number, Span vectors) {
  const Shape& s = scheme.s;
  const Span terms = number == 0 ? Span{0, scheme.half} : Span{scheme.half, s.k};
  alignas(64) T sums[kTileElements];
  for_column_groups<T>(vectors, [&](Span columns) {
    const int64_t width = (columns.last - columns.first) * kLanes<T>;
    const int64_t height = kTileElements / width / kRows * kRows;
    for (int64_t i = 0; i < s.m; i += height) {
      T* out = scheme.halves + (number * s.m + i) * s.n + columns.first * kLanes<T>;
      const Finish<T> finish{Finish<T>::kWrite, out, s.n, out, 0, T(0), T(0), 0};
      const Span rows{i, std::min(i + height, s.m)};
      BlockLoop<T>(scheme, args.in[0], args.in[1],
                   {rows, columns, terms, sums, nullptr, width, finish})
          .run();
    }
  });
}

template <class T>
void multiply_block(const Args& args, int64_t chunk, int64_t) {
  const Scheme<T> scheme(args, args.workspace);
  const int64_t row_block = chunk / scheme.column_blocks;
  const Span vectors = span_of(scheme.vectors, chunk % scheme.column_blocks, scheme.column_blocks);
  if (scheme.split_k) return multiply_half(args, scheme, row_block, vectors);
  const Span rows = span_of(scheme.s.m, row_block, scheme.row_blocks);
  for_column_groups<T>(vectors, [&](Span columns) {
    if (scheme.direct) {
      multiply_directly(args, scheme, rows, columns);
    } else {
      multiply_tiles(args, scheme, rows, columns);
    }
  });
}

template <class T>
int64_t join_chunks(const Args& args) {
  const Scheme<T> scheme(args, nullptr);
  const Shape& s = scheme.s;
  if (!scheme.split_k) return 0;
  return chunks_for(s.m, s.n * (kJoinFlops + epilogue_cost(*args.tapes[0])));
}

// Adds the halves of some rows and takes them through the epilogue.
template <class T>
void join_halves(const Args& args, int64_t chunk, int64_t n_chunks) {
  const Scheme<T> scheme(args, args.workspace);
  const Shape& s = scheme.s;
  alignas(64) T values[kTileElements];
  const Span rows = span_of(s.m, chunk, n_chunks);
  const int64_t width = std::min(s.n, kTileElements), height = kTileElements / width;
  for (int64_t i = rows.first; i < rows.last; i += height) {
    const int64_t n_rows = std::min(height, rows.last - i);
    for (int64_t first = 0; first < s.n; first += width) {
      const int64_t n = std::min(width, s.n - first);
      for (int64_t r = 0; r < n_rows; r++) {
        const T* const half = scheme.halves + (i + r) * s.n + first;
        for (int64_t j = 0; j < n; j++) values[r * n + j] = half[j] + half[s.m * s.n + j];
      }
      finish_tile(*args.tapes[0],
                  {reinterpret_cast<const char*>(values), n, 0, 0, i, n_rows, first, n},
                  args.in + kOwn, args.out[0]);
    }
  }
}

template <class T>
int64_t block_chunks(const Args& args) {
  return Scheme<T>(args, nullptr).blocks();
}

template <class T>
size_t work_bytes(const Args& args) {
  return Scheme<T>(args, nullptr).bytes;
}

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

extern const Kernel gemm_kernel = {"gemm",
                                   3,
                                   {{TGM_BY_DTYPE(pack_chunks), TGM_BY_DTYPE(pack_operands)},
                                    {TGM_BY_DTYPE(block_chunks), TGM_BY_DTYPE(multiply_block)},
                                    {TGM_BY_DTYPE(join_chunks), TGM_BY_DTYPE(join_halves)}},
                                   TGM_BY_DTYPE(work_bytes),
                                   invalid};

}  // namespace tgm::TGM_TARGET
