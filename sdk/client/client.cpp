#include "sdk/client/client.hpp"

#include <algorithm>
#include <thread>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/crypto/digest.hpp"
#include "coordinator-less/protocol/known_peers.hpp"
#include "coordinator-less/runtime/clock.hpp"
#include "coordinator-less/runtime/notary.hpp"
#include "coordinator-less/wire/codec.hpp"
#include "sdk/client/connection.hpp"
#include "sdk/client/explanation_json.hpp"
#include "sdk/client/owner_key.hpp"
#include "sdk/client/status_json.hpp"

namespace starling::client {

namespace {

using base::ErrorCode;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr std::size_t jobs_looked_back_max = 16;  // each is judged anew for it: milliseconds, a second for the largest
constexpr milliseconds confirm_again{limits::confirm_lifetime.ms / 3};

auto unreadable() { return base::fail(ErrorCode::internal, "the worker's answer does not parse", "is it of another version?"); }

std::filesystem::path last_job_file(const std::filesystem::path& state) { return state / "last_job"; }

std::optional<base::JobId> read_last_job(const std::filesystem::path& state) {
  const auto bytes = read_file(last_job_file(state), 256);
  return bytes ? base::JobId::from_base32_text(base::text(*bytes)) : std::nullopt;
}

std::optional<base::Digest> digest_in(const Json& json, const char* key) {
  return json.contains(key) && json[key].is_string() ? base::Digest::from_base32_text(json[key].get<std::string>()) : std::nullopt;
}

std::uint64_t random_nonce() {
  std::array<std::byte, 8> bytes{};
  crypto::fill_random(bytes);
  return base::read_u64(bytes);
}

RunningUnit running_unit_from(const Json& json) {
  RunningUnit out{.job = base::JobId::from_base32_text(json.at("job").get<std::string>()).value(), .unit = json.at("unit").get<base::UnitIndex>(), .progress = {}};
  if (json.at("progress").is_number()) out.progress = json.at("progress").get<double>();
  return out;
}

std::optional<PeerInfo> info_from(const Json& json) {
  try {
    PeerInfo out;
    out.id = base::PeerId::from_base32_text(json.at("id").get<std::string>()).value();
    out.port = json.at("port").get<std::uint16_t>();
    out.pid = json.at("pid").get<int>();
    out.network = base::NetworkId::from_base32_text(json.at("network").get<std::string>()).value();
    const Json& swarm = json.at("swarm");
    const auto kind = swarm.at("kind").get<std::string>();
    out.swarm.kind = protocol::SwarmKind::private_swarm;
    for (const auto known : {protocol::SwarmKind::public_swarm, protocol::SwarmKind::development})
      if (kind == name_of(known)) out.swarm.kind = known;
    out.swarm.name = swarm.at("name").get<std::string>();
    out.swarm.puzzle_difficulty_bits = swarm.at("puzzle_difficulty_bits").get<std::uint8_t>();
    const auto salt = base::from_hex(swarm.at("salt").get<std::string>()).value();
    if (salt.size() != out.swarm.salt.size()) return std::nullopt;
    std::ranges::copy(salt, out.swarm.salt.begin());
    const Json& counters = json.at("counters");
    out.counters = {.bytes_sent = counters.at("bytes_sent").get<std::uint64_t>(),
                    .bytes_received = counters.at("bytes_received").get<std::uint64_t>(),
                    .statements_verified = counters.at("statements_verified").get<std::uint64_t>(),
                    .statements_refused = counters.at("statements_refused").get<std::uint64_t>(),
                    .frames_refused = counters.at("frames_refused").get<std::uint64_t>(),
                    .blob_bytes = counters.at("blob_bytes").get<std::uint64_t>()};
    if (json.contains("cage") && json["cage"].is_array())
      for (const auto& gap : json["cage"]) out.cage.push_back({gap.at("layer"), gap.at("state"), gap.at("why")});
    out.paused = json.value("paused", false);
    if (json.contains("units") && json["units"].is_array())
      for (const auto& one : json["units"]) out.units.push_back(running_unit_from(one));
    if (json.contains("trouble") && json["trouble"].is_object()) out.trouble = error_from(json["trouble"]);
    return out;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

// What every other peer will check: better to hear it here, as the submitter's own error.
base::Expected<void> check_acceptable(const protocol::Manifest& manifest) {
  const base::Bytes body = wire::encode_body(manifest);
  if (body.size() > limits::manifest_bytes_max)
    return base::fail(ErrorCode::bad_input, "the job's description is larger than a statement may be",
                      "shorten its arguments and input names; put long data into an input file");
  const auto decoded = wire::decode_body(protocol::StatementType::manifest, body);
  if (decoded) return {};
  return base::fail(ErrorCode::bad_input, "the job cannot be submitted: " + decoded.error().message, "change its name, arguments or limits");
}

// Known peers give way to what the job is made of: those with fewest units first.
void make_room_for_names(protocol::Manifest& manifest) {
  while (!manifest.known.empty() && wire::encode_body(manifest).size() > limits::manifest_bytes_max) {
    const auto least = std::ranges::min_element(manifest.known, {}, &protocol::KnownPeer::units);
    manifest.known.erase(least);
  }
}

// A list of things under `key`, each read by `read`.
template <class Read>
auto list_from(const Json& json, const char* key, Read read) -> base::Expected<std::vector<typename decltype(read(json))::value_type>> {
  if (!json.contains(key) || !json[key].is_array()) return unreadable();
  std::vector<typename decltype(read(json))::value_type> out;
  for (const Json& one : json[key]) {
    auto value = read(one);
    if (!value) return unreadable();
    out.push_back(*std::move(value));
  }
  return out;
}

base::Expected<void> take_envelopes(base::ByteView payload, std::vector<std::shared_ptr<const base::Bytes>>& out) {
  while (!payload.empty()) {
    if (payload.size() < 4 || base::read_u32(payload) > payload.size() - 4) return unreadable();
    const std::size_t bytes = base::read_u32(payload);
    out.push_back(std::make_shared<const base::Bytes>(base::copy(payload.subspan(4, bytes))));
    payload = payload.subspan(4 + bytes);
  }
  return {};
}

}  // namespace

Client::Client(std::unique_ptr<Connection> connection, crypto::Identity owner, std::filesystem::path state_folder, bool embedded)
    : connection_(std::move(connection)), owner_(std::move(owner)), state_folder_(std::move(state_folder)), embedded_(embedded) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

base::Expected<Client> Client::connect(ConnectOptions options) {
  STARLING_TRY(crypto::Identity owner, load_owner_key(options.owner_key_file));
  auto connection = connect_to_worker(options.state_folder);
  const bool embeds = !connection && connection.error().code == ErrorCode::not_found && options.embed;
  if (embeds) connection = embed_light_peer(options);
  if (!connection) return std::unexpected(connection.error());
  return Client(*std::move(connection), std::move(owner), options.state_folder, embeds);
}

base::Expected<protocol::BlobRef> Client::upload_file(const std::filesystem::path& file, std::uint64_t bytes_max) {
  std::error_code error;
  const auto size = std::filesystem::file_size(file, error);
  if (error) return base::fail(ErrorCode::not_found, "no such file: " + file.string(), "check the path");
  if (size > bytes_max) return base::fail(ErrorCode::bad_input, file.string() + " is too large", "the limit is " + std::to_string(bytes_max) + " bytes");
  STARLING_TRY(const Answer answer, connection_->call({{"op", "import"}, {"path", std::filesystem::absolute(file).string()}}));
  const auto name = digest_in(answer.json, "blob");
  if (!name) return unreadable();
  return protocol::BlobRef{.name = *name, .size_bytes = answer.json.value("size_bytes", size)};
}

base::Expected<protocol::BlobRef> Client::upload_bytes(const base::Bytes& bytes) {
  if (bytes.size() > limits::local_payload_bytes_max) {
    // Longer than a frame: by way of a file that only we can read.
    const auto file = state_folder_ / ("upload-" + std::to_string(random_nonce()));
    if (const auto written = write_file(file, bytes, 0600); !written) return std::unexpected(written.error());
    auto uploaded = upload_file(file, bytes.size());
    std::error_code error;
    std::filesystem::remove(file, error);
    return uploaded;
  }
  STARLING_TRY(const Answer answer, connection_->call({{"op", "put"}}, bytes));
  const auto name = digest_in(answer.json, "blob");
  if (!name) return unreadable();
  return protocol::BlobRef{.name = *name, .size_bytes = bytes.size()};
}

base::Expected<base::JobId> Client::submit(const JobSpec& spec) {
  STARLING_TRY(const PeerInfo peer, info());
  STARLING_TRY(const std::uint32_t live, live_workers());
  STARLING_TRY(protocol::Manifest manifest, spec.manifest(peer.swarm.kind, live, runtime::read_clock().unix_s, random_nonce()));
  STARLING_TRY(manifest.known, known_peers());
  STARLING_TRY(manifest.program, upload_file(spec.program(), limits::program_bytes_max));
  for (const auto& input : spec.input_files()) {
    STARLING_TRY(const protocol::BlobRef blob, upload_file(input.file, limits::blob_bytes_max));
    manifest.inputs.push_back({.name = input.name, .blob = blob});
  }
  STARLING_TRY(manifest.units, upload_bytes(spec.units_blob()));
  make_room_for_names(manifest);
  if (const auto acceptable = check_acceptable(manifest); !acceptable) return std::unexpected(acceptable.error());
  const auto statement = runtime::seal(peer.network, owner_, std::move(manifest));
  STARLING_TRY(const Answer answer, connection_->call({{"op", "submit"}}, *statement.raw));
  const auto job = base::retag<base::JobId>(statement.id);
  const std::string text = job.base32();
  if (const auto written = write_file(last_job_file(state_folder_), base::view(text)); !written) return std::unexpected(written.error());
  return job;
}

// The newest jobs say enough: each begins with what the ones before it had earned.
base::Expected<std::vector<protocol::KnownPeer>> Client::known_peers() {
  STARLING_TRY(auto all, jobs());
  std::erase_if(all, [&](const auto& job) { return job.owner != owner(); });
  std::ranges::sort(all, {}, [](const auto& job) { return -job.manifest->created_unix_s; });
  if (all.size() > jobs_looked_back_max) all.resize(jobs_looked_back_max);
  std::vector<protocol::EarnedInJob> earned;
  for (const auto& job : all) {
    const auto explained = explain(job.id);
    if (!explained && explained.error().code == ErrorCode::not_found) continue;  // it expired since it was listed
    if (!explained) return std::unexpected(explained.error());
    earned.push_back({job.state == protocol::JobState::finished, explained->peers, job.manifest->verification});
  }
  return protocol::known_from(earned);
}

base::Expected<std::vector<protocol::JobStatus>> Client::jobs() {
  STARLING_TRY(const Answer answer, connection_->call({{"op", "jobs"}}));
  return list_from(answer.json, "jobs", job_status_from);
}

base::Expected<std::string> Client::note(const base::JobId& id) {
  STARLING_TRY(const Answer answer, connection_->call({{"op", "job"}, {"job", id.base32()}}));
  return answer.json.contains("note") && answer.json["note"].is_string() ? answer.json["note"].get<std::string>() : std::string();
}

base::Expected<protocol::JobStatus> Client::job(const base::JobId& id) {
  STARLING_TRY(const Answer answer, connection_->call({{"op", "job"}, {"job", id.base32()}}));
  const auto status = answer.json.contains("job") ? job_status_from(answer.json["job"]) : std::nullopt;
  if (!status) return unreadable();
  return *status;
}

base::Expected<base::JobId> Client::find(const JobSelector& selector) {
  STARLING_TRY(const auto known, jobs());
  return select_job(known, selector, owner(), read_last_job(state_folder_));
}

base::Expected<void> Client::cancel(const base::JobId& id) {
  STARLING_TRY(const protocol::JobStatus status, job(id));
  if (status.owner != owner())
    return base::fail(ErrorCode::refused, "job " + id.brief() + " belongs to another owner", "only the key that submitted a job can cancel it");
  if (has_ended(status.state))
    return base::fail(ErrorCode::bad_input, "job " + id.brief() + " has ended already: " + protocol::name_of(status.state), "its results stay until it expires");
  STARLING_TRY(const PeerInfo peer, info());
  const auto statement = runtime::seal(peer.network, owner_, protocol::Cancel{.job = id});
  STARLING_TRY(const Answer answer, connection_->call({{"op", "cancel"}}, *statement.raw));
  return {};
}

base::Expected<protocol::JobStatus> Client::wait(const base::JobId& id, const std::function<bool(const protocol::JobStatus&)>& look) {
  return wait_until(id, look, [](const protocol::JobStatus& status) { return has_ended(status.state); });
}

base::Expected<protocol::JobStatus> Client::wait_final(const base::JobId& id, const std::function<bool(const protocol::JobStatus&)>& look) {
  auto said = Clock::now() - confirm_again;
  base::Expected<void> asked;
  const auto done = [&](const protocol::JobStatus& status) {
    const bool all = has_ended(status.state) && status.finality.final_units == status.units;
    if (all || cannot_become_final(status.finality.obstacle)) return true;
    if (status.finality.obstacle == protocol::FinalityObstacle::not_finished || Clock::now() - said < confirm_again) return false;
    said = Clock::now();
    const auto answer = connection_->call({{"op", "confirm"}, {"job", id.base32()}});
    if (!answer) asked = std::unexpected(answer.error());
    return !answer;
  };
  auto status = wait_until(id, look, done);
  if (!asked) return std::unexpected(asked.error());
  return status;
}

base::Expected<protocol::JobStatus> Client::wait_until(const base::JobId& id, const std::function<bool(const protocol::JobStatus&)>& look,
                                                       const std::function<bool(const protocol::JobStatus&)>& done) {
  std::uint64_t seen = 0;
  while (true) {
    const auto asked = Clock::now();
    STARLING_TRY(const protocol::JobStatus status, job(id));
    if (!look(status) || done(status)) return status;
    STARLING_TRY(const Answer answer, connection_->call({{"op", "wait"}, {"seen", seen}, {"timeout_ms", 250}}));
    seen = answer.json.value("version", seen);
    // A busy job changes thousands of times a second; nobody needs to see each.
    std::this_thread::sleep_until(asked + milliseconds(10));
  }
}

base::Expected<std::vector<runtime::AcceptedUnit>> Client::accepted(const base::JobId& id) {
  STARLING_TRY(const Answer answer, connection_->call({{"op", "accepted"}, {"job", id.base32()}}));
  return list_from(answer.json, "units", accepted_unit_from);
}

base::Expected<base::Bytes> Client::fetch(const base::JobId& id, const protocol::BlobRef& blob, milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  base::Bytes out;
  while (true) {
    const auto left = std::max(milliseconds(1), std::chrono::duration_cast<milliseconds>(deadline - Clock::now()));
    auto answer = connection_->call({{"op", "fetch"},
                                     {"job", id.base32()},
                                     {"blob", blob.name.base32()},
                                     {"size_bytes", blob.size_bytes},
                                     {"offset", out.size()},
                                     {"timeout_ms", left.count()}});
    if (!answer && answer.error().code == ErrorCode::timeout && Clock::now() < deadline) continue;
    if (!answer) return std::unexpected(answer.error());
    base::append(out, answer->payload);
    const auto size = answer->json.value("size_bytes", std::uint64_t{0});
    if (out.size() >= size) return out;
    if (answer->payload.empty()) return unreadable();
  }
}

base::Expected<void> Client::for_each_result(const base::JobId& id, milliseconds timeout_each,
                                             const std::function<base::Expected<void>(const Result&)>& take) {
  STARLING_TRY(const protocol::JobStatus status, job(id));
  STARLING_TRY(auto units, accepted(id));
  std::ranges::sort(units, {}, &runtime::AcceptedUnit::unit);
  for (const auto& unit : units) {
    STARLING_TRY(const base::Bytes archive, fetch(id, {.name = unit.outcome.digest, .size_bytes = unit.archive_bytes}, timeout_each));
    STARLING_TRY(auto items, read_archive(archive));
    const Result result{.unit = unit.unit,
                        .outcome = unit.outcome,
                        .first_item = std::uint64_t{unit.unit} * status.manifest->items_per_unit,
                        .items = std::move(items)};
    if (const auto taken = take(result); !taken) return taken;
  }
  return {};
}

base::Expected<runtime::EvidenceFile> Client::evidence(const base::JobId& id) {
  STARLING_TRY(const PeerInfo peer, info());
  runtime::EvidenceFile file{.swarm = peer.swarm, .envelopes = {}};
  std::uint64_t from = 0;
  while (true) {
    STARLING_TRY(const Answer answer, connection_->call({{"op", "evidence"}, {"job", id.base32()}, {"from", from}}));
    if (const auto taken = take_envelopes(answer.payload, file.envelopes); !taken) return std::unexpected(taken.error());
    const auto next = answer.json.value("next", from);
    if (next >= answer.json.value("count", next)) return file;
    if (next <= from) return unreadable();
    from = next;
  }
}

base::Expected<protocol::UnitExplanation> Client::explain(const base::JobId& id, base::UnitIndex unit, std::optional<std::uint32_t> segment) {
  Json request{{"op", "explain"}, {"job", id.base32()}, {"unit", unit}};
  if (segment) request["segment"] = *segment;
  STARLING_TRY(const Answer answer, connection_->call(request));
  auto explained = answer.json.contains("unit") ? unit_explanation_from(answer.json["unit"]) : std::nullopt;
  if (!explained) return unreadable();
  return *std::move(explained);
}

base::Expected<protocol::JobExplanation> Client::explain(const base::JobId& id) {
  STARLING_TRY(const Answer answer, connection_->call({{"op", "explain"}, {"job", id.base32()}}));
  auto explained = answer.json.contains("explanation") ? job_explanation_from(answer.json["explanation"]) : std::nullopt;
  if (!explained) return unreadable();
  return *std::move(explained);
}

base::Expected<std::vector<protocol::ReplayExplanation>> Client::proofs_against(const base::JobId& id, const base::PeerId& peer) {
  STARLING_TRY(const Answer answer, connection_->call({{"op", "proofs"}, {"job", id.base32()}, {"peer", peer.base32()}}));
  return list_from(answer.json, "proofs", replay_explanation_from);
}

base::Expected<bool> Client::id_proven(const base::PeerId& peer) {
  STARLING_TRY(const Answer answer, connection_->call({{"op", "id"}, {"peer", peer.base32()}}));
  if (!answer.json.contains("proven") || !answer.json["proven"].is_boolean()) return unreadable();
  return answer.json["proven"].get<bool>();
}

base::Expected<PeerInfo> Client::info() {
  STARLING_TRY(const Answer answer, connection_->call({{"op", "status"}}));
  const auto info = info_from(answer.json);
  if (!info) return unreadable();
  return *info;
}

base::Expected<void> Client::set_paused(bool paused) {
  STARLING_TRY(const Answer answer, connection_->call({{"op", paused ? "pause" : "resume"}}));
  return {};
}

base::Expected<std::string> Client::invite() {
  STARLING_TRY(const Answer answer, connection_->call({{"op", "invite"}}));
  if (!answer.json.contains("ticket") || !answer.json["ticket"].is_string()) return unreadable();
  return answer.json["ticket"].get<std::string>();
}

base::Expected<std::vector<protocol::PeerStatus>> Client::peers() {
  STARLING_TRY(const Answer answer, connection_->call({{"op", "peers"}}));
  return list_from(answer.json, "peers", peer_status_from);
}

base::Expected<std::uint32_t> Client::live_workers() {
  STARLING_TRY(const auto known, peers());
  const auto linked = std::ranges::count_if(known, [](const auto& peer) { return peer.linked && !peer.light; });
  return static_cast<std::uint32_t>(linked) + (embedded_ ? 0 : 1);
}

}  // namespace starling::client
