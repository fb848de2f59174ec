// conv2d: x (N, C, H, W), w (O, C, KH, KW), extras (N, O, OH, OW) -> epilogue(convolution, extras)
//
// ints: stride_h, stride_w, pad_h, pad_w, flip. tapes: epilogue.
//
// With few taps, vectors of positions (conv_planes.hpp). Else the inner loop of conv_common.hpp,
// four pixels side by side in the output at a time: a tile of results lies pixel by pixel, is
// transposed to filter by filter, as the output has it, and goes through the epilogue in long rows.
#include "kernels/conv2d/check.hpp"
#include "kernels/conv2d/forward.hpp"
#include "kernels/conv2d/planes.hpp"
#include "kernels/core/table.hpp"

namespace tgm::TGM_TARGET {
namespace {

// Results of the positions [first, last), pixel by pixel: values[position][V vectors].
template <class T, int V>
void convolve_positions(const ConvShape& s, const Image<T>& images, const T* x, const T* filters,
                        const int64_t* offsets, Span positions, T* values) {
  const int64_t step_h = s.stride_h * images.stride[2], step_w = s.stride_w * images.stride[3];
  int64_t h = positions.first / s.OW, w = positions.first % s.OW;
  alignas(64) Accumulators<T, V> sums[kGroups];
  const T* pixels[kGroups][kPixels];
  for (int64_t q = positions.first; q < positions.last;) {
    int64_t n = 0;
    for (; n < kGroups && q < positions.last; n++, q += kPixels) {
      for (int p = 0; p < kPixels; p++) {
        pixels[n][p] = x + h * step_h + w * step_w;
        if (q + p + 1 >= positions.last) continue;  // the last pixel fills the group
        if (++w == s.OW) w = 0, h++;
      }
    }
    accumulate_groups<T, V>(pixels, n, offsets, s.taps(), filters, sums);
    std::memcpy(values, sums, n * sizeof sums[0]);
    values += n * kPixels * V * kLanes<T>;
  }
}

// Vectors of positions: see conv_planes.hpp.
template <class T>
void run_plane_tiles(const ConvShape& s, const Args& args, int64_t chunk, int64_t n_chunks) {
  alignas(64) T values[kTileElements];
  auto keep = [&]<int F>(const Accumulators<T, F>& acc, int64_t offset, int64_t pitch) {
#pragma GCC unroll 32
    for (int f = 0; f < F; f++) {
#pragma GCC unroll 32
      for (int p = 0; p < kPixels; p++) {
        store(values + offset + f * pitch + p * kLanes<T>, acc[p][f]);
      }
    }
  };
  auto finish = [&](const PlaneTile& tile) {
    const int64_t first = tile.filters.first, size = tile.filters.last - first;
    finish_tile(*args.tapes[0],
                {reinterpret_cast<const char*>(values), tile.pitch, 1, tile.image, first, size,
                 tile.windows.first, tile.count()},
                args.in + 2, args.out[0]);
  };
  run_planes<T>(s, args.in[0], args.workspace, chunk, n_chunks, keep, finish);
}

template <class T>
void run_tiles(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = conv_shape(args.in[0], args.in[1], args.ints, false);
  if (uses_planes<T>(s)) return run_plane_tiles<T>(s, args, chunk, n_chunks);
  const ForwardUnits<T> units(s);
  const ForwardWork<T> work = forward_work<T>(s, args.workspace);
  const Image<T> images = forward_image(s, args.in[0], work);
  alignas(64) T values[kTileElements + kPixels * kMaxFilterVectors * kLanes<T>];
  alignas(64) T rows[kTileElements];
  const Span span = span_of(units.count(), chunk, n_chunks);
  for (int64_t unit = span.first; unit < span.last; unit++) {
    const ForwardTile<T> tile(units, work, images, s.taps(), unit);
    const int64_t width = units.blocks.width(tile.block), size = units.blocks.size(tile.block);
    const int64_t n = tile.positions.last - tile.positions.first;
    with_width<kMaxFilterVectors>(width, [&]<int V>() {
      convolve_positions<T, V>(s, images, tile.x, tile.filters, work.offsets, tile.positions,
                               values);
    });
    transpose(values, width * kLanes<T>, rows, n, n, size);
    finish_tile(*args.tapes[0],
                {reinterpret_cast<const char*>(rows), n, 1, tile.image,
                 units.blocks.first(tile.block), size, tile.positions.first, n},
                args.in + 2, args.out[0]);
  }
}

ConvShape shape(const Args& args) { return conv_shape(args.in[0], args.in[1], args.ints, false); }

template <class T>
int64_t unit_chunks(const Args& args) {
  return forward_chunks<T>(shape(args));
}

template <class T>
int64_t pack_chunk_count(const Args& args) {
  return forward_pack_chunks<T>(shape(args));
}

template <class T>
size_t work_bytes(const Args& args) {
  return forward_bytes<T>(shape(args));
}

int64_t pack_chunks(const Args& args) {
  return TGM_FLOATS(args.in[0].dtype, pack_chunk_count, args);
}

void pack(const Args& args, int64_t chunk, int64_t n_chunks) {
  TGM_FLOATS(args.in[0].dtype, forward_pack, shape(args), args.in[0], args.in[1], args.workspace,
             chunk, n_chunks);
}

int64_t chunks(const Args& args) { return TGM_FLOATS(args.in[0].dtype, unit_chunks, args); }

void run(const Args& args, int64_t chunk, int64_t n_chunks) {
  TGM_FLOATS(args.in[0].dtype, run_tiles, args, chunk, n_chunks);
}

size_t workspace_bytes(const Args& args) { return TGM_FLOATS(args.in[0].dtype, work_bytes, args); }

const char* invalid(const Args& args) { return check_conv(args, {0, 1, kOut, -1, 2, false}); }

}  // namespace

extern const Kernel conv2d_kernel = {
    "conv2d", 2, {{pack_chunks, pack}, {chunks, run}}, workspace_bytes, invalid};

}  // namespace tgm::TGM_TARGET
