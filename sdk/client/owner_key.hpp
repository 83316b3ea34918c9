// The owner's key: signs what its holder submits and cancels. Kept as 64 hexadecimal digits in a file of mode 0600, apart
// from every peer's state, so that a job outlives the machine that happened to submit it.
#pragma once

#include <filesystem>

#include "coordinator-less/crypto/identity.hpp"

namespace starling::client {

// Makes the key when the file is missing. refused when others may read it, bad_input when it holds no key.
base::Expected<crypto::Identity> load_owner_key(const std::filesystem::path& file);

}  // namespace starling::client
