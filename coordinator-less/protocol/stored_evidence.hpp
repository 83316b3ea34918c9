// The core's port to what it has persisted, for jobs that sleep (sleeping_job.hpp). Questions only. Production: SQLite.
// All questions are about what was persisted at an earlier instant than the present one. An error: it cannot be read now; nothing of the job
// changes then.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "coordinator-less/base/error.hpp"
#include "coordinator-less/protocol/message.hpp"

namespace starling::protocol {

struct StoredAnswer {
  std::vector<std::shared_ptr<const Bytes>> statements;
  std::vector<JobId> damaged;  // jobs of which something was found damaged: no question tells of that any more, and comparison may bring it again
};

class StoredEvidence {
 public:
  virtual ~StoredEvidence() = default;

  // All of the job, in stored order. What does not open any more (a damaged disk) is left out, as at a restart.
  virtual base::Expected<std::vector<Statement>> read_job(const JobId& job) = 0;
  // Of these the ones that are there undamaged, in the order asked for, until they are bytes_max together.
  virtual base::Expected<StoredAnswer> read(std::span<const MessageId> ids, std::size_t bytes_max) = 0;
  // The job that a statement is about; nothing when it is not there.
  virtual base::Expected<std::optional<JobId>> job_of(const MessageId& id) = 0;
  // Ids of the job's statements from first to last, both included: the lowest, ascending, count_max at most.
  virtual base::Expected<std::vector<MessageId>> ids_of(const JobId& job, const MessageId& first, const MessageId& last, std::size_t count_max) = 0;
};

}  // namespace starling::protocol
