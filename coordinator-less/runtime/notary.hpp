// protocol::Notary from wire and crypto. A statement's id is the SHA-256 of its signed bytes; the signature is checked before
// the body is looked at. Nothing is cached: what is known already is the core's business (peek). What a batch of frames holds is
// opened in windows on all cores (opening_line.hpp).
#pragma once

#include <atomic>
#include <span>
#include <vector>

#include "coordinator-less/crypto/identity.hpp"
#include "coordinator-less/protocol/notary.hpp"
#include "coordinator-less/runtime/opening_line.hpp"

namespace starling::runtime {

// For keys other than the peer's: owners seal manifests and cancels, checkers open exported evidence.
protocol::Statement seal(const base::NetworkId& network, const crypto::Identity& identity, protocol::Body body);
// Errors: malformed (does not decode, breaks a bound, or the signature is wrong).
base::Expected<protocol::Statement> open(const base::NetworkId& network, std::shared_ptr<const base::Bytes> raw);
// Without looking at the signature: only for bytes that this peer has verified before and kept since, see Driver::restore.
base::Expected<protocol::Statement> reopen(const base::NetworkId& network, std::shared_ptr<const base::Bytes> raw);

protocol::Digester& sha256_digester();  // lives as long as the process; thread-safe

// A statement from this peer's own store. verified: digest of the bytes whose signature was checked when they came.
struct StoredEnvelope {
  std::shared_ptr<const base::Bytes> raw;
  std::optional<base::Digest> verified = {};
};

class SigningNotary final : public protocol::Notary {
 public:
  SigningNotary(const base::NetworkId& network, const crypto::Identity& identity, std::size_t threads = Cores::usual_threads());

  // What the core will be asked to take next, in that order: its questions are answered faster then, and no differently.
  void expect(std::vector<StatementAhead> line, CoreView core) { line_.expect(std::move(line), std::move(core)); }
  base::Expected<base::MessageId> peek(base::ByteView raw) override { return line_.peek(raw); }
  base::Expected<protocol::Statement> open(std::shared_ptr<const base::Bytes> raw) override;
  base::Expected<protocol::Statement> reopen(std::shared_ptr<const base::Bytes> raw) { return runtime::reopen(network_, std::move(raw)); }
  // In their order, on all cores: reopened where the digest fits, else opened.
  std::vector<base::Expected<protocol::Statement>> open_stored(std::span<const StoredEnvelope> stored);
  protocol::Statement seal(protocol::Body body) override;
  base::Digest digest(base::ByteView bytes) override;

  std::uint64_t verified_count() const { return verified_count_; }  // checks, also of statements that the core did not ask for in the end
  std::uint64_t refused_count() const { return refused_count_; }

 private:
  void count(bool verified) { ++(verified ? verified_count_ : refused_count_); }

  base::NetworkId network_;
  const crypto::Identity& identity_;
  std::atomic<std::uint64_t> verified_count_ = 0;  // read by other threads for the counters
  std::atomic<std::uint64_t> refused_count_ = 0;
  OpeningLine line_;
};

}  // namespace starling::runtime
