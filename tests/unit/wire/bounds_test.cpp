// Well-formed Cap'n Proto whose content breaks a bound or a relation.
#include <doctest/doctest.h>

#include <functional>

#include "tests/unit/wire/random_messages.hpp"

namespace {

using namespace starling;
using namespace starling::testing;

Manifest plain_job() {
  Manifest job;
  job.name = "search";
  job.program.size_bytes = 100;
  job.inputs = {{"sky.fil", {{}, 5}}, {"b", {{}, 0}}};
  job.units.size_bytes = 1000;
  job.unit_count = 3;
  job.items_per_unit = 4;
  job.item_count = 9;
  job.limits = {1 << 20, 1 << 20, 1000};
  job.expires_unix_s = 100;
  return job;
}

template <class T>
bool refused(const base::Expected<T>& decoded) {
  return !decoded && decoded.error().code == base::ErrorCode::malformed;
}

bool refused(const Body& body) {
  return refused(wire::decode_body(static_cast<StatementType>(body.index() + 1), wire::encode_body(body)));
}
bool refused_link(const LinkMessage& message) { return refused(wire::decode_link(wire::encode_link(message))); }

bool refused_job(const std::function<void(Manifest&)>& change) {
  Manifest job = plain_job();
  change(job);
  return refused(Body(job));
}

TEST_CASE("wire: manifest, the plain one passes") { CHECK_FALSE(refused_job([](Manifest&) {})); }

TEST_CASE("wire: manifest, units and items") {
  CHECK_FALSE(refused_job([](Manifest& job) { job.item_count = 12; }));
  CHECK(refused_job([](Manifest& job) { job.item_count = 8; }));
  CHECK(refused_job([](Manifest& job) { job.item_count = 13; }));
  CHECK(refused_job([](Manifest& job) { job.unit_count = 0; }));
  CHECK(refused_job([](Manifest& job) { job.unit_count = 0, job.item_count = 0; }));
  CHECK(refused_job([](Manifest& job) { job.items_per_unit = 0; }));
  CHECK(refused_job([](Manifest& job) { job.items_per_unit = limits::items_per_unit_max + 1, job.unit_count = 1; }));
  CHECK(refused_job([](Manifest& job) {
    job.unit_count = limits::units_per_job_max + 1, job.items_per_unit = 1, job.item_count = job.unit_count, job.units.size_bytes = 1 << 20;
  }));
  CHECK(refused_job([](Manifest& job) { job.item_count = UINT64_MAX; }));
  CHECK(refused_job([](Manifest& job) { job.units.size_bytes = 7; }));
}

TEST_CASE("wire: manifest, sizes and limits") {
  CHECK(refused_job([](Manifest& job) { job.program.size_bytes = 0; }));
  CHECK(refused_job([](Manifest& job) { job.program.size_bytes = limits::program_bytes_max + 1; }));
  CHECK(refused_job([](Manifest& job) { job.units.size_bytes = limits::units_blob_bytes_max + 1; }));
  CHECK(refused_job([](Manifest& job) { job.inputs[0].blob.size_bytes = limits::blob_bytes_max + 1; }));
  CHECK(refused_job([](Manifest& job) { job.limits.memory_bytes = 0; }));
  CHECK(refused_job([](Manifest& job) { job.limits.memory_bytes = limits::memory_bytes_max + 1; }));
  CHECK(refused_job([](Manifest& job) { job.limits.output_bytes = limits::output_bytes_max + 1; }));
  CHECK(refused_job([](Manifest& job) { job.limits.time_ms = 0; }));
  CHECK(refused_job([](Manifest& job) { job.limits.time_ms = limits::unit_time_ms_max + 1; }));
  CHECK(refused_job([](Manifest& job) { job.epsilon_ppm = 0; }));
  CHECK(refused_job([](Manifest& job) { job.epsilon_ppm = 500'001; }));
  CHECK_FALSE(refused_job([](Manifest& job) { job.rounds_max = limits::checkpoint_rounds_max; }));
  CHECK(refused_job([](Manifest& job) { job.rounds_max = limits::checkpoint_rounds_max + 1; }));
  CHECK(refused_job([](Manifest& job) { job.segment_rounds = 1; }));  // of no rounds
  const auto segments = [](std::uint32_t count) { return [count](Manifest& job) { job.rounds_max = 2 * count, job.segment_rounds = 2; }; };
  CHECK_FALSE(refused_job(segments(limits::units_per_job_max / 3)));  // of each of three units
  CHECK(refused_job(segments(limits::units_per_job_max / 3 + 1)));
  CHECK_FALSE(refused_job([](Manifest& job) { job.rounds_max = 10, job.segment_rounds = UINT32_MAX; }));  // one segment
}

TEST_CASE("wire: manifest, times") {
  CHECK(refused_job([](Manifest& job) { job.created_unix_s = -1; }));
  CHECK(refused_job([](Manifest& job) { job.expires_unix_s = job.created_unix_s; }));
  CHECK(refused_job([](Manifest& job) { job.expires_unix_s = limits::job_lifetime_max_s + 1; }));
  CHECK(refused_job([](Manifest& job) { job.created_unix_s = INT64_MAX, job.expires_unix_s = INT64_MIN; }));
}

TEST_CASE("wire: manifest, input names are plain file names") {
  for (const std::string name : {"", ".", "..", "a/b", "/etc", "../x", "a\nb", "a\x1b[31m", "\xff", "\xc2\x9b", "\xed\xa0\x80"}) {
    CAPTURE(name);
    CHECK(refused_job([&](Manifest& job) { job.inputs[0].name = name; }));
  }
  CHECK(refused_job([](Manifest& job) { job.inputs[0].name = std::string("a\0b", 3); }));
  CHECK(refused_job([](Manifest& job) { job.inputs[0].name = "b"; }));
  for (const std::string name : {"...", "a..b", "\xc3\xa9t\xc3\xa9", ".hidden"}) {
    CAPTURE(name);
    CHECK_FALSE(refused_job([&](Manifest& job) { job.inputs[0].name = name; }));
  }
}

TEST_CASE("wire: manifest, texts") {
  const std::string longest(limits::name_bytes_max, 'x');
  CHECK_FALSE(refused_job([&](Manifest& job) { job.name = longest, job.arguments = {longest}; }));
  CHECK(refused_job([&](Manifest& job) { job.name = longest + "x"; }));
  CHECK(refused_job([&](Manifest& job) { job.split = longest + "x"; }));
  CHECK(refused_job([&](Manifest& job) { job.arguments = {longest + "x"}; }));
  CHECK(refused_job([&](Manifest& job) { job.inputs[0].name = longest + "x"; }));
  CHECK(refused_job([](Manifest& job) { job.name = std::string("a\0b", 3); }));
  CHECK(refused_job([](Manifest& job) { job.split = std::string("a\0", 2); }));
  CHECK(refused_job([](Manifest& job) { job.arguments = {std::string("a\0b", 3)}; }));
  CHECK(refused_job([](Manifest& job) { job.name = "title\x07"; }));
}

TEST_CASE("wire: manifest, lists") {
  CHECK(refused_job([](Manifest& job) { job.arguments.assign(limits::arguments_per_job_max + 1, ""); }));
  CHECK_FALSE(refused_job([](Manifest& job) { job.arguments.assign(limits::arguments_per_job_max, ""); }));
  CHECK(refused_job([](Manifest& job) {
    for (std::size_t i = 2; i <= limits::inputs_per_job_max; ++i) job.inputs.push_back({"input" + std::to_string(i), {}});
  }));
}

TEST_CASE("wire: manifest, share of audits") {
  for (const std::uint32_t percent : {5U, 33U, 40U}) CHECK_FALSE(refused_job([&](Manifest& job) { job.audit_percent = percent; }));
  for (const std::uint32_t percent : {0U, 4U, 41U, 255U}) CHECK(refused_job([&](Manifest& job) { job.audit_percent = percent; }));
}

TEST_CASE("wire: manifest, known peers") {
  const auto known = [](std::size_t count) {
    std::vector<KnownPeer> peers(count);
    for (std::size_t i = 0; i < count; ++i) {
      peers[i].peer.bytes[0] = static_cast<std::byte>(i / 256);
      peers[i].peer.bytes[1] = static_cast<std::byte>(i % 256);
      peers[i].units = 1;
    }
    return peers;
  };
  CHECK_FALSE(refused_job([&](Manifest& job) { job.known = known(limits::known_peers_max); }));
  CHECK(refused_job([&](Manifest& job) { job.known = known(limits::known_peers_max + 1); }));
  CHECK(refused_job([&](Manifest& job) { job.known = known(2), std::swap(job.known[0], job.known[1]); }));
  CHECK(refused_job([&](Manifest& job) { job.known = known(2), job.known[1] = job.known[0]; }));
  CHECK(refused_job([&](Manifest& job) { job.known = known(1), job.known[0].units = 0; }));
  CHECK(refused_job([&](Manifest& job) { job.known = known(1), job.known[0].units = 1024; }));
}

TEST_CASE("wire: claims") {
  CHECK(refused(Body(Claims{})));
  CHECK(refused(Body(Claims{{}, {limits::units_per_job_max}, {}, 0, 0})));
  std::vector<UnitIndex> units(limits::units_per_claim_max + 1);
  for (UnitIndex i = 0; i < units.size(); ++i) units[i] = i;
  CHECK(refused(Body(Claims{{}, units, {}, 0, 0})));
  CHECK(refused(Body(Claims{{}, {}, units, 0, 0})));
  CHECK_FALSE(refused(Body(Claims{{}, {}, {1}, 0, 0})));
}

TEST_CASE("wire: results") {
  base::Rng rng(1);
  CHECK_FALSE(refused(Body(Results{})));  // takes back, and says nothing else
  CHECK(refused(Body(Results{.job = {}, .first_log_index = 1, .entries = {}})));
  CHECK(refused(Body(Results{.job = {}, .entries = {}, .chain = 1})));
  CHECK(refused(Body(Results{.job = {}, .entries = {}, .previous = random_id<MessageId>(rng)})));
  CHECK(refused(Body(random_results(rng, limits::results_per_batch_max + 1))));
  const auto with = [&](const std::function<void(Results&)>& change) {
    Results results = random_results(rng, 2);
    change(results);
    return refused(Body(results));
  };
  CHECK_FALSE(with([](Results&) {}));
  CHECK(with([](Results& results) { results.entries[1].unit = limits::units_per_job_max; }));
  CHECK(with([](Results& results) { results.entries[1].outcome.archive_bytes = limits::executor_frame_bytes_max + 1; }));
  CHECK(with([](Results& results) { results.entries[1].outcome = {OutcomeKind::ok, 1, {}}; }));
  CHECK(with([](Results& results) { results.entries[1].outcome = {OutcomeKind::exit_code, 0, {}}; }));
  CHECK(with([](Results& results) { results.entries[1].outcome = {OutcomeKind::checkpoint, 84, {}}; }));
  CHECK_FALSE(with([](Results& results) { results.first_log_index = UINT32_MAX - 1; }));
  CHECK(with([](Results& results) { results.first_log_index = UINT32_MAX; }));
}

TEST_CASE("wire: no fingerprint is written in one way only") {
  base::Rng rng(1);
  Results results = random_results(rng, 1);
  results.entries[0].fingerprint.bytes.fill(std::byte{0xab});
  Bytes bytes = wire::encode_body(Body(results));
  CHECK_FALSE(refused(wire::decode_body(StatementType::results, bytes)));
  const auto found = std::ranges::search(bytes, results.entries[0].fingerprint.bytes);
  REQUIRE(found.size() == 32);
  std::ranges::fill(found, std::byte{0});
  CHECK(refused(wire::decode_body(StatementType::results, bytes)));
  results.entries[0].fingerprint = {};
  CHECK(wire::encode_body(Body(results)).size() == bytes.size() - 32);
}

TEST_CASE("wire: replays and peer records") {
  CHECK(refused(Body(Replay{{}, {}, {}, limits::units_per_job_max, {}, {}})));
  for (const std::string address : {"", ":1", "host", "1.2.3.4:0", "1.2.3.4:65536", "1.2.3.4:8x", "1.2.3.4:", "a b:1", "a\n:1"}) {
    CAPTURE(address);
    CHECK(refused(Body(PeerRecord{{address}, 0, 0, false})));
  }
  CHECK(refused(Body(PeerRecord{{std::string(limits::name_bytes_max, '1') + ":1"}, 0, 0, false})));
  CHECK(refused(Body(PeerRecord{std::vector<std::string>(limits::addresses_per_peer_max + 1, "1.2.3.4:1"), 0, 0, false})));
  CHECK_FALSE(refused(Body(PeerRecord{})));
}

TEST_CASE("wire: envelopes") {
  wire::Envelope envelope;
  envelope.type = StatementType::cancel;
  CHECK(refused(wire::decode_envelope(wire::encode_envelope(envelope))));
  envelope.body.resize(10);
  CHECK_FALSE(refused(wire::decode_envelope(wire::encode_envelope(envelope))));
  envelope.version = 2;
  CHECK(refused(wire::decode_envelope(wire::encode_envelope(envelope))));
  envelope.version = 3;
  envelope.body.resize(limits::statement_bytes_max);
  CHECK(refused(wire::decode_envelope(wire::encode_envelope(envelope))));
}

TEST_CASE("wire: link messages too long for a frame or a list") {
  const auto statement = std::make_shared<const Bytes>(limits::statement_bytes_max);
  const auto longer = std::make_shared<const Bytes>(limits::statement_bytes_max + 1);
  CHECK(refused_link(StatementBundle{}));
  CHECK(refused_link(StatementBundle{{std::make_shared<const Bytes>()}}));
  CHECK_FALSE(refused_link(StatementBundle{{statement}}));
  CHECK(refused_link(StatementBundle{{longer}}));
  CHECK(refused_link(StatementBundle{std::vector(16, statement)}));
  CHECK(refused_link(StatementBundle{std::vector(limits::statements_per_bundle_max + 1, std::make_shared<const Bytes>(1))}));
  CHECK(refused_link(Summary{std::vector<std::uint64_t>(255)}));
  CHECK(refused_link(Summary{std::vector<std::uint64_t>(257)}));
  base::Rng rng(1);
  Want want;
  for (std::size_t i = 0; i <= limits::ids_per_reconciliation_max; ++i) want.ids.push_back(random_id<MessageId>(rng));
  CHECK(refused_link(want));
  CHECK(refused_link(BucketIds{{}, want.ids}));
}

TEST_CASE("wire: ids and buckets out of order") {
  const MessageId low = *MessageId::from(Bytes(32, std::byte{0x11})), high = *MessageId::from(Bytes(32, std::byte{0x22}));
  for (const LinkMessage& message : {LinkMessage(Want{{low, high}}), LinkMessage(BucketIds{{0x33, 0x44}, {low, high}})}) {
    const Bytes bytes = wire::encode_link(message);
    CHECK_FALSE(refused(wire::decode_link(bytes)));
    for (const std::byte replacement : {std::byte{0x22}, std::byte{0x77}}) {
      Bytes changed = bytes;
      std::ranges::replace(changed, std::byte{0x11}, replacement);  // a repeated id, then a descending one
      CHECK(refused(wire::decode_link(changed)));
    }
  }
  for (const std::byte replacement : {std::byte{0x44}, std::byte{0x77}}) {
    Bytes changed = wire::encode_link(BucketIds{{0x33, 0x44}, {}});
    std::ranges::replace(changed, std::byte{0x33}, replacement);
    CHECK(refused(wire::decode_link(changed)));
  }
}

TEST_CASE("wire: an id of another length") {
  Bytes bytes = wire::encode_body(Cancel{});
  REQUIRE(bytes.size() == 8 + 8 + 8 + 32);
  CHECK_FALSE(refused(wire::decode_body(StatementType::cancel, bytes)));
  bytes[8 + 8 + 5] = std::byte{0};  // the list pointer's count, upper part
  for (const unsigned count : {31U, 0U}) {
    bytes[8 + 8 + 4] = static_cast<std::byte>(count << 3 | 2);
    CHECK(refused(wire::decode_body(StatementType::cancel, bytes)));
  }
}

TEST_CASE("wire: holdings") {
  using Ranges = std::vector<std::pair<UnitIndex, UnitIndex>>;
  const auto with = [](Ranges ranges) { return refused_link(Holdings{{}, true, true, std::move(ranges)}); };
  CHECK_FALSE(with({}));
  CHECK_FALSE(with({{0, 2}, {2, 3}, {7, limits::units_per_job_max}}));
  CHECK(with({{1, 1}}));
  CHECK(with({{2, 1}}));
  CHECK(with({{4, 6}, {1, 2}}));
  CHECK(with({{1, 4}, {3, 6}}));
  CHECK(with({{1, limits::units_per_job_max + 1}}));
}

TEST_CASE("wire: folds") {
  base::Rng rng(1);
  const auto with = [&](const std::function<void(Fold&)>& change) {
    Fold fold;
    do fold = random_fold(rng);
    while (fold.credit.size() < 2 || fold.credit.size() == limits::fold_credits_max);
    change(fold);
    return refused(Body(fold));
  };
  CHECK_FALSE(with([](Fold&) {}));
  CHECK(with([&](Fold& fold) {
    while (fold.credit.size() <= limits::fold_credits_max) fold.credit.push_back({random_id<PeerId>(rng), 1, 1});
    std::ranges::sort(fold.credit);
    fold.keys = 100;
  }));
  CHECK(with([](Fold& fold) { std::swap(fold.credit[0], fold.credit[1]); }));
  CHECK(with([](Fold& fold) { fold.credit[1] = fold.credit[0]; }));
  CHECK(with([](Fold& fold) { fold.credit[0].units = 0; }));
  CHECK(with([](Fold& fold) { fold.credit[0].units = limits::units_per_job_max + 1; }));
  CHECK(with([](Fold& fold) { fold.keys = 1; }));
  CHECK(with([](Fold& fold) { fold.keys = limits::authors_per_job_max + 1; }));
  CHECK(with([](Fold& fold) { fold.failures = limits::units_per_job_max + 1; }));
  CHECK(with([](Fold& fold) { fold.root = {}; }));  // taken back, and says something
  CHECK_FALSE(refused(Body(Fold{.job = random_id<JobId>(rng), .sequence = 5})));
}

TEST_CASE("wire: what is left out") {
  base::Rng rng(1);
  std::vector<LeftOut> many;
  for (std::size_t i = 0; i <= limits::folded_jobs_max; ++i) many.push_back({random_id<JobId>(rng), random_id<Digest>(rng)});
  std::ranges::sort(many);
  const auto summary = [](bool headlines, bool answer, std::vector<LeftOut> left_out) {
    return refused_link(Summary{std::vector<std::uint64_t>(256), headlines, answer, std::move(left_out)});
  };
  const auto ids = [](std::vector<LeftOut> left_out) { return refused_link(BucketIds{{}, {}, false, std::move(left_out)}); };
  CHECK(summary(false, false, many));
  CHECK(ids(many));
  many.pop_back();
  CHECK_FALSE(summary(false, true, many));
  CHECK_FALSE(ids(many));
  CHECK(summary(true, false, {many[0]}));
  CHECK(summary(true, true, {}));
  CHECK(summary(false, false, {many[1], many[0]}));
  CHECK(ids({many[1], many[1]}));
  std::vector<MessageId> full(limits::ids_per_reconciliation_max);
  for (auto& id : full) id = random_id<MessageId>(rng);
  std::vector<std::uint8_t> buckets(256);
  for (unsigned i = 0; i < buckets.size(); ++i) buckets[i] = static_cast<std::uint8_t>(i);
  CHECK_FALSE(refused_link(BucketIds{buckets, full, false, many}));  // the longest of them fits into a frame
}

TEST_CASE("wire: questions about folded jobs, and their answers") {
  base::Rng rng(1);
  CHECK(refused_link(FoldQuestion{{}, {}, limits::units_per_job_max}));
  FoldProof proof{{}, {}, 3, random_outcome(rng), std::vector<Digest>(limits::fold_path_max)};
  CHECK_FALSE(refused_link(proof));
  proof.path.emplace_back();
  CHECK(refused_link(proof));
  CHECK(refused_link(FoldProof{{}, {}, 3, {OutcomeKind::ok, 1, {}}, {}}));
  CHECK(refused_link(Holdings{.job = {}, .units = {{1, 2}}, .folded = true}));
  CHECK(refused_link(Holdings{.job = {}, .inputs_whole = true, .folded = true}));
}

TEST_CASE("wire: blob ranges") {
  constexpr std::uint64_t size = 3 * base::leaf_bytes - 100;
  const auto get = [](std::uint64_t bytes, std::uint64_t first, std::uint32_t count) { return refused_link(BlobGet{{}, bytes, first, count}); };
  CHECK_FALSE(get(size, 1, 2));
  CHECK(get(size, 1, 3));
  CHECK(get(size, 3, 1));
  CHECK(get(size, 0, 0));
  CHECK(get(size, UINT64_MAX, 2));
  CHECK(get(1ULL << 40, 0, limits::leaves_per_range_max + 1));
  CHECK(get((1ULL << 40) + 1, 0, 1));
  CHECK(get(UINT64_MAX, 0, 1));
  const auto data = [](bool missing, std::size_t bytes, std::size_t nodes) {
    return refused_link(BlobData{{}, size, 1, 2, missing, Bytes(bytes), std::vector<Digest>(nodes)});
  };
  constexpr std::size_t whole = 2 * base::leaf_bytes - 100;
  CHECK_FALSE(data(false, whole, 2));
  CHECK(data(false, whole - 1, 2));
  CHECK(data(false, whole + 1, 2));
  CHECK(data(false, 0, 0));
  CHECK(data(false, whole, limits::proof_nodes_max + 1));
  CHECK_FALSE(data(true, 0, 0));
  CHECK(data(true, whole, 0));
  CHECK(data(true, 0, 1));
}

}  // namespace
