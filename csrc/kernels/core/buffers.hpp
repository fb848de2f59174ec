// Buffers for the chunks of a phase, as many as there are chunks. A chunk takes the first that is
// free: so there are never more in use than threads, and a thread mostly gets one whose lines are
// in its cache. What a chunk computes doesn't depend on which it gets.
#pragma once

#include <cstdint>

#include "kernels/core/workspace.hpp"

namespace tgm::TGM_TARGET {

constexpr int64_t kMaxBuffers = 64;

class Buffers {
 public:
  // Of a phase with up to kMaxBuffers chunks, in the workspace.
  Buffers() = default;
  Buffers(WorkspaceLayout& layout, int64_t chunks, size_t bytes)
      : free_(layout.take<uint64_t>(1)),
        first_(layout.take<char>(chunks * static_cast<int64_t>(aligned(bytes)))),
        bytes_(static_cast<int64_t>(aligned(bytes))) {}

  // To be called in an earlier phase of every call.
  void release_all() const { *free_ = ~uint64_t{0}; }

  // Calls use(buffer) with a buffer of its own.
  template <class Use>
  void with_buffer(Use use) const {
    uint64_t free = __atomic_load_n(free_, __ATOMIC_RELAXED), lowest;
    do lowest = free & -free;
    while (!__atomic_compare_exchange_n(free_, &free, free & ~lowest, true, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED));
    use(first_ + __builtin_ctzll(lowest) * bytes_);
    __atomic_fetch_or(free_, lowest, __ATOMIC_RELEASE);
  }

 private:
  uint64_t* free_ = nullptr;  // a bit for each buffer
  char* first_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace tgm::TGM_TARGET
