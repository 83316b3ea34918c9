// What happened in a run, in order: a running hash, and a readable line each where a file is given.
#pragma once

#include <cstdint>
#include <cstdio>

#include "coordinator-less/protocol/effect.hpp"
#include "coordinator-less/protocol/input.hpp"

namespace starling::simulation {

class Trace {
 public:
  explicit Trace(std::FILE* file) : file_(file) {}

  void input(std::uint64_t now_ms, std::uint32_t peer, const protocol::Input& input);
  void effect(std::uint64_t now_ms, std::uint32_t peer, const protocol::Effect& effect);
  void note(std::uint64_t now_ms, std::uint32_t peer, const char* what);
  std::uint64_t hash() const { return hash_; }

 private:
  struct Line;
  void add(std::uint64_t now_ms, std::uint32_t peer, const Line& line);

  std::FILE* file_;
  std::uint64_t hash_ = 0;
};

}  // namespace starling::simulation
