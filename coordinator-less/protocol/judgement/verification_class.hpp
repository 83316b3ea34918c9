// How many agreeing answers each verification class asks for, however credible fewer of them are (DESIGN section 7).
#pragma once

#include "coordinator-less/protocol/message.hpp"

namespace starling::protocol {

constexpr std::uint32_t answers_required(VerificationClass verification) {
  switch (verification) {
    case VerificationClass::trusted:
    case VerificationClass::fast: return 1;
    case VerificationClass::standard: return 2;
    case VerificationClass::strict: return 3;
  }
  return 3;
}

}  // namespace starling::protocol
