// The core's StoredEvidence over the database. Protocol thread only, as the database is.
#pragma once

#include "coordinator-less/protocol/stored_evidence.hpp"
#include "coordinator-less/runtime/log.hpp"
#include "coordinator-less/runtime/notary.hpp"
#include "coordinator-less/storage/evidence_store.hpp"

namespace starling::runtime {

class DiskEvidence final : public protocol::StoredEvidence {
 public:
  // All outlive this.
  DiskEvidence(storage::EvidenceStore& evidence, SigningNotary& notary, Log& log) : evidence_(evidence), notary_(notary), log_(log) {}

  // Of a row: its statement, whose signature is checked again only where the row does not say that it was.
  base::Expected<protocol::Statement> opened(const storage::StoredStatement& stored);

  base::Expected<std::vector<protocol::Statement>> read_job(const base::JobId& job) override;
  base::Expected<std::vector<std::shared_ptr<const base::Bytes>>> read(std::span<const base::MessageId> ids, std::size_t bytes_max) override;

 private:
  storage::EvidenceStore& evidence_;
  SigningNotary& notary_;
  Log& log_;
};

}  // namespace starling::runtime
