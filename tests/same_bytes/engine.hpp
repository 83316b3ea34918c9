// The tiers of WasmEdge. Each run happens on a stack of its own, large enough for every tier, whose touched part is measured.
#pragma once

#include <string>

#include "coordinator-less/base/bytes.hpp"
#include "tests/same_bytes/host.hpp"

namespace starling::testing {

enum class Tier : std::uint8_t { interpreter, aot_O0, aot_O2 };
inline constexpr Tier engine_tiers[] = {Tier::aot_O0, Tier::aot_O2, Tier::interpreter};
const char* name_of(Tier tier);

// Whether the engine takes these bytes; else what it says.
std::string refusal_of(base::ByteView wasm);

struct Job {
  base::ByteView wasm;  // instrumented
  RunLimits limits;
  std::vector<std::string> arguments;
  base::ByteView input;
};
// In this process: a crash of the engine is a crash of the caller. `folder`: where native code may be put.
Row run_in_engine(Tier tier, const Job& job, const std::string& folder);

}  // namespace starling::testing
