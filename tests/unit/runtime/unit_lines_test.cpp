#include "coordinator-less/runtime/unit_lines.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "coordinator-less/base/limits.hpp"
#include "tests/unit/runtime/support.hpp"

using namespace starling;
using namespace starling::runtime;
using namespace starling::runtime::testing;

namespace {

class Units {
 public:
  explicit Units(std::string_view text) {
    write_file(folder_ / "units", text);
    descriptor_ = ::open((folder_ / "units").c_str(), O_RDONLY | O_CLOEXEC);
    manifest.units.size_bytes = text.size();
  }
  ~Units() { ::close(descriptor_); }

  base::Expected<UnitLines> scan(std::uint64_t item_count, std::uint32_t items_per_unit) {
    manifest.item_count = item_count;
    manifest.items_per_unit = items_per_unit;
    manifest.unit_count = static_cast<std::uint32_t>((item_count + items_per_unit - 1) / items_per_unit);
    return UnitLines::scan(descriptor_, manifest);
  }
  std::vector<std::string> items(const UnitLines& lines, base::UnitIndex unit) {
    std::vector<std::string> out;
    const auto read = lines.items(descriptor_, unit);
    REQUIRE(read);
    for (const auto& item : *read) out.emplace_back(base::text(item));
    return out;
  }
  protocol::Manifest manifest;

 private:
  ScratchFolder folder_;
  int descriptor_ = -1;
};

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("lines become the items of their units, without the line ends") {
  Units units("a\nbb\n\nd\ne\n");
  const auto lines = units.scan(5, 2);
  REQUIRE(lines);
  CHECK(units.items(*lines, 0) == Texts{"a", "bb"});
  CHECK(units.items(*lines, 1) == Texts{"", "d"});
  CHECK(units.items(*lines, 2) == Texts{"e"});
}

TEST_CASE("a last line may lack its end, and an empty line is an item") {
  Units open_end("one\ntwo");
  const auto lines = open_end.scan(2, 1);
  REQUIRE(lines);
  CHECK(open_end.items(*lines, 1) == Texts{"two"});
  Units blank("\n");
  const auto one = blank.scan(1, 1);
  REQUIRE(one);
  CHECK(blank.items(*one, 0) == Texts{""});
}

TEST_CASE("lines longer than the reading chunk keep their bytes") {
  std::string text;
  for (char letter : {'x', 'y', 'z'}) text += std::string(300'000, letter) + "\n";
  Units units(text);
  const auto lines = units.scan(3, 1);
  REQUIRE(lines);
  CHECK(units.items(*lines, 1) == Texts{std::string(300'000, 'y')});
}

TEST_CASE("another number of lines than the manifest says is refused") {
  CHECK(Units("a\nb\n").scan(3, 1).error().code == base::ErrorCode::bad_input);
  CHECK(Units("a\nb\nc\nd\n").scan(3, 1).error().code == base::ErrorCode::bad_input);
}

TEST_CASE("an item beyond its limit is refused") {
  const std::string longest(limits::item_bytes_max, 'x');
  CHECK(Units(longest + "\n").scan(1, 1));
  CHECK_FALSE(Units(longest + "xx\n").scan(1, 1));
}
