// gather: elements picked by index vectors.
//
//   inputs    x (outer, index, rest), k index vectors (n,) of any integer dtype
//   outputs   (outer, n, rest)
//   ints      n_index, the k above; axis, the number of outer axes
//
// Indices are in range; negative ones count from the end. The (outer, n) rows of the output are cut
// into chunks.
#include "kernels/core/tape_row.hpp"
#include "kernels/index/rows.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kChunkElements = 16384;

IndexedAxes axes_of(const Args& args) {
  return indexed_axes(args.out[0], args.in[0], args.in + 1, args.ints);
}

// to[i * stride] = from[places[i]] for i < n.
template <class Word>
void pick(char* to, int64_t stride, const char* from, const int64_t* places, int64_t n) {
  Word* out = reinterpret_cast<Word*>(to);
  const Word* in = reinterpret_cast<const Word*>(from);
  for (int64_t i = 0; i < n; i++) out[i * stride] = in[places[i]];
}

using PickFunction = void (*)(char*, int64_t, const char*, const int64_t*, int64_t);

PickFunction pick_of(DType dtype) {
  switch (item_size(dtype)) {
    case 1:
      return pick<uint8_t>;
    case 2:
      return pick<uint16_t>;
    case 4:
      return pick<uint32_t>;
    default:
      return pick<uint64_t>;
  }
}

int64_t list_chunks(const Args& args) { return place_chunks(axes_of(args)); }

void list(const Args& args, int64_t chunk, int64_t) {
  list_places(axes_of(args), args.workspace, chunk);
}

int64_t chunks(const Args& args) {
  const IndexedAxes axes = axes_of(args);
  const int64_t rows = axes.outer.size * axes.n;
  const int64_t wanted = (rows * axes.rest.size + kChunkElements - 1) / kChunkElements;
  return wanted < rows ? wanted : rows;
}

// Rows begin .. end - 1 of one outer element.
void gather_rows(const Args& args, const IndexedAxes& axes, int64_t outer, int64_t begin,
                 int64_t end) {
  const auto item = static_cast<int64_t>(item_size(args.out[0].dtype));
  int64_t picked0 = 0;
  int64_t indexed0 = 0;
  CommonAxes::offsets(axes.outer, outer, &picked0, &indexed0);
  char* to = args.out[0].data + (picked0 + begin * axes.picked_stride) * item;
  const char* from = args.in[0].data + indexed0 * item;
  const auto* places = reinterpret_cast<const int64_t*>(args.workspace);
  const bool listed = lists_places(axes);
  if (listed && axes.rest.size == 1) {
    const PickFunction pick_row = pick_of(args.out[0].dtype);
    return pick_row(to, axes.picked_stride, from, places + begin, end - begin);
  }
  const RowFunction copy = copy_row_of(args.out[0].dtype);
  for (int64_t i = begin; i < end; i++, to += axes.picked_stride * item) {
    const char* row = from + (listed ? places[i] : place_of(axes, i)) * item;
    for_rows(axes.rest, 0, axes.rest.size,
             [&](int64_t picked, int64_t indexed, int64_t n, int64_t to_step, int64_t from_step) {
               copy(to + picked * item, to_step, row + indexed * item, from_step, n);
             });
  }
}

void run(const Args& args, int64_t chunk, int64_t n_chunks) {
  const IndexedAxes axes = axes_of(args);
  const int64_t rows = axes.outer.size * axes.n;
  const int64_t end = rows * (chunk + 1) / n_chunks;
  for (int64_t row = rows * chunk / n_chunks; row < end;) {
    const int64_t begin = row % axes.n;
    const int64_t n = axes.n - begin < end - row ? axes.n - begin : end - row;
    gather_rows(args, axes, row / axes.n, begin, begin + n);
    row += n;
  }
}

size_t workspace_bytes(const Args& args) { return place_bytes(axes_of(args)); }

const char* invalid(const Args& args) {
  if (args.n_ints != 2 || args.n_tapes != 0 || args.n_out != 1 || args.n_in < 2) {
    return "takes an array, index vectors and two integers, and has one output";
  }
  if (args.ints[0] != args.n_in - 1) return "n_index must be the number of index vectors";
  return index_mismatch(args.out[0], args.in[0], args.in + 1, args.ints);
}

}  // namespace

extern const Kernel gather_kernel;
const Kernel gather_kernel = {
    "gather", 2, {{list_chunks, list}, {chunks, run}}, workspace_bytes, invalid};

}  // namespace tgm::TGM_TARGET
