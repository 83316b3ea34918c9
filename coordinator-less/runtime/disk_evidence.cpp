#include "coordinator-less/runtime/disk_evidence.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "coordinator-less/base/limits.hpp"

namespace starling::runtime {

// A signature check costs 60 us: a peer that holds 400,000 statements would start half a minute late. All that is stored
// was verified first, so what remains to be found is damage, and the digest finds it. Somebody who may write the database
// needs no forged rows: the identity's seed lies beside them.
std::size_t DiskEvidence::open_all(std::vector<storage::StoredStatement> rows, const Use& use, Findings& findings) {
  std::vector<StoredEnvelope> envelopes;
  for (auto& row : rows) envelopes.push_back({std::make_shared<const base::Bytes>(std::move(row.raw)), row.verified});
  const auto opened = notary_.open_stored(envelopes);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (opened[i]) use(*opened[i], rows[i].own);
    if (opened[i] && !rows[i].verified) findings.checked.emplace_back(rows[i].id, notary_.digest(*envelopes[i].raw));
    if (!opened[i] && rows[i].verified && *rows[i].verified != notary_.digest(*envelopes[i].raw)) findings.damaged.push_back(rows[i].id);
  }
  return static_cast<std::size_t>(std::ranges::count_if(opened, [](const auto& one) { return !one; }));
}

base::Expected<std::size_t> DiskEvidence::for_each(const std::optional<base::JobId>& job, const Use& use) {
  std::size_t refused_count = 0;
  Findings findings;
  std::vector<storage::StoredStatement> rows;
  const auto take = [&](const storage::StoredStatement& stored) {
    rows.push_back(stored);
    if (rows.size() == limits::signatures_together_max) refused_count += open_all(std::exchange(rows, {}), use, findings);
    return true;
  };
  const auto read = job ? evidence_.for_each_of(*job, take) : evidence_.for_each(take);
  if (!read) return std::unexpected(read.error());
  refused_count += open_all(std::move(rows), use, findings);
  write_down(findings);
  return refused_count;
}

// Damage stays in its row, to be found again, where it cannot be written down.
bool DiskEvidence::write_down(const Findings& findings) {
  if (!findings.checked.empty()) static_cast<void>(evidence_.mark_verified(findings.checked));
  if (findings.damaged.empty()) return true;
  const auto done = evidence_.set_aside(findings.damaged);
  if (!done) log_.warning("cannot set damaged statements aside: " + done.error().message);
  return done.has_value();
}

base::Expected<std::vector<protocol::Statement>> DiskEvidence::read_job(const base::JobId& job) {
  std::vector<protocol::Statement> out;
  const auto refused_count = for_each(job, [&](const protocol::Statement& statement, bool) { out.push_back(statement); });
  if (!refused_count) {
    log_.warning("cannot read what is stored of job " + job.brief() + ", which sleeps on: " + refused_count.error().message);
    return std::unexpected(refused_count.error());
  }
  if (*refused_count > 0) log_.warning(std::to_string(*refused_count) + " stored statements of job " + job.brief() + " no longer verify and are left out");
  return out;
}

// Whoever gets a damaged statement takes its sender for a liar.
bool DiskEvidence::intact(const storage::StoredStatement& row, Findings& findings) {
  const auto digest = notary_.digest(row.raw);
  if (row.verified ? *row.verified == digest : notary_.open(std::make_shared<const base::Bytes>(row.raw)).has_value()) {
    if (!row.verified) findings.checked.emplace_back(row.id, digest);
    return true;
  }
  findings.damaged.push_back(row.id);
  return false;
}

base::Expected<protocol::StoredAnswer> DiskEvidence::read(std::span<const base::MessageId> ids, std::size_t bytes_max) {
  protocol::StoredAnswer out;
  Findings findings;
  std::set<base::JobId> damaged;
  std::size_t bytes = 0;
  for (const auto& id : ids) {
    auto stored = evidence_.find(id);
    if (!stored) {
      log_.warning("cannot read a statement that a neighbour asks for: " + stored.error().message);
      return std::unexpected(stored.error());
    }
    if (!*stored) continue;
    if (bytes + (*stored)->raw.size() > bytes_max) break;
    if (!intact(**stored, findings)) {
      damaged.insert((*stored)->job);
      continue;
    }
    bytes += (*stored)->raw.size();
    out.statements.push_back(std::make_shared<const base::Bytes>(std::move((*stored)->raw)));
  }
  if (!findings.damaged.empty())
    log_.warning(std::to_string(findings.damaged.size()) + " stored statements that a neighbour asks for are damaged, are not sent and set aside");
  if (write_down(findings)) out.damaged.assign(damaged.begin(), damaged.end());
  return out;
}

// Asked for each statement that comes: a disk that fails is spoken of once, until it works again.
template <class Answer>
Answer DiskEvidence::looked_up(Answer answer) {
  if (!answer && !index_fails_) log_.warning("cannot tell what sleeping jobs have, and takes no statement that may be of one: " + answer.error().message);
  index_fails_ = !answer;
  return answer;
}

base::Expected<std::optional<base::JobId>> DiskEvidence::job_of(const base::MessageId& id) { return looked_up(evidence_.job_of(id)); }

base::Expected<std::vector<base::MessageId>> DiskEvidence::ids_of(const base::JobId& job, const base::MessageId& first, const base::MessageId& last,
                                                                 std::size_t count_max) {
  return looked_up(evidence_.ids_of(job, first, last, count_max));
}

}  // namespace starling::runtime
