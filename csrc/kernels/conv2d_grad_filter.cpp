// conv2d_grad_filter: the filters' gradient.
//
//   x (N, C, H, W), g (N, O, OH, OW), extras (O, C, KH, KW) -> epilogue(dw, extras)
//   (the output may alias an extra: an update in place)
// ints: stride_h, stride_w, pad_h, pad_w, flip. tapes: epilogue.
//
//   dw[o] = sum over images and positions of g * (patch of x there)
//
// Phase 0 packs x channels last. Phase 1 keeps the sums of up to three filters x four vectors of a
// patch in registers while it goes over all positions of a block of images that fits the L1 cache.
#include "kernels/conv_check.hpp"
#include "kernels/patch_rows.hpp"
#include "kernels/table.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int kFilters = 3;        // that share what is loaded of x
constexpr int kSharedVectors = 4;  // of a patch
constexpr int64_t kBlockBytes = 24 * 1024;

ConvShape shape(const Args& args) { return conv_shape(args.in[0], args.out[0], args.ints, false); }

template <class T>
struct Work {
  T* images;   // [n][h][w][c]
  T* sums;     // [o][kh][padded row]
  T* filters;  // [o][c][kh][kw], before the epilogue
  T* turned;   // [o][kh][kw][c], on the way there
  size_t bytes;

  Work(const ConvShape& s, char* workspace) {
    Pieces pieces{workspace};
    images = pieces.take<T>(PatchImages<T>(s).size(s.N));
    sums = pieces.take<T>(s.O * s.KH * PatchRows<T>(s, kSharedVectors).padded());
    filters = pieces.take<T>(s.O * s.taps());
    turned = pieces.take<T>(s.O * s.taps());
    bytes = pieces.used;
  }
};

// The positions of one image under a patch block, and the block's sums for F filters.
template <class T>
struct Plane {
  const T* x;   // first position's patch
  int64_t row;  // from one row of the image to the next
  int64_t step_h, step_w;
  const T* g;  // first filter, first position
  int64_t g_filter, g_h, g_w;
  int64_t height, width;
  T* sums;
  int64_t sums_filter, sums_row;
};

template <class T, int F, int R, int V>
void add_plane(const Plane<T>& plane) {
  constexpr int L = kLanes<T>;
  Vec<T> sum[F][R][V];
  auto each = [&](auto visit) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int f = 0; f < F; f++) {
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
          visit(sum[f][r][v], plane.sums + f * plane.sums_filter + r * plane.sums_row + v * L);
        }
      }
    }
  };
  each([](Vec<T>& s, const T* from) { s = load(from); });
  for (int64_t h = 0; h < plane.height; h++) {
    const T* x = plane.x + h * plane.step_h;
    const T* g = plane.g + h * plane.g_h;
    for (int64_t w = 0; w < plane.width; w++, x += plane.step_w, g += plane.g_w) {
      Vec<T> patch[R][V];
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) patch[r][v] = load(x + r * plane.row + v * L);
      }
#pragma GCC unroll 4
      for (int f = 0; f < F; f++) {
        const Vec<T> factor = splat<T>(g[f * plane.g_filter]);
#pragma GCC unroll 4
        for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
          for (int v = 0; v < V; v++) sum[f][r][v] = fmadd(factor, patch[r][v], sum[f][r][v]);
        }
      }
    }
  }
  each([](Vec<T>& s, T* to) { store(to, s); });
}

template <class T, int F>
void add_plane_of(const Plane<T>& plane, int64_t rows, int64_t vectors) {
  if (rows == 1) {
    if (vectors == 1) return add_plane<T, F, 1, 1>(plane);
    if (vectors == 2) return add_plane<T, F, 1, 2>(plane);
    if (vectors == 3) return add_plane<T, F, 1, 3>(plane);
    return add_plane<T, F, 1, 4>(plane);
  }
  if (vectors == 2) return add_plane<T, F, 2, 2>(plane);
  if (rows == 2) return add_plane<T, F, 2, 1>(plane);
  if (rows == 3) return add_plane<T, F, 3, 1>(plane);
  return add_plane<T, F, 4, 1>(plane);
}

int64_t pack_chunks(const Args& args) {
  const ConvShape s = shape(args);
  return std::max<int64_t>(1, chunks_for(s.N, kPackFlops * s.C * s.H * s.W));
}

template <class T>
void pack_images(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const Work<T> work(s, args.workspace);
  const int64_t image = PatchImages<T>(s).image;
  const Span span = span_of(s.N, chunk, n_chunks);
  for (int64_t n = span.first; n < span.last; n++) {
    pack_patch_image(s, args.in[0], n, work.images + n * image);
  }
  if (chunk == 0) std::memset(work.images + s.N * image, 0, kLanes<T> * sizeof(T));
}

// A chunk is a number of groups of filters.
int64_t groups(const ConvShape& s) { return ceil_div(s.O, kFilters); }

int64_t filter_chunks(const Args& args) {
  const ConvShape s = shape(args);
  const int64_t flops =
      s.O * s.taps() * (2 * s.N * s.OH * s.OW + 4 + epilogue_cost(*args.tapes[0]));
  return chunks_for(groups(s), flops / std::max<int64_t>(1, groups(s)));
}

// Adds the images [first, last) to the sums of the filters [o, o + n).
template <class T>
void add_images(const ConvShape& s, const Work<T>& work, const Tensor& g, Span images, int64_t o,
                int64_t n) {
  const PatchRows<T> rows(s, kSharedVectors);
  const PatchImages<T> packed(s);
  const int64_t padded = rows.padded();
  for (int64_t block = 0; block < rows.blocks(); block++) {
    const Span r = rows.block_rows(block), v = rows.block_vectors(block);
    for (int64_t image = images.first; image < images.last; image++) {
      const Plane<T> plane{
          work.images + image * packed.image + r.first * packed.row + v.first * kLanes<T>,
          packed.row,
          s.stride_h * packed.row,
          s.stride_w * s.C,
          g.as<T>() + image * g.stride[0] + o * g.stride[1],
          g.stride[1],
          g.stride[2],
          g.stride[3],
          s.OH,
          s.OW,
          work.sums + (o * s.KH + r.first) * padded + v.first * kLanes<T>,
          s.KH * padded,
          padded};
      const int64_t down = r.last - r.first, across = v.last - v.first;
      if (n == 1) {
        add_plane_of<T, 1>(plane, down, across);
      } else if (n == 2) {
        add_plane_of<T, 2>(plane, down, across);
      } else {
        add_plane_of<T, 3>(plane, down, across);
      }
    }
  }
}

template <class T>
void sum_filters(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const Work<T> work(s, args.workspace);
  const Span span = span_of(groups(s), chunk, n_chunks);
  const int64_t first_filter = span_of(s.O, span.first, groups(s)).first;
  const int64_t n_filters = span_of(s.O, span.last, groups(s)).first - first_filter;
  const int64_t padded = PatchRows<T>(s, kSharedVectors).padded(), filter_sums = s.KH * padded;
  std::memset(work.sums + first_filter * filter_sums, 0, n_filters * filter_sums * sizeof(T));
  const int64_t image_bytes = std::max<int64_t>(1, PatchImages<T>(s).image * sizeof(T));
  const int64_t together = std::max<int64_t>(1, kBlockBytes / image_bytes);
  for (int64_t first = 0; first < s.N; first += together) {
    for (int64_t group = span.first; group < span.last; group++) {
      const Span o = span_of(s.O, group, groups(s));
      add_images(s, work, args.in[1], {first, std::min(s.N, first + together)}, o.first,
                 o.last - o.first);
    }
  }
  T* const result = work.filters + first_filter * s.taps();
  for (int64_t o = 0; o < n_filters; o++) {
    unpack_filter(s, work.sums + (first_filter + o) * filter_sums, padded,
                  work.turned + (first_filter + o) * s.taps(), result + o * s.taps());
  }
  finish_tile(
      *args.tapes[0],
      {reinterpret_cast<const char*>(result), s.taps(), 0, 0, first_filter, n_filters, 0, s.taps()},
      args.in + 2, args.out[0]);
}

template <class T>
size_t work_bytes(const Args& args) {
  return Work<T>(shape(args), nullptr).bytes;
}

void pack(const Args& args, int64_t chunk, int64_t n_chunks) {
  TGM_FLOATS(args.in[0].dtype, pack_images, args, chunk, n_chunks);
}

void run(const Args& args, int64_t chunk, int64_t n_chunks) {
  TGM_FLOATS(args.in[0].dtype, sum_filters, args, chunk, n_chunks);
}

size_t workspace_bytes(const Args& args) { return TGM_FLOATS(args.in[0].dtype, work_bytes, args); }

const char* invalid(const Args& args) { return check_conv(args, {0, kOut, 1, -1, 2, false}); }

}  // namespace

extern const Kernel conv2d_grad_filter_kernel = {
    "conv2d_grad_filter", 2, {{pack_chunks, pack}, {filter_chunks, run}}, workspace_bytes, invalid};

}  // namespace tgm::TGM_TARGET
