// The effects a step has produced and nobody has taken yet, in order.
#pragma once

#include <deque>
#include <optional>
#include <utility>

#include "coordinator-less/protocol/effect.hpp"

namespace starling::protocol {

class Outbox {
 public:
  void push(Effect effect) { effects_.push_back(std::move(effect)); }
  void send(const PeerId& to, LinkMessage message) {
    push(Send{to, std::make_shared<const LinkMessage>(std::move(message))});
  }
  std::optional<Effect> take() {
    if (effects_.empty()) return std::nullopt;
    Effect effect = std::move(effects_.front());
    effects_.pop_front();
    return effect;
  }
  bool empty() const { return effects_.empty(); }

 private:
  std::deque<Effect> effects_;
};

}  // namespace starling::protocol
