#include "coordinator-less/base/error.hpp"

namespace starling::base {

int exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::usage:
    case ErrorCode::bad_input: return 2;
    case ErrorCode::job_failed: return 3;
    case ErrorCode::timeout: return 4;
    case ErrorCode::not_found: return 5;
    case ErrorCode::refused: return 6;
    case ErrorCode::temporary: return 75;
    case ErrorCode::interrupted: return 130;
    case ErrorCode::internal:
    case ErrorCode::malformed: return 1;
  }
  return 1;
}

const char* name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::internal: return "internal";
    case ErrorCode::usage: return "usage";
    case ErrorCode::bad_input: return "bad-input";
    case ErrorCode::job_failed: return "job-failed";
    case ErrorCode::timeout: return "timeout";
    case ErrorCode::not_found: return "not-found";
    case ErrorCode::refused: return "refused";
    case ErrorCode::temporary: return "temporary";
    case ErrorCode::interrupted: return "interrupted";
    case ErrorCode::malformed: return "malformed";
  }
  return "internal";
}

}  // namespace starling::base
