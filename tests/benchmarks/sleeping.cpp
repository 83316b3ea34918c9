// What a finished job costs its peers in memory, awake and asleep, and what waking it takes. One real node, real Ed25519, real wire bytes;
// its disk is a list in memory that is not counted, as are the names of the blobs that the peer has.
//   bench_sleeping UNITS ENTRIES here|elsewhere
// ENTRIES: results in a statement. here: this peer has all archives; elsewhere: none, the hundred authors are its neighbours. Prints
//   "statements awake_bytes asleep_bytes sleep_s wake_s again_bytes"   processor time; heap bytes (as malloc rounds them) beyond those of a peer with the
//   same links, blobs and past without the job; again: asleep a second time
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/node.hpp"
#include "tests/benchmarks/finished_job.hpp"

static std::size_t allocated_bytes = 0;

[[gnu::noinline]] void* operator new(std::size_t bytes) {
  void* memory = std::malloc(bytes);
  if (memory == nullptr) std::abort();
  allocated_bytes += ::malloc_usable_size(memory) + sizeof(std::size_t);
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  if (memory != nullptr) allocated_bytes -= ::malloc_usable_size(memory) + sizeof(std::size_t);
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept { operator delete(memory); }

using namespace starling;
using namespace starling::bench;

namespace {

// As the runtime reads them: what was verified once is not verified again.
class Disk final : public protocol::StoredEvidence {
 public:
  Disk(testing::Member& member, const std::vector<std::shared_ptr<const base::Bytes>>& raws) : member_(member), raws_(raws) {}
  base::Expected<std::vector<protocol::Statement>> read_job(const base::JobId&) override {
    std::vector<protocol::Statement> out;
    for (const auto& raw : raws_) out.push_back(*member_.notary.reopen(std::make_shared<const base::Bytes>(*raw)));
    return out;
  }
  base::Expected<protocol::StoredAnswer> read(std::span<const base::MessageId>, std::size_t) override { return {}; }
  base::Expected<std::optional<base::JobId>> job_of(const base::MessageId&) override { return std::nullopt; }  // nobody says anything
  base::Expected<std::vector<base::MessageId>> ids_of(const base::JobId&, const base::MessageId&, const base::MessageId&, std::size_t) override { return {}; }

 private:
  testing::Member& member_;
  const std::vector<std::shared_ptr<const base::Bytes>>& raws_;
};

struct Bytes {
  std::size_t awake = 0, asleep = 0, again = 0;
};

struct Seconds {
  double sleep = 0, wake = 0;
};

// One peer's life, with the job or without: what it holds at the same moments. Nothing when the job does not do what it should.
struct Life {
  std::uint32_t units;
  bool here;
  const protocol::Statement& manifest;
  const std::vector<std::shared_ptr<const base::Bytes>>& statements;
  const std::vector<base::PeerId>& authors;

  std::optional<Bytes> operator()(bool with_job, Seconds& seconds) const {
    Bytes bytes;
    const std::size_t before = allocated_bytes;
    const auto job = base::retag<base::JobId>(manifest.id);
    testing::Member member(2);
    Disk disk(member, statements);
    protocol::NodeConfig config;
    config.self = member.id();
    config.light = true;  // else it would pull what is elsewhere
    config.own_addresses = {"127.0.0.1:1"};
    protocol::Node node(config, member.notary, base::Rng(1), &disk);
    std::int64_t now_ms = 0;
    const auto now = [&] { return base::Now{{now_ms}, epoch_s + now_ms / 1000}; };
    const auto feed = [&](protocol::Input input) {
      node.on_input(std::move(input), now());
      while (node.poll_effect()) {}
    };
    const auto pass = [&](std::int64_t ms) {
      double most_s = 0;
      for (const std::int64_t end = now_ms + ms; now_ms < end;) {
        now_ms += 2000;
        const double from = thread_cpu_s();
        feed(protocol::TimerFired{});
        most_s = std::max(most_s, thread_cpu_s() - from);
      }
      return most_s;
    };
    for (std::uint32_t unit = 0; here && unit < units; ++unit) node.blob_present(archive_of(unit));
    if (with_job) {
      node.restore(manifest, false);
      for (const auto& raw : statements) node.restore(*member.notary.reopen(std::make_shared<const base::Bytes>(*raw)), false);
    }
    node.start(now());
    while (node.poll_effect()) {}
    for (const auto& author : authors) feed(protocol::LinkUp{author, false});
    pass(20'000);  // what is remembered for a while is gone
    if (with_job && (node.asleep(job) || node.job(job)->state != protocol::JobState::finished)) return std::nullopt;
    bytes.awake = allocated_bytes - before;
    seconds.sleep = pass(limits::job_quiet.ms);
    if (with_job && !node.asleep(job)) return std::nullopt;
    bytes.asleep = allocated_bytes - before;
    const double from = thread_cpu_s();
    const auto* verdict = node.verdict(job);
    seconds.wake = thread_cpu_s() - from;
    if (with_job && (verdict == nullptr || verdict->accepted_count() != units)) return std::nullopt;
    pass(limits::job_quiet.ms * 3);
    if (with_job && !node.asleep(job)) return std::nullopt;
    bytes.again = allocated_bytes - before;
    return bytes;
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const auto units = static_cast<std::uint32_t>(std::atoi(argv[1]));
  const auto entries = static_cast<std::size_t>(std::atoi(argv[2]));
  const bool here = std::string_view(argv[3]) == "here";
  if (units == 0 || units > limits::units_per_job_max || entries == 0 || entries > limits::results_per_batch_max) return 2;
  const auto manifest = manifest_of(units);
  const auto statements = evidence(manifest, units, entries);
  std::vector<base::PeerId> authors;
  for (unsigned i = 0; i < peers; ++i) authors.push_back(testing::Member(author_number(i)).id());

  const Life life{units, here, manifest, statements, authors};
  Seconds idle, busy;
  const auto without = life(false, idle), with = life(true, busy);
  if (!without || !with) return std::fputs("the job does not finish, sleep or wake\n", stderr), 1;
  std::printf("%zu %zu %zu %.3f %.3f %zu\n", statements.size(), with->awake - without->awake, with->asleep - without->asleep, busy.sleep, busy.wake, with->again - without->again);
  return 0;
}
