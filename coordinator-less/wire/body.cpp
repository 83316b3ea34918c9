#include <peer.capnp.h>

#include <set>

#include "coordinator-less/protocol/judgement/credibility.hpp"
#include "coordinator-less/protocol/judgement/segments.hpp"
#include "coordinator-less/wire/codec.hpp"
#include "coordinator-less/wire/message_io.hpp"
#include "coordinator-less/wire/outcome_io.hpp"

namespace starling::wire {
namespace {

using namespace protocol;

// Half is where two equal groups could both be accepted (protocol/judgement/verdict.hpp).
constexpr std::uint32_t epsilon_ppm_max = 500'000;

// ---------------------------------------------------------------- manifest

BlobRef read_blob(schema::BlobRef::Reader in, std::uint64_t bytes_max) {
  require(in.getSizeBytes() <= bytes_max, "a blob is too large");
  return {read_id<Digest>(in.getName()), in.getSizeBytes()};
}

void write_blob(schema::BlobRef::Builder out, const BlobRef& blob) {
  out.setName(data_of(blob.name.view()));
  out.setSizeBytes(blob.size_bytes);
}

// It becomes /in/<name>.
std::string read_file_name(capnp::Text::Reader text) {
  std::string name = read_label(text);
  require(!name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos,
          "an input's name is not a plain file name");
  return name;
}

std::vector<JobInput> read_inputs(capnp::List<schema::JobInput>::Reader list) {
  counted(list, limits::inputs_per_job_max, "too many inputs");
  std::vector<JobInput> inputs;
  std::set<std::string_view> names;
  inputs.reserve(list.size());
  for (const auto in : list) {
    inputs.push_back({read_file_name(in.getName()), read_blob(in.getBlob(), limits::blob_bytes_max)});
    require(names.insert(inputs.back().name).second, "two inputs have one name");
  }
  return inputs;
}

std::vector<std::string> read_arguments(capnp::List<capnp::Text>::Reader list) {
  counted(list, limits::arguments_per_job_max, "too many arguments");
  std::vector<std::string> arguments;
  arguments.reserve(list.size());
  for (const auto text : list) arguments.push_back(read_text(text));
  return arguments;
}

UnitLimits read_limits(schema::UnitLimits::Reader in) {
  const UnitLimits out{in.getMemoryBytes(), in.getOutputBytes(), in.getTimeMs(), in.getFuel()};
  require(out.memory_bytes >= 1 && out.memory_bytes <= limits::memory_bytes_max, "the memory limit is out of range");
  require(out.output_bytes >= 1 && out.output_bytes <= limits::output_bytes_max, "the output limit is out of range");
  require(out.time_ms >= 1 && out.time_ms <= limits::unit_time_ms_max, "the time limit is out of range");
  return out;
}

void check_units(const Manifest& job) {
  require(job.unit_count >= 1 && job.unit_count <= limits::units_per_job_max, "the number of units is out of range");
  require(job.items_per_unit >= 1 && job.items_per_unit <= limits::items_per_unit_max, "items per unit is out of range");
  const std::uint64_t per_unit = job.items_per_unit;
  require(job.item_count <= job.unit_count * per_unit && job.item_count > (job.unit_count - 1) * per_unit,
          "units and items do not match");
  require(job.item_count <= job.units.size_bytes + 1, "there are more items than lines can be");
}

void check_rounds(const Manifest& job) {
  require(job.rounds_max <= limits::checkpoint_rounds_max, "an item has too many rounds");
  require(job.segment_rounds == 0 || job.rounds_max > 0, "there are segments and no rounds");
  require(Segments(job).total() <= limits::units_per_job_max, "the units have too many segments together");
}

void check_times(const Manifest& job) {
  require(job.created_unix_s >= 0 && job.expires_unix_s > job.created_unix_s &&
              job.expires_unix_s - job.created_unix_s <= limits::job_lifetime_max_s,
          "the job's lifetime is out of range");
}

std::vector<KnownPeer> read_known(capnp::Data::Reader peers, capnp::List<std::uint32_t>::Reader units) {
  counted(units, limits::known_peers_max, "too many known peers");
  const auto ids = read_ids<PeerId>(peers, limits::known_peers_max);
  require(ids.size() == units.size(), "known peers and their units do not match");
  require(strictly_ascending(ids), "known peers are not ascending");
  std::vector<KnownPeer> known;
  known.reserve(ids.size());
  for (kj::uint i = 0; i < units.size(); ++i) {
    require(units[i] >= 1 && units[i] <= credited_units_max, "a known peer's units are out of range");
    known.push_back({ids[i], units[i]});
  }
  return known;
}

Manifest read_manifest(schema::Manifest::Reader in) {
  Manifest out;
  out.name = read_label(in.getName());
  out.program = read_blob(in.getProgram(), limits::program_bytes_max);
  require(out.program.size_bytes >= 1, "the program is empty");
  out.arguments = read_arguments(in.getArguments());
  out.inputs = read_inputs(in.getInputs());
  out.units = read_blob(in.getUnits(), limits::units_blob_bytes_max);
  out.unit_count = in.getUnitCount();
  out.items_per_unit = in.getItemsPerUnit();
  out.item_count = in.getItemCount();
  check_units(out);
  out.limits = read_limits(in.getLimits());
  out.verification = read_enum(in.getVerification(), VerificationClass::strict);
  out.epsilon_ppm = in.getEpsilonPpm();
  require(out.epsilon_ppm >= 1 && out.epsilon_ppm <= epsilon_ppm_max, "epsilon is out of range");
  out.peer_estimate = in.getPeerEstimate();
  out.priority = in.getPriority();
  out.created_unix_s = in.getCreatedUnixS();
  out.expires_unix_s = in.getExpiresUnixS();
  check_times(out);
  out.rounds_max = in.getRoundsMax();
  out.segment_rounds = in.getSegmentRounds();
  check_rounds(out);
  out.split = read_label(in.getSplit());
  out.nonce = in.getNonce();
  out.audit_percent = in.getAuditPercent();
  require(out.audit_percent >= limits::audit_share_percent && out.audit_percent <= limits::audit_share_percent_max, "the share of audits is out of range");
  out.known = read_known(in.getKnownPeers(), in.getKnownUnits());
  return out;
}

std::size_t words_needed(const Manifest& body) {
  std::size_t words = 68 + words_of(body.name.size()) + words_of(body.split.size()) + body.known.size() * 4 + (body.known.size() + 1) / 2;
  for (const auto& argument : body.arguments) words += 1 + words_of(argument.size());
  for (const auto& input : body.inputs) words += 9 + words_of(input.name.size());
  return words;
}

void write_inputs(capnp::List<schema::JobInput>::Builder out, const std::vector<JobInput>& inputs) {
  for (kj::uint i = 0; i < out.size(); ++i) {
    out[i].setName(text_of(inputs[i].name));
    write_blob(out[i].initBlob(), inputs[i].blob);
  }
}

void write_known(schema::Manifest::Builder out, const std::vector<KnownPeer>& known) {
  if (known.empty()) return;
  std::vector<PeerId> ids;
  for (const KnownPeer& peer : known) ids.push_back(peer.peer);
  write_ids(out.initKnownPeers(count_of(ids) * PeerId::size), ids);
  auto units = out.initKnownUnits(count_of(known));
  for (kj::uint i = 0; i < units.size(); ++i) units.set(i, known[i].units);
}

Bytes encode(const Manifest& body) {
  return write_message<schema::Manifest>(words_needed(body), [&](auto out) {
    out.setName(text_of(body.name));
    write_blob(out.initProgram(), body.program);
    write_texts(out.initArguments(count_of(body.arguments)), body.arguments);
    write_inputs(out.initInputs(count_of(body.inputs)), body.inputs);
    write_blob(out.initUnits(), body.units);
    out.setUnitCount(body.unit_count);
    out.setItemsPerUnit(body.items_per_unit);
    out.setItemCount(body.item_count);
    auto unit_limits = out.initLimits();
    unit_limits.setMemoryBytes(body.limits.memory_bytes);
    unit_limits.setOutputBytes(body.limits.output_bytes);
    unit_limits.setTimeMs(body.limits.time_ms);
    unit_limits.setFuel(body.limits.fuel);
    out.setVerification(static_cast<schema::VerificationClass>(body.verification));
    out.setEpsilonPpm(body.epsilon_ppm);
    out.setPeerEstimate(body.peer_estimate);
    out.setPriority(body.priority);
    out.setCreatedUnixS(body.created_unix_s);
    out.setExpiresUnixS(body.expires_unix_s);
    out.setRoundsMax(body.rounds_max);
    out.setSegmentRounds(body.segment_rounds);
    out.setSplit(text_of(body.split));
    out.setNonce(body.nonce);
    out.setAuditPercent(static_cast<std::uint8_t>(body.audit_percent));
    write_known(out, body.known);
  });
}

// ---------------------------------------------------------------- cancel, claims

Cancel read_cancel(schema::Cancel::Reader in) { return {read_id<JobId>(in.getJob())}; }

Bytes encode(const Cancel& body) {
  return write_message<schema::Cancel>(16, [&](auto out) { out.setJob(data_of(body.job.view())); });
}

std::vector<UnitIndex> read_units(capnp::List<std::uint32_t>::Reader list) {
  auto units = copied<UnitIndex>(counted(list, limits::units_per_claim_max, "too many units in a claim"));
  require(strictly_ascending(units), "claimed units are not ascending");
  require(units.empty() || units.back() < limits::units_per_job_max, "a unit is out of range");
  return units;
}

Claims read_claims(schema::Claims::Reader in) {
  Claims out;
  out.job = read_id<JobId>(in.getJob());
  out.units = read_units(in.getUnits());
  out.released = read_units(in.getReleased());
  require(!out.units.empty() || !out.released.empty(), "a claim names no unit");
  out.expires_ms = in.getExpiresMs();
  out.sequence = in.getSequence();
  return out;
}

Bytes encode(const Claims& body) {
  const auto units = as_set(body.units);
  const auto released = as_set(body.released);
  return write_message<schema::Claims>(32 + (units.size() + released.size()) / 2, [&](auto out) {
    out.setJob(data_of(body.job.view()));
    out.setUnits(kj::arrayPtr(units.data(), units.size()));
    out.setReleased(kj::arrayPtr(released.data(), released.size()));
    out.setExpiresMs(body.expires_ms);
    out.setSequence(body.sequence);
  });
}

// ---------------------------------------------------------------- results, replay

ResultEntry read_entry(schema::ResultEntry::Reader in) {
  return {checked_unit(in.getUnit()), in.getPosition(), read_outcome(in), read_optional(in.getFingerprint()), in.getAudit()};
}

Results read_results(schema::Results::Reader in) {
  const auto list = counted(in.getEntries(), limits::results_per_batch_max, "too many results in a batch");
  Results out;
  out.job = read_id<JobId>(in.getJob());
  require(in.getFirstLogIndex() <= UINT32_MAX - (list.size() == 0 ? 0 : list.size() - 1), "the log index is out of range");
  out.first_log_index = static_cast<std::uint32_t>(in.getFirstLogIndex());
  out.chain = in.getChain();
  out.previous = base::retag<MessageId>(read_optional(in.getPrevious()));
  const bool nothing_else = out.first_log_index == 0 && out.chain == 0 && out.previous == MessageId{};  // so a key has one for each job
  require(list.size() > 0 || nothing_else, "a batch without results says something else");
  out.entries.reserve(list.size());
  for (const auto entry : list) out.entries.push_back(read_entry(entry));
  return out;
}

Bytes encode(const Results& body) {
  constexpr std::size_t words_per_entry = 19;
  return write_message<schema::Results>(24 + words_per_entry * body.entries.size(), [&](auto out) {
    out.setJob(data_of(body.job.view()));
    out.setFirstLogIndex(body.first_log_index);
    out.setChain(body.chain);
    write_optional(base::retag<Digest>(body.previous), [&](auto data) { out.setPrevious(data); });
    auto list = out.initEntries(count_of(body.entries));
    for (kj::uint i = 0; i < list.size(); ++i) {
      const ResultEntry& entry = body.entries[i];
      list[i].setUnit(entry.unit);
      list[i].setPosition(entry.position);
      write_outcome(list[i], entry.outcome);
      write_optional(entry.fingerprint, [&](auto data) { list[i].setFingerprint(data); });
      list[i].setAudit(entry.audit);
    }
  });
}

Replay read_replay(schema::Replay::Reader in) {
  Replay out;
  out.job = read_id<JobId>(in.getJob());
  out.accused_statement = read_id<MessageId>(in.getAccusedStatement());
  out.accused = read_id<PeerId>(in.getAccused());
  out.unit = checked_unit(in.getUnit());
  out.compiled = read_outcome(in.getCompiled());
  out.interpreted = read_outcome(in.getInterpreted());
  out.fingerprint = read_optional(in.getFingerprint());
  out.interpreted_fingerprint = read_optional(in.getInterpretedFingerprint());
  out.head = {in.getHeadChain(), in.getHeadIndex()};
  return out;
}

Bytes encode(const Replay& body) {
  return write_message<schema::Replay>(72, [&](auto out) {
    out.setJob(data_of(body.job.view()));
    out.setAccusedStatement(data_of(body.accused_statement.view()));
    out.setAccused(data_of(body.accused.view()));
    out.setUnit(body.unit);
    write_outcome(out.initCompiled(), body.compiled);
    write_outcome(out.initInterpreted(), body.interpreted);
    write_optional(body.fingerprint, [&](auto data) { out.setFingerprint(data); });
    write_optional(body.interpreted_fingerprint, [&](auto data) { out.setInterpretedFingerprint(data); });
    out.setHeadChain(body.head.chain);
    out.setHeadIndex(body.head.index);
  });
}

// ---------------------------------------------------------------- peer record

PeerRecord read_peer_record(schema::PeerRecord::Reader in) {
  PeerRecord out;
  out.addresses = read_addresses(in.getAddresses());
  out.sequence = in.getSequence();
  out.puzzle_nonce = in.getPuzzleNonce();
  out.light = in.getLight();
  if (in.getCreditTo().size() > 0) out.credit_to = read_id<PeerId>(in.getCreditTo());
  return out;
}

Bytes encode(const PeerRecord& body) {
  std::size_t words = 21;
  for (const auto& address : body.addresses) words += 1 + words_of(address.size());
  return write_message<schema::PeerRecord>(words, [&](auto out) {
    write_texts(out.initAddresses(count_of(body.addresses)), body.addresses);
    out.setSequence(body.sequence);
    out.setPuzzleNonce(body.puzzle_nonce);
    out.setLight(body.light);
    if (body.credit_to) out.setCreditTo(data_of(body.credit_to->view()));
  });
}

// ---------------------------------------------------------------- fold

std::vector<FoldCredit> read_credit(schema::Fold::Reader in) {
  const auto units = counted(in.getCreditUnits(), limits::fold_credits_max, "too many keys in a fold");
  const auto fuel = counted(in.getCreditFuel(), limits::fold_credits_max, "too many keys in a fold");
  const auto keys = read_ids<PeerId>(in.getCreditKeys(), limits::fold_credits_max);
  require(keys.size() == units.size() && keys.size() == fuel.size(), "the keys of a fold and their credit do not match");
  require(strictly_ascending(keys), "the keys of a fold are not ascending");
  std::vector<FoldCredit> credit;
  credit.reserve(keys.size());
  for (kj::uint i = 0; i < units.size(); ++i) {
    require(units[i] >= 1 && units[i] <= limits::units_per_job_max, "a key's units in a fold are out of range");
    credit.push_back({keys[i], units[i], fuel[i]});
  }
  return credit;
}

Fold read_fold(schema::Fold::Reader in) {
  Fold out{read_id<JobId>(in.getJob()), in.getSequence(), read_optional(in.getRoot()), read_optional(in.getJudges()), in.getFailures(), in.getKeys(), read_credit(in)};
  require(out.failures <= limits::units_per_job_max, "a fold's failures are out of range");
  require(out.keys >= out.credit.size() && out.keys <= limits::authors_per_job_max, "a fold's number of keys is out of range");
  const bool empty = out.judges == Digest{} && out.failures == 0 && out.keys == 0;
  require(out.root != Digest{} || empty, "a fold without a root says more");
  return out;
}

Bytes encode(const Fold& body) {
  return write_message<schema::Fold>(36 + 6 * body.credit.size(), [&](auto out) {
    out.setJob(data_of(body.job.view()));
    out.setSequence(body.sequence);
    write_optional(body.root, [&](auto data) { out.setRoot(data); });
    write_optional(body.judges, [&](auto data) { out.setJudges(data); });
    out.setFailures(body.failures);
    out.setKeys(body.keys);
    if (body.credit.empty()) return;
    std::vector<PeerId> keys;
    for (const FoldCredit& one : body.credit) keys.push_back(one.peer);
    write_ids(out.initCreditKeys(count_of(keys) * PeerId::size), keys);
    auto units = out.initCreditUnits(count_of(body.credit));
    auto fuel = out.initCreditFuel(count_of(body.credit));
    for (kj::uint i = 0; i < units.size(); ++i) {
      units.set(i, body.credit[i].units);
      fuel.set(i, body.credit[i].fuel);
    }
  });
}

template <class Root, class Walk>
base::Expected<Body> decode_as(base::ByteView bytes, Walk walk) {
  return read_message<Root>(bytes, limits::statement_bytes_max,
                            [&](typename Root::Reader in) -> Body { return walk(in); });
}

}  // namespace

base::Bytes encode_body(const Body& body) {
  return std::visit([](const auto& alternative) { return encode(alternative); }, body);
}

base::Expected<Body> decode_body(StatementType type, base::ByteView bytes) {
  switch (type) {
    case StatementType::manifest: return decode_as<schema::Manifest>(bytes, read_manifest);
    case StatementType::cancel: return decode_as<schema::Cancel>(bytes, read_cancel);
    case StatementType::claims: return decode_as<schema::Claims>(bytes, read_claims);
    case StatementType::results: return decode_as<schema::Results>(bytes, read_results);
    case StatementType::replay: return decode_as<schema::Replay>(bytes, read_replay);
    case StatementType::peer_record: return decode_as<schema::PeerRecord>(bytes, read_peer_record);
    case StatementType::fold: return decode_as<schema::Fold>(bytes, read_fold);
  }
  return base::fail(base::ErrorCode::malformed, "unknown statement type");
}

}  // namespace starling::wire
