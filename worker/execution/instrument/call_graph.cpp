#include "worker/execution/instrument/call_graph.hpp"

#include <algorithm>

#include "coordinator-less/base/check.hpp"
#include "worker/execution/instrument/decode.hpp"
#include "worker/execution/instrument/fuel_table.hpp"

namespace starling::execution::instrument {
namespace {

constexpr std::uint32_t none = UINT32_MAX;

bool has_length(const Decoded& at) {
  if (at.is(op::memory_grow)) return true;
  if (at.prefix != prefix_misc) return false;
  return at.code >= op::memory_init && at.code != op::data_drop && at.code != op::elem_drop && at.code != op::table_size;
}

bool changes_table(const Decoded& at) {
  if (at.is(op::table_set)) return true;
  return at.prefix == prefix_misc && (at.code == op::table_init || at.code == op::table_copy || at.code == op::table_grow || at.code == op::table_fill);
}

class Analysis {
 public:
  Analysis(const Module& module, const Options& options, Report& report)
      : module_(module), options_(options), report_(report), functions_(static_cast<std::uint32_t>(module.function_types.size())) {
    graph_.functions.resize(functions_);
    graph_.called_types.assign(module.types.size(), false);
  }

  base::Expected<CallGraph> run() {
    for (std::uint32_t f = 0; f < module_.imported_functions; ++f) {
      edges_from_.push_back(0);
      graph_.functions[f].mode = FuelMode::direct;
    }
    for (std::uint32_t f = module_.imported_functions; f < functions_; ++f) {
      edges_from_.push_back(static_cast<std::uint32_t>(targets_.size()));
      STARLING_TRY([[maybe_unused]] const bool read, scan(f));
    }
    if (!take_addresses()) return std::unexpected(damaged("a function index"));
    add_type_nodes();
    find_components();
    decide_stack();
    return std::move(graph_);
  }

 private:
  base::Expected<bool> scan(std::uint32_t f) {
    FunctionFacts& facts = graph_.functions[f];
    const Body& body = module_.bodies[f - module_.imported_functions];
    Reader in(body.bytes.subspan(body.declarations));
    std::uint32_t depth = 0, loop_depth = 0;  // blocks that are open, and how many when the outermost open loop began
    while (!in.at_end()) {
      const Decoded at = read_opcode(in);
      if (at.what == nullptr) return std::unexpected(explain(at, in));
      const Immediates immediates = read_immediates(in, at.what->immediate);
      if (at.what->immediate == Immediate::label_table) skip_label_table(in);
      facts.cost += at.what->cost;
      if (at.what->immediate == Immediate::block_type) ++depth;
      if (at.is(op::loop)) {
        facts.has_loop = true;
        if (loop_depth == 0) loop_depth = depth;
      }
      if (at.is(op::end)) {
        if (depth == loop_depth) loop_depth = 0;
        if (depth > 0) --depth;
      }
      if ((at.is(op::call) || at.is(op::call_indirect)) && loop_depth == 0) facts.calls_outside_loops = true;
      if (at.is(op::call)) add_call(facts, immediates.index, in);
      if (at.is(op::call_indirect)) add_indirect_call(facts, immediates, in);
      if (at.is(op::ref_func)) addresses_.push_back(immediates.index);
      if (has_length(at)) facts.has_variable_cost = true;
      if (changes_table(at)) graph_.changes_tables = true;
      note_features(at);
    }
    if (!in.ok()) return std::unexpected(damaged("code"));
    return true;
  }

  void add_call(FunctionFacts& facts, std::uint32_t callee, Reader& in) {
    if (callee >= functions_) return in.fail();
    facts.has_call = true;
    targets_.push_back(callee);
  }
  void add_indirect_call(FunctionFacts& facts, const Immediates& immediates, Reader& in) {
    const std::uint32_t type = immediates.index;
    if (type >= module_.types.size()) return in.fail();
    if (immediates.second == 0) graph_.called_types[module_.type_class[type]] = true;
    facts.has_call = true;
    facts.has_variable_cost = true;  // of the callee
    targets_.push_back(functions_ + module_.type_class[type]);
  }
  void note_features(const Decoded& at) {
    report_.uses_simd = report_.uses_simd || at.prefix == prefix_simd;
    report_.uses_bulk = report_.uses_bulk || (at.prefix == prefix_misc && at.code >= op::memory_init && at.code <= op::table_copy);
    report_.uses_references = report_.uses_references || at.is(op::ref_func) || at.is(op::ref_null) || at.is(op::table_get) || at.is(op::table_set);
    report_.uses_floats = report_.uses_floats || at.what->nan == NanRule::make;
  }

  bool take_addresses() {
    addresses_.insert(addresses_.end(), module_.address_taken.begin(), module_.address_taken.end());
    std::ranges::sort(addresses_);
    addresses_.erase(std::ranges::unique(addresses_).begin(), addresses_.end());
    if (!addresses_.empty() && addresses_.back() >= functions_) return false;
    for (const auto f : addresses_) graph_.functions[f].address_taken = true;
    called_by_type_ = addresses_;
    for (const auto& one : module_.exports)
      if (one.kind == 0) graph_.functions[one.index].address_taken = true;
    if (module_.start) graph_.functions[*module_.start].address_taken = true;
    return true;
  }

  // Node functions_ + class: whoever calls through that type calls any of its functions.
  void add_type_nodes() {
    std::ranges::stable_sort(called_by_type_, {}, [&](std::uint32_t f) { return module_.type_class[module_.function_types[f]]; });
    std::size_t next = 0;
    for (std::uint32_t type = 0; type < module_.types.size(); ++type) {
      edges_from_.push_back(static_cast<std::uint32_t>(targets_.size()));
      for (; next < called_by_type_.size() && module_.type_class[module_.function_types[called_by_type_[next]]] == type; ++next)
        targets_.push_back(called_by_type_[next]);
    }
    edges_from_.push_back(static_cast<std::uint32_t>(targets_.size()));
  }

  std::uint32_t node_count() const { return static_cast<std::uint32_t>(edges_from_.size() - 1); }

  void find_components() {
    index_.assign(node_count(), none);
    low_.assign(node_count(), 0);
    on_stack_.assign(node_count(), false);
    height_.assign(node_count(), 0);
    struct Visit {
      std::uint32_t node, edge;
    };
    std::vector<Visit> visits;
    std::uint32_t counter = 0;
    const auto enter = [&](std::uint32_t node) {
      index_[node] = low_[node] = counter++;
      stack_.push_back(node);
      on_stack_[node] = true;
      visits.push_back({node, edges_from_[node]});
    };
    for (std::uint32_t root = 0; root < node_count(); ++root) {
      if (index_[root] != none) continue;
      enter(root);
      while (!visits.empty()) {
        Visit& visit = visits.back();
        if (visit.edge < edges_from_[visit.node + 1]) {
          const std::uint32_t to = targets_[visit.edge++];
          if (index_[to] == none) enter(to);
          else if (on_stack_[to]) low_[visit.node] = std::min(low_[visit.node], index_[to]);
          continue;
        }
        const std::uint32_t node = visit.node;
        visits.pop_back();
        if (!visits.empty()) low_[visits.back().node] = std::min(low_[visits.back().node], low_[node]);
        if (low_[node] == index_[node]) finish_component(node);
      }
    }
  }

  void finish_component(std::uint32_t root) {
    std::vector<std::uint32_t>& members = members_;
    members.clear();
    std::uint32_t node = none;
    do {
      node = stack_.back();
      stack_.pop_back();
      on_stack_[node] = false;
      members.push_back(node);
    } while (node != root);
    bool cycle = members.size() > 1;
    std::uint64_t below = 0;
    for (const auto member : members) {
      for (std::uint32_t e = edges_from_[member]; e < edges_from_[member + 1]; ++e) {
        cycle = cycle || targets_[e] == member;
        below = std::max(below, height_[targets_[e]]);
      }
    }
    for (const auto member : members) {
      // Functions on cycles are charged when they run; here they count once, like everything.
      height_[member] = below + (member < functions_ && !cycle ? slots_bound(member) : 0);
      graph_.longest_chain_slots = std::max(graph_.longest_chain_slots, height_[member]);
      if (member >= module_.imported_functions && member < functions_) {
        graph_.functions[member].on_cycle = cycle;
        decide_mode(member);
      }
    }
  }

  // At least what walk.cpp will find: an operand slot takes a byte of code or more.
  std::uint64_t slots_bound(std::uint32_t f) const {
    if (f < module_.imported_functions) return frame_slots;
    const Body& body = module_.bodies[f - module_.imported_functions];
    return std::uint64_t{2} * (module_.types[module_.function_types[f]].parameters + body.locals) + body.bytes.size() + frame_slots;
  }

  void decide_mode(std::uint32_t f) {
    FunctionFacts& facts = graph_.functions[f];
    std::uint64_t cost = facts.cost;
    bool callees_inlined = true;
    for (std::uint32_t e = edges_from_[f]; e < edges_from_[f + 1] && callees_inlined; ++e) {
      callees_inlined = targets_[e] < functions_ && targets_[e] != f && graph_.functions[targets_[e]].mode == FuelMode::inlined;
      if (callees_inlined) cost += graph_.functions[targets_[e]].cost;
    }
    const bool inlined = callees_inlined && !facts.has_loop && !facts.on_cycle && !facts.address_taken && !facts.has_variable_cost &&
                         cost <= fuel::inlined_max;
    facts.mode = inlined ? FuelMode::inlined : facts.has_loop ? FuelMode::local : FuelMode::direct;
    if (inlined) facts.cost = cost;
  }

  void decide_stack() {
    const bool all = graph_.longest_chain_slots > options_.acyclic_slots_max;
    for (std::uint32_t f = module_.imported_functions; f < functions_; ++f) {
      FunctionFacts& facts = graph_.functions[f];
      facts.charges_stack = facts.on_cycle || all;
      facts.returns_bits = travels_as_bits(module_.results_of(module_.function_types[f]));
      const FunctionType& type = module_.types[module_.function_types[f]];
      facts.takes_state = facts.on_cycle && !facts.address_taken && type.results <= 1 && type.parameters + state_parameters <= parameters_max;
      if (facts.takes_state) facts.mode = FuelMode::local;
      facts.returns_balance = facts.mode == FuelMode::local && !facts.address_taken && type.results <= 1;
      if (facts.charges_stack) ++report_.functions_recursive;
      if (facts.mode == FuelMode::inlined) ++report_.functions_inlined;
    }
    for (std::uint32_t f = module_.imported_functions; f < functions_; ++f)
      for (std::uint32_t e = edges_from_[f]; e < edges_from_[f + 1]; ++e) note_callee(graph_.functions[f], targets_[e]);
  }

  void note_callee(FunctionFacts& facts, std::uint32_t callee) const {
    if (!facts.takes_state || callee < module_.imported_functions) return;
    if (callee < functions_) {
      const FunctionFacts& to = graph_.functions[callee];
      if (to.takes_state || (!to.charges_stack && to.mode == FuelMode::inlined)) return;
    }
    facts.shows_stack = true;
  }

  const Module& module_;
  const Options& options_;
  Report& report_;
  std::uint32_t functions_;
  CallGraph graph_;
  std::vector<std::uint32_t> edges_from_;  // per node, and one more: its edges' range in targets_
  std::vector<std::uint32_t> targets_;
  std::vector<std::uint32_t> addresses_, called_by_type_;
  std::vector<std::uint32_t> index_, low_, stack_, members_;
  std::vector<bool> on_stack_;
  std::vector<std::uint64_t> height_;
};

}  // namespace

base::Expected<CallGraph> analyse_calls(const Module& module, const Options& options, Report& report) {
  return Analysis(module, options, report).run();
}

}  // namespace starling::execution::instrument
