// The layout of a call's workspace.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simd.hpp"

namespace tgm::TGM_TARGET {

TGM_INLINE size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

// Hands out aligned parts of a workspace, one after the other; with a null start it only measures.
struct WorkspaceLayout {
  char* start;
  size_t used = 0;

  template <class T>
  T* take(int64_t count) {
    T* part = reinterpret_cast<T*>(start + used);
    used += aligned(count * sizeof(T));
    return part;
  }
};

}  // namespace tgm::TGM_TARGET
