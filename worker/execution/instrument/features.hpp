// Names the feature behind bytes that WebAssembly 2.0 does not have.
#pragma once

#include <cstdint>

#include "coordinator-less/base/error.hpp"

namespace starling::execution::instrument {

base::Error unsupported(std::string_view feature);
base::Error unsupported_opcode(std::uint8_t prefix, std::uint32_t opcode);  // prefix 0: a plain one
base::Error unsupported_type(std::uint8_t byte);

}  // namespace starling::execution::instrument
