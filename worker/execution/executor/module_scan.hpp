// A first look at a module's outer bytes, before the engine sees them: magic, version, and that the module carries no
// native code of its own (the engine would run the "wasmedge" section of a universal module as it stands).
#pragma once

#include <optional>
#include <string>

#include "coordinator-less/base/bytes.hpp"

namespace starling::execution {

struct ScanProblem {
  std::string message;
  std::string hint;
};
std::optional<ScanProblem> scan_module(base::ByteView wasm);

}  // namespace starling::execution
