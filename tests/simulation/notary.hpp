// The Notary of simulated swarms: real envelopes and bodies (wire/codec), but a fast keyed hash instead of SHA-256 and Ed25519.
// A signature is a 512-bit keyed hash of the signed bytes under a secret that only this file derives from an author; altered
// bytes and other authors fail its check as they would in production. It keeps nobody out who reads this file.
#pragma once

#include <map>
#include <memory>

#include "coordinator-less/protocol/notary.hpp"

namespace starling::simulation {

// Four 64-bit lanes of multiply and mix, then a finaliser over all of them.
base::Digest fast_digest(base::ByteView bytes, std::uint64_t key = 0);
base::Digest digest_of_words(std::initializer_list<std::uint64_t> words);

// What all peers of one run share: their network id, and in fast runs a memory of envelopes that were opened once.
// The memory pins the bytes that it knows by address, so an address never comes to mean something else.
struct NotaryOffice {
  base::NetworkId network;
  bool remembers = true;
  std::map<const std::byte*, std::pair<std::shared_ptr<const base::Bytes>, base::Expected<protocol::Statement>>> opened;
};

class SimNotary final : public protocol::Notary {
 public:
  SimNotary(NotaryOffice& office, base::PeerId self) : office_(office), self_(self) {}

  base::Expected<base::MessageId> peek(base::ByteView raw) override;
  base::Expected<protocol::Statement> open(std::shared_ptr<const base::Bytes> raw) override;
  protocol::Statement seal(protocol::Body body) override;
  base::Digest digest(base::ByteView bytes) override { return fast_digest(bytes); }
  std::uint64_t opened_count() const { return opened_count_; }  // envelopes whose signature this peer would have checked

 private:
  NotaryOffice& office_;
  base::PeerId self_;
  std::uint64_t opened_count_ = 0;
};

}  // namespace starling::simulation
