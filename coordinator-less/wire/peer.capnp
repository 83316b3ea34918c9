@0xd0c51fb0a7a36e1b;
# Everything that peers say to each other. Framing: the standard stream framing of exactly one segment.
#
# Evolution rules:
#  - Fields are only added, at the end, with the next ordinal. None is renamed, retyped, reordered or reused.
#  - The default of a new field means "as before it existed". Readers ignore fields that they do not know.
#  - A new field may not change what an old reader concludes from the others. What must, is a new statement type or a new
#    Envelope.version, which old readers refuse whole.
#  - Enum values and union members are only added; a reader refuses values that it does not know.
#  - Statements are relayed and stored as the bytes their author signed, never re-encoded; so bodies live inside Data.
#  - Ids are Data of exactly 32 bytes; a list of ids is one Data, 32 bytes each, so that no pointer is paid per id.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("starling::wire::schema");

# ---------------------------------------------------------------- statements

struct Envelope {
  version @0 :UInt16;
  type @1 :UInt16;      # StatementType
  author @2 :Data;
  signature @3 :Data;   # 64 bytes
  body @4 :Data;        # a framed message of the type's struct
}

struct BlobRef {
  name @0 :Data;
  sizeBytes @1 :UInt64;
}

struct JobInput {
  name @0 :Text;
  blob @1 :BlobRef;
}

struct UnitLimits {
  memoryBytes @0 :UInt64;
  outputBytes @1 :UInt64;
  timeMs @2 :UInt32;
  fuel @3 :UInt64;  # of an item; 0: no limit
}

enum VerificationClass {
  trusted @0;
  fast @1;
  standard @2;
  strict @3;
}

struct Manifest {
  name @0 :Text;
  program @1 :BlobRef;
  arguments @2 :List(Text);
  inputs @3 :List(JobInput);
  units @4 :BlobRef;
  unitCount @5 :UInt32;
  itemsPerUnit @6 :UInt32;
  itemCount @7 :UInt64;
  limits @8 :UnitLimits;
  verification @9 :VerificationClass;
  epsilonPpm @10 :UInt32;
  peerEstimate @11 :UInt32;
  priority @12 :UInt8;
  createdUnixS @13 :Int64;
  expiresUnixS @14 :Int64;
  split @15 :Text;
  nonce @16 :UInt64;
  roundsMax @17 :UInt32;
  segmentRounds @18 :UInt32;
  knownPeers @19 :Data;          # ids, ascending
  knownUnits @20 :List(UInt32);  # of each, at least 1
  auditPercent @21 :UInt8 = 5;   # of the executions for it, 5 to 40
}

struct Cancel {
  job @0 :Data;
}

struct Claims {
  job @0 :Data;
  units @1 :List(UInt32);     # ascending
  released @2 :List(UInt32);  # ascending
  expiresMs @3 :UInt32;
  sequence @4 :UInt64;
}

enum OutcomeKind {
  ok @0;
  exitCode @1;
  trap @2;
  memoryLimit @3;
  outputLimit @4;
  checkpoint @5;
}

struct Outcome {
  kind @0 :OutcomeKind;
  code @1 :Int32;
  digest @2 :Data;
  archiveBytes @3 :UInt64;
  fuel @4 :UInt64;
  input @5 :Data;  # none: zeros
}

struct ResultEntry {
  # The outcome's fields stand here and not in an Outcome: one pointer less for each of 96 entries.
  unit @0 :UInt32;
  position @1 :UInt32;
  kind @2 :OutcomeKind;
  code @3 :Int32;
  digest @4 :Data;
  archiveBytes @5 :UInt64;
  fuel @6 :UInt64;
  fingerprint @7 :Data;  # empty: the items are too short to have one; never 32 zero bytes
  input @8 :Data;        # of the outcome; empty: none
  audit @9 :Bool;
}

struct Results {             # without entries, and then with nothing but the job: its author takes back all that he said of it
  job @0 :Data;
  firstLogIndex @1 :UInt64;  # the last entry's is below 2^32
  entries @2 :List(ResultEntry);
  chain @3 :UInt32;
  previous @4 :Data;         # of the author's results before these; empty: there are none
}

struct Replay {
  job @0 :Data;
  accusedStatement @1 :Data;
  accused @2 :Data;
  unit @3 :UInt32;
  compiled @4 :Outcome;
  interpreted @5 :Outcome;
  fingerprint @6 :Data;             # empty as in ResultEntry
  interpretedFingerprint @7 :Data;
  headChain @8 :UInt32;             # the accused's last entry that the author had
  headIndex @9 :UInt32;
}

struct PeerRecord {
  addresses @0 :List(Text);
  sequence @1 :UInt64;
  puzzleNonce @2 :UInt64;
  light @3 :Bool;
  creditTo @4 :Data;  # empty: nobody
}

struct Fold {
  job @0 :Data;
  sequence @1 :UInt64;           # Unix ms; the newest of an author replaces the others
  root @2 :Data;                 # empty: taken back; then all that follows is empty or 0
  judges @3 :Data;               # empty: its author has named no roots
  failures @4 :UInt32;
  keys @5 :UInt32;               # with verified units
  creditKeys @6 :Data;           # ids, ascending, at most 32
  creditUnits @7 :List(UInt32);  # of each, at least 1
  creditFuel @8 :List(UInt64);
}

# ---------------------------------------------------------------- link messages

struct UnitRange {
  first @0 :UInt32;
  end @1 :UInt32;  # one past the last
}

struct Summary {
  buckets @0 :List(UInt64);  # 256 sums
  headlines @1 :Bool;        # over manifests, peer records and folds only
  answer @2 :Bool;           # to a summary; what that one left out is left out of this one too
  leftOutJobs @3 :Data;      # ids, ascending
  leftOutRoots @4 :Data;     # of each
}

struct BucketIds {
  buckets @0 :Data;  # one byte each, ascending
  ids @1 :Data;      # ascending
  headlines @2 :Bool;
  leftOutJobs @3 :Data;
  leftOutRoots @4 :Data;
}

struct Holdings {
  job @0 :Data;
  inputsWhole @1 :Bool;
  complete @2 :Bool;
  units @3 :List(UnitRange);  # ascending
  folded @4 :Bool;            # nothing, and will keep nothing
}

struct FoldQuestion {
  job @0 :Data;
  root @1 :Data;
  unit @2 :UInt32;
}

struct FoldProof {
  job @0 :Data;
  root @1 :Data;
  unit @2 :UInt32;
  outcome @3 :Outcome;
  path @4 :Data;  # digests, from the leaf up
}

struct BlobGet {
  blob @0 :Data;
  sizeBytes @1 :UInt64;
  firstLeaf @2 :UInt64;
  leafCount @3 :UInt32;
}

struct BlobData {
  blob @0 :Data;
  sizeBytes @1 :UInt64;
  firstLeaf @2 :UInt64;
  leafCount @3 :UInt32;
  missing @4 :Bool;
  bytes @5 :Data;
  proof @6 :Data;  # digests
}

struct LinkMessage {
  union {
    unset @0 :Void;                  # an empty message is no message
    statements @1 :List(Data);       # envelopes
    summary @2 :List(UInt64);        # of version 3 of the link protocol; refused
    bucketIds @3 :BucketIds;
    want @4 :Data;                   # ids, ascending
    holdings @5 :Holdings;
    blobGet @6 :BlobGet;
    blobData @7 :BlobData;
    comparison @8 :Summary;
    foldQuestion @9 :FoldQuestion;
    foldProof @10 :FoldProof;
  }
}

# ---------------------------------------------------------------- ticket

enum SwarmKind {
  publicSwarm @0;
  privateSwarm @1;
  development @2;
}

struct TicketPeer {
  id @0 :Data;
  addresses @1 :List(Text);
}

struct Ticket {
  kind @0 :SwarmKind;
  name @1 :Text;
  puzzleDifficultyBits @2 :UInt8;
  salt @3 :Data;    # 16 bytes
  secret @4 :Data;  # 32 bytes, or none
  peers @5 :List(TicketPeer);
}
