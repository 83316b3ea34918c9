// What one node persisted, as the database that it wakes jobs from. It can say no, or have one damaged row.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "coordinator-less/protocol/statement_store.hpp"
#include "tests/support/keys.hpp"

namespace starling::testing {

class StoredStatements final : public protocol::StoredEvidence {
 public:
  explicit StoredStatements(Member& member) : member_(member) {}

  base::Expected<std::vector<protocol::Statement>> read_job(const base::JobId& job) override {
    if (broken) return base::fail(base::ErrorCode::temporary, "the disk says no");
    ++jobs_read;
    std::vector<protocol::Statement> out;
    for (const protocol::Statement& one : stored)
      if (about(one) == job) out.push_back(*member_.notary.reopen(one.raw));
    return out;
  }
  base::Expected<protocol::StoredAnswer> read(std::span<const base::MessageId> ids, std::size_t bytes_max) override {
    if (broken) return base::fail(base::ErrorCode::temporary, "the disk says no");
    protocol::StoredAnswer out;
    std::size_t bytes = 0;
    for (const base::MessageId& id : ids) {
      const auto found = std::ranges::find(stored, id, &protocol::Statement::id);
      if (found == stored.end()) continue;
      if (id == damaged) {
        out.damaged.push_back(about(*found));
        stored.erase(found);
      } else if ((bytes += found->raw->size()) <= bytes_max) {
        out.statements.push_back(found->raw);
      }
    }
    return out;
  }
  base::Expected<std::optional<base::JobId>> job_of(const base::MessageId& id) override {
    if (broken) return base::fail(base::ErrorCode::temporary, "the disk says no");
    const auto found = std::ranges::find(stored, id, &protocol::Statement::id);
    return found == stored.end() ? std::nullopt : std::optional(about(*found));
  }
  base::Expected<std::vector<base::MessageId>> ids_of(const base::JobId& job, const base::MessageId& first, const base::MessageId& last, std::size_t count_max) override {
    if (broken) return base::fail(base::ErrorCode::temporary, "the disk says no");
    std::vector<base::MessageId> out;
    for (const protocol::Statement& one : stored)
      if (about(one) == job && one.id >= first && one.id <= last) out.push_back(one.id);
    std::ranges::sort(out);
    out.resize(std::min(out.size(), count_max));
    return out;
  }

  std::vector<protocol::Statement> stored;
  bool broken = false;
  std::optional<base::MessageId> damaged;
  int jobs_read = 0;

 private:
  static base::JobId about(const protocol::Statement& statement) {
    return std::visit(
        [&](const auto& body) -> base::JobId {
          if constexpr (requires { body.job; }) return body.job;
          return base::retag<base::JobId>(statement.id);
        },
        statement.body);
  }
  Member& member_;
};

}  // namespace starling::testing
