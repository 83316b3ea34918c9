// Random but valid messages of every kind, for round trips and as seeds of the decoder fuzzer; and their comparison.
#pragma once

#include <algorithm>
#include <memory>
#include <string>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/merkle_tree.hpp"
#include "coordinator-less/base/rng.hpp"
#include "coordinator-less/wire/codec.hpp"

namespace starling::testing {

using namespace protocol;

inline constexpr StatementType statement_types[] = {StatementType::manifest, StatementType::cancel, StatementType::claims,
                                                    StatementType::results,  StatementType::replay, StatementType::peer_record, StatementType::fold};

inline Bytes random_bytes(base::Rng& rng, std::size_t size) {
  Bytes bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(rng.below(256));
  return bytes;
}

template <class Id>
Id random_id(base::Rng& rng) {
  return *Id::from(random_bytes(rng, Id::size));
}

inline std::uint32_t below32(base::Rng& rng, std::uint64_t bound) { return static_cast<std::uint32_t>(rng.below(bound)); }

inline std::string random_name(base::Rng& rng, std::size_t length_max = 20) {
  static constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz0123456789 _-.";
  std::string name = rng.chance(0.2) ? "\xc3\xa9t\xc3\xa9-\xf0\x9f\x90\xa6" : "n";
  for (std::uint64_t n = rng.below(length_max); n > 0; --n) name += letters[rng.below(letters.size())];
  return name;
}

inline BlobRef random_blob(base::Rng& rng, std::uint64_t bytes_max) { return {random_id<Digest>(rng), 1 + rng.below(bytes_max)}; }

inline std::vector<std::string> random_addresses(base::Rng& rng) {
  std::vector<std::string> addresses;
  for (std::uint64_t n = rng.below(limits::addresses_per_peer_max + 1); n > 0; --n) {
    const std::string host = rng.chance(0.5) ? "10.0.0." + std::to_string(rng.below(256)) : "[fe80::1%eth0]";
    addresses.push_back(host + ":" + std::to_string(1 + rng.below(65535)));
  }
  return addresses;
}

inline Outcome random_outcome(base::Rng& rng) {
  Outcome outcome{static_cast<OutcomeKind>(rng.below(6)), 0, random_id<Digest>(rng), rng.below(limits::executor_frame_bytes_max + 1), rng.next()};
  if (outcome.kind != OutcomeKind::ok) outcome.code = static_cast<std::int32_t>(1 + rng.below(255)) * (rng.chance(0.5) ? 1 : -1);
  if (outcome.kind == OutcomeKind::checkpoint) outcome.code = 85;
  if (rng.chance(0.3)) outcome.input = random_id<Digest>(rng);
  return outcome;
}

// Half of them short enough to have none.
inline Digest random_fingerprint(base::Rng& rng) { return rng.chance(0.5) ? Digest{} : random_id<Digest>(rng); }

inline Manifest random_manifest(base::Rng& rng) {
  Manifest job;
  job.name = random_name(rng);
  job.program = random_blob(rng, limits::program_bytes_max);
  for (std::uint64_t n = rng.below(6); n > 0; --n) job.arguments.push_back(rng.chance(0.2) ? "" : random_name(rng) + "\n\t\x01");
  for (std::uint64_t n = rng.below(6); n > 0; --n) {
    job.inputs.push_back({std::to_string(n) + random_name(rng), random_blob(rng, limits::blob_bytes_max)});
  }
  job.items_per_unit = 1 + below32(rng, limits::items_per_unit_max);
  job.unit_count = 1 + below32(rng, 1000);
  job.item_count = (job.unit_count - 1) * std::uint64_t{job.items_per_unit} + 1 + rng.below(job.items_per_unit);
  job.units = {random_id<Digest>(rng), job.item_count + rng.below(1000)};
  job.limits = {1 + rng.below(limits::memory_bytes_max), 1 + rng.below(limits::output_bytes_max),
                1 + below32(rng, limits::unit_time_ms_max), rng.chance(0.5) ? 0 : rng.next()};
  job.verification = static_cast<VerificationClass>(rng.below(4));
  job.epsilon_ppm = 1 + below32(rng, 500'000);
  job.peer_estimate = static_cast<std::uint32_t>(rng.next());
  job.priority = static_cast<std::uint8_t>(rng.below(256));
  job.created_unix_s = static_cast<std::int64_t>(rng.below(1ULL << 40));
  job.expires_unix_s = job.created_unix_s + 1 + static_cast<std::int64_t>(rng.below(limits::job_lifetime_max_s));
  job.rounds_max = rng.chance(0.5) ? 0 : 1 + below32(rng, limits::checkpoint_rounds_max);
  if (job.rounds_max > 0 && rng.chance(0.5)) job.segment_rounds = job.rounds_max / 65 + 1 + below32(rng, 100);
  job.split = rng.chance(0.5) ? "" : random_name(rng);
  job.nonce = rng.next();
  for (std::uint64_t n = rng.chance(0.5) ? rng.below(20) : 0; n > 0; --n) job.known.push_back({random_id<PeerId>(rng), 1 + below32(rng, 1023)});
  std::ranges::sort(job.known);
  if (rng.chance(0.5)) job.audit_percent = limits::audit_share_percent + below32(rng, limits::audit_share_percent_max - limits::audit_share_percent + 1);
  return job;
}

inline std::vector<UnitIndex> random_units(base::Rng& rng, std::size_t count) {
  std::vector<UnitIndex> units;
  for (std::size_t i = 0; i < count; ++i) units.push_back(below32(rng, limits::units_per_job_max));
  std::ranges::sort(units);
  units.erase(std::ranges::unique(units).begin(), units.end());
  return units;
}

inline Claims random_claims(base::Rng& rng) {
  return {random_id<JobId>(rng), random_units(rng, 1 + rng.below(40)), random_units(rng, rng.below(40)),
          static_cast<std::uint32_t>(rng.next()), rng.next()};
}

inline Results random_results(base::Rng& rng, std::size_t count) {
  Results results{random_id<JobId>(rng), below32(rng, 1U << 31), {}, static_cast<std::uint32_t>(rng.next()), {}};
  if (rng.chance(0.8)) results.previous = random_id<MessageId>(rng);
  for (std::size_t i = 0; i < count; ++i) {
    results.entries.push_back({below32(rng, limits::units_per_job_max), static_cast<std::uint32_t>(rng.next()),
                               random_outcome(rng), random_fingerprint(rng), rng.chance(0.3)});
  }
  return results;
}

inline Fold random_fold(base::Rng& rng) {
  Fold fold{random_id<JobId>(rng), rng.next()};
  if (rng.chance(0.2)) return fold;  // taken back
  fold.root = random_id<Digest>(rng);
  if (rng.chance(0.5)) fold.judges = random_id<Digest>(rng);
  fold.failures = below32(rng, 100);
  for (std::uint64_t n = rng.below(limits::fold_credits_max + 1); n > 0; --n) fold.credit.push_back({random_id<PeerId>(rng), 1 + below32(rng, limits::units_per_job_max), rng.next()});
  std::ranges::sort(fold.credit);
  fold.keys = static_cast<std::uint32_t>(fold.credit.size()) + below32(rng, 1000);
  return fold;
}

inline Body random_body(base::Rng& rng, StatementType type) {
  switch (type) {
    case StatementType::manifest: return random_manifest(rng);
    case StatementType::cancel: return Cancel{random_id<JobId>(rng)};
    case StatementType::claims: return random_claims(rng);
    case StatementType::results: return random_results(rng, 1 + rng.below(rng.chance(0.1) ? limits::results_per_batch_max : 8));
    case StatementType::replay:
      return Replay{random_id<JobId>(rng),  random_id<MessageId>(rng), random_id<PeerId>(rng), below32(rng, limits::units_per_job_max),
                    random_outcome(rng),    random_outcome(rng),       random_fingerprint(rng), random_fingerprint(rng),
                    {static_cast<std::uint32_t>(rng.next()), static_cast<std::uint32_t>(rng.next())}};
    case StatementType::fold: return random_fold(rng);
    case StatementType::peer_record: break;
  }
  return PeerRecord{random_addresses(rng), rng.next(), rng.next(), rng.chance(0.5), rng.chance(0.5) ? std::optional(random_id<PeerId>(rng)) : std::nullopt};
}

inline wire::Envelope random_envelope(base::Rng& rng) {
  wire::Envelope envelope;
  envelope.type = statement_types[rng.below(std::size(statement_types))];
  envelope.author = random_id<PeerId>(rng);
  std::ranges::copy(random_bytes(rng, envelope.signature.size()), envelope.signature.begin());
  envelope.body = wire::encode_body(random_body(rng, envelope.type));
  return envelope;
}

inline std::vector<MessageId> random_ids(base::Rng& rng) {
  std::vector<MessageId> ids;
  for (std::uint64_t n = rng.below(20); n > 0; --n) ids.push_back(random_id<MessageId>(rng));
  std::ranges::sort(ids);
  return ids;
}

inline std::vector<LeftOut> random_left_out(base::Rng& rng) {
  std::vector<LeftOut> left_out;
  for (std::uint64_t n = rng.below(6); n > 0; --n) left_out.push_back({random_id<JobId>(rng), random_id<Digest>(rng)});
  std::ranges::sort(left_out);
  return left_out;
}

inline Holdings random_holdings(base::Rng& rng) {
  if (rng.chance(0.1)) return {.job = random_id<JobId>(rng), .folded = true};
  Holdings holdings{random_id<JobId>(rng), rng.chance(0.5), rng.chance(0.5), {}};
  UnitIndex at = 0;
  for (std::uint64_t n = rng.below(30); n > 0; --n) {
    const UnitIndex first = at + below32(rng, 100);
    at = first + 1 + below32(rng, 100);
    holdings.units.emplace_back(first, at);
  }
  return holdings;
}

inline BlobGet random_blob_get(base::Rng& rng) {
  const std::uint64_t leaves = 1 + rng.below(1000);
  const std::uint64_t size = leaves * base::leaf_bytes - rng.below(base::leaf_bytes);
  const std::uint64_t first = rng.below(leaves);
  return {random_id<Digest>(rng), size, first,
          1 + below32(rng, std::min<std::uint64_t>(limits::leaves_per_range_max, leaves - first))};
}

inline BlobData random_blob_data(base::Rng& rng) {
  const BlobGet get = random_blob_get(rng);
  BlobData data{get.blob, get.size_bytes, get.first_leaf, get.leaf_count, rng.chance(0.3), {}, {}};
  if (data.missing) return data;
  const std::uint64_t first = get.first_leaf * base::leaf_bytes;
  data.bytes.assign(std::min(get.size_bytes, first + get.leaf_count * base::leaf_bytes) - first, static_cast<std::byte>(rng.below(256)));
  for (std::uint64_t n = rng.below(20); n > 0; --n) data.proof.push_back(random_id<Digest>(rng));
  return data;
}

inline constexpr std::size_t link_kinds = std::variant_size_v<LinkMessage>;

inline LinkMessage random_link(base::Rng& rng, std::size_t kind) {
  switch (kind) {
    case 0: {
      StatementBundle bundle;
      for (std::uint64_t n = 1 + rng.below(5); n > 0; --n) {
        bundle.statements.push_back(std::make_shared<const Bytes>(wire::encode_envelope(random_envelope(rng))));
      }
      return bundle;
    }
    case 1: {
      Summary summary;
      for (int i = 0; i < 256; ++i) summary.buckets.push_back(rng.chance(0.7) ? 0 : rng.next());
      summary.headlines = rng.chance(0.3);
      if (summary.headlines) return summary;
      summary.answer = rng.chance(0.3);
      summary.left_out = random_left_out(rng);
      return summary;
    }
    case 2: {
      BucketIds bucket_ids;
      for (int i = 0; i < 256; ++i) {
        if (rng.chance(0.05)) bucket_ids.buckets.push_back(static_cast<std::uint8_t>(i));
      }
      bucket_ids.ids = random_ids(rng);
      bucket_ids.headlines = rng.chance(0.3);
      bucket_ids.left_out = random_left_out(rng);
      return bucket_ids;
    }
    case 3: return Want{random_ids(rng)};
    case 4: return random_holdings(rng);
    case 5: return random_blob_get(rng);
    case 6: return random_blob_data(rng);
    case 7: return FoldQuestion{random_id<JobId>(rng), random_id<Digest>(rng), below32(rng, limits::units_per_job_max)};
    default: {
      FoldProof proof{random_id<JobId>(rng), random_id<Digest>(rng), below32(rng, limits::units_per_job_max), random_outcome(rng), {}};
      for (std::uint64_t n = rng.below(limits::fold_path_max + 1); n > 0; --n) proof.path.push_back(random_id<Digest>(rng));
      return proof;
    }
  }
}

inline Ticket random_ticket(base::Rng& rng) {
  Ticket ticket;
  ticket.swarm = {static_cast<SwarmKind>(rng.below(3)), random_name(rng), static_cast<std::uint8_t>(rng.below(30)), {}};
  std::ranges::copy(random_bytes(rng, 16), ticket.swarm.salt.begin());
  if (rng.chance(0.5)) std::ranges::copy(random_bytes(rng, 32), ticket.secret.emplace().begin());
  for (std::uint64_t n = rng.below(limits::ticket_peers_max + 1); n > 0; --n) {
    ticket.peers.push_back({random_id<PeerId>(rng), random_addresses(rng)});
  }
  return ticket;
}

inline bool same(const wire::Envelope& a, const wire::Envelope& b) {
  return a.version == b.version && a.type == b.type && a.author == b.author && a.signature == b.signature && a.body == b.body;
}

inline bool same(const StatementBundle& a, const StatementBundle& b) {
  return std::ranges::equal(a.statements, b.statements, [](const auto& x, const auto& y) { return *x == *y; });
}
inline bool same(const Summary& a, const Summary& b) {
  return a.buckets == b.buckets && a.headlines == b.headlines && a.answer == b.answer && a.left_out == b.left_out;
}
inline bool same(const BucketIds& a, const BucketIds& b) {
  return a.buckets == b.buckets && a.ids == b.ids && a.headlines == b.headlines && a.left_out == b.left_out;
}
inline bool same(const FoldQuestion& a, const FoldQuestion& b) { return a.job == b.job && a.root == b.root && a.unit == b.unit; }
inline bool same(const FoldProof& a, const FoldProof& b) {
  return a.job == b.job && a.root == b.root && a.unit == b.unit && a.outcome == b.outcome && a.path == b.path;
}
inline bool same(const Want& a, const Want& b) { return a.ids == b.ids; }
inline bool same(const Holdings& a, const Holdings& b) {
  return a.job == b.job && a.inputs_whole == b.inputs_whole && a.complete == b.complete && a.units == b.units && a.folded == b.folded;
}
inline bool same_range(const auto& a, const auto& b) {
  return a.blob == b.blob && a.size_bytes == b.size_bytes && a.first_leaf == b.first_leaf && a.leaf_count == b.leaf_count;
}
inline bool same(const BlobGet& a, const BlobGet& b) { return same_range(a, b); }
inline bool same(const BlobData& a, const BlobData& b) {
  return same_range(a, b) && a.missing == b.missing && a.bytes == b.bytes && a.proof == b.proof;
}
inline bool same(const LinkMessage& a, const LinkMessage& b) {
  if (a.index() != b.index()) return false;
  return std::visit([&](const auto& left) { return same(left, std::get<std::decay_t<decltype(left)>>(b)); }, a);
}

}  // namespace starling::testing
