// Tiny made-up ids for tests that need no real keys.
#pragma once

#include "coordinator-less/base/ids.hpp"

namespace starling::testing {

template <class Number>
base::PeerId peer(Number n) {
  base::PeerId id;
  id.bytes[0] = static_cast<std::byte>(n);
  return id;
}

}  // namespace starling::testing
