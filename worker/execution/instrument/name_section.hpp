// The "name" custom section with functions renumbered: names stay true in traps and profilers.
#pragma once

#include <functional>

#include "worker/execution/instrument/module.hpp"

namespace starling::execution::instrument {

// Appends the section's subsections to `out`; false when it is damaged, which is no fault in a custom section: leave it out.
// `locals_of`: how a function's locals moved, by its old index.
bool rewrite_names(base::ByteView content, const FunctionShift& shift, const std::function<FunctionShift(std::uint32_t)>& locals_of, Writer& out);

}  // namespace starling::execution::instrument
