// Where things are kept on this machine (XDG base directories), and who may use a state folder at a time.
//   state folder    one peer: its key, jobs, evidence, blobs; and the worker's socket, log and pid file
//   config folder   the owner's key: of the person who submits, never of a peer
#pragma once

#include <filesystem>
#include <string_view>

#include "coordinator-less/base/error.hpp"
#include "sdk/client/local_socket.hpp"

namespace starling::client {

// $STARLING_STATE, else $XDG_STATE_HOME/starling, else ~/.local/state/starling
std::filesystem::path default_state_folder();
std::filesystem::path default_owner_key_file();  // $XDG_CONFIG_HOME/starling/owner.key
std::filesystem::path default_cache_folder();    // $XDG_CACHE_HOME/starling

inline std::filesystem::path socket_of(const std::filesystem::path& state) { return state / "worker.sock"; }
inline std::filesystem::path log_of(const std::filesystem::path& state) { return state / "worker.log"; }
inline std::filesystem::path pause_mark_of(const std::filesystem::path& state) { return state / "worker.paused"; }  // there: it is paused
inline std::filesystem::path pid_file_of(const std::filesystem::path& state) { return state / "worker.pid"; }
bool has_stored_swarm(const std::filesystem::path& state);

// Makes a folder that only this user can enter. refused when it cannot be made or written.
base::Expected<void> make_private_folder(const std::filesystem::path& folder);
// Held as long as the descriptor lives. temporary when another process holds it.
base::Expected<Descriptor> lock_state_folder(const std::filesystem::path& state);

base::Expected<base::Bytes> read_file(const std::filesystem::path& file, std::uint64_t bytes_max);
// Written beside and renamed. refused (rights) or temporary (disk full).
base::Expected<void> write_file(const std::filesystem::path& file, base::ByteView bytes, unsigned mode = 0644);

}  // namespace starling::client
