#include <algorithm>
#include <map>
#include <ranges>
#include <set>

#include "coordinator-less/base/check.hpp"
#include "sdk/cli/commands.hpp"
#include "sdk/cli/explanation_text.hpp"
#include "sdk/cli/quantities.hpp"
#include "sdk/client/explanation_json.hpp"

namespace starling::cli {

namespace {

using base::ErrorCode;
using base::PeerId;
using protocol::JobStatus;
using protocol::PeerStanding;

constexpr std::size_t proofs_shown = 10;  // three lines each, and three prove a ban
constexpr std::size_t owners_shown = 3;   // in one cell of a table

struct JobStandings {
  JobStatus job;
  std::vector<PeerStanding> peers;
};

// Jobs that others told this peer are judged by others: a question about each would fetch its evidence.
std::size_t leave_out_told(std::vector<JobStatus>& jobs) {
  return std::erase_if(jobs, [](const JobStatus& job) { return job.told_by > 0; });
}

base::Expected<std::vector<JobStandings>> standings_in(client::Client& client, const std::vector<JobStatus>& jobs) {
  std::vector<JobStandings> out;
  for (const auto& job : jobs) {
    auto explained = client.explain(job.id);
    if (!explained && explained.error().code == ErrorCode::not_found) continue;  // it expired since it was listed
    if (!explained) return std::unexpected(std::move(explained).error());
    out.push_back({job, std::move(explained->peers)});
  }
  return out;
}

void add(std::uint64_t& sum, std::uint64_t value) { sum += std::min(value, UINT64_MAX - sum); }

void add(PeerStanding& sum, const PeerStanding& other) {
  sum.stated += other.stated;
  sum.verified += other.verified;
  sum.contradicted += other.contradicted;
  sum.undecided += other.undecided;
  sum.audits += other.audits;
  sum.without_weight += other.without_weight;
  sum.faulty_units += other.faulty_units;
  sum.replays += other.replays;
  sum.banned = sum.banned || other.banned;
  sum.withdrawn = sum.withdrawn || other.withdrawn;
  sum.proven_by.insert(other.proven_by.begin(), other.proven_by.end());
  add(sum.verified_fuel, other.verified_fuel);
}

// ---------------------------------------------------------------- one peer

struct Proof {
  base::JobId job;
  protocol::ReplayExplanation replay;
};

struct PeerRecord {
  PeerId id;
  bool self = false;
  std::optional<protocol::PeerStatus> link;
  unsigned puzzle_bits = 0;
  bool id_proven = false;
  PeerStanding sum;
  std::vector<std::pair<JobStatus, PeerStanding>> jobs;
  std::vector<Proof> proofs;
};

base::Expected<PeerId> find_peer(const std::string& words, const PeerId& self, const std::vector<protocol::PeerStatus>& peers, const std::vector<JobStandings>& jobs) {
  if (words.empty()) return self;
  std::set<PeerId> found;
  const auto look_at = [&](const PeerId& peer) {
    if (peer.base32().starts_with(words)) found.insert(peer);
  };
  look_at(self);
  for (const auto& peer : peers) look_at(peer.id);
  for (const auto& job : jobs)
    for (const auto& peer : job.peers) look_at(peer.peer);
  if (found.empty()) return base::fail(ErrorCode::not_found, "no peer is known whose id begins with " + words, "see: starling swarm peers, starling credit --all");
  if (found.size() > 1)
    return base::fail(ErrorCode::bad_input, std::to_string(found.size()) + " peers have ids that begin with " + words, "give more characters of the id");
  return *found.begin();
}

base::Expected<PeerRecord> record_of(client::Client& client, const std::string& words) {
  STARLING_TRY(const client::PeerInfo self, client.info());
  STARLING_TRY(const auto peers, client.peers());
  STARLING_TRY(auto jobs, client.jobs());
  leave_out_told(jobs);
  STARLING_TRY(const auto standings, standings_in(client, jobs));
  PeerRecord out;
  STARLING_TRY(out.id, find_peer(words, self.id, peers, standings));
  out.self = out.id == self.id;
  out.puzzle_bits = self.swarm.puzzle_difficulty_bits;
  STARLING_TRY(out.id_proven, client.id_proven(out.id));
  if (const auto link = std::ranges::find(peers, out.id, &protocol::PeerStatus::id); link != peers.end()) out.link = *link;
  for (const auto& job : standings) {
    const auto found = std::ranges::find(job.peers, out.id, &PeerStanding::peer);
    if (found == job.peers.end()) continue;
    out.jobs.emplace_back(job.job, *found);
    add(out.sum, *found);
    if (found->faulty_units == 0) continue;
    STARLING_TRY(auto proofs, client.proofs_against(job.job.id, out.id));
    for (auto& proof : proofs) out.proofs.push_back({job.job.id, std::move(proof)});
  }
  std::ranges::stable_sort(out.jobs, {}, [](const auto& job) { return -job.first.manifest->created_unix_s; });
  return out;
}

std::string link_text(const PeerRecord& record) {
  if (record.self) return "this machine's own peer";
  if (!record.link) return "not known to be there now";
  return std::string(record.link->linked ? "linked" : "known, not linked") + (record.link->light ? ", runs no units" : "");
}

std::string id_text(const PeerRecord& record) {
  if (record.puzzle_bits == 0) return "free: ids cost nothing in this swarm";
  const std::string puzzle = "puzzle of " + std::to_string(record.puzzle_bits) + " bits";
  return record.id_proven ? "paid for: its " + puzzle + " is checked" : "not proven: its " + puzzle + " is not checked here";
}

std::string results_text(const PeerStanding& sum) {
  return std::to_string(sum.stated) + " stated: " + std::to_string(sum.verified) + " agreed with what is accepted, " + std::to_string(sum.contradicted) +
         " contradicted it, " + std::to_string(sum.undecided) + " undecided, " + std::to_string(sum.audits) + " audits that agreed, " + std::to_string(sum.without_weight) + " without weight";
}

std::vector<PeerStanding> standings_of(const PeerRecord& record) {
  const auto standings = record.jobs | std::views::values;
  return {standings.begin(), standings.end()};
}

std::string record_jobs_text(const PeerRecord& record) {
  if (record.jobs.empty()) return {};
  std::vector<std::vector<std::string>> rows{{"JOB", "OWNER", "K", "ASSUMED ERROR", "ANSWERS", "AGREED", "CONTRADICTED", "UNDECIDED", "AUDITS", "NO WEIGHT", "FAULTS", "BANNED", "REPLAYS", "VERIFIED FUEL"}};
  for (const auto& [job, standing] : record.jobs) {
    if (rows.size() > rows_shown) break;
    rows.push_back({job.id.brief(), job.owner.brief(), std::to_string(standing.verified_units), assumed_error_text(standing), std::to_string(standing.stated), std::to_string(standing.verified), std::to_string(standing.contradicted),
                    std::to_string(standing.undecided), std::to_string(standing.audits), std::to_string(standing.without_weight), std::to_string(standing.faulty_units), standing.banned ? "yes" : standing.withdrawn ? "took back" : "-",
                    std::to_string(standing.replays), count_text(standing.verified_fuel)});
  }
  const std::size_t shown = rows.size() - 1;
  return "\n" + table(rows) + (record.jobs.size() > shown ? more_text(record.jobs.size() - shown) + " (--output json has them)\n" : "") + meaning_of_k;
}

std::string proofs_text(const PeerRecord& record) {
  std::string out;
  for (std::size_t i = 0; i < record.proofs.size() && i < proofs_shown; ++i) {
    const auto& [job, replay] = record.proofs[i];
    out += "proof: unit " + std::to_string(replay.fact.unit) + " of job " + job.brief() + ", " + finding_text(replay.finding) + "\n" +
           "       stated in     " + (replay.answered_in ? replay.answered_in->base32() : "?") + "\n" +
           "       replayed in   " + (replay.statement ? replay.statement->base32() : "?") + " by " + replay.fact.judge.brief() + "\n";
  }
  if (out.empty()) return {};
  if (record.proofs.size() > proofs_shown) out += more_text(record.proofs.size() - proofs_shown) + " (--output json has them)\n";
  return "\n" + out + "These are ids of signed statements; evidence export writes them with the rest of the job's.\n";
}

std::string record_text(const PeerRecord& record) {
  std::vector<std::vector<std::string>> rows{{"peer", record.id.base32()}, {"link", link_text(record)}};
  if (record.link && !record.link->addresses.empty()) rows.push_back({"address", printable(record.link->addresses.front())});
  rows.push_back({"id", id_text(record)});
  rows.push_back({"results", results_text(record.sum)});
  rows.push_back({"proven faults", faults_text(standings_of(record))});
  rows.push_back({"banned", ban_text(standings_of(record))});
  rows.push_back({"replays made", std::to_string(record.sum.replays)});
  rows.push_back({"credit", count_text(record.sum.verified_fuel) + " of verified fuel in the jobs that are known here"});
  return table(rows) + record_jobs_text(record) + proofs_text(record);
}

Json record_json(const PeerRecord& record) {
  Json json = client::to_json(record.sum);
  for (const char* of_each_job : {"verified_units", "assumed_error"}) json.erase(of_each_job);
  json["peer"] = record.id.base32();
  json["self"] = record.self;
  json["linked"] = record.link && record.link->linked;
  json["light"] = record.link && record.link->light;
  json["addresses"] = record.link ? record.link->addresses : std::vector<std::string>();
  json["puzzle_difficulty_bits"] = record.puzzle_bits;
  json["id_proven"] = record.id_proven;
  json["jobs"] = Json::array();
  for (const auto& [job, standing] : record.jobs) {
    Json row = client::to_json(standing);
    row.erase("peer");
    row["job"] = job.id.base32();
    row["owner"] = job.owner.base32();
    json["jobs"].push_back(std::move(row));
  }
  json["proofs"] = Json::array();
  for (const auto& [job, replay] : record.proofs) {
    Json row = client::to_json(replay);
    row["job"] = job.base32();
    json["proofs"].push_back(std::move(row));
  }
  return json;
}

// ---------------------------------------------------------------- credit

struct Earned {
  std::uint64_t fuel = 0, units = 0;
  std::set<base::JobId> jobs;
};

struct Credit {
  PeerId peer;
  bool self = false;
  Earned all;
  std::map<PeerId, Earned> by_owner;
};

void earn(Earned& earned, const JobStatus& job, const PeerStanding& standing) {
  add(earned.fuel, standing.verified_fuel);
  earned.units += standing.verified;
  earned.jobs.insert(job.id);
}

// This machine's own peer first, then by credit; who earned nothing is left out.
std::vector<Credit> credits_in(const std::vector<JobStandings>& jobs, const PeerId& self) {
  std::map<PeerId, Credit> by_peer;
  by_peer[self].self = true;
  for (const auto& [job, peers] : jobs)
    for (const auto& standing : peers) {
      if (standing.verified == 0) continue;
      Credit& credit = by_peer[standing.peer];
      earn(credit.all, job, standing);
      earn(credit.by_owner[job.owner], job, standing);
    }
  std::vector<Credit> out;
  for (auto& [peer, credit] : by_peer) {
    credit.peer = peer;
    out.push_back(std::move(credit));
  }
  std::ranges::stable_sort(out, {}, [](const Credit& credit) { return std::tuple(!credit.self, ~credit.all.fuel); });
  return out;
}

std::string owners_text(const Credit& credit, const PeerId& you) {
  std::vector<std::pair<PeerId, Earned>> owners(credit.by_owner.begin(), credit.by_owner.end());
  std::ranges::stable_sort(owners, {}, [&](const auto& owner) { return std::tuple(owner.first != you, ~owner.second.fuel); });
  std::string out;
  for (std::size_t i = 0; i < owners.size() && i < owners_shown; ++i)
    out += (i == 0 ? "" : ", ") + (owners[i].first == you ? std::string("you") : owners[i].first.brief()) + " " + count_text(owners[i].second.fuel);
  return out.empty() ? "-" : out + (owners.size() > owners_shown ? " " + more_text(owners.size() - owners_shown) : "");
}

std::string credits_text(const std::vector<Credit>& credits, std::size_t jobs, const PeerId& you, std::size_t rows_max) {
  std::vector<std::vector<std::string>> rows{{"PEER", "VERIFIED FUEL", "UNITS", "JOBS", "FOR JOBS OF"}};
  std::uint64_t sum = 0;
  for (const Credit& credit : credits) {
    add(sum, credit.all.fuel);
    if (rows.size() <= rows_max)
      rows.push_back({credit.peer.brief() + (credit.self ? " (this peer)" : ""), count_text(credit.all.fuel), std::to_string(credit.all.units),
                      std::to_string(credit.all.jobs.size()), owners_text(credit, you)});
  }
  const std::size_t shown = rows.size() - 1;
  return table(rows) + (credits.size() > shown ? more_text(credits.size() - shown) + " (--all shows them)\n" : "") + count_text(sum) + " of verified fuel in " +
         std::to_string(jobs) + (jobs == 1 ? " job" : " jobs") + "; one fuel is about one instruction, counted alike on every machine";
}

Json credit_json(const Credit& credit, const PeerId& you) {
  Json owners = Json::array();
  for (const auto& [owner, earned] : credit.by_owner)
    owners.push_back({{"owner", owner.base32()}, {"you", owner == you}, {"verified_fuel", earned.fuel}, {"units", earned.units}, {"jobs", earned.jobs.size()}});
  return {{"peer", credit.peer.base32()}, {"self", credit.self},           {"verified_fuel", credit.all.fuel},
          {"units", credit.all.units},    {"jobs", credit.all.jobs.size()}, {"owners", std::move(owners)}};
}

base::Expected<std::vector<JobStatus>> jobs_wanted(client::Client& client, const std::string& words) {
  if (words.empty()) return client.jobs();
  STARLING_TRY(const base::JobId id, client.find({.id = words, .name = {}}));
  STARLING_TRY(const JobStatus job, client.job(id));
  return std::vector{job};
}

}  // namespace

Done peer_info(Context& context, const PeerOptions& options) {
  STARLING_TRY(client::Client client, connect(context));
  STARLING_TRY(const PeerRecord record, record_of(client, options.peer));
  context.output.answer(record_text(record), {{"peer", record_json(record)}},
                        record.id.base32() + " " + std::to_string(record.sum.verified_fuel) + (record.sum.banned ? " banned" : ""));
  return {};
}

Done credit(Context& context, const CreditOptions& options) {
  STARLING_TRY(client::Client client, connect(context));
  STARLING_TRY(auto jobs, jobs_wanted(client, options.job));
  const std::size_t told = options.job.empty() ? leave_out_told(jobs) : 0;
  const std::string and_told = told == 0 ? "" : "\nnot counted: " + std::to_string(told) + (told == 1 ? " job" : " jobs") + " that others told this peer; name one to judge it here";
  STARLING_TRY(const client::PeerInfo self, client.info());
  STARLING_TRY(const auto standings, standings_in(client, jobs));
  const auto credits = credits_in(standings, self.id);
  Json list = Json::array();
  std::string quiet;
  for (const Credit& one : credits) {
    list.push_back(credit_json(one, client.owner()));
    quiet += one.peer.base32() + " " + std::to_string(one.all.fuel) + "\n";
  }
  context.output.answer(credits_text(credits, standings.size(), client.owner(), options.all ? credits.size() : rows_shown) + and_told,
                        {{"peers", std::move(list)}, {"jobs", standings.size()}, {"jobs_told", told}}, quiet);
  return {};
}

}  // namespace starling::cli
