#include "sdk/client/job_selector.hpp"

#include <algorithm>

namespace starling::client {

namespace {

using base::ErrorCode;
using protocol::JobStatus;

template <class Matches>
const JobStatus* newest(const std::vector<JobStatus>& jobs, Matches matches) {
  const JobStatus* found = nullptr;
  for (const auto& job : jobs)
    if (matches(job) && (!found || job.manifest->created_unix_s > found->manifest->created_unix_s)) found = &job;
  return found;
}

base::Expected<base::JobId> by_prefix(const std::vector<JobStatus>& jobs, const std::string& prefix) {
  std::vector<const JobStatus*> found;
  for (const auto& job : jobs)
    if (job.id.base32().starts_with(prefix)) found.push_back(&job);
  if (found.empty()) return base::fail(ErrorCode::not_found, "no job is known whose id begins with " + prefix, "see: starling job list --all");
  if (found.size() > 1)
    return base::fail(ErrorCode::bad_input, std::to_string(found.size()) + " jobs have ids that begin with " + prefix, "give more characters of the id");
  return found.front()->id;
}

}  // namespace

base::Expected<base::JobId> select_job(const std::vector<JobStatus>& jobs, const JobSelector& selector, const base::PeerId& owner,
                                       const std::optional<base::JobId>& last_submitted) {
  if (!selector.name.empty()) {
    const auto* found = newest(jobs, [&](const JobStatus& job) { return job.manifest->name == selector.name; });
    if (!found) return base::fail(ErrorCode::not_found, "no job is called " + selector.name, "see: starling job list --all");
    return found->id;
  }
  if (selector.id.empty()) return base::fail(ErrorCode::usage, "which job?", "give its id, the word last, or --name NAME");
  if (selector.id != "last") return by_prefix(jobs, selector.id);
  const auto is_last = [&](const JobStatus& job) { return last_submitted ? job.id == *last_submitted : job.owner == owner; };
  const auto* found = newest(jobs, is_last);
  if (!found && last_submitted) found = newest(jobs, [&](const JobStatus& job) { return job.owner == owner; });
  if (!found) return base::fail(ErrorCode::not_found, "you have no job in this swarm", "submit one: starling submit PROGRAM.wasm");
  return found->id;
}

bool cannot_become_final(protocol::FinalityObstacle obstacle) {
  using protocol::FinalityObstacle;
  return obstacle == FinalityObstacle::stopped || obstacle == FinalityObstacle::light || obstacle == FinalityObstacle::banned || obstacle == FinalityObstacle::released;
}

bool has_ended(protocol::JobState state) {
  using enum protocol::JobState;
  return state == finished || state == failed || state == canceled || state == aborted;
}

}  // namespace starling::client
