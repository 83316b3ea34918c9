#include "coordinator-less/base/check.hpp"
#include "sdk/cli/commands.hpp"

namespace starling::cli {

namespace {

std::string addresses_text(const protocol::PeerStatus& peer) {
  std::string out;
  for (const auto& address : peer.addresses) out += (out.empty() ? "" : " ") + printable(address);
  return out;
}

std::string peers_text(const std::vector<protocol::PeerStatus>& peers) {
  std::size_t linked = 0;
  std::vector<std::vector<std::string>> rows{{"PEER", "LINK", "KIND", "ADDRESS"}};
  for (const auto& peer : peers) {
    linked += peer.linked ? 1 : 0;
    rows.push_back({peer.id.brief(), peer.linked ? "up" : "-", peer.light ? "light" : "worker", addresses_text(peer)});
  }
  return (peers.empty() ? std::string() : table(rows)) + std::to_string(linked) + " linked, " + std::to_string(peers.size()) + " known";
}

}  // namespace

Done swarm_invite(Context& context) {
  STARLING_TRY(client::Client client, connect(context));
  STARLING_TRY(const std::string ticket, client.invite());
  STARLING_TRY(const client::PeerInfo info, client.info());
  if (info.swarm.kind != protocol::SwarmKind::public_swarm)
    context.output.note("this ticket holds the swarm's secret: whoever has it can join");
  context.output.answer(ticket, {{"ticket", ticket}}, ticket);
  return {};
}

Done swarm_peers(Context& context) {
  STARLING_TRY(client::Client client, connect(context));
  STARLING_TRY(const auto peers, client.peers());
  Json list = Json::array();
  std::string quiet;
  for (const auto& peer : peers) {
    list.push_back(client::to_json(peer));
    quiet += peer.id.base32() + (peer.linked ? " up\n" : " -\n");
  }
  context.output.answer(peers_text(peers), {{"peers", std::move(list)}}, quiet);
  return {};
}

Done version(Context& context) {
  context.output.answer("starling " STARLING_VERSION, {{"version", STARLING_VERSION}, {"protocol", 1}}, STARLING_VERSION);
  return {};
}

}  // namespace starling::cli
