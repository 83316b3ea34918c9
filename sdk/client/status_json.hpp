// Protocol values as JSON and back. The names are stable: the local door and `--output json` both use them, and keys are
// only ever added. Reading never throws: what does not fit gives nullopt.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "coordinator-less/protocol/node.hpp"
#include "coordinator-less/runtime/peer.hpp"

namespace starling::client {

using Json = nlohmann::json;

// `whole` adds what only a look at one job needs: arguments, inputs, blobs.
Json to_json(const protocol::JobStatus& status, bool whole);
std::optional<protocol::JobStatus> job_status_from(const Json& json);

Json to_json(const protocol::PeerStatus& peer);
std::optional<protocol::PeerStatus> peer_status_from(const Json& json);

Json to_json(const runtime::AcceptedUnit& unit);  // [unit, kind, code, digest, bytes]: there may be 65,536 of them
std::optional<runtime::AcceptedUnit> accepted_unit_from(const Json& json);

Json to_json(const base::Error& error);
base::Error error_from(const Json& json);

const char* name_of(protocol::SwarmKind kind);
const char* name_of(protocol::VerificationClass verification);
const char* name_of(protocol::OutcomeKind kind);
std::optional<protocol::VerificationClass> verification_from(std::string_view name);

Json parse_json(std::string_view text);  // a discarded value when it is no JSON
std::string dump(const Json& json);      // one line; bytes that are no UTF-8 are replaced

}  // namespace starling::client
