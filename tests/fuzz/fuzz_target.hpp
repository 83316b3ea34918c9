// What a fuzz target is: two functions. fuzz_main.cpp drives one by mutation with any compiler; libfuzzer_main.cpp hands the
// same one to clang's libFuzzer.
#pragma once

#include <span>

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/rng.hpp"

namespace starling::fuzz {

// Takes any bytes; true when they were accepted as something. A broken promise aborts (require).
bool fuzz_one(base::ByteView input);

// A valid input to mutate.
base::Bytes draw_seed(base::Rng& rng);

void require(bool promise, const char* what);

// Bytes asked of operator new so far, by this program: for promises about memory.
std::uint64_t allocated_bytes();

}  // namespace starling::fuzz
