// Three grades of check, alive in every build:
//   STARLING_ENSURE  our own bug: print where and abort, also in release.
//   STARLING_ASSUME  our own bug that production may outlive: aborts in builds made for tests.
//   STARLING_TRY     a peer's, disk's or user's fault: passes an Error up to the caller as a value.
// Outside data is never asserted on.
#pragma once

#include <source_location>

namespace starling::base {

[[noreturn]] void abort_with(const char* what, std::source_location where = std::source_location::current());

}  // namespace starling::base

#define STARLING_ENSURE(condition) \
  (static_cast<bool>(condition) ? void() : ::starling::base::abort_with(#condition))

#ifdef STARLING_ASSUME_OFF
#define STARLING_ASSUME(condition) (static_cast<void>(condition))
#else
#define STARLING_ASSUME(condition) STARLING_ENSURE(condition)
#endif

#define STARLING_TRY_CONCAT_(a, b) a##b
#define STARLING_TRY_NAME_(line) STARLING_TRY_CONCAT_(starling_try_, line)
// Declares `variable` from an expected-returning expression, or returns its error.
#define STARLING_TRY(variable, expression)                                              \
  auto STARLING_TRY_NAME_(__LINE__) = (expression);                                     \
  if (!STARLING_TRY_NAME_(__LINE__)) return std::unexpected(std::move(STARLING_TRY_NAME_(__LINE__)).error()); \
  variable = *std::move(STARLING_TRY_NAME_(__LINE__))
