// Every message of the protocol as plain structs. Two kinds:
//   statements     signed by their author, relayed verbatim, kept as evidence or gossiped: manifest, cancel, claims, results,
//                  replay, peer record, fold. Their bytes are made and read by the Notary port (wire + crypto in production).
//   link messages  between two neighbours over an authenticated link: a bundle of statements, set comparison, holdings,
//                  blob transfer. CURVE protects them; they carry no signature and nothing in them is believed unchecked.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/ids.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/time.hpp"

namespace starling::protocol {

using base::Bytes;
using base::Digest;
using base::JobId;
using base::MessageId;
using base::PeerId;
using base::UnitIndex;

// ---------------------------------------------------------------- statements

struct BlobRef {
  Digest name;  // BitTorrent v2 root
  std::uint64_t size_bytes = 0;
  auto operator<=>(const BlobRef&) const = default;
};

struct JobInput {
  std::string name;  // appears as /in/<name>
  BlobRef blob;
  bool operator==(const JobInput&) const = default;
};

struct UnitLimits {
  std::uint64_t memory_bytes = 0;
  std::uint64_t output_bytes = 0;
  std::uint32_t time_ms = 0;
  std::uint64_t fuel = 0;  // of an item; 0: no limit
  bool operator==(const UnitLimits&) const = default;
};

// What the owner of a job says of a peer: it has so many verified units in his earlier jobs (decision 0021).
struct KnownPeer {
  PeerId peer;
  std::uint32_t units = 0;  // at least 1
  auto operator<=>(const KnownPeer&) const = default;
};

enum class VerificationClass : std::uint8_t { trusted = 0, fast = 1, standard = 2, strict = 3 };

// Signed by the owner; the job id is this statement's message id.
struct Manifest {
  std::string name;                    // for people
  BlobRef program;                     // a wasm32-wasip1 module
  std::vector<std::string> arguments;  // argv[1..] of every unit
  std::vector<JobInput> inputs;
  BlobRef units;                    // lines; line i without its '\n' is the stdin of item i
  std::uint32_t unit_count = 0;     // unit u = items [u * items_per_unit, ...)
  std::uint32_t items_per_unit = 1;
  std::uint64_t item_count = 0;     // lines in `units`
  UnitLimits limits;
  VerificationClass verification = VerificationClass::standard;
  std::uint32_t epsilon_ppm = 1000;  // accepted error probability, in millionths
  std::uint32_t peer_estimate = 0;   // how many peers submit expects: those it knows, or more if the job is long; the block size follows from it
  std::uint8_t priority = 100;
  std::int64_t created_unix_s = 0;
  std::int64_t expires_unix_s = 0;
  std::uint32_t rounds_max = 0;      // of one item that ends its rounds with exit code 85; 0: 85 is a failure like any other
  std::uint32_t segment_rounds = 0;  // so many of them are a segment (segments.hpp); 0: a unit is computed in one piece
  std::string split;                 // NAME of `--split NAME`, empty when there is none: results runs "merge NAME"
  std::uint64_t nonce = 0;           // makes equal jobs different
  std::uint32_t audit_percent = limits::audit_share_percent;  // of the executions for it: more find lies that few answers confirm
  std::vector<KnownPeer> known = {}; // by id; k that verdicts of this job begin with
  bool operator==(const Manifest&) const = default;
};

// Signed by the job's owner.
struct Cancel {
  JobId job;
  bool operator==(const Cancel&) const = default;
};

// Courtesy: "I work on these units now". Expires by itself, carries no weight, is never stored.
struct Claims {
  JobId job;
  std::vector<UnitIndex> units;      // claimed from now on
  std::vector<UnitIndex> released;   // no longer worked on, without a result
  std::uint32_t expires_ms = 0;      // after its arrival
  std::uint64_t sequence = 0;        // rises with each of an author's claims; what is not above the last is refused
  bool operator==(const Claims&) const = default;
};

// Only what the guest determines; everything else is local and never stated.
// checkpoint: of a segment, some item of which goes on in the next one.
enum class OutcomeKind : std::uint8_t { ok = 0, exit_code = 1, trap = 2, memory_limit = 3, output_limit = 4, checkpoint = 5 };

struct Outcome {
  OutcomeKind kind = OutcomeKind::ok;
  std::int32_t code = 0;  // exit code or trap class
  Digest digest;          // name of the unit's canonical archive
  std::uint64_t archive_bytes = 0;  // its size: a root does not fix it, so it is part of the answer, and a wrong one is a wrong answer
  std::uint64_t fuel = 0;  // of all items; the same on every machine, and what credit is a sum of
  Digest input = {};       // the archive that it went on from; zero in the first segment
  auto operator<=>(const Outcome&) const = default;
};

struct ResultEntry {
  UnitIndex unit = 0;
  std::uint32_t position = 0;      // in the author's own order: block * block size + place in the permutation; 0 of an audit
  Outcome outcome;
  // Of the author's own execution: each has his own, and anyone who repeats the unit can make anybody's (the executor's business,
  // worker/execution/fingerprint.hpp). Zero: the items are too short to have one. Not part of the answer.
  Digest fingerprint = {};
  // The unit was accepted already, and picked with a coin that nobody else knows: it may contradict, it never supports.
  bool audit = false;
  bool operator==(const ResultEntry&) const = default;
};

// Where an entry stands in its author's log of one job. A start of a peer begins a new chain, with a greater number.
struct LogPlace {
  std::uint32_t chain = 0, index = 0;
  auto operator<=>(const LogPlace&) const = default;
};

// One signature for many units of one job. Without entries, and then nothing else in it is set, it takes back all that its author said of
// this job or ever says: nobody is blamed for that, and none of it counts.
struct Results {
  JobId job;
  std::uint32_t first_log_index = 0;  // of entries[0] in this chain of the author's log; the last one is at most 2^32 - 1
  std::vector<ResultEntry> entries;
  std::uint32_t chain = 0;
  MessageId previous = {};            // the author's results before these, of whichever chain; zero: there are none
  bool operator==(const Results&) const = default;

  bool takes_back() const { return entries.empty(); }
  LogPlace place(std::size_t entry) const { return {chain, first_log_index + static_cast<std::uint32_t>(entry)}; }
};

// A re-execution of one contested entry on two tiers. It is no result; it counts for readers that name its author a judge.
struct Replay {
  JobId job;
  MessageId accused_statement;   // a Results statement
  PeerId accused;                // its author
  UnitIndex unit = 0;
  Outcome compiled;
  Outcome interpreted;           // differs from `compiled`: the program is at fault and nobody is blamed
  Digest fingerprint = {};              // what the accused's must be if he executed the unit, from the compiled tier
  Digest interpreted_fingerprint = {};  // the same from the other one; a difference is the program's fault as well
  LogPlace head = {};                   // the last entry of the accused that the author had when he said so
  bool operator==(const Replay&) const = default;
};

// Where a peer can be dialled; the newest sequence of an author replaces the others.
struct PeerRecord {
  std::vector<std::string> addresses;  // "host:port", numeric; empty: can only dial out
  std::uint64_t sequence = 0;          // unix milliseconds when it was made
  std::uint64_t puzzle_nonce = 0;      // what the author's id was minted with; 0 in swarms without difficulty
  bool light = false;                  // runs no units
  std::optional<PeerId> credit_to = {};  // the owner whom its work is to do good (fair_share.hpp)
  bool operator==(const PeerRecord&) const = default;
};

// One key's part in a job that is told in short.
struct FoldCredit {
  PeerId peer;
  std::uint32_t units = 0;  // verified, at least 1
  std::uint64_t fuel = 0;   // of these
  auto operator<=>(const FoldCredit&) const = default;
};

// A job in which every unit is accepted, told in short (fold.hpp); the newest sequence of an author replaces the others. Weightless: it enters no
// verdict. No bitmap: all units are accepted.
struct Fold {
  JobId job;
  std::uint64_t sequence = 0;        // unix milliseconds when it was made
  Digest root = {};                  // over the accepted outcomes; zero: taken back, and what follows is empty
  Digest judges = {};                // of the roots that its author has named; zero: none
  std::uint32_t failures = 0;        // units that ended with another outcome than ok
  std::uint32_t keys = 0;            // with verified units
  std::vector<FoldCredit> credit = {};  // of those with most, by id
  bool operator==(const Fold&) const = default;
};

using Body = std::variant<Manifest, Cancel, Claims, Results, Replay, PeerRecord, Fold>;

enum class StatementType : std::uint16_t { manifest = 1, cancel = 2, claims = 3, results = 4, replay = 5, peer_record = 6, fold = 7 };

// A verified statement. `raw` is the envelope exactly as its author made it; it is what travels and what is stored.
struct Statement {
  MessageId id;
  PeerId author;
  Body body;
  std::shared_ptr<const Bytes> raw;

  StatementType type() const { return static_cast<StatementType>(body.index() + 1); }
};

// ---------------------------------------------------------------- link messages

struct StatementBundle {
  std::vector<std::shared_ptr<const Bytes>> statements;  // raw envelopes
};

// A job whose evidence the sender does not have, since it is told that this came of it (fold.hpp).
struct LeftOut {
  JobId job;
  Digest root;
  auto operator<=>(const LeftOut&) const = default;
};

// Set comparison over all stored statements: one 64-bit sum of ids per bucket (first byte of the id).
struct Summary {
  std::vector<std::uint64_t> buckets;  // 256
  bool headlines = false;              // only over what is to be known of all jobs first: manifests, cancellations, peer records, folds
  bool answer = false;                 // to a summary whose left_out is left out of this one already
  std::vector<LeftOut> left_out = {};  // by job
};

struct BucketIds {
  std::vector<std::uint8_t> buckets;  // those that differ
  std::vector<MessageId> ids;         // all ids of these buckets
  bool headlines = false;             // as in the summary that this answers; then it comes also when no bucket differs
  std::vector<LeftOut> left_out = {};
};

struct Want {
  std::vector<MessageId> ids;
};

// What the sender holds of a job: its inputs whole, and the archives of these units (the ones since its last message, or
// all when `complete`).
struct Holdings {
  JobId job;
  bool inputs_whole = false;
  bool complete = false;
  std::vector<std::pair<UnitIndex, UnitIndex>> units = {};  // half-open ranges, ascending
  bool folded = false;  // nothing, and will keep nothing: it is told the job in short
};

struct BlobGet {
  Digest blob;
  std::uint64_t size_bytes = 0;
  std::uint64_t first_leaf = 0;
  std::uint32_t leaf_count = 0;  // at most limits::leaves_per_range_max
};

struct BlobData {
  Digest blob;
  std::uint64_t size_bytes = 0;
  std::uint64_t first_leaf = 0;
  std::uint32_t leaf_count = 0;
  bool missing = false;  // the sender does not have it: bytes and proof are empty
  Bytes bytes;
  std::vector<Digest> proof;  // base/merkle_tree.hpp
};

// What was accepted of this unit, if that root is what came of the job? Who sees it otherwise does not answer.
struct FoldQuestion {
  JobId job;
  Digest root;
  UnitIndex unit = 0;
};

struct FoldProof {
  JobId job;
  Digest root;
  UnitIndex unit = 0;
  Outcome outcome;
  std::vector<Digest> path;  // from the leaf up
};

using LinkMessage = std::variant<StatementBundle, Summary, BucketIds, Want, Holdings, BlobGet, BlobData, FoldQuestion, FoldProof>;

}  // namespace starling::protocol
