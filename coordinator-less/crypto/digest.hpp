// SHA-256 and HMAC-SHA-256 (OpenSSL). Thread-safe.
#pragma once

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/ids.hpp"

namespace starling::crypto {

base::Digest sha256(base::ByteView bytes);
base::Digest hmac_sha256(base::ByteView key, base::ByteView bytes);
bool equal_in_constant_time(base::ByteView a, base::ByteView b);
void fill_random(std::span<std::byte> out);  // from the operating system; aborts when it has none

}  // namespace starling::crypto
