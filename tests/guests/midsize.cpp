// A program of ordinary size (containers, streams, formatting): what compile times are measured with.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

std::vector<double> smooth(const std::vector<double>& in, int rounds) {
  std::vector<double> now = in;
  std::vector<double> next(in.size());
  for (int r = 0; r < rounds; ++r) {
    for (std::size_t i = 1; i + 1 < now.size(); ++i) next[i] = 0.25 * now[i - 1] + 0.5 * now[i] + 0.25 * now[i + 1];
    std::swap(now, next);
  }
  return now;
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::stoi(argv[1]) : 100;
  std::vector<double> values(4096);
  std::uint64_t state = 88172645463325252ULL;
  for (auto& value : values) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    value = static_cast<double>(state % 1000) / 1000.0 + std::sin(static_cast<double>(state % 77));
  }
  values = smooth(values, rounds);
  std::map<std::string, std::vector<double>> groups;
  for (const double value : values) {
    std::ostringstream key;
    key << static_cast<int>(value * 10);
    groups[key.str()].push_back(value);
  }
  for (auto& [key, group] : groups) {
    std::ranges::sort(group);
    std::cout << key << ' ' << group.size() << ' ' << group[group.size() / 2] << '\n';
  }
  return 0;
}
