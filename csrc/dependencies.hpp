// Which calls of a plan have to wait for which, found from the memory that they touch.
#pragma once

#include <cstdint>
#include <vector>

namespace tgm {

// Bytes of one memory: `space` numbers memories that don't overlap.
struct Region {
  int64_t space;
  int64_t begin;
  int64_t end;
};

struct Footprint {
  std::vector<Region> reads;
  std::vector<Region> writes;
  bool is_check;  // all later calls wait for it
};

class Dependencies {
 public:
  // The calls in an order in which they may run one by one.
  explicit Dependencies(const std::vector<Footprint>& calls);

  // The calls that `call` waits for, without those that they wait for themselves.
  const std::vector<int32_t>& direct(int64_t call) const { return direct_[call]; }

  // Whether `later` waits for `earlier`, directly or through others; if not, both may run at once.
  bool waits(int64_t later, int64_t earlier) const { return ancestors_[later][earlier]; }

 private:
  std::vector<std::vector<int32_t>> direct_;
  std::vector<std::vector<bool>> ancestors_;
};

// The offset of each call's workspace of `bytes`, disjoint for calls that may run at once; the last
// element is the size of them all.
std::vector<int64_t> place_workspaces(const std::vector<int64_t>& bytes, const Dependencies& order);

}  // namespace tgm
