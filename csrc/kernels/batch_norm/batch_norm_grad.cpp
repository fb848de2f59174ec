// batch_norm_grad: the gradient of batch_norm's y, through mean and invstd too.
//
//   x, g (A, C, B), gamma (C), mean (C), invstd (C) -> dx (A, C, B), dgamma (C), dbeta (C)
//
// Phase 0 reads x and g and sums g and g * (x - mean), block by block (see blocks.hpp). Phase
// 1 combines the blocks of a channel, in double. Phase 2 reads both again and writes
//   dx = g * scale + (x - mean) * slope + shift,
// which is gamma * invstd * (g - dbeta / m - xhat * dgamma / m) with the terms of a channel
// combined in three numbers.
#include "kernel.hpp"
#include "kernels/batch_norm/blocks.hpp"
#include "kernels/core/by_dtype.hpp"

namespace tgm::TGM_TARGET {
namespace {

template <class T>
struct Work {
  T *sums, *products;  // of a block: [block][channel]
  T *centre, *scale, *slope, *shift;
  size_t bytes;

  Work(const NormShape& s, char* workspace) {
    WorkspaceLayout layout{workspace};
    for (T** part : {&sums, &products}) *part = layout.take<T>(s.blocks() * s.C);
    for (T** part : {&centre, &scale, &slope, &shift}) *part = layout.take<T>(s.C);
    bytes = layout.used;
  }
};

template <class T>
void block_sums(const NormShape& s, const NormBlock& block, const Work<T>& work, T mean,
                const NormRows<T>& x, const NormRows<T>& g) {
  T sums[2];
  sum_rows<T>(block.rows(), block.n, sums, [&](int64_t r, int64_t i, int64_t lanes, auto add) {
    const Vec<T> gradient = load_lanes(g.row(r) + i, lanes);
    add(0, gradient);
    add(1, gradient * (load_lanes(x.row(r) + i, lanes) - mean));
  });
  const int64_t at = block.number * s.C + block.channel;
  work.sums[at] = sums[0], work.products[at] = sums[1];
}

// The same where channels are side by side.
template <class T>
void column_sums(const NormShape& s, const NormBlock& block, const Work<T>& work,
                 const Tensor& mean, const NormRows<T>& x, const NormRows<T>& g) {
  T means[kNormWidth];
  for (int64_t i = 0; i < block.n; i++) means[i] = of_channel<T>(mean, block.channel + i);
  for_columns<T>(block.n, [&](int64_t i, int64_t lanes) {
    const Vec<T> centre = load_lanes(means + i, lanes);
    Vec<T> sums[2];
    sum_columns<T>(block.rows(), sums, [&](int64_t r, auto add) {
      const Vec<T> gradient = load(g.row(r) + i);
      add(0, gradient);
      add(1, gradient * (load(x.row(r) + i) - centre));
    });
    const int64_t at = block.number * s.C + block.channel + i;
    store_lanes(work.sums + at, sums[0], lanes);
    store_lanes(work.products + at, sums[1], lanes);
  });
}

template <class T>
void find_sums(const Args& args, int64_t chunk, int64_t n_chunks) {
  const NormShape s(args.in[0]);
  const Work<T> work(s, args.workspace);
  alignas(64) T x_buffer[kNormBlock], g_buffer[kNormBlock];
  for_norm_blocks(s, chunk, n_chunks, [&](const NormBlock& block) {
    const NormRows<T> x = block_rows(s, block, args.in[0], x_buffer);
    const NormRows<T> g = block_rows(s, block, args.in[1], g_buffer);
    if (s.across) {
      column_sums(s, block, work, args.in[3], x, g);
    } else {
      block_sums(s, block, work, of_channel<T>(args.in[3], block.channel), x, g);
    }
  });
}

template <class T>
void combine_channels(const Args& args, int64_t chunk, int64_t n_chunks) {
  const NormShape s(args.in[0]);
  const Work<T> work(s, args.workspace);
  const Tensor &dgamma = args.out[1], &dbeta = args.out[2];
  const double n = static_cast<double>(std::max<int64_t>(1, s.values()));
  const Span channels = span_of(s.C, chunk, n_chunks);
  for (int64_t c = channels.first; c < channels.last; c++) {
    double sum = 0, product = 0;
    for (int64_t block = 0; block < s.blocks(); block++) {
      sum += work.sums[block * s.C + c];
      product += work.products[block * s.C + c];
    }
    const double invstd = of_channel<T>(args.in[4], c);
    const double scale = of_channel<T>(args.in[2], c) * invstd;
    work.centre[c] = of_channel<T>(args.in[3], c);
    work.scale[c] = static_cast<T>(scale);
    work.slope[c] = static_cast<T>(-scale * invstd * invstd * product / n);
    work.shift[c] = static_cast<T>(-scale * sum / n);
    of_channel<T>(dgamma, c) = static_cast<T>(product * invstd);
    of_channel<T>(dbeta, c) = static_cast<T>(sum);
  }
}

template <class T>
void project_tiles(const Args& args, int64_t chunk, int64_t n_chunks) {
  const NormShape s(args.in[0]);
  const Work<T> work(s, args.workspace);
  const Tensor& dx = args.out[0];
  const Tensor* const inputs[2] = {args.in, args.in + 1};
  const bool direct = is_dense(s, dx);
  alignas(64) T values[kNormBlock];
  for_norm_tiles(s, chunk, n_chunks, [&](const NormTile& tile) {
    for_runs<T>(s, inputs, tile, [&](int64_t c, int64_t a, int64_t p, int64_t n, auto& from) {
      T* const row = dx.as<T>() + a * dx.stride[0];
      T* const to = direct ? row + p : values;
      if (s.across) {
        const T *centre = work.centre + c, *scale = work.scale + c, *slope = work.slope + c,
                *shift = work.shift + c;
        map_run<T>(from, n, to, [=](const auto& in, int64_t i, int64_t lanes) {
          const Vec<T> rest = fmadd(in[0] - load_lanes(centre + i, lanes),
                                    load_lanes(slope + i, lanes), load_lanes(shift + i, lanes));
          return fmadd(in[1], load_lanes(scale + i, lanes), rest);
        });
      } else {
        const Vec<T> centre = splat(work.centre[c]), scale = splat(work.scale[c]),
                     slope = splat(work.slope[c]), shift = splat(work.shift[c]);
        map_run<T>(from, n, to, [=](const auto& in, int64_t, int64_t) {
          return fmadd(in[1], scale, fmadd(in[0] - centre, slope, shift));
        });
      }
      if (direct) return;
      for (int64_t i = 0; i < n; i++) {
        row[(p + i) / s.B * dx.stride[1] + (p + i) % s.B * dx.stride[2]] = values[i];
      }
    });
  });
}

template <class T>
size_t work_bytes(const Args& args) {
  return Work<T>(NormShape(args.in[0]), nullptr).bytes;
}

int64_t tile_chunks(const Args& args) { return NormShape(args.in[0]).tile_chunks(kNormFlops); }

const char* invalid(const Args& args) {
  if (args.n_in != 5 || args.n_out != 3 || args.n_ints != 0 || args.n_tapes != 0) {
    return "takes x, g, gamma, mean and invstd, and has three outputs";
  }
  const Tensor& x = args.in[0];
  const char* why = check_floats(x);
  if (!why) why = check_values(args.in[1], "input 1 (g)", x);
  if (!why) why = check_channels(args.in[2], "input 2 (gamma)", x);
  if (!why) why = check_channels(args.in[3], "input 3 (mean)", x);
  if (!why) why = check_channels(args.in[4], "input 4 (invstd)", x);
  if (!why) why = check_values(args.out[0], "output 0 (dx)", x);
  if (!why) why = check_channels(args.out[1], "output 1 (dgamma)", x);
  return why ? why : check_channels(args.out[2], "output 2 (dbeta)", x);
}

}  // namespace

extern const Kernel batch_norm_grad_kernel = {
    "batch_norm_grad",
    3,
    {{norm_block_chunks, TGM_BY_DTYPE(find_sums)},
     {norm_channel_chunks, TGM_BY_DTYPE(combine_channels)},
     {tile_chunks, TGM_BY_DTYPE(project_tiles)}},
    TGM_BY_DTYPE(work_bytes),
    invalid};

}  // namespace tgm::TGM_TARGET
