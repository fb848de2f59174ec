// The filters' gradient of many images, with a vector of images in each register.
//
//   dw[o][c][kh][kw] = sum over images and positions of g[o] * (x that the tap meets there)
//
// x and g are packed with an image in each lane (image_lanes.hpp). The inner loop keeps the sums of
// some taps x some filters in registers, a vector each, over the positions of a block. What the
// lanes of a vector hold is added at the end. Rows of positions whose taps meet only zeros are left
// out, if g is finite.
//
// A unit of work is a range of groups of images x a part of the channels. Its sums are added to
// those of the other ranges in order, in the next phase.
#pragma once

#include <cstdint>

#include "kernels/conv2d/image_lanes.hpp"
#include "kernels/core/buffers.hpp"

namespace tgm::TGM_TARGET {

class ImageVectorsGradFilter {
 public:
  size_t workspace_bytes = 0;

  ImageVectorsGradFilter(const ConvShape& s, const Args& args, char* workspace);

  bool fits() const { return parts_ > 0; }
  // Three phases: of one chunk, of `units`, and of some filters each.
  void prepare() const;
  int64_t units() const { return ranges_ * parts_; }
  void sum_unit(const Args& args, int64_t unit) const;
  int64_t finish_chunks(const Args& args) const;
  void finish(const Args& args, int64_t chunk, int64_t n_chunks) const;

 private:
  struct Unit;

  // Taps that are in registers together; the last one fills up what is left.
  struct Taps {
    int32_t x[kLanePositions];     // from a position's first pixel, in vectors
    int32_t sums[kLanePositions];  // number of the tap
    int32_t rows[2];               // of positions, which the taps need
  };

  void cut();
  bool is_worthwhile() const;
  Span rows_of(int64_t kh) const;  // of positions, where a row of the filter meets the image
  void lay_out(char* workspace);
  void add_strip(const Unit& unit, Span positions, bool fresh, bool all_rows) const;
  void end_run(const Unit& unit) const;

  Span channels_of(int64_t part) const { return span_of(s_.C, part, parts_); }
  int64_t most_channels() const { return ceil_div(s_.C, parts_); }
  int64_t filters() const { return ceil_div(s_.O, kLaneFilters) * kLaneFilters; }
  int64_t part_taps() const { return most_channels() * s_.KH * s_.KW; }
  int64_t row_taps() const;  // the same in whole vectors

  const ConvShape& s_;
  int64_t groups_ = 0, ranges_ = 0;  // of images
  int64_t parts_ = 0;                // of the channels; 0: doesn't fit
  int64_t strips_ = 0;               // of the positions of an image
  LanePlanes x_planes_, g_planes_;

  Taps* taps_;     // [tap of a part / kLanePositions]
  float* totals_;  // [range][part][filter][tap]
  float* result_;  // [filter][tap of all channels]
  Buffers buffers_;
};

}  // namespace tgm::TGM_TARGET
