#include "sdk/client/splitting.hpp"

#include <doctest/doctest.h>

using namespace starling;
using namespace starling::client;

namespace {

// A program that ends in one given way.
struct FakeRunner final : ProgramRunner {
  LocalRunEnd end;
  base::Expected<void> prepare() override { return {}; }
  base::Expected<void> check(const std::filesystem::path&) override { return {}; }
  base::Expected<ProgramFacts> look_at(const std::filesystem::path&) override { return ProgramFacts{}; }
  base::Expected<LocalRunEnd> run(const LocalRun&) override { return end; }
};

base::Error error_of_split(std::string last_words, protocol::OutcomeKind kind = protocol::OutcomeKind::exit_code) {
  FakeRunner runner;
  runner.end.output.kind = kind;
  runner.end.output.code = 1;
  runner.end.error_text = std::move(last_words);
  const auto lines = run_split(runner, {.program = "p.wasm", .scheme = "bands", .inputs = {}});
  REQUIRE_FALSE(lines.has_value());
  return lines.error();
}

}  // namespace

TEST_CASE("a failed split says what happened and one thing to do: the program's own advice where it gives one") {
  const auto advised = error_of_split("reading\nvoyager.fil is cut; it has 3 of 16 spectra; fetch it again\n\n");
  CHECK(advised.code == base::ErrorCode::bad_input);
  CHECK(advised.message == "the program's `split bands` ended with exit code 1: voyager.fil is cut; it has 3 of 16 spectra");
  CHECK(advised.hint == "fetch it again");
  const auto plain = error_of_split("no such scheme");
  CHECK(plain.message == "the program's `split bands` ended with exit code 1: no such scheme");
  CHECK(plain.hint == "check the inputs and the name after --split");
  const auto silent = error_of_split("", protocol::OutcomeKind::trap);
  CHECK(silent.message == "the program's `split bands` crashed");
  CHECK(silent.hint == "check the inputs and the name after --split");
  CHECK(error_of_split("odd; ").hint == "check the inputs and the name after --split");
}

TEST_CASE("a split that prints nothing is an error, lines are units") {
  CHECK(error_of_split("", protocol::OutcomeKind::ok).message == "the program's `split bands` printed no units");
  FakeRunner runner;
  runner.end.output.standard_output = base::copy(base::view("a\r\nb"));
  CHECK(run_split(runner, {.program = "p.wasm", .scheme = "bands", .inputs = {}}).value() == std::vector<std::string>{"a", "b"});
}
