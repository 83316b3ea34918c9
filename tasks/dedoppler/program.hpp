// The guest program as a function: arguments and standard input in, standard output, notices and exit code out.
//   (none) or search   stdin: one line `bands 1 FIRST COUNT`; stdout: hits; <out>/cutout-<channel>.bin
//   split bands        stdout: one such line per unit
//   merge bands        <out>/hits.csv and <out>/waterfall-<rank>.png
// Errors: one line on stderr, "dedoppler: what happened; what to do next", exit code 2.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tasks/dedoppler/files.hpp"

namespace starling::dedoppler {

struct Output {
  int exit_code = 0;
  std::string standard_output;
  std::string standard_error;
};

// `arguments` without the program's name.
Output run(const std::vector<std::string>& arguments, std::string_view standard_input, const Folders& folders);

}  // namespace starling::dedoppler
