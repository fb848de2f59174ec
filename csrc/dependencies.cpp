#include "dependencies.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "sizes.hpp"

namespace tgm {

Dependencies::Dependencies(const std::vector<std::vector<int32_t>>& direct)
    : ancestors_(direct.size(), std::vector<bool>(direct.size())) {
  for (size_t call = 0; call < direct.size(); call++) {
    std::vector<bool>& before = ancestors_[call];
    for (const int32_t other : direct[call]) {
      if (other < 0 || static_cast<size_t>(other) >= call) {
        throw std::invalid_argument("call " + std::to_string(call) + " waits for call " +
                                    std::to_string(other) + ", which is not before it");
      }
      before[other] = true;
      for (int32_t k = 0; k < other; k++) {
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
    total = std::max(total, size_sum(places[call], bytes[call]));
  }
  return places;
}

}  // namespace tgm
