// A peer's state folder: who it is, which swarm it belongs to, and its stores.
#pragma once

#include "coordinator-less/crypto/identity.hpp"
#include "coordinator-less/runtime/authenticator.hpp"
#include "coordinator-less/runtime/peer.hpp"
#include "coordinator-less/storage/blob_store.hpp"
#include "coordinator-less/storage/evidence_store.hpp"

namespace starling::runtime {

struct Home {
  std::unique_ptr<storage::EvidenceStore> evidence;
  std::shared_ptr<storage::BlobStore> blobs;
  crypto::Identity identity;
  protocol::SwarmParameters swarm;
  std::optional<NetworkSecret> secret;
  std::uint16_t stored_port = 0;  // 0: none
  std::optional<std::uint64_t> puzzle_nonce = {};  // that this id was minted with, where the swarm asks for one
};

// Makes what is missing. Errors: refused (a ticket of another swarm than the stored one), bad_input (no swarm at all, a ticket
// without its secret, a damaged database), temporary (disk full, folder used by another running peer).
base::Expected<Home> open_home(const PeerOptions& options);
base::Expected<void> store_port(storage::EvidenceStore& evidence, std::uint16_t port);
base::Expected<void> store_puzzle_nonce(storage::EvidenceStore& evidence, std::uint64_t nonce);

}  // namespace starling::runtime
