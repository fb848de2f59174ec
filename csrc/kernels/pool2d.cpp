// pool2d: maximum over windows of an image; pool2d_grad: the gradient at the windows' winners.
//
//   pool2d:      x (N, C, H, W) -> y (N, C, PH, PW) [, winners uint8 (N, C, PH, PW, bytes)]
//   pool2d_grad: g (N, C, PH, PW), winners -> dx (N, C, H, W)
// ints: window_h, window_w, stride_h, stride_w, pad_h, pad_w.
//
// One plane (n, c) after the other, window by window. Windows are clipped to the image. Bit
// i = r * window_w + c of `winners` says that the window's position (r, c) equals the maximum: ties
// are all set, and of a window with NaNs the NaNs. The gradient walks over the windows in C order,
// so a pixel that several windows share adds them up in that order. Windows of 2 x 2 and 3 x 3 that
// lie inside have code of their own, with loops that the compiler unrolls.
#include <limits>

#include "kernels/conv_check.hpp"
#include "kernels/table.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kFlopsPerPosition = 8;  // of a window, roughly

struct Pool {
  int64_t window[2], stride[2], pad[2];
  int64_t image[2], pooled[2];
  int64_t channels, planes;

  Pool(const Tensor& x, const Tensor& y, const int64_t* ints)
      : window{ints[0], ints[1]},
        stride{ints[2], ints[3]},
        pad{ints[4], ints[5]},
        image{x.shape[2], x.shape[3]},
        pooled{y.shape[2], y.shape[3]},
        channels(x.shape[1]),
        planes(x.shape[0] * x.shape[1]) {}

  int64_t bytes() const { return (window[0] * window[1] + 7) / 8; }
  // The taps of window `p` along an axis that lie inside the image.
  Span inside(int axis, int64_t p) const {
    const int64_t start = p * stride[axis] - pad[axis];
    const int64_t first = std::clamp<int64_t>(-start, 0, window[axis]);
    return {first, std::clamp<int64_t>(image[axis] - start, first, window[axis])};
  }
  int64_t chunks() const {
    return chunks_for(planes, pooled[0] * pooled[1] * window[0] * window[1] * kFlopsPerPosition +
                                  2 * image[0] * image[1]);
  }
};

// One window: where its tap (0, 0) is (perhaps outside), and which taps are inside.
template <class T>
struct Window {
  T* origin;
  int64_t stride_h, stride_w;
  Span rows, columns;

  T& at(int64_t r, int64_t c) const { return origin[r * stride_h + c * stride_w]; }
};

// Calls visit(window, p_h, p_w) for all windows of plane `index`, in C order.
template <class T, class Visit>
TGM_INLINE void for_windows(const Pool& pool, const Tensor& image, int64_t index, Visit visit) {
  const int64_t *stride = image.stride, n = index / pool.channels, c = index % pool.channels;
  T* plane = image.as<T>() + n * stride[0] + c * stride[1];
  for (int64_t h = 0; h < pool.pooled[0]; h++) {
    const Span rows = pool.inside(0, h);
    T* line = plane + (h * pool.stride[0] - pool.pad[0]) * stride[2];
    for (int64_t w = 0; w < pool.pooled[1]; w++) {
      T* origin = line + (w * pool.stride[1] - pool.pad[1]) * stride[3];
      visit(Window<T>{origin, stride[2], stride[3], rows, pool.inside(1, w)}, h, w);
    }
  }
}

template <class T>
T* plane_of(const Tensor& t, const Pool& pool, int64_t plane) {
  return t.as<T>() + plane / pool.channels * t.stride[0] + plane % pool.channels * t.stride[1];
}

// Calls visit(x, bit) for the pixels of a window.
template <class T, class Visit>
TGM_INLINE void for_pixels(const Window<T>& window, int64_t width, Visit visit) {
  for (int64_t r = window.rows.first; r < window.rows.last; r++) {
    for (int64_t c = window.columns.first; c < window.columns.last; c++) {
      visit(window.at(r, c), r * width + c);
    }
  }
}

// The same for a window of N x N pixels, all inside.
template <int N, class T, class Visit>
TGM_INLINE void for_inner_pixels(const Window<T>& window, Visit visit) {
#pragma GCC unroll 4
  for (int r = 0; r < N; r++) {
#pragma GCC unroll 4
    for (int c = 0; c < N; c++) visit(window.at(r, c), r * N + c);
  }
}

// A maximum that a NaN makes NaN, without a branch on which is larger.
template <class T>
struct Maximum {
  T top = -std::numeric_limits<T>::infinity();
  bool has_nan = false;

  void add(T x) {
    top = x > top ? x : top;
    has_nan |= x != x;
  }
  T value() const { return has_nan ? std::numeric_limits<T>::quiet_NaN() : top; }
};

template <int N, class T>
TGM_INLINE void pool_inner(const Window<T>& window, T* y, uint8_t* mask, int64_t byte_stride) {
  Maximum<T> maximum;
  for_inner_pixels<N>(window, [&](T x, int) { maximum.add(x); });
  const T top = maximum.value();
  *y = top;
  if (!mask) return;
  unsigned winners = 0;
  for_inner_pixels<N>(window, [&](T x, int bit) {
    const unsigned wins = (x == top) | (x != x);
    winners |= wins << bit;
  });
  mask[0] = static_cast<uint8_t>(winners);
  if (N * N > 8) mask[byte_stride] = static_cast<uint8_t>(winners >> 8);
}

template <class T>
void pool_any(const Pool& pool, const Window<T>& window, T* y, uint8_t* mask, int64_t byte_stride) {
  Maximum<T> maximum;
  for_pixels(window, pool.window[1], [&](T x, int64_t) { maximum.add(x); });
  const T top = maximum.value();
  *y = top;
  if (!mask) return;
  for (int64_t byte = 0; byte < pool.bytes(); byte++) mask[byte * byte_stride] = 0;
  for_pixels(window, pool.window[1], [&](T x, int64_t bit) {
    const int wins = (x == top) | (x != x);
    mask[bit / 8 * byte_stride] |= static_cast<uint8_t>(wins << bit % 8);
  });
}

template <class T>
void pool_planes(const Args& args, int64_t chunk, int64_t n_chunks) {
  const Tensor &y = args.out[0], *winners = args.n_out > 1 ? args.out + 1 : nullptr;
  const Pool pool(args.in[0], y, args.ints);
  const Span planes = span_of(pool.planes, chunk, n_chunks);
  for (int64_t plane = planes.first; plane < planes.last; plane++) {
    T* const maxima = plane_of<T>(y, pool, plane);
    uint8_t* const marks = winners ? plane_of<uint8_t>(*winners, pool, plane) : nullptr;
    for_windows<T>(pool, args.in[0], plane, [&](const Window<T>& window, int64_t h, int64_t w) {
      T* to = maxima + h * y.stride[2] + w * y.stride[3];
      uint8_t* mask = marks;
      if (mask) mask += h * winners->stride[2] + w * winners->stride[3];
      const int64_t byte_stride = winners ? winners->stride[4] : 0;
      const int64_t rows = window.rows.last - window.rows.first;
      const int64_t columns = window.columns.last - window.columns.first;
      const bool whole = rows == pool.window[0] && columns == pool.window[1] && rows == columns;
      if (whole && rows == 2) return pool_inner<2>(window, to, mask, byte_stride);
      if (whole && rows == 3) return pool_inner<3>(window, to, mask, byte_stride);
      pool_any(pool, window, to, mask, byte_stride);
    });
  }
}

template <class T>
void clear_plane(const Pool& pool, const Tensor& dx, int64_t plane) {
  for (int64_t h = 0; h < pool.image[0]; h++) {
    T* row = plane_of<T>(dx, pool, plane) + h * dx.stride[2];
    for (int64_t w = 0; w < pool.image[1]; w++) row[w * dx.stride[3]] = T(0);
  }
}

template <class T>
void spread_planes(const Args& args, int64_t chunk, int64_t n_chunks) {
  const Tensor &g = args.in[0], &winners = args.in[1], &dx = args.out[0];
  const Pool pool(dx, g, args.ints);
  const Span planes = span_of(pool.planes, chunk, n_chunks);
  for (int64_t plane = planes.first; plane < planes.last; plane++) {
    clear_plane<T>(pool, dx, plane);
    const T* const factors = plane_of<T>(g, pool, plane);
    const uint8_t* const marks = plane_of<uint8_t>(winners, pool, plane);
    for_windows<T>(pool, dx, plane, [&](const Window<T>& window, int64_t h, int64_t w) {
      const T factor = factors[h * g.stride[2] + w * g.stride[3]];
      const uint8_t* mask = marks + h * winners.stride[2] + w * winners.stride[3];
      for (int64_t byte = 0; byte < pool.bytes(); byte++) {
        for (unsigned set = mask[byte * winners.stride[4]]; set; set &= set - 1) {
          const int64_t bit = 8 * byte + __builtin_ctz(set);
          window.at(bit / pool.window[1], bit % pool.window[1]) += factor;
        }
      }
    });
  }
}

int64_t pool_chunks(const Args& args) { return Pool(args.in[0], args.out[0], args.ints).chunks(); }

int64_t grad_chunks(const Args& args) { return Pool(args.out[0], args.in[0], args.ints).chunks(); }

void run_pool(const Args& args, int64_t chunk, int64_t n_chunks) {
  TGM_FLOATS(args.in[0].dtype, pool_planes, args, chunk, n_chunks);
}

void run_grad(const Args& args, int64_t chunk, int64_t n_chunks) {
  TGM_FLOATS(args.in[0].dtype, spread_planes, args, chunk, n_chunks);
}

// x: the image's side; y: the pooled side; winners may be null.
const char* check_pool(const Args& args, const Tensor& x, const Tensor& y, const Tensor* winners) {
  if (args.n_ints != 6) return "takes 6 integer parameters";
  const int64_t* ints = args.ints;
  if (ints[0] < 1 || ints[1] < 1) return "the window must be 1 or more each way";
  if (ints[2] < 1 || ints[3] < 1) return "strides must be 1 or more";
  if (ints[4] < 0 || ints[5] < 0) return "padding must not be negative";
  const DType dtype = args.in[0].dtype;
  if (dtype != DType::Float32 && dtype != DType::Float64) return "computes in float32 or float64";
  if (const char* why = check_operand(x, "the image", dtype, 4, nullptr)) return why;
  if (const char* why = check_operand(y, "the pooled image", dtype, 4, nullptr)) return why;
  const int64_t shape[] = {x.shape[0], x.shape[1], y.shape[2], y.shape[3],
                           (ints[0] * ints[1] + 7) / 8};
  if (const char* why = check_operand(y, "the pooled image", dtype, 4, shape)) return why;
  return winners ? check_operand(*winners, "winners", DType::UInt8, 5, shape) : nullptr;
}

const char* pool_invalid(const Args& args) {
  if (args.n_in != 1) return "takes one input";
  if (args.n_out < 1 || args.n_out > 2) return "has one or two outputs";
  return check_pool(args, args.in[0], args.out[0], args.n_out > 1 ? args.out + 1 : nullptr);
}

const char* grad_invalid(const Args& args) {
  if (args.n_in != 2 || args.n_out != 1) return "takes two inputs and has one output";
  return check_pool(args, args.out[0], args.in[0], args.in + 1);
}

}  // namespace

extern const Kernel pool2d_kernel = {"pool2d", 1, {{pool_chunks, run_pool}}, nullptr, pool_invalid};
extern const Kernel pool2d_grad_kernel = {
    "pool2d_grad", 1, {{grad_chunks, run_grad}}, nullptr, grad_invalid};

}  // namespace tgm::TGM_TARGET
