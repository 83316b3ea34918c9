// Splitting and merging are the program's own (DESIGN: the core knows no science).
//   split NAME   argv `split NAME`, the job's inputs under /in; each line of its stdout is the stdin of one item.
//   merge NAME   argv `merge NAME`, accepted outputs as /in/NNNNNN/stdout and /in/NNNNNN/out/<path>, NNNNNN = item index
//                zero-padded to six digits; its /out is the job's result.
// Both run once, locally, in the same sandbox as a unit.
#pragma once

#include <string>
#include <vector>

#include "sdk/client/job_spec.hpp"
#include "sdk/client/program_runner.hpp"

namespace starling::client {

struct SplitRequest {
  std::filesystem::path program;
  std::string scheme;
  std::vector<JobSpec::InputFile> inputs;
};

// bad_input with the program's last words when it fails or prints nothing.
base::Expected<std::vector<std::string>> run_split(ProgramRunner& runner, const SplitRequest& request);

struct MergeRequest {
  std::filesystem::path program;
  std::string scheme;
  std::vector<LocalInput> outputs;  // by add_outputs
};

// Adds what one item left behind.
void add_outputs(std::uint64_t item, const ItemOutput& output, std::vector<LocalInput>& to);
std::string item_name(std::uint64_t item);  // "000042"
base::Expected<ItemOutput> run_merge(ProgramRunner& runner, const MergeRequest& request);

std::vector<std::string> lines_of(std::string_view text);  // a last line may lack its '\n'; "\r\n" counts as one break

}  // namespace starling::client
