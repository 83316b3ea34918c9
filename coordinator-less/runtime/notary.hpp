// protocol::Notary from wire and crypto. A statement's id is the SHA-256 of its signed bytes; the signature is checked before
// the body is looked at. Nothing is cached: what is known already is the core's business (peek).
#pragma once

#include <atomic>

#include "coordinator-less/crypto/identity.hpp"
#include "coordinator-less/protocol/notary.hpp"

namespace starling::runtime {

// For keys other than the peer's: owners seal manifests and cancels, checkers open exported evidence.
protocol::Statement seal(const base::NetworkId& network, const crypto::Identity& identity, protocol::Body body);
// Errors: malformed (does not decode, breaks a bound, or the signature is wrong).
base::Expected<protocol::Statement> open(const base::NetworkId& network, std::shared_ptr<const base::Bytes> raw);
// Without looking at the signature: only for bytes that this peer has verified before and kept since, see Driver::restore.
base::Expected<protocol::Statement> reopen(const base::NetworkId& network, std::shared_ptr<const base::Bytes> raw);

protocol::Digester& sha256_digester();  // lives as long as the process; thread-safe

class SigningNotary final : public protocol::Notary {
 public:
  SigningNotary(const base::NetworkId& network, const crypto::Identity& identity) : network_(network), identity_(identity) {}

  base::Expected<base::MessageId> peek(base::ByteView raw) override;
  base::Expected<protocol::Statement> open(std::shared_ptr<const base::Bytes> raw) override;
  base::Expected<protocol::Statement> reopen(std::shared_ptr<const base::Bytes> raw) { return runtime::reopen(network_, std::move(raw)); }
  protocol::Statement seal(protocol::Body body) override;
  base::Digest digest(base::ByteView bytes) override;

  std::uint64_t verified_count() const { return verified_count_; }
  std::uint64_t refused_count() const { return refused_count_; }

 private:
  base::NetworkId network_;
  const crypto::Identity& identity_;
  std::atomic<std::uint64_t> verified_count_ = 0;  // read by other threads for the counters
  std::atomic<std::uint64_t> refused_count_ = 0;
};

}  // namespace starling::runtime
