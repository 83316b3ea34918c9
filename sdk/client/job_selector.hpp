// Which job a person means: "last", a job id, any unique prefix of one, or a name.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coordinator-less/protocol/node.hpp"

namespace starling::client {

struct JobSelector {
  std::string id;    // "last" or a prefix of a base32 id; empty: by name
  std::string name;  // exact; the newest of several
};

// `last_submitted` is what "last" means; without it, the owner's newest job. Errors: usage, not_found, bad_input (ambiguous).
base::Expected<base::JobId> select_job(const std::vector<protocol::JobStatus>& jobs, const JobSelector& selector,
                                       const base::PeerId& owner, const std::optional<base::JobId>& last_submitted);

bool has_ended(protocol::JobState state);
bool cannot_become_final(protocol::FinalityObstacle obstacle);  // unless somebody else does something

}  // namespace starling::client
