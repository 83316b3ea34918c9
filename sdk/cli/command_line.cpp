#include "sdk/cli/command_line.hpp"

#include <CLI/CLI.hpp>
#include <functional>

#include "sdk/cli/commands.hpp"

namespace starling::cli {

namespace {

struct Globals {
  std::string output = "human";
  std::string state;
  std::string join;
};

// All that the words can say; the chosen command reads its part.
struct Words {
  Globals globals;
  SubmitOptions submit;
  ListOptions list;
  JobOptions info, cancel;
  WaitOptions wait;
  RunOptions run;
  ProgramCheckOptions program;
  ResultsOptions results;
  EvidenceOptions evidence;
  ExplainOptions explain;
  VerifyOptions verify;
  PeerOptions peer;
  CreditOptions credit;
  WorkerStartOptions worker;
  DevUpOptions dev;
  std::function<Done(Context&)> chosen;
};

template <class Command>
void on(CLI::App* app, Words& words, Command command) {
  app->callback([&words, command] { words.chosen = command; });
}

void add_globals(CLI::App& app, Globals& globals) {
  app.add_option("--output", globals.output, "human, json or quiet")->check(CLI::IsMember({"human", "json", "quiet"}));
  app.add_option("--state", globals.state, "State folder of the peer to use (default: $STARLING_STATE, else ~/.local/state/starling)");
  app.add_option("--join", globals.join, "Ticket of the swarm to join, when this machine is in none yet");
}

void add_job(CLI::App* app, client::JobSelector& job) {
  app->add_option("JOB", job.id, "Job id, any unique beginning of it, or: last");
  app->add_option("--name", job.name, "The newest job of this name");
}

void add_submit(CLI::App& app, Words& words) {
  auto* submit_app = app.add_subcommand("submit", "Submit a program and its units to the swarm");
  auto& o = words.submit;
  submit_app->add_option("PROGRAM", o.program, "A wasm32-wasip1 module")->required();
  submit_app->add_option("ARGUMENT", o.arguments, "Arguments of every unit (after --)");
  submit_app->add_option("--arg", o.arguments, "An argument of every unit; may be repeated")->allow_extra_args(false);
  submit_app->add_option("--split", o.split, "Let the program split its inputs: runs `PROGRAM split NAME` once, here");
  submit_app->add_option("--input", o.inputs, "FILE or NAME=FILE: the program reads /in/NAME; may be repeated")->allow_extra_args(false);
  submit_app->add_option("--items", o.items, "Each line of this file (or - for stdin) is the stdin of one item");
  submit_app->add_option("--array", o.array, "A-B or A-B:STEP: each number is the stdin of one item");
  submit_app->add_option("--items-per-unit", o.items_per_unit, "Items that are computed and verified together");
  submit_app->add_option("--name", o.name, "A name for people");
  submit_app->add_option("--class", o.verification, "trusted, fast, standard or strict");
  submit_app->add_option("--epsilon", o.epsilon, "Accepted probability of a wrong result (0.001 in public swarms, else 0.06)");
  submit_app->add_option("--audits", o.audits, "Percent of the executions that check what was accepted, 5 to 40 (default 5)");
  submit_app->add_option("--memory", o.memory, "Memory of one item, such as 512MB");
  submit_app->add_option("--time-limit", o.time_limit, "Time of one unit, such as 10m");
  submit_app->add_option("--output-limit", o.output_limit, "Output of one unit, such as 16MB");
  submit_app->add_option("--fuel", o.fuel, "Instructions of one item, such as 20G; none: as many as its time allows");
  submit_app->add_option("--rounds", o.rounds, "Rounds of one item: a program that ends with 85 goes on from its /out/checkpoint");
  submit_app->add_option("--segment-rounds", o.segment_rounds, "So many rounds are verified together, and another peer may go on from there");
  submit_app->add_option("--expires", o.expires, "How long the swarm keeps the job, such as 7d");
  auto* wait_flag = submit_app->add_flag("--wait", o.wait, "Wait until the job has ended");
  submit_app->add_flag("--detach", o.detach, "Leave at once, even before other peers hold the inputs")->excludes(wait_flag);
  on(submit_app, words, [&words](Context& context) { return submit(context, words.submit); });
}

void add_program_commands(CLI::App& app, Words& words) {
  auto* run = app.add_subcommand("run", "Run one item of a program on this machine, caged as on a peer: item on stdin");
  auto& o = words.run;
  run->add_option("PROGRAM", o.program, "A wasm32-wasip1 module")->required();
  run->add_option("ARGUMENT", o.arguments, "Its arguments");
  run->add_flag("--local", o.local, "On this machine alone");
  run->add_option("--input", o.inputs, "FILE or NAME=FILE: the program reads /in/NAME; may be repeated")->allow_extra_args(false);
  run->add_option("--memory", o.memory, "Its memory, such as 512MB");
  run->add_option("--time-limit", o.time_limit, "Its time, such as 10m");
  run->add_option("--output-limit", o.output_limit, "Its output, such as 16MB");
  run->add_option("--fuel", o.fuel, "Its instructions, such as 20G; none: as many as its time allows");
  run->add_option("-o,--to", o.folder, "Folder for what it writes to /out");
  on(run, words, [&words](Context& context) { return run_local(context, words.run); });
  auto* program = app.add_subcommand("program", "Look at programs")->require_subcommand(1);
  auto* check = program->add_subcommand("check", "What it imports, and whether peers will run it");
  check->add_option("PROGRAM", words.program.program, "A wasm32-wasip1 module")->required();
  on(check, words, [&words](Context& context) { return program_check(context, words.program); });
}

void add_job_commands(CLI::App& app, Words& words) {
  auto* job = app.add_subcommand("job", "Look at jobs")->require_subcommand(1);
  auto* list = job->add_subcommand("list", "Jobs that are not done yet");
  list->add_flag("--all", words.list.all, "Also those that have ended");
  on(list, words, [&words](Context& context) { return job_list(context, words.list); });
  auto* info = job->add_subcommand("info", "All about one job");
  add_job(info, words.info.job);
  on(info, words, [&words](Context& context) { return job_info(context, words.info); });
  auto* wait = job->add_subcommand("wait", "Wait until a job has ended");
  add_job(wait, words.wait.job);
  wait->add_option("--timeout", words.wait.timeout, "Give up after this time, such as 10m (exit code 4)");
  wait->add_flag("--wait-final", words.wait.final, "Wait on until every unit is final here; this machine's worker executes again what nobody else has checked (exit code 6: it cannot)");
  on(wait, words, [&words](Context& context) { return job_wait(context, words.wait); });
  auto* explain = job->add_subcommand("explain", "Who computed, who agreed, why it is accepted or open");
  explain->add_option("JOB", words.explain.job.id, "Job id, any unique beginning of it, or: last; with /UNIT or /UNIT.SEGMENT for one unit");
  explain->add_option("--name", words.explain.job.name, "The newest job of this name; for one unit give /UNIT as JOB");
  explain->add_flag("--all", words.explain.all, "Every peer, not only the first 20");
  on(explain, words, [&words](Context& context) { return job_explain(context, words.explain); });
  auto* cancel = job->add_subcommand("cancel", "Stop a job of yours");
  add_job(cancel, words.cancel.job);
  on(cancel, words, [&words](Context& context) { return job_cancel(context, words.cancel); });
}

void add_results(CLI::App& app, Words& words) {
  auto* results_app = app.add_subcommand("results", "Fetch a job's verified results");
  add_job(results_app, words.results.job);
  results_app->add_option("-o,--to", words.results.folder, "Folder to write into; made when missing")->required();
  results_app->add_flag("--partial", words.results.partial, "Take what is verified so far");
  on(results_app, words, [&words](Context& context) { return results(context, words.results); });
  auto* evidence = app.add_subcommand("evidence", "The signed statements behind a job")->require_subcommand(1);
  auto* exporting = evidence->add_subcommand("export", "Write them to a file that can be judged offline");
  add_job(exporting, words.evidence.job);
  exporting->add_option("-o,--to", words.evidence.file, "File to write (default: JOB.evidence)");
  on(exporting, words, [&words](Context& context) { return evidence_export(context, words.evidence); });
  auto* verify = evidence->add_subcommand("verify", "Recompute every verdict from such a file alone; needs no worker and no swarm");
  verify->add_option("FILE", words.verify.file, "What evidence export wrote")->required();
  verify->add_option("--root,--judge", words.verify.roots, "A key whose replays count, besides the job's owner; may be repeated")->allow_extra_args(false);
  verify->add_flag("--all", words.verify.all, "Every peer, not only the first 20");
  on(verify, words, [&words](Context& context) { return evidence_verify(context, words.verify); });
}

// A variable of a script that is not set must not pass for an option that was not given.
// Hidden options are not named by the parser.
CLI::Validator not_empty(const std::string& hidden_option = "") {
  return {[hidden_option](const std::string& text) { return text.empty() ? hidden_option + "needs a value, not nothing" : std::string(); }, "", "not empty"};
}

void add_worker(CLI::App& app, Words& words) {
  auto* worker = app.add_subcommand("worker", "Give this machine's idle time")->require_subcommand(1);
  auto* start = worker->add_subcommand("start", "Start the worker of a state folder");
  auto& o = words.worker;
  start->add_option("--new", o.create, "Make a new swarm: private, public or development")->check(not_empty());
  start->add_option("--swarm-name", o.swarm_name, "Its name")->check(not_empty());
  start->add_option("--puzzle-bits", o.puzzle_bits, "With --new public: what an id costs, 2^N tries of about 10 ms each (default 0: nothing)");
  start->add_option("--port", o.port, "Port to listen on (0: the last one, else any)");
  start->add_option("--bind", o.bind, "Address to listen on")->check(not_empty());
  start->add_option("--slots", o.slots, "Units to run at once (default: half of the processors)");
  start->add_option("--root", o.roots, "A key whose replays this peer trusts; may be repeated")->allow_extra_args(false);
  start->add_option("--project", o.projects, "Owner key or job id, or either with =WEIGHT: served before all others, in the ratio of the weights (default 1; 0: never); may be repeated")
      ->allow_extra_args(false);
  start->add_flag("--only-projects", o.only_projects, "Serve nobody else");
  start->add_option("--credit-to", o.credit_to, "Key of the owner for whom this machine works, or: me. Machines of owners whom it helps serve that owner the more. Public")->check(not_empty());
  start->add_option("--checkpoint-interval", o.checkpoint_interval, "How often an unfinished item may be put on disk (default 10s)")->check(not_empty());
  start->add_flag("--foreground", o.foreground, "Stay in this terminal");
  start->add_flag("--require-cage", o.require_cage, "Refuse to run when this host cannot cage programs completely");
  start->add_flag("--inject-faults", o.inject_faults)->group("");  // development only, and hidden, as the next two
  start->add_option("--attack", o.attack)->check(not_empty("--attack "))->group("");
  start->add_option("--pace", o.pace)->check(not_empty("--pace "))->group("");
  on(start, words, [&words](Context& context) { return worker_start(context, words.worker); });
  on(worker->add_subcommand("stop", "Stop it; what runs is dropped, nothing is lost"), words, worker_stop);
  on(worker->add_subcommand("pause", "Let everything stand still until resume, over restarts too"), words, worker_pause);
  on(worker->add_subcommand("resume", "Go on where pause stopped it"), words, worker_resume);
  on(worker->add_subcommand("status", "What it does"), words, worker_status);
}

void add_swarm_and_dev(CLI::App& app, Words& words) {
  auto* swarm = app.add_subcommand("swarm", "Peers")->require_subcommand(1);
  on(swarm->add_subcommand("invite", "Print a ticket that lets another machine join"), words, swarm_invite);
  on(swarm->add_subcommand("peers", "Who is there"), words, swarm_peers);
  auto* peer = app.add_subcommand("peer", "Look at a peer's work")->require_subcommand(1);
  auto* peer_about = peer->add_subcommand("info", "What its results came to, its credit, and proofs of its faults");
  peer_about->add_option("PEER", words.peer.peer, "Its id or any unique beginning of it (default: this machine's)");
  on(peer_about, words, [&words](Context& context) { return peer_info(context, words.peer); });
  auto* credit_app = app.add_subcommand("credit", "Verified work of every peer in the jobs that are known here");
  credit_app->add_option("--job", words.credit.job, "Of one job alone: its id, any unique beginning of it, or: last");
  credit_app->add_flag("--all", words.credit.all, "Every peer, not only the first 20");
  on(credit_app, words, [&words](Context& context) { return credit(context, words.credit); });
  auto* dev = app.add_subcommand("dev", "A whole swarm on this machine, for development")->require_subcommand(1);
  auto* up = dev->add_subcommand("up", "Start it");
  up->add_option("-n", words.dev.peers, "Number of peers");
  up->add_option("--bad", words.dev.bad, "How many of them return wrong results");
  up->add_option("--seed", words.dev.seed, "Draws which");
  up->add_option("--slots", words.dev.slots, "Units that each runs at once");
  on(up, words, [&words](Context& context) { return dev_up(context, words.dev); });
  on(dev->add_subcommand("down", "Stop it"), words, dev_down);
  on(app.add_subcommand("version", "The version"), words, version);
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

Format format_of(const std::string& name) {
  return name == "json" ? Format::json : name == "quiet" ? Format::quiet : Format::human;
}

// The form of errors must be known even when the words do not parse.
Format format_in(const std::vector<std::string>& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--output" && i + 1 < arguments.size()) return format_of(arguments[i + 1]);
    if (arguments[i].starts_with("--output=")) return format_of(arguments[i].substr(9));
  }
  return Format::human;
}

// Exit code when the words are help, or wrong; nothing when a command was chosen.
std::optional<int> parse(CLI::App& app, const std::vector<std::string>& arguments, std::FILE* data, std::FILE* notes) {
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(std::move(reversed));
    return std::nullopt;
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), data);
    return 0;
  } catch (const CLI::ParseError& error) {
    const auto unknown = app.remaining(true);
    const std::string what = unknown.empty() ? first_line(error.what()) : "not understood: " + unknown.front();
    const base::Error ours{base::ErrorCode::usage, what, "see: starling --help"};
    Output(format_in(arguments), data, notes).error(ours);
    return base::exit_code(ours.code);
  }
}

}  // namespace

int run(const std::vector<std::string>& arguments, Ports& ports, const std::atomic<bool>& interrupted, std::FILE* data,
        std::FILE* notes) {
  Words words;
  CLI::App app("starling: volunteer computing without a server", "starling");
  app.fallthrough();
  app.require_subcommand(1);
  add_globals(app, words.globals);
  add_submit(app, words);
  add_program_commands(app, words);
  add_job_commands(app, words);
  add_results(app, words);
  add_worker(app, words);
  add_swarm_and_dev(app, words);
  if (const auto ended = parse(app, arguments, data, notes)) return *ended;

  Output output(format_of(words.globals.output), data, notes);
  const std::filesystem::path state = words.globals.state.empty() ? client::default_state_folder() : std::filesystem::path(words.globals.state);
  Context context{.output = output, .ports = ports, .state_folder = state, .join = words.globals.join, .interrupted = interrupted};
  try {
    const Done done = words.chosen(context);
    if (done) return 0;
    output.end_progress();
    output.error(done.error());
    return base::exit_code(done.error().code);
  } catch (const std::exception& error) {
    const base::Error ours{base::ErrorCode::internal, std::string("unexpected: ") + error.what(), "please report it with the command that you ran"};
    output.error(ours);
    return base::exit_code(ours.code);
  }
}

}  // namespace starling::cli
