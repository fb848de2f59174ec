// The instruction sets that the kernels were compiled for, and the choice among them.
#pragma once

#include <string>
#include <vector>

#include "kernel.hpp"
#include "probe.hpp"

namespace tgm {

struct Target {
  const char* name;
  bool supported;                // by this processor
  const Kernel* const* kernels;  // ends with a null pointer
  const Probe* probe;
};

// Names of the targets that this processor supports, best last.
std::vector<std::string> supported_targets();

// The target of programs built from now on: the best one until set_target chooses another.
// set_target throws std::invalid_argument for a name that is not supported.
const Target& current_target();
void set_target(const std::string& name);

// The kernel of that name; throws std::invalid_argument if the target lacks it.
const Kernel& find_kernel(const Target& target, const std::string& name);

}  // namespace tgm
