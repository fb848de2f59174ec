// Copies of one dtype, element by element between any strides: the case of a tape without
// instructions.
#pragma once

#include "kernels/core/tape_row.hpp"

namespace tgm::TGM_TARGET {

// to = from over the box: both have a data pointer to its first element and a stride per dimension.
void copy_box(const Box& box, const Tensor& from, const Tensor& to);

}  // namespace tgm::TGM_TARGET
