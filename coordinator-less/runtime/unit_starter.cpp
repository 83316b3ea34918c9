#include "coordinator-less/runtime/unit_starter.hpp"

#include <unistd.h>

#include <algorithm>
#include <limits>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/crypto/digest.hpp"
#include "coordinator-less/protocol/judgement/segments.hpp"
#include "coordinator-less/runtime/descriptor.hpp"

namespace starling::runtime {
namespace {

std::uint32_t interpreter_time_ms(std::uint32_t time_ms) {
  constexpr std::uint64_t time_ms_max = std::numeric_limits<std::uint32_t>::max();
  return static_cast<std::uint32_t>(std::min(time_ms_max, std::uint64_t{time_ms} * limits::interpreter_time_factor));
}

std::optional<protocol::Outcome> outcome_of(const RunEnded& ended, const base::Digest& from) {
  const auto* done = std::get_if<UnitDone>(&ended.end);
  if (!done || !ended.digest) return std::nullopt;
  return protocol::Outcome{done->kind, done->code, *ended.digest, ended.archive_bytes, done->fuel, from};
}

// Those that were not made are zero: the items are too short to have one.
std::vector<base::Digest> fingerprints_in(const UnitEnd& end, std::size_t count) {
  auto made = std::get<UnitDone>(end).fingerprints;
  made.resize(count);
  return made;
}

std::vector<base::PeerId> first_and(const base::PeerId& first, const std::vector<base::PeerId>& others) {
  std::vector<base::PeerId> all{first};
  all.insert(all.end(), others.begin(), others.end());
  return all;
}

// On the executor's thread: a unit's archive is stored, a replay's only named.
RunEnded finished(std::uint64_t token, UnitEnd end, bool replay, storage::BlobStore& blobs, BlobPins& pins) {
  RunEnded ended{token, std::move(end), std::nullopt, 0};
  auto* done = std::get_if<UnitDone>(&ended.end);
  if (!done) return ended;
  ended.archive_bytes = done->archive.size();
  if (replay) {
    ended.digest = base::blob_name(done->archive, crypto::sha256);
  } else if (const auto name = blobs.put_batched(done->archive)) {
    pins.pin(*name);
    ended.digest = *name;
    done->archive.clear();
  }
  return ended;
}

}  // namespace

base::Digest seed_of(const base::JobId& job, base::UnitIndex unit) {
  base::Bytes bytes = base::copy(base::view(std::string_view("starling/v1/seed\0", 17)));
  base::append(bytes, job.view());
  base::append_u32(bytes, unit);
  return crypto::sha256(bytes);
}

struct UnitStarter::Gate {
  void enter() {
    const std::lock_guard lock(mutex);
    ++inside;
  }
  void leave() {
    const std::lock_guard lock(mutex);
    --inside;
    changed.notify_all();
  }
  void wait_empty() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return inside == 0; });
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::size_t inside = 0;
};

UnitStarter::UnitStarter(const base::PeerId& self, UnitExecutor* executor, std::shared_ptr<storage::BlobStore> blobs, BlobPins& pins,
                         std::shared_ptr<Inbox> inbox)
    : self_(self), executor_(executor), blobs_(std::move(blobs)), pins_(pins), inbox_(std::move(inbox)), gate_(std::make_shared<Gate>()) {}

UnitStarter::~UnitStarter() {
  begin_closing();
  wait_idle();
}

void UnitStarter::begin_closing() {
  closing_ = true;
  for (const auto& [token, run] : runs_) executor_->stop(token);
}

void UnitStarter::wait_idle() { gate_->wait_empty(); }

base::Expected<std::vector<base::Bytes>> UnitStarter::items_of(const base::JobId& job, base::UnitIndex unit,
                                                               const protocol::Manifest& manifest) {
  STARLING_TRY(const Descriptor units, open_blob(*blobs_, manifest.units.name));
  const auto known = std::ranges::find(lines_, job, &std::pair<base::JobId, UnitLines>::first);
  if (known != lines_.end()) {
    lines_.splice(lines_.begin(), lines_, known);
  } else {
    STARLING_TRY(UnitLines scanned, UnitLines::scan(units.get(), manifest));
    lines_.emplace_front(job, std::move(scanned));
    if (lines_.size() > limits::line_indexes_max) lines_.pop_back();
  }
  return lines_.front().second.items(units.get(), unit);
}

base::Expected<UnitStarter::Run> UnitStarter::prepare(const base::JobId& job, base::UnitIndex number, const protocol::BlobRef& from,
                                                      const protocol::Manifest& manifest) {
  const protocol::Segments segments(manifest);
  STARLING_ENSURE(executor_ != nullptr && number < segments.total());  // a light core starts nothing
  if (closing_) return base::fail(base::ErrorCode::interrupted, "this peer is closing");
  Run run;
  run.number = number;
  run.from = from.name;
  UnitWork& work = run.work;
  work.job = job;
  work.unit = segments.unit_of(number);
  STARLING_TRY(work.program, blob_path(*blobs_, manifest.program.name));
  work.program_digest = manifest.program.name;
  work.arguments = manifest.arguments;
  work.first_item_index = std::uint64_t{work.unit} * manifest.items_per_unit;
  STARLING_TRY(work.items, items_of(job, work.unit, manifest));
  work.seed = seed_of(job, work.unit);
  work.inputs = manifest.inputs;
  work.limits = manifest.limits;
  work.rounds_max = segments.end_round(number);
  if (!segments.chained()) return run;
  work.segment.emplace();
  work.segment->first_round = segments.first_round(number);
  work.segment->last = segments.last(number);
  if (work.segment->first_round == 0) return run;
  STARLING_TRY(work.segment->archive, blobs_->read(from.name, from.size_bytes));
  return run;
}

void UnitStarter::launch(Run run) {
  const auto token = ++last_token_;
  gate_->enter();
  auto done = [token, replay = run.replay, blobs = blobs_, &pins = pins_, inbox = inbox_, gate = gate_](UnitEnd end) {
    inbox->push(finished(token, std::move(end), replay, *blobs, pins));
    gate->leave();  // last: whoever waits for it finds the end in the inbox
  };
  auto work = run.work;
  if (!run.replay) run.work.items.clear(), run.work.segment.reset();
  runs_.emplace(token, std::move(run));
  executor_->run(token, std::move(work), std::move(done));
}

base::Expected<void> UnitStarter::start_unit(const protocol::StartUnit& start, const protocol::Manifest& manifest) {
  STARLING_TRY(Run run, prepare(start.job, start.unit, start.input, manifest));
  run.work.fingerprints_of = first_and(self_, start.others);
  launch(std::move(run));
  return {};
}

base::Expected<void> UnitStarter::start_replay(const protocol::StartReplay& start, const protocol::Manifest& manifest) {
  STARLING_TRY(Run run, prepare(start.job, start.unit, start.input, manifest));
  run.work.fingerprints_of = first_and(start.accused, start.others);
  run.work.replay = run.replay = true;
  run.accused_statement = start.accused_statement;
  launch(std::move(run));
  return {};
}

void UnitStarter::stop_unit(const protocol::StopUnit& stop) {
  for (const auto& [token, run] : runs_)
    if (!run.replay && run.work.job == stop.job && run.number == stop.unit) executor_->stop(token);
}

UnitStarter::Ended UnitStarter::on_ended(RunEnded ended) {
  auto node = runs_.extract(ended.token);
  STARLING_ENSURE(!node.empty());  // `done` is called exactly once
  return node.mapped().replay ? on_replay_ended(std::move(node.mapped()), std::move(ended))
                              : on_unit_ended(std::move(node.mapped()), std::move(ended));
}

std::vector<protocol::FingerprintOf> UnitStarter::fingerprints_of_others(const Run& run, const std::vector<base::Digest>& interpreted) {
  std::vector<protocol::FingerprintOf> out;
  for (std::size_t at = 1; at < run.fingerprints.size(); ++at)
    out.push_back({run.work.fingerprints_of[at], run.fingerprints[at], interpreted.empty() ? base::Digest{} : interpreted[at]});
  return out;
}

UnitStarter::Ended UnitStarter::on_unit_ended(Run run, RunEnded ended) {
  Ended out;
  if (const auto* dropped = std::get_if<UnitDropped>(&ended.end)) {
    out.why_dropped = dropped->reason;
    out.input = protocol::UnitReleased{run.work.job, run.number, dropped->reason};
    return out;
  }
  auto& done = std::get<UnitDone>(ended.end);
  out.wall_us = done.wall_us;
  if (done.rounds_saved > 0)
    out.note = "unit " + std::to_string(run.work.unit) + " of job " + run.work.job.brief() + " went on from round " + std::to_string(done.rounds_saved) + " of this machine's own checkpoint";
  // The name is right whether the store had room or not; without room the archive goes back to the caller.
  out.digest = ended.digest ? *ended.digest : base::blob_name(done.archive, crypto::sha256);
  out.pinned = ended.digest.has_value();
  if (!ended.digest) out.archive = std::move(done.archive);
  run.fingerprints = fingerprints_in(ended.end, run.work.fingerprints_of.size());
  out.input = protocol::UnitFinished{run.work.job, run.number, {done.kind, done.code, out.digest, ended.archive_bytes, done.fuel, run.from},
                                     run.fingerprints.front(), fingerprints_of_others(run, {})};
  return out;
}

UnitStarter::Ended UnitStarter::on_replay_ended(Run run, RunEnded ended) {
  Ended out;
  if (const auto* dropped = std::get_if<UnitDropped>(&ended.end)) out.why_dropped = dropped->reason;
  auto outcome = outcome_of(ended, run.from);
  const bool first_tier = run.work.tier == Tier::compiled;
  // One tier twice proves nothing about the other: without compiled code there is no replay.
  if (first_tier && outcome && std::get<UnitDone>(ended.end).tier != Tier::compiled) {
    outcome.reset();
    out.why_dropped = "the program does not compile here";
  }
  if (first_tier && outcome && !closing_) {
    run.compiled = outcome;
    run.fingerprints = fingerprints_in(ended.end, run.work.fingerprints_of.size());
    run.work.tier = Tier::interpreted;
    run.work.limits.time_ms = interpreter_time_ms(run.work.limits.time_ms);
    launch(std::move(run));
    return out;
  }
  if (outcome) {
    out.digest = outcome->digest;
    out.archive = std::move(std::get<UnitDone>(ended.end).archive);
  }
  protocol::ReplayFinished finished{run.work.job, run.number, run.accused_statement, run.compiled, first_tier ? std::nullopt : outcome};
  if (finished.interpreted) {
    const auto interpreted = fingerprints_in(ended.end, run.work.fingerprints_of.size());
    finished.fingerprint = run.fingerprints.front();
    finished.interpreted_fingerprint = interpreted.front();
    finished.others = fingerprints_of_others(run, interpreted);
  }
  out.input = std::move(finished);
  return out;
}

}  // namespace starling::runtime
