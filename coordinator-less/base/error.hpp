// Errors that a user, a peer or a disk can cause: values with a code, what happened, and what to do next.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <utility>

namespace starling::base {

// The consequence is decided by the code: exit_code() maps it for the command line.
enum class ErrorCode : std::uint8_t {
  internal,      // our own or the machine's failure: exit 1
  usage,         // wrong words on the command line: exit 2
  bad_input,     // a file, program or ticket that cannot be used: exit 2
  job_failed,    // the job ended with failed units: exit 3
  timeout,       // a time limit of the command ran out, or the job cannot be satisfied: exit 4
  not_found,     // no such job, file, peer: exit 5
  refused,       // rights or policy: exit 6
  temporary,     // no peers, disk full, port in use: exit 75, try again
  interrupted,   // Ctrl-C: exit 130, the job goes on
  malformed,     // bytes from a peer that do not decode: the link's fault, never fatal
};

struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string message;  // what happened, one line, no final full stop
  std::string hint;     // what to do next, one line; may be empty for peers' faults
};

template <class T>
using Expected = std::expected<T, Error>;

inline std::unexpected<Error> fail(ErrorCode code, std::string message, std::string hint = {}) {
  return std::unexpected(Error{code, std::move(message), std::move(hint)});
}

int exit_code(ErrorCode code);
const char* name_of(ErrorCode code);  // "bad-input", ... : stable, used in JSON output

}  // namespace starling::base
