// One run in which every peer takes its units by itself: real own orders (protocol/judgement/order.hpp), real V, peers of different speeds.
//
// Model: virtual time in rounds; a peer of speed s executes for 1 / s rounds, give or take a tenth. Claims are known at once, and
// statements after `news_rounds`. A peer picks as a node does: the first unit of its own order, in blocks where its results count,
// that is not accepted, answered or covered by claims; 5 % of its executions are audits of drawn keys, 2 % more when it is idle. A
// judge executes what is contested, on two tiers, and says so `replay_rounds` later. A coalition knows everything at once and audits
// nothing. Either it takes its turn like everybody; or it hunts: of all units that the rules let it reach (under forced order the slack
// beyond the first open one) it prefers those that only it holds, then untouched ones. Where nobody else answers or
// works and its members at work are enough, it lies on a share `rate` of these units, all alike.
// Not modelled: withheld evidence, lost messages, clocks.
#pragma once

#include <cstdint>

#include "coordinator-less/protocol/message.hpp"

namespace starling::simulation::policy {

enum class Choice : std::uint8_t {
  forced,  // blocks, and an own order in each that V checks
  common,  // blocks, and everybody begins at their start; V checks blocks only
  free     // no blocks, no orders
};

enum class Manner : std::uint8_t {
  in_turn,  // as everybody
  hunts,    // within what the rules let it reach
  ignores   // hunts as if there were no own orders; its results name their true positions
};

struct OrderedTrial {
  Choice choice = Choice::forced;
  std::uint32_t peers = 200, units = 20'000;
  protocol::VerificationClass verification = protocol::VerificationClass::standard;
  std::uint32_t epsilon_ppm = 1000;
  std::uint64_t seed = 1;
  double f = 0, speed = 1, rate = 0;  // of the coalition
  Manner manner = Manner::hunts;
  bool one_liar = false;              // wrong in everything, alone
  double slow_share = 0;              // ten times slower
  double leaving_share = 0;           // stop when half of the units are accepted
};

struct OrderedMeasures {
  std::uint64_t units = 0, open = 0, wrong = 0, ever_wrong = 0;
  std::uint64_t alone_at_once = 0;  // every counted copy was the coalition's when the unit was first accepted
  std::uint64_t alone_left = 0;     // ... is so at the end, and nobody else has executed the unit
  std::uint64_t executions = 0, statements = 0, replays = 0;
  std::uint32_t liars = 0, liars_banned = 0, honest_bans = 0;
  std::uint32_t honest_left = 0, fresh_target = 0;  // so many stay; so many fresh ones must agree
  double finished_rounds = 0;       // when the last unit was accepted for good; 0: never
  double rounds = 0;                // until nobody has anything to do
  double removed_rounds = 0;        // when the last liar was banned
  double wrong_rounds_mean = 0, wrong_rounds_p99 = 0;  // for which accepted wrong answers stood that fell
  double final_share = 0, final_rounds_p50 = 0, final_rounds_p99 = 0;  // of 200 units: final at the end; from the first answer until final
  std::uint64_t agreements = 0, comparisons = 0;
};

OrderedMeasures run_ordered(const OrderedTrial& trial);

}  // namespace starling::simulation::policy
