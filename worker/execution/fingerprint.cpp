#include "worker/execution/fingerprint.hpp"

#include <algorithm>

#include "coordinator-less/crypto/digest.hpp"

namespace starling::execution {
namespace {

constexpr std::string_view domain = "starling fingerprint 1";

base::ByteView stack_window(const Moment& moment) {
  if (!moment.stack_pointer || *moment.stack_pointer >= moment.memory.size()) return {};
  const auto rest = moment.memory.subspan(*moment.stack_pointer);
  return rest.first(std::min<std::size_t>(rest.size(), fingerprint_stack_bytes));
}

base::ByteView drawn_window(const Moment& moment, std::uint64_t window) {
  const std::uint64_t pages = moment.memory.size() / fingerprint_window_bytes;
  if (pages == 0) return {};
  return moment.memory.subspan(static_cast<std::size_t>(window % pages * fingerprint_window_bytes), fingerprint_window_bytes);
}

}  // namespace

base::Digest fingerprint_seed(base::ByteView peer, base::ByteView job, std::uint32_t unit) {
  base::Bytes text = base::copy(base::view(domain));
  for (const auto part : {peer, job}) base::append(text, crypto::sha256(part).view());
  base::append_u32(text, unit);
  return crypto::sha256(text);
}

base::Digest fingerprint_item_seed(const base::Digest& seed, std::uint64_t item_index) {
  base::Bytes text = base::copy(seed.view());
  base::append_u64(text, item_index);
  return crypto::sha256(text);
}

base::Digest fingerprint_of_unit(std::span<const base::Digest> chains) {
  if (std::ranges::all_of(chains, [](const base::Digest& one) { return one == base::Digest{}; })) return {};
  base::Bytes text;
  for (const auto& one : chains) base::append(text, one.view());
  return crypto::sha256(text);
}

FingerprintDraw fingerprint_draw(const base::Digest& item_seed, unsigned octave) {
  base::Bytes text = base::copy(item_seed.view());
  base::append_u64(text, octave);
  const base::Digest drawn = crypto::sha256(text);
  const std::uint64_t low = std::uint64_t{1} << octave;
  return {low + base::read_u64(drawn.view().first(8)) % low, base::read_u64(drawn.view().subspan(8, 8))};
}

Fingerprint::Fingerprint(const base::Digest& item_seed, const base::Digest& chain, std::uint64_t fuel_before, unsigned octave_first)
    : item_seed_(item_seed), chain_(chain), fuel_before_(fuel_before), octave_(octave_first) {
  draw_next();
  while (next_point_ != UINT64_MAX && draw_.point < fuel_before_) {
    ++octave_;
    draw_next();
  }
}

void Fingerprint::draw_next() {
  next_point_ = UINT64_MAX;
  if (octave_ > fingerprint_octave_last) return;
  draw_ = fingerprint_draw(item_seed_, octave_);
  next_point_ = draw_.point < fuel_before_ ? 0 : draw_.point - fuel_before_;
}

void Fingerprint::take(const Moment& moment) {
  while (moment.fuel_used > next_point_) {
    base::Bytes text = base::copy(chain_.view());
    base::append_u64(text, octave_);
    base::append_u64(text, fuel_before_ + moment.fuel_used);
    for (const auto value : moment.live) base::append_u64(text, value);
    base::append_u64(text, moment.globals.size());
    for (const auto& global : moment.globals) base::append(text, global);
    base::append_u64(text, moment.memory.size());
    base::append(text, crypto::sha256(stack_window(moment)).view());
    base::append(text, crypto::sha256(drawn_window(moment, draw_.window)).view());
    chain_ = crypto::sha256(text);
    ++octave_;
    draw_next();
  }
}

}  // namespace starling::execution
