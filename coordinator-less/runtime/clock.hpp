// The one place of the runtime that reads clocks. Everything else is told the time.
#pragma once

#include "coordinator-less/base/time.hpp"

namespace starling::runtime {

base::Now read_clock();

}  // namespace starling::runtime
