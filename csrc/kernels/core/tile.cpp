// finish_tile: see tile.hpp.
#include "kernels/core/tile.hpp"

#include <algorithm>

#include "kernels/core/dims.hpp"
#include "kernels/core/row_copies.hpp"
#include "kernels/core/tape_row.hpp"
#include "kernels/core/with_type.hpp"
#include "math/exponential.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kBlock = 1024;             // elements of a joined row where operands are copied
constexpr int64_t kBufferBytes = 48 * 1024;  // for all copied operands together
constexpr int kMaxOperands = kMaxEpilogueInputs + 1;

// The layout of one operand under the tile: `data` is its element at row 0, position 0 of the
// output.
struct View {
  char* data;
  DType dtype;
  int64_t row_stride;
  int32_t n_axes;  // behind the row axis
  const int64_t* shape;
  int64_t stride[kMaxDims];
  bool even;     // positions are `step` apart
  int64_t step;  // where even
  bool joined;   // rows follow one another with the same step
};

View make_view(const Tensor& tensor, const Tensor& out, const Tile& tile) {
  View view{};
  view.data = tensor.data;
  view.dtype = tensor.dtype;
  view.n_axes = out.ndim - tile.row_axis - 1;
  view.shape = out.shape + tile.row_axis + 1;
  if (tensor.ndim == out.ndim) {  // else it is 0-d, all strides 0
    const int64_t outer = tile.row_axis == 1 ? tile.outer * tensor.stride[0] : 0;
    view.data += outer * static_cast<int64_t>(item_size(tensor.dtype));
    view.row_stride = tensor.stride[tile.row_axis];
    for (int i = 0; i < view.n_axes; i++) view.stride[i] = tensor.stride[tile.row_axis + 1 + i];
  }
  // Even, if every axis longer than 1 steps over the whole of the axes behind it.
  view.even = true;
  int64_t expected = 0;
  bool any = false;
  for (int i = view.n_axes - 1; i >= 0; i--) {
    if (view.shape[i] == 1) continue;
    if (!any) view.step = expected = view.stride[i];
    any = true;
    if (view.stride[i] != expected) view.even = false;
    expected *= view.shape[i];
  }
  if (!any) view.step = 1;  // one position: only the stride of rows counts
  const int64_t positions = tile.n_positions;
  if (!any && tile.n_rows > 1) view.step = view.row_stride;
  view.joined = view.even && (tile.n_rows == 1 || view.row_stride == view.step * positions);
  return view;
}

int64_t offset_of(const View& view, int64_t position) {
  if (view.even) return position * view.step;
  int64_t offset = 0;
  for_coordinates(view.n_axes, view.shape, position,
                  [&](int32_t d, int64_t index) { offset += index * view.stride[d]; });
  return offset;
}

// Calls visit(first position, count, element offset, step) for runs with one step.
template <class Visit>
void for_runs(const View& view, int64_t position, int64_t count, Visit visit) {
  if (view.even) return visit(position, count, position * view.step, view.step);
  const int64_t inner = view.shape[view.n_axes - 1], step = view.stride[view.n_axes - 1];
  while (count > 0) {
    const int64_t n = std::min(count, inner - position % inner);
    visit(position, n, offset_of(view, position), step);
    position += n;
    count -= n;
  }
}

void copy_run(DType dtype, char* to, int64_t to_step, const char* from, int64_t from_step,
              int64_t n) {
  with_word(dtype, [&]<class Word>() {
    copy_elements(reinterpret_cast<Word*>(to), to_step, reinterpret_cast<const Word*>(from),
                  from_step, n);
  });
}

// A block of the tile that goes through the tape as one row: `rows` rows of `count` positions.
struct Block {
  int64_t row, rows, position, count;
};

char* element(const View& view, int64_t row, int64_t offset) {
  return view.data + (row * view.row_stride + offset) * static_cast<int64_t>(item_size(view.dtype));
}

// Between a block under `view` and the same elements side by side in `buffer`.
void copy_block(const View& view, const Block& block, char* buffer, bool to_buffer) {
  const int64_t size = static_cast<int64_t>(item_size(view.dtype));
  for (int64_t r = 0; r < block.rows; r++) {
    char* line = buffer + r * block.count * size;
    auto visit = [&](int64_t first, int64_t n, int64_t offset, int64_t step) {
      char* here = line + (first - block.position) * size;
      char* there = element(view, block.row + r, offset);
      if (to_buffer) {
        copy_run(view.dtype, here, 1, there, step, n);
      } else {
        copy_run(view.dtype, there, step, here, 1, n);
      }
    };
    for_runs(view, block.position, block.count, visit);
  }
}

struct Operands {
  View view[kMaxOperands];
  int n;  // values, extras, output
  bool all_joined;
};

// The values are a view too: rows `stride` apart, positions counted from the tile's first.
View values_view(const Tile& tile, DType dtype) {
  View view{};
  view.dtype = dtype;
  view.row_stride = tile.stride;
  view.even = true;
  view.step = 1;
  view.data = const_cast<char*>(tile.values) -
              (tile.row * tile.stride + tile.position) * static_cast<int64_t>(item_size(dtype));
  view.joined = tile.n_rows == 1 || tile.stride == tile.n_positions;
  return view;
}

void run_block(const Tape& tape, const Operands& operands, const Block& block, int64_t index0) {
  alignas(64) char buffer[kBufferBytes];
  char* next = buffer;
  RowOperand rows[kMaxOperands];
  const int n = operands.n;
  const int64_t count = block.rows * block.count;
  for (int k = 0; k < n; k++) {
    const View& view = operands.view[k];
    if (block.rows == 1 ? view.even : view.joined) {
      const int64_t offset = offset_of(view, block.position);
      rows[k] = {element(view, block.row, offset), view.dtype, view.step};
      continue;
    }
    rows[k] = {next, view.dtype, 1};
    if (k < n - 1) copy_block(view, block, next, true);
    next += (count * static_cast<int64_t>(item_size(view.dtype)) + 63) / 64 * 64;
  }
  run_tape_row(tape, count, rows, rows + n - 1, index0);
  const View& out = operands.view[n - 1];
  if (!(block.rows == 1 ? out.even : out.joined)) copy_block(out, block, rows[n - 1].data, false);
}

// The whole tile as a box of rows and positions.
void run_box(const Tape& tape, const Tile& tile, const Operands& operands, int64_t outer_rows,
             int64_t plane) {
  Tensor tensors[kMaxOperands];
  for (int k = 0; k < operands.n; k++) {
    const View& view = operands.view[k];
    tensors[k].data = element(view, tile.row, tile.position * view.step);
    tensors[k].dtype = view.dtype;
    tensors[k].stride[0] = view.row_stride;
    tensors[k].stride[1] = view.step;
  }
  Box box;
  box.ndim = 2;
  box.shape[0] = tile.n_rows;
  box.shape[1] = tile.n_positions;
  box.index0 = (outer_rows + tile.row) * plane + tile.position;
  box.index_stride[0] = plane;
  box.index_stride[1] = 1;
  run_tape_box(tape, box, tensors, tensors + operands.n - 1);
}

void store_values(const Tile& tile, const Operands& operands) {
  const View &values = operands.view[0], &out = operands.view[operands.n - 1];
  if (values.joined && out.joined) {
    const int64_t offset = offset_of(out, tile.position);
    return copy_run(out.dtype, element(out, tile.row, offset), out.step, tile.values, 1,
                    tile.n_rows * tile.n_positions);
  }
  for (int64_t r = 0; r < tile.n_rows; r++) {
    const Block block{tile.row + r, 1, tile.position, tile.n_positions};
    copy_block(out, block, element(values, block.row, tile.position), false);
  }
}

// out[i] = f(values[i], bias[i * kStep]), with vectors throughout: a row's last one overlaps the
// one before, and is computed first, since `out` may be where the bias is.
template <int64_t kStep, class T, class F>
void map_row(const T* values, const T* bias, T* out, int64_t n, F f) {
  constexpr int64_t lanes = kLanes<T>;
  if (n < lanes) {
    const Vec<T> b = kStep == 0 ? splat(*bias) : load_part(bias, n);
    return store_part(out, f(load_part(values, n), b), n);
  }
  const int64_t end = n - lanes;
  const Vec<T> last = f(load(values + end), kStep == 0 ? splat(*bias) : load(bias + end));
  for (int64_t i = 0; i < end; i += lanes) {
    store(out + i, f(load(values + i), kStep == 0 ? splat(*bias) : load(bias + i)));
  }
  store(out + end, last);
}

// The epilogue of nearly every layer, with a bias for each row (a convolution's filters) or for
// each position (a matrix's columns). Interpreting its tape would take several passes over a row,
// and a copy of the bias of the same length.
template <int64_t kStep, class T>
void finish_bias_activation(const BiasActivation& epilogue, const Tile& tile,
                            const Operands& operands) {
  const View &bias = operands.view[1], &out = operands.view[2];
  const Vec<T> constant = splat(static_cast<T>(epilogue.constant));
  for (int64_t r = 0; r < tile.n_rows; r++) {
    const T* from = reinterpret_cast<const T*>(tile.values) + r * tile.stride;
    T* to = reinterpret_cast<T*>(element(out, tile.row + r, tile.position));
    const T* b = reinterpret_cast<const T*>(element(bias, tile.row + r, tile.position * bias.step));
    const int64_t n = tile.n_positions;
    using V = Vec<T>;
    if (epilogue.activation == Activation::None) {
      map_row<kStep>(from, b, to, n, [=](V x, V y) { return x + y; });
    } else if (epilogue.activation == Activation::Sigmoid) {
      map_row<kStep>(from, b, to, n, [=](V x, V y) { return vsigmoid(x + y); });
    } else if (epilogue.constant_first) {
      map_row<kStep>(from, b, to, n, [=](V x, V y) { return vmax(constant, x + y); });
    } else {
      map_row<kStep>(from, b, to, n, [=](V x, V y) { return vmax(x + y, constant); });
    }
  }
}

template <class T>
void finish_bias_activation(const BiasActivation& epilogue, const Tile& tile,
                            const Operands& operands) {
  if (operands.view[1].step == 0) return finish_bias_activation<0, T>(epilogue, tile, operands);
  finish_bias_activation<1, T>(epilogue, tile, operands);
}

}  // namespace

void finish_tile(const Tape& tape, const Tile& tile, const Tensor* extras, const Tensor& out) {
  if (tile.n_rows == 0 || tile.n_positions == 0) return;
  Operands operands;
  operands.view[0] = values_view(tile, out.dtype);
  for (int k = 1; k < tape.n_inputs; k++) operands.view[k] = make_view(extras[k - 1], out, tile);
  operands.view[tape.n_inputs] = make_view(out, out, tile);
  operands.n = tape.n_inputs + 1;
  if (tape.is_identity()) return store_values(tile, operands);
  if (tape.form == TapeForm::BiasActivation) {
    const View &bias = operands.view[1], &to = operands.view[2];
    const bool rows = bias.even && (bias.step == 0 || bias.step == 1) && to.even && to.step == 1;
    if (rows && tape.dtype == out.dtype && bias.dtype == out.dtype && out.dtype != DType::Int64) {
      return out.dtype == DType::Float32
                 ? finish_bias_activation<float>(tape.bias_activation, tile, operands)
                 : finish_bias_activation<double>(tape.bias_activation, tile, operands);
    }
  }

  int64_t plane = 1;
  for (int i = tile.row_axis + 1; i < out.ndim; i++) plane *= out.shape[i];
  const int64_t outer_rows = tile.row_axis == 1 ? tile.outer * out.shape[1] : 0;
  bool even = true;
  for (int k = 0; k < operands.n; k++) even = even && operands.view[k].even;
  if (even) return run_box(tape, tile, operands, outer_rows, plane);
  // Only draws read an element's number, which must increase by one along a row.
  const bool whole = !tape.has_uniform || tile.n_positions == plane;
  const int64_t fits = std::min(kBlock, kBufferBytes / (operands.n * 8) - 64);
  int64_t rows = 1, count = tile.n_positions;
  if (count <= fits) {
    rows = whole ? fits / count : 1;
  } else {
    count = fits;
  }
  for (int64_t r = 0; r < tile.n_rows; r += rows) {
    for (int64_t p = 0; p < tile.n_positions; p += count) {
      const Block block{tile.row + r, std::min(rows, tile.n_rows - r), tile.position + p,
                        std::min(count, tile.n_positions - p)};
      const int64_t index0 = (outer_rows + block.row) * plane + block.position;
      run_block(tape, operands, block, index0);
    }
  }
}

}  // namespace tgm::TGM_TARGET
