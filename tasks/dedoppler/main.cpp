// The entry point of guest and native build. DEDOPPLER_IN and DEDOPPLER_OUT stand for /in and /out outside a work unit.
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "tasks/dedoppler/program.hpp"

namespace {

constexpr std::size_t stdin_bytes_max = 4096;  // a unit's line has under 40

std::string read_standard_input() {
  std::string input(stdin_bytes_max, '\0');
  std::size_t length = 0;
  while (length < input.size()) {
    const auto got = ::read(STDIN_FILENO, input.data() + length, input.size() - length);
    if (got <= 0) break;
    length += static_cast<std::size_t>(got);
  }
  input.resize(length);
  return input;
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const auto wrote = ::write(fd, text.data(), text.size());
    if (wrote <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  starling::dedoppler::Folders folders;
  if (const char* in = std::getenv("DEDOPPLER_IN")) folders.in = in;
  if (const char* out = std::getenv("DEDOPPLER_OUT")) folders.out = out;
  const bool searches = arguments.empty() || arguments.front() == "search";
  const auto output = starling::dedoppler::run(arguments, searches ? read_standard_input() : std::string(), folders);
  write_all(STDERR_FILENO, output.standard_error);
  if (!write_all(STDOUT_FILENO, output.standard_output)) return 2;
  return output.exit_code;
}
