// Changes that matter to length-prefixed, word-aligned binary formats; blind otherwise.
#pragma once

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/rng.hpp"

namespace starling::fuzz {

// `other`: something to splice in. Results stay below bytes_max.
base::Bytes mutate(base::Bytes input, const base::Bytes& other, std::size_t bytes_max, base::Rng& rng);

}  // namespace starling::fuzz
