#include "sdk/client/peer_service.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <map>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/wire/codec.hpp"
#include "sdk/client/explanation_json.hpp"
#include "sdk/client/local_socket.hpp"
#include "sdk/client/status_json.hpp"

namespace starling::client {

namespace {

using base::ErrorCode;

struct Reply {
  Json json = Json::object();
  base::Bytes payload;
};
using Answer = base::Expected<Reply>;

base::Expected<std::string> text_at(const Json& request, const char* key) {
  const auto at = request.find(key);
  if (at == request.end() || !at->is_string()) return base::fail(ErrorCode::bad_input, std::string("the request needs a text ") + key);
  return at->get<std::string>();
}

base::Expected<std::uint64_t> number_at(const Json& request, const char* key) {
  const auto at = request.find(key);
  if (at == request.end() || !at->is_number_unsigned())
    return base::fail(ErrorCode::bad_input, std::string("the request needs a number ") + key);
  return at->get<std::uint64_t>();
}

template <class Id>
base::Expected<Id> id_at(const Json& request, const char* key) {
  STARLING_TRY(const std::string text, text_at(request, key));
  const auto id = Id::from_base32_text(text);
  if (!id) return base::fail(ErrorCode::bad_input, std::string(key) + " is no id: " + text.substr(0, 64));
  return *id;
}

base::Expected<std::chrono::milliseconds> wait_at(const Json& request) {
  STARLING_TRY(const std::uint64_t asked, number_at(request, "timeout_ms"));
  return std::chrono::milliseconds(std::min(asked, static_cast<std::uint64_t>(limits::local_wait_max.ms)));
}

Answer status(runtime::Peer& peer, const Frame&, const Json&) {
  const auto counters = peer.counters();
  const auto trouble = peer.trouble();
  return Reply{.json = {{"id", peer.id().base32()},
                        {"port", peer.port()},
                        {"pid", ::getpid()},
                        {"trouble", trouble ? to_json(*trouble) : Json()},
                        {"network", peer.network().base32()},
                        {"swarm",
                         {{"kind", name_of(peer.swarm().kind)},
                          {"name", peer.swarm().name},
                          {"puzzle_difficulty_bits", peer.swarm().puzzle_difficulty_bits},
                          {"salt", base::to_hex(peer.swarm().salt)}}},
                        {"counters",
                         {{"bytes_sent", counters.bytes_sent},
                          {"bytes_received", counters.bytes_received},
                          {"statements_verified", counters.statements_verified},
                          {"statements_refused", counters.statements_refused},
                          {"frames_refused", counters.frames_refused},
                          {"blob_bytes", counters.blob_bytes}}}},
               .payload = {}};
}

Answer invite(runtime::Peer& peer, const Frame&, const Json&) {
  return Reply{.json = {{"ticket", wire::ticket_text(peer.invite())}}, .payload = {}};
}

Answer peers(runtime::Peer& peer, const Frame&, const Json&) {
  Json list = Json::array();
  for (const auto& other : peer.peers()) list.push_back(to_json(other));
  return Reply{.json = {{"peers", std::move(list)}}, .payload = {}};
}

Answer put(runtime::Peer& peer, const Frame& frame, const Json&) {
  STARLING_TRY(const base::Digest name, peer.put_blob(frame.payload));
  return Reply{.json = {{"blob", name.base32()}, {"size_bytes", frame.payload.size()}}, .payload = {}};
}

Answer import(runtime::Peer& peer, const Frame&, const Json& request) {
  STARLING_TRY(const std::string path, text_at(request, "path"));
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) return base::fail(ErrorCode::not_found, "the worker cannot read " + path + ": " + error.message(), "check the file's rights");
  STARLING_TRY(const base::Digest name, peer.import_file(path));
  return Reply{.json = {{"blob", name.base32()}, {"size_bytes", size}}, .payload = {}};
}

Answer submit(runtime::Peer& peer, const Frame& frame, const Json&) {
  STARLING_TRY(const base::JobId job, peer.submit(frame.payload));
  return Reply{.json = {{"job", job.base32()}}, .payload = {}};
}

Answer cancel(runtime::Peer& peer, const Frame& frame, const Json&) {
  if (const auto done = peer.cancel(frame.payload); !done) return std::unexpected(done.error());
  return Reply{};
}

Answer jobs(runtime::Peer& peer, const Frame&, const Json&) {
  Json list = Json::array();
  for (const auto& job : peer.jobs()) list.push_back(to_json(job, false));
  return Reply{.json = {{"jobs", std::move(list)}}, .payload = {}};
}

Answer job(runtime::Peer& peer, const Frame&, const Json& request) {
  STARLING_TRY(const auto id, id_at<base::JobId>(request, "job"));
  const auto status = peer.job(id);
  if (!status) return base::fail(ErrorCode::not_found, "this peer knows no job " + id.brief(), "see: starling job list --all");
  return Reply{.json = {{"job", to_json(*status, true)}}, .payload = {}};
}

Answer accepted(runtime::Peer& peer, const Frame&, const Json& request) {
  STARLING_TRY(const auto id, id_at<base::JobId>(request, "job"));
  STARLING_TRY(const auto units, peer.accepted(id));
  Json list = Json::array();
  for (const auto& unit : units) list.push_back(to_json(unit));
  return Reply{.json = {{"units", std::move(list)}}, .payload = {}};
}

base::Expected<base::Bytes> read_piece(const std::filesystem::path& file, std::uint64_t offset, std::uint64_t bytes) {
  const Descriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return base::fail(ErrorCode::internal, "a stored blob cannot be opened: " + file.filename().string());
  base::Bytes out(bytes);
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = ::pread(fd.get(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return base::fail(ErrorCode::internal, "a stored blob is shorter than its name says: " + file.filename().string());
    done += static_cast<std::size_t>(n);
  }
  return out;
}

Answer fetch(runtime::Peer& peer, const Frame&, const Json& request) {
  STARLING_TRY(const auto id, id_at<base::JobId>(request, "job"));
  protocol::BlobRef blob;
  STARLING_TRY(blob.name, id_at<base::Digest>(request, "blob"));
  STARLING_TRY(blob.size_bytes, number_at(request, "size_bytes"));
  STARLING_TRY(const std::uint64_t offset, number_at(request, "offset"));
  STARLING_TRY(const auto timeout, wait_at(request));
  STARLING_TRY(const auto file, peer.fetch_file(id, blob, timeout));
  std::error_code error;
  const std::uint64_t size = std::filesystem::file_size(file, error);
  if (error) return base::fail(ErrorCode::temporary, "the blob left the store while it was read", "try again");
  if (offset > size) return base::fail(ErrorCode::bad_input, "the blob has no such offset");
  STARLING_TRY(base::Bytes piece, read_piece(file, offset, std::min<std::uint64_t>(size - offset, limits::local_payload_bytes_max)));
  return Reply{.json = {{"size_bytes", size}}, .payload = std::move(piece)};
}

Answer evidence(runtime::Peer& peer, const Frame&, const Json& request) {
  STARLING_TRY(const auto id, id_at<base::JobId>(request, "job"));
  STARLING_TRY(const std::uint64_t from, number_at(request, "from"));
  STARLING_TRY(const auto statements, peer.evidence(id));
  Reply reply;
  std::uint64_t next = from;
  while (next < statements.size() && reply.payload.size() + 4 + statements[next]->size() <= limits::local_payload_bytes_max) {
    base::append_u32(reply.payload, static_cast<std::uint32_t>(statements[next]->size()));
    base::append(reply.payload, *statements[next]);
    ++next;
  }
  reply.json = {{"count", statements.size()}, {"next", next}};
  return reply;
}

base::Expected<std::uint32_t> small_number_at(const Json& request, const char* key) {
  STARLING_TRY(const std::uint64_t number, number_at(request, key));
  if (number > UINT32_MAX) return base::fail(ErrorCode::bad_input, std::string(key) + " is too large a number");
  return static_cast<std::uint32_t>(number);
}

Answer explain(runtime::Peer& peer, const Frame&, const Json& request) {
  STARLING_TRY(const auto id, id_at<base::JobId>(request, "job"));
  if (!request.contains("unit")) {
    STARLING_TRY(const auto job, peer.explain(id));
    return Reply{.json = {{"explanation", to_json(job)}}, .payload = {}};
  }
  STARLING_TRY(const std::uint32_t unit, small_number_at(request, "unit"));
  std::optional<std::uint32_t> segment;
  if (request.contains("segment")) {
    STARLING_TRY(segment, small_number_at(request, "segment"));
  }
  STARLING_TRY(const auto explained, peer.explain(id, unit, segment));
  return Reply{.json = {{"unit", to_json(explained)}}, .payload = {}};
}

Answer proofs(runtime::Peer& peer, const Frame&, const Json& request) {
  STARLING_TRY(const auto id, id_at<base::JobId>(request, "job"));
  STARLING_TRY(const auto accused, id_at<base::PeerId>(request, "peer"));
  Json list = Json::array();
  for (const auto& proof : peer.proofs_against(id, accused)) list.push_back(to_json(proof));
  return Reply{.json = {{"proofs", std::move(list)}}, .payload = {}};
}

Answer id(runtime::Peer& peer, const Frame&, const Json& request) {
  STARLING_TRY(const auto other, id_at<base::PeerId>(request, "peer"));
  return Reply{.json = {{"proven", peer.id_proven(other)}}, .payload = {}};
}

Answer confirm(runtime::Peer& peer, const Frame&, const Json& request) {
  STARLING_TRY(const auto id, id_at<base::JobId>(request, "job"));
  peer.confirm(id);
  return Reply{};
}

Answer wait(runtime::Peer& peer, const Frame&, const Json& request) {
  STARLING_TRY(const std::uint64_t seen, number_at(request, "seen"));
  STARLING_TRY(const auto timeout, wait_at(request));
  return Reply{.json = {{"version", peer.wait_change(seen, timeout)}}, .payload = {}};
}

using Handler = Answer (*)(runtime::Peer&, const Frame&, const Json&);
const std::map<std::string_view, Handler>& handlers() {
  static const std::map<std::string_view, Handler> table{
      {"status", status}, {"invite", invite}, {"peers", peers}, {"put", put},           {"import", import}, {"submit", submit},
      {"cancel", cancel}, {"jobs", jobs},     {"job", job},     {"accepted", accepted}, {"fetch", fetch},   {"evidence", evidence},
      {"wait", wait},     {"explain", explain}, {"proofs", proofs}, {"id", id}, {"confirm", confirm}};
  return table;
}

Answer set_paused(LocalExecution* execution, bool paused) {
  if (execution == nullptr) return base::fail(ErrorCode::not_found, "this peer runs no programs", "start a worker: starling worker start");
  if (const auto done = execution->set_paused(paused); !done) return std::unexpected(done.error());
  return Reply{.json = {{"paused", paused}}, .payload = {}};
}

Answer dispatch(runtime::Peer& peer, LocalExecution* execution, const Frame& frame) {
  const Json request = parse_json(frame.json);
  if (!request.is_object()) return base::fail(ErrorCode::malformed, "a request must be a JSON object");
  STARLING_TRY(const std::string op, text_at(request, "op"));
  if (op == "pause" || op == "resume") return set_paused(execution, op == "pause");
  const auto handler = handlers().find(op);
  if (handler == handlers().end())
    return base::fail(ErrorCode::usage, "the worker knows no request \"" + op.substr(0, 64) + "\"", "are both of the same version?");
  return handler->second(peer, frame, request);
}

void add_notes(Json& reply, const LocalExecution& execution) {
  if (reply.contains("counters")) {
    Json& cage = reply["cage"] = Json::array();
    for (const auto& gap : execution.cage_gaps()) cage.push_back({{"layer", gap.layer}, {"state", gap.state}, {"why", gap.why}});
    reply["paused"] = execution.paused();
    Json& units = reply["units"] = Json::array();
    for (const auto& one : execution.running_units())
      units.push_back({{"job", one.job.base32()}, {"unit", one.unit}, {"progress", one.progress ? Json(*one.progress) : Json()}});
  }
  if (reply.contains("job") && reply["job"].is_object())
    if (const auto id = base::JobId::from_base32_text(reply["job"].value("id", std::string()))) reply["note"] = execution.note_of(*id);
}

}  // namespace

Frame PeerService::answer(const Frame& request) {
  auto reply = dispatch(peer_, execution_, request);
  if (reply && execution_ != nullptr) add_notes(reply->json, *execution_);
  if (!reply) return Frame{.json = dump(Json{{"error", to_json(reply.error())}}), .payload = {}};
  std::string json = dump(reply->json);
  if (json.size() > reply_bounds.json_bytes_max)
    return Frame{.json = dump(Json{{"error", to_json(base::Error{ErrorCode::internal, "the answer is too long", ""})}}), .payload = {}};
  return Frame{.json = std::move(json), .payload = std::move(reply->payload)};
}

}  // namespace starling::client
