#include "coordinator-less/runtime/disk_evidence.hpp"

namespace starling::runtime {

// A signature check costs 60 us: a peer that holds 400,000 statements would start half a minute late. All that is stored
// was verified first, so what remains to be found is damage, and the digest finds it. Somebody who may write the database
// needs no forged rows: the identity's seed lies beside them.
base::Expected<protocol::Statement> DiskEvidence::opened(const storage::StoredStatement& stored) {
  auto raw = std::make_shared<const base::Bytes>(stored.raw);
  if (stored.verified && *stored.verified == notary_.digest(*raw)) return notary_.reopen(std::move(raw));
  return notary_.open(std::move(raw));
}

base::Expected<std::vector<protocol::Statement>> DiskEvidence::read_job(const base::JobId& job) {
  std::vector<protocol::Statement> out;
  const auto read = evidence_.for_each_of(job, [&](const storage::StoredStatement& stored) {
    if (auto statement = opened(stored))
      out.push_back(*std::move(statement));
    else
      log_.warning("a stored statement of job " + job.brief() + " no longer verifies and is left out");
    return true;
  });
  if (read) return out;
  log_.warning("cannot read what is stored of job " + job.brief() + ", which sleeps on: " + read.error().message);
  return std::unexpected(read.error());
}

base::Expected<std::vector<std::shared_ptr<const base::Bytes>>> DiskEvidence::read(std::span<const base::MessageId> ids, std::size_t bytes_max) {
  std::vector<std::shared_ptr<const base::Bytes>> out;
  std::size_t bytes = 0;
  for (const auto& id : ids) {
    auto stored = evidence_.find(id);
    if (!stored) {
      log_.warning("cannot read a statement that a neighbour asks for: " + stored.error().message);
      return std::unexpected(stored.error());
    }
    if (!*stored) continue;
    bytes += (*stored)->raw.size();
    if (bytes > bytes_max) break;
    out.push_back(std::make_shared<const base::Bytes>(std::move((*stored)->raw)));
  }
  return out;
}

}  // namespace starling::runtime
