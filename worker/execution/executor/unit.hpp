// Runs the items of one unit in parallel on a TBB arena and makes the unit's archive.
#pragma once

#include <deque>
#include <memory>

#include "worker/execution/executor/engine.hpp"
#include "worker/execution/executor/host_link.hpp"

namespace starling::execution {

class UnitRunner {
 public:
  explicit UnitRunner(HostLink& link);
  ~UnitRunner();
  // The frame to answer with: a UnitReport or a UnitFailure.
  base::Bytes run(const UnitOrder& order, const std::vector<Fd>& descriptors);

 private:
  struct Arena;
  struct Loaded {
    base::Digest program;
    Tier tier;
    std::string native_path;  // another one when better code has come
    std::expected<std::shared_ptr<const Module>, ModuleProblem> module;
  };
  std::expected<std::shared_ptr<const Module>, ModuleProblem> module_of(const UnitOrder& order, const std::vector<Fd>& descriptors);

  HostLink& link_;
  std::unique_ptr<Arena> arena_;
  std::deque<Loaded> loaded_;  // most recently used first
};

}  // namespace starling::execution
