// What the links need of cryptography, from crypto: signatures of this peer and the swarm's secret.
#pragma once

#include <memory>
#include <optional>

#include "coordinator-less/crypto/identity.hpp"
#include "coordinator-less/net/transport.hpp"

namespace starling::runtime {

using NetworkSecret = std::array<std::byte, 32>;

// The identity must outlive the authenticator. Without a secret every mac is all zero.
std::unique_ptr<net::Authenticator> make_authenticator(const crypto::Identity& identity, std::optional<NetworkSecret> secret);

}  // namespace starling::runtime
