// The operations of a tape on blocks of elements.
#pragma once

#include "opcodes.hpp"
#include "simd.hpp"
#include "tape.hpp"

namespace tgm::TGM_TARGET {

// out[i] = op(a[i], b[i], c[i]) for i < n. `out` may be one of the operands.
using BlockFunction = void (*)(int64_t n, void* out, const void* a, const void* b, const void* c);

// The functions of one operation: bit k of the index is set where argument k is one element for
// the whole block. Null where all arguments would be (call functions[0] with n = 1 for that), or
// where the operation has no block function (const, uniform).
struct BlockOp {
  BlockFunction functions[8];
};

// Indexed by opcode. dtype: of the tape.
const BlockOp* block_ops(DType dtype);

}  // namespace tgm::TGM_TARGET
