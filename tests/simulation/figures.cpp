#include "tests/simulation/figures.hpp"

#include <cstdio>

#include "coordinator-less/protocol/judgement/order.hpp"
#include "coordinator-less/wire/codec.hpp"

namespace starling::simulation {
namespace {

constexpr std::size_t watched_peers_max = 5;  // the first honest ones are looked at once a second
constexpr std::size_t archivists = 5;         // ... and their evidence is judged by the first one's judges

struct WordDigester final : protocol::Digester {
  base::Digest digest(base::ByteView bytes) override { return fast_digest(bytes); }
};

// As `evidence verify` does with what `evidence export` wrote at this peer.
base::Digest judged(const Host& host, const JobRun& job, const std::set<base::PeerId>& judges) {
  const auto statements = host.node().statements_of(job.id);
  WordDigester digester;
  base::PeerId owner;
  for (const auto& statement : statements)
    if (statement.type == protocol::StatementType::manifest) owner = statement.author;
  protocol::JobEvidence evidence(job.manifest.unit_count);
  const protocol::UnitOrder order(job.id, owner, job.manifest.unit_count, job.manifest.peer_estimate, digester);
  protocol::Verdict verdict(evidence, judges, protocol::parameters_of(job.manifest), &order);
  for (const auto& statement : statements) {
    const protocol::Body body = *wire::decode_body(statement.type, wire::decode_envelope(*statement.raw)->body);
    if (const auto* results = std::get_if<protocol::Results>(&body)) {
      evidence.add_results(statement.author, statement.id, *results);
      verdict.on_results(statement.author, statement.id, *results);
    } else if (const auto* replay = std::get_if<protocol::Replay>(&body)) {
      if (evidence.add_replay(statement.author, *replay)) verdict.on_replay(protocol::fact_of(statement.author, *replay));
    }
  }
  verdict.settle();
  return fast_digest(protocol::verdict_bytes({job.manifest, evidence, verdict}, job.id));
}

std::size_t agreeing(const std::vector<const Host*>& honest, const JobRun& job) {
  const std::set<base::PeerId> judges{honest.front()->id()};
  const base::Digest first = judged(*honest.front(), job, judges);
  std::size_t agree = 0;
  for (std::size_t i = 0; i < archivists && i < honest.size(); ++i)
    if (judged(*honest[i], job, judges) == first) ++agree;
  return agree;
}

bool states_wrong_results(const Host& host) {
  return host.traits().behaviour == Behaviour::liar || host.traits().behaviour == Behaviour::colluder;
}

std::uint64_t executions_of(const Host& host, const JobRun& job) {
  const auto status = host.node().job(job.id);
  return status ? status->executions : 0;
}

template <class Look>
void visit_wrong(const Host& host, const JobRun& job, const std::vector<std::optional<protocol::Outcome>>& truth, Look&& look) {
  const protocol::Verdict* verdict = host.node().verdict(job.id);
  for (protocol::UnitIndex unit = 0; verdict != nullptr && unit < truth.size(); ++unit) {
    const protocol::Outcome* accepted = verdict->accepted_outcome(unit);
    if (accepted != nullptr && truth[unit] != *accepted) look(unit);
  }
}

}  // namespace

Figures::Sums Figures::sums_of(const Simulator& run) {
  Sums sums{.bytes = run.traffic().bytes};
  for (const auto& host : run.hosts()) sums.signatures += host->envelopes_opened();
  return sums;
}

void Figures::each_second(const Simulator& run) {
  const JobRun& job = run.jobs().front();
  const auto honest = run.honest_alive();
  if (!job.submitted || honest.empty()) {
    before_ = sums_of(run);
    submitted_ms_ = run.now_ms();
    return;
  }
  const auto truth = truth_of(run.scenario(), job.id);
  for (std::size_t i = 0; i < watched_peers_max && i < honest.size(); ++i)
    if (honest[i]->verdict_awake(job.id) != nullptr) visit_wrong(*honest[i], job, truth, [this](protocol::UnitIndex unit) { wrong_once_.insert(unit); });
  if (finished_ms_ != 0 && at_the_end_.empty() && run.now_ms() >= finished_ms_ + run.scenario().settle_ms) at_the_end_ = told(run);
  if (finished_ms_ != 0 || !run.all_finished()) return;
  finished_ms_ = run.now_ms();
  executions_at_finish_ = static_cast<double>(executions_of(*honest.front(), job)) / run.scenario().units;
}

std::string Figures::json(const Simulator& run) const { return at_the_end_.empty() ? told(run) : at_the_end_; }

std::string Figures::told(const Simulator& run) const {
  const JobRun& job = run.jobs().front();
  const auto honest = run.honest_alive();
  const double units = run.scenario().units;
  const Sums sums = sums_of(run);
  const auto truth = truth_of(run.scenario(), job.id);
  std::uint64_t wrong_pairs = 0, banned_pairs = 0, liar_pairs = 0, honest_bans = 0, statements = 0, replays = 0, reopened = 0;
  for (const Host* host : honest) {
    visit_wrong(*host, job, truth, [&](protocol::UnitIndex) { ++wrong_pairs; });
    const auto status = host->node().job(job.id);
    if (!status || status->state != protocol::JobState::finished) ++reopened;
    const protocol::Verdict* verdict = host->node().verdict(job.id);
    for (const auto& other : run.hosts()) {
      const bool banned = verdict != nullptr && verdict->banned(other->id());
      if (states_wrong_results(*other)) ++liar_pairs, banned_pairs += banned ? 1 : 0;
      if (other->honest() && banned) ++honest_bans;
    }
  }
  for (const auto& statement : honest.front()->node().statements_of(job.id)) {
    ++statements;
    if (statement.type == protocol::StatementType::replay) ++replays;
  }
  char text[1024];
  std::snprintf(text, sizeof text,
                "{\"units\": %u, \"finish_s\": %.1f, \"executions_at_finish\": %.4f, \"executions\": %.4f, \"wrong_once\": %zu, "
                "\"wrong_final\": %llu, \"liars_banned\": %llu, \"liar_pairs\": %llu, \"honest_bans\": %llu, \"statements\": %.4f, "
                "\"replays\": %.4f, \"signatures\": %.4f, \"bytes\": %.1f, \"agreeing\": %zu, \"asked\": %zu, \"reopened\": %llu}",
                run.scenario().units, finished_ms_ == 0 ? -1.0 : static_cast<double>(finished_ms_ - submitted_ms_) / 1000, executions_at_finish_,
                static_cast<double>(executions_of(*honest.front(), job)) / units, wrong_once_.size(), static_cast<unsigned long long>(wrong_pairs),
                static_cast<unsigned long long>(banned_pairs), static_cast<unsigned long long>(liar_pairs), static_cast<unsigned long long>(honest_bans),
                static_cast<double>(statements) / units, static_cast<double>(replays) / units,
                static_cast<double>(sums.signatures - before_.signatures) / (units * run.scenario().peers),
                static_cast<double>(sums.bytes - before_.bytes) / (units * run.scenario().peers), agreeing(honest, job),
                std::min(archivists, honest.size()), static_cast<unsigned long long>(reopened));
  return text;
}

}  // namespace starling::simulation
