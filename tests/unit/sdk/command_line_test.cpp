#include "sdk/cli/command_line.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>

#include "coordinator-less/protocol/own_log.hpp"
#include "coordinator-less/runtime/evidence_file.hpp"
#include "coordinator-less/runtime/notary.hpp"
#include "coordinator-less/wire/codec.hpp"
#include "sdk/cli/commands.hpp"
#include "sdk/client/folders.hpp"
#include "sdk/client/owner_key.hpp"
#include "tests/support/scratch.hpp"

using namespace starling;
using client::Json;

namespace {

class ScriptedPrograms final : public client::ProgramRunner {
 public:
  base::Expected<void> prepare() override { return {}; }
  base::Expected<void> check(const std::filesystem::path&) override { return checked; }
  base::Expected<client::ProgramFacts> look_at(const std::filesystem::path&) override { return facts; }
  base::Expected<client::LocalRunEnd> run(const client::LocalRun& wanted) override {
    runs.push_back(wanted);
    return end;
  }
  base::Expected<void> checked;
  client::LocalRunEnd end;
  client::ProgramFacts facts;
  std::vector<client::LocalRun> runs;
};

class ScriptedWorkers final : public cli::WorkerLauncher {
 public:
  base::Expected<void> launch(const cli::WorkerOptions& options, const std::function<void(const cli::WorkerReady&)>& ready) override {
    launched.push_back(options);
    ready({.id = {}, .port = 7});
    return {};
  }
  std::vector<cli::WorkerOptions> launched;
};

struct Said {
  int code = 0;
  std::string data, notes;
};

// A command line on a machine of its own: empty state, key and cache folders.
class Machine {
 public:
  Machine() {
    ::setenv("XDG_CONFIG_HOME", (scratch.path() / "config").c_str(), 1);
    ::unsetenv("STARLING_STATE");
  }
  Said run(std::vector<std::string> arguments, bool own_state = true) {
    if (own_state) arguments.insert(arguments.begin(), {"--state", (scratch.path() / "state").string()});
    char *data = nullptr, *notes = nullptr;
    std::size_t data_bytes = 0, notes_bytes = 0;
    std::FILE* data_file = ::open_memstream(&data, &data_bytes);
    std::FILE* notes_file = ::open_memstream(&notes, &notes_bytes);
    cli::Ports ports{.programs = programs, .workers = workers};
    const std::atomic<bool> interrupted = false;
    Said said;
    said.code = cli::run(arguments, ports, interrupted, data_file, notes_file);
    std::fclose(data_file);
    std::fclose(notes_file);
    said.data.assign(data, data_bytes);
    said.notes.assign(notes, notes_bytes);
    std::free(data);
    std::free(notes);
    return said;
  }
  std::string file(const std::string& name, const std::string& content) {
    const auto path = scratch.path() / name;
    REQUIRE(client::write_file(path, base::view(content)).has_value());
    return path.string();
  }

  testing::ScratchFolder scratch;
  ScriptedPrograms programs;
  ScriptedWorkers workers;
};

// One line on stderr that says what and what next, nothing on stdout.
void check_error(const Said& said, int code, const std::string& words) {
  CHECK_MESSAGE(said.code == code, said.notes);
  CHECK(said.data.empty());
  CHECK(std::ranges::count(said.notes, '\n') == 1);
  CHECK(said.notes.starts_with("starling: "));
  CHECK(said.notes.find("; ") != std::string::npos);
  CHECK_MESSAGE(said.notes.find(words) != std::string::npos, said.notes);
}

}  // namespace

TEST_CASE("wrong words are a usage error") {
  Machine machine;
  check_error(machine.run({}), 2, "subcommand");
  check_error(machine.run({"fly"}), 2, "fly");
  check_error(machine.run({"job"}), 2, "subcommand");
  check_error(machine.run({"submit"}), 2, "PROGRAM");
  check_error(machine.run({"job", "list", "--output", "xml"}), 2, "xml");
  check_error(machine.run({"results", "last"}), 2, "--to");
  check_error(machine.run({"dev", "up", "-n", "many"}), 2, "many");
  check_error(machine.run({"dev", "up", "-n", "3", "--bad", "3"}), 2, "--bad");
  check_error(machine.run({"worker", "start", "--new", "development", "--pace", "slowly"}), 2, "slowly");
  check_error(machine.run({"dev", "up", "-n", "65"}), 2, "64");
  check_error(machine.run({"worker", "start", "--new", "secret"}), 2, "secret");
  check_error(machine.run({"worker", "start", "--port", "65536"}), 2, "65536");
  check_error(machine.run({"worker", "start", "--puzzle-bits", "8"}), 2, "--puzzle-bits");
  check_error(machine.run({"worker", "start", "--new", "private", "--puzzle-bits", "8"}), 2, "--puzzle-bits");
  check_error(machine.run({"worker", "start", "--new", "development", "--puzzle-bits", "8"}), 2, "--puzzle-bits");
  check_error(machine.run({"worker", "start", "--new", "public", "--puzzle-bits", "25"}), 2, "at most 24");
  check_error(machine.run({"worker", "start", "--root", "me"}), 2, "me");
  const std::string key = crypto::Identity::generate().id().base32();
  check_error(machine.run({"worker", "start", "--project", "foo"}), 2, "names no project");
  check_error(machine.run({"worker", "start", "--project", key + "=1001"}), 2, "up to 1000");
  check_error(machine.run({"worker", "start", "--project", key + "=many"}), 2, "weight");
  check_error(machine.run({"worker", "start", "--only-projects"}), 2, "nobody to work for");
  check_error(machine.run({"worker", "start", "--only-projects", "--project", key + "=0"}), 2, "nobody to work for");
  check_error(machine.run({"worker", "start", "--project", key, "--project", key + "=0"}), 2, "twice");
  check_error(machine.run({"worker", "start", "--credit-to", "bla"}), 2, "is no key");
  for (const char* option : {"--credit-to", "--attack", "--pace", "--checkpoint-interval", "--bind", "--new", "--swarm-name"})
    check_error(machine.run({"worker", "start", option, ""}), 2, option);
  check_error(machine.run({"worker", "start", "--project", ""}), 2, "names no project");
  check_error(machine.run({"worker", "start", "--root", ""}), 2, "is no key");
  check_error(machine.run({"evidence", "verify", "x", "--root", "me"}), 2, "me");
  check_error(machine.run({"evidence", "verify"}), 2, "FILE");
  for (const char* words : {"job/x", "job/", "job/1.", "job/.1", "job/-1", "job/4294967296", "job/1.2.3", "/"})
    check_error(machine.run({"job", "explain", words}), 2, "is no number of a unit or segment");
}

TEST_CASE("run --local hands over arguments and limits and tells how it ended") {
  Machine machine;
  const auto program = machine.file("p.wasm", "x");
  check_error(machine.run({"run", program}), 2, "--local");
  check_error(machine.run({"run", "--local", program, "--memory", "much"}), 2, "--memory");
  check_error(machine.run({"run", "--local", program, "--input", "/no/such"}), 5, "/no/such");
  machine.programs.end.output.standard_output = base::copy(base::view("42\n"));
  machine.programs.end.peak_memory_bytes = 3'000'000;
  const auto said = machine.run({"run", "--local", program, "a", "b", "--memory", "64MiB", "--time-limit", "5s", "--fuel", "3G"});
  CHECK(said.code == 0);
  CHECK(said.data == "42\n");
  for (const char* word : {"outcome", "digest", "fuel", "peak memory", "time"}) CHECK(said.notes.find(word) != std::string::npos);
  REQUIRE(machine.programs.runs.size() == 1);
  CHECK(machine.programs.runs[0].arguments == std::vector<std::string>{"a", "b"});
  CHECK(machine.programs.runs[0].limits.memory_bytes == 64ULL << 20);
  CHECK(machine.programs.runs[0].limits.time_ms == 5000);
  CHECK(machine.programs.runs[0].limits.fuel == 3'000'000'000);
  const auto json = client::parse_json(machine.run({"run", "--local", program, "--output", "json"}).data);
  CHECK(json["outcome"] == "ok");
  CHECK(json["stdout"] == "42\n");
  CHECK(json["fuel"].is_null());
  machine.programs.end.output.kind = protocol::OutcomeKind::trap;
  CHECK(machine.run({"run", "--local", program}).code == 3);
}

TEST_CASE("program check lists what a program needs, or the one thing that is wrong") {
  Machine machine;
  const auto program = machine.file("p.wasm", "x");
  machine.programs.facts.problem = "it uses threads";
  machine.programs.facts.hint = "compile it without";
  check_error(machine.run({"program", "check", program}), 2, "threads");
  machine.programs.facts.runs = true;
  machine.programs.facts.imports = {"fd_write", "proc_exit"};
  const auto said = machine.run({"program", "check", program});
  CHECK(said.code == 0);
  CHECK(said.data.find("fd_write, proc_exit") != std::string::npos);
  CHECK(client::parse_json(machine.run({"program", "check", program, "--output", "json"}).data)["imports"].size() == 2);
}

TEST_CASE("global options stand before and after the verb") {
  Machine machine;
  CHECK(machine.run({"--output", "quiet", "version"}).data == machine.run({"version", "--output", "quiet"}).data);
  const auto json = client::parse_json(machine.run({"version", "--output=json"}).data);
  CHECK(json["schema"] == 1);
  CHECK(json["version"].is_string());
  CHECK(machine.run({"--help"}).code == 0);
  CHECK(machine.run({"submit", "--help"}).code == 0);
  CHECK(machine.run({"--help"}).data.find("submit") != std::string::npos);
  for (const char* hidden : {"inject", "attack", "pace"}) CHECK(machine.run({"worker", "start", "--help"}).data.find(hidden) == std::string::npos);
}

TEST_CASE("errors are one JSON object where JSON is asked for") {
  Machine machine;
  for (const auto& said : {machine.run({"job", "list", "--output", "json"}), machine.run({"fly", "--output", "json"})}) {
    CHECK(said.code != 0);
    CHECK(said.data.empty());
    const auto json = client::parse_json(said.notes);
    REQUIRE(json.is_object());
    CHECK(json["schema"] == 1);
    CHECK(json["error"]["exit_code"] == said.code);
  }
}

TEST_CASE("without a worker, a ticket or a swarm every command says so") {
  Machine machine;
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"job", "list"}, {"job", "wait", "last"}, {"swarm", "peers"}, {"swarm", "invite"}, {"results", "last", "-o", "x"},
        {"job", "explain", "last"}, {"job", "explain", "last/3.1"}, {"peer", "info"}, {"credit"}})
    check_error(machine.run(command), 5, "no worker runs");
  check_error(machine.run({"worker", "status"}), 5, "no worker runs");
  check_error(machine.run({"worker", "stop"}), 5, "no worker runs");
  check_error(machine.run({"dev", "down"}), 5, "no development swarm");
}

TEST_CASE("evidence is verified from its file alone, and the exit code says whether all is well") {
  Machine machine;
  const auto owner = crypto::Identity::generate(), first = crypto::Identity::generate(), second = crypto::Identity::generate();
  runtime::EvidenceFile evidence{.swarm = {.kind = protocol::SwarmKind::private_swarm, .name = "la\x1b[2Jb"}, .envelopes = {}};
  const auto network = runtime::network_id_of(evidence.swarm);
  const auto say = [&](const crypto::Identity& who, protocol::Body body) {
    auto statement = runtime::seal(network, who, std::move(body));
    evidence.envelopes.push_back(statement.raw);
    return statement.id;
  };
  protocol::Manifest manifest;
  manifest.name = "job";
  manifest.program = manifest.units = {.name = {}, .size_bytes = 1};
  manifest.unit_count = 2;
  manifest.item_count = 2;
  manifest.epsilon_ppm = 60'000;
  manifest.limits = {1 << 20, 1 << 20, 1000};
  manifest.created_unix_s = 1;
  manifest.expires_unix_s = 2;
  const auto job = base::retag<base::JobId>(say(owner, manifest));
  const auto of_fuel = [](std::uint64_t fuel) {
    protocol::Outcome outcome;
    outcome.fuel = fuel;
    return outcome;
  };
  std::map<base::PeerId, protocol::OwnLog> logs;
  const auto answers = [&](base::UnitIndex unit) {
    for (const auto* who : {&first, &second}) {
      protocol::UnitOrder order(job, who->id(), manifest.unit_count, manifest.peer_estimate, runtime::sha256_digester());
      const auto results = logs[who->id()].prepare(job, {{unit, order.position_of(unit), of_fuel(1'500'000), {}}});
      logs[who->id()].on_stated(say(*who, results), results, false);
    }
  };
  answers(0);
  const std::string file = (machine.scratch.path() / "e").string();
  const auto verify = [&](std::vector<std::string> more = {}) {
    REQUIRE(runtime::write_evidence_file(file, evidence));
    more.insert(more.begin(), {"evidence", "verify", file});
    return machine.run(more);
  };

  auto said = verify();
  CHECK_MESSAGE(said.code == 4, said.notes);
  CHECK(said.data.contains("1 of 2 verified"));
  CHECK(said.notes.starts_with("starling: 1 of 2 units are not verified by this evidence; "));
  CHECK_FALSE(said.data.contains('\x1b'));
  CHECK(said.notes.contains("when the job has gone on"));
  say(owner, protocol::Cancel{job});
  said = verify();
  CHECK_MESSAGE(said.code == 4, said.notes);
  CHECK(said.notes.contains("; the job was canceled"));
  evidence.envelopes.pop_back();

  answers(1);
  said = verify({"--root", first.id().base32(), "--judge", second.id().base32()});
  CHECK_MESSAGE(said.code == 0, said.notes);
  CHECK(said.data.contains("2 of 2 verified"));
  CHECK(said.data.contains("3.0 M"));
  const auto json = client::parse_json(verify({"--output", "json"}).data);
  CHECK(json["schema"] == 1);
  CHECK(json["job"]["id"] == job.base32());
  CHECK(json["refused"] == 0);
  CHECK(json["banned"].empty());
  CHECK(json["explanation"]["ended"] == 2);
  CHECK(verify({"--output", "quiet"}).data == json["explanation"]["digest"].get<std::string>() + "\n");
  CHECK(said.data.contains(json["explanation"]["digest"].get<std::string>()));

  say(first, protocol::Replay{job, {}, second.id(), 0, of_fuel(1'500'000), of_fuel(7)});
  CHECK(verify().code == 0);  // nobody asked whom to believe
  CHECK(verify({"--root", first.id().base32()}).code == 3);
  evidence.envelopes.pop_back();

  evidence.envelopes.push_back(std::make_shared<const base::Bytes>(30));
  said = verify();
  CHECK(said.code == 2);
  CHECK(said.data.contains("statement 5: "));
  CHECK(said.notes.starts_with("starling: 1 of 6 statements were refused; "));

  check_error(machine.run({"evidence", "verify", "/no/such"}), 5, "/no/such");
  check_error(machine.run({"evidence", "verify", machine.file("empty", "")}), 2, "not a whole evidence file");
  check_error(machine.run({"evidence", "verify", machine.file("foreign", std::string(1000, 'x'))}), 2, "not a whole evidence file");
}

TEST_CASE("bad tickets are told from good ones before anything is touched") {
  Machine machine;
  protocol::Ticket ticket{.swarm = {.kind = protocol::SwarmKind::private_swarm, .name = "s"}, .secret = std::nullopt, .peers = {}};
  ticket.secret.emplace();
  const std::string good = wire::ticket_text(ticket);
  std::string typo = good;
  typo[20] = typo[20] == 'a' ? 'b' : 'a';
  for (const std::string& bad : {std::string("hello"), std::string("starling1"), good.substr(0, good.size() / 2), good + "aaaa", typo}) {
    check_error(machine.run({"worker", "start", "--join", bad}), 2, "");
    check_error(machine.run({"job", "list", "--join", bad}), 2, "");
  }
  CHECK(machine.workers.launched.empty());
  CHECK_FALSE(std::filesystem::exists(machine.scratch.path() / "state"));
  CHECK(machine.run({"worker", "start", "--join", good}).code == 0);
  CHECK(machine.workers.launched.at(0).join == ticket);
}

TEST_CASE("worker start passes on what was asked") {
  Machine machine;
  const auto said = machine.run({"worker", "start", "--new", "development", "--swarm-name", "n", "--slots", "3", "--port", "99", "--inject-faults", "--foreground", "--attack", "liar:0.2", "--pace", "2s"});
  CHECK(said.code == 0);
  const auto& options = machine.workers.launched.at(0);
  REQUIRE(options.create.has_value());
  CHECK(options.create->kind == protocol::SwarmKind::development);
  CHECK(options.create->name == "n");
  CHECK(options.slots == 3);
  CHECK(options.port == 99);
  CHECK(options.inject_faults);
  CHECK(options.attack == "liar:0.2");
  CHECK(options.pace == std::chrono::seconds(2));
  CHECK(options.foreground);
  CHECK(options.state_folder == machine.scratch.path() / "state");
}

TEST_CASE("a new public swarm may ask for a puzzle") {
  Machine machine;
  CHECK(machine.run({"worker", "start", "--new", "public", "--puzzle-bits", "12"}).code == 0);
  const auto& options = machine.workers.launched.at(0);
  REQUIRE(options.create.has_value());
  CHECK(options.create->puzzle_difficulty_bits == 12);
}

TEST_CASE("submit checks everything it can before it needs a swarm") {
  Machine machine;
  const std::string program = machine.file("p.wasm", "wasm");
  check_error(machine.run({"submit", program, "--input", "/no/such/file"}), 5, "no such file: /no/such/file");
  check_error(machine.run({"submit", program, "--input", "x=/no/such/file"}), 5, "no such file: /no/such/file");
  check_error(machine.run({"submit", program, "--input", machine.scratch.path().string()}), 2, "is not a file");
  check_error(machine.run({"submit", program, "--items", "/no/such/file"}), 5, "no such file");
  check_error(machine.run({"submit", program, "--array", "9-1"}), 2, "--array");
  check_error(machine.run({"submit", program, "--array", "1-2", "--items", program}), 2, "exclude each other");
  check_error(machine.run({"submit", program, "--memory", "lots"}), 2, "lots");
  check_error(machine.run({"submit", program, "--time-limit", "soon"}), 2, "soon");
  check_error(machine.run({"submit", program, "--fuel", "20GB"}), 2, "20GB");
  check_error(machine.run({"submit", program, "--output-limit", "1.5"}), 2, "1.5");
  check_error(machine.run({"submit", program, "--expires", "never"}), 2, "never");
  check_error(machine.run({"submit", program, "--class", "lax"}), 2, "lax");
  for (const char* epsilon : {"0", "1", "-1", "x", "0.5x", "nan"}) check_error(machine.run({"submit", program, "--epsilon", epsilon}), 2, "--epsilon");
  for (const char* percent : {"4", "41", "some", "20%", "-5"}) check_error(machine.run({"submit", program, "--audits", percent}), 2, "--audits");
  check_error(machine.run({"submit", program, "--audits", "20", "--class", "trusted"}), 2, "exclude each other");
  machine.programs.checked = base::fail(base::ErrorCode::bad_input, "p.wasm imports env.fly, which no peer offers", "build it for wasm32-wasip1");
  check_error(machine.run({"submit", program}), 2, "imports env.fly");
  CHECK(machine.programs.runs.empty());
}

TEST_CASE("split runs the program once with its inputs, and its last words become the error") {
  Machine machine;
  const std::string program = machine.file("p.wasm", "wasm"), input = machine.file("cut.fil", "x");
  machine.programs.end.output.kind = protocol::OutcomeKind::exit_code;
  machine.programs.end.output.code = 1;
  machine.programs.end.error_text = "reading\ncut.fil: truncated header\n\n";
  const auto said = machine.run({"--output", "quiet", "submit", program, "--split", "bands", "--input", input, "--input", "b=" + input});
  check_error(said, 2, "cut.fil: truncated header");
  REQUIRE(machine.programs.runs.size() == 1);
  const auto& run = machine.programs.runs.front();
  CHECK(run.arguments == std::vector<std::string>{"split", "bands"});
  REQUIRE(run.inputs.size() == 2);
  CHECK(run.inputs[0].path == "cut.fil");
  CHECK(run.inputs[1].path == "b");
  machine.programs.end.output = {};
  check_error(machine.run({"--output", "quiet", "submit", program, "--split", "bands", "--input", input}), 2, "printed no units");
}

TEST_CASE("which peers are bad follows from the seed, and never the first") {
  CHECK(cli::draw_bad_peers(5, 0, 1).empty());
  CHECK(cli::draw_bad_peers(5, 4, 1) == std::vector<std::uint32_t>{1, 2, 3, 4});
  std::set<std::vector<std::uint32_t>> drawn;
  for (std::uint64_t seed = 0; seed < 64; ++seed) {
    const auto bad = cli::draw_bad_peers(5, 1, seed);
    CHECK(bad == cli::draw_bad_peers(5, 1, seed));
    CHECK(bad.at(0) != 0);
    drawn.insert(bad);
  }
  CHECK(drawn.size() == 4);
}

TEST_CASE("the owner key is made once, and is nobody else's business") {
  testing::ScratchFolder scratch;
  const auto file = scratch.path() / "config" / "owner.key";
  const auto first = client::load_owner_key(file);
  REQUIRE(first.has_value());
  CHECK(client::load_owner_key(file)->id() == first->id());
  struct stat about{};
  REQUIRE(::stat(file.c_str(), &about) == 0);
  CHECK((about.st_mode & 0777) == 0600);
  ::chmod(file.c_str(), 0644);
  CHECK(client::load_owner_key(file).error().code == base::ErrorCode::refused);
  REQUIRE(client::write_file(file, base::view("damaged"), 0600).has_value());
  CHECK(client::load_owner_key(file).error().code == base::ErrorCode::bad_input);
}

TEST_CASE("a state folder serves one process at a time") {
  testing::ScratchFolder scratch;
  const auto held = client::lock_state_folder(scratch.path());
  REQUIRE(held.has_value());
  const auto second = client::lock_state_folder(scratch.path());
  REQUIRE_FALSE(second.has_value());
  CHECK(second.error().code == base::ErrorCode::temporary);
}
