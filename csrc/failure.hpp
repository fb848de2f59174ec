// Where a kernel that checks its input reports that it failed. Separate from kernel.hpp, which
// every kernel includes, because <atomic> takes long to compile.
#pragma once

#include <atomic>
#include <cstdint>

namespace tgm {

struct Failure {
  std::atomic<int64_t> call{0};  // 1 + the number of the failed call in the plan; 0: none
};

}  // namespace tgm
