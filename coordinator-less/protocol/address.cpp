#include "coordinator-less/protocol/address.hpp"

#include <algorithm>
#include <cctype>
#include <string>

namespace starling::protocol {
namespace {

// A spelling that is no dotted quad of decimals ("0x7f.1", "2130706433") is not worth the doubt.
bool is_local_v4(std::string_view host) {
  const bool one_number = !host.empty() && std::ranges::all_of(host, [](char c) { return c >= '0' && c <= '9'; });
  return one_number || host.starts_with("127.") || host.starts_with("0") || host.starts_with("169.254.");
}

// ::1, :: and their long spellings; fe80::/10; IPv4 inside IPv6, dotted or in hexadecimal groups.
bool is_local_v6(std::string_view host) {
  for (const char* link_local : {"fe8", "fe9", "fea", "feb"})
    if (host.starts_with(link_local)) return true;
  const auto first = host.find_first_not_of("0:.");
  if (first == std::string_view::npos || host.substr(first) == "1") return true;
  std::string_view rest = host.substr(first);
  const bool mapped = rest.starts_with("ffff:");
  if (mapped) rest.remove_prefix(5);
  if (rest.contains('.')) return is_local_v4(rest);
  return mapped && (rest.starts_with("7f") || rest.starts_with("a9fe:") || rest.starts_with("0"));
}

}  // namespace

bool is_local_address(std::string_view address) {
  const auto colon = address.rfind(':');
  std::string host(address.substr(0, colon));
  std::ranges::transform(host, host.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (host.starts_with('[')) return is_local_v6(std::string_view(host).substr(1, host.find(']') - 1));
  return host == "localhost" || is_local_v4(host);
}

}  // namespace starling::protocol
