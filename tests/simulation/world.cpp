#include "tests/simulation/world.hpp"

#include <cstring>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/rng.hpp"

namespace starling::simulation {
namespace {

template <class Id>
std::uint64_t word(const Id& id) {
  std::uint64_t value = 0;
  std::memcpy(&value, id.bytes.data(), sizeof value);
  return value;
}

constexpr std::size_t breaches_kept_max = 20;

// Of the bytes that are stated: 0 for the right ones.
std::uint64_t flavour_of(const Scenario& scenario, const base::JobId& job, base::UnitIndex unit, Behaviour behaviour, PeerIndex peer, Fault fault) {
  if (fault != Fault::none) return fault == Fault::miscompiled ? 1 : 2 + std::uint64_t{peer};
  const bool lies = behaviour == Behaviour::liar || behaviour == Behaviour::colluder;
  if (!lies && behaviour != Behaviour::accuser) return 0;
  const std::uint64_t flavour = behaviour == Behaviour::colluder ? 1 : 2 + std::uint64_t{peer};
  if (!lies || scenario.lie_share >= 1) return flavour;
  base::Rng draw(digest_of_words({word(job), 0x11e5, unit % scenario.units, flavour}));
  return draw.chance(scenario.lie_share) ? flavour : 0;
}

}  // namespace

void World::breach(PeerIndex peer, const std::string& what) {
  trace.note(queue.now_ms(), peer, what.c_str());
  if (breaches.size() >= breaches_kept_max) return;
  breaches.push_back("at " + std::to_string(queue.now_ms()) + " ms peer " + std::to_string(peer) + ": " + what);
}

base::PeerId peer_id_of(std::uint64_t seed, PeerIndex peer) {
  auto id = base::retag<base::PeerId>(digest_of_words({seed, 0x9ee7, peer}));
  id.bytes[31] &= std::byte{0x7f};  // sign bit 0, as real ids have
  return id;
}

std::string address_of(PeerIndex peer) {
  return "10.0." + std::to_string(peer / 250) + "." + std::to_string(peer % 250 + 1) + ":7000";
}

protocol::Outcome outcome_of(const Scenario& scenario, const base::JobId& job, base::UnitIndex unit, Behaviour behaviour, PeerIndex peer,
                             const base::Digest& input, Fault fault) {
  const std::uint64_t flavour = flavour_of(scenario, job, unit, behaviour, peer, fault);
  const bool right = flavour == 0;
  const base::Digest archive = scenario.segments == 1 ? digest_of_words({word(job), 0x0c0e, unit, flavour})
                                                      : digest_of_words({word(job), 0x0c0e, unit, flavour, word(input)});
  const std::uint64_t mean = scenario.archive_bytes;
  const std::uint64_t size_bytes = mean == 0 ? 0 : mean / 2 + word(archive) % mean;
  const std::uint64_t fuel = word(digest_of_words({word(job), 0xf0e1, unit})) % 1'000'000'000;
  const bool oversized = behaviour == Behaviour::hostile && scenario.hostility.lies_about_sizes;
  const std::uint32_t segment = unit / scenario.units;
  const std::uint64_t segments_really = 1 + word(digest_of_words({word(job), 0x5e9, unit % scenario.units})) % scenario.segments;
  const bool lies_about_the_end = !right && word(archive) % 3 == 0;
  const bool goes_on = segment + 1 < scenario.segments && (segment + 1 < segments_really) != lies_about_the_end;
  return {goes_on ? protocol::OutcomeKind::checkpoint : protocol::OutcomeKind::ok, goes_on ? 85 : 0, archive,
          oversized ? limits::executor_frame_bytes_max : size_bytes, fuel, input};
}

std::vector<std::optional<protocol::Outcome>> truth_of(const Scenario& scenario, const base::JobId& job) {
  std::vector<std::optional<protocol::Outcome>> truth(std::size_t{scenario.units} * scenario.segments);
  for (base::UnitIndex unit = 0; unit < truth.size(); ++unit) {
    const auto* before = unit < scenario.units ? nullptr : &truth[unit - scenario.units];
    if (before && (!*before || (*before)->kind != protocol::OutcomeKind::checkpoint)) continue;
    truth[unit] = outcome_of(scenario, job, unit, Behaviour::honest, 0, before ? (*before)->digest : base::Digest{});
  }
  return truth;
}

base::Digest fingerprint_of(const Scenario& scenario, const base::JobId& job, base::UnitIndex unit, Behaviour behaviour, PeerIndex judge,
                            const base::PeerId& whose, Fault fault) {
  if (!scenario.fingerprints || word(digest_of_words({word(job), 0x5407, unit})) % 4 == 0) return {};
  return digest_of_words({word(whose), word(job), 0xf19e, unit, flavour_of(scenario, job, unit, behaviour, judge, fault)});
}

bool miscompiled(const Scenario& scenario, const base::JobId& job, base::UnitIndex unit) {
  return base::Rng(digest_of_words({word(job), 0xc0de, unit})).chance(scenario.bad_tier_share);
}

LeafRange input_range_of(const Scenario& scenario, base::UnitIndex unit) {
  if (scenario.input_leaves == 0) return {};
  const std::uint64_t places = scenario.input_leaves - scenario.unit_leaves + 1;
  return {std::uint64_t{unit} * scenario.unit_leaves % places, scenario.unit_leaves};
}

}  // namespace starling::simulation
