// average_pool2d: sum or mean over windows of an image; average_pool2d_grad: its gradient.
//
//   average_pool2d:      x (N, C, H, W) -> y (N, C, PH, PW)
//   average_pool2d_grad: g (N, C, PH, PW) -> dx (N, C, H, W)
// ints: window_h, window_w, stride_h, stride_w, pad_h, pad_w, count: 0 divides by nothing (a sum),
// 1 by the positions inside the padded image, 2 by those inside the image; by 1 where there are
// none.
//
// Works like pool2d.cpp, on the rows of rows.hpp; pads are zeros. A window adds its positions in C
// order and divides once; a pixel adds the quotients of its windows in C order; see long_sum.hpp
// for many.
#include "kernel.hpp"
#include "kernels/core/by_dtype.hpp"
#include "kernels/pool2d/blocks.hpp"

namespace tgm::TGM_TARGET {
namespace {

enum Count : int64_t { kSum, kPadded, kInside };

// Positions of window `p` along an axis that count.
TGM_INLINE int64_t counted(const PoolShape& pool, int64_t count, int axis, int64_t p) {
  if (count == kSum) return 1;
  const Span inside = pool.inside(axis, p);
  const int64_t start = p * pool.stride[axis] - pool.pad[axis];
  const int64_t padded = std::min(pool.window[axis], pool.image[axis] + pool.pad[axis] - start);
  return std::max<int64_t>(1, count == kInside ? inside.last - inside.first : padded);
}

template <class T>
void column_divisors(const PoolShape& pool, int64_t count, T* to) {
  for (int64_t w = 0; w < pool.pooled[1]; w++) to[w] = static_cast<T>(counted(pool, count, 1, w));
}

// values[w] /= rows * divisors[w]; the products are exact.
template <class T>
TGM_INLINE void divide_row(T* values, const T* divisors, int64_t rows, int64_t n) {
  const T factor = static_cast<T>(rows);
  for (int64_t w = 0; w < n; w++) values[w] /= factor * divisors[w];
}

// Sums of a block of windows, divided. kPositions: of a window, 0 for any number.
template <class T, int kPositions>
void add_positions(const GatherWork<T>& work, int64_t size, T divisor) {
  const int64_t n = kPositions ? kPositions : work.pool.positions();
  for (int64_t i = 0; i < size; i += kLanes<T>) {
    const Vec<T> sum =
        long_sum<Vec<T>>(n, [&](int64_t t) { return load(work.image + work.offsets[t] + i); });
    store(work.result + i, sum / divisor);
  }
}

template <class T>
void pool_blocks(const Args& args, int64_t chunk, int64_t n_chunks) {
  const Tensor &x = args.in[0], &y = args.out[0];
  const PoolShape pool(x, y, args.ints);
  const int64_t count = args.ints[6];
  const GatherWork<T> work(pool, args.workspace, chunk);
  work.prepare(T(0));
  column_divisors(pool, count, work.divisors);
  const bool by_row = count != kSum && pool.has_pads();  // otherwise all divide by the same
  const auto run =
      with_positions(pool, []<int kPositions>() { return &add_positions<T, kPositions>; });
  for_blocks(pool, work.blocks, chunk, n_chunks, [&](int64_t plane, Span span) {
    work.load_block(x, plane, span, T(0));
    run(work, work.size(span), by_row || count == kSum ? T(1) : static_cast<T>(pool.positions()));
    for (int64_t h = span.first; h < span.last && by_row; h++) {
      divide_row(work.result + (h - span.first) * work.pitch, work.divisors,
                 counted(pool, count, 0, h), pool.pooled[1]);
    }
    work.store_block(y, plane, span);
  });
}

template <class T>
void grad_blocks(const Args& args, int64_t chunk, int64_t n_chunks) {
  const Tensor &g = args.in[0], &dx = args.out[0];
  const PoolShape pool(dx, g, args.ints);
  const int64_t count = args.ints[6];
  const SpreadWork<T> work(pool, args.workspace, chunk);
  work.prepare();
  column_divisors(pool, count, work.divisors);
  for_blocks(pool, work.blocks, chunk, n_chunks, [&](int64_t plane, Span span) {
    work.template spread<false>(dx, plane, span, [&](int64_t h, int64_t n, T* values, Lane<T>*) {
      work.load_gradients(g, plane, h, n, values);
      for (int64_t i = 0; i < n && count != kSum; i++) {
        divide_row(values + i * work.pitch, work.divisors, counted(pool, count, 0, h + i),
                   pool.pooled[1]);
      }
    });
  });
}

const char* check(const Args& args, const Tensor& x, const Tensor& y) {
  if (const char* why = check_pool(args, 7, x, y, nullptr)) return why;
  const bool known = args.ints[6] >= kSum && args.ints[6] <= kInside;
  return known ? nullptr : "count must be 0, 1 or 2";
}

const char* pool_invalid(const Args& args) {
  if (args.n_in != 1 || args.n_out != 1) return "takes one input and has one output";
  return check(args, args.in[0], args.out[0]);
}

const char* grad_invalid(const Args& args) {
  if (args.n_in != 1 || args.n_out != 1) return "takes one input and has one output";
  return check(args, args.out[0], args.in[0]);
}

}  // namespace

extern const Kernel average_pool2d_kernel = {
    "average_pool2d",
    1,
    {{TGM_BY_DTYPE(gather_chunks), TGM_BY_DTYPE(pool_blocks)}},
    TGM_BY_DTYPE(gather_bytes),
    pool_invalid};
extern const Kernel average_pool2d_grad_kernel = {
    "average_pool2d_grad",
    1,
    {{TGM_BY_DTYPE(spread_chunks), TGM_BY_DTYPE(grad_blocks)}},
    TGM_BY_DTYPE(spread_bytes),
    grad_invalid};

}  // namespace tgm::TGM_TARGET
