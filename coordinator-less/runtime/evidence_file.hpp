// A job's evidence as one self-contained file, and what it implies for judges of the reader's choice.
//
// Format, little-endian: "starling evidence 1\n" | u32 length | network id bytes (protocol/swarm.hpp: their SHA-256 is the
// network id) | u32 count | count x (u32 length | raw envelope). Nothing may follow. The file is trusted in nothing: every
// envelope's signature is checked against the network it names, and statements of other jobs are refused.
// Bounds: limits evidence_file_bytes_max, statements_per_job_max, evidence_envelope_bytes_max.
#pragma once

#include <filesystem>
#include <memory>
#include <set>
#include <vector>

#include "coordinator-less/base/error.hpp"
#include "coordinator-less/protocol/evidence.hpp"
#include "coordinator-less/protocol/swarm.hpp"
#include "coordinator-less/protocol/verdict.hpp"

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

// The verdict of one file for one set of judges; a pure function of both.
struct OfflineJudgement {
  base::JobId job;
  base::PeerId owner;
  protocol::Manifest manifest;
  bool canceled = false;
  std::uint64_t refused_count = 0;  // envelopes that do not verify, or speak of another job
  std::unique_ptr<protocol::JobEvidence> evidence;
  std::unique_ptr<protocol::Verdict> verdict;  // over *evidence
};

// Errors: bad_input when the file holds no manifest, or more than one.
base::Expected<OfflineJudgement> judge(const EvidenceFile& file, const std::set<base::PeerId>& judges);

}  // namespace starling::runtime
