// All that can happen to a peer.
#pragma once

#include <optional>

#include "coordinator-less/protocol/message.hpp"

namespace starling::protocol {

// --- links
struct LinkUp { PeerId peer; bool light = false; };  // light: that neighbour runs no units
struct LinkDown { PeerId peer; };
struct DialFailed { PeerId peer; };
struct Received { PeerId from; LinkMessage message; };  // never BlobGet or BlobData: the runtime answers those from storage

// --- time
struct TimerFired { enum class Kind : std::uint8_t { tick } kind = Kind::tick; };

// --- the local user
struct Submit { Statement manifest; };   // sealed with the owner's key; its blobs are in the local store
struct CancelJob { Statement cancel; };  // sealed with the owner's key
struct AddPeer { PeerId peer; std::vector<std::string> addresses; };  // from a ticket or the cache

// Until told otherwise nothing is started, what waits for a slot is given back, and the claims on what runs lapse in their time.
struct Pause { bool paused = false; };

// Its user waits until the job is final: for limits::confirm_lifetime what is not gets executed here once more.
struct Confirm { JobId job; };

// --- the executor
// What a key's fingerprint is if it executed the unit; `interpreted` in replays only.
struct FingerprintOf { PeerId peer; Digest compiled = {}, interpreted = {}; };
// The archive is in the store; the fingerprint is ours.
struct UnitFinished { JobId job; UnitIndex unit = 0; Outcome outcome; Digest fingerprint = {}; std::vector<FingerprintOf> others = {}; };
// Timeout, host memory, dead executor: local. The reason is for the people at this machine; no statement carries it.
struct UnitReleased { JobId job; UnitIndex unit = 0; std::string reason = {}; };
// compiled or interpreted is missing when that tier was released
struct ReplayFinished {
  JobId job; UnitIndex unit = 0; MessageId accused_statement;
  std::optional<Outcome> compiled, interpreted;
  Digest fingerprint = {}, interpreted_fingerprint = {};  // for the accused
  std::vector<FingerprintOf> others = {};
};

// --- blobs
struct BlobHeld { Digest blob; };                                  // is whole in the local store now
struct BlobLost { Digest blob; };                                  // was whole: evicted, or found damaged
struct RangesWanted { BlobRef blob; JobId job; std::uint64_t first_leaf = 0; std::uint64_t leaf_count = 0; };  // an executor reads
struct RangeArrived { PeerId from; Digest blob; std::uint64_t first_leaf = 0; std::uint32_t leaf_count = 0; bool good = false; };  // verified and stored, or not

// --- the price of an id
struct IdMinted { std::uint64_t nonce = 0; };  // is stored: a restart has it in NodeConfig
struct PuzzleChecked { PeerId peer; std::uint64_t nonce = 0; bool ok = false; };

using Input = std::variant<LinkUp, LinkDown, DialFailed, Received, TimerFired, Submit, CancelJob, AddPeer, Pause, Confirm, UnitFinished, UnitReleased,
                           ReplayFinished, BlobHeld, BlobLost, RangesWanted, RangeArrived, IdMinted, PuzzleChecked>;

}  // namespace starling::protocol
