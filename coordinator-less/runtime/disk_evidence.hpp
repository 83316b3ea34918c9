// The core's StoredEvidence over the database. Protocol thread only, as the database is.
#pragma once

#include <functional>
#include <optional>

#include "coordinator-less/protocol/stored_evidence.hpp"
#include "coordinator-less/runtime/log.hpp"
#include "coordinator-less/runtime/notary.hpp"
#include "coordinator-less/storage/evidence_store.hpp"

namespace starling::runtime {

class DiskEvidence final : public protocol::StoredEvidence {
 public:
  // All outlive this.
  DiskEvidence(storage::EvidenceStore& evidence, SigningNotary& notary, Log& log) : evidence_(evidence), notary_(notary), log_(log) {}

  // In stored order, of one job or of all; opened in windows on all cores, with signatures checked again only where the row does not say that
  // they were; it says so then. How many do not open any more and were left out; else the store's error. Of these, rows that changed since they
  // were checked are set aside (EvidenceStore::set_aside); others may be of another version of the protocol, and stay.
  using Use = std::function<void(const protocol::Statement& statement, bool own)>;
  base::Expected<std::size_t> for_each(const std::optional<base::JobId>& job, const Use& use);

  base::Expected<std::vector<protocol::Statement>> read_job(const base::JobId& job) override;
  base::Expected<protocol::StoredAnswer> read(std::span<const base::MessageId> ids, std::size_t bytes_max) override;
  base::Expected<std::optional<base::JobId>> job_of(const base::MessageId& id) override;
  base::Expected<std::vector<base::MessageId>> ids_of(const base::JobId& job, const base::MessageId& first, const base::MessageId& last,
                                                      std::size_t count_max) override;

 private:
  template <class Answer>
  Answer looked_up(Answer answer);
  // What reading showed, to be written once it has ended.
  struct Findings {
    std::vector<base::MessageId> damaged;
    std::vector<std::pair<base::MessageId, base::Digest>> checked;  // whose row did not say so
  };
  bool intact(const storage::StoredStatement& row, Findings& findings);
  std::size_t open_all(std::vector<storage::StoredStatement> rows, const Use& use, Findings& findings);
  bool write_down(const Findings& findings);

  storage::EvidenceStore& evidence_;
  SigningNotary& notary_;
  Log& log_;
  bool index_fails_ = false;
};

}  // namespace starling::runtime
