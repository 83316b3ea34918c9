#include "worker/pacer.hpp"

#include <algorithm>

#include "coordinator-less/base/rng.hpp"

namespace starling::worker {

namespace {

constexpr int interpreter_slowdown = 5;

}  // namespace

Pacer::Pacer(runtime::UnitExecutor& real, std::chrono::milliseconds pace) : real_(real), pace_(pace) {
  if (pace_.count() > 0) thread_ = std::thread([this] { give_what_is_due(); });
}

Pacer::~Pacer() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::chrono::microseconds Pacer::time_of(std::uint64_t token, const runtime::UnitWork& work) const {
  const std::chrono::microseconds whole = pace_;
  const auto drawn = static_cast<std::int64_t>(base::Rng(base::read_u64(work.seed.view()) + token).below(401));
  return whole * (800 + drawn) / 1000 * (work.tier == runtime::Tier::interpreted ? interpreter_slowdown : 1);
}

void Pacer::run(std::uint64_t token, runtime::UnitWork work, std::function<void(runtime::UnitEnd)> done) {
  if (pace_.count() == 0) return real_.run(token, std::move(work), std::move(done));
  const auto time = time_of(token, work);
  const auto due = Clock::now() + time;
  {
    const std::lock_guard lock(mutex_);
    stopped_[token] = false;
  }
  real_.run(token, std::move(work), [this, token, due, time, done = std::move(done)](runtime::UnitEnd end) {
    if (auto* unit = std::get_if<runtime::UnitDone>(&end)) unit->wall_us = std::max<std::int64_t>(unit->wall_us, time.count());
    hold(token, {due, std::move(end), done});
  });
}

void Pacer::hold(std::uint64_t token, Held held) {
  {
    const std::lock_guard lock(mutex_);
    const bool stopped = stopped_.extract(token).mapped();
    if (!stopped && !closing_ && std::holds_alternative<runtime::UnitDone>(held.end)) {
      held_.emplace(token, std::move(held));
      changed_.notify_all();
      return;
    }
  }
  held.done(std::move(held.end));
}

void Pacer::stop(std::uint64_t token) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto running = stopped_.find(token); running != stopped_.end()) running->second = true;
    if (const auto held = held_.find(token); held != held_.end()) {
      held->second.end = runtime::UnitDropped{"stopped"};
      held->second.due = {};
    }
  }
  changed_.notify_all();
  real_.stop(token);
}

void Pacer::give_what_is_due() {
  std::unique_lock lock(mutex_);
  while (true) {
    const auto next = std::ranges::min_element(held_, {}, [](const auto& one) { return one.second.due; });
    if (next == held_.end()) {
      if (closing_) return;
      changed_.wait(lock);
    } else if (!closing_ && next->second.due > Clock::now()) {
      changed_.wait_until(lock, next->second.due);
    } else {
      Held held = std::move(held_.extract(next).mapped());
      lock.unlock();
      held.done(std::move(held.end));
      lock.lock();
    }
  }
}

}  // namespace starling::worker
