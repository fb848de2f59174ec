// Which calls of a program may run at the same time, and workspaces for them.
#pragma once

#include <cstdint>
#include <vector>

namespace tgm {

// For each call the earlier calls that it waits for directly.
using Depends = std::vector<std::vector<int32_t>>;

// Throws std::invalid_argument where a call waits for one that is no earlier call.
void check_order(const Depends& depends);

// The offset of each call's workspace of `bytes`, disjoint for calls that may run at once; the last
// element is the size of them all.
std::vector<int64_t> place_workspaces(const std::vector<int64_t>& bytes, const Depends& depends);

}  // namespace tgm
