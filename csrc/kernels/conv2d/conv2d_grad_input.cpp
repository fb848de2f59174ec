// conv2d_grad_input: the input's gradient.
//
//   w (O, C, KH, KW), g (N, O, OH, OW), extras (N, C, H, W) -> epilogue(dx, extras)
// ints: stride_h, stride_w, pad_h, pad_w, flip. tapes: epilogue.
//
// A pixel of dx meets the taps whose number, modulo the stride, is its own: the pixels of one
// such *phase* are a convolution of g, stride 1, with every stride-th tap. Each goes through the
// inner loop of filter_vectors.hpp, with the channels of x as its filters. PhasePixels 0 packs
// those taps by phase and copies g into zeros, so that every tap of every pixel finds a value.
#include "kernel.hpp"
#include "kernels/conv2d/filter_vectors.hpp"
#include "kernels/core/by_dtype.hpp"
#include "kernels/core/workspace.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kPackChunks = 16;

ConvShape shape(const Args& args) { return conv_shape(args.out[0], args.in[0], args); }

// One axis of the problem. Position r of the padded image, r = phase + stride * m, meets the taps
// phase + stride * t at the output's positions m - t.
struct Axis {
  int64_t stride, kernel, before, size;  // zeros before, size of g with its zeros

  Axis(int64_t stride, int64_t kernel, int64_t image, int64_t output)
      : stride(stride),
        kernel(kernel),
        before(ceil_div(kernel, stride) - 1),
        size(before + std::max(output, ceil_div(image, stride))) {}
  int64_t phases() const { return stride; }
  int64_t taps(int64_t phase) const {
    return phase < kernel ? ceil_div(kernel - phase, stride) : 0;
  }
};

template <class T>
struct Work {
  FilterBlocks<T> blocks;  // of channels
  Axis h, w;
  T* filters;        // [phase][block][tap: o, t_h, t_w][channel of the block]
  int64_t* offsets;  // [phase][tap], in the padded g
  T* g;              // [n][o][h.size][w.size], the last two in `plane` elements
  int64_t plane;
  size_t bytes;

  Work(const ConvShape& s, char* workspace)
      : blocks(s.C),
        h(s.stride_h, s.KH, s.padded_h(), s.OH),
        w(s.stride_w, s.KW, s.padded_w(), s.OW) {
    // Planes a multiple of 256 bytes apart would crowd into a few sets of the first-level cache.
    plane = h.size * w.size;
    if (plane * sizeof(T) % 256 == 0) plane += 64 / sizeof(T);
    WorkspaceLayout layout{workspace};
    filters = layout.take<T>(blocks.packed_size(s.O * s.KH * s.KW));
    offsets = layout.take<int64_t>(s.O * s.KH * s.KW);
    g = layout.take<T>(s.N * s.O * plane);
    bytes = layout.used;
  }

  // Taps of one filter in the phases before (phase_h, phase_w).
  int64_t taps_before(int64_t phase_h, int64_t phase_w) const {
    int64_t n = 0;
    for (int64_t i = 0; i < phase_h; i++) n += h.taps(i) * w.kernel;
    for (int64_t j = 0; j < phase_w; j++) n += h.taps(phase_h) * w.taps(j);
    return n;
  }
};

int64_t pack_chunks(const Args& args) {
  const ConvShape s = shape(args);
  if (s.N * s.C * s.H * s.W == 0) return 0;
  return 1 + std::min(kPackChunks, s.N);
}

// Filters and offsets, phase by phase.
template <class T>
void pack_taps(const ConvShape& s, const Work<T>& work, const Tensor& w) {
  for (int64_t phase = 0; phase < work.h.phases() * work.w.phases(); phase++) {
    const int64_t phase_h = phase / work.w.phases(), phase_w = phase % work.w.phases();
    const int64_t down = work.h.taps(phase_h), across = work.w.taps(phase_w);
    const int64_t before = s.O * work.taps_before(phase_h, phase_w), taps = s.O * down * across;
    for (int64_t block = 0; block < work.blocks.count; block++) {
      const int64_t first = work.blocks.first(block), width = work.blocks.width(block) * kLanes<T>;
      T* to = work.filters + before * work.blocks.vectors * kLanes<T> + first * taps;
      for (int64_t t = 0; t < taps; t++, to += width) {
        const int64_t o = t / (down * across);
        int64_t kh = phase_h + t / across % down * s.stride_h;
        int64_t kw = phase_w + t % across * s.stride_w;
        if (s.flip) kh = s.KH - 1 - kh, kw = s.KW - 1 - kw;
        const T* from =
            w.as<T>() + o * w.stride[0] + first * w.stride[1] + kh * w.stride[2] + kw * w.stride[3];
        const int64_t n = work.blocks.size(block);
        for (int64_t c = 0; c < n; c++) to[c] = from[c * w.stride[1]];
        for (int64_t c = n; c < width; c++) to[c] = T(0);
      }
    }
    for (int64_t t = 0; t < taps; t++) {
      const int64_t o = t / (down * across), t_h = t / across % down, t_w = t % across;
      work.offsets[before + t] = o * work.plane - t_h * work.w.size - t_w;
    }
  }
}

template <class T>
void pack_operands(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const Work<T> work(s, args.workspace);
  if (chunk == 0) return pack_taps(s, work, args.in[0]);
  const Tensor& g = args.in[1];
  const Span span = span_of(s.N, chunk - 1, n_chunks - 1);
  const int64_t image = s.O * work.plane;
  std::memset(work.g + span.first * image, 0, (span.last - span.first) * image * sizeof(T));
  for (int64_t row = span.first * s.O * s.OH; row < span.last * s.O * s.OH; row++) {
    const int64_t n = row / (s.O * s.OH), o = row / s.OH % s.O, i = row % s.OH;
    const T* from = g.as<T>() + n * g.stride[0] + o * g.stride[1] + i * g.stride[2];
    T* to = work.g + (n * s.O + o) * work.plane + (work.h.before + i) * work.w.size;
    for (int64_t j = 0; j < s.OW; j++) to[work.w.before + j] = from[j * g.stride[3]];
  }
}

// Units of work: an image x a tile of its pixels (whole rows, or part of one) x a block of
// channels.
template <class T>
struct Units {
  FilterBlocks<T> blocks;
  int64_t width, height;  // of a tile
  int64_t across, down, count;

  explicit Units(const ConvShape& s) : blocks(s.C) {
    const int64_t lanes = ceil_div(blocks.vectors, std::max<int64_t>(1, blocks.count)) * kLanes<T>;
    const int64_t pixels = kTileElements / std::max<int64_t>(1, lanes);
    width = std::clamp<int64_t>(s.W, 1, pixels);
    height = width < s.W ? 1 : std::clamp<int64_t>(s.H, 1, pixels / width);
    // Enough tiles for some threads, if there is work for them.
    const int64_t rows_flops = 2 * s.W * lanes * s.O * s.KH * s.KW;
    const int64_t worth = std::max<int64_t>(1, kChunkFlops / std::max<int64_t>(1, rows_flops));
    if (s.N * blocks.count < kPackChunks) height = std::min(height, worth);
    across = ceil_div(s.W, width), down = ceil_div(s.H, height);
    count = s.N * across * down * blocks.count;
  }
};

// Pixels of a tile that are of one phase: where their taps start in g, and their values.
template <class T>
struct PhasePixels {
  int64_t rows, columns;
  const T* g;
  int64_t g_row;  // elements of g between rows
  T* values;
  int64_t row, column;  // elements of values between rows and between columns
};

// Groups of pixels go on from row to row, so that only a tile's last is not full.
template <class T, int V>
TGM_NOINLINE void convolve_phase(const PhasePixels<T>& phase, const T* filters,
                                 const int64_t* offsets, int64_t taps) {
  const int64_t count = phase.rows * phase.columns;
  int64_t row = 0, column = 0;
  for (int64_t first = 0; first < count; first += kPixels) {
    const T* pixel[kPixels];
    T* to[kPixels];
    for (int p = 0; p < kPixels; p++) {
      pixel[p] = phase.g + row * phase.g_row + column;
      to[p] = phase.values + row * phase.row + column * phase.column;
      if (first + p + 1 >= count) continue;  // the last one again
      if (++column == phase.columns) column = 0, row++;
    }
    Accumulators<T, V> acc;
    accumulate_taps<T, V>(pixel, offsets, taps, filters, acc);
#pragma GCC unroll 32
    for (int p = 0; p < kPixels; p++) {
#pragma GCC unroll 32
      for (int v = 0; v < V; v++) store(to[p] + v * kLanes<T>, acc[p][v]);
    }
  }
}

// Rows and columns of an image, phase by phase.
template <class T, int V>
void convolve_tile(const ConvShape& s, const Work<T>& work, int64_t image, int64_t block, Span rows,
                   Span columns, T* values) {
  constexpr int64_t kWidth = V * kLanes<T>;
  const int64_t n_rows = rows.last - rows.first, n_columns = columns.last - columns.first;
  for (int64_t i = 0; i < std::min(s.stride_h, n_rows); i++) {
    const int64_t h = rows.first + i + s.pad_h, phase_h = h % s.stride_h, m_h = h / s.stride_h;
    const T* g = work.g + image * s.O * work.plane + (m_h + work.h.before) * work.w.size;
    for (int64_t j = 0; j < std::min(s.stride_w, n_columns); j++) {
      const int64_t w = columns.first + j + s.pad_w;
      const int64_t phase_w = w % s.stride_w, m_w = w / s.stride_w;
      const int64_t before = s.O * work.taps_before(phase_h, phase_w);
      const int64_t taps = s.O * work.h.taps(phase_h) * work.w.taps(phase_w);
      const T* filters =
          work.filters + before * work.blocks.vectors * kLanes<T> + work.blocks.first(block) * taps;
      const PhasePixels<T> phase{ceil_div(n_rows - i, s.stride_h),
                                 ceil_div(n_columns - j, s.stride_w),
                                 g + m_w + work.w.before,
                                 work.w.size,
                                 values + (i * n_columns + j) * kWidth,
                                 s.stride_h * n_columns * kWidth,
                                 s.stride_w * kWidth};
      convolve_phase<T, V>(phase, filters, work.offsets + before, taps);
    }
  }
}

template <class T>
void run_units(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const Work<T> work(s, args.workspace);
  const Units<T> units(s);
  alignas(64) T values[kTileElements], result[kTileElements];
  const Span span = span_of(units.count, chunk, n_chunks);
  for (int64_t unit = span.first; unit < span.last; unit++) {
    const int64_t block = unit % units.blocks.count, tile = unit / units.blocks.count;
    const int64_t image = tile / (units.across * units.down);
    const int64_t h = tile / units.across % units.down * units.height;
    const int64_t w = tile % units.across * units.width;
    const Span rows{h, std::min(s.H, h + units.height)};
    const Span columns{w, std::min(s.W, w + units.width)};
    const int64_t pixels = (rows.last - h) * (columns.last - w);
    const int64_t width = units.blocks.width(block), size = units.blocks.size(block);
    with_width<kMaxFilterVectors>(
        width, [&]<int V>() { convolve_tile<T, V>(s, work, image, block, rows, columns, values); });
    transpose(values, width * kLanes<T>, result, pixels, pixels, size);
    finish_tile(*args.tapes[0],
                {reinterpret_cast<const char*>(result), pixels, 1, image, units.blocks.first(block),
                 size, h * s.W + w, pixels},
                args.in + 2, args.out[0]);
  }
}

template <class T>
int64_t unit_chunks(const Args& args) {
  const ConvShape s = shape(args);
  const Units<T> units(s);
  if (units.count == 0) return 0;
  const int64_t flops =
      s.N * s.C * s.H * s.W *
      (2 * s.O * s.KH * s.KW / (s.stride_h * s.stride_w) + epilogue_cost(*args.tapes[0]));
  return chunks_for(units.count, flops / units.count);
}

template <class T>
size_t work_bytes(const Args& args) {
  return Work<T>(shape(args), nullptr).bytes;
}

const char* invalid(const Args& args) { return check_conv(args, {kOut, 0, 1, -1, 2, false}); }

}  // namespace

extern const Kernel conv2d_grad_input_kernel = {
    "conv2d_grad_input",
    2,
    {{pack_chunks, TGM_BY_DTYPE(pack_operands)},
     {TGM_BY_DTYPE(unit_chunks), TGM_BY_DTYPE(run_units)}},
    TGM_BY_DTYPE(work_bytes),
    invalid};

}  // namespace tgm::TGM_TARGET
