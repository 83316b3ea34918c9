// fuzz_NAME [--seconds N] [--seed S] [--corpus DIR] [FILE...]
// Without FILEs: mutates valid and kept inputs until the time is over, then prints how many. One seed is one sequence of
// inputs. With FILEs: runs these inputs once. An input that breaks a promise is left in fuzz-failure.bin.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz_target.hpp"
#include "tests/fuzz/mutator.hpp"

namespace {

using namespace starling;

constexpr std::size_t input_bytes_max = 300 * 1024;  // a little above the longest frame
constexpr std::size_t fresh_seeds_max = 256;

base::ByteView current;  // for the signal handler

extern "C" void keep_input(int signal) {
  const int file = open("fuzz-failure.bin", O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (file >= 0) {
    const auto written = write(file, current.data(), current.size());
    constexpr char note[] = "fuzz: the input is in fuzz-failure.bin\n";
    if (written >= 0 && write(STDERR_FILENO, note, sizeof note - 1) < 0) _exit(2);
    close(file);
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

struct Options {
  long seconds = 10;
  std::uint64_t seed = 1;
  std::string corpus = STARLING_FUZZ_CORPUS;
  std::vector<std::string> files;
};

Options parse(std::vector<std::string> words) {
  Options options;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool has_value = i + 1 < words.size();
    if (words[i] == "--seconds" && has_value) {
      options.seconds = std::atol(words[++i].c_str());
    } else if (words[i] == "--seed" && has_value) {
      options.seed = std::strtoull(words[++i].c_str(), nullptr, 10);
    } else if (words[i] == "--corpus" && has_value) {
      options.corpus = words[++i];
    } else {
      options.files.push_back(words[i]);
    }
  }
  return options;
}

base::Bytes read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string content((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  return base::copy(base::view(content));
}

std::vector<base::Bytes> read_corpus(const std::string& folder) {
  std::vector<std::filesystem::path> paths;
  std::error_code missing;
  for (const auto& entry : std::filesystem::directory_iterator(folder, missing)) paths.push_back(entry.path());
  std::ranges::sort(paths);
  std::vector<base::Bytes> corpus;
  for (const auto& path : paths) corpus.push_back(read_file(path));
  return corpus;
}

bool run(const base::Bytes& input) {
  current = input;
  return fuzz::fuzz_one(input);
}

// Valid inputs, some of them replaced by fresh ones as time goes by; kept inputs stay.
class Pool {
 public:
  Pool(std::vector<base::Bytes> kept, base::Rng& rng) : inputs_(std::move(kept)), kept_count_(inputs_.size()) {
    for (std::size_t i = 0; i < fresh_seeds_max; ++i) inputs_.push_back(fuzz::draw_seed(rng));
  }
  const base::Bytes& draw(base::Rng& rng) const { return inputs_[rng.below(inputs_.size())]; }
  void renew(base::Rng& rng) { inputs_[kept_count_ + rng.below(fresh_seeds_max)] = fuzz::draw_seed(rng); }
  void keep_for_now(base::Bytes input, base::Rng& rng) { inputs_[kept_count_ + rng.below(fresh_seeds_max)] = std::move(input); }

 private:
  std::vector<base::Bytes> inputs_;
  std::size_t kept_count_;
};

void fuzz_for(const Options& options) {
  base::Rng rng(options.seed);
  auto corpus = read_corpus(options.corpus);
  for (const auto& input : corpus) run(input);
  Pool pool(std::move(corpus), rng);
  std::uint64_t executions = 0, accepted = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(options.seconds);
  while (executions % 64 != 0 || std::chrono::steady_clock::now() < end) {
    ++executions;
    base::Bytes input = fuzz::mutate(pool.draw(rng), pool.draw(rng), input_bytes_max, rng);
    if (run(input)) {
      ++accepted;
      if (rng.chance(0.05)) pool.keep_for_now(std::move(input), rng);
    }
    if (executions % 16 == 0) pool.renew(rng);
  }
  std::printf("fuzz: %llu executions, %llu accepted, seed %llu, no failure\n", static_cast<unsigned long long>(executions),
              static_cast<unsigned long long>(accepted), static_cast<unsigned long long>(options.seed));
}

}  // namespace

int main(int count, char** words) {
  for (const int signal : {SIGABRT, SIGSEGV, SIGFPE, SIGILL, SIGBUS}) std::signal(signal, keep_input);
  const Options options = parse({words + 1, words + count});
  for (const auto& file : options.files) std::printf("%s: %s\n", file.c_str(), run(read_file(file)) ? "accepted" : "refused");
  if (options.files.empty()) fuzz_for(options);
  return 0;
}
