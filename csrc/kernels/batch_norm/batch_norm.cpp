// batch_norm: normalises the values of each channel, scales and shifts them.
//
//   x (A, C, B), gamma (C), beta (C), epsilon (), extras (A, C, B)
//     -> epilogue((x - mean) * invstd * gamma + beta, extras), mean, invstd, variance (C)
// tapes: epilogue.
//
// Phase 0 reads x once and computes, for each block (see blocks.hpp), its mean, then the sums of
// the differences from that mean and of their squares: nothing cancels. The sum of differences,
// which would be zero without rounding, corrects both. Phase 1 combines the blocks of a channel, in
// double. Phase 2 reads x again and writes y.
#include <cmath>
#include <limits>

#include "kernel.hpp"
#include "kernels/batch_norm/blocks.hpp"
#include "kernels/core/by_dtype.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int kOwnInputs = 4;

template <class T>
struct Work {
  T *means, *rests, *squares;  // of a block: [block][channel]
  T *centre, *scale, *shift;   // y = (x - centre) * scale + shift
  size_t bytes;

  Work(const NormShape& s, char* workspace) {
    WorkspaceLayout layout{workspace};
    for (T** part : {&means, &rests, &squares}) *part = layout.take<T>(s.blocks() * s.C);
    for (T** part : {&centre, &scale, &shift}) *part = layout.take<T>(s.C);
    bytes = layout.used;
  }
};

template <class T>
void block_statistics(const NormShape& s, const NormBlock& block, const Work<T>& work,
                      const NormRows<T>& x) {
  const int64_t at = block.number * s.C + block.channel;
  T sum[1], sums[2];
  sum_rows<T>(block.rows(), block.n, sum, [&](int64_t r, int64_t i, int64_t lanes, auto add) {
    add(0, load_lanes(x.row(r) + i, lanes));
  });
  const T mean = sum[0] / static_cast<T>(block.count());
  sum_rows<T>(block.rows(), block.n, sums, [&](int64_t r, int64_t i, int64_t lanes, auto add) {
    const Vec<T> difference = load_lanes(x.row(r) + i, lanes) - mean;
    add(0, difference);
    add(1, difference * difference);
  });
  work.means[at] = mean, work.rests[at] = sums[0], work.squares[at] = sums[1];
}

// The same where channels are side by side.
template <class T>
void column_statistics(const NormShape& s, const NormBlock& block, const Work<T>& work,
                       const NormRows<T>& x) {
  for_columns<T>(block.n, [&](int64_t i, int64_t lanes) {
    const int64_t at = block.number * s.C + block.channel + i;
    Vec<T> sum[1], sums[2];
    sum_columns<T>(block.rows(), sum, [&](int64_t r, auto add) { add(0, load(x.row(r) + i)); });
    const Vec<T> mean = sum[0] / static_cast<T>(block.rows());
    sum_columns<T>(block.rows(), sums, [&](int64_t r, auto add) {
      const Vec<T> difference = load(x.row(r) + i) - mean;
      add(0, difference);
      add(1, difference * difference);
    });
    store_lanes(work.means + at, mean, lanes);
    store_lanes(work.rests + at, sums[0], lanes);
    store_lanes(work.squares + at, sums[1], lanes);
  });
}

template <class T>
void find_statistics(const Args& args, int64_t chunk, int64_t n_chunks) {
  const NormShape s(args.in[0]);
  const Work<T> work(s, args.workspace);
  alignas(64) T buffer[kNormBlock];
  for_norm_blocks(s, chunk, n_chunks, [&](const NormBlock& block) {
    const NormRows<T> x = block_rows(s, block, args.in[0], buffer);
    s.across ? column_statistics(s, block, work, x) : block_statistics(s, block, work, x);
  });
}

// Mean and sum of squared differences of one channel.
template <class T>
void combine_blocks(const NormShape& s, const Work<T>& work, int64_t c, double& mean,
                    double& squares) {
  const auto mean_of = [&](int64_t block) {
    const int64_t at = block * s.C + c;
    const double correction = work.rests[at] / static_cast<double>(s.count(block));
    // Around an infinite mean the differences are NaN.
    return work.means[at] + (std::isfinite(correction) ? correction : 0);
  };
  double sum = 0;
  for (int64_t block = 0; block < s.blocks(); block++) {
    sum += mean_of(block) * static_cast<double>(s.count(block));
  }
  mean = sum / static_cast<double>(s.values());
  squares = 0;
  for (int64_t block = 0; block < s.blocks(); block++) {
    const int64_t at = block * s.C + c;
    const double n = static_cast<double>(s.count(block)), rest = work.rests[at];
    const double offset = mean_of(block) - mean;
    squares += work.squares[at] - rest * rest / n + n * offset * offset;
  }
}

template <class T>
void combine_channels(const Args& args, int64_t chunk, int64_t n_chunks) {
  const NormShape s(args.in[0]);
  const Work<T> work(s, args.workspace);
  const Tensor &gamma = args.in[1], &beta = args.in[2], &mean = args.out[1], &invstd = args.out[2],
               &variance = args.out[3];
  const double epsilon = args.in[3].as<T>()[0];
  const Span channels = span_of(s.C, chunk, n_chunks);
  for (int64_t c = channels.first; c < channels.last; c++) {
    double exact = 0, squares = 0;
    combine_blocks(s, work, c, exact, squares);
    const double rounded = squares < 0 ? 0 : squares;
    const double spread = rounded / static_cast<double>(s.values());
    const double inverse = 1 / std::sqrt(spread + epsilon);
    const double factor = inverse * of_channel<T>(gamma, c);
    work.centre[c] = static_cast<T>(exact);
    work.scale[c] = static_cast<T>(factor);
    // Adds what rounding the centre lost.
    const double lost = static_cast<double>(work.centre[c]) - exact;
    const double shift = of_channel<T>(beta, c);
    work.shift[c] = static_cast<T>(std::isfinite(lost * factor) ? shift + lost * factor : shift);
    of_channel<T>(mean, c) = work.centre[c];
    of_channel<T>(invstd, c) = static_cast<T>(inverse);
    of_channel<T>(variance, c) = static_cast<T>(spread);
  }
}

template <class T>
void normalise_tiles(const Args& args, int64_t chunk, int64_t n_chunks) {
  const NormShape s(args.in[0]);
  const Work<T> work(s, args.workspace);
  const Tensor& y = args.out[0];
  const Tensor* const x[1] = {args.in};
  const Tape& tape = *args.tapes[0];
  const bool direct = tape.is_identity() && is_dense(s, y);
  alignas(64) T values[kNormBlock];
  for_norm_tiles(s, chunk, n_chunks, [&](const NormTile& tile) {
    for_runs<T>(s, x, tile, [&](int64_t c, int64_t a, int64_t p, int64_t n, auto& from) {
      T* const to = direct ? y.as<T>() + a * y.stride[0] + p : values + tile.index_of(a, p);
      if (s.across) {
        const T *centre = work.centre + c, *scale = work.scale + c, *shift = work.shift + c;
        map_run<T>(from, n, to, [=](const auto& in, int64_t i, int64_t lanes) {
          return fmadd(in[0] - load_lanes(centre + i, lanes), load_lanes(scale + i, lanes),
                       load_lanes(shift + i, lanes));
        });
      } else {
        const Vec<T> centre = splat(work.centre[c]), scale = splat(work.scale[c]),
                     shift = splat(work.shift[c]);
        map_run<T>(from, n, to, [=](const auto& in, int64_t, int64_t) {
          return fmadd(in[0] - centre, scale, shift);
        });
      }
    });
    if (direct) return;
    finish_tile(tape,
                {reinterpret_cast<const char*>(values), tile.width(), 0, 0, tile.rows.first,
                 tile.rows.last - tile.rows.first, tile.positions.first, tile.width()},
                args.in + kOwnInputs, y);
  });
}

template <class T>
size_t work_bytes(const Args& args) {
  return Work<T>(NormShape(args.in[0]), nullptr).bytes;
}

int64_t tile_chunks(const Args& args) {
  return NormShape(args.in[0]).tile_chunks(kNormFlops + epilogue_cost(*args.tapes[0]));
}

const char* invalid(const Args& args) {
  if (args.n_in < kOwnInputs || args.n_out != 4) {
    return "takes x, gamma, beta, epsilon and extras, and has four outputs";
  }
  const Tensor& x = args.in[0];
  const char* why = check_floats(x);
  if (!why) why = check_channels(args.in[1], "input 1 (gamma)", x);
  if (!why) why = check_channels(args.in[2], "input 2 (beta)", x);
  if (!why) why = check_operand(args.in[3], "input 3 (epsilon)", x.dtype, 0, nullptr);
  if (!why) why = check_values(args.out[0], "output 0 (y)", x);
  if (!why) why = check_channels(args.out[1], "output 1 (mean)", x);
  if (!why) why = check_channels(args.out[2], "output 2 (invstd)", x);
  if (!why) why = check_channels(args.out[3], "output 3 (variance)", x);
  return why ? why : check_epilogue(args, kOwnInputs);
}

}  // namespace

extern const Kernel batch_norm_kernel = {"batch_norm",
                                         3,
                                         {{norm_block_chunks, TGM_BY_DTYPE(find_statistics)},
                                          {norm_channel_chunks, TGM_BY_DTYPE(combine_channels)},
                                          {tile_chunks, TGM_BY_DTYPE(normalise_tiles)}},
                                         TGM_BY_DTYPE(work_bytes),
                                         invalid};

}  // namespace tgm::TGM_TARGET
