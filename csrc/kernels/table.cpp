// The kernels of this target, by name.
#include "kernels/table.hpp"

namespace tgm::TGM_TARGET {

const Kernel* const kernels[] = {
    nullptr,
};

}  // namespace tgm::TGM_TARGET
