// All that a peer can ask of the world. Effects are carried out in order; Persist is durable before any later Send.
#pragma once

#include "coordinator-less/protocol/message.hpp"

namespace starling::protocol {

struct Send { PeerId to; std::shared_ptr<const LinkMessage> message; };  // one message may go to many
struct Dial { PeerId peer; std::string address; };
struct Disconnect { PeerId peer; std::string reason; };
struct RememberPeer { PeerId peer; std::vector<std::string> addresses; };

struct Persist { Statement statement; bool own = false; };
struct ForgetJob { JobId job; };  // expired or canceled long ago: drop its statements and what only it needed

// Argon2id, milliseconds and more: never on the protocol thread. Answered by IdMinted and PuzzleChecked.
struct MintId { PeerId self; std::uint8_t difficulty_bits = 0; };
struct CheckPuzzle { PeerId peer; std::uint64_t nonce = 0; std::uint8_t difficulty_bits = 0; };

struct SetTimer { base::Instant at; };  // one timer: replaces the one before; fires TimerFired

// Program, units blob and what the unit goes on from (`input`; a zero name: nothing) are whole in the local store before StartUnit
// and StartReplay. Outcomes name the input that they were made from. `others`: keys that gave an answer too, whose fingerprints are made in the same
// execution, beside this peer's own or that of the accused; fewer than limits::fingerprint_seeds_max.
struct StartUnit { JobId job; UnitIndex unit = 0; BlobRef input = {}; std::vector<PeerId> others = {}; };
struct StopUnit { JobId job; UnitIndex unit = 0; };
struct StartReplay { JobId job; UnitIndex unit = 0; MessageId accused_statement; PeerId accused; BlobRef input = {}; std::vector<PeerId> others = {}; };

struct RequestRange { PeerId from; BlobRef blob; std::uint64_t first_leaf = 0; std::uint32_t leaf_count = 0; };  // sends BlobGet
struct RangeReady { Digest blob; std::uint64_t first_leaf = 0; std::uint64_t leaf_count = 0; };    // answers RangesWanted
struct RangeFailed { Digest blob; std::uint64_t first_leaf = 0; std::uint64_t leaf_count = 0; };   // nobody has it now

// What people and programs want to hear about; carries no duty.
struct Notice {
  enum class Kind : std::uint8_t { job_known, job_progress, job_ended, key_banned, job_ahead };  // ahead: refused, made long after this clock's time
  Kind kind = Kind::job_progress;
  JobId job;
  PeerId peer;  // the owner, or the banned key
};

using Effect = std::variant<Send, Dial, Disconnect, RememberPeer, Persist, ForgetJob, SetTimer, StartUnit, StopUnit, StartReplay, RequestRange,
                            RangeReady, RangeFailed, Notice, MintId, CheckPuzzle>;

}  // namespace starling::protocol
