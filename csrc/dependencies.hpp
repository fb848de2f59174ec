// Which calls of a program may run at the same time, and workspaces for them.
#pragma once

#include <cstdint>
#include <vector>

namespace tgm {

class Dependencies {
 public:
  // direct: for each call the earlier calls that it waits for. Throws std::invalid_argument where
  // one of them is no earlier call.
  explicit Dependencies(const std::vector<std::vector<int32_t>>& direct);

  // Whether `later` waits for `earlier`, directly or through others. If not, both may run at the
  // same time.
  bool waits(int64_t later, int64_t earlier) const { return ancestors_[later][earlier]; }

 private:
  std::vector<std::vector<bool>> ancestors_;
};

// The offset of each call's workspace of `bytes`, disjoint for calls that may run at once; the last
// element is the size of them all.
std::vector<int64_t> place_workspaces(const std::vector<int64_t>& bytes, const Dependencies& order);

}  // namespace tgm
