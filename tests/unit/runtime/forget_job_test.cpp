// What an expired job leaves behind, on a real database and a real blob store.
#include <algorithm>

#include "tests/unit/runtime/desk.hpp"

using namespace starling;
using namespace starling::runtime;
using namespace starling::runtime::testing;

namespace {

struct Cellar {
  Cellar() : store(*storage::EvidenceStore::open(folder / "peer.db")), desk(store.get()) {}

  std::size_t rows_of(const base::JobId& job) const {
    std::size_t count = 0;
    REQUIRE(store->for_each([&](const auto& statement) {
      count += statement.job == job ? 1U : 0U;
      return true;
    }));
    return count;
  }
  bool on_disk(const Digest& blob, const char* extension = ".blob") const {
    return std::filesystem::exists(desk.folder / "blobs" / (blob.base32() + extension));
  }
  // Runs every unit of the job here and waits until its results are stored.
  base::JobId run(const JobBlobs& blobs) {
    const auto job = desk.submit(blobs);
    const auto answered = [&] {
      const auto status = desk.driver->node().job(job);
      return status ? status->own_results : 0;
    };
    while (answered() < blobs.manifest.unit_count) desk.pass(20);
    return job;
  }
  // The neighbour says something else about unit 0.
  void hear_results(const base::JobId& job, base::ByteView answer) {
    const protocol::Outcome outcome{protocol::OutcomeKind::ok, 0, name_of(answer), answer.size()};
    const auto results = seal(network_id_of(swarm_named("driver")), desk.neighbour, protocol::Results{job, 0, {{0, 0, outcome}}});
    const auto rows = rows_of(job);
    desk.inbox->offer(net::FrameReceived{desk.neighbour.id(), wire::encode_link(protocol::StatementBundle{{results.raw}})});
    desk.step();
    REQUIRE(rows_of(job) > rows);
  }
  void expire_first() {
    desk.later_s = 3601;
    for (int i = 0; i < 3; ++i) desk.pass(limits::tick_idle_interval.ms);
  }

  ScratchFolder folder;
  std::unique_ptr<storage::EvidenceStore> store;
  Desk desk;
};

Digest archive(int unit) { return name_of(base::view("unit " + std::to_string(unit))); }

// Shares the program and the archives of its two units with a job of JobBlobs(4).
JobBlobs lasting_job() {
  JobBlobs job(2, 50'000);
  job.manifest.expires_unix_s += 48 * 3600;
  job.manifest.nonce = 8;
  return job;
}

}  // namespace

TEST_CASE("an expired job's statements and blobs leave the disk; those of others, and shared ones, stay") {
  Cellar cellar;
  auto& desk = cellar.desk;
  const JobBlobs expiring(4), lasting = lasting_job();
  const auto gone = cellar.run(expiring), kept = cellar.run(lasting);
  const auto fetched = *desk.blobs->put(bytes_of("a result that the user fetched"));
  const auto begun = name_of(base::view("an input that comes in pieces"));
  REQUIRE(desk.blobs->begin(begun, 1 << 20));
  desk.pins.pin(archive(3));  // somebody reads it just now
  REQUIRE(cellar.rows_of(gone) >= 2);
  for (int unit = 0; unit < 4; ++unit) REQUIRE(cellar.on_disk(archive(unit)));
  const auto kept_rows = cellar.rows_of(kept);

  cellar.expire_first();
  REQUIRE(desk.driver->node().jobs() == std::vector{kept});
  CHECK(cellar.rows_of(gone) == 0);
  CHECK(cellar.rows_of(kept) == kept_rows);
  CHECK_FALSE(cellar.on_disk(expiring.manifest.inputs[0].blob.name));
  CHECK_FALSE(cellar.on_disk(expiring.manifest.units.name));
  CHECK_FALSE(cellar.on_disk(archive(2)));
  CHECK(cellar.on_disk(archive(3)));
  CHECK(cellar.on_disk(archive(0)));
  CHECK(cellar.on_disk(archive(1)));
  CHECK(cellar.on_disk(lasting.manifest.program.name));
  CHECK(cellar.on_disk(lasting.manifest.units.name));
  CHECK(cellar.on_disk(lasting.manifest.inputs[0].blob.name));
  CHECK(cellar.on_disk(fetched));
  CHECK(cellar.on_disk(begun, ".part"));
  desk.blobs->check_invariants();
}

TEST_CASE("what others answered in an expired job leaves too, unless a job still known names it") {
  Cellar cellar;
  auto& desk = cellar.desk;
  const auto gone = cellar.run(JobBlobs(4)), kept = cellar.run(lasting_job());
  const auto only_gone = bytes_of("an answer in the job that expires"), shared = bytes_of("an answer in both");
  cellar.hear_results(gone, only_gone);
  cellar.hear_results(gone, shared);
  cellar.hear_results(kept, shared);
  REQUIRE(desk.blobs->put(only_gone));  // the user fetched both
  REQUIRE(desk.blobs->put(shared));
  REQUIRE_FALSE(desk.driver->node().needs(name_of(shared)));
  cellar.expire_first();
  REQUIRE(desk.driver->node().jobs() == std::vector{kept});
  CHECK_FALSE(cellar.on_disk(name_of(only_gone)));
  CHECK(cellar.on_disk(name_of(shared)));
}

TEST_CASE("a unit that ends after its job was forgotten leaves no archive") {
  Cellar cellar;
  auto& desk = cellar.desk;
  desk.submit(JobBlobs(1));
  while (desk.executor.run_count() == 0) desk.step();
  desk.driver->wait_idle();  // its end lies in the inbox
  std::deque<Event> ends = desk.inbox->take(9, std::nullopt);
  REQUIRE(ends.size() == 1);
  REQUIRE(cellar.on_disk(archive(0)));
  cellar.expire_first();
  REQUIRE(desk.driver->node().jobs().empty());
  CHECK(cellar.on_disk(archive(0)));  // pinned until the core has heard of it
  desk.inbox->push(std::move(ends[0]));
  desk.step();
  CHECK_FALSE(cellar.on_disk(archive(0)));
}
