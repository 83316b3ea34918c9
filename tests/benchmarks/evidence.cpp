// What V costs (protocol: evaluation.hpp) as a pure function over dense numbers, on one core.
//   bench_evidence results [NAME]   (worlds whose name begins so) prints "results SIZE.FLOW.EPSILON.BATCH PER_S" for each world, flow, epsilon and batch
//   bench_evidence memory           prints "memory WHAT BYTES_PER_UNIT"
// A world is a flow of answers as peers give them that work in their own orders: in turns, each takes the first unit that is open to
// it and does not answer what is closed; one execution in twenty is an audit. In the lying flow a tenth of the peers gives one common wrong
// answer to every eighth unit, and a judge replays one in eight contradictions, which bans some of them in the end. V hears the flow in batches, each followed by
// settle(), again and again from nothing until a million results are heard. Own orders are drawn before. Time is the thread's processor time.
// Batch "paced": 1,024 at a time, as if a million came each second, and what makes V look at whole logs settles when a peer's allowance has room
// (Node::State::settles_now), burst included. What waits then is heard with later batches.
#include <malloc.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <numeric>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "coordinator-less/base/allowance.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/rng.hpp"
#include "coordinator-less/protocol/judgement/evaluation.hpp"
#include "coordinator-less/protocol/judgement/order.hpp"

using namespace starling;
using namespace starling::protocol;

namespace {

std::size_t allocated_bytes = 0;  // live, as the allocator rounds them

}  // namespace

void* operator new(std::size_t bytes) {
  void* memory = std::malloc(bytes);
  if (memory == nullptr) std::abort();
  allocated_bytes += malloc_usable_size(memory);
  return memory;
}
void operator delete(void* memory) noexcept {
  allocated_bytes -= malloc_usable_size(memory);
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept { operator delete(memory); }

namespace {

constexpr OutcomeIndex good = 0, bad = 1;
constexpr UnitIndex lied_about = 8;  // one unit in so many
constexpr std::uint64_t replayed = 8;  // one contradiction in so many
constexpr std::uint64_t results_heard_min = 1'000'000;

double cpu_s() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct Orders final : OwnOrders {
  Orders(std::uint32_t peers, std::uint32_t units, std::uint32_t block) : blocks((units + block - 1) / block), own(std::size_t{peers} * blocks) {
    base::Rng rng(7);
    for (std::size_t i = 0; i < own.size(); ++i) {
      const auto first = static_cast<std::uint32_t>(i % blocks) * block;
      own[i].resize(std::min(block, units - first));
      std::iota(own[i].begin(), own[i].end(), first);
      for (std::size_t left = own[i].size(); left > 1; --left) std::swap(own[i][left - 1], own[i][rng.below(left)]);
    }
  }
  std::span<const UnitIndex> own_order(PeerIndex peer, std::uint32_t block) override { return own[std::size_t{peer} * blocks + block]; }
  std::uint32_t blocks;
  std::vector<std::vector<UnitIndex>> own;
};

struct World {
  World(std::uint32_t peer_count, std::uint32_t units, std::uint32_t epsilon_ppm)
      : peers(peer_count), orders(peer_count, units, block_size_of(peer_count)) {
    parameters.epsilon_ppm = epsilon_ppm;
    parameters.unit_count = units;
    parameters.block_units = block_size_of(peer_count);
    parameters.judges = {peer_count};
  }
  std::uint32_t peers;
  EvaluationParameters parameters;
  Orders orders;
  std::vector<std::variant<EntryFact, ReplayedFact>> facts;
  std::uint64_t results = 0;
};

// Lets the peers work until every unit is accepted.
class Flow {
 public:
  Flow(World& world, bool lying) : world_(world), lying_(lying), evaluation_(world.parameters, &world.orders), logs_(world.peers), answered_(world.parameters.unit_count) {}

  void run() {
    evaluation_.settle();
    for (bool working = true; working;) {
      working = false;
      for (PeerIndex peer = 0; peer < world_.peers; ++peer) working = work(peer) || working;
    }
    if (evaluation_.accepted_count() != world_.parameters.unit_count) {
      std::fprintf(stderr, "bench_evidence: the flow came to a stop with %u units accepted\n", evaluation_.accepted_count());
      std::exit(1);
    }
  }

 private:
  struct Log {
    std::uint32_t next = 0;
    std::map<std::uint32_t, std::size_t> begun;  // per block: everything of its own order before this is closed or answered
  };

  bool work(PeerIndex peer) {
    if (evaluation_.banned(peer)) return false;
    if (rng_.below(20) == 0) audit(peer);
    const std::uint32_t last = evaluation_.window_full(peer) ? evaluation_.oldest_open_block() : evaluation_.block_reached() + 1;
    for (std::uint32_t block = evaluation_.oldest_open_block(); block <= last && block < world_.orders.blocks; ++block) {
      const auto order = world_.orders.own_order(peer, block);
      std::size_t& begun = logs_[peer].begun[block];
      while (begun < order.size() && settled(peer, order[begun])) ++begun;
      if (begun == order.size()) continue;
      state(peer, order[begun], static_cast<std::uint32_t>(begun), false);
      return true;
    }
    return false;
  }
  static bool liar(PeerIndex peer) { return peer % 10 == 3; }
  bool settled(PeerIndex peer, UnitIndex unit) const { return evaluation_.closed(unit) || std::ranges::contains(answered_[unit], peer); }

  void audit(PeerIndex peer) {
    const auto unit = static_cast<UnitIndex>(rng_.below(world_.parameters.unit_count));
    if (evaluation_.closed(unit) && !std::ranges::contains(answered_[unit], peer)) state(peer, unit, 0, true);
  }

  void state(PeerIndex peer, UnitIndex unit, std::uint32_t position, bool is_audit) {
    const bool lies = lying_ && liar(peer) && unit % lied_about == 0;
    hear(EntryFact{peer, {0, logs_[peer].next++}, unit, position, lies ? bad : good, is_audit});
    ++world_.results;
    answered_[unit].push_back(peer);
    if (!lying_ || unit % lied_about != 0) return;
    const auto accused = std::ranges::find_if(answered_[unit], liar);
    if (accused == answered_[unit].end() || std::ranges::all_of(answered_[unit], liar) || rng_.below(replayed) != 0) return;
    hear(ReplayedFact{world_.peers, *accused, unit, good, good, {0, logs_[*accused].next - 1}, false});
    for (Log& log : logs_) log.begun.clear();  // what was closed may be open again
  }

  void hear(const auto& fact) {
    world_.facts.emplace_back(fact);
    evaluation_.add(fact);
    evaluation_.settle();
  }

  World& world_;
  bool lying_;
  Evaluation evaluation_;
  base::Rng rng_{11};
  std::vector<Log> logs_;
  std::vector<std::vector<PeerIndex>> answered_;
};

void hear_all(Evaluation& evaluation, const World& world, std::size_t batch) {
  for (std::size_t i = 0; i < world.facts.size(); ++i) {
    std::visit([&](const auto& fact) { evaluation.add(fact); }, world.facts[i]);
    if ((i + 1) % batch == 0) evaluation.settle();
  }
  evaluation.settle();
}

constexpr std::size_t paced_batch = 1'024;

double paced_results_per_s(World& world) {
  constexpr std::uint64_t results_per_ms = 1'000;
  base::Allowance judged_anew(limits::results_judged_anew_burst, limits::results_judged_anew_per_s);
  const double begun = cpu_s();
  std::uint64_t heard = 0;
  while (heard < results_heard_min) {
    Evaluation evaluation(world.parameters, &world.orders);
    std::uint64_t of_job = 0;
    for (const auto& fact : world.facts) {
      std::visit([&](const auto& one) { evaluation.add(one); }, fact);
      if (!std::holds_alternative<EntryFact>(fact)) continue;
      ++heard;
      if (++of_job % paced_batch != 0) continue;
      const base::Instant now{static_cast<std::int64_t>(heard / results_per_ms)};
      if (evaluation.looks_anew() && !judged_anew.left(now)) continue;
      if (evaluation.looks_anew()) judged_anew.spend(std::max(static_cast<std::int64_t>(of_job), limits::results_judged_anew_min));
      evaluation.settle();
    }
    evaluation.settle();
    if (evaluation.accepted_count() != world.parameters.unit_count) std::abort();
  }
  return static_cast<double>(heard) / (cpu_s() - begun);
}

double results_per_s(World& world, std::size_t batch) {
  const double begun = cpu_s();
  std::uint64_t heard = 0;
  for (; heard < results_heard_min; heard += world.results) {
    Evaluation evaluation(world.parameters, &world.orders);
    hear_all(evaluation, world, batch);
    if (evaluation.accepted_count() != world.parameters.unit_count) std::abort();
  }
  return static_cast<double>(heard) / (cpu_s() - begun);
}

void results(const std::string& wanted) {
  struct Size {
    const char* name;
    std::uint32_t peers, units;
    std::vector<std::size_t> batches;
  };
  const std::vector<Size> sizes = {{"small", 100, 10'000, {1, 64, 1'024}}, {"large", 1'000, 65'536, {1'024}}};
  for (const Size& size : sizes) {
    for (const std::uint32_t epsilon_ppm : {60'000U, 1'000U}) {
      for (const bool lying : {false, true}) {
        const std::string name = std::string(size.name) + (lying ? ".lying." : ".honest.") + (epsilon_ppm == 1'000 ? "1e-3." : "6e-2.");
        if (!name.starts_with(wanted)) continue;
        World world(size.peers, size.units, epsilon_ppm);
        Flow(world, lying).run();
        for (const std::size_t batch : size.batches) std::printf("results %s%zu %.0f\n", name.c_str(), batch, results_per_s(world, batch));
        if (lying) std::printf("results %spaced %.0f\n", name.c_str(), paced_results_per_s(world));
        std::printf("results %sper_unit %.3f\n", name.c_str(), static_cast<double>(world.results) / size.units);
        std::fflush(stdout);
      }
    }
  }
}

// --- memory

std::size_t varint_bytes(std::int64_t value) {
  std::size_t bytes = 1;
  for (auto rest = static_cast<std::uint64_t>(value < 0 ? -2 * value - 1 : 2 * value) >> 6; rest > 0; rest >>= 7) ++bytes;  // sign and one flag first
  return bytes;
}

// What the facts themselves would take, packed log by log (decision 0023): of a result that follows its author's last one and agrees with what is
// accepted, the step from that one's place in his order; of any other entry its unit's step, its position and a byte more.
std::size_t packed_bytes(const World& world) {
  std::size_t bytes = 0;
  std::vector<std::int64_t> last(world.peers), last_audited(world.peers);
  for (const auto& fact : world.facts) {
    const auto* entry = std::get_if<EntryFact>(&fact);
    if (entry == nullptr) continue;
    const std::int64_t unit = entry->unit, place = std::int64_t{world.parameters.block_of(entry->unit)} * world.parameters.block_units + entry->position;
    const bool plain = !entry->audit && entry->outcome == good;
    bytes += plain ? varint_bytes(place - std::exchange(last[entry->peer], place))
                   : 1 + varint_bytes(unit - std::exchange(last_audited[entry->peer], unit)) + (entry->audit ? 0 : varint_bytes(entry->position));
  }
  return bytes;
}

// All that it holds on the heap, by the unit; `open`: one answer for each unit, so that none is accepted.
void memory() {
  World world(100, 10'000, 60'000);
  Flow(world, false).run();
  const double units = world.parameters.unit_count;
  const auto say = [&](const char* what, std::size_t before) { std::printf("memory %s %.2f\n", what, static_cast<double>(allocated_bytes - before) / units); };
  {
    const std::size_t before = allocated_bytes;
    Evaluation evaluation(world.parameters, &world.orders);
    evaluation.settle();
    say("nothing_said", before);
    hear_all(evaluation, world, 64);
    (void)evaluation.poll_changed();
    say("closed", before);
    std::printf("memory packed %.2f\n", static_cast<double>(packed_bytes(world)) / units);
  }
  const std::size_t before = allocated_bytes;
  Evaluation evaluation(world.parameters, &world.orders);
  std::vector<std::uint32_t> next(world.peers);
  for (UnitIndex unit = 0; unit < world.parameters.unit_count; ++unit) {
    const PeerIndex peer = unit % world.peers;
    const auto order = world.orders.own_order(peer, unit / world.parameters.block_units);
    const auto position = static_cast<std::uint32_t>(std::ranges::find(order, unit) - order.begin());
    evaluation.add(EntryFact{peer, {0, next[peer]++}, unit, position, good, false});
  }
  evaluation.settle();
  say("open", before);
}

}  // namespace

int main(int count, char** words) {
  const std::string what = count > 1 ? words[1] : "";
  if (what == "results") results(count > 2 ? words[2] : "");
  else if (what == "memory") memory();
  else return 2;
  return 0;
}
