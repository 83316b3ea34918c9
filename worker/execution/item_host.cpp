#include "worker/execution/item_host.hpp"

#include "worker/execution/instrument/instrument.hpp"

namespace starling::execution {

namespace {

constexpr std::int64_t host_call_fuel = 200;  // every call of the host, beside
constexpr unsigned host_bytes_shift = 3;      // an eighth for each byte that it moved

ItemEnd end_of(const wasi::State& state, std::optional<TrapClass> trap) {
  switch (state.ending()) {
    case wasi::Ending::exit: return {state.exit_code() == 0 ? OutcomeKind::ok : OutcomeKind::exit_code, state.exit_code()};
    case wasi::Ending::output_limit: return {OutcomeKind::output_limit, 0};
    case wasi::Ending::input_missing:
    case wasi::Ending::host_failed: return {};  // the caller releases the whole unit
    case wasi::Ending::none: break;
  }
  if (!trap) return {};
  return {OutcomeKind::trap, static_cast<std::int32_t>(*trap)};
}

}  // namespace

std::optional<std::int64_t> FuelMeter::deal(std::int64_t balance, std::uint64_t point) {
  const std::int64_t used = dealt_ - balance;
  if (used > slice_end_) {
    used_at_slice_ = static_cast<std::uint64_t>(used);
    const std::int64_t slices = (used - slice_end_ + slice_ - 1) / slice_;
    slice_end_ = std::min(slice_end_ + slices * slice_, limit_);
  }
  if (used > slice_end_) return std::nullopt;
  dealt_ = slice_end_;
  if (point < static_cast<std::uint64_t>(slice_end_)) dealt_ = std::max(used, static_cast<std::int64_t>(point));
  return dealt_ - used;
}

std::uint64_t ItemHost::next_point() const {
  return fingerprints_.empty() ? UINT64_MAX : std::ranges::min(fingerprints_, {}, &Fingerprint::next_point).next_point();
}

void ItemHost::take(std::uint64_t used, Moment moment) {
  moment.fuel_used = used;
  for (auto& one : fingerprints_) one.take(moment);
}

std::optional<std::int64_t> ItemHost::deal(std::int64_t balance) {
  const auto next = meter_.deal(balance, next_point());
  if (!next) trap_ = TrapClass::out_of_fuel;
  return next;
}

wasi::Errno ItemHost::call(const wasi::Function& function, std::span<std::byte> bytes, wasi::Args args, std::int64_t& balance) {
  state_.set_fuel_used(meter_.used(balance));
  const wasi::GuestMemory memory(bytes);
  const wasi::Errno error = function.handler(state_, memory, args);
  balance -= host_call_fuel + static_cast<std::int64_t>(memory.bytes_moved() >> host_bytes_shift);
  return error;
}

void ItemHost::fail(std::int32_t reason) {
  if (reason == static_cast<std::int32_t>(instrument::Failure::stack_overflow)) trap_ = TrapClass::stack_overflow;
  else state_.end(wasi::Ending::host_failed);
}

ItemEnd ItemHost::end(std::optional<TrapClass> trap, std::int64_t balance) {
  if (trap == TrapClass::other && !ended()) state_.end(wasi::Ending::host_failed);
  ItemEnd out = trap_ ? ItemEnd{OutcomeKind::trap, static_cast<std::int32_t>(*trap_)} : end_of(state_, trap);
  out.fuel = out.kind == OutcomeKind::trap ? meter_.used_at_slice() : meter_.used(balance);
  return out;
}

}  // namespace starling::execution
