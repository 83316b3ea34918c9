#include <unistd.h>

#include "coordinator-less/base/check.hpp"
#include "sdk/cli/commands.hpp"
#include "sdk/client/splitting.hpp"

namespace starling::cli {

namespace {

using base::ErrorCode;
using protocol::JobState;
using protocol::JobStatus;
using std::filesystem::path;

constexpr std::chrono::minutes fetch_timeout{5};

Done make_folder(const path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!error && std::filesystem::is_directory(folder) && ::access(folder.c_str(), W_OK | X_OK) == 0) return {};
  return base::fail(ErrorCode::refused, "cannot write into " + folder.string(), "choose another folder with -o");
}

Done check_ready(const JobStatus& job, bool partial) {
  if (partial || job.state == JobState::finished || job.state == JobState::failed) return {};
  const std::string what = "job " + job.id.brief() + " is " + protocol::name_of(job.state) + ": " + std::to_string(job.accepted) + " of " +
                           std::to_string(job.units) + " units are verified";
  if (job.state == JobState::canceled || job.state == JobState::aborted) return base::fail(ErrorCode::timeout, what, "it does not go on; take what is there: --partial");
  return base::fail(ErrorCode::timeout, what, "wait for it: starling job wait " + job.id.brief() + "; or take what is there: --partial");
}

Json meta_line(const client::Result& result, std::uint64_t item, const client::ItemOutput& output) {
  Json files = Json::array();
  for (const auto& file : output.files) files.push_back(client::item_name(item) + ".out/" + file.path);
  return {{"item", item},
          {"unit", result.unit},
          {"outcome", client::name_of(output.kind)},
          {"code", output.code},
          {"archive", result.outcome.digest.base32()},
          {"unit_fuel", result.outcome.fuel},
          {"stdout", client::item_name(item) + ".stdout"},
          {"files", std::move(files)}};
}

// Paths come from guests that nobody vouches for: read_archive refused any that leave their folder.
Done write_files(const path& folder, const std::vector<client::OutputFile>& files) {
  for (const auto& file : files) {
    if (!client::is_safe_path(file.path)) return base::fail(ErrorCode::malformed, "an output file has a path that leaves its folder");
    const path to = folder / file.path;
    if (const auto made = make_folder(to.parent_path()); !made) return made;
    if (const auto written = client::write_file(to, file.bytes); !written) return written;
  }
  return {};
}

// Collects accepted items: as files of the folder, or for the program's merge.
class Collector {
 public:
  Collector(path folder, bool merges) : folder_(std::move(folder)), merges_(merges) {}

  Done take(const client::Result& result) {
    for (std::size_t i = 0; i < result.items.size(); ++i) {
      const std::uint64_t item = result.first_item + i;
      meta_ += client::dump(meta_line(result, item, result.items[i])) + "\n";
      if (const auto taken = take_item(item, result.items[i]); !taken) return taken;
    }
    return {};
  }
  Done write_meta() const { return client::write_file(folder_ / "meta.jsonl", base::view(meta_)); }
  std::vector<client::LocalInput> outputs() { return std::move(outputs_); }
  std::uint64_t items() const { return items_; }
  std::uint64_t failures() const { return failures_; }

 private:
  Done take_item(std::uint64_t item, const client::ItemOutput& output) {
    ++items_;
    if (output.kind != protocol::OutcomeKind::ok) ++failures_;
    if (merges_) {
      if (output.kind == protocol::OutcomeKind::ok) client::add_outputs(item, output, outputs_);
      return {};
    }
    const std::string name = client::item_name(item);
    if (const auto written = client::write_file(folder_ / (name + ".stdout"), output.standard_output); !written) return written;
    return write_files(folder_ / (name + ".out"), output.files);
  }

  path folder_;
  bool merges_;
  std::string meta_;
  std::vector<client::LocalInput> outputs_;
  std::uint64_t items_ = 0, failures_ = 0;
};

base::Expected<client::ItemOutput> merge(Context& context, client::Client& client, const JobStatus& job, Collector& collector) {
  const auto& manifest = *job.manifest;
  context.output.note("merging: " + manifest.name + " merge " + manifest.split);
  STARLING_TRY(const base::Bytes program, client.fetch(job.id, manifest.program, fetch_timeout));
  const path file = context.state_folder / ("merge-" + job.id.brief() + "-" + std::to_string(::getpid()) + ".wasm");
  if (const auto written = client::write_file(file, program, 0600); !written) return std::unexpected(written.error());
  auto merged = client::run_merge(context.ports.programs, {.program = file, .scheme = manifest.split, .outputs = collector.outputs()});
  std::error_code error;
  std::filesystem::remove(file, error);
  return merged;
}

}  // namespace

Done results(Context& context, const ResultsOptions& options) {
  const path folder = options.folder;
  if (const auto prepared = context.ports.programs.prepare(); !prepared) return prepared;
  STARLING_TRY(client::Client client, connect(context));
  STARLING_TRY(const base::JobId id, client.find(options.job));
  STARLING_TRY(const JobStatus job, client.job(id));
  if (const auto ready = check_ready(job, options.partial); !ready) return ready;
  if (const auto made = make_folder(folder); !made) return made;

  Collector collector(folder, !job.manifest->split.empty());
  const auto fetched = client.for_each_result(id, fetch_timeout, [&](const client::Result& result) -> Done {
    context.output.progress("fetching results: unit " + std::to_string(result.unit + 1) + " of " + std::to_string(job.units));
    if (context.interrupted) return base::fail(ErrorCode::interrupted, "stopped while fetching results", "run the same command again");
    return collector.take(result);
  });
  context.output.end_progress();
  if (!fetched) return fetched;
  if (const auto written = collector.write_meta(); !written) return written;

  Json answer{{"job", id.base32()}, {"folder", folder.string()}, {"items", collector.items()}, {"failed_items", collector.failures()}};
  std::string human = "results of " + std::to_string(collector.items()) + " items are in " + folder.string();
  if (!job.manifest->split.empty()) {
    STARLING_TRY(const client::ItemOutput merged, merge(context, client, job, collector));
    if (const auto written = write_files(folder, merged.files); !written) return written;
    const std::string said(base::text(merged.standard_output));
    answer["merge_output"] = said;
    answer["files"] = Json::array();
    for (const auto& file : merged.files) answer["files"].push_back(file.path);
    human = (said.empty() ? "" : said + (said.ends_with('\n') ? "" : "\n")) + human;
  }
  context.output.answer(human, std::move(answer), "");
  if (collector.failures() == 0) return {};
  return base::fail(ErrorCode::job_failed, std::to_string(collector.failures()) + " items of job " + id.brief() + " failed",
                    "see outcome and code in " + (folder / "meta.jsonl").string());
}

Done evidence_export(Context& context, const EvidenceOptions& options) {
  STARLING_TRY(client::Client client, connect(context));
  STARLING_TRY(const base::JobId id, client.find(options.job));
  STARLING_TRY(const auto evidence, client.evidence(id));
  const path file = options.file.empty() ? path(id.brief() + ".evidence") : path(options.file);
  if (const auto written = runtime::write_evidence_file(file, evidence); !written) return written;
  context.output.answer(std::to_string(evidence.envelopes.size()) + " signed statements are in " + file.string(),
                        {{"job", id.base32()}, {"file", file.string()}, {"statements", evidence.envelopes.size()}}, file.string());
  return {};
}

}  // namespace starling::cli
