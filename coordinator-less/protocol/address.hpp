// What a "host:port" of a peer record says about where it leads. Records are free to make, so an address that means the
// reader's own machine or cable must not be dialled on a stranger's word.
#pragma once

#include <string_view>

namespace starling::protocol {

// Loopback, link-local or unspecified, in any spelling of IPv4 or IPv6; what is no numeric address is not.
bool is_local_address(std::string_view address);

}  // namespace starling::protocol
