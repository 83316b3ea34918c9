// The "name" custom section with functions renumbered: names stay true in traps and profilers.
#pragma once

#include "worker/execution/instrument/module.hpp"

namespace starling::execution::instrument {

// Appends the section's subsections to `out`; false when it is damaged, which is no fault in a custom section: leave it out.
bool rewrite_names(base::ByteView content, const FunctionShift& shift, Writer& out);

}  // namespace starling::execution::instrument
