#include "tests/simulation/trace.hpp"

#include <array>
#include <bit>
#include <cstring>

#include "tests/simulation/network.hpp"

namespace starling::simulation {

struct Trace::Line {
  const char* name = "";
  std::array<std::uint64_t, 5> words{};
  std::size_t count = 0;

  Line(const char* what, std::initializer_list<std::uint64_t> values) : name(what) {
    for (const std::uint64_t value : values) words[count++] = value;
  }
};

namespace {

template <class... Arms>
struct Overloaded : Arms... {
  using Arms::operator()...;
};

template <class Id>
std::uint64_t word(const Id& id) {
  std::uint64_t value = 0;
  std::memcpy(&value, id.bytes.data(), sizeof value);
  return value;
}

}  // namespace

void Trace::add(std::uint64_t now_ms, std::uint32_t peer, const Line& line) {
  const auto mix = [this](std::uint64_t value) {
    hash_ = (std::rotl(hash_, 23) ^ value) * 0x9e3779b97f4a7c15ULL;
    hash_ ^= hash_ >> 31;
  };
  mix(now_ms);
  mix(peer);
  for (const char* c = line.name; *c != 0; ++c) mix(static_cast<std::uint64_t>(*c));
  for (std::size_t i = 0; i < line.count; ++i) mix(line.words[i]);
  if (file_ == nullptr) return;
  std::fprintf(file_, "%9llu %3u %s", static_cast<unsigned long long>(now_ms), peer, line.name);
  for (std::size_t i = 0; i < line.count; ++i) {
    if (line.words[i] > 0xffffffff) {
      std::fprintf(file_, " #%04llx", static_cast<unsigned long long>(line.words[i] & 0xffff));
    } else {
      std::fprintf(file_, " %llu", static_cast<unsigned long long>(line.words[i]));
    }
  }
  std::fputc('\n', file_);
}

void Trace::note(std::uint64_t now_ms, std::uint32_t peer, const char* what) { add(now_ms, peer, {what, {}}); }

void Trace::input(std::uint64_t now_ms, std::uint32_t peer, const protocol::Input& input) {
  using namespace protocol;
  static constexpr const char* kinds[] = {"> bundle", "> summary", "> bucket-ids", "> want", "> holdings", "> blob-get", "> blob-data", "> fold-question", "> fold-proof"};
  const Line line = std::visit(
      Overloaded{
          [](const LinkUp& i) { return Line{"> link-up", {word(i.peer)}}; },
          [](const LinkDown& i) { return Line{"> link-down", {word(i.peer)}}; },
          [](const DialFailed& i) { return Line{"> dial-failed", {word(i.peer)}}; },
          [](const Received& i) { return Line{kinds[i.message.index()], {word(i.from), frame_bytes_of(i.message)}}; },
          [](const TimerFired&) { return Line{"> timer", {}}; },
          [](const Submit& i) { return Line{"> submit", {word(i.manifest.id)}}; },
          [](const CancelJob& i) { return Line{"> cancel", {word(i.cancel.id)}}; },
          [](const AddPeer& i) { return Line{"> add-peer", {word(i.peer)}}; },
          [](const UnitFinished& i) { return Line{"> unit-finished", {word(i.job), i.unit, word(i.outcome.digest)}}; },
          [](const UnitReleased& i) { return Line{"> unit-released", {word(i.job), i.unit}}; },
          [](const ReplayFinished& i) { return Line{"> replay-finished", {word(i.job), i.unit, word(i.accused_statement)}}; },
          [](const BlobHeld& i) { return Line{"> blob-held", {word(i.blob)}}; },
          [](const BlobLost& i) { return Line{"> blob-lost", {word(i.blob)}}; },
          [](const Pause& i) { return Line{"> pause", {i.paused}}; },
          [](const Confirm& i) { return Line{"> confirm", {word(i.job)}}; },
          [](const IdMinted& i) { return Line{"> id-minted", {i.nonce}}; },
          [](const PuzzleChecked& i) { return Line{"> puzzle-checked", {word(i.peer), i.nonce, i.ok}}; },
          [](const RangesWanted& i) { return Line{"> ranges-wanted", {word(i.blob.name), i.first_leaf, i.leaf_count}}; },
          [](const RangeArrived& i) { return Line{"> range-arrived", {word(i.from), word(i.blob), i.first_leaf, i.leaf_count, i.good}}; },
      },
      input);
  add(now_ms, peer, line);
}

void Trace::effect(std::uint64_t now_ms, std::uint32_t peer, const protocol::Effect& effect) {
  using namespace protocol;
  static constexpr const char* kinds[] = {"< bundle", "< summary", "< bucket-ids", "< want", "< holdings", "< blob-get", "< blob-data", "< fold-question", "< fold-proof"};
  const Line line = std::visit(
      Overloaded{
          [](const Send& e) { return Line{kinds[e.message->index()], {word(e.to), frame_bytes_of(*e.message)}}; },
          [](const Dial& e) { return Line{"< dial", {word(e.peer)}}; },
          [](const Disconnect& e) { return Line{"< disconnect", {word(e.peer)}}; },
          [](const RememberPeer& e) { return Line{"< remember-peer", {word(e.peer), e.addresses.size()}}; },
          [](const Persist& e) { return Line{"< persist", {word(e.statement.id), static_cast<std::uint64_t>(e.statement.type()), e.own}}; },
          [](const ForgetJob& e) { return Line{"< forget-job", {word(e.job)}}; },
          [](const SetTimer& e) { return Line{"< set-timer", {static_cast<std::uint64_t>(e.at.ms)}}; },
          [](const StartUnit& e) { return Line{"< start-unit", {word(e.job), e.unit}}; },
          [](const StopUnit& e) { return Line{"< stop-unit", {word(e.job), e.unit}}; },
          [](const StartReplay& e) { return Line{"< start-replay", {word(e.job), e.unit, word(e.accused_statement)}}; },
          [](const RequestRange& e) { return Line{"< request-range", {word(e.from), word(e.blob.name), e.first_leaf, e.leaf_count}}; },
          [](const RangeReady& e) { return Line{"< range-ready", {word(e.blob), e.first_leaf, e.leaf_count}}; },
          [](const RangeFailed& e) { return Line{"< range-failed", {word(e.blob), e.first_leaf, e.leaf_count}}; },
          [](const MintId& e) { return Line{"< mint-id", {e.difficulty_bits}}; },
          [](const CheckPuzzle& e) { return Line{"< check-puzzle", {word(e.peer), e.nonce, e.difficulty_bits}}; },
          [](const Notice& e) { return Line{"< notice", {static_cast<std::uint64_t>(e.kind), word(e.job), word(e.peer)}}; },
      },
      effect);
  add(now_ms, peer, line);
}

}  // namespace starling::simulation
