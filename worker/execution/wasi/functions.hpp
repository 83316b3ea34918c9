// The functions of wasi_snapshot_preview1, free of any engine: a table of names, signatures and handlers.
// All of preview 1 is there; what makes no sense in a work unit answers with the errno that the specification has for it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "worker/execution/wasi/abi.hpp"
#include "worker/execution/wasi/guest_memory.hpp"
#include "worker/execution/wasi/state.hpp"

namespace starling::execution::wasi {

using Args = std::span<const std::uint64_t>;  // one per parameter; 32-bit ones zero-extended
using Handler = Errno (*)(State&, const GuestMemory&, Args);

struct Function {
  std::string_view name;
  std::string_view parameters;  // 'i' = i32, 'I' = i64
  bool returns_errno = true;    // else the function has no result (proc_exit)
  Handler handler = nullptr;
};

inline constexpr std::string_view module_name = "wasi_snapshot_preview1";
std::span<const Function> functions();

// Handlers by group; after each the caller looks at State::ending().
std::span<const Function> process_functions();
std::span<const Function> descriptor_functions();
std::span<const Function> path_functions();

}  // namespace starling::execution::wasi
