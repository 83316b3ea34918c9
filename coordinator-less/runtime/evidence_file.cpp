#include "coordinator-less/runtime/evidence_file.hpp"

#include <algorithm>
#include <fstream>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/crypto/digest.hpp"
#include "coordinator-less/protocol/judgement/segments.hpp"
#include "coordinator-less/runtime/notary.hpp"

namespace starling::runtime {
namespace {

using base::ErrorCode;

constexpr std::string_view magic = "starling evidence 1\n";
constexpr std::string_view network_prefix{"starling/v1/network\0", 20};
constexpr std::size_t network_bytes_max = network_prefix.size() + 2 + 16 + limits::name_bytes_max;

auto damaged(const std::string& how) {
  return base::fail(ErrorCode::bad_input, "not a whole evidence file: " + how, "export the evidence of the job again");
}

// Takes bytes from the front; gives nothing once they run out.
class Reader {
 public:
  explicit Reader(base::ByteView bytes) : rest_(bytes) {}

  std::optional<base::ByteView> take(std::size_t count) {
    if (count > rest_.size()) return std::nullopt;
    const auto taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  std::optional<std::uint32_t> take_u32() {
    const auto bytes = take(4);
    if (!bytes) return std::nullopt;
    return base::read_u32(*bytes);
  }
  std::optional<base::ByteView> take_counted(std::size_t bytes_max) {
    const auto length = take_u32();
    if (!length || *length > bytes_max) return std::nullopt;
    return take(*length);
  }
  bool at_end() const { return rest_.empty(); }

 private:
  base::ByteView rest_;
};

base::Expected<protocol::SwarmParameters> parse_network(base::ByteView bytes) {
  Reader reader(bytes);
  protocol::SwarmParameters swarm;
  const auto prefix = reader.take(network_prefix.size());
  const auto kind_and_difficulty = reader.take(2);
  const auto salt = reader.take(swarm.salt.size());
  if (!prefix || base::text(*prefix) != network_prefix || !salt) return damaged("the swarm's parameters do not parse");
  if (static_cast<std::uint8_t>((*kind_and_difficulty)[0]) > 2) return damaged("an unknown kind of swarm");
  swarm.kind = static_cast<protocol::SwarmKind>((*kind_and_difficulty)[0]);
  swarm.puzzle_difficulty_bits = static_cast<std::uint8_t>((*kind_and_difficulty)[1]);
  std::ranges::copy(*salt, swarm.salt.begin());
  swarm.name = base::text(bytes.subspan(network_prefix.size() + 2 + swarm.salt.size()));
  return swarm;
}

}  // namespace

base::NetworkId network_id_of(const protocol::SwarmParameters& swarm) {
  return base::retag<base::NetworkId>(crypto::sha256(protocol::network_id_bytes(swarm)));
}

base::Bytes encode_evidence(const EvidenceFile& file) {
  base::Bytes out;
  const auto append_counted = [&out](base::ByteView bytes) {
    base::append_u32(out, static_cast<std::uint32_t>(bytes.size()));
    base::append(out, bytes);
  };
  base::append(out, base::view(magic));
  append_counted(protocol::network_id_bytes(file.swarm));
  base::append_u32(out, static_cast<std::uint32_t>(file.envelopes.size()));
  for (const auto& envelope : file.envelopes) append_counted(*envelope);
  return out;
}

base::Expected<EvidenceFile> decode_evidence(base::ByteView bytes) {
  Reader reader(bytes);
  const auto head = reader.take(magic.size());
  if (!head || base::text(*head) != magic) return damaged("it does not begin as one");
  const auto network = reader.take_counted(network_bytes_max);
  if (!network) return damaged("it ends inside the swarm's parameters");
  EvidenceFile file;
  STARLING_TRY(file.swarm, parse_network(*network));
  const auto count = reader.take_u32();
  if (!count || *count > limits::statements_per_job_max) return damaged("an impossible number of statements");
  for (std::uint32_t i = 0; i < *count; ++i) {
    const auto envelope = reader.take_counted(limits::evidence_envelope_bytes_max);
    if (!envelope) return damaged("it ends inside statement " + std::to_string(i));
    file.envelopes.push_back(std::make_shared<const base::Bytes>(base::copy(*envelope)));
  }
  if (!reader.at_end()) return damaged("bytes follow the last statement");
  return file;
}

base::Expected<void> write_evidence_file(const std::filesystem::path& path, const EvidenceFile& file) {
  const auto bytes = encode_evidence(file);
  auto beside = path;
  beside += ".partial";
  std::ofstream out(beside, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  out.close();
  std::error_code error;
  if (out) std::filesystem::rename(beside, path, error);
  if (out && !error) return {};
  std::filesystem::remove(beside, error);
  return base::fail(ErrorCode::temporary, "cannot write " + path.string(), "check the folder, its rights and its free space");
}

base::Expected<EvidenceFile> read_evidence_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in || !std::filesystem::is_regular_file(path))
    return base::fail(ErrorCode::not_found, "cannot read " + path.string(), "check the path");
  const auto size = static_cast<std::uint64_t>(in.tellg());
  if (size > limits::evidence_file_bytes_max) return damaged(std::to_string(size) + " bytes are too many");
  base::Bytes bytes(size);
  in.seekg(0);
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  if (!in) return base::fail(ErrorCode::not_found, "cannot read " + path.string(), "check the disk");
  return decode_evidence(bytes);
}

namespace {

struct Numbered {
  std::uint32_t number;
  protocol::Statement statement;
};

void refuse(std::uint32_t number, std::string reason, OfflineJudgement& out) {
  ++out.refused_count;
  if (out.refused.size() < limits::refusals_told_max) out.refused.push_back({number, std::move(reason)});
}

std::vector<Numbered> open_all(const EvidenceFile& file, OfflineJudgement& out) {
  const auto network = network_id_of(file.swarm);
  std::vector<Numbered> statements;
  std::set<base::MessageId> seen;
  for (std::uint32_t number = 0; number < file.envelopes.size(); ++number) {
    auto statement = open(network, file.envelopes[number]);
    if (!statement)
      refuse(number, statement.error().message, out);
    else if (!seen.insert(statement->id).second)
      ++out.repeated_count;
    else
      statements.push_back({number, *std::move(statement)});
  }
  return statements;
}

base::Expected<void> find_manifest(const std::vector<Numbered>& statements, OfflineJudgement& out) {
  const protocol::Statement* found = nullptr;
  for (const auto& [number, statement] : statements) {
    if (statement.type() != protocol::StatementType::manifest) continue;
    if (found) return damaged("it holds two manifests");
    found = &statement;
  }
  if (!found) return damaged("it holds no manifest whose signature is its owner's");
  out.job = base::retag<base::JobId>(found->id);
  out.owner = found->author;
  out.manifest = std::get<protocol::Manifest>(found->body);
  return {};
}

base::Expected<void> check_authors(const std::vector<Numbered>& statements) {
  constexpr std::size_t authors_max = limits::authors_per_job_max + 1;  // the exporter's own always count
  std::set<base::PeerId> authors;
  for (const auto& [number, statement] : statements)
    if (authors.insert(statement.author).second && authors.size() > authors_max)
      return damaged("statements of more than " + std::to_string(authors_max) + " keys");
  return {};
}

// What follows: why it is refused; empty when it was taken in.
std::string take_in(const protocol::Statement&, const protocol::Manifest&, OfflineJudgement&) { return {}; }
std::string take_in(const protocol::Statement&, const protocol::Claims&, OfflineJudgement&) { return "a claim is no evidence"; }
std::string take_in(const protocol::Statement&, const protocol::Fold&, OfflineJudgement&) { return "a fold is no evidence"; }
std::string take_in(const protocol::Statement&, const protocol::PeerRecord&, OfflineJudgement&) { return "a peer's address is no evidence"; }

std::string take_in(const protocol::Statement& statement, const protocol::Cancel&, OfflineJudgement& out) {
  if (statement.author != out.owner) return "a cancellation that the job's owner did not sign";
  out.canceled = true;
  return {};
}

std::string take_in(const protocol::Statement& statement, const protocol::Results& results, OfflineJudgement& out) {
  const std::uint32_t stride = protocol::Segments(out.manifest).stride();
  for (const auto& entry : results.entries) {
    const bool goes_on = stride != 0 && entry.unit >= stride;
    if (entry.unit < out.evidence->unit_count() && (entry.outcome.input != base::Digest{}) != goes_on)
      return "results that go on from something where nothing does, or from nothing where something must";
  }
  ++out.results_count;
  out.evidence->add_results(statement.author, statement.id, results);
  out.verdict->on_results(statement.author, statement.id, results);
  return {};
}

std::string take_in(const protocol::Statement& statement, const protocol::Replay& replay, OfflineJudgement& out) {
  ++out.replays_count;
  if (out.evidence->add_replay(statement.author, replay)) out.verdict->on_replay(protocol::fact_of(statement.author, replay));
  return {};
}

std::string take_in(const protocol::Statement& statement, OfflineJudgement& out) {
  return std::visit(
      [&](const auto& body) -> std::string {
        if constexpr (requires { body.job; })
          if (body.job != out.job) return "it speaks of another job";
        return take_in(statement, body, out);
      },
      statement.body);
}

}  // namespace

base::Expected<OfflineJudgement> judge(const EvidenceFile& file, std::set<base::PeerId> judges) {
  OfflineJudgement out;
  const auto statements = open_all(file, out);
  if (auto found = find_manifest(statements, out); !found) return std::unexpected(std::move(found).error());
  if (auto few = check_authors(statements); !few) return std::unexpected(std::move(few).error());
  const protocol::Segments segments(out.manifest);
  const auto numbers = static_cast<std::uint32_t>(segments.total());
  judges.insert(out.owner);
  out.evidence = std::make_unique<protocol::JobEvidence>(numbers);
  out.order = std::make_unique<protocol::UnitOrder>(out.job, out.owner, numbers, out.manifest.peer_estimate, sha256_digester(), segments.stride());
  out.verdict = std::make_unique<protocol::Verdict>(*out.evidence, std::move(judges), protocol::parameters_of(out.manifest), out.order.get());
  for (const auto& [number, statement] : statements)
    if (auto why = take_in(statement, out); !why.empty()) refuse(number, std::move(why), out);
  out.verdict->settle();
  std::ranges::stable_sort(out.refused, {}, &RefusedStatement::number);
  return out;
}

protocol::JobExplanation explain(const OfflineJudgement& judgement) {
  const protocol::JobView view{judgement.manifest, *judgement.evidence, *judgement.verdict};
  auto out = protocol::explain_job(view);
  out.digest = crypto::sha256(protocol::verdict_bytes(view, judgement.job));
  return out;
}

}  // namespace starling::runtime
