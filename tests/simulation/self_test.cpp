#include "tests/simulation/self_test.hpp"

#include <cstdio>

#include "tests/simulation/checkers/checker.hpp"
#include "tests/simulation/checkers/same_seed_same_trace.hpp"
#include "tests/simulation/network.hpp"
#include "tests/simulation/notary.hpp"
#include "tests/simulation/scenario.hpp"
#include "tests/simulation/world.hpp"

namespace starling::simulation {
namespace {

int failures = 0;

void expect(bool holds, const char* what) {
  std::printf("self-test %s: %s\n", holds ? "ok" : "FAILED", what);
  if (!holds) ++failures;
}

// Takes everything and counts.
class Listener final : public NetworkUser {
 public:
  explicit Listener(EventQueue& queue) : queue_(queue) {}
  void on_link_up(PeerIndex, PeerIndex) override { ++ups; }
  void on_link_down(PeerIndex, PeerIndex) override { ++downs, last_down_ms = queue_.now_ms(); }
  void on_dial_failed(PeerIndex, PeerIndex) override { ++failed_dials; }
  void on_message(PeerIndex, PeerIndex, const Message& message) override {
    ++messages;
    last_message_ms = queue_.now_ms();
    const std::uint64_t number = std::get<protocol::Summary>(*message).buckets.front();
    if (number < highest) ++overtaken;
    highest = std::max(highest, number);
  }

  int ups = 0, downs = 0, failed_dials = 0;
  std::uint64_t messages = 0, overtaken = 0, highest = 0, last_message_ms = 0, last_down_ms = 0;

 private:
  EventQueue& queue_;
};

struct Bench {
  explicit Bench(NetworkOptions options) : network(std::move(options), queue, base::Rng(7), 3, listener) {
    for (PeerIndex peer = 0; peer < 3; ++peer) network.revive(peer);
  }
  void drain() {
    while (!queue.empty()) queue.run_one();
  }
  void send_numbered(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      network.send(0, 1, std::make_shared<const protocol::LinkMessage>(protocol::Summary{{i}}));
    }
  }
  EventQueue queue;
  Listener listener{queue};
  Network network;
};

void queue_is_ordered() {
  EventQueue queue;
  std::string order;
  queue.at(5, [&] { order += 'c'; });
  queue.at(3, [&] { order += 'a'; queue.at(1, [&] { order += 'b'; }); });
  queue.at(5, [&] { order += 'd'; });
  while (!queue.empty()) queue.run_one();
  expect(order == "abcd" && queue.now_ms() == 5, "events run by time, then in the order in which they were planned");
}

void network_loses_what_it_says() {
  NetworkOptions options;
  options.loss = 0.05;
  options.duplicate = 0.1;
  Bench bench(options);
  bench.network.dial(0, 1, true);
  bench.drain();
  bench.send_numbered(20'000);
  bench.drain();
  const double lost = static_cast<double>(bench.network.counters().lost) / 20'000;
  const double doubled = static_cast<double>(bench.network.counters().duplicated) / 19'000;
  expect(lost > 0.04 && lost < 0.06, "5 % loss loses about 5 %");
  expect(doubled > 0.08 && doubled < 0.12, "10 % duplication doubles about 10 %");
  expect(bench.listener.messages == 20'000 - bench.network.counters().lost + bench.network.counters().duplicated, "nothing else is lost or doubled");
  expect(bench.listener.overtaken == 0, "a link keeps its order");
}

void network_reorders_on_demand() {
  NetworkOptions options;
  options.reorder = 0.5;
  Bench bench(options);
  bench.network.dial(0, 1, true);
  bench.drain();
  bench.send_numbered(1000);
  bench.drain();
  expect(bench.listener.overtaken > 100, "with reordering messages overtake each other");
}

void links_come_and_go() {
  Bench bench({});
  bench.network.dial(0, 1, true);
  bench.network.dial(1, 0, true);
  bench.network.dial(0, 2, false);
  bench.drain();
  expect(bench.listener.ups == 2 && bench.listener.failed_dials == 1, "two dials give one link, a wrong address gives none");
  bench.send_numbered(10);
  bench.network.kill(1);
  bench.drain();
  expect(bench.listener.downs == 1 && bench.listener.messages == 0, "a death is heard at once and nothing arrives after it");
  bench.network.dial(0, 1, true);
  bench.drain();
  expect(bench.listener.failed_dials == 2 && !bench.network.linked(0, 1), "the dead cannot be dialled");
}

void partitions_hold_back_and_break() {
  NetworkOptions options;
  options.cut_off = {false, true, true};
  options.partition_from_ms = 1000;
  options.partition_to_ms = 11'000;
  Bench brief(options);
  brief.network.dial(0, 1, true);
  brief.queue.at(2000, [&] { brief.send_numbered(5); });
  brief.drain();
  expect(brief.listener.messages == 5 && brief.listener.last_message_ms >= 11'000 && brief.listener.downs == 0,
         "a partition below the heartbeat timeout delays");
  options.partition_to_ms = 91'000;
  Bench lasting(options);
  lasting.network.dial(0, 1, true);
  lasting.queue.at(2000, [&] { lasting.send_numbered(5); });
  lasting.queue.at(50'000, [&] { lasting.network.dial(0, 2, true); });
  lasting.drain();
  expect(lasting.listener.messages == 0 && lasting.listener.downs == 2 && lasting.listener.last_down_ms >= 31'000,
         "a longer one loses what was under way and breaks the link at both ends");
  expect(lasting.listener.failed_dials == 1, "dials across it fail");
}

void notary_refuses_what_is_altered() {
  NotaryOffice office;
  office.remembers = false;
  SimNotary alice(office, peer_id_of(1, 0));
  SimNotary bob(office, peer_id_of(1, 1));
  const auto sealed = alice.seal(protocol::Cancel{base::retag<base::JobId>(digest_of_words({9}))});
  const auto opened = bob.open(sealed.raw);
  expect(opened && opened->id == sealed.id && opened->author == sealed.author && opened->body == sealed.body, "a statement opens as it was sealed");
  expect(bob.peek(*sealed.raw).value_or(base::MessageId{}) == sealed.id, "peek gives the same id");
  std::size_t accepted = 0;
  for (std::size_t at = 0; at < sealed.raw->size(); ++at) {
    auto bytes = std::make_shared<base::Bytes>(*sealed.raw);
    (*bytes)[at] ^= std::byte{1};
    const auto forged = bob.open(bytes);
    if (forged && (forged->id != sealed.id || forged->body != sealed.body || forged->author != sealed.author)) ++accepted;
  }
  expect(accepted == 0, "no altered byte gives another statement");
  NotaryOffice elsewhere;
  elsewhere.remembers = false;
  elsewhere.network = base::retag<base::NetworkId>(digest_of_words({2}));
  expect(!SimNotary(elsewhere, bob.seal(protocol::Cancel{}).author).open(sealed.raw).has_value(), "another network's statement does not open");
}

void scenarios_are_read_strictly() {
  const auto good = parse_scenario("x", "# comment\npeers = 7  # and one here\nloss=0.05\nreport = a b\n");
  expect(good && good->peers == 7 && good->loss == 0.05 && good->report.size() == 2, "a scenario is read");
  expect(!parse_scenario("x", "peeers = 7\n").has_value(), "an unknown key is an error");
  expect(!parse_scenario("x", "peers = 7\npeers = 8\n").has_value(), "a repeated key is an error");
  expect(!parse_scenario("x", "peers = seven\n").has_value(), "a wrong value is an error");
  expect(!parse_scenario("x", "loss = 5\n").has_value(), "a share above 1 is an error");
  expect(!parse_scenario("x", "peers = 3\nliars = 4\n").has_value(), "a contradiction is an error");
}

// What the checker says about a whole run of the scenario.
std::string verdict_on(const std::string& scenario_text, std::unique_ptr<Checker> checker, RunOptions options = {}) {
  const auto scenario = parse_scenario("self_test", scenario_text);
  STARLING_ENSURE(scenario.has_value());
  Simulator run(*scenario, 1, options);
  std::string said;
  run.run([&] { return said = checker->each_second(run); });
  return said.empty() ? checker->at_end(run) : said;
}

void checkers_can_fail() {
  const std::string good = "peers = 3\nunits = 8\n";
  expect(verdict_on(good, every_unit_verified()).empty(), "every_unit_verified holds in a good run");
  expect(!verdict_on(good + "virtual_limit_ms = 4000\n", every_unit_verified()).empty(), "... and fails in one cut short");
  expect(verdict_on(good, no_wrong_result_accepted()).empty(), "no_wrong_result_accepted holds in a good run");
  expect(!verdict_on("peers = 5\nunits = 16\ncolluders = 4\n", no_wrong_result_accepted()).empty(), "... and fails under a colluding majority");
  expect(verdict_on(good, no_wrong_result_stays()).empty(), "no_wrong_result_stays holds in a good run");
  expect(!verdict_on("peers = 5\nunits = 16\ncolluders = 4\nvirtual_limit_ms = 6000\n", no_wrong_result_stays()).empty(), "... and fails under a colluding majority");
  expect(!verdict_on(good + "erring_peers = 1\nerring_once_in = 1000000\n", planned_faults_happen()).empty(), "planned_faults_happen fails when no machine erred");
  expect(!verdict_on("peers = 4\nunits = 16\nliars = 1\nvirtual_limit_ms = 5000\n", every_liar_banned()).empty(),
         "every_liar_banned fails in a run too short to prove anything");
  expect(!verdict_on(good + "kill_count = 1\nkill_at_ms = 90000\nvirtual_limit_ms = 20000\n", planned_faults_happen()).empty(),
         "planned_faults_happen fails when a death never came");
  expect(!verdict_on("peers = 2\nunits = 8\nkill_submitter = yes\nkill_share = 1\nkill_at_ms = 3500\nvirtual_limit_ms = 30000\n", inputs_survive()).empty(),
         "inputs_survive fails when everybody died");
  expect(verdict_on(good, no_honest_peer_banned()).empty(), "no_honest_peer_banned holds in a good run");
  expect(!verdict_on("peers = 4\nunits = 64\nbroken_peers = 1\nsettle_ms = 60000\n", no_honest_peer_banned()).empty(),
         "... and fails when an honest peer's machine computes wrongly");
  const std::string late_deaths = "peers = 8\nunits = 64\narchive_bytes = 40000\nkill_count = 6\nkill_at_ms = 16000\n";
  expect(verdict_on("peers = 8\nunits = 64\n", results_survive()).empty(), "results_survive holds in a good run");
  expect(!verdict_on(late_deaths + "virtual_limit_ms = 16500\n", results_survive()).empty(), "... and fails right after six of eight died at once");
  expect(verdict_on(good, contract_kept()).empty() && verdict_on(good, tables_bounded()).empty(), "contract_kept and tables_bounded hold in a good run");
  const RunOptions too_many_slots{.slots_beyond = 1};
  expect(!verdict_on(good, contract_kept(), too_many_slots).empty(), "contract_kept fails when units start without a slot");
  expect(!verdict_on(good, tables_bounded(), too_many_slots).empty(), "... and so does tables_bounded");
  expect(!verdict_on(good, jobs_sleep()).empty(), "jobs_sleep fails in a run that ends before they do");
  expect(!verdict_on(good + "job_quiet_ms = 5000\nsettle_ms = 30000\n", jobs_sleep()).empty(), "... and in one in which nothing wakes them");
  expect(verdict_on(good, tail_is_shared()).empty(), "tail_is_shared holds where two answer each unit");
  expect(!verdict_on("peers = 6\nunits = 8\nepsilon_ppm = 1000\n", tail_is_shared()).empty(), "... and fails where five must");
  expect(!verdict_on("peers = 5\nunits = 16\ncopiers = 1\nfingerprints = yes\n", copies_are_found()).empty(), "copies_are_found fails where a job is too small for audits");
  expect(!verdict_on("peers = 4\nunits = 32\ncolluders = 1\nvirtual_limit_ms = 5000\n", every_liar_cut_off()).empty(),
         "every_liar_cut_off fails when nobody was cut off");
}

// Those whose property is that something happens, or ends.
void checkers_want_what_they_name() {
  const std::string captured = "peers = 5\nunits = 16\ncolluders = 4\nvirtual_limit_ms = 6000\ncapture_max = ";
  expect(verdict_on(captured + "1\n", no_wrong_result_accepted()).empty(), "no_wrong_result_accepted allows what capture_max does");
  expect(!verdict_on(captured + "0.1\n", no_wrong_result_accepted()).empty(), "... and no more");
  const std::string jumps = "peers = 4\nunits = 64\nclock_jumpers = 2\nclock_jump_at_ms = 5000\nclock_jump_s = ";
  expect(verdict_on(jumps + "86400\n", planned_faults_happen()).empty(), "planned_faults_happen holds when clocks jump");
  expect(!verdict_on(jumps + "0\n", planned_faults_happen()).empty(), "... and fails when they do not");
  const std::string set_back = "peers = 5\nunits = 128\nunit_time_ms = 1000\nset_back_peers = 1\nlatency_min_ms = 200\nlatency_max_ms = 300\nset_back_at_ms = 12000\nimage_at_ms = ";
  expect(verdict_on(set_back + "6000\n", logs_fork()).empty(), "logs_fork holds when a disk is set back");
  expect(!verdict_on(set_back + "12000\n", logs_fork()).empty(), "... and fails when the image is as new as the disk");
  const std::string odd = "peers = 6\nunits = 96\nepsilon_ppm = 1000\nlie_share = 0.3\nbroken_peers = ";
  expect(verdict_on(odd + "1\nvirtual_limit_ms = 60000\n", only_odd_machines_banned()).empty(), "only_odd_machines_banned holds where one machine is odd");
  expect(!verdict_on(odd + "0\nvirtual_limit_ms = 60000\n", only_odd_machines_banned()).empty(), "... and fails where none is");
  expect(!verdict_on(odd + "1\nvirtual_limit_ms = 6000\n", only_odd_machines_banned()).empty(), "... and where nobody is banned yet");
}

void false_folds_are_seen() {
  const std::string siege = "peers = 12\nlate_peers = 2\nlate_at_ms = 9000\nhostile_members = 4\nunits = 300\nunit_time_ms = 100\nsettle_ms = 20000\n";
  const std::string relieved = siege + "siege_to_ms = 25000\n", folds = "hostile_makes_folds = yes\n";
  expect(verdict_on(relieved + folds, false_folds_pass()).empty(), "false_folds_pass holds where a belief ends");
  expect(!verdict_on(relieved, false_folds_pass()).empty(), "... and fails where none arose");
  const std::string cut_short = siege + folds + "siege_to_ms = 200000\nvirtual_limit_ms = 50000\n";
  expect(!verdict_on(cut_short, false_folds_pass()).empty(), "... and where it did not end");
  expect(verdict_on(cut_short, every_unit_verified()).find("is told another outcome") != std::string::npos, "every_unit_verified fails where false folds are believed at the end");
}

void seeds_differ() {
  const auto scenario = parse_scenario("self_test", "peers = 4\nunits = 16\nloss = 0.1\n");
  Simulator one(*scenario, 1, {}), two(*scenario, 2, {});
  one.run([] { return std::string(); });
  two.run([] { return std::string(); });
  expect(one.trace_hash() != two.trace_hash(), "another seed gives another trace");
  expect(same_seed_same_trace(one, 1).empty(), "the same seed gives the same trace");
  expect(!same_seed_same_trace(one, 2).empty(), "same_seed_same_trace tells two courses apart");
}

}  // namespace

bool self_test() {
  queue_is_ordered();
  network_loses_what_it_says();
  network_reorders_on_demand();
  links_come_and_go();
  partitions_hold_back_and_break();
  notary_refuses_what_is_altered();
  scenarios_are_read_strictly();
  checkers_can_fail();
  checkers_want_what_they_name();
  false_folds_are_seen();
  seeds_differ();
  std::printf("self-test: %d failed\n", failures);
  return failures == 0;
}

}  // namespace starling::simulation
