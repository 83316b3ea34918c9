#include "tests/simulation/policy/statement_sizes.hpp"

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/wire/codec.hpp"
#include "tests/simulation/notary.hpp"

namespace starling::simulation::policy {
namespace {

double bytes_of(const protocol::Body& body, protocol::StatementType type) {
  wire::Envelope envelope;
  envelope.type = type;
  envelope.author = base::retag<base::PeerId>(digest_of_words({1}));
  envelope.body = wire::encode_body(body);
  return static_cast<double>(wire::encode_envelope(envelope).size());
}

double results_bytes(std::size_t entries) {
  protocol::ResultEntry entry;
  entry.unit = 4711;
  entry.position = 17;
  entry.outcome = {protocol::OutcomeKind::ok, 0, digest_of_words({2}), 20'000, 1'000'000'000, {}};
  entry.fingerprint = digest_of_words({3});
  protocol::Results results{base::retag<base::JobId>(digest_of_words({4})), 1000, {}, 1'800'000'000, base::retag<base::MessageId>(digest_of_words({5}))};
  results.entries.assign(entries, entry);
  return bytes_of(results, protocol::StatementType::results);
}

}  // namespace

StatementSizes measure_statement_sizes() {
  protocol::Replay replay;
  replay.job = base::retag<base::JobId>(digest_of_words({4}));
  replay.compiled = replay.interpreted = {protocol::OutcomeKind::ok, 0, digest_of_words({2}), 20'000, 1'000'000'000, {}};
  replay.fingerprint = replay.interpreted_fingerprint = digest_of_words({3});
  constexpr std::size_t batch = limits::results_per_batch_max;
  return {results_bytes(1), results_bytes(batch) / static_cast<double>(batch), bytes_of(replay, protocol::StatementType::replay)};
}

}  // namespace starling::simulation::policy
