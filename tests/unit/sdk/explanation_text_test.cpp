#include "sdk/cli/explanation_text.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "tests/support/ids.hpp"

using namespace starling;
using protocol::AnswerStanding;
using protocol::OutcomeKind;
using protocol::UnitState;
using testing::peer;

namespace {

protocol::UnitExplanation unit_in(UnitState state) {
  protocol::UnitExplanation unit;
  unit.unit = 4;
  unit.state = state;
  unit.fresh_target = 2;
  unit.needed = 2;
  return unit;
}

protocol::UnitExplanation answered(UnitState state, std::uint32_t supporters, std::uint32_t dissenters, std::uint32_t needed) {
  auto unit = unit_in(state);
  unit.outcome.emplace();
  unit.supporters = supporters;
  unit.dissenters = dissenters;
  unit.needed = needed;
  unit.missing = needed > supporters ? needed - supporters : 0;
  unit.ends = state == UnitState::accepted;
  unit.answers.resize(supporters + dissenters);
  return unit;
}

std::string why(const protocol::UnitExplanation& unit) { return cli::reason_text(unit, false); }

}  // namespace

TEST_CASE("a sentence says why a unit is accepted") {
  CHECK(why(answered(UnitState::accepted, 2, 0, 2)) == "Accepted: 2 peers agree and nobody differs; the job asks for 2.");
  auto alone = answered(UnitState::accepted, 1, 0, 1);
  alone.fresh_target = 1;
  CHECK(why(alone) == "Accepted: 1 peer gave this answer and nobody differs; the job asks for 1.");
  CHECK(why(answered(UnitState::accepted, 5, 1, 4)) == "Accepted: 5 peers agree and 1 differs; those that agree outweighed what counted against them.");
  auto seasoned = answered(UnitState::accepted, 2, 0, 2);
  seasoned.fresh_target = 5;
  CHECK(why(seasoned) == "Accepted: 2 peers agree and nobody differs; the job asks for 5 of newcomers, and fewer of peers with verified work.");
  auto failed = answered(UnitState::accepted, 2, 0, 2);
  failed.outcome->kind = OutcomeKind::trap;
  CHECK(why(failed).ends_with(" What they agree on is a failure."));
  auto goes_on = answered(UnitState::accepted, 2, 0, 2);
  goes_on.outcome->kind = OutcomeKind::checkpoint;
  goes_on.ends = false;
  CHECK(why(goes_on).ends_with(" The next segment goes on from it."));
}

TEST_CASE("a sentence says what an open unit lacks") {
  CHECK(why(unit_in(UnitState::unanswered)) == "Open: nobody has answered yet; at most 2 answers that agree are needed.");
  CHECK(why(answered(UnitState::open, 1, 0, 2)) == "Open: 1 peer gave this answer and nobody differs; at most 1 more answer like it is needed.");
  CHECK(why(answered(UnitState::open, 2, 1, 4)) ==
        "Open, contested: 2 peers agree and 1 differs; it takes at most 2 more answers like the leading one, or a replay that proves one of them wrong.");
  auto hopeless = answered(UnitState::open, 30, 29, 20);
  hopeless.needed.reset();
  hopeless.missing = 20;
  CHECK(why(hopeless) ==
        "Open: 30 peers agree and 29 differ, too many for 20 newcomers' answers; it takes peers with verified work, or a replay that proves one of them wrong.");
  CHECK(why(answered(UnitState::open, 0, 0, 2)) == "Open: only audits gave the leading answer and nobody differs; at most 2 more answers like it are needed.");
  auto none_counts = unit_in(UnitState::unanswered);
  none_counts.answers.resize(1);
  CHECK(why(none_counts).starts_with("Open: none of its answers counts now; "));
  auto later = unit_in(UnitState::waits);
  later.segment = 3;
  CHECK(why(later) == "Waits: it goes on from segment 2 of this unit, which is not accepted yet.");
  CHECK(why(unit_in(UnitState::skipped)) == "Nothing to do: an earlier segment ended this unit.");
}

TEST_CASE("what only a running peer knows is told behind it") {
  auto unit = answered(UnitState::accepted, 2, 0, 2);
  unit.here.emplace();
  CHECK(why(unit).contains("No live peer holds its result"));
  unit.here->archive_holders = 1;
  CHECK(why(unit).ends_with("held by at least 1 live peer."));
  auto open = unit_in(UnitState::unanswered);
  open.here = {0, 3, true};
  CHECK(why(open).ends_with("It is running here. 3 other peers say that they work on it."));
  open.quarantined = true;
  CHECK(why(open).contains("aborted"));
  CHECK(cli::reason_text(open, true).contains("canceled"));
}

TEST_CASE("whether copies can be told is said for each unit") {
  auto unit = answered(UnitState::accepted, 2, 0, 2);
  CHECK(cli::fingerprints_text(unit).contains("too short to have one"));
  unit.answers[0].fingerprint = true;
  CHECK(cli::fingerprints_text(unit).contains("1 of 2 answers carry one"));
  unit.answers[1].fingerprint = true;
  CHECK(cli::fingerprints_text(unit).contains("every answer carries one"));
  CHECK(cli::fingerprints_text(unit_in(UnitState::open)).empty());
}

TEST_CASE("a unit's table tells authors, outcomes and how they stand, and what it goes on from in a chain") {
  auto unit = answered(UnitState::accepted, 2, 0, 2);
  unit.answers[0].author = peer(1);
  unit.answers[0].outcome = {OutcomeKind::exit_code, 7, {}, 1, 12'345'678};
  unit.answers[0].position = 31;
  unit.answers[1].standing = AnswerStanding::other_beginning;
  unit.replays.resize(1);
  unit.replays[0].finding = protocol::ReplayFinding::wrong_answer;
  unit.replays_more = 5;
  const auto plain = cli::unit_text(unit, false, {{peer(1), "this peer"}});
  for (const std::string part : {"unit 4\n", " (this peer)", "exit code 7", "12.3 M", "31", "other beginning", "the answer is wrong", "and 5 more", "A replay counts if"})
    CHECK_MESSAGE(plain.contains(part), part);
  CHECK_FALSE(plain.contains("GOES ON FROM"));
  unit.segments_max = 3;
  CHECK(cli::unit_text(unit, false, {}).contains("GOES ON FROM"));
  unit.state = UnitState::open;
  const std::map<AnswerStanding, std::string> words{{AnswerStanding::before_turn, "before its turn"},
                                                    {AnswerStanding::waits_for_blocks, "waits for earlier blocks"},
                                                    {AnswerStanding::out_of_window, "too many of its author's answers are unverified"},
                                                    {AnswerStanding::probation, "on probation for a proven fault"},
                                                    {AnswerStanding::audit_agrees, "audit: agrees"},
                                                    {AnswerStanding::audit_differs, "audit: differs"},
                                                    {AnswerStanding::audit_void, "audit, void"},
                                                    {AnswerStanding::repeats, "repeats"},
                                                    {AnswerStanding::taken_back, "took back"},
                                                    {AnswerStanding::contradicts_log, "contradicts its author's log"}};
  for (const auto& [standing, word] : words) {
    unit.answers[1].standing = standing;
    CHECK_MESSAGE(cli::unit_text(unit, false, {}).contains(word), word);
  }
  CHECK(cli::unit_text(unit, false, {}).contains("leads"));  // nothing is agreed on before it is accepted
}

TEST_CASE("a job's table of peers is cut, and those with faults are not what is cut") {
  protocol::JobExplanation job;
  job.units = job.segments = job.unanswered = 100;
  for (unsigned i = 0; i < 30; ++i) {
    protocol::PeerStanding standing;
    standing.peer = peer(i + 1);
    standing.verified_fuel = 1000 * (i + 1);
    standing.verified_units = 700 + i;
    job.peers.push_back(standing);
  }
  job.peers[0].banned = true;
  job.peers[0].replays = 4;
  const auto text = cli::peers_text(job.peers, {{peer(1), "the liar"}}, 20);
  CHECK(std::ranges::count(text, '\n') == 25);
  CHECK(text.contains(" K "));
  CHECK(text.contains("729"));
  CHECK(text.contains("K: answers verified behind"));
  CHECK(text.contains("ASSUMED ERROR"));
  CHECK(text.contains("(the liar)"));
  CHECK(text.contains("and 10 more (--all shows them)"));
  for (base::UnitIndex unit = 0; unit < 64; ++unit) job.open_units.push_back({unit, 0, unit == 0, 2});
  job.judges = {peer(40)};
  std::string rows;
  for (const auto& row : cli::job_rows(job, {}, {})) rows += row[0] + "=" + row[1] + "\n";
  CHECK(rows.contains("units=0 of 100 verified\n"));
  CHECK(rows.contains("open=100, not answered yet: 0 (contested), 1, "));
  CHECK(rows.contains(" and 80 more\n"));
  CHECK(rows.contains("their replays count, 4 of others do not"));
  CHECK(rows.contains("epsilon 0.001"));
}

TEST_CASE("what is final is said of the segment where a unit is cut") {
  auto unit = answered(UnitState::accepted, 2, 0, 2);
  const auto text = [&] { return cli::unit_text(unit, false, {}); };
  const auto tells = [&](std::optional<protocol::FinalBecause> final, const std::string& words) {
    unit.final = final;
    unit.segments_max = 1;
    CHECK_MESSAGE(text().contains("\n" + words), words);
    unit.segments_max = 3;
    CHECK_FALSE_MESSAGE(text().contains("\n" + words), words);
    CHECK_MESSAGE(text().contains("\nThis segment is " + std::string(final ? "final here: " : "not final here yet: ")), text());
  };
  tells(protocol::FinalBecause::believed, "Final here: the class trusted");
  tells(protocol::FinalBecause::checked, "Final here: a judge executed it");
  tells(protocol::FinalBecause::passed, "Final here: enough of those that agree have passed 5 later audits or 200 further units.");
  tells(std::nullopt, "Not final here yet: those that agree must pass 5 later audits or 200 further units in this job");
}

namespace {

protocol::PeerStanding standing_with(std::uint32_t faulty_units, bool banned, bool withdrawn, std::set<base::PeerId> proven_by) {
  protocol::PeerStanding standing;
  standing.faulty_units = faulty_units;
  standing.banned = banned;
  standing.withdrawn = withdrawn;
  standing.proven_by = std::move(proven_by);
  return standing;
}

}  // namespace

TEST_CASE("why a peer is banned or not is said of each job apart") {
  const auto fault = standing_with(2, false, false, {peer(1)}), back = standing_with(3, false, true, {peer(2)}), clean = standing_with(0, false, false, {});
  const auto ban = standing_with(3, true, false, {peer(3)}), other_ban = standing_with(1, true, true, {peer(4)});
  CHECK(cli::ban_text({}) == "no");
  CHECK(cli::ban_text({clean, clean}) == "no");
  CHECK(cli::ban_text({fault, clean}) == "no: three faulty units among 1,000 answers in one job ban, or one answer that no execution gives");
  CHECK(cli::ban_text({back}) == "no: it took back all its answers in 1 job");
  CHECK(cli::ban_text({back, clean, back}) == "no: it took back all its answers in 2 jobs");
  CHECK(cli::ban_text({fault, back}).starts_with("no: it took back all its answers in 1 job; three faulty units"));
  CHECK(cli::ban_text({fault, ban}) == "in 1 job, by replays of " + peer(3).brief());
  CHECK(cli::ban_text({ban, back}) == "in 1 job, by replays of " + peer(3).brief() + "; it took back all its answers in 1 job");
  CHECK(cli::ban_text({ban, other_ban}) == "in 2 jobs, by replays of " + peer(3).brief() + ", " + peer(4).brief());
  const auto many = standing_with(3, true, false, {peer(1), peer(2), peer(3), peer(4), peer(5)});
  CHECK(cli::ban_text({many}).ends_with(" and 2 more"));
  CHECK(cli::faults_text({back, clean, fault}) == "5 units in 2 jobs");
  CHECK(cli::faults_text({clean, standing_with(1, false, false, {})}) == "1 unit");
}

TEST_CASE("K is told as the error that it stands for") {
  protocol::PeerStanding standing;
  CHECK(cli::assumed_error_text(standing) == "20 %");
  standing.verified_units = 10;
  CHECK(cli::assumed_error_text(standing) == "0.92 %");
  standing.verified_units = 1023;
  CHECK(cli::assumed_error_text(standing) == "0.009 %");
  const auto row = [&] { return cli::peers_text({standing}, {}, 20); };
  CHECK(row().contains("0.009 %"));
  standing.withdrawn = true;
  CHECK(cli::assumed_error_text(standing) == "-");
  CHECK_FALSE(row().contains("0.009 %"));
}
