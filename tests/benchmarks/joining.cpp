// What a peer pays that comes late: it links to one that holds all evidence of a finished job, and takes it over by comparison.
// Two real nodes, real Ed25519, real wire bytes; only the links are function calls, so the time is the newcomer's processor alone.
//   bench_joining UNITS ENTRIES
// ENTRIES: results in a statement. Every unit is answered by two of a hundred peers. Prints
//   "statements wire_bytes cpu_s comparisons veteran_bytes newcomer_bytes"   comparisons: one each limits::reconcile_interval
// where the last two are heap bytes of each node (mallinfo2, statements shared by nobody).
#include <malloc.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <vector>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/node.hpp"
#include "coordinator-less/wire/codec.hpp"
#include "tests/support/author.hpp"

using namespace starling;

namespace {

constexpr std::int64_t epoch_s = 1'800'000'000;

double cpu_s() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

std::size_t heap_bytes() { const auto info = ::mallinfo2(); return info.uordblks + info.hblkhd; }

struct Peer {
  explicit Peer(unsigned n) : member(n) {
    protocol::NodeConfig config;
    config.self = member.id();
    config.own_addresses = {"127.0.0.1:1"};
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

std::vector<std::shared_ptr<const base::Bytes>> evidence(const protocol::Statement& manifest, std::uint32_t units, std::size_t entries) {
  constexpr unsigned peers = 100;
  std::vector<std::unique_ptr<testing::Author>> authors;
  std::vector<std::vector<protocol::ResultEntry>> waiting(peers);
  for (unsigned i = 0; i < peers; ++i) authors.push_back(std::make_unique<testing::Author>(100 + i, manifest));
  std::vector<std::shared_ptr<const base::Bytes>> out;
  const auto flush = [&](unsigned i) {
    if (!waiting[i].empty()) out.push_back(authors[i]->states_all(std::exchange(waiting[i], {})).raw);
  };
  const protocol::UnitOrder order(base::retag<base::JobId>(manifest.id), authors[0]->id(), units, std::get<protocol::Manifest>(manifest.body).peer_estimate, authors[0]->notary);
  std::vector<unsigned> answers(units);
  for (std::uint32_t block = 0; block < order.block_count(); ++block) {  // as honest peers do: in turn, each the next of its own order that lacks answers
    std::vector<std::vector<std::uint32_t>> places;
    for (const auto& author : authors) places.push_back(order.own_places(author->id(), block));
    std::vector<std::size_t> next(peers);
    for (std::size_t lacking = 2 * places[0].size(); lacking > 0;)
      for (unsigned i = 0; i < peers && lacking > 0; ++i) {
        while (next[i] < places[i].size() && answers[order.unit_at(places[i][next[i]])] == 2) ++next[i];
        if (next[i] == places[i].size()) continue;
        const auto unit = order.unit_at(places[i][next[i]]);
        const protocol::Outcome outcome{.digest = testing::digest_of("unit " + std::to_string(unit)), .archive_bytes = 1000, .fuel = 1'000'000};
        waiting[i].push_back({unit, block * order.block_units() + static_cast<std::uint32_t>(next[i]++), outcome});
        ++answers[unit], --lacking;
        if (waiting[i].size() == entries) flush(i);
      }
  }
  for (unsigned i = 0; i < peers; ++i) flush(i);
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const auto units = static_cast<std::uint32_t>(std::atoi(argv[1]));
  const auto entries = static_cast<std::size_t>(std::atoi(argv[2]));
  if (units == 0 || units > limits::units_per_job_max || entries == 0 || entries > limits::results_per_batch_max) return 2;
  auto description = testing::manifest(units, epoch_s);
  description.peer_estimate = 100;
  description.units.size_bytes = 2ULL * units;
  description.expires_unix_s = epoch_s + 86'400;
  Peer veteran(2), newcomer(3);
  const auto sealed = testing::Member(1).notary.seal(description);
  const auto statements = evidence(sealed, units, entries);
  std::int64_t now_ms = 0;
  const auto now = [&] { return base::Now{{now_ms}, epoch_s + now_ms / 1000}; };
  std::size_t before = heap_bytes();
  veteran.node->restore(sealed, false);
  for (const auto& raw : statements) veteran.node->restore(*veteran.member.notary.open(std::make_shared<const base::Bytes>(*raw)), false);
  veteran.node->start(now());
  newcomer.node->start(now());
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
    const double from = cpu_s();
    work();
    newcomer_s += cpu_s() - from;
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
  while (accepted(newcomer) != units && now_ms < 3'600'000) {
    now_ms += 1000;
    veteran.feed(protocol::TimerFired{}, now_ms);
    timed([&] { newcomer.feed(protocol::TimerFired{}, now_ms); });
    exchange();
    if (now_ms % limits::reconcile_interval.ms == 0) ++comparisons;
  }
  if (accepted(newcomer) != units) return std::fprintf(stderr, "the newcomer accepts %u of %u units after an hour\n", accepted(newcomer), units), 1;
  std::printf("%zu %llu %.3f %zu %zu %zu\n", statements.size(), static_cast<unsigned long long>(wire_bytes), newcomer_s, comparisons, veteran_bytes, heap_bytes() - before);
  return 0;
}
