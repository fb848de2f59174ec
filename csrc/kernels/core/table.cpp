// The kernels of this target, by name.
#include "kernels/core/table.hpp"

namespace tgm::TGM_TARGET {

#define X(name) extern const Kernel name##_kernel;
TGM_KERNELS(X)
#undef X

const Kernel* const kernels[] = {
#define X(name) &name##_kernel,
    TGM_KERNELS(X)
#undef X
        nullptr,
};

}  // namespace tgm::TGM_TARGET
