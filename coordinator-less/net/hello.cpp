#include "coordinator-less/net/hello.hpp"

#include <algorithm>

#include "coordinator-less/base/check.hpp"

namespace starling::net {
namespace {

using base::ErrorCode;

constexpr std::string_view magic = "STRL";
constexpr std::string_view domain = "starling/v1/hello";
constexpr std::uint8_t acceptor_bit = 0x80;

std::byte role_byte(const Hello& hello) {
  const auto side = hello.side == Side::acceptor ? acceptor_bit : std::uint8_t{0};
  return static_cast<std::byte>(static_cast<std::uint8_t>(hello.role) | side);
}

bool is_role(std::uint8_t value) {
  return value == static_cast<std::uint8_t>(Role::worker) || value == static_cast<std::uint8_t>(Role::light);
}

template <std::size_t N>
void take(base::ByteView& rest, std::array<std::byte, N>& out) {
  std::ranges::copy(rest.first(N), out.begin());
  rest = rest.subspan(N);
}

base::Expected<Hello> open(base::ByteView frame, const base::NetworkId& network, Side side) {
  const auto hello = decode_hello(frame);
  if (!hello) return base::fail(ErrorCode::malformed, "the first frame is not a Hello");
  if (hello->version != hello_version) return base::fail(ErrorCode::refused, "another version of the protocol");
  if (hello->network != network) return base::fail(ErrorCode::refused, "another network id");
  if (hello->side != side) return base::fail(ErrorCode::malformed, "a Hello of the wrong direction");
  return *hello;
}

base::Expected<Hello> check_proofs(Authenticator& auth, const Hello& hello, const HelloPair& pair) {
  const auto covered = covered_bytes(hello, pair);
  if (!auth.equal(auth.mac(covered).view(), hello.mac.view())) return base::fail(ErrorCode::refused, "wrong network secret");
  if (!auth.verify(hello.peer, covered, hello.signature)) return base::fail(ErrorCode::refused, "wrong signature");
  return hello;
}

}  // namespace

base::Bytes encode_hello(const Hello& hello) {
  base::Bytes out;
  out.reserve(hello_bytes);
  base::append(out, base::view(magic));
  out.push_back(std::byte{hello.version});
  out.push_back(role_byte(hello));
  base::append(out, hello.network.view());
  base::append(out, hello.peer.view());
  base::append(out, hello.signature);
  base::append(out, hello.mac.view());
  return out;
}

std::optional<Hello> decode_hello(base::ByteView frame) {
  if (frame.size() != hello_bytes || base::text(frame.first(magic.size())) != magic) return std::nullopt;
  const auto role = std::to_integer<std::uint8_t>(frame[5]);
  const auto bare_role = static_cast<std::uint8_t>(role & ~acceptor_bit);
  if (!is_role(bare_role)) return std::nullopt;
  Hello hello;
  hello.version = std::to_integer<std::uint8_t>(frame[4]);
  hello.role = static_cast<Role>(bare_role);
  hello.side = (role & acceptor_bit) != 0 ? Side::acceptor : Side::dialler;
  auto rest = frame.subspan(6);
  take(rest, hello.network.bytes);
  take(rest, hello.peer.bytes);
  take(rest, hello.signature);
  take(rest, hello.mac.bytes);
  return hello;
}

base::Bytes covered_bytes(const Hello& hello, const HelloPair& pair) {
  base::Bytes out;
  base::append(out, base::view(domain));
  out.push_back(std::byte{0});
  out.push_back(std::byte{hello.version});
  base::append(out, hello.network.view());
  out.push_back(role_byte(hello));
  base::append(out, pair.dialler.view());
  base::append(out, pair.acceptor.view());
  return out;
}

Hello make_hello(Authenticator& auth, const base::NetworkId& network, Role role, Side side, const HelloPair& pair) {
  Hello hello;
  hello.role = role;
  hello.side = side;
  hello.network = network;
  hello.peer = side == Side::dialler ? pair.dialler : pair.acceptor;
  const auto covered = covered_bytes(hello, pair);
  hello.signature = auth.sign(covered);
  hello.mac = auth.mac(covered);
  return hello;
}

base::Expected<Hello> check_dialler(Authenticator& auth, const base::NetworkId& network, const base::PeerId& self,
                                    const std::array<std::byte, 32>& curve_key, base::ByteView frame) {
  STARLING_TRY(const auto hello, open(frame, network, Side::dialler));
  if (hello.peer == self) return base::fail(ErrorCode::refused, "it claims our own id");
  const auto expected_key = auth.curve_key_of(hello.peer);
  if (!expected_key) return base::fail(ErrorCode::refused, "an id that is no proper key");
  if (*expected_key != curve_key) return base::fail(ErrorCode::refused, "the id is not the link's key");
  return check_proofs(auth, hello, {.dialler = hello.peer, .acceptor = self});
}

base::Expected<Hello> check_acceptor(Authenticator& auth, const base::NetworkId& network, const HelloPair& pair,
                                     base::ByteView frame) {
  STARLING_TRY(const auto hello, open(frame, network, Side::acceptor));
  if (hello.peer != pair.acceptor) return base::fail(ErrorCode::refused, "another id than the one dialled");
  return check_proofs(auth, hello, pair);
}

}  // namespace starling::net
