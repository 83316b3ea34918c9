// The core's port to bytes and keys. Production: wire + OpenSSL. Large simulations: wire + a fast keyed hash.
#pragma once

#include "coordinator-less/base/error.hpp"
#include "coordinator-less/protocol/message.hpp"

namespace starling::protocol {

class Digester {
 public:
  virtual ~Digester() = default;
  virtual Digest digest(base::ByteView bytes) = 0;
};

class Notary : public Digester {
 public:

  // The id of an envelope that may be hostile, without checking its signature: for dropping what is known already.
  virtual base::Expected<MessageId> peek(base::ByteView raw) = 0;
  // Verifies, then parses. Every bound of limits.hpp holds in what it returns.
  virtual base::Expected<Statement> open(std::shared_ptr<const Bytes> raw) = 0;
  // Makes and signs a statement with this peer's key.
  virtual Statement seal(Body body) = 0;
};

}  // namespace starling::protocol
