// One Driver on a test's desk: fake links, a disk that fills when told, a virtual clock.
#pragma once

#include "coordinator-less/runtime/driver.hpp"
#include "coordinator-less/wire/codec.hpp"
#include "tests/unit/runtime/support.hpp"

namespace starling::runtime::testing {

// A store on a disk that the test fills and empties.
class FakeEvidenceStore final : public storage::EvidenceStore {
 public:
  base::Expected<void> append(const std::vector<storage::StoredStatement>& statements) override {
    ++appends;
    if (on_append) on_append(statements);
    if (full) return base::fail(base::ErrorCode::temporary, "no space left for peer.db", "make room");
    stored.insert(stored.end(), statements.begin(), statements.end());
    return {};
  }
  base::Expected<void> for_each(const std::function<bool(const storage::StoredStatement&)>& use) override {
    for (const auto& statement : stored)
      if (!use(statement)) break;
    return {};
  }
  base::Expected<void> for_each_of(const base::JobId& job, const std::function<bool(const storage::StoredStatement&)>& use) override {
    if (unreadable) return base::fail(base::ErrorCode::temporary, "a read error", "look at the disk");
    jobs_read.push_back(job);
    return for_each([&](const auto& statement) { return statement.job != job || use(statement); });
  }
  base::Expected<std::optional<storage::StoredStatement>> find(const base::MessageId& id) override {
    if (unreadable) return base::fail(base::ErrorCode::temporary, "a read error", "look at the disk");
    const auto found = std::ranges::find(stored, id, &storage::StoredStatement::id);
    return found == stored.end() ? std::nullopt : std::optional(*found);
  }
  base::Expected<std::optional<base::JobId>> job_of(const base::MessageId& id) override {
    const auto found = std::ranges::find(stored, id, &storage::StoredStatement::id);
    return found == stored.end() ? std::nullopt : std::optional(found->job);
  }
  base::Expected<std::vector<base::MessageId>> ids_of(const base::JobId& job, const base::MessageId& first, const base::MessageId& last,
                                                      std::size_t count_max) override {
    std::vector<base::MessageId> ids;
    for (const auto& statement : stored)
      if (statement.job == job && statement.id >= first && statement.id <= last) ids.push_back(statement.id);
    std::ranges::sort(ids);
    ids.resize(std::min(ids.size(), count_max));
    return ids;
  }
  base::Expected<void> set_aside(const std::vector<base::MessageId>& ids) override {
    std::erase_if(stored, [&](const auto& statement) { return std::ranges::contains(ids, statement.id); });
    aside.insert(aside.end(), ids.begin(), ids.end());
    return {};
  }
  base::Expected<void> mark_verified(const std::vector<std::pair<base::MessageId, base::Digest>>& checked) override {
    for (const auto& [id, digest] : checked) std::ranges::find(stored, id, &storage::StoredStatement::id)->verified = digest;
    return {};
  }
  base::Expected<void> remove_job(const base::JobId& job) override {
    std::erase_if(stored, [&](const auto& statement) { return statement.job == job; });
    return {};
  }
  base::Expected<std::uint64_t> count() override { return stored.size(); }
  base::Expected<std::optional<Bytes>> setting(const std::string&) override { return std::nullopt; }
  base::Expected<void> set_setting(const std::string&, base::ByteView) override { return {}; }
  base::Expected<void> remember_peer(const storage::StoredPeer&) override { return {}; }
  base::Expected<std::vector<storage::StoredPeer>> peers() override { return std::vector<storage::StoredPeer>{}; }

  std::vector<storage::StoredStatement> stored;
  std::vector<base::MessageId> aside;
  std::vector<base::JobId> jobs_read;  // one by one
  std::function<void(const std::vector<storage::StoredStatement>&)> on_append;
  bool full = false, unreadable = false;
  int appends = 0;
};

inline UnitEnd echo(const UnitWork& work, UnitInputs&, const FakeExecutor::Stopped&) {
  return UnitDone{protocol::OutcomeKind::ok, 0, bytes_of("unit " + std::to_string(work.unit)), {}};
}

class NoInputs final : public UnitInputs {
 public:
  base::Expected<int> open(const base::JobId&, const protocol::BlobRef&) override { return base::fail(base::ErrorCode::not_found, "none"); }
  bool whole(const Digest&) override { return false; }
  base::Expected<void> ensure(const base::JobId&, const protocol::BlobRef&, std::uint64_t, std::uint64_t) override { return {}; }
};

// One driver on a virtual clock, with one linked neighbour; on the store given or on the fake one.
struct Desk {
  explicit Desk(storage::EvidenceStore* store = nullptr, base::Duration job_quiet = limits::job_quiet) : blobs(*storage::BlobStore::open(folder / "blobs", 64ULL << 20, crypto::sha256)) {
    executor.attach(inputs);
    protocol::NodeConfig config;
    config.self = key.id();
    config.own_addresses = {"127.0.0.1:4000"};
    config.job_quiet = job_quiet;
    driver = std::make_unique<Driver>(
        World{store ? *store : evidence, blobs, links, &executor, inbox, notary, log, pins, changes, [this] { return now(); }},
        std::move(config), base::Rng(1));
    REQUIRE(driver->restore());
    inbox->offer(net::LinkUp{neighbour.id(), net::Role::worker, true});
    step();
  }
  ~Desk() {
    driver->begin_closing();
    driver->wait_idle();
  }

  base::Now now() const { return {{now_ms}, read_clock().unix_s + later_s}; }
  // A call makes the step return at once, whatever the deadline.
  void step() {
    inbox->push(Call{[](Driver&) {}});
    driver->step();
  }
  void pass(std::int64_t ms) {
    now_ms += ms;
    step();
  }
  base::JobId submit(std::uint32_t units) { return submit(JobBlobs(units)); }
  base::JobId submit(const JobBlobs& job) {
    for (const auto* blob : {&job.program, &job.units, &job.input}) {
      const auto name = blobs->put(*blob);
      inbox->push(protocol::Input(protocol::BlobHeld{*name}));
    }
    auto manifest = notary.seal(job.manifest);
    const auto id = base::retag<base::JobId>(manifest.id);
    inbox->push(Call{[this, statement = std::move(manifest)](Driver& loop) {
      loop.feed(protocol::Submit{statement});
      loop.after_settled([this](base::Expected<void> settled) { settled_with = settled; });
    }});
    return id;
  }
  // Statements of this type in what was sent so far.
  std::size_t sent(protocol::StatementType type) const {
    std::size_t count = 0;
    for (const auto& [peer, frame] : links.sent) {
      const auto message = wire::decode_link(*frame);
      const auto* bundle = std::get_if<protocol::StatementBundle>(&*message);
      if (!bundle) continue;
      for (const auto& raw : bundle->statements) count += wire::decode_envelope(*raw)->type == type ? 1U : 0U;
    }
    return count;
  }
  std::size_t stored(protocol::StatementType type) const {
    return static_cast<std::size_t>(
        std::ranges::count(evidence.stored, static_cast<std::uint16_t>(type), &storage::StoredStatement::type));
  }

  ScratchFolder folder;
  std::int64_t now_ms = 1'000'000;
  std::int64_t later_s = 0;  // how far the wall clock has gone ahead
  FakeEvidenceStore evidence;
  std::shared_ptr<storage::BlobStore> blobs;
  FakeTransport links;
  NoInputs inputs;
  std::atomic<std::int64_t> wall_us = 0;  // what units say they took
  FakeExecutor executor{[this](const UnitWork& work, UnitInputs& unit_inputs, const FakeExecutor::Stopped& stopped) {
    auto end = echo(work, unit_inputs, stopped);
    std::get<UnitDone>(end).wall_us = wall_us;
    return end;
  }};
  std::shared_ptr<Inbox> inbox = std::make_shared<Inbox>();
  crypto::Identity key = crypto::Identity::generate(), neighbour = crypto::Identity::generate();
  SigningNotary notary{network_id_of(swarm_named("driver")), key, 2};  // on a machine of one core too
  RecordingLog log;
  BlobPins pins;
  ChangeSignal changes;
  std::optional<base::Expected<void>> settled_with;
  std::unique_ptr<Driver> driver;
};

}  // namespace starling::runtime::testing
