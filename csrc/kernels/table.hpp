// Every kernel of the vocabulary, listed once: the file csrc/kernels/<name>.cpp defines
// `const Kernel <name>_kernel`.
#pragma once

#include "kernel.hpp"

#define TGM_KERNELS(X) X(elementwise)

namespace tgm::TGM_TARGET {

// Ends with a null pointer.
extern const Kernel* const kernels[];

}  // namespace tgm::TGM_TARGET
