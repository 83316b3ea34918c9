// The instrumenter with the imports that every program may have.
#pragma once

#include <vector>

#include "worker/execution/instrument/instrument.hpp"
#include "worker/execution/wasi/functions.hpp"

namespace starling::testing {

inline base::Expected<execution::instrument::Instrumented> instrumented(base::ByteView wasm) {
  std::vector<execution::instrument::KnownImport> imports;
  for (const auto& one : execution::wasi::functions())
    imports.push_back({execution::wasi::module_name, one.name, one.parameters, one.returns_errno});
  execution::instrument::Options options;
  options.imports = imports;
  return execution::instrument::instrument(wasm, options);
}

}  // namespace starling::testing
