// What protocol/explanation.hpp tells, as JSON and back. The same rules as status_json.hpp: stable names, keys are only added.
#pragma once

#include <optional>

#include "coordinator-less/protocol/explanation.hpp"
#include "sdk/client/status_json.hpp"

namespace starling::client {

Json to_json(const protocol::Outcome& outcome);
Json to_json(const protocol::UnitExplanation& unit);
std::optional<protocol::UnitExplanation> unit_explanation_from(const Json& json);

Json to_json(const protocol::JobExplanation& job);
std::optional<protocol::JobExplanation> job_explanation_from(const Json& json);

// The chance of being wrong that an answer of a peer with this k is weighed with (credibility.hpp): 0.2 of newcomers.
double assumed_error(std::uint32_t verified_units);
Json to_json(const protocol::PeerStanding& standing);  // assumed_error is null where nothing that the peer says has weight
Json to_json(const protocol::ReplayExplanation& replay);
std::optional<protocol::ReplayExplanation> replay_explanation_from(const Json& json);

const char* name_of(protocol::AnswerStanding standing);
const char* name_of(protocol::ReplayFinding finding);
const char* name_of(protocol::UnitState state);
const char* name_of(protocol::FinalBecause reason);

}  // namespace starling::client
