#include "tests/simulation/simulator.hpp"

#include <algorithm>
#include <numeric>

namespace starling::simulation {
namespace {

constexpr std::uint64_t second_ms = 1000;
constexpr std::uint64_t kill_retry_ms = 100;
constexpr std::uint64_t events_per_instant_max = 5'000'000;
constexpr std::uint64_t settle_ms_max = 600'000;  // replays that never come must not hold a run open
constexpr std::uint32_t holders_beside_submitter = 3;  // DESIGN section 9
constexpr std::uint64_t leaf_bytes = 16 * 1024;

void shuffle(std::vector<PeerIndex>& peers, base::Rng& rng) {
  for (std::size_t i = peers.size(); i > 1; --i) std::swap(peers[i - 1], peers[rng.below(i)]);
}

std::vector<PeerIndex> first_peers(PeerIndex count) {
  std::vector<PeerIndex> peers(count);
  std::iota(peers.begin(), peers.end(), 0U);
  return peers;
}

protocol::Manifest manifest_of(const Scenario& s, std::uint64_t seed, std::uint32_t number) {
  protocol::Manifest m;
  m.name = "job " + std::to_string(number);
  m.program = {digest_of_words({seed, 0x9406, number}), 100'000};
  m.units = {digest_of_words({seed, 0x0717, number}), std::uint64_t{s.units} * 40};
  if (s.input_leaves != 0) m.inputs = {{"input", {digest_of_words({seed, 0x1297, number}), s.input_leaves * leaf_bytes}}};
  m.unit_count = s.units;
  m.items_per_unit = 1;
  m.item_count = s.units;
  if (s.segments > 1) m.rounds_max = s.segments, m.segment_rounds = 1;
  m.limits = {64ULL << 20, 1ULL << 20, static_cast<std::uint32_t>(s.time_limit_ms)};
  m.verification = s.verification;
  m.epsilon_ppm = s.epsilon_ppm;
  m.peer_estimate = s.peer_estimate != 0 ? s.peer_estimate : s.peers;
  m.created_unix_s = 1'800'000'000;
  m.expires_unix_s = m.created_unix_s + 7 * 24 * 3600;
  m.nonce = number;
  if (number == 0) m.priority = static_cast<std::uint8_t>(s.first_priority);
  return m;
}

}  // namespace

Simulator::Simulator(const Scenario& scenario, std::uint64_t seed, RunOptions options)
    : scenario_(scenario), world_(scenario_, seed, options.trace_file), rng_(digest_of_words({seed, 0x51})), paranoid_(options.paranoid),
      network_(network_options(), world_.queue, base::Rng(digest_of_words({seed, 0x4e7})), scenario.peers, *this) {
  world_.paranoid = paranoid_;
  world_.slots_beyond = options.slots_beyond;
  world_.network = &network_;
  world_.office.remembers = !scenario.wire_real;
  world_.office.network = base::retag<base::NetworkId>(digest_of_words({seed, 0x2e7}));
  cast();
  for (const HostTraits& traits : traits_) {
    hosts_.push_back(std::make_unique<Host>(world_, traits));
    world_.directory[hosts_.back()->id()] = traits.index;
  }
  plan_siege();
  plan_starts();
  plan_jobs();
  plan_kills();
  plan_machine_faults();
}

Simulator::~Simulator() = default;

NetworkOptions Simulator::network_options() {
  NetworkOptions options;
  options.latency_min_ms = scenario_.latency_min_ms;
  options.latency_max_ms = scenario_.latency_max_ms;
  options.loss = scenario_.loss;
  options.duplicate = scenario_.duplicate;
  options.reorder = scenario_.reorder;
  options.wire_real = scenario_.wire_real;
  options.partition_from_ms = scenario_.partition_from_ms;
  options.partition_to_ms = scenario_.partition_to_ms;
  if (scenario_.partition_to_ms > scenario_.partition_from_ms) {
    auto peers = first_peers(scenario_.peers);
    shuffle(peers, rng_);
    options.cut_off.assign(scenario_.peers, false);
    const auto count = static_cast<std::size_t>(scenario_.partition_share * scenario_.peers + 0.5);
    for (std::size_t i = 0; i < count; ++i) options.cut_off[peers[i]] = true;
  }
  return options;
}

// The submitter is honest and quick; the other parts are drawn.
void Simulator::cast() {
  traits_.resize(scenario_.peers);
  std::vector<PeerIndex> others;
  for (PeerIndex peer = 0; peer < scenario_.peers; ++peer) {
    traits_[peer].index = peer;
    traits_[peer].late = peer >= scenario_.peers - scenario_.late_peers;
    if (peer != scenario_.submitter && !traits_[peer].late) others.push_back(peer);
  }
  traits_[scenario_.submitter].light = scenario_.light_submitter;
  shuffle(others, rng_);
  std::size_t next = 0;
  const auto take = [&](std::uint32_t count, auto&& give) {
    for (std::uint32_t i = 0; i < count && next < others.size(); ++i) give(traits_[others[next++]], i);
  };
  take(scenario_.liars, [&](HostTraits& traits, std::uint32_t i) {
    traits.behaviour = Behaviour::liar;
    traits.honest_replays = i < scenario_.honest_replayers;
  });
  take(scenario_.colluders, [](HostTraits& traits, std::uint32_t) {
    traits.behaviour = Behaviour::colluder;
    traits.honest_replays = false;
  });
  take(scenario_.hostile_members, [](HostTraits& traits, std::uint32_t) {
    traits.behaviour = Behaviour::hostile;
    traits.honest_replays = false;
  });
  const auto play = [](Behaviour behaviour) { return [behaviour](HostTraits& traits, std::uint32_t) { traits.behaviour = behaviour; }; };
  take(scenario_.copiers, play(Behaviour::copier));
  take(scenario_.lazy_auditors, play(Behaviour::lazy_auditor));
  take(scenario_.accusers, [](HostTraits& traits, std::uint32_t) {
    traits.behaviour = Behaviour::accuser;
    traits.honest_replays = false;
  });
  take(scenario_.broken_peers, [](HostTraits& traits, std::uint32_t) { traits.broken = true; });
  take(scenario_.erring_peers, [](HostTraits& traits, std::uint32_t) { traits.errs = true; });
  take(scenario_.bad_tier_peers, [](HostTraits& traits, std::uint32_t) { traits.bad_tier = true; });
  take(scenario_.slow_peers, [&](HostTraits& traits, std::uint32_t) { traits.slowness = scenario_.slow_factor; });
  shuffle(others, rng_);
  for (std::size_t i = 0; i < scenario_.dial_only && i < others.size(); ++i) traits_[others[i]].dial_only = true;
}

std::vector<PeerIndex> Simulator::contacts_of(PeerIndex peer) {
  std::vector<PeerIndex> earlier;
  for (PeerIndex other = 0; other < peer; ++other) {
    const bool out_of_reach = traits_[peer].late && now_ms() < scenario_.siege_to_ms && traits_[other].behaviour != Behaviour::hostile;
    if (!traits_[other].dial_only && !out_of_reach) earlier.push_back(other);
  }
  shuffle(earlier, rng_);
  if (earlier.size() > scenario_.contacts) earlier.resize(scenario_.contacts);
  return earlier;
}

void Simulator::plan_siege() {
  if (scenario_.siege_to_ms == 0) return;
  Siege siege{std::vector<bool>(scenario_.peers), std::vector<bool>(scenario_.peers), scenario_.siege_to_ms};
  for (const HostTraits& traits : traits_) {
    siege.besieged[traits.index] = traits.late;
    siege.besiegers[traits.index] = traits.behaviour == Behaviour::hostile;
  }
  network_.besiege(std::move(siege));
  for (const HostTraits& traits : traits_) {
    if (!traits.late) continue;
    ++kills_open_;
    world_.queue.at(scenario_.siege_to_ms, [this, peer = traits.index] {
      hosts_[peer]->meet(contacts_of(peer));
      --kills_open_;
    });
  }
}

void Simulator::plan_starts() {
  for (PeerIndex peer = 0; peer < scenario_.peers; ++peer) {
    const bool late = traits_[peer].late;
    if (late) ++kills_open_;
    world_.queue.at((late ? scenario_.late_at_ms : 0) + rng_.below(scenario_.start_spread_ms + 1), [this, peer, late, contacts = contacts_of(peer)] {
      hosts_[peer]->start(contacts);
      if (late) --kills_open_;
    });
  }
}

void Simulator::plan_jobs() {
  for (std::uint32_t number = 0; number < scenario_.jobs; ++number) {
    JobRun job;
    job.manifest = manifest_of(scenario_, world_.seed, number);
    job.submitter = scenario_.submitter;
    world_.jobs.push_back(std::move(job));
    world_.queue.at(scenario_.submit_at_ms + number * scenario_.job_gap_ms,
                    [this, number] { hosts_[scenario_.submitter]->submit(world_.jobs[number]); });
  }
}

void Simulator::plan_kills() {
  if (scenario_.kill_share == 0 && scenario_.kill_count == 0) return;
  ++kills_open_;
  world_.queue.at(scenario_.kill_at_ms, [this] { kill_when_safe(); });
}

// Clocks that jump and disks that are set back: faults of honest machines that live on.
void Simulator::plan_machine_faults() {
  const auto at = [&](std::uint64_t when_ms, auto&& happen) {
    ++kills_open_;
    world_.queue.at(when_ms, [this, happen] {
      happen();
      --kills_open_;
    });
  };
  auto jump_s = static_cast<std::int64_t>(scenario_.clock_jump_s);
  for (const PeerIndex peer : honest_beside_submitter(scenario_.clock_jumpers)) {
    at(scenario_.clock_jump_at_ms, [this, peer, jump_s] { hosts_[peer]->jump_clock(jump_s); });
    jump_s = -jump_s;
  }
  for (const PeerIndex peer : honest_beside_submitter(scenario_.set_back_peers)) {
    at(scenario_.image_at_ms, [this, peer] { hosts_[peer]->take_image(); });
    at(scenario_.set_back_at_ms, [this, peer] {
      if (hosts_[peer]->alive()) hosts_[peer]->crash();
      hosts_[peer]->restore_image();
      hosts_[peer]->start(contacts_of(peer));
    });
  }
}

std::vector<PeerIndex> Simulator::honest_beside_submitter(std::uint32_t count) {
  std::vector<PeerIndex> peers;
  if (count == 0) return peers;
  for (const HostTraits& traits : traits_) {
    if (traits.index != scenario_.submitter && traits.behaviour == Behaviour::honest) peers.push_back(traits.index);
  }
  shuffle(peers, rng_);
  peers.resize(std::min<std::size_t>(count, peers.size()));
  return peers;
}

void Simulator::kill_when_safe() {
  if (scenario_.kill_submitter && !inputs_safe()) return world_.queue.after(kill_retry_ms, [this] { kill_when_safe(); });
  std::vector<PeerIndex> victims;
  for (const HostTraits& traits : traits_) {
    const bool spared = traits.index == scenario_.submitter || (scenario_.kill_honest && traits.behaviour != Behaviour::honest);
    if (!spared) victims.push_back(traits.index);
  }
  shuffle(victims, rng_);
  if (scenario_.kill_submitter) victims.insert(victims.begin(), scenario_.submitter);
  const auto share = static_cast<std::size_t>(scenario_.kill_share * scenario_.peers + 0.5);
  victims.resize(std::min(victims.size(), share + scenario_.kill_count));
  kills_open_ += static_cast<std::uint32_t>(victims.size()) - 1;
  for (const PeerIndex victim : victims) {
    world_.queue.after(rng_.below(scenario_.kill_spread_ms + 1), [this, victim] { kill(victim); });
  }
}

// What `submit` waits for before it says that its machine may leave: three peers beside it hold every input whole.
bool Simulator::inputs_safe() const {
  const Host& submitter = *hosts_[scenario_.submitter];
  const std::uint32_t wanted = std::min(scenario_.peers, holders_beside_submitter + 1);
  return submitter.alive() && std::ranges::all_of(world_.jobs, [&](const JobRun& job) {
           if (!job.submitted) return false;
           const auto status = submitter.node().job(job.id);
           return status && status->input_holders >= wanted;
         });
}

void Simulator::kill(PeerIndex peer) {
  if (hosts_[peer]->alive()) hosts_[peer]->crash();
  if (scenario_.restart_after_ms == 0) {
    --kills_open_;
    return;
  }
  world_.queue.after(scenario_.restart_after_ms, [this, peer] {
    hosts_[peer]->start(contacts_of(peer));
    --kills_open_;
  });
}

void Simulator::on_link_up(PeerIndex at, PeerIndex other) {
  hosts_[at]->step(protocol::LinkUp{hosts_[other]->id(), traits_[other].light});
}
void Simulator::on_link_down(PeerIndex at, PeerIndex other) { hosts_[at]->step(protocol::LinkDown{hosts_[other]->id()}); }
void Simulator::on_dial_failed(PeerIndex at, PeerIndex other) { hosts_[at]->step(protocol::DialFailed{hosts_[other]->id()}); }
void Simulator::on_message(PeerIndex at, PeerIndex from, const Message& message) { hosts_[at]->on_message(from, message); }

void Simulator::run(const std::function<std::string()>& each_second) {
  std::uint64_t next_look_ms = second_ms;
  std::uint64_t instant_ms = 0;
  std::uint64_t events_of_instant = 0;
  while (!world_.queue.empty() && now_ms() < scenario_.virtual_limit_ms) {
    if (world_.queue.next_ms() >= next_look_ms) {
      next_look_ms += second_ms;
      for (const auto& host : hosts_) {
        if (host->alive()) host->node().check_invariants();
      }
      if (!each_second().empty()) return;
      if (finished_at_ms_ == 0 && all_finished()) finished_at_ms_ = now_ms();
      if (!all_finished()) finished_at_ms_ = 0;  // a late dissenter or death reopens
      if (settled()) return;
      continue;
    }
    world_.queue.run_one();
    events_of_instant = now_ms() == instant_ms ? events_of_instant + 1 : 0;
    instant_ms = now_ms();
    if (events_of_instant > events_per_instant_max) return world_.breach(0, "virtual time stands still");
  }
}

bool Simulator::settled() const {
  if (finished_at_ms_ == 0 || kills_open_ != 0 || now_ms() < scenario_.partition_to_ms) return false;
  if (now_ms() < finished_at_ms_ + scenario_.settle_ms) return false;
  if (scenario_.replays_each == 0 || now_ms() > finished_at_ms_ + settle_ms_max) return true;
  return std::ranges::all_of(honest_alive(), [&](const Host* host) {
    if (host->traits().light || host->node().idle()) return true;
    std::uint64_t replays = 0;
    for (const JobRun& job : world_.jobs) {
      if (const auto status = host->node().job(job.id)) replays += status->own_replays;
    }
    return replays >= scenario_.replays_each;
  });
}

bool Simulator::all_finished() const {
  return std::ranges::all_of(world_.jobs, [&](const JobRun& job) {
    return job.submitted && std::ranges::all_of(honest_alive(), [&](const Host* host) {
             const auto status = host->node().job(job.id);
             return status && status->state == protocol::JobState::finished;
           });
  });
}

std::vector<const Host*> Simulator::honest_alive() const {
  std::vector<const Host*> out;
  for (const auto& host : hosts_) {
    if (host->alive() && host->honest()) out.push_back(host.get());
  }
  return out;
}

bool Simulator::linked_to_honest(const Host& host) const {
  return std::ranges::any_of(honest_alive(), [&](const Host* other) { return network_.linked(host.traits().index, other->traits().index); });
}

double Simulator::executions_per_unit() const {
  std::uint64_t executions = 0;
  for (const auto& host : hosts_) executions += host->counters().units_finished;
  return static_cast<double>(executions) / (static_cast<double>(scenario_.units) * scenario_.jobs);
}

std::string Simulator::state_of_jobs() const {
  std::string out;
  for (const JobRun& job : world_.jobs) {
    for (const Host* host : honest_alive()) {
      const std::string who = "peer " + std::to_string(host->traits().index);
      const auto status = host->node().job(job.id);
      if (!status) {
        out += who + " does not know " + job.manifest.name + "; ";
      } else if (status->state != protocol::JobState::finished) {
        out += who + " sees " + job.manifest.name + " " + name_of(status->state) + ": " + std::to_string(status->accepted) + "/" +
               std::to_string(status->units) + " accepted, " + std::to_string(status->bytes_safe) + " safe, " +
               std::to_string(status->contested) + " contested, " + std::to_string(status->running_here) + " running, " +
               std::to_string(status->replays_pending) + " replays pending; ";
      }
    }
  }
  return out;
}

}  // namespace starling::simulation
