// The last words of an executor that the cage ends: a frame that is ready but for the call's number.
#pragma once

#include <string>

#include "coordinator-less/base/bytes.hpp"
#include "worker/execution/cage/cage.hpp"
#include "worker/execution/messages.hpp"

namespace starling::execution {

inline cage::Notice last_words(int socket) {
  const auto frame = encode(UnitFailure{FailureKind::forbidden, "forbidden system call 0000"});
  base::Bytes whole;
  base::append_u32(whole, static_cast<std::uint32_t>(frame.size()));
  base::append(whole, frame);
  cage::Notice out{socket, std::string(base::text(whole)), 0};
  out.number_at = out.text.rfind("0000");
  return out;
}

}  // namespace starling::execution
