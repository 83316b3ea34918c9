// What C++ programs do through libc++: streams, containers, algorithms, formatting, clocks. Debian's libc++ for wasm32 is built
// without <fstream> and std::filesystem's operations, so files go through C's streams.
#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <format>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <ranges>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Close>;

std::string content_of(const std::string& path) {
  std::string out;
  const File file(std::fopen(path.c_str(), "rb"));
  for (int c; file && (c = std::fgetc(file.get())) != EOF;) out += static_cast<char>(c);
  return out;
}

void containers() {
  std::map<std::string, int> words;
  std::istringstream in(content_of("/in/data.txt"));
  for (std::string word; in >> word;) ++words[word];
  for (const auto& [word, count] : words) std::cout << word << '=' << count << ' ';
  std::vector<int> numbers(20);
  std::iota(numbers.begin(), numbers.end(), 0);
  std::mt19937 engine(7);
  std::ranges::shuffle(numbers, engine);
  std::ranges::sort(numbers, std::greater{});
  std::cout << "| " << numbers.front() << ' ' << numbers.back() << ' ' << std::mt19937(7)() << '\n';
  std::unordered_map<std::string, double> table{{"pi", 3.14159265358979}, {"e", 2.71828}};
  std::cout << std::fixed << std::setprecision(4) << table["pi"] << ' ' << std::scientific << table["e"] << ' ' << std::hex << 255 << std::dec << '\n';
  std::cout << std::format("{:>8}|{:<6}|{:+.2f}|{:#x}", "right", "left", 1.5, 42) << '\n';
}

void files() {
  const std::filesystem::path folder = "/out/deep";
  mkdir(folder.c_str(), 0777);
  for (const char* name : {"zeta", "alpha", "mid"}) {
    const File file(std::fopen((folder / name).c_str(), "wb"));
    std::fputs(std::format("{} in {}\n", name, folder.filename().string()).c_str(), file.get());
  }
  std::vector<std::string> seen;
  const std::unique_ptr<DIR, decltype([](DIR* dir) { closedir(dir); })> dir(opendir(folder.c_str()));
  while (const dirent* entry = readdir(dir.get())) seen.emplace_back(entry->d_name);
  for (const auto& name : seen) std::cout << name << ' ';
  std::cout << content_of(folder / "mid");
}

}  // namespace

int main() {
  containers();
  files();
  const auto start = std::chrono::steady_clock::now();
  const auto later = std::chrono::steady_clock::now();
  std::random_device device;
  const bool random = device() != device();
  std::string line;
  std::getline(std::cin, line);
  std::cout << (later > start) << random << " <" << line << ">\n";
  return std::cout.flush() ? 0 : 1;
}
