// Raw rows of measured runs: what the tables are computed from. A file holds one row a line, as name=value cells.
#pragma once

#include <cstdio>
#include <map>
#include <string>
#include <vector>

namespace starling::simulation::policy {

class Row {
 public:
  Row& set(const std::string& name, const std::string& value);  // a ',' in it is kept as ';' in the file
  Row& set(const std::string& name, double value);
  const std::string& text(const std::string& name) const;  // empty: no such cell
  double number(const std::string& name) const;            // 0: no such cell
  std::string line() const;
  static Row parse(const std::string& line);

 private:
  std::map<std::string, std::string> cells_;
};

using Rows = std::vector<Row>;

Rows read_rows(const std::string& file);

template <class Keep>
Rows filter(const Rows& rows, const Keep& keep) {
  Rows out;
  for (const Row& row : rows) {
    if (keep(row)) out.push_back(row);
  }
  return out;
}
inline Rows of_group(const Rows& rows, const std::string& group) {
  return filter(rows, [&](const Row& row) { return row.text("group") == group; });
}

struct Estimate {
  double mean = 0, half_width = 0;  // 95 %, normal
};
Estimate estimate(const std::vector<double>& values);

// A page in the making, line by line.
struct Text {
  std::string out;
  void line(const char* text) { out += std::string(text) + '\n'; }
  template <class... Values>
  void line(const char* format, Values... values) {
    char text[600];
    std::snprintf(text, sizeof text, format, values...);
    line(static_cast<const char*>(text));
  }
};

}  // namespace starling::simulation::policy
