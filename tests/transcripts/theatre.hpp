// A stage for readable stories: a few real Nodes with real keys and real wire bytes, 10 ms apart, and a script that says
// what happens. Every message, start of work and notice becomes one line. Peers are 1, 2, ...; archives are letters.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "coordinator-less/protocol/node.hpp"
#include "tests/support/keys.hpp"

namespace starling::testing {

class Theatre {
 public:
  // One line of script in, its echo and everything that follows from it out. Commands:
  //   peers N | link A B | unlink A B | drop FROM TO KIND | submit A units N | finish A UNIT LETTER [MARK] | release A UNIT
  //   replay A LETTER [MARK] | run MS | show A
  // MARK is a word for the fingerprint; without one there is none.
  std::string perform(const std::string& line);

 private:
  struct Actor {
    explicit Actor(unsigned n);
    Member member;
    std::unique_ptr<protocol::Node> node;
    std::optional<base::Instant> timer;
    std::set<base::UnitIndex> running;
    std::optional<protocol::StartReplay> replaying;
  };
  struct Delivery {
    std::int64_t at_ms;
    int from, to;
    base::Bytes frame;
  };

  base::Now now() const { return {{now_ms_}, 1'800'000'000 + now_ms_ / 1000}; }
  Actor& actor(int n) { return *actors_.at(n); }
  std::string name_of(const base::PeerId& id) const;
  void feed(int n, protocol::Input input);
  void drain(int n);
  void act(int n, const protocol::Effect& effect);
  void send(int from, const protocol::Send& send);
  void run_until(std::int64_t end_ms);
  std::string describe(const protocol::LinkMessage& message);
  std::string describe(const protocol::Statement& statement);
  std::string describe(const protocol::Outcome& outcome) const;
  void say(const std::string& line);
  base::Digest archive(char letter) const;
  static base::Digest fingerprint(const std::string& mark);

  std::map<int, std::unique_ptr<Actor>> actors_;
  std::vector<Delivery> wires_;
  std::set<std::pair<int, int>> links_;
  std::multiset<std::string> drops_;  // "FROM TO KIND"
  std::int64_t now_ms_ = 0;
  std::optional<base::JobId> job_;
  std::string out_;
};

}  // namespace starling::testing
