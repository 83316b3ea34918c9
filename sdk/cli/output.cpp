#include "sdk/cli/output.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

namespace starling::cli {

namespace {

constexpr std::int64_t plain_progress_interval_ms = 5000;

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool is_terminal(std::FILE* file) {
  const char* term = std::getenv("TERM");
  return ::isatty(::fileno(file)) != 0 && (term == nullptr || std::string_view(term) != "dumb");
}

void put_line(std::FILE* file, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), file);
  if (!text.ends_with('\n')) std::fputc('\n', file);
  std::fflush(file);
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out(text);
  std::ranges::replace_if(out, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  // The two-byte forms of the C1 controls (U+0080..U+009F) steer some terminals as well.
  for (std::size_t i = 0; i + 1 < out.size(); ++i)
    if (static_cast<unsigned char>(out[i]) == 0xc2 && static_cast<unsigned char>(out[i + 1]) < 0xa0) out[i] = out[i + 1] = ' ';
  return out;
}

std::string error_line(const base::Error& error, Format format) {
  if (format == Format::json) return client::dump(Json{{"schema", 1}, {"error", client::to_json(error)}});
  std::string line = "starling: " + printable(error.message);
  if (!error.hint.empty()) line += "; " + printable(error.hint);
  return line;
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (widths.size() <= i) widths.push_back(0);
      widths[i] = std::max(widths[i], row[i].size());
    }
  std::string out;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out += std::string(widths[i] - row[i].size() + 2, ' ');
    }
    out += '\n';
  }
  return out;
}

void Output::answer(const std::string& human, Json json, const std::string& quiet) const {
  json["schema"] = 1;
  const std::string text = format_ == Format::human ? human : format_ == Format::json ? client::dump(json) : quiet;
  if (!text.empty()) put_line(data_, text);
}

void Output::note(std::string_view line) const {
  if (!quiet()) put_line(notes_, printable(line));
}

void Output::error(const base::Error& error) const { put_line(notes_, error_line(error, format_)); }

void Output::progress(const std::string& line) {
  if (format_ != Format::human || line == last_progress_) return;
  if (is_terminal(notes_)) {
    std::fprintf(notes_, "\r\033[K%s", line.c_str());
    std::fflush(notes_);
    animating_ = true;
    last_progress_ = line;
    return;
  }
  if (now_ms() - last_progress_ms_ < plain_progress_interval_ms) return;
  put_line(notes_, line);
  last_progress_ = line;
  last_progress_ms_ = now_ms();
}

void Output::end_progress() {
  if (animating_) put_line(notes_, "");
  animating_ = false;
}

}  // namespace starling::cli
