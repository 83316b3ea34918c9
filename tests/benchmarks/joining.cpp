// What a peer pays that comes late: it links to one that holds all evidence of a finished job, and takes it over by comparison.
// Two real nodes, real Ed25519, real wire bytes; only the links are function calls, so the time is the newcomer's processor alone.
//   bench_joining UNITS ENTRIES [told]
// told: three peers have folded the job, so the newcomer takes none of the evidence; then a minute of comparisons counts too.
// ENTRIES: results in a statement. Every unit is answered by two of a hundred peers. Prints
//   "statements wire_bytes cpu_s comparisons veteran_bytes newcomer_bytes"   comparisons: one each limits::reconcile_interval
// where the last two are heap bytes of each node (mallinfo2, statements shared by nobody).
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/fold.hpp"
#include "coordinator-less/protocol/node.hpp"
#include "coordinator-less/wire/codec.hpp"
#include "tests/benchmarks/finished_job.hpp"

using namespace starling;
using namespace starling::bench;

namespace {

struct Peer {
  explicit Peer(unsigned n) : member(n) {
    protocol::NodeConfig config;
    config.self = member.id();
    config.own_addresses = {"127.0.0.1:1"};
    config.fold_holders_min = 1;
    node = std::make_unique<protocol::Node>(config, member.notary, base::Rng(n));
  }
  void feed(protocol::Input input, std::int64_t now_ms) { node->on_input(std::move(input), {{now_ms}, epoch_s + now_ms / 1000}); }
  // What it sends to the other one, as frames.
  std::vector<base::Bytes> frames() {
    std::vector<base::Bytes> out;
    while (auto effect = node->poll_effect())
      if (const auto* send = std::get_if<protocol::Send>(&*effect)) out.push_back(wire::encode_link(*send->message));
    return out;
  }
  testing::Member member;
  std::unique_ptr<protocol::Node> node;
};

// What three makers say of it, as they would.
std::vector<protocol::Statement> folds_of(const protocol::Statement& manifest, std::uint32_t units) {
  testing::Member digester(1);
  std::vector<base::Digest> leaves;
  for (base::UnitIndex unit = 0; unit < units; ++unit) leaves.push_back(protocol::fold_leaf({.digest = archive_of(unit), .archive_bytes = 1000, .fuel = 1'000'000}, digester.notary));
  protocol::Fold fold{.job = base::retag<base::JobId>(manifest.id), .sequence = epoch_s * 1000ULL, .root = protocol::FoldTree(leaves, digester.notary).root()};
  for (unsigned i = 0; i < limits::fold_credits_max; ++i) fold.credit.push_back({testing::Member(author_number(i)).id(), 2 * units / peers, 2'000'000ULL * units / peers});
  std::ranges::sort(fold.credit);
  fold.keys = peers;
  std::vector<protocol::Statement> out;
  for (const unsigned maker : {500U, 501U, 502U}) out.push_back(testing::Member(maker).notary.seal(fold));
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  const bool told = argc == 4 && std::string(argv[3]) == "told";
  if (argc != 3 && !told) return 2;
  const auto units = static_cast<std::uint32_t>(std::atoi(argv[1]));
  const auto entries = static_cast<std::size_t>(std::atoi(argv[2]));
  if (units == 0 || units > limits::units_per_job_max || entries == 0 || entries > limits::results_per_batch_max) return 2;
  Peer veteran(2), newcomer(3);
  const auto sealed = manifest_of(units);
  const auto statements = evidence(sealed, units, entries);
  std::int64_t now_ms = 0;
  const auto now = [&] { return base::Now{{now_ms}, epoch_s + now_ms / 1000}; };
  std::size_t before = heap_bytes();
  veteran.node->restore(sealed, false);
  for (base::UnitIndex unit = 0; told && unit < units; ++unit) veteran.node->blob_present(archive_of(unit));  // who lists none of them is no holder
  for (const auto& raw : statements) veteran.node->restore(*veteran.member.notary.open(std::make_shared<const base::Bytes>(*raw)), false);
  veteran.node->start(now());
  newcomer.node->start(now());
  if (told) {
    const auto relay = testing::Member(500).id();
    veteran.feed(protocol::LinkUp{relay}, now_ms);
    for (const auto& fold : folds_of(sealed, units)) veteran.feed(protocol::Received{relay, protocol::StatementBundle{{fold.raw}}}, now_ms);
    veteran.feed(protocol::LinkDown{relay}, now_ms);
  }
  veteran.frames();
  newcomer.frames();
  const std::size_t veteran_bytes = heap_bytes() - before;
  before = heap_bytes();

  const auto job = base::retag<base::JobId>(sealed.id);
  const auto accepted = [&](const Peer& peer) { return peer.node->verdict(job) == nullptr ? 0 : peer.node->verdict(job)->accepted_count(); };
  if (accepted(veteran) != units) return std::fprintf(stderr, "the evidence accepts %u of %u units\n", accepted(veteran), units), 1;

  std::uint64_t wire_bytes = 0;
  std::size_t comparisons = 0;
  double newcomer_s = 0;
  const auto timed = [&](const auto& work) {
    const double from = thread_cpu_s();
    work();
    newcomer_s += thread_cpu_s() - from;
  };
  const auto exchange = [&] {
    std::vector<base::Bytes> to_veteran, to_newcomer;
    timed([&] { to_veteran = newcomer.frames(); });
    to_newcomer = veteran.frames();
    while (!to_veteran.empty() || !to_newcomer.empty()) {
      for (const auto& frame : to_veteran) veteran.feed(protocol::Received{newcomer.member.id(), *wire::decode_link(frame)}, now_ms), wire_bytes += frame.size();
      timed([&] {
        for (const auto& frame : to_newcomer) newcomer.feed(protocol::Received{veteran.member.id(), *wire::decode_link(frame)}, now_ms), wire_bytes += frame.size();
        to_veteran = newcomer.frames();
      });
      to_newcomer = veteran.frames();
    }
  };
  veteran.feed(protocol::LinkUp{newcomer.member.id()}, now_ms);
  timed([&] { newcomer.feed(protocol::LinkUp{veteran.member.id()}, now_ms); });
  exchange();
  const auto knows = [&] { return told ? now_ms >= 60'000 : accepted(newcomer) == units; };
  while (!knows() && now_ms < 3'600'000) {
    now_ms += 1000;
    veteran.feed(protocol::TimerFired{}, now_ms);
    timed([&] { newcomer.feed(protocol::TimerFired{}, now_ms); });
    exchange();
    if (now_ms % limits::reconcile_interval.ms == 0) ++comparisons;
  }
  if (told && !newcomer.node->folded(job)) return std::fprintf(stderr, "the newcomer is not told the job\n"), 1;
  if (!told && accepted(newcomer) != units) return std::fprintf(stderr, "the newcomer accepts %u of %u units after an hour\n", accepted(newcomer), units), 1;
  std::printf("%zu %llu %.3f %zu %zu %lld\n", statements.size(), static_cast<unsigned long long>(wire_bytes), newcomer_s, comparisons, veteran_bytes, static_cast<long long>(heap_bytes()) - static_cast<long long>(before));
  return 0;
}
