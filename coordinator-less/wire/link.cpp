#include <peer.capnp.h>

#include <memory>

#include "coordinator-less/base/merkle_tree.hpp"
#include "coordinator-less/wire/codec.hpp"
#include "coordinator-less/wire/message_io.hpp"
#include "coordinator-less/wire/outcome_io.hpp"

namespace starling::wire {
namespace {

using namespace protocol;

constexpr std::size_t bucket_count = 256;  // the first byte of an id names its bucket

// ---------------------------------------------------------------- statements and their comparison

StatementBundle read_statements(capnp::List<capnp::Data>::Reader list) {
  counted(list, limits::statements_per_bundle_max, "too many statements in a bundle");
  require(list.size() >= 1, "a bundle holds no statement");
  StatementBundle out;
  out.statements.reserve(list.size());
  for (const auto raw : list) {
    require(raw.size() >= 1 && raw.size() <= limits::statement_bytes_max, "a statement's length is out of range");
    out.statements.push_back(std::make_shared<const Bytes>(base::copy(bytes_of(raw))));
  }
  return out;
}

// Serves Summary and BucketIds, which say it by the same fields.
template <class Reader>
std::vector<LeftOut> read_left_out(Reader in) {
  const auto jobs = read_ids<JobId>(in.getLeftOutJobs(), limits::folded_jobs_max);
  const auto roots = read_ids<Digest>(in.getLeftOutRoots(), limits::folded_jobs_max);
  require(jobs.size() == roots.size(), "jobs that are left out and their roots do not match");
  require(strictly_ascending(jobs), "jobs that are left out are not ascending");
  std::vector<LeftOut> out;
  out.reserve(jobs.size());
  for (std::size_t i = 0; i < jobs.size(); ++i) out.push_back({jobs[i], roots[i]});
  return out;
}

Summary read_summary(schema::Summary::Reader in) {
  const auto list = in.getBuckets();
  require(list.size() == bucket_count, "a summary has not 256 buckets");
  Summary out{copied<std::uint64_t>(list), in.getHeadlines(), in.getAnswer(), read_left_out(in)};
  require(!out.headlines || (out.left_out.empty() && !out.answer), "a summary of headlines leaves something out");
  return out;
}

std::vector<MessageId> read_id_set(capnp::Data::Reader data) {
  auto ids = read_ids<MessageId>(data, limits::ids_per_reconciliation_max);
  require(strictly_ascending(ids), "ids are not ascending");
  return ids;
}

BucketIds read_bucket_ids(schema::BucketIds::Reader in) {
  const auto buckets = counted(in.getBuckets(), bucket_count, "too many buckets");
  BucketIds out{{buckets.begin(), buckets.end()}, {}};
  require(strictly_ascending(out.buckets), "buckets are not ascending");
  out.ids = read_id_set(in.getIds());
  out.headlines = in.getHeadlines();
  out.left_out = read_left_out(in);
  return out;
}

Holdings read_holdings(schema::Holdings::Reader in) {
  const auto list = counted(in.getUnits(), limits::ranges_per_holdings_max, "too many ranges");
  Holdings out{read_id<JobId>(in.getJob()), in.getInputsWhole(), in.getComplete(), {}, in.getFolded()};
  require(!out.folded || (!out.inputs_whole && list.size() == 0), "who keeps nothing holds something");
  out.units.reserve(list.size());
  for (const auto range : list) {
    const UnitIndex first_free = out.units.empty() ? 0 : out.units.back().second;
    require(range.getFirst() >= first_free && range.getEnd() > range.getFirst(), "ranges are not ascending");
    require(range.getEnd() <= limits::units_per_job_max, "a unit is out of range");
    out.units.emplace_back(range.getFirst(), range.getEnd());
  }
  return out;
}

// ---------------------------------------------------------------- blobs

void check_leaves(std::uint64_t size_bytes, std::uint64_t first_leaf, std::uint32_t leaf_count) {
  require(size_bytes <= limits::blob_bytes_max, "a blob is too large");
  require(leaf_count >= 1 && leaf_count <= limits::leaves_per_range_max, "the number of leaves is out of range");
  const std::uint64_t leaves = base::leaf_count(size_bytes);
  require(first_leaf < leaves && leaf_count <= leaves - first_leaf, "the leaves lie outside the blob");
}

BlobGet read_blob_get(schema::BlobGet::Reader in) {
  check_leaves(in.getSizeBytes(), in.getFirstLeaf(), in.getLeafCount());
  return {read_id<Digest>(in.getBlob()), in.getSizeBytes(), in.getFirstLeaf(), in.getLeafCount()};
}

std::uint64_t range_bytes(const BlobData& range) {
  const std::uint64_t first = range.first_leaf * base::leaf_bytes;
  return std::min(range.size_bytes, first + range.leaf_count * base::leaf_bytes) - first;
}

BlobData read_blob_data(schema::BlobData::Reader in) {
  check_leaves(in.getSizeBytes(), in.getFirstLeaf(), in.getLeafCount());
  BlobData out{read_id<Digest>(in.getBlob()), in.getSizeBytes(), in.getFirstLeaf(), in.getLeafCount(), in.getMissing(), {}, {}};
  const auto bytes = in.getBytes();
  require(bytes.size() == (out.missing ? 0 : range_bytes(out)), "a range does not have the length that it should");
  require(!out.missing || !in.hasProof(), "a missing range has a proof");
  out.bytes = base::copy(bytes_of(bytes));
  out.proof = read_ids<Digest>(in.getProof(), limits::proof_nodes_max);
  return out;
}

FoldQuestion read_fold_question(schema::FoldQuestion::Reader in) {
  return {read_id<JobId>(in.getJob()), read_id<Digest>(in.getRoot()), checked_unit(in.getUnit())};
}

FoldProof read_fold_proof(schema::FoldProof::Reader in) {
  return {read_id<JobId>(in.getJob()), read_id<Digest>(in.getRoot()), checked_unit(in.getUnit()), read_outcome(in.getOutcome()),
          read_ids<Digest>(in.getPath(), limits::fold_path_max)};
}

LinkMessage read_link(schema::LinkMessage::Reader in) {
  switch (in.which()) {
    case schema::LinkMessage::UNSET: break;
    case schema::LinkMessage::STATEMENTS: return read_statements(in.getStatements());
    case schema::LinkMessage::SUMMARY: throw Malformed{"a summary of an older version"};
    case schema::LinkMessage::COMPARISON: return read_summary(in.getComparison());
    case schema::LinkMessage::BUCKET_IDS: return read_bucket_ids(in.getBucketIds());
    case schema::LinkMessage::WANT: return Want{read_id_set(in.getWant())};
    case schema::LinkMessage::HOLDINGS: return read_holdings(in.getHoldings());
    case schema::LinkMessage::BLOB_GET: return read_blob_get(in.getBlobGet());
    case schema::LinkMessage::BLOB_DATA: return read_blob_data(in.getBlobData());
    case schema::LinkMessage::FOLD_QUESTION: return read_fold_question(in.getFoldQuestion());
    case schema::LinkMessage::FOLD_PROOF: return read_fold_proof(in.getFoldProof());
  }
  throw Malformed{"unknown link message"};
}

// ---------------------------------------------------------------- writing

Bytes encode(const StatementBundle& message) {
  std::size_t words = 8;
  for (const auto& raw : message.statements) words += 1 + words_of(raw->size());
  return write_message<schema::LinkMessage>(words, [&](auto out) {
    auto list = out.initStatements(count_of(message.statements));
    for (kj::uint i = 0; i < list.size(); ++i) list.set(i, data_of(*message.statements[i]));
  });
}

template <class Builder>
void write_left_out(Builder out, const std::vector<LeftOut>& left_out) {
  if (left_out.empty()) return;
  std::vector<JobId> jobs;
  std::vector<Digest> roots;
  for (const LeftOut& one : left_out) {
    jobs.push_back(one.job);
    roots.push_back(one.root);
  }
  write_ids(out.initLeftOutJobs(count_of(jobs) * JobId::size), jobs);
  write_ids(out.initLeftOutRoots(count_of(roots) * Digest::size), roots);
}

Bytes encode(const Summary& message) {
  return write_message<schema::LinkMessage>(16 + message.buckets.size() + 8 * message.left_out.size(), [&](auto link) {
    auto out = link.initComparison();
    out.setBuckets(kj::arrayPtr(message.buckets.data(), message.buckets.size()));
    out.setHeadlines(message.headlines);
    out.setAnswer(message.answer);
    write_left_out(out, message.left_out);
  });
}

Bytes encode(const BucketIds& message) {
  const auto buckets = as_set(message.buckets);
  const auto ids = as_set(message.ids);
  return write_message<schema::LinkMessage>(24 + words_of(buckets.size()) + 4 * ids.size() + 8 * message.left_out.size(), [&](auto link) {
    auto out = link.initBucketIds();
    out.setHeadlines(message.headlines);
    out.setBuckets(capnp::Data::Reader(buckets.data(), buckets.size()));
    write_ids(out.initIds(count_of(ids) * MessageId::size), ids);
    write_left_out(out, message.left_out);
  });
}

Bytes encode(const Want& message) {
  const auto ids = as_set(message.ids);
  return write_message<schema::LinkMessage>(8 + 4 * ids.size(), [&](auto out) {
    write_ids(out.initWant(count_of(ids) * MessageId::size), ids);
  });
}

Bytes encode(const Holdings& message) {
  return write_message<schema::LinkMessage>(24 + message.units.size(), [&](auto link) {
    auto out = link.initHoldings();
    out.setJob(data_of(message.job.view()));
    out.setInputsWhole(message.inputs_whole);
    out.setComplete(message.complete);
    out.setFolded(message.folded);
    auto list = out.initUnits(count_of(message.units));
    for (kj::uint i = 0; i < list.size(); ++i) {
      list[i].setFirst(message.units[i].first);
      list[i].setEnd(message.units[i].second);
    }
  });
}

// BlobGet and BlobData name a range by the same fields.
template <class Builder, class Message>
void write_range(Builder out, const Message& message) {
  out.setBlob(data_of(message.blob.view()));
  out.setSizeBytes(message.size_bytes);
  out.setFirstLeaf(message.first_leaf);
  out.setLeafCount(message.leaf_count);
}

Bytes encode(const BlobGet& message) {
  return write_message<schema::LinkMessage>(24, [&](auto out) { write_range(out.initBlobGet(), message); });
}

Bytes encode(const BlobData& message) {
  const std::size_t words = 32 + words_of(message.bytes.size()) + 4 * message.proof.size();
  return write_message<schema::LinkMessage>(words, [&](auto link) {
    auto out = link.initBlobData();
    write_range(out, message);
    out.setMissing(message.missing);
    out.setBytes(data_of(message.bytes));
    if (!message.proof.empty()) write_ids(out.initProof(count_of(message.proof) * Digest::size), message.proof);
  });
}

Bytes encode(const FoldQuestion& message) {
  return write_message<schema::LinkMessage>(24, [&](auto link) {
    auto out = link.initFoldQuestion();
    out.setJob(data_of(message.job.view()));
    out.setRoot(data_of(message.root.view()));
    out.setUnit(message.unit);
  });
}

Bytes encode(const FoldProof& message) {
  return write_message<schema::LinkMessage>(48 + 4 * message.path.size(), [&](auto link) {
    auto out = link.initFoldProof();
    out.setJob(data_of(message.job.view()));
    out.setRoot(data_of(message.root.view()));
    out.setUnit(message.unit);
    write_outcome(out.initOutcome(), message.outcome);
    write_ids(out.initPath(count_of(message.path) * Digest::size), message.path);
  });
}

}  // namespace

base::Bytes encode_link(const LinkMessage& message) {
  return std::visit([](const auto& alternative) { return encode(alternative); }, message);
}

base::Expected<LinkMessage> decode_link(base::ByteView frame) {
  return read_message<schema::LinkMessage>(frame, limits::frame_bytes_max, read_link);
}

}  // namespace starling::wire
