#include "coordinator-less/base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace starling::base {

void abort_with(const char* what, std::source_location where) {
  std::fprintf(stderr, "starling: internal error: %s does not hold at %s:%u in %s\n", what, where.file_name(),
               static_cast<unsigned>(where.line()), where.function_name());
  std::fflush(stderr);
  std::abort();
}

}  // namespace starling::base
