// Every kernel of this target, declared once. A kernel's file defines `const Kernel <name>_kernel`.
#pragma once

#include "kernel.hpp"

namespace tgm::TGM_TARGET {

// Ends with a null pointer.
extern const Kernel* const kernels[];

}  // namespace tgm::TGM_TARGET
