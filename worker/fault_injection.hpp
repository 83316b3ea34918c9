// The attackers of development swarms, at the border between the peer and its executor: a unit is run for real, then its end is
// replaced. What a peer of its own can play without anybody's direction:
//   liar     adds to each item's standard output a signal that is not there, in a share of the units, replays of them included.
//            Which units, and the signal, follow from its mark: liars with one mark collude without a word, others never agree.
//   copier   answers with what leads among the answers to the unit that it has seen, and makes its fingerprint up.
//   lazy     the same, but only once the unit is accepted: an auditor who confirms without looking. (Both leave segments alone.)
//   accuser  answers honestly, and lies in replays alone.
// (`starling worker start --attack KIND[:SHARE[:SECRET]]`; `--inject-faults` is `liar`: wrong in every unit.) It must never run in a
// swarm where somebody wants answers: it attacks only once armed, and the worker arms it after it has seen that the swarm is a
// development one.
#pragma once

#include <mutex>
#include <optional>
#include <string_view>

#include "coordinator-less/protocol/swarm.hpp"
#include "coordinator-less/runtime/unit_executor.hpp"

namespace starling::worker {

// "8420.<digits>,1.000000,99.000000,<channel>\n": a row as tasks/dedoppler writes them, digits and channel drawn from the mark.
std::string false_signal(const base::Digest& mark);

// The archive with the false signal in every item. Items that trapped claim to have succeeded.
runtime::UnitDone falsify(const runtime::UnitDone& honest, const base::Digest& mark);

// refused, in any swarm that is not a development one; the option is what was asked for.
base::Expected<void> check_fault_injection(protocol::SwarmKind kind, const std::string& option = "--inject-faults");

enum class AttackKind : std::uint8_t { liar, copier, lazy, accuser };
inline constexpr std::uint32_t everything_ppm = 1'000'000;

struct Attack {
  AttackKind kind = AttackKind::liar;
  std::uint32_t share_ppm = everything_ppm;  // of the units, drawn from the mark
  base::Digest mark;
};
// KIND[:SHARE[:SECRET]], a share from 0 to 1; the mark follows from the secret, else it is the one given.
base::Expected<Attack> parse_attack(std::string_view text, const base::Digest& own_mark);
// Does it attack in this unit? The seed is H(job | unit).
bool chosen(const Attack& attack, const base::Digest& seed);

// Port: what a peer sees of others' answers. Called on the executor's threads, may block.
class SeenAnswers {
 public:
  virtual ~SeenAnswers() = default;
  // The leading answer to a unit, with its archive; `accepted`: only an accepted one. Empty: there is none, or its bytes cannot be had.
  virtual std::optional<runtime::UnitDone> leading(const base::JobId& job, base::UnitIndex unit, bool accepted) = 0;
};

class FaultInjector final : public runtime::UnitExecutor {
 public:
  // `real` must outlive every run.
  FaultInjector(runtime::UnitExecutor& real, const Attack& attack) : real_(real), attack_(attack) {}

  // `seen` must live until disarm(); without it copiers have nothing to copy.
  void arm(SeenAnswers* seen = nullptr);
  void disarm();  // returns when nobody looks at `seen` any more
  void attach(runtime::UnitInputs& inputs) override { real_.attach(inputs); }
  void run(std::uint64_t token, runtime::UnitWork work, std::function<void(runtime::UnitEnd)> done) override;
  void stop(std::uint64_t token) override { real_.stop(token); }

 private:
  struct Asked {
    base::JobId job;
    base::UnitIndex unit = 0;
    base::Digest seed;
    bool replay = false, segment = false;
  };
  runtime::UnitDone attacked(const Asked& asked, const runtime::UnitDone& honest);  // REQUIRES: mutex_

  runtime::UnitExecutor& real_;
  Attack attack_;
  std::mutex mutex_;  // of what follows
  bool armed_ = false;
  SeenAnswers* seen_ = nullptr;
};

}  // namespace starling::worker
