// What a command says and where: data on stdout, everything else on stderr. Three forms:
//   human   tables and sentences        json   one object with "schema": 1 on one line, names never change
//   quiet   bare ids and states, nothing on stderr but errors
#pragma once

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator-less/base/error.hpp"
#include "sdk/client/status_json.hpp"

namespace starling::cli {

using client::Json;
enum class Format : std::uint8_t { human, json, quiet };

// Text from elsewhere (job names, programs' words) with everything that could steer a terminal replaced.
std::string printable(std::string_view text);
// "starling: what happened; what to do next", or the error as one JSON object.
std::string error_line(const base::Error& error, Format format);
// Columns padded to their widest cell, two spaces between.
std::string table(const std::vector<std::vector<std::string>>& rows);

class Output {
 public:
  explicit Output(Format format, std::FILE* data = stdout, std::FILE* notes = stderr) : format_(format), data_(data), notes_(notes) {}

  Format format() const { return format_; }
  bool json() const { return format_ == Format::json; }
  bool quiet() const { return format_ == Format::quiet; }

  // The answer: exactly one of the three is used. `json` gets its schema number here.
  void answer(const std::string& human, Json json, const std::string& quiet) const;
  void note(std::string_view line) const;        // human and json: a line on stderr
  void error(const base::Error& error) const;    // always, on stderr
  void progress(const std::string& line);        // animates on a terminal; else a line when it changed, at most one in 5 s
  void end_progress();

 private:
  Format format_;
  std::FILE* data_;
  std::FILE* notes_;
  bool animating_ = false;
  std::string last_progress_;
  std::int64_t last_progress_ms_ = 0;
};

}  // namespace starling::cli
