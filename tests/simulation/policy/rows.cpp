#include "tests/simulation/policy/rows.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace starling::simulation::policy {

Row& Row::set(const std::string& name, const std::string& value) {
  cells_[name] = value;
  return *this;
}

Row& Row::set(const std::string& name, double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  return set(name, std::string(text));
}

const std::string& Row::text(const std::string& name) const {
  static const std::string none;
  const auto it = cells_.find(name);
  return it == cells_.end() ? none : it->second;
}

double Row::number(const std::string& name) const {
  return std::strtod(text(name).c_str(), nullptr);
}

std::string Row::line() const {
  std::string out;
  for (const auto& [name, value] : cells_) {
    std::string cell = value;
    std::ranges::replace(cell, ',', ';');
    if (!out.empty()) out += ',';
    out += name + '=' + cell;
  }
  return out;
}

Row Row::parse(const std::string& line) {
  Row row;
  std::istringstream cells(line);
  for (std::string cell; std::getline(cells, cell, ',');) {
    const auto equals = cell.find('=');
    if (equals == std::string::npos) continue;
    std::string value = cell.substr(equals + 1);
    std::ranges::replace(value, ';', ',');
    row.set(cell.substr(0, equals), value);
  }
  return row;
}

Rows read_rows(const std::string& file) {
  Rows rows;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) rows.push_back(Row::parse(line));
  return rows;
}

Estimate estimate(const std::vector<double>& values) {
  Estimate e;
  if (values.empty()) return e;
  for (const double v : values) e.mean += v;
  e.mean /= static_cast<double>(values.size());
  double squares = 0;
  for (const double v : values) squares += (v - e.mean) * (v - e.mean);
  if (values.size() > 1) e.half_width = 1.96 * std::sqrt(squares / static_cast<double>(values.size() - 1) / static_cast<double>(values.size()));
  return e;
}

}  // namespace starling::simulation::policy
