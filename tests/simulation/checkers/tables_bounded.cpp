// What can be seen of a peer's tables stays within limits.hpp, and its work within what the job needs.
#include <map>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/judgement/segments.hpp"
#include "tests/simulation/checkers/checker.hpp"

namespace starling::simulation {
namespace {

class TablesBounded final : public Checker {
 public:
  const char* name() const override { return "tables_bounded"; }
  std::string each_second(const Simulator& run) override { return look(run); }
  std::string at_end(const Simulator& run) override {
    const std::string over_now = look(run);
    return over_now.empty() ? crowded(run) : over_now;
  }

 private:
  static std::string look(const Simulator& run) {
    for (const auto& host : run.hosts()) {
      const std::string what = over(run, *host);
      if (!what.empty()) return "peer " + std::to_string(host->traits().index) + ": " + what + " at " + std::to_string(run.now_ms()) + " ms";
    }
    return run.traffic().frame_bytes_largest > limits::frame_bytes_max ? "a frame above frame_bytes_max" : "";
  }

  // No single author fills a job's table: two results for each unit, and the replays that one judge may publish.
  static std::string crowded(const Simulator& run) {
    for (const auto& host : run.hosts()) {
      if (!host->alive() || !host->honest()) continue;
      for (const JobRun& job : run.jobs()) {
        const protocol::Segments segments(job.manifest);
        const std::uint64_t results_max = segments.total() * limits::answers_per_unit_max;
        std::map<std::pair<base::PeerId, protocol::StatementType>, std::uint64_t> stated;
        for (const auto& statement : host->node().statements_of(job.id)) ++stated[{statement.author, statement.type}];
        for (const auto& [who, count] : stated) {
          const bool too_many = (who.second == protocol::StatementType::results && count > results_max) ||
                                (who.second == protocol::StatementType::replay && count > limits::replays_per_judge_max);
          if (too_many) return "peer " + std::to_string(host->traits().index) + " keeps " + std::to_string(count) + " statements of one author";
        }
      }
    }
    return {};
  }

  static std::string over(const Simulator& run, const Host& host) {
    const auto& scenario = run.scenario();
    if (host.counters().running_most > scenario.slots) return "more executions than slots";
    if (!host.alive()) return {};
    if (host.node().jobs().size() > limits::jobs_max) return "more jobs than jobs_max";
    if (host.node().peers().size() > limits::peer_records_max + limits::inbound_links_max) return "more peers than peer_records_max";
    // One execution per unit, and as many replays at most; restarts and released units may repeat some.
    const std::uint64_t all_units = std::uint64_t{scenario.units} * scenario.segments * scenario.jobs;
    // A liar whose archives nobody keeps makes them anew at each waking: his own affair.
    if (host.honest() && host.counters().units_finished > 2 * all_units) return "runs units again and again";
    std::uint64_t statements = 0;
    for (const JobRun& job : run.jobs()) {
      if (!job.submitted || host.node().asleep(job.id) || host.node().folded(job.id)) continue;
      const auto kept = host.node().statements_of(job.id).size();
      if (kept > limits::statements_per_job_max) return "more statements than statements_per_job_max";
      statements += kept;
    }
    // Statements cannot outnumber what the peers have done or made up: one per execution, one per replay for each whose fingerprint it makes, what each job
    // begins with, and what each may take back of it.
    std::uint64_t done = (2 + run.hosts().size()) * run.jobs().size();
    for (const auto& other : run.hosts())
      done += other->counters().units_finished + limits::fingerprint_seeds_max * other->counters().replays_finished + other->counters().made_up;
    return statements > done ? "more statements than executions" : "";
  }
};

}  // namespace

std::unique_ptr<Checker> tables_bounded() { return std::make_unique<TablesBounded>(); }

}  // namespace starling::simulation
