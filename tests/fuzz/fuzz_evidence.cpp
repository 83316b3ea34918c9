// Evidence files. The last byte picks how the rest is read: as a file, byte for byte, or as a script of signed statements, since
// no mutation ever meets a signature: few keys, units, outcomes and beginnings, so that statements meet, contradict and prove each other
// wrong; among them some that do not belong. Logs are honest ones but now and then. Promises: no crash; what is allocated stays within a
// small multiple of a file; what decodes encodes to the same bytes; the order of statements and repetitions change no verdict;
// supporters and dissenters are the entries that have the hearing for it, each once; what is told (explanation.hpp) agrees with the verdict.
#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "coordinator-less/protocol/judgement/order.hpp"
#include "coordinator-less/protocol/judgement/segments.hpp"
#include "coordinator-less/protocol/own_log.hpp"
#include "coordinator-less/runtime/evidence_file.hpp"
#include "coordinator-less/runtime/notary.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace starling::fuzz {
namespace {

using namespace protocol;
using runtime::EvidenceFile;
using runtime::OfflineJudgement;

constexpr std::size_t statements_max = 12;  // each is signed once and checked twice
constexpr std::size_t keys_count = 5;       // the first owns the job
constexpr std::uint64_t allocated_besides_max = 1024 * 1024;

class Script {
 public:
  explicit Script(base::ByteView bytes) : rest_(bytes) {}
  bool ended() const { return rest_.empty(); }
  std::uint32_t below(std::uint32_t bound) {
    if (rest_.empty()) return 0;
    const auto value = std::to_integer<std::uint32_t>(rest_.front());
    rest_ = rest_.subspan(1);
    return value % bound;
  }

 private:
  base::ByteView rest_;
};

std::vector<crypto::Identity> make_keys() {
  std::vector<crypto::Identity> keys;
  crypto::Seed seed{};
  for (unsigned i = 0; keys.size() < keys_count; ++i) {
    seed[0] = static_cast<std::byte>(i);
    if (auto key = crypto::Identity::from_seed(seed)) keys.push_back(*std::move(key));
  }
  return keys;
}

const crypto::Identity& key(std::uint32_t number) {
  static const std::vector<crypto::Identity> keys = make_keys();
  return keys[number];
}

Digest digest_of(std::uint32_t number) {
  Digest digest;
  digest.bytes[0] = static_cast<std::byte>(number);
  return digest;
}

Outcome draw_outcome(Script& script, bool goes_on) {
  const std::uint32_t choice = script.below(6);
  Outcome outcome;
  outcome.kind = choice < 3 ? OutcomeKind::ok : choice < 5 ? OutcomeKind::checkpoint : OutcomeKind::exit_code;
  outcome.code = choice < 3 ? 0 : choice < 5 ? 85 : 7;
  outcome.digest = digest_of(1 + choice % 3);
  outcome.archive_bytes = 1;
  outcome.fuel = choice == 2 ? UINT64_MAX : 100;
  if (goes_on) outcome.input = digest_of(1 + script.below(3));
  return outcome;
}

Manifest draw_manifest(Script& script) {
  Manifest manifest;
  manifest.name = "job";
  manifest.program = manifest.units = {digest_of(9), 1};
  manifest.unit_count = script.below(8) < 6 ? 1 + script.below(3) : 40 + script.below(20);  // one block, or three of them
  manifest.item_count = manifest.unit_count;
  manifest.limits = {1 << 20, 1 << 20, 1000, 0};
  manifest.verification = static_cast<VerificationClass>(script.below(4));
  manifest.epsilon_ppm = script.below(2) == 0 ? 60'000 : 250'000;
  manifest.created_unix_s = 1;
  manifest.expires_unix_s = 2;
  if (script.below(2) == 1) manifest.rounds_max = 3, manifest.segment_rounds = 1;
  return manifest;
}

class Writer {
 public:
  explicit Writer(Script& script) : script_(script), manifest_(draw_manifest(script)), numbers_(manifest_.unit_count * (manifest_.rounds_max > 0 ? 3 : 1)) {
    file_.swarm.name = "fuzz";
    network_ = runtime::network_id_of(file_.swarm);
    job_ = base::retag<JobId>(say(0, manifest_));
    while (!script_.ended() && file_.envelopes.size() < statements_max) say_something();
  }
  EvidenceFile file() { return std::move(file_); }

 private:
  MessageId say(std::uint32_t author, Body body) {
    auto statement = runtime::seal(network_, key(author), std::move(body));
    file_.envelopes.push_back(statement.raw);
    said_.push_back(statement.id);
    return statement.id;
  }
  JobId job() { return script_.below(16) == 15 ? JobId{} : job_; }
  UnitOrder& order_of(std::uint32_t author) {
    const std::uint32_t stride = Segments(manifest_).stride();
    return orders_.try_emplace(author, job_, key(author).id(), numbers_, manifest_.peer_estimate, runtime::sha256_digester(), stride).first->second;
  }
  bool rarely() { return script_.below(16) == 15; }
  bool goes_on(UnitIndex number) { return (manifest_.rounds_max > 0 && number >= manifest_.unit_count) != (script_.below(16) == 15); }
  Digest fingerprint() { return digest_of(script_.below(3)); }

  void say_something() {
    const std::uint32_t what = script_.below(16);
    if (what < 8) return say_results();
    if (what < 13) return say_replay();
    if (what == 13) return void(say(script_.below(keys_count), Cancel{job()}));
    if (what == 14) return file_.envelopes.push_back(file_.envelopes[script_.below(static_cast<std::uint32_t>(file_.envelopes.size()))]);
    switch (script_.below(4)) {
      case 0: file_.envelopes.push_back(std::make_shared<const base::Bytes>(base::Bytes(8 + 8 * script_.below(20)))); break;
      case 1: say(script_.below(keys_count), PeerRecord{}); break;
      case 2: say(script_.below(keys_count), draw_manifest(script_)); break;  // a second one, most likely
      default: damage();
    }
  }
  void say_results() {
    const std::uint32_t author = script_.below(keys_count);
    std::vector<ResultEntry> entries = script_.below(4) == 3 ? draw_run(author) : draw_entries(author);
    OwnLog& log = logs_[author];
    if (rarely()) log.begin_chain(0);
    Results results = log.prepare(job(), std::move(entries));
    if (rarely()) results.first_log_index = script_.below(4);
    if (rarely()) results.previous = said_[script_.below(static_cast<std::uint32_t>(said_.size()))];
    log.on_stated(say(author, results), results, false);
  }
  std::vector<ResultEntry> draw_entries(std::uint32_t author) {
    std::vector<ResultEntry> entries;
    for (std::uint32_t i = 1 + script_.below(3); i > 0; --i) {
      const UnitIndex number = script_.below(numbers_ + 1);  // one past the last now and then
      const bool goes = goes_on(number);
      const std::uint32_t position = number == numbers_ || rarely() ? script_.below(8) : order_of(author).position_of(number);
      entries.push_back({number, position, draw_outcome(script_, goes), fingerprint(), script_.below(8) == 7});
    }
    return entries;
  }
  // A block or two as its author must take them, alike but for one: so that peers meet, become known and fill their windows.
  std::vector<ResultEntry> draw_run(std::uint32_t author) {
    std::vector<ResultEntry> entries;
    const Outcome alike = draw_outcome(script_, false), other = draw_outcome(script_, false);
    const std::uint32_t blocks = order_of(author).block_count(), first = script_.below(blocks), last = std::min(first + script_.below(2), blocks - 1);
    const std::uint32_t odd = script_.below(32);
    for (std::uint32_t block = first; block <= last; ++block)
      for (const UnitIndex number : order_of(author).own_order(block)) {
        if (number >= manifest_.unit_count) continue;  // it would have to go on from something
        entries.push_back({number, order_of(author).position_of(number), entries.size() == odd ? other : alike});
      }
    if (entries.empty()) entries.push_back({0, order_of(author).position_of(0), alike});
    return entries;
  }
  void say_replay() {
    const std::uint32_t judge = script_.below(keys_count);
    Replay replay{job(), said_[script_.below(static_cast<std::uint32_t>(said_.size()))], key(script_.below(keys_count)).id(), script_.below(numbers_ + 1), {}, {}, {}, {}};
    const bool goes = goes_on(replay.unit);
    replay.compiled = draw_outcome(script_, goes);
    replay.fingerprint = fingerprint();
    const bool tiers_differ = script_.below(16) == 15;
    replay.interpreted = tiers_differ ? draw_outcome(script_, goes) : replay.compiled;
    replay.interpreted_fingerprint = tiers_differ ? fingerprint() : replay.fingerprint;
    replay.head = {0, script_.below(64)};
    say(judge, replay);
  }
  void damage() {
    auto bytes = *file_.envelopes.back();
    bytes[script_.below(256) % bytes.size()] ^= std::byte{1};
    file_.envelopes.push_back(std::make_shared<const base::Bytes>(std::move(bytes)));
  }

  Script& script_;
  Manifest manifest_;
  std::uint32_t numbers_;
  EvidenceFile file_;
  base::NetworkId network_;
  JobId job_;
  std::vector<MessageId> said_;
  std::map<std::uint32_t, OwnLog> logs_;
  std::map<std::uint32_t, UnitOrder> orders_;
};

// ---------------------------------------------------------------- what the verdict must say, entry by entry

struct StatedEntry {
  PeerId author;
  LogPlace at;
  UnitIndex number = 0;
  Outcome outcome;
  bool audit = false;
  auto operator<=>(const StatedEntry&) const = default;
};

bool goes_on_where_something_does(const Manifest& manifest, std::uint32_t numbers, const Results& results) {
  const std::uint32_t stride = Segments(manifest).stride();
  return std::ranges::all_of(results.entries, [&](const ResultEntry& entry) {
    return entry.unit >= numbers || (entry.outcome.input != Digest{}) == (stride != 0 && entry.unit >= stride);
  });
}

// By unit. Two at one place of a log that differ in less than this are void in the verdict, so that one stands for both.
using Entries = std::map<UnitIndex, std::set<StatedEntry>>;
Entries entries_of(const EvidenceFile& file, const OfflineJudgement& judged) {
  Entries out;
  for (const auto& envelope : file.envelopes) {
    const auto statement = runtime::open(runtime::network_id_of(file.swarm), envelope);
    const auto* results = statement ? std::get_if<Results>(&statement->body) : nullptr;
    const std::uint32_t numbers = judged.evidence->unit_count();
    if (results == nullptr || results->job != judged.job || !goes_on_where_something_does(judged.manifest, numbers, *results)) continue;
    for (std::uint32_t i = 0; i < results->entries.size(); ++i) {
      const ResultEntry& entry = results->entries[i];
      if (entry.unit < numbers) out[entry.unit].insert({statement->author, results->place(i), entry.unit, entry.outcome, entry.audit});
    }
  }
  return out;
}

// Has it a voice now? In an accepted unit also what could not have one yet when it was accepted.
bool has_voice(const Verdict& verdict, const StatedEntry& entry, bool accepted) {
  ResultFact fact;
  fact.author = entry.author;
  fact.at = entry.at;
  const Hearing hearing = verdict.hearing(fact);
  const bool waits = hearing == Hearing::out_of_order || hearing == Hearing::later_block || hearing == Hearing::out_of_window;
  return hearing == Hearing::counts || hearing == Hearing::audit || (accepted && waits);
}

// V counts a repeated answer at its first place that may count, told is its first place: only then may the two differ.
bool somebody_repeats(const std::set<StatedEntry>& entries) {
  std::set<std::tuple<PeerId, Outcome>> seen;
  return std::ranges::any_of(entries, [&](const StatedEntry& entry) { return !seen.insert({entry.author, entry.outcome}).second; });
}

void check_voices(const JobView& view, UnitIndex number, const std::set<StatedEntry>& entries, const UnitExplanation& unit) {
  const UnitVerdict verdict = view.verdict.unit(number);
  std::uint32_t supporters = 0, dissenters = 0;
  for (const StatedEntry& entry : entries) {
    if (!verdict.open || !has_voice(view.verdict, entry, verdict.accepted)) continue;  // of a skipped unit no hearing is asked
    if (entry.outcome != verdict.outcome) ++dissenters;
    else if (!entry.audit) ++supporters;
  }
  require(supporters == verdict.supporters && dissenters == verdict.dissenters, "supporters and dissenters are not the entries that have a voice");
  const auto count = [&](AnswerStanding standing) { return static_cast<std::uint32_t>(std::ranges::count(unit.answers, standing, &AnswerExplanation::standing)); };
  const std::uint32_t agree = count(AnswerStanding::agrees), differ = count(AnswerStanding::differs) + count(AnswerStanding::audit_differs);
  require(agree <= supporters && differ <= dissenters, "more answers are told to have a voice than have one");
  require(somebody_repeats(entries) || (agree == supporters && differ == dissenters), "answers do not stand as the verdict has it");
}

// Would so many strangers that agree accept it?
bool enough(const Verdict& verdict, UnitIndex number, std::uint32_t strangers_count) {
  std::vector<PeerId> strangers(strangers_count);
  for (std::uint32_t i = 0; i < strangers_count; ++i) {
    strangers[i].bytes.fill(std::byte{0xff});
    strangers[i].bytes.front() = static_cast<std::byte>(i);
  }
  return verdict.would_accept(number, strangers);
}

void check_missing(const Verdict& verdict, UnitIndex number, const UnitExplanation& unit) {
  if (unit.state != UnitState::open && unit.state != UnitState::unanswered) return;
  require(unit.missing > 0 && unit.missing <= fresh_members_max, "an open unit lacks nothing");
  require(!enough(verdict, number, unit.missing - 1), "fewer answers than are missing accept it");
  require(enough(verdict, number, unit.missing) == unit.needed.has_value(), "the missing answers do not accept it");
}

void check_unit(const UnitExplanation& unit) {
  const bool asked = unit.state != UnitState::waits && unit.state != UnitState::skipped;
  require(asked || (unit.supporters == 0 && unit.dissenters == 0 && unit.missing <= unit.fresh_target), "a unit of which nothing is asked has supporters");
  require(!asked || (unit.state == UnitState::accepted) == (unit.needed && unit.supporters >= *unit.needed), "the answers needed are not those that accept it");
  for (const auto& replay : unit.replays) {
    if (!replay.proves_fault()) continue;
    const auto wrong = [&](const AnswerExplanation& answer) {
      return answer.author == replay.fact.accused && (answer.standing == AnswerStanding::proven_wrong || answer.standing == AnswerStanding::taken_back || answer.standing == AnswerStanding::banned);
    };
    require(std::ranges::any_of(unit.answers, wrong), "a proof proves nothing");
  }
}

// What was verified of each key, once for each entry.
std::map<PeerId, std::uint32_t> verified_of(const Verdict& verdict, const Entries& entries) {
  std::map<PeerId, std::uint32_t> out;
  for (const auto& [number, stated] : entries)
    for (const StatedEntry& entry : stated) {
      const Outcome* accepted = verdict.accepted_outcome(number);
      if (accepted != nullptr && *accepted == entry.outcome && !entry.audit && has_voice(verdict, entry, true)) ++out[entry.author];
    }
  return out;
}

void check_told(const EvidenceFile& file, const OfflineJudgement& judged, const JobExplanation& job) {
  const JobView view{judged.manifest, *judged.evidence, *judged.verdict};
  Entries entries = entries_of(file, judged);
  auto verified = verified_of(view.verdict, entries);
  for (UnitIndex number = 0; number < job.segments; ++number) {
    const UnitExplanation unit = explain_unit(view, number);
    check_voices(view, number, entries[number], unit);
    check_missing(view.verdict, number, unit);
    check_unit(unit);
  }
  for (UnitIndex unit = 0; unit < job.units; ++unit) require(telling_segment(view, unit) % job.units == unit, "another unit tells of this one");
  std::uint64_t stated = 0, replays = 0;
  for (const auto& peer : job.peers) {
    require(peer.stated == peer.verified + peer.contradicted + peer.undecided + peer.audits + peer.without_weight, "an answer is not counted once");
    require(!peer.banned || (peer.verified_fuel == 0 && peer.faulty_units > 0), "a banned key has credit, or no fault");
    require(peer.faulty_units == 0 ? peer.proven_by.empty() : !peer.proven_by.empty(), "faults without a judge");
    require((peer.faulty_units > 0) == !proofs_against(view, peer.peer).empty(), "faults without proofs");
    require(peer.verified_units <= verified[peer.peer] && peer.verified <= verified[peer.peer], "more is verified than was said");
    stated += peer.stated;
    replays += peer.replays;
  }
  require(stated == job.answers && replays == job.replays, "somebody's answers are nobody's");
  require(job.accepted + job.open + job.unanswered + job.waits + job.skipped == job.segments, "a unit is in no state");
}

std::set<PeerId> judges_of(unsigned mask) {
  std::set<PeerId> judges;
  for (std::uint32_t i = 0; i < keys_count; ++i)
    if ((mask >> i & 1U) != 0) judges.insert(key(i).id());
  return judges;
}

bool check_file(const EvidenceFile& file, unsigned judges) {
  const auto judged = runtime::judge(file, judges_of(judges));
  EvidenceFile reversed = file;
  std::ranges::reverse(reversed.envelopes);
  if (!reversed.envelopes.empty()) reversed.envelopes.push_back(reversed.envelopes.front());
  const auto again = runtime::judge(reversed, judges_of(judges));
  require(judged.has_value() == again.has_value(), "the order decides whether a file is one");
  if (!judged) return false;
  judged->evidence->check_invariants();
  judged->verdict->check_invariants();
  const auto told = runtime::explain(*judged);
  require(told.digest == runtime::explain(*again).digest, "the order or a repetition changes a verdict");
  require(told.peers == runtime::explain(*again).peers, "the order or a repetition changes what a peer's work came to");
  require(judged->refused_count <= file.envelopes.size() && judged->refused.size() <= judged->refused_count, "more is refused than there is");
  check_told(file, *judged, told);
  return true;
}

bool check_bytes(base::ByteView bytes, unsigned judges) {
  const std::uint64_t before = allocated_bytes();
  const auto file = runtime::decode_evidence(bytes);
  require(allocated_bytes() - before <= 32 * bytes.size() + allocated_besides_max, "a file allocated too much");
  if (!file) return false;
  const auto encoded = runtime::encode_evidence(*file);
  require(std::ranges::equal(encoded, bytes), "a file changed on its way");
  return check_file(*file, judges);
}

}  // namespace

bool fuzz_one(base::ByteView input) {
  if (input.empty()) return false;
  const auto choice = std::to_integer<unsigned>(input.back());
  const base::ByteView rest = input.first(input.size() - 1);
  if (choice < 64) return check_bytes(rest, choice % 32);
  Script script(rest);
  return check_file(Writer(script).file(), choice % 32);
}

base::Bytes draw_seed(base::Rng& rng) {
  base::Bytes input(10 + rng.below(120));
  for (auto& byte : input) byte = static_cast<std::byte>(rng.below(256));
  const bool as_file = rng.chance(0.1);
  if (as_file) {
    Script script(input);
    input = runtime::encode_evidence(Writer(script).file());
  }
  input.push_back(static_cast<std::byte>(as_file ? rng.below(64) : 64 + rng.below(192)));
  return input;
}

}  // namespace starling::fuzz
