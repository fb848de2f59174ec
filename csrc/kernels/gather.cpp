// gather: elements picked by index vectors.
//
//   inputs    x, k index vectors (n,) of any integer dtype
//   outputs   x[i0, ..., ik-1]: (n, rest of x's shape)
//   ints      n_index, the k above
//
// Indices are in range; negative ones count from the end.
#include "kernels/index_rows.hpp"
#include "kernels/tape_row.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kChunkElements = 16384;

int64_t chunks(const Args& args) {
  const Tensor& out = args.out[0];
  const int64_t n = out.shape[0];
  const Rest rest = rest_of(out, args.in[0], args.ints[0]);
  const int64_t wanted = (n * rest.size + kChunkElements - 1) / kChunkElements;
  return wanted < n ? wanted : n;
}

void run(const Args& args, int64_t chunk, int64_t n_chunks) {
  const Tensor& x = args.in[0];
  const Tensor& out = args.out[0];
  const auto item = static_cast<int64_t>(item_size(x.dtype));
  const Rest rest = rest_of(out, x, args.ints[0]);
  const RowFunction copy = copy_row_of(item_size(x.dtype));
  const int64_t end = out.shape[0] * (chunk + 1) / n_chunks;
  for (int64_t i = out.shape[0] * chunk / n_chunks; i < end; i++) {
    char* to = out.data + i * out.stride[0] * item;
    const char* from = x.data + place_of(args.in + 1, args.ints[0], x, i) * item;
    for_rows(rest, 0, rest.size,
             [&](int64_t picked, int64_t indexed, int64_t n, int64_t to_step, int64_t from_step) {
               copy(to + picked * item, to_step, from + indexed * item, from_step, n);
             });
  }
}

const char* invalid(const Args& args) {
  if (args.n_ints != 1 || args.n_tapes != 0 || args.n_out != 1 || args.n_in < 2) {
    return "takes an array, index vectors and one integer, and has one output";
  }
  if (args.ints[0] != args.n_in - 1) return "n_index must be the number of index vectors";
  return index_mismatch(args.out[0], args.in[0], args.in + 1, args.ints[0]);
}

}  // namespace

extern const Kernel gather_kernel;
const Kernel gather_kernel = {"gather", 1, {{chunks, run}}, nullptr, invalid};

}  // namespace tgm::TGM_TARGET
