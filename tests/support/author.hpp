// A member that works on one job as an honest peer does: at the positions of its own order, in one log.
#pragma once

#include <initializer_list>
#include <utility>
#include <vector>

#include "coordinator-less/protocol/judgement/order.hpp"
#include "coordinator-less/protocol/judgement/segments.hpp"
#include "coordinator-less/protocol/own_log.hpp"
#include "tests/support/keys.hpp"

namespace starling::testing {

class Author : public Member {
 public:
  using Answers = std::initializer_list<std::pair<protocol::UnitIndex, protocol::Outcome>>;

  Author(unsigned n, const protocol::Statement& manifest) : Author(n, base::retag<base::JobId>(manifest.id), std::get<protocol::Manifest>(manifest.body)) {}
  Author(unsigned n, const base::JobId& job, const protocol::Manifest& manifest)
      : Member(n), job_(job), segments_(manifest), order_(job, id(), static_cast<std::uint32_t>(segments_.total()), manifest.peer_estimate, notary, segments_.stride()) {}

  protocol::Statement states(protocol::UnitIndex unit, const protocol::Outcome& outcome, const base::Digest& fingerprint = {}) {
    return states_all({{unit, order_.position_of(unit), outcome, fingerprint}});
  }
  protocol::Statement states(Answers answers) {
    std::vector<protocol::ResultEntry> entries;
    for (const auto& [unit, outcome] : answers) entries.push_back({unit, order_.position_of(unit), outcome});
    return states_all(std::move(entries));
  }
  protocol::Statement states_all(std::vector<protocol::ResultEntry> entries) {
    const protocol::Results results = log.prepare(job_, std::move(entries));
    const protocol::Statement statement = notary.seal(results);
    log.on_stated(statement.id, results, false);
    return statement;
  }
  std::uint32_t position_of(protocol::UnitIndex unit) { return order_.position_of(unit); }

  protocol::OwnLog log;

 private:
  base::JobId job_;
  protocol::Segments segments_;
  protocol::UnitOrder order_;
};

}  // namespace starling::testing
