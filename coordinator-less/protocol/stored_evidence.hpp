// The core's port to what it has persisted, for jobs that sleep (sleeping_job.hpp). Reads only. Production: SQLite.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "coordinator-less/base/error.hpp"
#include "coordinator-less/protocol/message.hpp"

namespace starling::protocol {

class StoredEvidence {
 public:
  virtual ~StoredEvidence() = default;

  // What was persisted of the job at an earlier instant than the present one, in that order. What does not open any more (a damaged disk)
  // is left out, as at a restart. An error: it cannot be read now; nothing of the job changes then.
  virtual base::Expected<std::vector<Statement>> read_job(const JobId& job) = 0;
  // Of these the ones that are there undamaged, in the order asked for, until they are bytes_max together.
  virtual base::Expected<std::vector<std::shared_ptr<const Bytes>>> read(std::span<const MessageId> ids, std::size_t bytes_max) = 0;
};

}  // namespace starling::protocol
