// What both gradients of the filters share, that without a pool and that behind one: how images and
// filters are cut, the packed images, the sums.
//
// x is packed channels last, in groups of channels. The sums of a chunk's filters are formed group
// by group, over blocks of windows that stay in the cache.
#pragma once

#include "kernels/conv2d/patches.hpp"
#include "kernels/core/chunks.hpp"
#include "kernels/core/long_sum.hpp"
#include "kernels/core/tile.hpp"
#include "kernels/core/workspace.hpp"

namespace tgm::TGM_TARGET {

// How many chunks sum the filters' gradients, if `sets` of filters are not divided, and a window
// costs so many flops.
inline int64_t filter_sum_chunks(const Args& args, const ConvShape& s, int64_t sets,
                                 int64_t window_flops) {
  const int64_t flops =
      s.N * s.PH * s.PW * window_flops + s.taps() * (4 + epilogue_cost(*args.tapes[0]));
  return chunks_for(sets, s.O * flops / std::max<int64_t>(1, sets));
}

// Some windows of some images.
struct WindowBlock {
  Span images, rows, columns;
  bool ends_run;
};

constexpr int64_t kFewestWindows = 24;  // of a row that is cut

// Windows, or positions where there is no pool, in blocks that see at most `bytes` of a group of
// channels, or a few windows: those of some images, some rows of one image's, or a part of one row.
// Of many positions, a block has no more than a run (long_sum.hpp).
template <class T>
struct WindowBlocks {
  int64_t images, rows, columns;  // of windows
  int64_t image_blocks, row_blocks, column_blocks, count;
  int64_t windows;  // of a block, at most
  int64_t in_run;   // blocks of a run

  WindowBlocks(const ConvShape& s, const PatchImages<T>& packed, int64_t bytes)
      : images(s.N), rows(s.PH), columns(s.PW) {
    const int64_t run = run_length(s.N * s.PH * s.PW * s.pool_size()) / s.pool_size();  // windows
    const int64_t row_bytes = std::max<int64_t>(1, packed.row * sizeof(T));
    const int64_t image_bytes = row_bytes * s.padded_h();
    const int64_t fit = (bytes / row_bytes - s.KH) / s.stride_h + 1;  // rows of positions
    const int64_t most = image_bytes <= bytes
                             ? s.PH
                             : std::clamp<int64_t>(fit / s.pool_h, 1, std::max<int64_t>(1, s.PH));
    // Of a row's windows, those that see so much of the rows that they need; but each block loads
    // and stores all sums, so there are more than a few.
    const int64_t height = std::min((s.pool_h - 1) * s.stride_h + s.KH, s.padded_h());
    const int64_t column_bytes = height * row_bytes / std::max<int64_t>(1, s.padded_w());
    const int64_t across = (bytes / std::max<int64_t>(1, column_bytes) - s.KW) / s.stride_w + 1;
    const int64_t widest = std::max(across / s.pool_w, kFewestWindows);
    const auto cut = [](int64_t n, int64_t size) {
      return ceil_div(n, std::max<int64_t>(1, size));
    };
    const int64_t line = std::max<int64_t>(1, s.PW), plane = std::max<int64_t>(1, s.PH * s.PW);
    image_blocks = cut(s.N, std::min(bytes / std::max<int64_t>(1, image_bytes), run / plane));
    row_blocks = cut(s.PH, std::min(most, run / line));
    column_blocks = cut(s.PW, most == 1 ? std::min(run, widest) : run);
    count = image_blocks * row_blocks * column_blocks;
    windows = count == 0 ? 0
                         : ceil_div(s.N, image_blocks) * ceil_div(s.PH, row_blocks) *
                               ceil_div(s.PW, column_blocks);
    in_run = std::max<int64_t>(1, run / std::max<int64_t>(1, windows));
  }
  WindowBlock block(int64_t number) const {
    const int64_t line = number / column_blocks;
    return {span_of(images, line / row_blocks, image_blocks),
            span_of(rows, line % row_blocks, row_blocks),
            span_of(columns, number % column_blocks, column_blocks),
            (number + 1) % in_run == 0 || number + 1 == count};
  }
};

// The sums of which the filters' gradient is made. Those of a run of positions are added to totals,
// unless all are one run.
template <class T>
struct FilterSums {
  int64_t row, group, filter;  // elements of a row of sums with its padding, of a group, a filter
  T *sums, *totals;            // [o][group][kh][row]
  T* channels_last;            // [o][kh][kw][c], on the way where rows are padded
  T* result;                   // [o][c][kh][kw], before the epilogue

  FilterSums(const ConvShape& s, const ChannelGroups& groups, int64_t row, WorkspaceLayout& layout)
      : row(row), group(ceil_div(s.KH * row, kLanes<T>) * kLanes<T>), filter(groups.count * group) {
    result = layout.take<T>(s.O * s.taps());
    sums = layout.take<T>(s.O * filter);
    totals = s.N * s.PH * s.PW * s.pool_size() > kFewTerms ? layout.take<T>(s.O * filter) : sums;
    const bool padded = row != s.KW * groups.part.C;
    channels_last = layout.take<T>(padded ? s.O * groups.part.taps() : 0);
  }

  T* of(int64_t o, int64_t g = 0) const { return sums + o * filter + g * group; }
  const T* total(int64_t o, int64_t g) const { return totals + o * filter + g * group; }

  void clear(Span filters) const {
    const int64_t first = filters.first * filter, n = (filters.last - filters.first) * filter;
    std::fill_n(sums + first, n, T(0));
    std::fill_n(totals + first, n, T(0));
  }

  // Adds the sums of a run to the totals.
  void end_run(Span filters, int64_t g) const {
    if (totals == sums) return;
    for (int64_t o = filters.first; o < filters.last; o++) {
      T *const from = of(o, g), *const to = totals + (from - sums);
      for (int64_t i = 0; i < group; i += kLanes<T>) {
        store(to + i, load(to + i) + load(from + i));
        store(from + i, Vec<T>{});
      }
    }
  }
};

// Some images of x, channels last: to[group][n][h][w][c]. The first chunk also fills the room
// behind the last one.
template <class T>
void pack_groups(const ConvShape& s, const ChannelGroups& groups, const Tensor& x, int64_t chunk,
                 int64_t n_chunks, T* to) {
  const PatchImages<T> packed(groups.part);
  const Span span = span_of(s.N, chunk, n_chunks);
  for (int64_t n = span.first; n < span.last; n++) {
    for (int64_t group = 0; group < groups.count; group++) {
      pack_patch_image(groups, group, x, n, to + (group * s.N + n) * packed.image);
    }
  }
  if (chunk == 0) std::fill_n(to + groups.count * s.N * packed.image, kLanes<T>, T(0));
}

// The sums of a group of channels, in the order in which x meets the filter, to the filter's
// gradient [c][kh][kw].
template <class T>
void unpack(const ConvShape& s, const ChannelGroups& groups, const FilterSums<T>& sums, int64_t o,
            int64_t group) {
  const ConvShape& part = groups.part;
  const int64_t taps = s.KH * s.KW, size = groups.size(group);
  const T* from = sums.total(o, group);
  T* to = sums.result + o * s.taps() + groups.first(group) * taps;
  if (sums.row != s.KW * part.C) {
    T* const buffer = sums.channels_last + o * part.taps();
    copy_taps(part, from, sums.row, buffer, s.KW * part.C);
    transpose(buffer, part.C, to, taps, taps, size);
  } else if (s.flip) {
    transpose(from + (taps - 1) * part.C, -part.C, to, taps, taps, size);
  } else {
    transpose(from, part.C, to, taps, taps, size);
  }
}

// The gradients of some filters from their sums, through the epilogue.
template <class T>
void finish_filters(const Args& args, const ConvShape& s, const ChannelGroups& groups,
                    const FilterSums<T>& sums, Span filters) {
  for (int64_t o = filters.first; o < filters.last; o++) {
    for (int64_t group = 0; group < groups.count; group++) unpack(s, groups, sums, o, group);
  }
  const int64_t taps = s.taps();
  finish_tile(*args.tapes[0],
              {reinterpret_cast<const char*>(sums.result + filters.first * taps), taps, 0, 0,
               filters.first, filters.last - filters.first, 0, taps},
              args.in + (s.pooled ? 3 : 2), args.out[0]);
}

// Compiled with conv2d_grad_filter.cpp.
extern template void finish_filters(const Args&, const ConvShape&, const ChannelGroups&,
                                    const FilterSums<float>&, Span);
extern template void finish_filters(const Args&, const ConvShape&, const ChannelGroups&,
                                    const FilterSums<double>&, Span);

}  // namespace tgm::TGM_TARGET
