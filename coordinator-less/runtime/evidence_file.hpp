// A job's evidence as one self-contained file, and what it implies for judges of the reader's choice.
//
// Format, little-endian: "starling evidence 1\n" | u32 length | network id bytes (protocol/swarm.hpp: their SHA-256 is the
// network id) | u32 count | count x (u32 length | raw envelope). Nothing may follow. The file is trusted in nothing: every
// envelope's signature is checked against the network it names, and statements that a peer would not take are refused: of other
// jobs, or results that go on from something where nothing goes on. The same statement twice counts once.
// Bounds: limits evidence_file_bytes_max, statements_per_job_max, evidence_envelope_bytes_max, authors_per_job_max.
#pragma once

#include <filesystem>
#include <memory>
#include <set>
#include <vector>

#include "coordinator-less/base/error.hpp"
#include "coordinator-less/protocol/explanation.hpp"
#include "coordinator-less/protocol/judgement/evidence.hpp"
#include "coordinator-less/protocol/judgement/verdict.hpp"
#include "coordinator-less/protocol/swarm.hpp"

namespace starling::runtime {

struct EvidenceFile {
  protocol::SwarmParameters swarm;
  std::vector<std::shared_ptr<const base::Bytes>> envelopes;
};

base::NetworkId network_id_of(const protocol::SwarmParameters& swarm);

base::Bytes encode_evidence(const EvidenceFile& file);
base::Expected<EvidenceFile> decode_evidence(base::ByteView bytes);  // bad_input, with what is wrong

// Written beside and renamed, so that an interrupted export leaves no half file.
base::Expected<void> write_evidence_file(const std::filesystem::path& path, const EvidenceFile& file);
base::Expected<EvidenceFile> read_evidence_file(const std::filesystem::path& path);  // not_found, bad_input

struct RefusedStatement {
  std::uint32_t number = 0;  // in the file, from 0
  std::string reason;
};

// The verdict of one file for one set of judges; a pure function of both. The owner's replays always count: it is his job.
struct OfflineJudgement {
  base::JobId job;
  base::PeerId owner;
  protocol::Manifest manifest;
  bool canceled = false;
  std::uint64_t refused_count = 0;  // envelopes that do not verify, or speak of another job
  std::vector<RefusedStatement> refused;  // the first limits::refusals_told_max of them
  std::uint64_t repeated_count = 0;
  std::uint64_t results_count = 0, replays_count = 0;  // statements; one of results has many answers
  std::unique_ptr<protocol::JobEvidence> evidence;
  std::unique_ptr<protocol::UnitOrder> order;
  std::unique_ptr<protocol::Verdict> verdict;  // over *evidence and *order
};

// Errors: bad_input when the file holds no manifest, or more than one, or statements of more keys than a job has.
base::Expected<OfflineJudgement> judge(const EvidenceFile& file, std::set<base::PeerId> judges);
protocol::JobExplanation explain(const OfflineJudgement& judgement);

}  // namespace starling::runtime
