// pool2d: maximum over windows of an image; pool2d_grad: the gradient at the windows' winners;
// pool2d_gather: the sum of an image at the winners, which is that gradient's own derivative.
//
//   pool2d:        x (N, C, H, W) -> y (N, C, PH, PW) [, winners uint8 (N, C, PH, PW, bytes)]
//   pool2d_grad:   g (N, C, PH, PW), winners -> dx (N, C, H, W)
//   pool2d_gather: x (N, C, H, W), winners -> y (N, C, PH, PW)
// ints: window_h, window_w, stride_h, stride_w, pad_h, pad_w [, first: of pool2d].
//
// Rows are split by phases (rows.hpp), and a vector of windows is computed at a time. Bit
// i = r * window_w + c of `winners` is set if the window's position (r, c) equals the maximum: ties
// are all set; in a window with NaNs, the NaNs are. Where `first` is 1, only the lowest of a
// window's bits is kept. A window's positions are added in C order, and
// so are the windows of a pixel, many of them in runs (long_sum.hpp). Windows of 2 x 2 and 3 x 3
// have loops that the compiler unrolls.
#include <limits>

#include "kernel.hpp"
#include "kernels/core/by_dtype.hpp"
#include "kernels/pool2d/blocks.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int32_t kPoolInts = 6;  // without `first`

template <class T>
constexpr T kLeast = -std::numeric_limits<T>::infinity();

// Maxima and winners of a block of windows. kPositions: of a window, 0 for any number.
template <class T, int kPositions>
void find_maxima(const GatherWork<T>& work, int64_t size, bool wants_marks) {
  constexpr int kKept = kPositions ? kPositions : 1;
  const int64_t n = kPositions ? kPositions : work.pool.positions();
  const int64_t* const offsets = work.offsets;
  for (int64_t i = 0; i < size; i += kLanes<T>) {
    const T* const from = work.image + i;
    Vec<T> kept[kKept];
    Vec<T> top = splat(kLeast<T>);
    LaneMask<T> has_nan{};
#pragma GCC unroll 16
    for (int64_t t = 0; t < n; t++) {
      const Vec<T> x = load(from + offsets[t]);
      if (kPositions) kept[t] = x;
      top = x > top ? x : top;
      has_nan |= x != x;
    }
    top = has_nan ? splat(std::numeric_limits<T>::quiet_NaN()) : top;
    store(work.result + i, top);
    if (!wants_marks) continue;
    // The winners among positions [first, last), as the bits of one word.
    const auto mark = [&](int64_t first, int64_t last) {
      LaneMask<T> marks{};
#pragma GCC unroll 16
      for (int64_t t = first; t < last; t++) {
        const Vec<T> x = kPositions ? kept[t] : load(from + offsets[t]);
        marks |= ((x == top) | (x != x)) & (LaneMask<T>{} + (1 << (t - first)));
      }
      store(work.marks + first / kWordBits * work.mark_plane + i, marks);
    };
    if constexpr (kPositions != 0) {
      static_assert(kPositions <= kWordBits);
      mark(0, kPositions);
    } else {
      for (int64_t t = 0; t < n; t += kWordBits) mark(t, std::min(t + kWordBits, n));
    }
  }
}

// Pads are -inf, which equals a maximum of -inf: clears their bits there.
template <class T>
void unmark_pads(const GatherWork<T>& work, Span span) {
  const PoolShape& pool = work.pool;
  for (int64_t h = span.first; h < span.last; h++) {
    const int64_t row = (h - span.first) * work.pitch;
    for (int64_t w = 0; w < pool.pooled[1]; w++) {
      if (work.result[row + w] != kLeast<T>) continue;
      const Span rows = pool.inside(0, h), columns = pool.inside(1, w);
      for (int64_t bit = 0; bit < pool.positions(); bit++) {
        const int64_t r = bit / pool.window[1], c = bit % pool.window[1];
        const bool inside =
            r >= rows.first && r < rows.last && c >= columns.first && c < columns.last;
        if (inside) continue;
        const int64_t word = bit / kWordBits * work.mark_plane;
        work.marks[word + row + w] &= ~(Lane<T>(1) << bit % kWordBits);
      }
    }
  }
}

// Clears all winners of each window but the first.
template <class T>
void keep_first(const GatherWork<T>& work, int64_t size) {
  for (int64_t i = 0; i < size; i += kLanes<T>) {
    LaneMask<T> found{};
    for (int64_t word = 0; word < work.pool.mask_words(); word++) {
      Lane<T>* const at = work.marks + word * work.mark_plane + i;
      const LaneMask<T> marks = load(at);
      store(at, marks & -marks & (found == 0));
      found |= marks;
    }
  }
}

// Two adjacent bytes of a mask, the low one first, as on x86 and Arm.
struct __attribute__((packed, may_alias)) Word {
  uint16_t value;

  template <class Lane>
  explicit Word(Lane marks) : value(static_cast<uint16_t>(marks)) {}
  operator uint16_t() const { return value; }
};

// Where word `word` of the winners of row h begins, and the layout of its two bytes.
struct WordRows {
  uint8_t* data;
  int64_t row, step, byte;  // strides
  bool single, joined;      // only one byte is left; the two bytes are adjacent

  WordRows(const Tensor& winners, const PoolShape& pool, int64_t plane, int64_t h, int64_t word)
      : data(plane_of<uint8_t>(winners, pool, plane) + h * winners.stride[2] +
             2 * word * winners.stride[4]),
        row(winners.stride[2]),
        step(winners.stride[3]),
        byte(winners.stride[4]),
        single(2 * word + 1 == pool.mask_bytes()),
        joined(byte == 1 && row % 2 == 0 && step % 2 == 0) {}
};

// The winners of n rows of windows, from h on, to lanes [word][row][pitch].
template <class T>
void load_winners(const Tensor& winners, const PoolShape& pool, int64_t plane, int64_t h, int64_t n,
                  Lane<T>* to, int64_t pitch, int64_t mark_plane) {
  const int64_t columns = pool.pooled[1];
  for (int64_t word = 0; word < pool.mask_words(); word++, to += mark_plane) {
    const WordRows from(winners, pool, plane, h, word);
    if (from.single) {
      copy_rows(from.data, from.row, from.step, n, columns, to, pitch, 1);
    } else if (from.joined) {
      const Word* words = reinterpret_cast<const Word*>(from.data);
      copy_rows(words, from.row / 2, from.step / 2, n, columns, to, pitch, 1);
    } else {
      for (int64_t i = 0; i < n * columns; i++) {
        const uint8_t* p = from.data + i / columns * from.row + i % columns * from.step;
        to[i / columns * pitch + i % columns] = p[0] | p[from.byte] << 8;
      }
    }
  }
}

template <class T>
void store_winners(const GatherWork<T>& work, const Tensor& winners, int64_t plane, Span span) {
  const int64_t n = span.last - span.first, columns = work.pool.pooled[1], pitch = work.pitch;
  const Lane<T>* from = work.marks;
  for (int64_t word = 0; word < work.pool.mask_words(); word++, from += work.mark_plane) {
    const WordRows to(winners, work.pool, plane, span.first, word);
    if (to.single) {
      copy_rows(from, pitch, 1, n, columns, to.data, to.row, to.step);
    } else if (to.joined) {
      Word* words = reinterpret_cast<Word*>(to.data);
      copy_rows(from, pitch, 1, n, columns, words, to.row / 2, to.step / 2);
    } else {
      for (int64_t i = 0; i < n * columns; i++) {
        uint8_t* p = to.data + i / columns * to.row + i % columns * to.step;
        const Lane<T> marks = from[i / columns * pitch + i % columns];
        p[0] = static_cast<uint8_t>(marks);
        p[to.byte] = static_cast<uint8_t>(marks >> 8);
      }
    }
  }
}

template <class T>
void pool_blocks(const Args& args, int64_t chunk, int64_t n_chunks) {
  const Tensor &x = args.in[0], &y = args.out[0],
               *winners = args.n_out > 1 ? args.out + 1 : nullptr;
  const PoolShape pool(x, y, args.ints);
  const bool first = args.n_ints > kPoolInts && args.ints[kPoolInts];
  const GatherWork<T> work(pool, args.workspace, chunk);
  work.prepare(kLeast<T>);
  const auto run =
      with_positions(pool, []<int kPositions>() { return &find_maxima<T, kPositions>; });
  for_blocks(pool, work.blocks, chunk, n_chunks, [&](int64_t plane, Span span) {
    work.load_block(x, plane, span, kLeast<T>);
    run(work, work.size(span), winners);
    work.store_block(y, plane, span);
    if (!winners) return;
    if (pool.has_pads()) unmark_pads(work, span);
    if (first) keep_first(work, work.size(span));
    store_winners(work, *winners, plane, span);
  });
}

template <class T>
void grad_blocks(const Args& args, int64_t chunk, int64_t n_chunks) {
  const Tensor &g = args.in[0], &winners = args.in[1], &dx = args.out[0];
  const PoolShape pool(dx, g, args.ints);
  const SpreadWork<T> work(pool, args.workspace, chunk);
  work.prepare();
  for_blocks(pool, work.blocks, chunk, n_chunks, [&](int64_t plane, Span span) {
    work.template spread<true>(
        dx, plane, span, [&](int64_t h, int64_t n, T* values, Lane<T>* marks) {
          work.load_gradients(g, plane, h, n, values);
          load_winners<T>(winners, pool, plane, h, n, marks, work.pitch, work.mark_plane);
        });
  });
}

template <class T>
void gather_blocks(const Args& args, int64_t chunk, int64_t n_chunks) {
  const Tensor &x = args.in[0], &winners = args.in[1], &y = args.out[0];
  const PoolShape pool(x, y, args.ints);
  const GatherWork<T> work(pool, args.workspace, chunk);
  work.prepare(T(0));
  std::fill_n(work.marks, pool.mask_words() * work.mark_plane, Lane<T>(0));
  for_blocks(pool, work.blocks, chunk, n_chunks, [&](int64_t plane, Span span) {
    work.load_block(x, plane, span, T(0));
    load_winners<T>(winners, pool, plane, span.first, span.last - span.first, work.marks,
                    work.pitch, work.mark_plane);
    const int64_t n = work.size(span);
    for (int64_t i = 0; i < n; i += kLanes<T>) {
      store(work.result + i, long_sum<Vec<T>>(pool.positions(), [&](int64_t t) {
              const LaneMask<T> marks = load(work.marks + t / kWordBits * work.mark_plane + i);
              return where_marked<T>(marks, t % kWordBits, load(work.image + work.offsets[t] + i));
            }));
    }
    work.store_block(y, plane, span);
  });
}

const char* pool_invalid(const Args& args) {
  if (args.n_in != 1) return "takes one input";
  if (args.n_out < 1 || args.n_out > 2) return "has one or two outputs";
  const int32_t n_ints = kPoolInts + (args.n_ints > kPoolInts);
  return check_pool(args, n_ints, args.in[0], args.out[0], args.n_out > 1 ? args.out + 1 : nullptr);
}

const char* grad_invalid(const Args& args) {
  if (args.n_in != 2 || args.n_out != 1) return "takes two inputs and has one output";
  return check_pool(args, kPoolInts, args.out[0], args.in[0], args.in + 1);
}

const char* gather_invalid(const Args& args) {
  if (args.n_in != 2 || args.n_out != 1) return "takes two inputs and has one output";
  return check_pool(args, kPoolInts, args.in[0], args.out[0], args.in + 1);
}

}  // namespace

extern const Kernel pool2d_kernel = {"pool2d",
                                     1,
                                     {{TGM_BY_DTYPE(gather_chunks), TGM_BY_DTYPE(pool_blocks)}},
                                     TGM_BY_DTYPE(gather_bytes),
                                     pool_invalid};
extern const Kernel pool2d_grad_kernel = {
    "pool2d_grad",
    1,
    {{TGM_BY_DTYPE(spread_chunks), TGM_BY_DTYPE(grad_blocks)}},
    TGM_BY_DTYPE(spread_bytes),
    grad_invalid};
extern const Kernel pool2d_gather_kernel = {
    "pool2d_gather",
    1,
    {{TGM_BY_DTYPE(gather_chunks), TGM_BY_DTYPE(gather_blocks)}},
    TGM_BY_DTYPE(gather_bytes),
    gather_invalid};

}  // namespace tgm::TGM_TARGET
