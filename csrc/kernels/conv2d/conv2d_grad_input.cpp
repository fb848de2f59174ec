// conv2d_grad_input: the input's gradient.
//
//   w (O, C, KH, KW), g (N, O, OH, OW), extras (N, C, H, W) -> epilogue(dx, extras)
// ints: stride_h, stride_w, pad_h, pad_w, flip. tapes: epilogue.
//
// A pixel of dx meets the taps whose number, modulo the stride, is its own: the pixels of one such
// *phase* are a convolution of g, stride 1, with every stride-th tap. Each goes through the loop of
// filter_vectors.hpp, with the channels of x as its filters. Phase 0 of the kernel packs those taps
// by phase and copies g into zeros, so that every tap of every pixel finds a value.
#include "kernel.hpp"
#include "kernels/conv2d/filter_vectors.hpp"
#include "kernels/conv2d/image_vectors.hpp"
#include "kernels/core/by_dtype.hpp"
#include "kernels/core/workspace.hpp"

namespace tgm::TGM_TARGET {
namespace {

ConvShape shape(const Args& args) { return conv_shape(args.out[0], args.in[0], args); }

constexpr int64_t kPackChunks = 16;

// One axis of the problem. Position r of the padded image, r = phase + stride * m, meets the taps
// phase + stride * t at the output's positions m - t.
struct Axis {
  int64_t stride, kernel, pad, before, size;  // zeros before, size of g with its zeros

  Axis(int64_t stride, int64_t kernel, int64_t pad, int64_t image, int64_t output)
      : stride(stride),
        kernel(kernel),
        pad(pad),
        before(ceil_div(kernel, stride) - 1),
        size(before + std::max(output, ceil_div(image + 2 * pad, stride))) {}

  int64_t taps(int64_t phase) const {
    return phase < kernel ? ceil_div(kernel - phase, stride) : 0;
  }
  // The first pixel of a phase, and where its taps start in g with its zeros.
  int64_t first(int64_t phase) const { return (phase + stride - pad % stride) % stride; }
  int64_t start(int64_t phase) const { return before + (first(phase) + pad) / stride; }
  // How many pixels of a phase come before pixel r of x, and whether that is one.
  int64_t count(int64_t phase, int64_t r) const {
    return ceil_div(std::max<int64_t>(0, r - first(phase)), stride);
  }
  bool has(int64_t phase, int64_t r) const { return (r + pad) % stride == phase; }
};

template <class T>
struct Work {
  Axis h, w;
  Units<T> units;       // its filters are the channels
  PaddedPlanes padded;  // g with zeros around
  T* filters;           // [phase][block][tap: o, t_h, t_w][channel of the block]
  int64_t* offsets;     // [phase][tap], in the padded g
  T* g;                 // [n][o][h.size][w.size], the last two in `padded.plane` elements
  size_t bytes;

  Work(const Args& args, const ConvShape& s, char* workspace)
      : h(s.stride_h, s.KH, s.pad_h, s.H, s.OH),
        w(s.stride_w, s.KW, s.pad_w, s.W, s.OW),
        units(s.C, s.N, s.H * s.W,
              2 * s.O * s.KH * s.KW / (s.stride_h * s.stride_w) + epilogue_cost(*args.tapes[0])),
        padded{h.before, w.before, h.size, w.size, h.size * w.size} {
    // Planes a multiple of 256 bytes apart would crowd into a few sets of the first-level cache.
    if (padded.plane * sizeof(T) % 256 == 0) padded.plane += 64 / sizeof(T);
    WorkspaceLayout layout{workspace};
    filters = layout.take<T>(units.blocks.packed_size(s.O * s.KH * s.KW));
    offsets = layout.take<int64_t>(s.O * s.KH * s.KW);
    g = layout.take<T>(s.N * s.O * padded.plane);
    bytes = layout.used;
  }

  // Calls visit(phase_h, phase_w, taps of one o, taps of one o in the phases before).
  template <class Visit>
  void for_phases(Visit visit) const {
    int64_t before = 0;
    for (int64_t i = 0; i < h.stride; i++) {
      for (int64_t j = 0; j < w.stride; j++) {
        const int64_t taps = h.taps(i) * w.taps(j);
        visit(i, j, taps, before);
        before += taps;
      }
    }
  }
  // The packed taps of a phase: `taps` of all o, behind `before`.
  T* filters_of(int64_t block, int64_t taps, int64_t before) const {
    return filters + before * units.blocks.vectors * kLanes<T> + units.blocks.first(block) * taps;
  }
};

int64_t pack_chunks(const Args& args) {
  const ConvShape s = shape(args);
  const ImageVectors lanes = ImageVectors::grad_input(s, args, nullptr);
  if (lanes.fits()) return lanes.pack_chunks();
  return s.N * s.C * s.H * s.W == 0 ? 0 : 1 + std::min(kPackChunks, s.N);
}

// Filters and offsets, phase by phase.
template <class T>
void pack_taps(const ConvShape& s, const Work<T>& work, const Tensor& w) {
  const FilterBlocks<T>& blocks = work.units.blocks;
  const int64_t sign = s.flip ? -1 : 1;
  work.for_phases([&](int64_t i, int64_t j, int64_t one_o, int64_t before) {
    const int64_t kh = s.flip ? s.KH - 1 - i : i, kw = s.flip ? s.KW - 1 - j : j;
    const FilterView<T> view{w.as<T>() + kh * w.stride[2] + kw * w.stride[3],
                             s.O,
                             work.h.taps(i),
                             work.w.taps(j),
                             {w.stride[1], w.stride[0], sign * s.stride_h * w.stride[2],
                              sign * s.stride_w * w.stride[3]}};
    for (int64_t block = 0; block < blocks.count; block++) {
      pack_filters(view, blocks.first(block), blocks.size(block), blocks.width(block) * kLanes<T>,
                   work.filters_of(block, s.O * one_o, s.O * before));
    }
    int64_t* to = work.offsets + s.O * before;
    for (int64_t o = 0; o < s.O; o++) {
      for (int64_t t = 0; t < one_o; t++) {
        *to++ = o * work.padded.plane - t / view.W * work.w.size - t % view.W;
      }
    }
  });
}

template <class T>
void pack_operands(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const ImageVectors lanes = ImageVectors::grad_input(s, args, args.workspace);
  if (lanes.fits()) return lanes.pack(args, chunk);
  const Work<T> work(args, s, args.workspace);
  if (chunk == 0) return pack_taps(s, work, args.in[0]);
  const Span span = span_of(s.N, chunk - 1, n_chunks - 1);
  for (int64_t n = span.first; n < span.last; n++) {
    pad_image(work.padded, args.in[1], n, work.g + n * s.O * work.padded.plane);
  }
}

// The sums of a unit's pixels, phase by phase: values [pixel][vector][lane].
template <class T>
void convolve_phases(const ConvShape& s, const Work<T>& work, const Unit& unit, T* values) {
  const int64_t vectors = work.units.blocks.width(unit.block), row = vectors * kLanes<T>;
  alignas(64) T buffer[kTileElements + kPixels * kMaxFilterVectors * kLanes<T>];
  const bool one_phase = s.stride_h == 1 && s.stride_w == 1;
  T* const sums = one_phase ? values : buffer;
  work.for_phases([&](int64_t i, int64_t j, int64_t one_o, int64_t before) {
    // The phase's pixels are a grid of this width, of which the unit has a span.
    const int64_t width = work.w.count(j, s.W);
    auto count = [&](int64_t q) {
      const int64_t h = q / s.W;
      return work.h.count(i, h) * width + (work.h.has(i, h) ? work.w.count(j, q % s.W) : 0);
    };
    const Span span{count(unit.positions.first), count(unit.positions.last)};
    if (span.first == span.last) return;
    const Taps<T> taps{work.offsets + s.O * before, s.O * one_o,
                       work.filters_of(unit.block, s.O * one_o, s.O * before), vectors};
    const T* g = work.g + unit.image * s.O * work.padded.plane;
    const Positions<T> positions{g + work.h.start(i) * work.w.size + work.w.start(j), work.w.size,
                                 1, width};
    convolve_positions(taps, positions, span, sums);
    if (one_phase) return;
    int64_t column = span.first % width;
    const int64_t first = (work.h.first(i) + span.first / width * s.stride_h) * s.W +
                          work.w.first(j) + column * s.stride_w;
    T* to = values + (first - unit.positions.first) * row;
    for (int64_t k = 0; k < span.last - span.first; k++, to += s.stride_w * row) {
      copy_row(sums + k * row, 1, row, to, 1);
      if (++column < width) continue;
      column = 0;
      to += (s.stride_h * s.W - s.stride_w * width) * row;
    }
  });
}

template <class T>
int64_t unit_chunks(const Args& args) {
  const ConvShape s = shape(args);
  const ImageVectors lanes = ImageVectors::grad_input(s, args, nullptr);
  return lanes.fits() ? lanes.chunks() : Work<T>(args, s, nullptr).units.chunks();
}

template <class T>
void run_phases(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const ImageVectors lanes = ImageVectors::grad_input(s, args, args.workspace);
  if (lanes.fits()) return lanes.run(args, chunk, n_chunks);
  const Work<T> work(args, s, args.workspace);
  run_units(work.units, args, 2, chunk, n_chunks,
            [&](const Unit& unit, T* values) { convolve_phases(s, work, unit, values); });
}

template <class T>
size_t work_bytes(const Args& args) {
  const ConvShape s = shape(args);
  const ImageVectors lanes = ImageVectors::grad_input(s, args, nullptr);
  return lanes.fits() ? lanes.workspace_bytes : Work<T>(args, s, nullptr).bytes;
}

}  // namespace

extern const Kernel conv2d_grad_input_kernel = {
    "conv2d_grad_input",
    2,
    {{pack_chunks, TGM_BY_DTYPE(pack_operands)},
     {TGM_BY_DTYPE(unit_chunks), TGM_BY_DTYPE(run_phases)}},
    TGM_BY_DTYPE(work_bytes),
    [](const Args& args) { return check_conv(args, {kOut, 0, 1}); }};

}  // namespace tgm::TGM_TARGET
