// The filters' gradient of many images: see image_vectors_grad_filter.hpp.
#include "kernels/conv2d/image_vectors_grad_filter.hpp"

#include "kernels/core/long_sum.hpp"
#include "kernels/core/registers.hpp"
#include "kernels/core/tile.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int L = kImageLanes, F = kLaneFilters, P = kLanePositions;

constexpr int64_t kVectorFloats = kLanes<float>;
constexpr int64_t kUnits = 8;                // of work: keeps 8 threads busy
constexpr int64_t kFewPositions = 96;        // of a range: with fewer, the end of a run counts
constexpr int64_t kStripVectors = 8192;      // of g, of a strip
constexpr int64_t kPartVectors = 12 * 1024;  // of x and sums, of a part
constexpr int64_t kFewInBlock = 64;          // positions: fewer read and write the sums too often
constexpr int64_t kBlockVectors = 1024;      // of a plane of x, and of g under a tile: of L1

// Some rows of positions, for the sums of P taps and F filters.
struct LaneTerms {
  const float* x;  // first position's patch
  int64_t x_row, x_column;
  const float* g;
  int64_t g_filter, g_row;
  int64_t height, width;
  float* sums;
  int64_t sums_filter;
  bool fresh;  // sums begin at zero
};

// x, to: where the taps lie in x, and in the sums; in vectors.
TGM_NOINLINE void add_terms(const LaneTerms& terms, const int32_t* x, const int32_t* to) {
  RegisterTile<float, F, P> sums;
  auto where = [&](int f, int p) { return terms.sums + f * terms.sums_filter + to[p] * L; };
  if (terms.fresh) {
    sums.clear();
  } else {
    sums.read(where);
  }
  const float* taps[P];
#pragma GCC unroll 8
  for (int p = 0; p < P; p++) taps[p] = terms.x + x[p] * L;
  for (int64_t h = 0; h < terms.height; h++) {
    int64_t offset = h * terms.x_row;
    const float* g = terms.g + h * terms.g_row;
    for (int64_t w = 0; w < terms.width; w++, offset += terms.x_column, g += L) {
      sums.add_products([&](int f) { return load(g + f * terms.g_filter); },
                        [&](int p) { return load(taps[p] + offset); });
    }
  }
  sums.write(where);
}

// Lane i of the result is the sum of the lanes of vector i.
template <size_t S = 1>
TGM_INLINE Vec<float> sums_of(Vec<float> (&vectors)[kLanes<float>]) {
  if constexpr (S < kLanes<float>) {
#pragma GCC unroll 16
    for (size_t i = 0; i < kLanes<float>; i += 2 * S) {
      exchange<float, S>(vectors[i], vectors[i + S], std::make_index_sequence<kLanes<float>>{});
      vectors[i] += vectors[i + S];
    }
    return sums_of<2 * S>(vectors);
  }
  return vectors[0];
}

int64_t whole_vectors(int64_t n) { return ceil_div(n, kVectorFloats) * kVectorFloats; }

}  // namespace

// A unit's channels, and what it works on.
struct ImageVectorsGradFilter::Unit {
  Span channels;
  float* sums;    // [filter][tap][lane]
  float* x;       // a strip of its channels
  float* g;       // a strip of g
  float* totals;  // [filter][tap]
};

ImageVectorsGradFilter::ImageVectorsGradFilter(const ConvShape& s, const Args& args,
                                               char* workspace)
    : s_(s) {
  if (!kHasImageLanes || args.in[0].dtype != DType::Float32 || s.pooled) return;
  if (s.N < kImageLanes || std::min({s.C, s.O, s.OH, s.OW, s.H, s.W}) == 0) return;
  cut();
  if (fits() && !is_worthwhile()) parts_ = 0;
  if (fits()) lay_out(workspace);
}

Span ImageVectorsGradFilter::rows_of(int64_t kh) const {
  auto before = [&](int64_t row) {  // positions that meet rows before this one of the image
    return std::clamp<int64_t>(ceil_div(row + s_.pad_h - kh, s_.stride_h), 0, s_.OH);
  };
  return {before(0), before(s_.H)};
}

// In hundredths of a cycle, as measured: of a product of vectors, of packing a vector, of reading
// and writing a vector of sums; there, of a product of vectors of a row of a patch.
bool ImageVectorsGradFilter::is_worthwhile() const {
  int64_t rows = 0;
  for (int64_t kh = 0; kh < s_.KH; kh++) rows += rows_of(kh).last - rows_of(kh).first;
  const int64_t sums = filters() * s_.C * s_.KW, positions = s_.OH * s_.OW;
  const int64_t packed =
      strips_ * s_.C * x_planes_.rows * x_planes_.width + parts_ * s_.O * positions;
  const int64_t here =
      groups_ * (68 * rows * s_.OW * sums + 1600 * packed + (1000 * strips_ - 900) * sums * s_.KH);
  const int64_t there =
      88 * s_.N * positions * s_.O * s_.KH * ceil_div(s_.KW * s_.C, kVectorFloats);
  return here < there;
}

int64_t ImageVectorsGradFilter::row_taps() const { return whole_vectors(part_taps()); }

void ImageVectorsGradFilter::cut() {
  const int64_t left = s_.pad_w, width = std::max(s_.padded_w(), (s_.OW - 1) * s_.stride_w + s_.KW);
  g_planes_ = {s_.O, s_.OH, s_.OW, 0, s_.OW, 0};
  x_planes_ = {0, s_.H, s_.W, left, width, 0};
  const int64_t most = std::min(kFewTerms, kStripVectors / filters()) / s_.OW;  // rows of a strip
  if (most == 0) return;
  strips_ = ceil_div(s_.OH, most);
  g_planes_.rows = ceil_div(s_.OH, strips_);
  x_planes_.rows = (g_planes_.rows - 1) * s_.stride_h + s_.KH;
  groups_ = ceil_div(s_.N, kImageLanes);
  ranges_ =
      std::clamp<int64_t>(groups_ * s_.OH * s_.OW / kFewPositions, 1, std::min(groups_, kUnits));
  const int64_t most_parts = std::min(s_.C, kMaxBuffers / ranges_);
  for (parts_ = std::min(s_.C, ceil_div(kUnits, ranges_)); parts_ <= most_parts; parts_++) {
    x_planes_.C = most_channels();
    const int64_t vectors = (x_planes_.size() + filters() * row_taps() * L) / L;
    if (vectors <= kPartVectors && units() <= kMaxBuffers) return;
  }
  parts_ = 0;
}

void ImageVectorsGradFilter::lay_out(char* workspace) {
  WorkspaceLayout layout{workspace}, buffer{nullptr};
  taps_ = layout.take<Taps>(ceil_div(part_taps(), P));
  totals_ = layout.take<float>(units() * filters() * row_taps());
  result_ = layout.take<float>(s_.O * s_.taps());
  buffer.take<float>(filters() * row_taps() * L);
  buffer.take<float>(x_planes_.size());
  buffer.take<float>(filters() * g_planes_.plane());
  buffers_ = Buffers(layout, units(), buffer.used);
  workspace_bytes = layout.used;
}

void ImageVectorsGradFilter::prepare() const {
  buffers_.release_all();
  const int64_t size = s_.KH * s_.KW;
  for (int64_t i = 0; i < ceil_div(part_taps(), P); i++) {
    Taps& taps = taps_[i];
    taps.rows[0] = static_cast<int32_t>(s_.OH), taps.rows[1] = 0;
    for (int p = 0; p < P; p++) {
      const int64_t tap = std::min(i * P + p, part_taps() - 1);
      int64_t kh = tap % size / s_.KW, kw = tap % s_.KW;
      if (s_.flip) kh = s_.KH - 1 - kh, kw = s_.KW - 1 - kw;
      taps.x[p] = static_cast<int32_t>((tap / size * x_planes_.rows + kh) * x_planes_.width + kw);
      taps.sums[p] = static_cast<int32_t>(tap);
      taps.rows[0] = static_cast<int32_t>(std::min<int64_t>(taps.rows[0], rows_of(kh).first));
      taps.rows[1] = static_cast<int32_t>(std::max<int64_t>(taps.rows[1], rows_of(kh).last));
    }
  }
}

void ImageVectorsGradFilter::sum_unit(const Args& args, int64_t number) const {
  const int64_t part = number % parts_;
  const Span range = span_of(groups_, number / parts_, ranges_);
  buffers_.with_buffer([&](char* buffer) {
    WorkspaceLayout layout{buffer};
    const int64_t sums = filters() * row_taps();
    Unit unit{channels_of(part), layout.take<float>(sums * L), layout.take<float>(x_planes_.size()),
              layout.take<float>(filters() * g_planes_.plane()), totals_ + number * sums};
    std::fill_n(unit.totals, sums, 0.0F);
    std::fill_n(unit.g + g_planes_.size(), (filters() - s_.O) * g_planes_.plane(), 0.0F);
    LanePlanes planes = x_planes_;
    planes.C = unit.channels.last - unit.channels.first;
    std::fill(unit.x + planes.size(), unit.x + x_planes_.size(), 0.0F);
    Tensor x = args.in[0];
    x.data += unit.channels.first * x.stride[1] * static_cast<int64_t>(sizeof(float));
    int64_t in_run = 0;
    for (int64_t group = range.first; group < range.last; group++) {
      const Span images = span_of(s_.N, group, groups_);
      for (int64_t strip = 0; strip < strips_; strip++) {
        const Span rows = span_of(s_.OH, strip, strips_);
        const int64_t positions = (rows.last - rows.first) * s_.OW;
        if (in_run + positions > kFewTerms) end_run(unit), in_run = 0;
        pack_lanes(planes, x, images, rows.first * s_.stride_h - s_.pad_h, unit.x);
        const bool finite = pack_lanes(g_planes_, args.in[1], images, rows.first, unit.g);
        add_strip(unit, rows, in_run == 0, !finite);
        in_run += positions;
      }
    }
    end_run(unit);
  });
}

// Adds a strip of positions to a unit's sums, in blocks of rows that stay in L1 with what they
// meet.
void ImageVectorsGradFilter::add_strip(const Unit& unit, Span positions, bool fresh,
                                       bool all_rows) const {
  const int64_t height = positions.last - positions.first;
  const int64_t fit =
      (kBlockVectors - s_.KH * x_planes_.width) / (s_.stride_h * x_planes_.width + F * s_.OW);
  const int64_t blocks = ceil_div(height, std::max(ceil_div(kFewInBlock, s_.OW), fit));
  const int64_t n_tiles = ceil_div(part_taps(), P);
  const int64_t together = ceil_div(s_.KH * s_.KW, P);  // of about a channel
  LaneTerms terms{};
  terms.x_row = s_.stride_h * x_planes_.row(), terms.x_column = s_.stride_w * L;
  terms.g_filter = g_planes_.plane(), terms.g_row = g_planes_.row(), terms.width = s_.OW;
  terms.sums_filter = row_taps() * L;
  for (int64_t first = 0; first < n_tiles; first += together) {
    const int64_t last = std::min(n_tiles, first + together);
    for (int64_t block = 0; block < blocks; block++) {
      const Span rows = span_of(height, block, blocks);
      terms.fresh = fresh && block == 0;
      for (int64_t o = 0; o < s_.O; o += F) {
        terms.sums = unit.sums + o * terms.sums_filter;
        for (int64_t i = first; i < last; i++) {
          const Taps& taps = taps_[i];
          int64_t begin = rows.first, end = rows.last;
          if (!all_rows) {
            begin = std::max<int64_t>(begin, taps.rows[0] - positions.first);
            end = std::min<int64_t>(end, taps.rows[1] - positions.first);
          }
          if (begin >= end && !terms.fresh) continue;
          terms.x = unit.x + begin * terms.x_row;
          terms.g = unit.g + o * terms.g_filter + begin * terms.g_row;
          terms.height = end - begin;
          add_terms(terms, taps.x, taps.sums);
        }
      }
    }
  }
}

// Adds what the lanes hold to the unit's totals.
void ImageVectorsGradFilter::end_run(const Unit& unit) const {
  const int64_t n = filters() * row_taps();
  for (int64_t i = 0; i < n; i += L) {
    Vec<float> vectors[L];
#pragma GCC unroll 16
    for (int k = 0; k < L; k++) {
      vectors[k] = load(unit.sums + (i + k) * L);
    }
    store(unit.totals + i, load(unit.totals + i) + sums_of(vectors));
  }
}

int64_t ImageVectorsGradFilter::finish_chunks(const Args& args) const {
  return chunks_for(s_.O, s_.taps() * (ranges_ + epilogue_cost(*args.tapes[0])));
}

void ImageVectorsGradFilter::finish(const Args& args, int64_t chunk, int64_t n_chunks) const {
  const Span span = span_of(s_.O, chunk, n_chunks);
  const int64_t taps = s_.KH * s_.KW, unit_size = filters() * row_taps();
  for (int64_t o = span.first; o < span.last; o++) {
    for (int64_t part = 0; part < parts_; part++) {
      const Span channels = channels_of(part);
      const int64_t n = (channels.last - channels.first) * taps;
      const float* totals = totals_ + part * unit_size + o * row_taps();
      float* const to = result_ + o * s_.taps() + channels.first * taps;
      std::copy_n(totals, n, to);
      for (int64_t range = 1; range < ranges_; range++) {
        totals += parts_ * unit_size;
        for (int64_t i = 0; i < n; i++) to[i] += totals[i];
      }
    }
  }
  finish_tile(*args.tapes[0],
              {reinterpret_cast<const char*>(result_ + span.first * s_.taps()), s_.taps(), 0, 0,
               span.first, span.last - span.first, 0, s_.taps()},
              args.in + 2, args.out[0]);
}

}  // namespace tgm::TGM_TARGET
