#include "tests/same_bytes/corpus.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/support/random_module.hpp"

namespace starling::testing {
namespace {

base::Bytes read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return base::copy(base::view(text));
}

}  // namespace

std::vector<Case> random_cases(std::uint64_t first_seed, std::uint64_t count) {
  std::vector<Case> out;
  for (std::uint64_t seed = first_seed; seed < first_seed + count; ++seed) {
    RandomModule module = random_module(seed);
    Case one{"random_" + std::string(name_of(module.flavour)) + "/" + std::to_string(seed), std::move(module.wasm), {}, {}, {}, {}};
    if (module.flavour == Flavour::endless) one.limits.fuel_max = 300'000;
    out.push_back(std::move(one));
  }
  return out;
}

// Arguments beside the empty ones: what makes the project's own guests do something.
std::vector<Case> guest_cases(const std::string& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".wasm" && !entry.path().filename().string().starts_with("kernel_")) files.push_back(entry.path());
  std::ranges::sort(files);
  std::vector<Case> out;
  for (const auto& file : files) {
    const std::string name = file.stem().string();
    const auto add = [&](const std::string& suffix, std::vector<std::string> arguments, std::string input) {
      out.push_back({"guest/" + name + suffix, read_file(file), {}, {20'000'000, 200, 100'000}, std::move(arguments), std::move(input)});
    };
    add("", {}, "3\n");
    if (name == "busy") add("_turns", {"100000"}, "3\n");
    if (name == "misbehave")
      for (const char* what : {"divide", "convert", "call", "fill-memory", "fill-stdout", "loop", "recurse", "recurse-native"})
        add(std::string("_") + what, {what}, what);
  }
  return out;
}

}  // namespace starling::testing
