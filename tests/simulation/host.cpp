#include "tests/simulation/host.hpp"

#include <algorithm>
#include <tuple>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/merkle_tree.hpp"
#include "coordinator-less/protocol/judgement/segments.hpp"

namespace starling::simulation {
namespace {

constexpr std::int64_t unix_zero_s = 1'800'000'000;
constexpr std::uint64_t interpreter_slowdown = 5;
constexpr std::uint64_t stop_ms = 5;
constexpr std::uint64_t unsynced_ms = 1000;        // others' statements of the last second may miss on the disk after a crash
constexpr std::uint64_t effects_per_step_max = 100'000;
constexpr std::uint64_t hostile_period_ms = 1000;

base::JobId job_of(const protocol::Statement& statement) {
  return std::visit(
      [&statement](const auto& body) -> base::JobId {
        if constexpr (requires { body.job; }) return body.job;
        if constexpr (std::is_same_v<std::decay_t<decltype(body)>, protocol::Manifest>) return base::retag<base::JobId>(statement.id);
        return {};
      },
      statement.body);
}

}  // namespace

// ------------------------------------------------------------------ blobs

void BlobShelf::put_whole(const base::Digest& name, std::uint64_t size_bytes) {
  blobs_[name] = {size_bytes, std::vector<bool>(base::leaf_count(size_bytes), true), 0};
}

bool BlobShelf::put_range(const base::Digest& name, std::uint64_t size_bytes, std::uint64_t first, std::uint64_t count) {
  Blob& blob = blobs_[name];
  if (blob.leaves.empty()) {
    blob.size_bytes = size_bytes;
    blob.leaves.assign(base::leaf_count(size_bytes), false);
    blob.missing = blob.leaves.size();
  }
  const bool was_whole = blob.missing == 0;
  STARLING_ENSURE(first + count <= blob.leaves.size());
  for (std::uint64_t leaf = first; leaf < first + count; ++leaf) {
    if (!blob.leaves[leaf]) --blob.missing;
    blob.leaves[leaf] = true;
  }
  return !was_whole && blob.missing == 0;
}

bool BlobShelf::whole(const base::Digest& name) const {
  const Blob* blob = find(name);
  return blob != nullptr && blob->missing == 0;
}

bool BlobShelf::has(const base::Digest& name, std::uint64_t first, std::uint64_t count) const {
  const Blob* blob = find(name);
  if (blob == nullptr || first + count > blob->leaves.size()) return false;
  const auto begin = blob->leaves.begin() + static_cast<std::ptrdiff_t>(first);
  return std::all_of(begin, begin + static_cast<std::ptrdiff_t>(count), [](bool here) { return here; });
}

const BlobShelf::Blob* BlobShelf::find(const base::Digest& name) const {
  const auto it = blobs_.find(name);
  return it == blobs_.end() ? nullptr : &it->second;
}

// ------------------------------------------------------------------ life

Host::Host(World& world, HostTraits traits)
    : world_(world), traits_(traits), id_(peer_id_of(world.seed, traits.index)),
      rng_(digest_of_words({world.seed, 0x057, traits.index})), notary_(world.office, id_) {
  if (traits.behaviour != Behaviour::hostile) return;
  hostile_ = std::make_unique<HostileMember>(world.scenario.hostility, notary_, base::Rng(digest_of_words({world.seed, 0x405, traits.index})));
}

base::Now Host::now() const {
  const auto ms = static_cast<std::int64_t>(world_.queue.now_ms());
  return {{ms}, unix_zero_s + ms / 1000 + clock_error_s_};
}

void Host::start(const std::vector<PeerIndex>& contacts) {
  STARLING_ENSURE(!alive());
  ++life_;
  protocol::NodeConfig config;
  config.self = id_;
  config.light = traits_.light;
  config.doubts_itself = honest();
  config.slots = world_.scenario.slots + world_.slots_beyond;
  config.job_quiet = base::milliseconds(static_cast<std::int64_t>(world_.scenario.job_quiet_ms));
  if (!world_.scenario.folds) config.fold_units_min = UINT32_MAX;
  if (!traits_.dial_only) config.own_addresses = {address_of(traits_.index)};
  node_ = std::make_unique<protocol::Node>(config, notary_, base::Rng(digest_of_words({world_.seed, 0x40de, traits_.index, life_})), &stored_);
  for (const Stored& stored : persisted_) {
    const auto statement = notary_.open(stored.raw);
    STARLING_ENSURE(statement.has_value());
    node_->restore(*statement);
  }
  for (const auto& [name, blob] : shelf_.blobs()) {
    if (blob.missing == 0) node_->blob_present(name);
  }
  world_.network->revive(traits_.index);
  world_.trace.note(world_.queue.now_ms(), traits_.index, honest() ? "starts" : hostile_ ? "starts, a hostile member" : "starts, a liar");
  node_->start(now());
  while (auto effect = node_->poll_effect()) carry_out(*std::move(effect));
  for (const auto& [peer, addresses] : remembered_) step(protocol::AddPeer{peer, addresses});
  meet(contacts);
  if (hostile_) misbehave();
}

void Host::meet(const std::vector<PeerIndex>& contacts) {
  for (const PeerIndex contact : contacts) step(protocol::AddPeer{peer_id_of(world_.seed, contact), {address_of(contact)}});
}

// To every neighbour that still has a link to it; the network drops the rest.
void Host::misbehave() {
  for (const JobRun& job : world_.jobs) {
    if (!job.submitted) continue;
    std::vector<protocol::LinkMessage> messages = hostile_->whisper(job);
    for (const auto& statement : hostile_->speak(job, node_->statements_of(job.id), now().unix_s * 1000 + now().steady.ms % 1000))
      messages.emplace_back(protocol::StatementBundle{{statement.raw}});
    for (auto& message : messages) {
      const auto shared = std::make_shared<const protocol::LinkMessage>(std::move(message));
      for (PeerIndex other = 0; other < world_.directory.size(); ++other)
        if (other != traits_.index) world_.network->send(traits_.index, other, shared);
    }
  }
  counters_.made_up = hostile_->work_claimed();
  world_.queue.after(hostile_period_ms, [this, life = life_] {
    if (life == life_) misbehave();
  });
}

void Host::crash() {
  STARLING_ENSURE(alive());
  world_.trace.note(world_.queue.now_ms(), traits_.index, "dies");
  world_.network->kill(traits_.index);
  node_.reset();
  ++life_;
  ++timer_generation_;
  running_.clear();
  requests_open_ = 0;
  const std::uint64_t synced_ms = world_.queue.now_ms() < unsynced_ms ? 0 : world_.queue.now_ms() - unsynced_ms;
  std::erase_if(persisted_, [&](const Stored& stored) {
    const bool lost = !stored.own && stored.at_ms > synced_ms && rng_.chance(0.5);
    if (lost) persisted_bytes_.erase(stored.raw.get());
    return lost;
  });
  stored_.forget_index();
}

void Host::jump_clock(std::int64_t seconds) {
  clock_error_s_ += seconds;
  if (!alive() || seconds == 0) return;
  ++counters_.clock_jumps;
  if (!running_.empty()) ++counters_.clock_jumps_at_work;
}

void Host::take_image() { image_ = Disk{persisted_, persisted_bytes_, remembered_, shelf_}; }

void Host::restore_image() {
  STARLING_ENSURE(!alive() && image_);
  world_.trace.note(world_.queue.now_ms(), traits_.index, "is set back to its image");
  std::tie(persisted_, persisted_bytes_, remembered_, shelf_) =
      std::tie(image_->persisted, image_->persisted_bytes, image_->remembered, image_->shelf);
  stored_.forget_index();
  ++counters_.set_backs;
}

void Host::step(protocol::Input input) {
  if (!alive()) return;
  ++counters_.inputs;
  world_.trace.input(world_.queue.now_ms(), traits_.index, input);
  node_->on_input(std::move(input), now());
  std::uint64_t effects = 0;
  while (auto effect = node_->poll_effect()) {
    carry_out(*std::move(effect));
    if (++effects == effects_per_step_max) world_.breach(traits_.index, "one input gave 100,000 effects");
  }
  if (world_.paranoid) node_->check_invariants();
}

void Host::later(protocol::Input input, std::uint64_t delay_ms) {
  world_.queue.after(delay_ms, [this, life = life_, planned = std::move(input)]() mutable {
    if (life == life_) step(std::move(planned));
  });
}

// As the client does for the user's next job.
std::vector<protocol::KnownPeer> Host::known_of(const base::PeerId& owner) const {
  std::vector<protocol::EarnedInJob> earned;
  for (const base::JobId& id : node_->jobs()) {
    const auto status = node_->job(id);
    if (status->owner == owner) earned.push_back({status->state == protocol::JobState::finished, node_->explain(id)->peers});
  }
  return protocol::known_from(earned);
}

void Host::submit(JobRun& job) {
  const std::uint64_t number = world_.scenario.one_owner ? 0 : next_owner_++;
  auto owner = base::retag<base::PeerId>(digest_of_words({world_.seed, 0x03e4, number, traits_.index}));
  owner.bytes[31] &= std::byte{0x7f};
  SimNotary owner_notary(world_.office, owner);
  if (world_.scenario.knows_peers) job.manifest.known = known_of(owner);
  protocol::Statement manifest = owner_notary.seal(job.manifest);
  job.id = base::retag<base::JobId>(manifest.id);
  job.submitter = traits_.index;
  std::vector<protocol::BlobRef> blobs = {job.manifest.program, job.manifest.units};
  for (const auto& input : job.manifest.inputs) blobs.push_back(input.blob);
  for (const auto& blob : blobs) {
    shelf_.put_whole(blob.name, blob.size_bytes);
    step(protocol::BlobHeld{blob.name});
  }
  job.submitted = true;
  step(protocol::Submit{std::move(manifest)});
}

// ------------------------------------------------------------------ links

void Host::carry_out(protocol::Effect effect) {
  world_.trace.effect(world_.queue.now_ms(), traits_.index, effect);
  std::visit([this](const auto& one) { carry_out(one); }, effect);
}

void Host::carry_out(const protocol::Send& effect) {
  const auto to = world_.directory.find(effect.to);
  if (to == world_.directory.end()) return world_.breach(traits_.index, "a message to a key that is no peer");
  Message message = effect.message;
  if (const auto* bundle = std::get_if<protocol::StatementBundle>(message.get())) {
    check_sent(*bundle);
    if (hides(*bundle)) return;
    if (!honest() && rng_.chance(world_.scenario.liar_corrupts)) message = altered(message);
  }
  if (frame_bytes_of(*message) > limits::frame_bytes_max) world_.breach(traits_.index, "a message above frame_bytes_max");
  world_.network->send(traits_.index, to->second, std::move(message));
}

// Who folds falsely shows no evidence to others, and compares headlines alone.
bool Host::hides(const protocol::StatementBundle& bundle) {
  if (!hostile_ || !world_.scenario.hostility.makes_folds) return false;
  return std::ranges::any_of(bundle.statements, [&](const auto& raw) {
    const auto opened = SimNotary(world_.office, id_).open(raw);
    return opened && (opened->type() == protocol::StatementType::results || opened->type() == protocol::StatementType::replay);
  });
}

// Own results and replays are durable before anybody sees them.
void Host::check_sent(const protocol::StatementBundle& bundle) {
  if (bundle.statements.empty()) return world_.breach(traits_.index, "an empty bundle");
  if (!world_.office.remembers) return;
  for (const auto& raw : bundle.statements) {
    if (persisted_bytes_.contains(raw.get())) continue;
    const auto opened = SimNotary(world_.office, id_).open(raw);  // the checker's look, not the peer's
    if (!opened) return world_.breach(traits_.index, "sends a statement that does not open");
    const bool lasting = opened->type() == protocol::StatementType::results || opened->type() == protocol::StatementType::replay;
    if (lasting && opened->author == id_) world_.breach(traits_.index, "sends an own statement before it is durable");
  }
}

Message Host::altered(const Message& message) {
  auto bundle = std::get<protocol::StatementBundle>(*message);
  auto& victim = bundle.statements[rng_.below(bundle.statements.size())];
  base::Bytes bytes = *victim;
  bytes[rng_.below(bytes.size())] ^= static_cast<std::byte>(1 + rng_.below(255));
  victim = std::make_shared<const base::Bytes>(std::move(bytes));
  return std::make_shared<const protocol::LinkMessage>(std::move(bundle));
}

void Host::carry_out(const protocol::Dial& effect) {
  const auto to = world_.directory.find(effect.peer);
  if (to == world_.directory.end()) return later(protocol::DialFailed{effect.peer}, 1);
  world_.network->dial(traits_.index, to->second, effect.address == address_of(to->second));
}

void Host::carry_out(const protocol::Disconnect& effect) {
  if (hostile_) return;  // it wants to be heard for as long as it can
  const auto to = world_.directory.find(effect.peer);
  cut_.insert(effect.peer);
  if (to != world_.directory.end()) world_.network->disconnect(traits_.index, to->second);
}

void Host::carry_out(const protocol::RememberPeer& effect) {
  remembered_[effect.peer] = effect.addresses;
  if (remembered_.size() > limits::cached_peers_max) world_.breach(traits_.index, "remembers more than cached_peers_max peers");
}

void Host::on_message(PeerIndex from, const Message& message) {
  if (!alive()) return;
  if (const auto* get = std::get_if<protocol::BlobGet>(message.get())) return serve(from, *get);
  if (const auto* data = std::get_if<protocol::BlobData>(message.get())) return take(from, *data);
  counters_.bytes_received += frame_bytes_of(*message);
  step(protocol::Received{peer_id_of(world_.seed, from), *message});
}

// ------------------------------------------------------------------ disk and time

base::Expected<std::vector<protocol::Statement>> Host::StoredHere::read_job(const base::JobId& job) {
  ++host_.woken_[job];
  std::vector<protocol::Statement> out;
  for (const Stored& stored : host_.persisted_)
    if (stored.job == job) out.push_back(*host_.notary_.open(stored.raw));
  return out;
}

base::Expected<protocol::StoredAnswer> Host::StoredHere::read(std::span<const base::MessageId> ids, std::size_t bytes_max) {
  protocol::StoredAnswer out;
  std::size_t bytes = 0;
  const std::set<base::MessageId> asked(ids.begin(), ids.end());
  for (const Stored& stored : host_.persisted_)
    if (asked.contains(stored.id) && (bytes += stored.raw->size()) <= bytes_max) out.statements.push_back(stored.raw);
  return out;
}

void Host::StoredHere::bring_index_up_to_date() {
  for (; indexed_count_ < host_.persisted_.size(); ++indexed_count_) {
    const Stored& stored = host_.persisted_[indexed_count_];
    jobs_.emplace(stored.id, stored.job);
    ids_[stored.job].insert(stored.id);
  }
}

base::Expected<std::optional<base::JobId>> Host::StoredHere::job_of(const base::MessageId& id) {
  bring_index_up_to_date();
  const auto found = jobs_.find(id);
  return found == jobs_.end() ? std::nullopt : std::optional(found->second);
}

base::Expected<std::vector<base::MessageId>> Host::StoredHere::ids_of(const base::JobId& job, const base::MessageId& first, const base::MessageId& last,
                                                                     std::size_t count_max) {
  bring_index_up_to_date();
  const auto& ids = ids_[job];
  std::vector<base::MessageId> out;
  for (auto it = ids.lower_bound(first); it != ids.end() && *it <= last && out.size() < count_max; ++it) out.push_back(*it);
  return out;
}

void Host::carry_out(const protocol::Persist& effect) {
  persisted_bytes_.insert(effect.statement.raw.get());
  persisted_.push_back({effect.statement.id, effect.statement.raw, job_of(effect.statement), effect.own, world_.queue.now_ms()});
}

void Host::carry_out(const protocol::ForgetJob& effect) {
  stored_.forget_index();
  std::erase_if(persisted_, [&](const Stored& stored) {
    if (stored.job != effect.job) return false;
    persisted_bytes_.erase(stored.raw.get());
    return true;
  });
}

void Host::carry_out(const protocol::SetTimer& effect) {
  const auto at_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(effect.at.ms, 0));
  world_.queue.at(at_ms, [this, generation = ++timer_generation_] {
    if (generation == timer_generation_) step(protocol::TimerFired{});
  });
}

// ------------------------------------------------------------------ executions

const JobRun* Host::job_run(const base::JobId& id) const {
  const auto it = std::ranges::find(world_.jobs, id, &JobRun::id);
  return it == world_.jobs.end() ? nullptr : &*it;
}

std::uint64_t Host::execution_ms() {
  const double factor = traits_.slowness * (0.8 + 0.4 * rng_.unit());
  return 1 + static_cast<std::uint64_t>(static_cast<double>(world_.scenario.unit_time_ms) * factor);
}

void Host::carry_out(const protocol::StartUnit& effect) {
  ++counters_.units_started;
  begin({effect.job, effect.unit, std::nullopt, {}}, effect.input.name, effect.others);
}

void Host::carry_out(const protocol::StartReplay& effect) {
  begin({effect.job, effect.unit, effect.accused_statement, effect.accused}, effect.input.name, effect.others);
}

void Host::begin(const RunKey& key, const base::Digest& from, const std::vector<base::PeerId>& others) {
  const JobRun* job = job_run(key.job);
  if (job == nullptr) return world_.breach(traits_.index, "starts a unit of an unknown job");
  if (traits_.light) world_.breach(traits_.index, "a light peer starts a unit");
  // Statements under its own key that its Node never made confuse a hostile member's bookkeeping; that is its own affair.
  if (running_.contains(key)) return world_.breach(traits_.index, "starts a unit that runs already");
  if (running_.size() >= world_.scenario.slots) world_.breach(traits_.index, "starts more units than it has slots");
  if (others.size() >= limits::fingerprint_seeds_max) return world_.breach(traits_.index, "asks for more fingerprints than an execution makes");
  if (key.unit >= protocol::Segments(job->manifest).total()) return world_.breach(traits_.index, "starts a unit outside the job");
  if (!shelf_.whole(job->manifest.program.name) || !shelf_.whole(job->manifest.units.name)) {
    world_.breach(traits_.index, "starts a unit without its program or units blob");
  }
  if ((from != base::Digest{}) != (key.unit >= job->manifest.unit_count)) world_.breach(traits_.index, "starts a segment from nothing, or a unit from something");
  if (from != base::Digest{} && !shelf_.whole(from)) world_.breach(traits_.index, "starts a segment without what it goes on from");
  Running& run = running_[key];
  run.token = next_token_++;
  run.from = from;
  run.others = others;
  counters_.running_most = std::max(counters_.running_most, static_cast<std::uint32_t>(running_.size()));
  const LeafRange range = input_range_of(world_.scenario, key.unit);
  if (range.count == 0) return compute(key, run);
  const protocol::BlobRef& input = job->manifest.inputs.front().blob;
  if (shelf_.has(input.name, range.first, range.count)) return compute(key, run);
  run.waits_for_input = true;
  later(protocol::RangesWanted{input, key.job, range.first, range.count});
  world_.queue.after(world_.scenario.time_limit_ms, [this, key, token = run.token] {  // reading counts towards the time limit
    const auto it = running_.find(key);
    if (it != running_.end() && it->second.token == token && it->second.waits_for_input) release(key);
  });
}

void Host::compute(const RunKey& key, Running& run) {
  run.waits_for_input = false;
  const std::uint64_t one_ms = execution_ms();
  const bool released = one_ms > world_.scenario.time_limit_ms;
  const std::uint64_t whole_ms = key.accused ? one_ms * (1 + interpreter_slowdown) : one_ms;
  world_.queue.after(released ? world_.scenario.time_limit_ms : whole_ms, [this, key, released, token = run.token] {
    const auto it = running_.find(key);
    if (it == running_.end() || it->second.token != token) return;
    if (released) return release(key);
    return key.accused ? end_replay(key) : end_unit(key);
  });
}

Host::Executed Host::execute(const RunKey& key, const base::Digest& from, Behaviour says, const base::PeerId& whose, Tier tier) {
  if (traits_.broken) says = Behaviour::liar;
  const Fault fault = fault_in(key, tier);
  return {outcome_of(world_.scenario, key.job, key.unit, says, traits_.index, from, fault),
          fingerprint_of(world_.scenario, key.job, key.unit, says, traits_.index, whose, fault), fault};
}

Fault Host::fault_in(const RunKey& key, Tier tier) {
  Fault fault = Fault::none;
  if (traits_.errs && rng_.below(world_.scenario.erring_once_in) == 0) fault = Fault::error;
  if (traits_.bad_tier && tier == Tier::compiled && miscompiled(world_.scenario, key.job, key.unit)) fault = Fault::miscompiled;
  if (fault != Fault::none) ++counters_.machine_errors;
  return fault;
}

std::vector<protocol::FingerprintOf> Host::fingerprints_of(const RunKey& key, Behaviour says, const std::vector<base::PeerId>& others, Fault compiled, Fault interpreted) const {
  if (traits_.broken) says = Behaviour::liar;
  const auto of = [&](const base::PeerId& whose, Fault fault) { return fingerprint_of(world_.scenario, key.job, key.unit, says, traits_.index, whose, fault); };
  std::vector<protocol::FingerprintOf> made;
  for (const auto& other : others) made.push_back({other, of(other, compiled), key.accused ? of(other, interpreted) : base::Digest{}});
  return made;
}

// Nothing: it is none of those who copy, or there is nothing to copy.
std::optional<protocol::Outcome> Host::copied_outcome(const RunKey& key) const {
  const bool lazy = traits_.behaviour == Behaviour::lazy_auditor;
  if (!lazy && traits_.behaviour != Behaviour::copier) return std::nullopt;
  const protocol::Verdict* verdict = node_->verdict(key.job);
  if (verdict == nullptr || (lazy && !verdict->accepted(key.unit))) return std::nullopt;
  return verdict->unit(key.unit).outcome;
}

Host::Running Host::take(const RunKey& key) { return running_.extract(key).mapped(); }

void Host::end_unit(RunKey key) {
  const Running run = take(key);
  ++counters_.units_finished;
  if (const auto copied = copied_outcome(key)) {
    shelf_.put_whole(copied->digest, copied->archive_bytes);
    const bool has_fingerprint = fingerprint_of(world_.scenario, key.job, key.unit, Behaviour::honest, traits_.index, id_) != base::Digest{};
    const base::Digest made_up = digest_of_words({world_.seed, 0x3ade, traits_.index, key.unit});
    return step(protocol::UnitFinished{key.job, key.unit, *copied, has_fingerprint ? made_up : base::Digest{}});
  }
  const Behaviour says = traits_.behaviour == Behaviour::accuser ? Behaviour::honest : traits_.behaviour;
  const Executed run_here = execute(key, run.from, says, id_, Tier::compiled);
  const std::uint64_t right_bytes = outcome_of(world_.scenario, key.job, key.unit, Behaviour::honest, traits_.index, run.from).archive_bytes;
  shelf_.put_whole(run_here.outcome.digest, hostile_ ? right_bytes : run_here.outcome.archive_bytes);
  step(protocol::UnitFinished{key.job, key.unit, run_here.outcome, run_here.fingerprint, fingerprints_of(key, says, run.others, run_here.fault, Fault::none)});
}

void Host::end_replay(RunKey key) {
  const Running run = take(key);
  ++counters_.replays_finished;
  const Behaviour says = traits_.honest_replays ? Behaviour::honest : traits_.behaviour;
  const Executed compiled = execute(key, run.from, says, key.author, Tier::compiled), interpreted = execute(key, run.from, says, key.author, Tier::interpreted);
  step(protocol::ReplayFinished{key.job, key.unit, *key.accused, compiled.outcome, interpreted.outcome, compiled.fingerprint, interpreted.fingerprint,
                                fingerprints_of(key, says, run.others, compiled.fault, interpreted.fault)});
}

void Host::release(RunKey key) {
  running_.erase(key);
  ++counters_.units_released;
  if (key.accused) return step(protocol::ReplayFinished{key.job, key.unit, *key.accused, std::nullopt, std::nullopt});
  step(protocol::UnitReleased{key.job, key.unit});
}

// The executor ends a stopped unit a little later, and says so as for any other local end.
void Host::carry_out(const protocol::StopUnit& effect) {
  const RunKey key{effect.job, effect.unit, std::nullopt, {}};
  const auto it = running_.find(key);
  if (it == running_.end()) return;
  ++counters_.units_stopped;
  it->second.token = next_token_++;
  world_.queue.after(stop_ms, [this, key, token = it->second.token] {
    const auto run = running_.find(key);
    if (run != running_.end() && run->second.token == token) release(key);
  });
}

// ------------------------------------------------------------------ blobs on the way

void Host::carry_out(const protocol::RequestRange& effect) {
  ++counters_.ranges_requested;
  if (effect.leaf_count == 0 || effect.leaf_count > limits::leaves_per_range_max) world_.breach(traits_.index, "asks for a range of a wrong length");
  const auto to = world_.directory.find(effect.from);
  if (to == world_.directory.end()) return world_.breach(traits_.index, "asks a key that is no peer for a blob");
  world_.network->send(traits_.index, to->second,
                       std::make_shared<const protocol::LinkMessage>(
                           protocol::BlobGet{effect.blob.name, effect.blob.size_bytes, effect.first_leaf, effect.leaf_count}));
}

void Host::serve(PeerIndex from, const protocol::BlobGet& get) {
  protocol::BlobData data{get.blob, get.size_bytes, get.first_leaf, get.leaf_count, false, {}, {}};
  const BlobShelf::Blob* blob = shelf_.find(get.blob);
  data.missing = blob == nullptr || blob->size_bytes != get.size_bytes || !shelf_.has(get.blob, get.first_leaf, get.leaf_count);
  if (!honest() && world_.scenario.liar_serves_garbage) {
    data.missing = false;
    data.bytes.resize(1);  // marks bytes that do not verify
  }
  world_.network->send(traits_.index, from, std::make_shared<const protocol::LinkMessage>(std::move(data)));
}

void Host::take(PeerIndex from, const protocol::BlobData& data) {
  const bool good = !data.missing && data.bytes.empty();
  bool became_whole = false;
  if (good) {
    counters_.blob_leaves_received += data.leaf_count;
    became_whole = shelf_.put_range(data.blob, data.size_bytes, data.first_leaf, data.leaf_count);
  } else {
    ++counters_.ranges_refused;
  }
  step(protocol::RangeArrived{peer_id_of(world_.seed, from), data.blob, data.first_leaf, data.leaf_count, good});
  if (became_whole) step(protocol::BlobHeld{data.blob});
}

void Host::carry_out(const protocol::RangeReady& effect) {
  std::vector<RunKey> ready;
  for (const auto& [key, run] : running_) {
    const JobRun* job = job_run(key.job);
    if (!run.waits_for_input || job->manifest.inputs.front().blob.name != effect.blob) continue;
    const LeafRange range = input_range_of(world_.scenario, key.unit);
    if (range.first != effect.first_leaf || range.count != effect.leaf_count) continue;
    if (!shelf_.has(effect.blob, range.first, range.count)) world_.breach(traits_.index, "says that a range is ready before it is here");
    ready.push_back(key);
  }
  for (const RunKey& key : ready) compute(key, running_.at(key));
}

void Host::carry_out(const protocol::RangeFailed& effect) {
  for (const auto& [key, run] : running_) {
    const LeafRange range = input_range_of(world_.scenario, key.unit);
    if (!run.waits_for_input || range.first != effect.first_leaf || range.count != effect.leaf_count) continue;
    world_.queue.after(0, [this, which = key, token = run.token] {
      const auto it = running_.find(which);
      if (it != running_.end() && it->second.token == token) release(which);
    });
  }
}

void Host::carry_out(const protocol::Notice& effect) {
  if (effect.kind == protocol::Notice::Kind::key_banned) keys_banned_.insert(effect.peer);
}

}  // namespace starling::simulation
