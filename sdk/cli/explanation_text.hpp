// The words for what protocol/explanation.hpp tells: tables and plain sentences. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "coordinator-less/protocol/explanation.hpp"

namespace starling::cli {

// What a key is to the reader, such as "this peer".
using WhoIsWho = std::map<base::PeerId, std::string>;
std::string name_of(const base::PeerId& key, const WhoIsWho& who);  // its first characters, and that in brackets

inline constexpr std::size_t rows_shown = 20;  // of a table, for people; JSON has all
std::string more_text(std::uint64_t more);      // "and 3 more", empty for none

std::string outcome_text(const protocol::Outcome& outcome);
// Why it is accepted or open, and what is missing.
std::string reason_text(const protocol::UnitExplanation& unit, bool canceled);
std::string fingerprints_text(const protocol::UnitExplanation& unit);
std::string unit_text(const protocol::UnitExplanation& unit, bool canceled, const WhoIsWho& who);

// Two columns, the last row is the verdicts' digest; and the table of peers, those with faults first.
std::vector<std::vector<std::string>> job_rows(const protocol::JobExplanation& job, const protocol::Manifest& manifest, const WhoIsWho& who);
inline constexpr const char* meaning_of_k =
    "K: answers verified behind the peer's last proven fault or contradiction; the more, the fewer peers must agree with it.\n"
    "ASSUMED ERROR: the chance that an answer of such a peer is wrong, 20 % for newcomers. A unit is accepted when by these chances those who agree are wrong with at most the job's epsilon.\n";
std::string assumed_error_text(const protocol::PeerStanding& peer);  // "0.092 %"; "-" where nothing it says has weight
std::string peers_text(std::vector<protocol::PeerStanding> peers, const WhoIsWho& who, std::size_t rows_max);

// Of one peer, with its standing in each job.
std::string faults_text(const std::vector<protocol::PeerStanding>& jobs);
std::string ban_text(const std::vector<protocol::PeerStanding>& jobs);

std::string finality_rule_text();  // what supporters must pass
std::string finding_text(protocol::ReplayFinding finding);
std::string target_text(std::uint32_t fresh_target, const protocol::Manifest& manifest);

}  // namespace starling::cli
