#include "tests/simulation/hostile.hpp"

#include <algorithm>

#include "coordinator-less/base/limits.hpp"

namespace starling::simulation {

std::vector<protocol::Statement> HostileMember::speak(const JobRun& job, const std::vector<protocol::KeptStatement>& known, std::int64_t unix_ms) {
  std::vector<protocol::Statement> out;
  if (traits_.claims_everything) claim_everything(job, out);
  flood(job, known, out);
  if (manifests_made_ < traits_.manifests) out.push_back(notary_.seal(absurd_manifest(unix_ms / 1000)));
  if (traits_.makes_folds) out.push_back(false_fold(job, unix_ms));
  if (traits_.moves) out.push_back(notary_.seal(moved(unix_ms)));
  return out;
}

protocol::Statement HostileMember::false_fold(const JobRun& job, std::int64_t unix_ms) {
  protocol::Fold fold{.job = job.id, .sequence = static_cast<std::uint64_t>(unix_ms)};
  fold.root = base::retag<base::Digest>(job.id);  // the same of all
  return notary_.seal(std::move(fold));
}

// Every unit, for as long as a claim can say, and again each second.
void HostileMember::claim_everything(const JobRun& job, std::vector<protocol::Statement>& out) {
  for (base::UnitIndex first = 0; first < job.manifest.unit_count; first += limits::units_per_claim_max) {
    protocol::Claims claims{job.id, {}, {}, UINT32_MAX, ++sequence_};
    const auto end = std::min<std::size_t>(job.manifest.unit_count, first + limits::units_per_claim_max);
    for (base::UnitIndex unit = first; unit < end; ++unit) claims.units.push_back(unit);
    out.push_back(notary_.seal(std::move(claims)));
  }
}

void HostileMember::flood(const JobRun& job, const std::vector<protocol::KeptStatement>& known, std::vector<protocol::Statement>& out) {
  for (std::uint32_t i = 0; i < traits_.statements_per_s; ++i) {
    auto body = made_up(job, known);
    if (std::holds_alternative<protocol::Results>(body) || std::holds_alternative<protocol::Replay>(body)) ++work_claimed_;
    out.push_back(notary_.seal(std::move(body)));
  }
}

// Results without work (also of jobs that do not exist, and units outside the job), replays that accuse everybody of
// everything, cancels of what it does not own.
protocol::Body HostileMember::made_up(const JobRun& job, const std::vector<protocol::KeptStatement>& known) {
  const auto unit = static_cast<base::UnitIndex>(rng_.below(job.manifest.unit_count + 2));
  const protocol::Outcome outcome{protocol::OutcomeKind::ok, 0, any_digest(), 1 + rng_.below(limits::executor_frame_bytes_max), rng_.next()};
  switch (rng_.below(traits_.makes_up_results ? 4 : 3)) {
    case 0: return protocol::Cancel{rng_.chance(0.5) ? job.id : base::retag<base::JobId>(any_digest())};
    case 1:
      if (!known.empty()) {
        const protocol::KeptStatement& accused = known[rng_.below(known.size())];
        return protocol::Replay{job.id, accused.id, accused.author, unit, outcome, outcome};
      }
      [[fallthrough]];
    case 2: return protocol::Results{base::retag<base::JobId>(any_digest()), 0, {{unit, 0, outcome}}};
    default: return protocol::Results{job.id, static_cast<std::uint32_t>(rng_.next() >> 33), {{unit, static_cast<std::uint32_t>(rng_.next()), outcome}}};
  }
}

// The largest of everything that a codec lets through, so that it reaches the core.
protocol::Manifest HostileMember::absurd_manifest(std::int64_t unix_s) {
  protocol::Manifest m;
  m.name = std::string(limits::name_bytes_max, 'x');
  m.program = {any_digest(), limits::program_bytes_max};
  m.units = {any_digest(), limits::units_blob_bytes_max};
  for (int i = 0; i < 32; ++i) m.inputs.push_back({"input" + std::to_string(i), {any_digest(), limits::blob_bytes_max}});
  m.unit_count = limits::units_per_job_max;
  m.item_count = limits::units_per_job_max;
  m.limits = {limits::memory_bytes_max, limits::output_bytes_max, limits::unit_time_ms_max, UINT64_MAX};
  m.verification = protocol::VerificationClass::strict;
  m.epsilon_ppm = 1;
  m.peer_estimate = UINT32_MAX;
  m.priority = UINT8_MAX;
  m.created_unix_s = unix_s;
  m.expires_unix_s = unix_s + limits::job_lifetime_max_s;
  m.nonce = ++manifests_made_;
  return m;
}

protocol::PeerRecord HostileMember::moved(std::int64_t unix_ms) {
  protocol::PeerRecord record;
  for (std::size_t i = 0; i < limits::addresses_per_peer_max; ++i)
    record.addresses.push_back("10." + std::to_string(rng_.below(256)) + "." + std::to_string(rng_.below(256)) + ".7:" + std::to_string(1 + rng_.below(65535)));
  record.sequence = static_cast<std::uint64_t>(unix_ms);
  return record;
}

std::vector<protocol::LinkMessage> HostileMember::whisper(const JobRun& job) {
  std::vector<protocol::LinkMessage> out;
  if (!traits_.lies_about_sizes) return out;
  out.emplace_back(protocol::Holdings{job.id, true, true, {{0, job.manifest.unit_count}}});  // it holds everything, it says
  out.emplace_back(protocol::BlobGet{job.manifest.program.name, limits::blob_bytes_max, limits::blob_bytes_max / (16 * 1024) - 1, limits::leaves_per_range_max});
  out.emplace_back(protocol::BlobData{job.manifest.program.name, limits::blob_bytes_max, 0, limits::leaves_per_range_max, false, base::Bytes(1), {}});
  return out;
}

}  // namespace starling::simulation
