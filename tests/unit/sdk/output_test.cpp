#include "sdk/cli/output.hpp"

#include <doctest/doctest.h>

using namespace starling;
using cli::Format;

TEST_CASE("an error is one line with what happened and what to do") {
  const base::Error error{base::ErrorCode::not_found, "no such file: a\nb", "check the path"};
  CHECK(cli::error_line(error, Format::human) == "starling: no such file: a b; check the path");
  CHECK(cli::error_line({base::ErrorCode::internal, "broken", ""}, Format::quiet) == "starling: broken");
  const auto json = client::parse_json(cli::error_line(error, Format::json));
  REQUIRE(json.is_object());
  CHECK(json["schema"] == 1);
  CHECK(json["error"]["code"] == "not-found");
  CHECK(json["error"]["exit_code"] == 5);
  CHECK(json["error"]["hint"] == "check the path");
}

TEST_CASE("text from elsewhere cannot steer the terminal") {
  CHECK(cli::printable("a\x1b[2Jb\r\x7f") == "a [2Jb  ");
  CHECK(cli::printable("\xc2\x9b" "31m") == "  31m");
  CHECK(cli::printable("\xc3\xa9t\xc3\xa9") == "\xc3\xa9t\xc3\xa9");
}

TEST_CASE("bytes that are no text still give JSON") {
  const auto line = cli::error_line({base::ErrorCode::internal, "\xff\xfe", ""}, Format::json);
  CHECK(client::parse_json(line).is_object());
}

TEST_CASE("tables align") { CHECK(cli::table({{"A", "B"}, {"long", "x"}}) == "A     B\nlong  x\n"); }
