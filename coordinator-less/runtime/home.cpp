#include "coordinator-less/runtime/home.hpp"

#include <algorithm>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/crypto/digest.hpp"
#include "coordinator-less/crypto/puzzle.hpp"
#include "coordinator-less/runtime/evidence_file.hpp"
#include "coordinator-less/wire/codec.hpp"

namespace starling::runtime {
namespace {

using base::ErrorCode;
using protocol::Ticket;

base::Expected<void> make_private_folder(const std::filesystem::path& folder) {
  std::error_code error;
  if (std::filesystem::create_directories(folder, error); error || !std::filesystem::is_directory(folder))
    return base::fail(ErrorCode::refused, "cannot make the state folder " + folder.string(), "choose a folder you may write to");
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  if (error) return base::fail(ErrorCode::refused, "the state folder " + folder.string() + " is not yours", "choose another folder");
  return {};
}

auto damaged_setting(const std::string& key, const std::filesystem::path& folder) {
  return base::fail(ErrorCode::bad_input, "the stored " + key + " in " + folder.string() + " is damaged",
                    "restore the folder from a copy, or start with a new one");
}

base::Expected<crypto::Identity> load_identity(storage::EvidenceStore& evidence, const std::filesystem::path& folder) {
  STARLING_TRY(const auto stored, evidence.setting("identity"));
  if (stored) {
    crypto::Seed seed;
    if (stored->size() != seed.size()) return damaged_setting("identity", folder);
    std::ranges::copy(*stored, seed.begin());
    auto identity = crypto::Identity::from_seed(seed);
    if (!identity) return damaged_setting("identity", folder);
    return identity;
  }
  auto fresh = crypto::Identity::generate();
  if (auto kept = evidence.set_setting("identity", fresh.seed()); !kept) return std::unexpected(std::move(kept).error());
  return fresh;
}

Ticket create_swarm(protocol::SwarmParameters swarm) {
  if (std::ranges::all_of(swarm.salt, [](std::byte b) { return b == std::byte{}; })) crypto::fill_random(swarm.salt);
  Ticket ticket{std::move(swarm), std::nullopt, {}};
  if (ticket.swarm.kind != protocol::SwarmKind::public_swarm) crypto::fill_random(ticket.secret.emplace());
  return ticket;
}

// The swarm of a folder is kept as a ticket without peers: one codec, and people can read it.
base::Expected<std::optional<Ticket>> stored_swarm(storage::EvidenceStore& evidence, const std::filesystem::path& folder) {
  STARLING_TRY(const auto text, evidence.setting("swarm"));
  if (!text) return std::nullopt;
  auto ticket = wire::parse_ticket(base::text(*text));
  if (!ticket) return damaged_setting("swarm", folder);
  return *std::move(ticket);
}

// An identity and a swarm belong to one folder, so the nonce does too. One that does not fit (a damaged disk) is minted again.
base::Expected<std::optional<std::uint64_t>> stored_nonce(storage::EvidenceStore& evidence, const base::PeerId& id, unsigned difficulty_bits) {
  if (difficulty_bits == 0) return std::nullopt;
  STARLING_TRY(const auto stored, evidence.setting("puzzle-nonce"));
  if (!stored || stored->size() != 8) return std::nullopt;
  const std::uint64_t nonce = base::read_u64(*stored);
  if (crypto::check(id, nonce, difficulty_bits)) return nonce;
  return std::nullopt;
}

base::Expected<void> check_puzzle(const protocol::SwarmParameters& swarm) {
  if (swarm.puzzle_difficulty_bits == 0) return {};
  if (swarm.kind != protocol::SwarmKind::public_swarm)
    return base::fail(ErrorCode::bad_input, "only public swarms ask for a puzzle", "make a swarm without puzzle bits");
  if (swarm.puzzle_difficulty_bits <= limits::puzzle_difficulty_bits_max) return {};
  return base::fail(ErrorCode::bad_input, "a puzzle of " + std::to_string(swarm.puzzle_difficulty_bits) + " bits is never solved",
                    "choose a swarm with at most " + std::to_string(limits::puzzle_difficulty_bits_max));
}

base::Expected<Ticket> choose_swarm(const PeerOptions& options, const std::optional<Ticket>& stored) {
  if (options.join && stored && (options.join->swarm != stored->swarm || options.join->secret != stored->secret))
    return base::fail(ErrorCode::refused,
                      "the ticket is for swarm " + network_id_of(options.join->swarm).brief() + ", this folder belongs to " +
                          network_id_of(stored->swarm).brief(),
                      "join it with another state folder");
  if (options.create && stored && options.create->kind != stored->swarm.kind)
    return base::fail(ErrorCode::refused, "this folder belongs to a swarm of another kind, " + network_id_of(stored->swarm).brief(), "make a new swarm in another state folder, or start without --new");
  if (stored) return *stored;
  if (options.join) {
    if (options.join->swarm.kind != protocol::SwarmKind::public_swarm && !options.join->secret)
      return base::fail(ErrorCode::bad_input, "the ticket carries no secret, and its swarm is private", "ask for a whole ticket");
    return Ticket{options.join->swarm, options.join->secret, {}};
  }
  if (options.create) return create_swarm(*options.create);
  return base::fail(ErrorCode::bad_input, "the folder " + options.state_folder.string() + " belongs to no swarm yet",
                    "join one with a ticket, or create one");
}

}  // namespace

base::Expected<void> store_puzzle_nonce(storage::EvidenceStore& evidence, std::uint64_t nonce) {
  base::Bytes bytes;
  base::append_u64(bytes, nonce);
  return evidence.set_setting("puzzle-nonce", bytes);
}

base::Expected<void> store_port(storage::EvidenceStore& evidence, std::uint16_t port) {
  base::Bytes bytes;
  base::append_u32(bytes, port);
  return evidence.set_setting("port", bytes);
}

base::Expected<Home> open_home(const PeerOptions& options) {
  const auto& folder = options.state_folder;
  if (auto made = make_private_folder(folder); !made) return std::unexpected(std::move(made).error());
  STARLING_TRY(auto evidence, storage::EvidenceStore::open(folder / "peer.db"));
  STARLING_TRY(auto stored, stored_swarm(*evidence, folder));
  STARLING_TRY(Ticket chosen, choose_swarm(options, stored));
  if (auto fit = check_puzzle(chosen.swarm); !fit) return std::unexpected(std::move(fit).error());
  STARLING_TRY(auto identity, load_identity(*evidence, folder));
  if (!stored) {
    auto kept = evidence->set_setting("swarm", base::view(wire::ticket_text(chosen)));
    if (!kept) return std::unexpected(std::move(kept).error());
  }
  STARLING_TRY(const auto port, evidence->setting("port"));
  STARLING_TRY(auto blobs, storage::BlobStore::open(folder / "blobs", options.blob_quota_bytes, crypto::sha256));
  STARLING_TRY(const auto nonce, stored_nonce(*evidence, identity.id(), chosen.swarm.puzzle_difficulty_bits));
  Home home{std::move(evidence), std::move(blobs), std::move(identity), std::move(chosen.swarm), chosen.secret, 0, nonce};
  if (port && port->size() == 4) home.stored_port = static_cast<std::uint16_t>(base::read_u32(*port));
  return home;
}

}  // namespace starling::runtime
