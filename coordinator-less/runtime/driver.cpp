#include "coordinator-less/runtime/driver.hpp"

#include <algorithm>
#include <iterator>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/runtime/home.hpp"
#include "coordinator-less/wire/codec.hpp"

namespace starling::runtime {
namespace {

base::JobId job_of(const protocol::Statement& statement) {
  return std::visit(
      [&](const auto& body) -> base::JobId {
        if constexpr (requires { body.job; }) {
          return body.job;
        } else if constexpr (std::is_same_v<std::decay_t<decltype(body)>, protocol::Manifest>) {
          return base::retag<base::JobId>(statement.id);
        } else {
          return {};
        }
      },
      statement.body);
}

std::optional<base::JobId> job_of_unit(const std::optional<protocol::Input>& input) {
  const auto* finished = input ? std::get_if<protocol::UnitFinished>(&*input) : nullptr;
  return finished ? std::optional(finished->job) : std::nullopt;
}

void collect(const protocol::Statement& statement, const std::function<void(const base::Digest&)>& use) {
  if (const auto* manifest = std::get_if<protocol::Manifest>(&statement.body)) {
    use(manifest->program.name);
    use(manifest->units.name);
    for (const auto& input : manifest->inputs) use(input.blob.name);
  } else if (const auto* results = std::get_if<protocol::Results>(&statement.body)) {
    for (const auto& entry : results->entries) use(entry.outcome.digest);
  } else if (const auto* replay = std::get_if<protocol::Replay>(&statement.body)) {
    use(replay->compiled.digest);
    use(replay->interpreted.digest);
  }
}

net::FrameReceived* frame_of(Event& event) {
  auto* link = std::get_if<net::Event>(&event);
  return link ? std::get_if<net::FrameReceived>(link) : nullptr;
}

// Serving blobs needs neither the core nor its statements.
bool is_blob_request(const net::FrameReceived& frame) {
  const auto message = wire::decode_link(frame.bytes);
  return message && std::holds_alternative<protocol::BlobGet>(*message);
}

}  // namespace

Driver::Driver(World world, protocol::NodeConfig config, base::Rng rng)
    : world_(std::move(world)),
      disk_(world_.evidence, world_.notary, world_.log),
      node_(std::move(config), world_.notary, rng, &disk_),
      starter_(node_.self(), world_.executor, world_.blobs, world_.pins, world_.inbox),
      exchange_(*world_.blobs, world_.links, [this] { return make_room(); }, [this](const base::Digest& blob) { tell_if_lost(blob); }),
      puzzles_(world_.inbox),
      now_(world_.clock()) {}

base::Expected<void> Driver::restore() {
  const auto refused_count = disk_.for_each(std::nullopt, [&](const protocol::Statement& statement, bool own) { node_.restore(statement, own); });
  if (!refused_count) return std::unexpected(refused_count.error());
  if (*refused_count > 0)
    world_.log.warning(std::to_string(*refused_count) + " stored statements no longer verify and are left out: they are damaged, or of an older version of the protocol");
  for (const auto& blob : world_.blobs->whole()) node_.blob_present(blob);
  now_ = world_.clock();
  node_.start(now_);
  while (auto effect = node_.poll_effect()) pending_.push_back(*std::move(effect));
  return {};
}

void Driver::run() {
  while (!world_.inbox->finished() || (!stalled_ && !deferred_.empty())) step();
}

std::optional<base::Duration> Driver::wait_max() const {
  std::optional<base::Instant> at;
  const auto sooner = [&at](base::Instant other) { at = at ? std::min(*at, other) : other; };
  if (stalled_) sooner(retry_at_);
  if (!stalled_ && (!pending_.empty() || !deferred_.empty())) sooner(now_.steady);
  if (!stalled_ && timer_at_) sooner(*timer_at_);
  if (serve_at_) sooner(*serve_at_);
  if (!at) return std::nullopt;
  return std::max(base::milliseconds(0), *at - world_.clock().steady);
}

bool Driver::line_is_full() const {
  return deferred_.size() >= limits::inputs_deferred_max || deferred_bytes_ >= limits::inputs_deferred_bytes_max;
}

std::deque<Event> Driver::next_events() {
  constexpr auto batch = limits::inputs_per_batch_max;
  if (!stalled_) {
    // What waits comes first. All that is taken beside it is handled in the same step.
    if (deferred_.size() >= batch) return {};
    return world_.inbox->take(batch - deferred_.size(), wait_max());
  }
  if (world_.inbox->closed()) return world_.inbox->take(batch, wait_max());
  if (line_is_full()) return world_.inbox->take_calls(batch, wait_max());
  return world_.inbox->take(std::min(batch, limits::inputs_deferred_max - deferred_.size()), wait_max());
}

void Driver::step() {
  auto events = next_events();
  now_ = world_.clock();
  if (stalled_) {
    for (auto& event : events) on_event_while_stalled(std::move(event));
    if (now_.steady >= retry_at_) settle();
  } else {
    handle(with_deferred(std::move(events)));
    fire_timer();
    settle();
  }
  serve_at_ = exchange_.poll(now_.steady);
  publish();
}

// ---------------------------------------------------------------- events

void Driver::defer(Event event) {
  if (line_is_full() && world_.inbox->closed()) return;  // taken only to empty the inbox: nobody will handle it any more
  deferred_bytes_ += frame_bytes(event);
  deferred_.push_back(std::move(event));
}

// What waited comes first; next_events() took no more than a batch has room for beside it.
std::deque<Event> Driver::with_deferred(std::deque<Event> events) {
  if (deferred_.empty()) return events;
  std::deque<Event> batch;
  while (batch.size() < limits::inputs_per_batch_max && !deferred_.empty()) {
    deferred_bytes_ -= frame_bytes(deferred_.front());
    batch.push_back(std::move(deferred_.front()));
    deferred_.pop_front();
  }
  std::ranges::move(events, std::back_inserter(batch));
  return batch;
}

void Driver::handle(std::deque<Event> events) {
  while (!events.empty()) handle_some(events);
  world_.notary.expect({}, {});
}

// The first ones, with as many statements as are looked at ahead.
void Driver::handle_some(std::deque<Event>& events) {
  std::deque<base::Expected<protocol::LinkMessage>> messages;  // of the frames, in their order
  std::vector<StatementAhead> ahead;
  std::size_t count = 0;
  for (; count < events.size() && ahead.size() + limits::statements_per_bundle_max <= limits::statements_ahead_max; ++count) {
    auto* frame = frame_of(events[count]);
    if (frame == nullptr) continue;
    messages.push_back(wire::decode_link(std::exchange(frame->bytes, {})));
    const auto* bundle = messages.back() ? std::get_if<protocol::StatementBundle>(&*messages.back()) : nullptr;
    if (bundle == nullptr) continue;
    for (const auto& raw : bundle->statements) ahead.push_back({frame->peer, raw});
  }
  world_.notary.expect(std::move(ahead), {[this](const base::PeerId& peer) { return node_.listens_to(peer); },
                                          [this](const base::MessageId& statement) { return node_.knows(statement); }});
  for (; count > 0; --count) {
    Event event = std::move(events.front());
    events.pop_front();
    const auto* frame = frame_of(event);
    if (frame == nullptr) {
      on_event(std::move(event));
      continue;
    }
    on_frame(frame->peer, std::move(messages.front()));
    messages.pop_front();
  }
}

void Driver::on_event(Event event) {
  std::visit([this](auto&& kind) { on(std::forward<decltype(kind)>(kind)); }, std::move(event));
}

void Driver::on_event_while_stalled(Event event) {
  if (auto* call = std::get_if<Call>(&event)) return on(std::move(*call));
  if (auto* link = std::get_if<net::Event>(&event)) {
    auto* frame = std::get_if<net::FrameReceived>(link);
    if (frame && is_blob_request(*frame)) return on_frame(frame->peer, wire::decode_link(frame->bytes));
  }
  defer(std::move(event));
}

// Never a frame: handle() takes those.
void Driver::on(net::Event event) {
  if (const auto* up = std::get_if<net::LinkUp>(&event)) {
    world_.log.info("linked to " + up->peer.brief() + (up->role == net::Role::light ? " (light)" : ""));
    feed(protocol::LinkUp{up->peer, up->role == net::Role::light});
  } else if (const auto* down = std::get_if<net::LinkDown>(&event)) {
    world_.log.info("link to " + down->peer.brief() + " ended: " + down->reason);
    exchange_.on_link_down(down->peer);
    feed(protocol::LinkDown{down->peer});
  } else {
    const auto& failed = std::get<net::DialFailed>(event);
    world_.log.debug("cannot reach " + failed.peer.brief() + " at " + failed.address + ": " + failed.reason);
    feed(protocol::DialFailed{failed.peer});
    return;
  }
  changed_ = true;
}

void Driver::on_frame(const base::PeerId& from, base::Expected<protocol::LinkMessage> message) {
  if (!message) {
    ++frames_refused_;
    world_.log.warning("refused a frame of " + from.brief() + ": " + message.error().message);
    world_.links.kick(from, "a frame that does not decode");
  } else if (const auto* get = std::get_if<protocol::BlobGet>(&*message)) {
    exchange_.on_get(from, *get, now_.steady);
  } else if (const auto* data = std::get_if<protocol::BlobData>(&*message)) {
    for (auto& input : exchange_.on_data(from, *data)) feed(std::move(input));
  } else {
    feed(protocol::Received{from, *std::move(message)});
  }
}

void Driver::on(RunEnded run) {
  auto ended = starter_.on_ended(std::move(run));
  if (ended.why_dropped) world_.log.info("a run was released: " + *ended.why_dropped);
  store_late_archive(ended);
  if (!ended.note.empty()) world_.log.info(ended.note);
  if (ended.wall_us > 0) node_.set_units_ahead(ahead_.on_unit(ended.wall_us));
  const auto job = job_of_unit(ended.input);
  if (ended.input) feed(*std::move(ended.input));
  if (ended.pinned) world_.pins.unpin(ended.digest);  // the core knows of it now
  if (ended.pinned && job && (!node_.job(*job) || node_.folded(*job))) drop_unneeded({ended.digest});  // its job was forgotten meanwhile, or this was an audit
  changed_ = true;
}

// A unit's archive that found the store full gets one more try with room made; without it the unit is released: an answer
// whose bytes nobody holds helps nobody. A replay's archive is kept only where somebody needs these bytes.
void Driver::store_late_archive(UnitStarter::Ended& ended) {
  if (!ended.input) return;
  const auto* unit = std::get_if<protocol::UnitFinished>(&*ended.input);
  if (unit && world_.blobs->has(ended.digest)) return;
  if (!unit && (ended.archive.empty() || !node_.needs(ended.digest) || world_.blobs->has(ended.digest))) return;
  if (unit && ended.archive.size() != unit->outcome.archive_bytes) {
    ended.input = protocol::UnitReleased{unit->job, unit->unit};
    return;
  }
  auto stored = world_.blobs->put(ended.archive);
  if (!stored && make_room()) stored = world_.blobs->put(ended.archive);
  if (stored && !unit) feed(protocol::BlobHeld{ended.digest});
  if (stored || !unit) return;
  world_.log.warning("cannot keep the result of a unit: " + stored.error().message);
  ended.input = protocol::UnitReleased{unit->job, unit->unit};
}

void Driver::fire_timer() {
  if (!timer_at_ || now_.steady < *timer_at_) return;
  timer_at_.reset();
  feed(protocol::TimerFired{});
}

void Driver::feed(protocol::Input input) {
  node_.on_input(std::move(input), now_);
  while (auto effect = node_.poll_effect()) pending_.push_back(*std::move(effect));
}

// ---------------------------------------------------------------- effects

void Driver::settle() {
  auto appended = append_persists();
  if (appended) {
    if (stalled_) world_.log.info("the disk takes statements again");
    stalled_.reset();
    carry_out_pending();
  } else {
    if (!stalled_) world_.log.warning("nothing is sent or started until this is mended: " + appended.error().message);
    stalled_ = appended.error();
    retry_at_ = now_.steady + limits::append_retry_interval;
    waits_.resolve_all(appended);
  }
  for (auto& then : std::exchange(after_settled_, {})) then(appended);
}

base::Expected<void> Driver::append_persists() {
  std::vector<storage::StoredStatement> statements;
  for (const auto& effect : pending_) {
    const auto* persist = std::get_if<protocol::Persist>(&effect);
    if (!persist) continue;
    const auto& statement = persist->statement;
    statements.push_back({statement.id, job_of(statement), static_cast<std::uint16_t>(statement.type()), *statement.raw, persist->own,
                          world_.notary.digest(*statement.raw)});
  }
  if (statements.empty()) return {};
  changed_ = true;
  const bool states_results = std::ranges::any_of(statements, &storage::StoredStatement::own);
  if (states_results)
    if (auto synced = world_.blobs->sync(); !synced) return synced;  // archives before the results that name them
  return world_.evidence.append(statements);
}

void Driver::carry_out_pending() {
  while (!pending_.empty()) {
    const auto effect = std::move(pending_.front());
    pending_.pop_front();
    std::visit([this](const auto& kind) { act(kind); }, effect);
  }
  frames_.clear();
}

void Driver::act(const protocol::Send& send) {
  auto& [message, frame] = frames_[send.message.get()];
  if (!frame) {
    message = send.message;
    frame = std::make_shared<const base::Bytes>(wire::encode_link(*send.message));
  }
  world_.links.send(send.to, frame);
  if (message.use_count() <= 2) frames_.erase(send.message.get());  // here and in this effect: it was the last one
}

void Driver::act(const protocol::Dial& dial) { world_.links.dial(dial.peer, dial.address); }

void Driver::act(const protocol::Disconnect& disconnect) { world_.links.kick(disconnect.peer, disconnect.reason); }

void Driver::act(const protocol::RememberPeer& remember) {
  const auto kept = world_.evidence.remember_peer({remember.peer, remember.addresses, now_.unix_s});
  if (!kept) world_.log.warning("cannot remember a peer: " + kept.error().message);
}

void Driver::act(const protocol::ForgetJob& forget) {
  auto blobs = blobs_named_by(forget.job);
  const auto removed = world_.evidence.remove_job(forget.job);
  if (!removed) world_.log.warning("cannot forget job " + forget.job.brief() + ": " + removed.error().message);
  drop_unneeded(std::move(blobs));
}

// Of those that are here. The core has forgotten the job already; its stored statements still tell.
std::set<base::Digest> Driver::blobs_named_by(const base::JobId& job) {
  std::set<base::Digest> blobs;
  const auto read = world_.evidence.for_each_of(job, [&](const storage::StoredStatement& stored) {
    const auto statement = world_.notary.reopen(std::make_shared<const base::Bytes>(stored.raw));
    if (!statement) return true;
    collect(*statement, [&](const base::Digest& blob) {
      if (world_.blobs->size_of(blob)) blobs.insert(blob);
    });
    return true;
  });
  if (!read) world_.log.warning("cannot tell which blobs job " + job.brief() + " names: " + read.error().message);
  return blobs;
}

// What a job that is awake names stays, needed here or not: somebody may have fetched it, and room is made elsewhere. Of one that sleeps
// only what it needs stays: the rest stands on the disk alone, and a stranger's short jobs must not make this peer read all of it each time.
void Driver::drop_unneeded(std::set<base::Digest> blobs) {
  for (const auto& job : node_.jobs()) {
    if (blobs.empty()) return;
    if (node_.asleep(job) || node_.folded(job)) continue;
    const auto* evidence = node_.evidence(job);
    for (base::UnitIndex unit = 0; unit < evidence->unit_count(); ++unit)
      for (const auto& result : evidence->results(unit)) blobs.erase(result.outcome.digest);
  }
  for (const auto& blob : blobs) {
    if (node_.needs(blob) || world_.pins.pinned(blob)) continue;
    world_.blobs->remove(blob);
    tell_if_lost(blob);
  }
}

std::shared_ptr<const protocol::Manifest> Driver::manifest_of(const base::JobId& job) const {
  const auto status = node_.job(job);
  return status ? status->manifest : nullptr;
}

void Driver::not_started(const std::string& what, const base::Error& why) {
  if (!closing_) world_.log.warning("cannot start " + what + ": " + why.message);
}

void Driver::act(const protocol::StartUnit& start) {
  const auto manifest = manifest_of(start.job);
  if (!manifest) return;
  changed_ = true;
  const auto started = starter_.start_unit(start, *manifest);
  if (started) return;
  not_started("unit " + std::to_string(start.unit) + " of job " + start.job.brief(), started.error());
  if (closing_) return;
  tell_if_lost(manifest->program.name);
  tell_if_lost(manifest->units.name);
  if (start.input.name != base::Digest{}) tell_if_lost(start.input.name);
  later(protocol::UnitReleased{start.job, start.unit});
}

void Driver::act(const protocol::StopUnit& stop) { starter_.stop_unit(stop); }

void Driver::act(const protocol::StartReplay& start) {
  const auto manifest = manifest_of(start.job);
  if (!manifest) return;
  const auto started = starter_.start_replay(start, *manifest);
  if (started) return;
  not_started("a replay of unit " + std::to_string(start.unit) + " of job " + start.job.brief(), started.error());
  if (closing_) return;
  tell_if_lost(manifest->program.name);
  tell_if_lost(manifest->units.name);
  if (start.input.name != base::Digest{}) tell_if_lost(start.input.name);
  later(protocol::ReplayFinished{start.job, start.unit, start.accused_statement, {}, {}});
}

void Driver::act(const protocol::RequestRange& range) {
  for (auto& input : exchange_.request(range)) later(std::move(input));
}

void Driver::act(const protocol::RangeReady& range) { waits_.resolve(range.blob, range.first_leaf, range.leaf_count, {}); }

void Driver::act(const protocol::RangeFailed& range) {
  if (exchange_.trouble()) return waits_.resolve(range.blob, range.first_leaf, range.leaf_count, std::unexpected(*exchange_.trouble()));
  waits_.resolve(range.blob, range.first_leaf, range.leaf_count,
                 base::fail(base::ErrorCode::temporary, "no linked peer holds blob " + range.blob.brief() + " now",
                            "wait until a peer that holds it is back"));
}

void Driver::act(const protocol::Notice& notice) {
  using Kind = protocol::Notice::Kind;
  changed_ = true;
  const auto job = "job " + notice.job.brief();
  switch (notice.kind) {
    case Kind::job_known: return world_.log.info(job + " is known");
    case Kind::job_progress: return;
    case Kind::job_ended: {
      const auto status = node_.job(notice.job);
      return world_.log.info(job + " ended" + (status ? std::string(": ") + protocol::name_of(status->state) : ""));
    }
    case Kind::key_banned: return world_.log.info(job + ": banned " + notice.peer.base32());
    case Kind::job_ahead: return world_.log.warning(job + " is not taken: it was made more than a day after this machine's time. Is its clock right?");
  }
}

void Driver::act(const protocol::MintId& mint) {
  minting_ = true;
  world_.log.info("minting this peer's id: about 2^" + std::to_string(mint.difficulty_bits) + " tries, once; it links afterwards");
  puzzles_.mint(mint.self, mint.difficulty_bits);
}

// Before the record that shows it is sent. Where it cannot be kept, a restart mints another, which is as good.
void Driver::keep_nonce(std::uint64_t nonce) {
  minting_ = false;
  changed_ = true;
  const auto kept = store_puzzle_nonce(world_.evidence, nonce);
  if (!kept) world_.log.warning("cannot keep this peer's minted nonce, a restart mints again: " + kept.error().message);
  world_.log.info("this peer's id is minted");
}

// ---------------------------------------------------------------- calls

void Driver::after_settled(std::move_only_function<void(base::Expected<void>)> then) {
  if (stalled_) return then(std::unexpected(*stalled_));
  after_settled_.push_back(std::move(then));
}

void Driver::want_range(const base::JobId& job, const protocol::BlobRef& blob, std::uint64_t first_leaf, std::uint64_t leaf_count,
                        std::shared_ptr<RangeWait> wait) {
  if (closing_) return wait->resolve(base::fail(base::ErrorCode::interrupted, "this peer is closing"));
  if (stalled_) return wait->resolve(std::unexpected(*stalled_));
  if (world_.blobs->has_range(blob.name, first_leaf, leaf_count)) return wait->resolve({});
  waits_.add(blob.name, first_leaf, leaf_count, std::move(wait));
  feed(protocol::RangesWanted{blob, job, first_leaf, leaf_count});
}

bool Driver::make_room() {
  // A tenth at once, so that a full store is not swept for every range.
  return evict(world_.blobs->quota_bytes() / 10);
}

bool Driver::evict(std::uint64_t bytes) {
  const auto before = world_.blobs->whole();
  const auto keep = [this](const base::Digest& blob) { return node_.needs(blob) || world_.pins.pinned(blob); };
  const bool made_room = world_.blobs->evict(keep, bytes) > 0;
  for (const auto& blob : before) tell_if_lost(blob);
  return made_room;
}

// Later: this may be in the midst of carrying out an effect. By then the blob may be back, see on(Input).
void Driver::tell_if_lost(const base::Digest& blob) {
  if (!world_.blobs->has(blob)) later(protocol::BlobLost{blob});
}

void Driver::on(protocol::Input input) {
  const auto* lost = std::get_if<protocol::BlobLost>(&input);
  if (lost && world_.blobs->has(lost->blob)) return;
  if (const auto* minted = std::get_if<protocol::IdMinted>(&input)) keep_nonce(minted->nonce);
  feed(std::move(input));
}

void Driver::begin_closing() {
  closing_ = true;
  starter_.begin_closing();
  waits_.resolve_all(base::fail(base::ErrorCode::interrupted, "this peer is closing"));
}

// ---------------------------------------------------------------- for other threads

void Driver::publish() {
  blob_bytes_ = exchange_.bytes_moved();
  {
    const std::lock_guard lock(trouble_mutex_);
    auto now = stalled_ ? stalled_ : exchange_.trouble();
    if (!now && minting_)
      now = base::Error{base::ErrorCode::temporary, "this peer is minting its id, which the swarm asks for", "wait: it links and works by itself once that is done"};
    if (trouble_.has_value() != now.has_value()) changed_ = true;
    trouble_ = now;
  }
  if (std::exchange(changed_, false)) world_.changes.bump();
}

std::optional<base::Error> Driver::trouble() const {
  const std::lock_guard lock(trouble_mutex_);
  return trouble_;
}

}  // namespace starling::runtime
