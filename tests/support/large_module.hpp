// A valid program of about so many bytes, shaped like what compilers of big programs leave: many functions of some hundred
// bytes with loops, loads, stores, floats and calls of neighbours, of which a run executes few.
// It prints "ran\n" and ends with exit code 0.
#pragma once

#include <cstddef>

#include "coordinator-less/base/bytes.hpp"

namespace starling::testing {

base::Bytes large_module(std::size_t bytes);

}  // namespace starling::testing
