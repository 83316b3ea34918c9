// Jobs that sleep, on a real database: what the driver reads for them, and what it leaves alone.
#include <algorithm>
#include <set>

#include "tests/unit/runtime/desk.hpp"

using namespace starling;
using namespace starling::runtime;
using namespace starling::runtime::testing;

namespace {

constexpr auto quiet = base::seconds(10);

// A job whose two units this peer and its neighbour have answered.
struct Night {
  explicit Night(bool in_memory = false) : store(*storage::EvidenceStore::open(folder / "peer.db")), desk(in_memory ? nullptr : store.get(), quiet) {
    job = desk.submit(blobs);
    while (own_results() < 2) desk.pass(20);
    std::vector<protocol::ResultEntry> entries;
    const protocol::UnitOrder neighbours(job, desk.neighbour.id(), 2, blobs.manifest.peer_estimate, desk.notary);
    const auto* evidence = desk.driver->node().evidence(job);
    auto order = neighbours;
    for (base::UnitIndex unit = 0; unit < 2; ++unit) entries.push_back({unit, order.position_of(unit), evidence->results(unit).front().outcome});
    hear(seal(network_id_of(swarm_named("driver")), desk.neighbour, protocol::Results{job, 0, entries}));
    REQUIRE(desk.driver->node().job(job)->state == protocol::JobState::finished);
  }
  std::uint64_t own_results() const {
    const auto status = desk.driver->node().job(job);
    return status ? status->own_results : 0;
  }
  void hear(const protocol::Statement& statement) {
    desk.inbox->offer(net::FrameReceived{desk.neighbour.id(), wire::encode_link(protocol::StatementBundle{{statement.raw}})});
    desk.step();
  }
  void doze() {
    for (int n = 0; n < 20 && !asleep(); ++n) desk.pass(limits::tick_idle_interval.ms);
    REQUIRE(asleep());
  }
  // Answers another job, which shares program and archives and expires half an hour sooner.
  base::JobId answer_another() {
    JobBlobs other(2, 50'000);
    other.manifest.expires_unix_s -= 1800;
    other.manifest.nonce = 8;
    const auto another = desk.submit(other);
    while (!desk.driver->node().job(another) || desk.driver->node().job(another)->own_results < 2) desk.pass(20);
    return another;
  }
  void let_expire() {
    desk.later_s = 1801;
    for (int i = 0; i < 3; ++i) desk.pass(limits::tick_idle_interval.ms);
    REQUIRE(desk.driver->node().jobs() == std::vector{job});
  }
  bool asleep() const { return desk.driver->node().asleep(job); }
  protocol::Statement dissent(std::uint32_t chain) const {
    const protocol::Outcome outcome{protocol::OutcomeKind::ok, 0, name_of(base::view("something else")), 14};
    return seal(network_id_of(swarm_named("driver")), desk.neighbour, protocol::Results{job, 0, {{0, 0, outcome}}, chain});
  }

  ScratchFolder folder;
  std::unique_ptr<storage::EvidenceStore> store;
  Desk desk;
  JobBlobs blobs{2};
  base::JobId job;
};

}  // namespace

TEST_CASE("a job sleeps, serves what the database has of it, and wakes from there") {
  Night night;
  auto& desk = night.desk;
  const auto stored = *night.store->count();
  night.doze();
  desk.links.sent.clear();
  std::set<base::MessageId> ids, sent;
  protocol::Want want;
  REQUIRE(night.store->for_each_of(night.job, [&](const auto& statement) { return ids.insert(statement.id), want.ids.push_back(statement.id), true; }));
  REQUIRE(ids.size() >= 3);
  desk.inbox->offer(net::FrameReceived{desk.neighbour.id(), wire::encode_link(want)});
  desk.step();
  for (const auto& [peer, frame] : desk.links.sent) {
    const auto message = wire::decode_link(*frame);
    const auto* bundle = std::get_if<protocol::StatementBundle>(&*message);
    for (std::size_t i = 0; bundle && i < bundle->statements.size(); ++i) sent.insert(*desk.notary.peek(*bundle->statements[i]));
  }
  CHECK(sent == ids);
  CHECK(night.asleep());
  const auto verified = desk.notary.verified_count();
  CHECK(desk.driver->node().verdict(night.job)->accepted_count() == 2);
  CHECK_FALSE(night.asleep());
  CHECK(desk.notary.verified_count() == verified);  // no signature twice
  CHECK(*night.store->count() == stored);
  night.doze();
  night.hear(night.dissent(1));
  CHECK_FALSE(night.asleep());
  CHECK(*night.store->count() == stored + 1);
}

TEST_CASE("a job asleep keeps its archives from eviction and from what another job leaves behind") {
  Night night;
  auto& desk = night.desk;
  night.doze();
  night.answer_another();
  REQUIRE(night.asleep());
  for (int unit = 0; unit < 2; ++unit) CHECK(desk.driver->node().needs(name_of(base::view("unit " + std::to_string(unit)))));
  night.let_expire();
  CHECK(night.asleep());
  for (int unit = 0; unit < 2; ++unit) CHECK(desk.blobs->has(name_of(base::view("unit " + std::to_string(unit)))));
}

TEST_CASE("what a forgotten job leaves behind is dropped without reading those that sleep") {
  Night night(true);
  auto& desk = night.desk;
  night.doze();
  const auto gone = night.answer_another();
  const auto left = name_of(JobBlobs(2, 50'000).input);
  REQUIRE(night.asleep());
  REQUIRE(desk.blobs->has(left));
  desk.evidence.jobs_read.clear();
  night.let_expire();
  CHECK(desk.evidence.jobs_read == std::vector{gone});
  CHECK_FALSE(desk.blobs->has(left));
  CHECK(desk.blobs->has(night.blobs.manifest.program.name));
  for (int unit = 0; unit < 2; ++unit) CHECK(desk.blobs->has(name_of(base::view("unit " + std::to_string(unit)))));
}

TEST_CASE("a job whose rows cannot be read sleeps on, and says so") {
  Night night;
  night.doze();
  struct Unreadable final : storage::EvidenceStore {
    base::Expected<void> append(const std::vector<storage::StoredStatement>&) override { return {}; }
    base::Expected<void> for_each(const std::function<bool(const storage::StoredStatement&)>&) override { return {}; }
    base::Expected<void> for_each_of(const base::JobId&, const std::function<bool(const storage::StoredStatement&)>&) override { return why(); }
    base::Expected<std::optional<storage::StoredStatement>> find(const base::MessageId&) override { return why(); }
    base::Expected<std::optional<base::JobId>> job_of(const base::MessageId&) override { return why(); }
    base::Expected<std::vector<base::MessageId>> ids_of(const base::JobId&, const base::MessageId&, const base::MessageId&, std::size_t) override { return why(); }
    base::Expected<void> set_aside(const std::vector<base::MessageId>&) override { return why(); }
    base::Expected<void> mark_verified(const std::vector<std::pair<base::MessageId, base::Digest>>&) override { return why(); }
    base::Expected<void> remove_job(const base::JobId&) override { return {}; }
    base::Expected<std::uint64_t> count() override { return 0; }
    base::Expected<std::optional<Bytes>> setting(const std::string&) override { return std::nullopt; }
    base::Expected<void> set_setting(const std::string&, base::ByteView) override { return {}; }
    base::Expected<void> remember_peer(const storage::StoredPeer&) override { return {}; }
    base::Expected<std::vector<storage::StoredPeer>> peers() override { return std::vector<storage::StoredPeer>{}; }
    static std::unexpected<base::Error> why() { return base::fail(base::ErrorCode::temporary, "a read error"); }
  } unreadable;
  RecordingLog log;
  DiskEvidence disk(unreadable, night.desk.notary, log);
  CHECK_FALSE(disk.read_job(night.job));
  CHECK(log.says("sleeps on: a read error"));
  const std::vector<base::MessageId> ids(1);
  CHECK_FALSE(disk.read(ids, 1000));
  CHECK(log.says("a neighbour asks for"));
  const auto lines = log.lines().size();
  CHECK_FALSE(disk.job_of(ids[0]));
  CHECK_FALSE(disk.ids_of(night.job, ids[0], ids[0], 1));
  CHECK(log.lines().size() == lines + 1);  // asked for every statement that comes: said once
}

TEST_CASE("while its rows cannot be read a driver's job sleeps on, nobody is cut off for asking, and what came is taken when it comes again") {
  Night night(true);
  auto& desk = night.desk;
  night.doze();
  desk.evidence.unreadable = true;
  const auto stored = desk.evidence.stored.size();
  const auto late = night.dissent(1);
  night.hear(late);
  protocol::Want want;
  for (const auto& row : desk.evidence.stored) want.ids.push_back(row.id);
  desk.inbox->offer(net::FrameReceived{desk.neighbour.id(), wire::encode_link(want)});
  desk.step();
  CHECK(night.asleep());
  CHECK(desk.driver->node().verdict(night.job) == nullptr);
  CHECK(desk.driver->node().job(night.job)->state == protocol::JobState::finished);
  CHECK(desk.log.says("sleeps on: a read error"));
  CHECK(desk.evidence.stored.size() == stored);
  CHECK(desk.links.kicked.empty());
  desk.evidence.unreadable = false;
  desk.pass(limits::statement_waking_interval.ms);
  night.hear(late);
  CHECK_FALSE(night.asleep());
  CHECK(desk.evidence.stored.size() == stored + 1);
}

TEST_CASE("a damaged row is left out when a job wakes, and is sent to nobody") {
  Night night;
  night.doze();
  FakeEvidenceStore copy;
  REQUIRE(night.store->for_each_of(night.job, [&](const auto& statement) { return copy.stored.push_back(statement), true; }));
  RecordingLog log;
  DiskEvidence disk(copy, night.desk.notary, log);
  const auto count = copy.stored.size();
  CHECK(disk.read_job(night.job)->size() == count);
  const auto damage = [](storage::StoredStatement& row) { row.raw.back() ^= std::byte{1}; };
  std::vector<base::MessageId> ids;
  for (const auto& row : copy.stored) ids.push_back(row.id);
  damage(copy.stored.back());
  const auto whole = copy.stored;
  CHECK(disk.read_job(night.job)->size() == count - 1);
  CHECK(log.says("left out"));
  CHECK(copy.aside == std::vector{ids.back()});  // it may come again
  copy.stored = whole;
  const auto answer = *disk.read(ids, 1 << 20);
  CHECK(answer.statements.size() == count - 1);
  CHECK(answer.damaged == std::vector{night.job});
  CHECK(log.says("are damaged"));
  CHECK(*disk.job_of(ids.back()) == std::nullopt);
  CHECK(disk.read(ids, 1 << 20)->damaged.empty());
  CHECK(disk.read(ids, copy.stored[0].raw.size())->statements.size() == 1);
}

TEST_CASE("rows that do not say that they were checked are checked once, and one that fails then is set aside where a neighbour asked") {
  Night night;
  night.doze();
  FakeEvidenceStore copy;
  REQUIRE(night.store->for_each_of(night.job, [&](const auto& statement) { return copy.stored.push_back(statement), true; }));
  std::vector<base::MessageId> ids;
  for (auto& row : copy.stored) row.verified.reset(), ids.push_back(row.id);  // as in rows of older versions
  RecordingLog log;
  DiskEvidence disk(copy, night.desk.notary, log);
  const auto before = night.desk.notary.verified_count();
  CHECK(disk.read(std::vector{ids[0]}, 1 << 20)->statements.size() == 1);
  CHECK(disk.read_job(night.job)->size() == ids.size());
  CHECK(night.desk.notary.verified_count() == before + ids.size());
  CHECK(std::ranges::all_of(copy.stored, [](const auto& row) { return row.verified.has_value(); }));
  CHECK(disk.read(ids, 1 << 20)->statements.size() == ids.size());
  CHECK(disk.read_job(night.job)->size() == ids.size());
  CHECK(night.desk.notary.verified_count() == before + ids.size());
  copy.stored[1].verified.reset();
  copy.stored[1].raw.back() ^= std::byte{1};
  CHECK(disk.read_job(night.job)->size() == ids.size() - 1);
  CHECK(copy.aside.empty());  // of another version of the protocol, perhaps
  CHECK(disk.read(ids, 1 << 20)->statements.size() == ids.size() - 1);
  CHECK(copy.aside == std::vector{ids[1]});
}
