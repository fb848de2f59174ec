// conv2d_grad_input: the input's gradient.
//
//   w (O, C, KH, KW), g (N, O, OH, OW), extras (N, C, H, W) -> epilogue(dx, extras)
// ints: stride_h, stride_w, pad_h, pad_w, flip. tapes: epilogue.
//
// A pixel of dx meets the taps whose number, modulo the stride, is its own: the pixels of one such
// *phase* are a convolution of g, stride 1, with every stride-th tap. Each goes through the loop of
// filter_vectors.hpp, with the channels of x as its filters. Phase 0 of the kernel packs those taps
// by phase and copies g into zeros, so that every tap of every pixel finds a value.
//
// conv2d_pool_grad_input: the same, the result's gradient coming from behind a pool.
//
//   w (O, C, KH, KW), g (N, O, PH, PW), winners uint8 (N, O, PH, PW, bytes), extras (N, C, H, W)
//     -> epilogue(dx, extras)
// ints: stride_h, stride_w, pad_h, pad_w, flip, pool_h, pool_w. tapes: epilogue.
//
//   dx[patch of position p] += sum over the filters that won at p of g * w      (for every p)
//
// Only winners have a gradient, and those whose gradient is zero are left out. Phase 0 packs the
// filters as patch rows (channels last). Phase 1 works image by image: it lists, position by
// position, the filters that won there, and adds their rows, in registers, to the patch of an image
// that is channels last too. A patch block of all filters is finished at all positions
// before the next, so that it stays in the L1 cache. Where a row of a patch doesn't fit in
// registers, channels are packed in groups of one vector: then the patch blocks are small, more
// filters share one pass over the image, and their sums are loaded and stored less often.
#include "kernel.hpp"
#include "kernels/conv2d/filter_vectors.hpp"
#include "kernels/conv2d/image_vectors.hpp"
#include "kernels/conv2d/patches.hpp"
#include "kernels/core/by_dtype.hpp"
#include "kernels/core/long_sum.hpp"
#include "kernels/core/workspace.hpp"

namespace tgm::TGM_TARGET {

template AddPatchBlock<float> find_add_patch_block(const PatchBlock&);
template AddPatchBlock<double> find_add_patch_block(const PatchBlock&);

namespace {

ConvShape shape(const Args& args) { return conv_shape(args.out[0], args.in[0], args); }

// ---- without a pool ----

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

// ---- behind a pool ----

constexpr int64_t kTerms = 16 * 1024;       // room for those listed at once
constexpr int64_t kBlockBytes = 24 * 1024;  // of a patch block of the filters of a pass
constexpr int64_t kMaxFilters = 256;        // of a pass

int64_t image_chunks(const Args& args) {
  const ConvShape s = shape(args);
  const int64_t windows = s.O * s.PH * s.PW;
  const int64_t flops = windows * (2 * s.taps() + 8 * s.pool_size()) +
                        s.C * s.H * s.W * epilogue_cost(*args.tapes[0]);
  return std::min(kMaxStrips, chunks_for(s.N, flops));
}

template <class T>
ChannelGroups channel_groups(const ConvShape& s) {
  const bool fits = ceil_div(s.KW * s.C, kLanes<T>) <= kMaxPatchVectors;
  return {s, fits ? std::max<int64_t>(1, s.C) : std::clamp<int64_t>(s.C, 1, kLanes<T>)};
}

template <class T>
struct PoolWork {
  ChannelGroups groups;
  PatchRows<T> rows;
  PatchImages<T> packed;
  int64_t pass_filters;  // whose terms are listed and added in one pass over the image
  int64_t max_positions;
  bool has_runs;
  T* filters;              // [group][kh][o][padded row]
  T* channels_last;        // [o][kh][kw][c], on the way there
  int32_t* single_winner;  // its position in the window
  // Of a chunk:
  T* image;         // [group][h][w][c]
  T* run;           // the same, of the terms of a run (long_sum.hpp); `image` if all are one
  Term<T>* terms;   // [position of the convolution][filter of the pass]
  int32_t* offset;  // [position], of its patch in the image
  Term<T>** end;    // [position], of its terms
  size_t bytes;

  PoolWork(const Args& args, const ConvShape& s, char* workspace, int64_t chunk)
      : groups(channel_groups<T>(s)), rows(groups.part), packed(groups.part) {
    const int64_t block_bytes = ceil_div(s.KH, std::max<int64_t>(1, rows.down)) *
                                ceil_div(rows.vectors, rows.across) * kVectorBytes;
    pass_filters =
        std::clamp<int64_t>(kBlockBytes / std::max<int64_t>(1, block_bytes), 8, kMaxFilters);
    pass_filters = std::min(pass_filters, std::max<int64_t>(1, s.O));
    max_positions = std::max(kTerms / pass_filters, s.pool_size());
    has_runs = s.O * s.KH * s.KW > 2 * kFewTerms;  // else the passes for runs aren't worthwhile
    const int64_t run_size = run_length(s.O * s.KH * s.KW);
    if (s.KH * s.KW > run_size) {  // a pixel's taps alone are more than a run
      max_positions = std::max(s.pool_size(), std::min(max_positions, run_size / pass_filters));
    }
    WorkspaceLayout layout{workspace};
    filters = layout.take<T>(groups.count * s.KH * s.O * rows.padded());
    channels_last = layout.take<T>(s.O * groups.part.taps());
    single_winner = layout.take<int32_t>(256 * s.winner_bytes());
    const size_t strip_bytes = take_strip(WorkspaceLayout{nullptr});
    take_strip(WorkspaceLayout{workspace + layout.used + chunk * strip_bytes});
    bytes = layout.used + image_chunks(args) * strip_bytes;
  }

 private:
  size_t take_strip(WorkspaceLayout layout) {
    image = layout.take<T>(packed.size(groups.count));
    run = has_runs ? layout.take<T>(packed.size(groups.count)) : image;
    terms = layout.take<Term<T>>(max_positions * pass_filters + 1);
    offset = layout.take<int32_t>(max_positions);
    end = layout.take<Term<T>*>(max_positions);
    return layout.used;
  }
};

int64_t filter_chunks(const Args& args) {
  const ConvShape s = shape(args);
  return image_chunks(args) == 0 ? 0 : chunks_for(s.O, kPackFlops * s.taps());
}

// Filter o of w to patch rows, as x meets them; what a group has no channel for is zero.
template <class T>
void pack_patch_rows(const ConvShape& s, const PoolWork<T>& work, const Tensor& w, int64_t o) {
  const ConvShape& part = work.groups.part;
  const int64_t taps = s.KH * s.KW, padded = work.rows.padded(), *stride = w.stride;
  T* const channels_last = work.channels_last + o * part.taps();
  for (int64_t group = 0; group < work.groups.count; group++) {
    const T* from = w.as<T>() + o * stride[0] + work.groups.first(group) * stride[1];
    T* to = work.filters + (group * s.KH * s.O + o) * padded;
    const int64_t size = work.groups.size(group);
    if (size < part.C) std::memset(channels_last, 0, part.taps() * sizeof(T));
    if (stride[3] == 1 && stride[2] == s.KW) {
      transpose(from, stride[1], channels_last, part.C, size, taps);
    } else {
      for (int64_t t = 0; t < taps; t++) {
        const T* tap = from + t / s.KW * stride[2] + t % s.KW * stride[3];
        for (int64_t c = 0; c < size; c++) channels_last[t * part.C + c] = tap[c * stride[1]];
      }
    }
    copy_taps(part, channels_last, s.KW * part.C, to, s.O * padded);
    for (int64_t a = 0; a < s.KH; a++, to += s.O * padded) {
      std::fill(to + s.KW * part.C, to + padded, T(0));
    }
  }
}

template <class T>
void pack_rows(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const PoolWork<T> work(args, s, args.workspace, 0);
  const Span span = span_of(s.O, chunk, n_chunks);
  for (int64_t o = span.first; o < span.last; o++) pack_patch_rows(s, work, args.in[0], o);
  if (chunk == 0) fill_single_winner(s, work.single_winner, [](int64_t p) { return p; });
}

// One image: lists terms, adds their rows to the image's gradient.
template <class T>
class ImageSum {
 public:
  ImageSum(const ConvShape& s, const PoolWork<T>& work)
      : s_(s), work_(work), packed_(work.packed), padded_(work.rows.padded()) {}

  void add(const Tensor& g, const Tensor& winners, int64_t n) {
    const int64_t size = packed_.size(work_.groups.count);
    std::fill_n(work_.image, size, T(0));
    if (work_.has_runs) std::fill_n(work_.run, size, T(0));
    for (int64_t o = 0; o < s_.O; o += work_.pass_filters) {
      const int64_t count = std::min(work_.pass_filters, s_.O - o);
      const T* factors = g.as<T>() + n * g.stride[0] + o * g.stride[1];
      const uint8_t* masks = winners.as<uint8_t>() + n * winners.stride[0] + o * winners.stride[1];
      for (int64_t w = 0; w < s_.PW; w++) {
        for (int64_t h = 0; h < s_.PH; h++) {
          begin_window(h, w);
          for (int64_t byte = 0; byte < s_.winner_bytes(); byte++) {
            list_window(
                factors + h * g.stride[2] + w * g.stride[3], g.stride[1],
                masks + h * winners.stride[2] + w * winners.stride[3] + byte * winners.stride[4],
                winners.stride[1], work_.single_winner + 256 * byte, o, count);
          }
          n_positions_ += s_.pool_size();
        }
      }
      flush();
    }
    end_run();
  }

 private:
  void begin_window(int64_t h, int64_t w) {
    if (n_positions_ + s_.pool_size() > work_.max_positions) flush();
    for (int64_t p = 0; p < s_.pool_size(); p++) {
      const int64_t row = (h * s_.pool_h + p / s_.pool_w) * s_.stride_h;
      const int64_t column = (w * s_.pool_w + p % s_.pool_w) * s_.stride_w;
      work_.offset[n_positions_ + p] =
          static_cast<int32_t>(row * packed_.row + column * work_.groups.part.C);
      work_.end[n_positions_ + p] = work_.terms + (n_positions_ + p) * work_.pass_filters;
    }
  }

  // The terms of one window, of `count` filters from `o` on, to the positions of their winners.
  TGM_NOINLINE void list_window(const T* factors, int64_t factor_step, const uint8_t* masks,
                                int64_t mask_step, const int32_t* single_winner, int64_t o,
                                int64_t count) {
    Term<T>** const ends = work_.end + n_positions_;
    T nonfinite = nonfinite_;
    int64_t offset = o * padded_;
    for (; count > 0; count--, offset += padded_, factors += factor_step, masks += mask_step) {
      const T factor = *factors;
      nonfinite += factor - factor;
      const int position = single_winner[*masks];
      const Term<T> term{factor, static_cast<int32_t>(offset)};
      if (position >= 0) [[likely]] {
        *ends[position] = term;  // no branch on what can't be foreseen: kept if it counts
        ends[position] += factor != T(0);
      } else if (factor != T(0)) {
        for (unsigned mask = *masks; mask != 0; mask &= mask - 1)
          *ends[single_winner[mask & -mask]]++ = term;
      }
    }
    nonfinite_ = nonfinite;
  }

  void flush() {
    for (int64_t group = 0; group < work_.groups.count; group++) {
      for (int64_t i = 0; i < work_.rows.blocks(); i++) add_block(group, work_.rows.block(i));
    }
    in_run_ +=
        work_.pass_filters * std::min(n_positions_, s_.KH * s_.KW);  // terms of a pixel at most
    if (in_run_ >= run_length(s_.O * s_.KH * s_.KW)) end_run();
    n_positions_ = 0;
    nonfinite_ = T(0);
  }

  void end_run() {
    if (!work_.has_runs || in_run_ == 0) return;
    in_run_ = 0;
    const int64_t size = packed_.size(work_.groups.count);
    for (int64_t i = 0; i < size; i++) work_.image[i] += work_.run[i];
    std::fill_n(work_.run, size, T(0));
  }

  // Adds what is listed to the patches of one group.
  void add_block(int64_t group, const PatchBlock& block) {
    const PatchRows<T>& rows = work_.rows;
    const auto add_terms = find_add_patch_block<T>(block);
    const T* filters =
        work_.filters + (group * s_.KH + block.row) * s_.O * padded_ + block.vector * kLanes<T>;
    T* image = work_.run + group * packed_.image + packed_.offset(block);
    const bool inside = block.vector + block.vectors < rows.vectors || rows.length == padded_;
    // Windows are listed column by column, and all first positions come first, then all second
    // ones: so patches that overlap don't follow one another, and none is loaded while what was
    // added to it is still on the way to the cache.
    for (int64_t first = 0; first < s_.pool_size(); first++) {
      for (int64_t p = first; p < n_positions_; p += s_.pool_size()) {
        const Term<T>* terms = work_.terms + p * work_.pass_filters;
        const int64_t n = work_.end[p] - terms;
        if (n == 0) continue;
        T* patch = image + work_.offset[p];
        if (inside || nonfinite_ == T(0)) {
          add_terms(filters, s_.O * padded_, terms, n, patch, packed_.row);
        } else {
          add_inside(add_terms, filters, terms, n, patch, block);
        }
      }
    }
  }

  // Where a factor is NaN or inf: the lanes behind a row's end, which are other pixels, would
  // become NaN. So the sum is formed elsewhere, and without them added to the image.
  void add_inside(AddPatchBlock<T> add_terms, const T* filters, const Term<T>* terms, int64_t n,
                  T* patch, const PatchBlock& block) {
    T sums[kMaxPatchVectors * kMaxPatchVectors * kLanes<T>] = {};
    const int64_t row = kMaxPatchVectors * kLanes<T>;
    const int64_t length = work_.rows.length - block.vector * kLanes<T>;
    add_terms(filters, s_.O * padded_, terms, n, sums, row);
    for (int64_t r = 0; r < block.rows; r++) {
      for (int64_t i = 0; i < length; i++) patch[r * packed_.row + i] += sums[r * row + i];
    }
  }

  const ConvShape& s_;
  const PoolWork<T>& work_;
  const PatchImages<T> packed_;
  const int64_t padded_;
  int64_t n_positions_ = 0, in_run_ = 0;
  T nonfinite_ = T(0);  // NaN if a listed factor is NaN or inf, else 0
};

// A group of channels of the image's gradient to channels first, and through the epilogue.
template <class T>
void finish_group(const Args& args, const ConvShape& s, const PoolWork<T>& work, int64_t group,
                  int64_t n) {
  const int64_t step = work.groups.part.C, size = work.groups.size(group), pixels = s.H * s.W;
  const int64_t row = work.packed.row;
  const T* image = work.image + group * work.packed.image + s.pad_h * row + s.pad_w * step;
  alignas(64) T values[kTileElements];
  const int64_t channels = std::min(size, kTileElements / std::min(s.W, kTileElements));
  for (int64_t c = 0; c < size; c += channels) {
    const int64_t nc = std::min(channels, size - c), tile = kTileElements / nc;
    for (int64_t first = 0; first < pixels; first += tile) {
      const int64_t n_pixels = std::min(tile, pixels - first), last = first + n_pixels;
      for (int64_t q = first; q < last;) {
        const int64_t same_row = s.pad_w == 0 ? last - q : std::min(last - q, s.W - q % s.W);
        transpose(image + q / s.W * row + q % s.W * step + c, step, values + q - first, n_pixels,
                  same_row, nc);
        q += same_row;
      }
      finish_tile(*args.tapes[0],
                  {reinterpret_cast<const char*>(values), n_pixels, 1, n,
                   work.groups.first(group) + c, nc, first, n_pixels},
                  args.in + 3, args.out[0]);
    }
  }
}

template <class T>
void sum_images(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  if (s.C * s.H * s.W == 0) return;
  const PoolWork<T> work(args, s, args.workspace, chunk);
  const Span span = span_of(s.N, chunk, n_chunks);
  for (int64_t n = span.first; n < span.last; n++) {
    ImageSum<T>(s, work).add(args.in[1], args.in[2], n);
    for (int64_t group = 0; group < work.groups.count; group++) {
      finish_group(args, s, work, group, n);
    }
  }
}

template <class T>
size_t pool_work_bytes(const Args& args) {
  return PoolWork<T>(args, shape(args), nullptr, 0).bytes;
}

template <class T>
const char* pool_invalid(const Args& args) {
  if (const char* why = check_conv(args, {kOut, 0, 1, 2})) return why;
  return check_offsets<T>(channel_groups<T>(shape(args)));
}

}  // namespace

extern const Kernel conv2d_grad_input_kernel = {
    "conv2d_grad_input",
    2,
    {{pack_chunks, TGM_BY_DTYPE(pack_operands)},
     {TGM_BY_DTYPE(unit_chunks), TGM_BY_DTYPE(run_phases)}},
    TGM_BY_DTYPE(work_bytes),
    [](const Args& args) { return check_conv(args, {kOut, 0, 1}); }};

extern const Kernel conv2d_pool_grad_input_kernel = {
    "conv2d_pool_grad_input",
    2,
    {{filter_chunks, TGM_BY_DTYPE(pack_rows)}, {image_chunks, TGM_BY_DTYPE(sum_images)}},
    TGM_BY_DTYPE(pool_work_bytes),
    TGM_BY_DTYPE(pool_invalid)};

}  // namespace tgm::TGM_TARGET
