#include "dependencies.hpp"

#include <algorithm>
#include <utility>

namespace tgm {
namespace {

bool overlap(const std::vector<Region>& some, const std::vector<Region>& others) {
  for (const Region& a : some) {
    for (const Region& b : others) {
      if (a.space == b.space && a.begin < b.end && b.begin < a.end) return true;
    }
  }
  return false;
}

bool must_wait(const Footprint& later, const Footprint& earlier) {
  return earlier.is_check || overlap(later.reads, earlier.writes) ||
         overlap(later.writes, earlier.writes) || overlap(later.writes, earlier.reads);
}

}  // namespace

Dependencies::Dependencies(const std::vector<Footprint>& calls)
    : direct_(calls.size()), ancestors_(calls.size(), std::vector<bool>(calls.size())) {
  for (size_t call = 0; call < calls.size(); call++) {
    std::vector<bool>& before = ancestors_[call];
    for (size_t other = call; other-- > 0;) {
      if (before[other] || !must_wait(calls[call], calls[other])) continue;
      direct_[call].push_back(static_cast<int32_t>(other));
      before[other] = true;
      for (size_t k = 0; k < other; k++) {
        if (ancestors_[other][k]) before[k] = true;
      }
    }
  }
}

std::vector<int64_t> place_workspaces(const std::vector<int64_t>& bytes,
                                      const Dependencies& order) {
  std::vector<int64_t> places(bytes.size() + 1, 0);
  int64_t& total = places.back();
  for (size_t call = 0; call < bytes.size(); call++) {
    std::vector<std::pair<int64_t, int64_t>> taken;
    for (size_t other = 0; other < call; other++) {
      if (bytes[other] > 0 && !order.waits(call, other)) {
        taken.emplace_back(places[other], places[other] + bytes[other]);
      }
    }
    std::sort(taken.begin(), taken.end());
    for (const auto& [begin, end] : taken) {
      if (begin >= places[call] + bytes[call]) break;
      places[call] = std::max(places[call], end);
    }
    total = std::max(total, places[call] + bytes[call]);
  }
  return places;
}

}  // namespace tgm
