#include "worker/execution/instrument/walk.hpp"

#include <algorithm>
#include <cstring>

#include "worker/execution/instrument/decode.hpp"
#include "worker/execution/instrument/features.hpp"

namespace starling::execution::instrument {
namespace {

using Node = NanTaint::Node;

constexpr std::uint32_t operands_max = 100'000;
constexpr std::uint32_t store_bytes = 8;  // of a grouped store, or fewer
constexpr std::uint64_t work_per_byte = 64;
constexpr std::uint64_t work_free = 100'000;

// Block types of one result, as a span can see them.
constexpr Type single_types[] = {Type::externref, Type::funcref, Type::v128, Type::f64, Type::f32, Type::i64, Type::i32};

std::span<const Type> single(std::uint8_t byte) {
  for (const Type& type : single_types)
    if (static_cast<std::uint8_t>(type) == byte) return {&type, 1};
  return {};
}

std::uint8_t nans32_in(base::ByteView bytes) {
  for (std::size_t i = 0; i + 4 <= bytes.size(); i += 4)
    if ((base::read_u32(bytes.subspan(i)) & 0x7FFFFFFFU) > 0x7F800000U) return NanTaint::raw32;
  return 0;
}
std::uint8_t nans64_in(base::ByteView bytes) {
  for (std::size_t i = 0; i + 8 <= bytes.size(); i += 8)
    if ((base::read_u64(bytes.subspan(i)) & 0x7FFFFFFFFFFFFFFFULL) > 0x7FF0000000000000ULL) return NanTaint::raw64;
  return 0;
}

}  // namespace

class Walker::Walk {
 public:
  Walk(const Module& module, const CallGraph& calls) : module_(module), calls_(calls) {}

  base::Expected<const FunctionPlan*> run(std::uint32_t function) {
    exact_variables_ = true;
    if (!walk(function) && !refusal_ && too_many_merges_) {
      exact_variables_ = false;
      walk(function);
    }
    if (refusal_) return std::unexpected(*std::exchange(refusal_, {}));
    return &plan_;
  }

 private:
  struct Value {
    Type type = Type::none;
    Node node = 0;
    std::uint32_t pushed_at = 0;
    std::uint32_t local = no_local;  // that it was read from
    std::uint32_t version = 0;       // and which of its values
  };
  struct Frame {
    std::uint8_t opcode = 0;  // op::block, loop, if_, else_; the function's own is a block
    bool targeted = false;
    bool has_variables = false;
    std::span<const Type> parameters, results;
    std::uint32_t height = 0;
    Node label = 0;  // of a single floating result
    bool has_label = false;
    std::uint64_t stamp = 0;             // of the br_table that has seen it
    std::uint32_t outer_loop = 0;        // index into loops_
    std::size_t outer_loop_frame = 0;    // index + 1, 0: none
    std::size_t segment = 0;             // that pays for what stands before it
    std::size_t escape = 0;              // the outermost frame that a branch in it leads to
    std::vector<Node> variables;         // floating locals: merged at a block's end; a loop's head
    std::vector<Node> entry_variables;   // for else
  };
  struct LoopReads {  // locals that a loop's own code has touched
    std::uint32_t plan = 0;
    unsigned read = 0, seen = 0;
    std::array<std::uint32_t, 8> locals{};
  };

  bool refuse(base::Error error) {
    if (!refusal_) refusal_ = std::move(error);
    return false;
  }
  bool invalid(std::string_view what) { return refuse(damaged(what)); }

  // --- the function

  bool walk(std::uint32_t function) {
    const Body& body = module_.bodies[function - module_.imported_functions];
    const std::uint32_t type = module_.function_types[function];
    function_ = function;
    facts_ = &calls_.functions[function];
    wrapped_ = is_wrapped(*facts_);
    first_shifted_ = facts_->takes_state ? module_.types[type].parameters : no_local;
    plan_.edits.clear();
    plan_.observed.clear();
    plan_.groups.clear();
    group_ = {};
    plan_.needs_f32 = plan_.needs_f64 = plan_.needs_v128 = false;
    values_.clear();
    slots_ = slots_max_ = 0;
    depth_ = 0;
    work_ = merges_ = 0;
    work_max_ = work_free + work_per_byte * body.bytes.size();
    too_many_merges_ = false;
    taint_.clear();
    loops_.clear();
    loop_ = UINT32_MAX;
    loop_frame_ = 0;
    read_locals(body, type);

    Reader in(body.bytes.subspan(body.declarations));
    in_ = &in;
    push_frame(op::block, {}, module_.results_of(type));
    open_segment(0, facts_->mode != FuelMode::inlined && facts_->calls_outside_loops, observe_parameters(type));
    live_ = true;
    while (depth_ > 0) {
      if (!step()) return false;
    }
    if (!in.ok() || !in.at_end()) return invalid("code after a function's end");
    finish_taint();
    plan_.slots = slots_max_ + local_slots_;
    return true;
  }

  void read_locals(const Body& body, std::uint32_t type) {
    const auto parameters = module_.parameters_of(type);
    plan_.locals.assign(parameters.begin(), parameters.end());
    Reader in(body.bytes);
    for (std::uint32_t groups = in.u32(); groups > 0; --groups) {
      const std::uint32_t n = in.u32();
      plan_.locals.insert(plan_.locals.end(), n, read_value_type(in));
    }
    variable_of_.assign(plan_.locals.size(), no_local);
    versions_.assign(plan_.locals.size(), 0);
    current_.clear();
    local_slots_ = 0;
    for (std::size_t i = 0; i < plan_.locals.size(); ++i) {
      local_slots_ += slots_of(plan_.locals[i]);
      if (!is_floating(plan_.locals[i])) continue;
      variable_of_[i] = static_cast<std::uint32_t>(current_.size());
      const Node initial = i < parameters.size() ? NanTaint::raw(plan_.locals[i]) : NanTaint::constant(0);
      if (exact_variables_) {
        current_.push_back(initial);
      } else {
        current_.push_back(taint_.variable());
        taint_.flow(initial, current_.back());
      }
    }
  }

  void finish_taint() {
    taint_.settle();
    take_groups();
    const auto& places = taint_.resolve();
    if (places.empty() && grouped_.empty()) return;
    for (const auto& place : places) {
      plan_.needs_f32 = plan_.needs_f32 || place.kind == Canonical::f32;
      plan_.needs_f64 = plan_.needs_f64 || place.kind == Canonical::f64;
      plan_.needs_v128 = plan_.needs_v128 || place.kind == Canonical::f32x4 || place.kind == Canonical::f64x2;
    }
    // Before whatever else stands at the same place: the value was just pushed.
    merged_.clear();
    std::size_t next = 0, next_grouped = 0;
    const auto up_to = [&](std::uint32_t position) {
      while (true) {
        const std::uint32_t place = next < places.size() ? places[next].position : UINT32_MAX;
        const std::uint32_t grouped = next_grouped < grouped_.size() ? grouped_[next_grouped].position : UINT32_MAX;
        if (std::min(place, grouped) > position || (place == UINT32_MAX && grouped == UINT32_MAX)) return;
        if (place <= grouped) merged_.push_back(canonical_edit(places[next++]));
        else merged_.push_back(grouped_[next_grouped++]);
      }
    };
    for (const Edit& edit : plan_.edits) {
      up_to(edit.position);
      merged_.push_back(edit);
    }
    up_to(UINT32_MAX);
    plan_.edits.swap(merged_);
  }

  // Groups in which one question saves another.
  void take_groups() {
    grouped_.clear();
    for (std::uint32_t g = 0; g < plan_.groups.size(); ++g) {
      StoreGroup& group = plan_.groups[g];
      const auto stores = std::span(group.stores).first(group.count);
      for (auto& store : stores) store.wanted = taint_.is_wanted(store.use);
      if (std::ranges::count_if(stores, &StoreGroup::Store::wanted) < 2) continue;
      for (std::uint32_t i = 0; i < group.count; ++i) {
        if (stores[i].wanted) taint_.take(stores[i].use);
        grouped_.push_back({stores[i].position, stores[i].length, Edit::Kind::delay, g, i});
      }
      grouped_.push_back({group.end, 0, Edit::Kind::flush, g, 0});
    }
  }

  static Edit canonical_edit(const NanTaint::Place& place) {
    return {place.position, 0, Edit::Kind::canonical, 0, static_cast<std::uint64_t>(place.kind)};
  }

  // --- groups of stores

  void close_group(std::uint32_t position) {
    group_.end = position;
    if (group_.count >= 2) plan_.groups.push_back(group_);
    group_.count = 0;
  }

  // An access of at most `size` bytes that touches none of the group's.
  bool misses_group(const Value& address, std::uint32_t offset, std::uint32_t size) const {
    if (address.local != group_.base || address.version != versions_[group_.base]) return false;
    return std::ranges::all_of(std::span(group_.stores).first(group_.count), [&](const StoreGroup::Store& store) {
      return std::uint64_t{offset} + size <= store.offset || std::uint64_t{store.offset} + store_bytes <= offset;
    });
  }

  // Neither sees memory, nor traps, nor leads elsewhere; or reads what the group leaves alone.
  bool passes_group(const Decoded& at, const Immediates& immediates) const {
    const auto reads = [&](std::uint32_t size) { return !values_.empty() && misses_group(values_.back(), immediates.second, size); };
    const std::uint32_t code = at.code;
    if (at.prefix == prefix_misc) return code < op::memory_init;
    if (at.prefix == prefix_simd) {
      if (code <= 10 || code == 92 || code == 93) return reads(16);
      return code != 11 && (code < 84 || code > 91);
    }
    if (code == op::local_get || code == op::drop || code == op::select) return true;
    if (code == op::local_set || code == op::local_tee) return immediates.index != group_.base;
    if (code >= 0x28 && code <= 0x35) return reads(8);
    const bool divides = (code >= 0x6D && code <= 0x70) || (code >= 0x7F && code <= 0x82);
    const bool truncates = (code >= 0xA8 && code <= 0xAB) || (code >= 0xAE && code <= 0xB1);
    return code >= op::i32_const && code <= 0xC4 && !divides && !truncates;
  }

  // Before a store's operands are taken: whether it joins the group, which begins with it if it must.
  bool joins_group(const Decoded& at, const Immediates& immediates, std::uint32_t position) {
    const std::size_t n = values_.size();
    if (n < frame().height + std::size_t{2} || values_[n - 1].pushed_at != position || values_[n - 2].local == no_local ||
        values_[n - 2].version != versions_[values_[n - 2].local]) {
      close_group(position);
      return false;
    }
    const Type type = at.code == op::f32_store ? Type::f32 : Type::f64;
    if (group_.count == group_.stores.size() || group_.type != type || !misses_group(values_[n - 2], immediates.second, store_bytes)) close_group(position);
    if (group_.count == 0) {
      group_.base = values_[n - 2].local;
      group_.type = type;
    }
    return true;
  }

  bool store(const Decoded& at, const Immediates& immediates, std::uint32_t position) {
    const bool joins = joins_group(at, immediates, position);
    const std::size_t uses = taint_.uses();
    if (!typed(at, immediates, position)) return false;
    if (!joins) return true;
    const std::uint32_t use = taint_.uses() > uses ? static_cast<std::uint32_t>(uses) : NanTaint::no_use;
    group_.stores.at(group_.count++) = {position, in_->position() - position, immediates.second, use, false};
    return true;
  }

  // --- fuel

  void edit(Edit::Kind kind, std::uint32_t position, std::uint32_t skip, std::uint64_t value, std::uint32_t extra = no_local) {
    plan_.edits.push_back({position, skip, kind, extra, value});
  }

  void open_segment(std::uint32_t position, bool check, std::uint32_t observed = no_local) {
    segment_ = plan_.edits.size();
    edit(check ? Edit::Kind::check : Edit::Kind::charge, position, 0, 0, observed);
  }

  static bool observable(Type type) { return type == Type::i32 || type == Type::i64 || type == Type::f32 || type == Type::f64; }

  std::uint32_t observe_parameters(std::uint32_t type) {
    Observed out;
    out.fill(no_local);
    std::size_t n = 0;
    const auto parameters = module_.parameters_of(type);
    for (std::uint32_t i = 0; i < parameters.size() && n < out.size(); ++i)
      if (observable(parameters[i])) out[n++] = i;
    plan_.observed.push_back(out);
    return static_cast<std::uint32_t>(plan_.observed.size() - 1);
  }

  void note_access(std::uint32_t local, bool reads) {
    if (loop_ == UINT32_MAX) return;
    LoopReads& loop = loops_[loop_];
    Observed& observed = plan_.observed[loop.plan];
    if (loop.read == observed.size() || loop.seen == loop.locals.size() || !observable(plan_.locals[local])) return;
    for (unsigned i = 0; i < loop.seen; ++i)
      if (loop.locals[i] == local) return;
    loop.locals[loop.seen++] = local;
    if (reads) observed[loop.read++] = local;
  }

  // --- values

  void push(Type type, Node node) {
    values_.push_back({type, node, in_->position()});
    slots_ += slots_of(type);
    slots_max_ = std::max(slots_max_, slots_);
  }
  bool push_raw(std::span<const Type> types) {
    if (!spend(types.size()) || values_.size() + types.size() > operands_max) return invalid("too many operands");
    for (const Type type : types) push(type, NanTaint::raw(type));
    return true;
  }
  bool pop(Value& out) {
    if (values_.size() <= frame().height) return invalid("an operand is missing");
    out = values_.back();
    values_.pop_back();
    slots_ -= slots_of(out.type);
    return true;
  }
  bool pop(Type type, Value& out) { return pop(out) && (out.type == type || invalid("an operand's type")); }
  bool pop(Type type) {
    Value ignored;
    return pop(type, ignored);
  }
  void leave(const Value& value, std::uint8_t unwanted = NanTaint::tainted) {
    if (is_floating(value.type)) taint_.use(value.node, unwanted, value.type, value.pushed_at);
  }
  bool pop_leaving(std::span<const Type> types) {
    if (!spend(types.size())) return invalid("too many operands");
    Value value;
    for (std::size_t i = types.size(); i > 0; --i) {
      if (!pop(types[i - 1], value)) return false;
      leave(value);
    }
    return true;
  }
  // The same, but they stay.
  bool peek_leaving(std::span<const Type> types) {
    if (!spend(types.size())) return invalid("too many operands");
    if (values_.size() - frame().height < types.size()) return invalid("an operand is missing");
    const Value* first = values_.data() + (values_.size() - types.size());
    for (std::size_t i = 0; i < types.size(); ++i) {
      if (first[i].type != types[i]) return invalid("an operand's type");
      leave(first[i]);
    }
    return true;
  }
  bool spend(std::size_t work) { return (work_ += work) <= work_max_; }

  // --- control

  Frame& frame() { return frames_[depth_ - 1]; }

  void push_frame(std::uint8_t opcode, std::span<const Type> parameters, std::span<const Type> results) {
    if (depth_ == frames_.size()) frames_.emplace_back();
    Frame& out = frames_[depth_++];
    out.opcode = opcode;
    out.targeted = out.has_variables = out.has_label = false;
    out.parameters = parameters;
    out.results = results;
    out.height = static_cast<std::uint32_t>(values_.size());
    out.label = 0;
    out.stamp = 0;
    out.outer_loop = loop_;
    out.outer_loop_frame = loop_frame_;
    out.segment = segment_;
    out.escape = depth_ - 1;
  }

  bool block_type(std::int64_t block, std::span<const Type>& parameters, std::span<const Type>& results) {
    if (block >= 0) {
      if (static_cast<std::uint64_t>(block) >= module_.types.size()) return invalid("a block's type");
      parameters = module_.parameters_of(static_cast<std::uint32_t>(block));
      results = module_.results_of(static_cast<std::uint32_t>(block));
      return true;
    }
    const auto byte = static_cast<std::uint8_t>(block & 0x7F);
    results = single(byte);
    return block >= -64 && (byte == 0x40 || !results.empty()) ? true : refuse(unsupported_type(byte));
  }

  bool enter(const Decoded& at, const Immediates& immediates) {
    std::span<const Type> parameters, results;
    if (!block_type(immediates.block, parameters, results)) return false;
    if (at.code == op::if_ && !pop(Type::i32)) return false;
    if (!pop_leaving(parameters)) return false;
    push_frame(static_cast<std::uint8_t>(at.code), parameters, results);
    if (at.code == op::if_) {
      frame().entry_variables.clear();
      if (!merge_work()) return false;
      if (exact_variables_) frame().entry_variables = current_;
    }
    if (at.code == op::loop && !enter_loop()) return false;
    if (at.code == op::if_) open_segment(in_->position(), false);
    return push_raw(parameters);
  }

  bool enter_loop() {
    if (!merge_work()) return false;
    if (exact_variables_) {
      for (Node& variable : current_) {
        const Node head = taint_.variable();
        taint_.flow(variable, head);
        variable = head;
      }
      frame().variables = current_;
    }
    plan_.observed.emplace_back().fill(no_local);
    LoopReads reads;
    reads.plan = static_cast<std::uint32_t>(plan_.observed.size() - 1);
    loops_.push_back(reads);
    loop_ = static_cast<std::uint32_t>(loops_.size() - 1);
    loop_frame_ = depth_;
    open_segment(in_->position(), true, reads.plan);
    return true;
  }

  bool merge_work() {
    if (!exact_variables_) return true;
    merges_ += current_.size();
    if (merges_ <= work_max_) return true;
    too_many_merges_ = true;
    return false;
  }

  bool merge_variables(Frame& to) {
    if (!exact_variables_ || current_.empty()) return true;
    if (!merge_work()) return false;
    if (to.opcode == op::loop) {
      for (std::size_t i = 0; i < current_.size(); ++i) taint_.flow(current_[i], to.variables[i]);
    } else if (!to.has_variables) {
      to.variables = current_;
      to.has_variables = true;
    } else {
      for (std::size_t i = 0; i < current_.size(); ++i) to.variables[i] = taint_.join(to.variables[i], current_[i]);
    }
    return true;
  }

  void merge_label(Frame& to, Node node) {
    to.label = to.has_label ? taint_.join(to.label, node) : node;
    to.has_label = true;
  }

  // A branch that leaves the innermost loop does not end straight-line code: the loop's last round is paid whole.
  bool leaves_loop(std::size_t to) const { return to + 1 < loop_frame_; }

  void note_escape(std::size_t to) {
    Frame& from = leaves_loop(to) ? frames_[loop_frame_ - 1] : frame();
    from.escape = std::min(from.escape, to);
  }

  // Behind a block from which nothing leads further out, code runs as often as before it: one charge pays for both.
  void close_segment(const Frame& ended, bool new_one) {
    if (ended.escape >= depth_) segment_ = ended.segment;
    else if (new_one) open_segment(in_->position(), false);
  }

  // A branch to that frame with what is on the stack.
  bool branch(Frame& to) {
    const auto types = to.opcode == op::loop ? to.parameters : to.results;
    const bool carries_taint = to.opcode != op::loop && types.size() == 1 && is_floating(types[0]) && &to != &frames_[0];
    if (carries_taint) {
      if (values_.size() <= frame().height || values_.back().type != types[0]) return invalid("an operand's type");
      merge_label(to, values_.back().node);
    } else if (!peek_leaving(types)) {
      return false;
    }
    to.targeted = true;
    note_escape(static_cast<std::size_t>(&to - frames_.data()));
    return merge_variables(to);
  }

  bool branch_to(std::uint32_t label) {
    if (label >= depth_) return invalid("a branch's label");
    return branch(frames_[depth_ - 1 - label]);
  }

  bool branch_table() {
    if (!pop(Type::i32)) return false;
    const std::uint32_t n = in_->u32();
    if (n >= in_->left()) return invalid("a branch table");
    ++stamp_;
    for (std::uint32_t i = 0; i <= n; ++i) {
      const std::uint32_t label = in_->u32();
      if (!in_->ok() || label >= depth_) return invalid("a branch's label");
      Frame& to = frames_[depth_ - 1 - label];
      if (to.stamp == stamp_) continue;
      to.stamp = stamp_;
      if (!branch(to)) return false;
    }
    live_ = false;
    return true;
  }

  // The live end of a block's first or second arm.
  bool arrive(Frame& at) {
    if (values_.size() != at.height + at.results.size()) return invalid("a block leaves other operands than its type says");
    if (at.opcode == op::loop || &at == &frames_[0]) {
      if (at.results.size() == 1 && at.opcode == op::loop && is_floating(at.results[0]) && values_.back().type == at.results[0]) {
        merge_label(at, values_.back().node);
        return true;
      }
      return peek_leaving(at.results);
    }
    if (at.opcode == op::block && !at.targeted && at.results.empty()) return true;  // nothing to merge
    const bool targeted = at.targeted;
    const bool done = branch(at);
    at.targeted = targeted;
    return done;
  }

  void reset_values(std::uint32_t height) {
    while (values_.size() > height) {
      slots_ -= slots_of(values_.back().type);
      values_.pop_back();
    }
  }

  bool else_arm() {
    Frame& at = frame();
    if (at.opcode != op::if_) return invalid("an else without if");
    if (live_ && !arrive(at)) return false;
    at.targeted = at.targeted || live_;
    at.opcode = op::else_;
    reset_values(at.height);
    if (exact_variables_) current_ = at.entry_variables;
    live_ = true;
    open_segment(in_->position(), false);
    return push_raw(at.parameters);
  }

  bool end_block() {
    Frame& at = frame();
    if (live_ && !arrive(at)) return false;
    bool joins = at.targeted && at.opcode != op::loop;
    if (at.opcode == op::if_) {  // no else: the parameters are the results
      if (!std::ranges::equal(at.parameters, at.results)) return invalid("an if without else that changes operands");
      if (at.results.size() == 1 && is_floating(at.results[0])) merge_label(at, NanTaint::raw(at.results[0]));
      if (exact_variables_) {
        current_.swap(at.entry_variables);
        if (!merge_variables(at)) return false;
      }
      joins = true;
    }
    const bool reached = live_ || joins;
    if (depth_ == 1) plan_.end_is_reached = reached;
    if (exact_variables_ && at.opcode != op::loop && at.has_variables) current_ = at.variables;
    reset_values(at.height);
    loop_ = at.outer_loop;
    const bool was_arm = at.opcode == op::else_;
    const auto results = at.results;
    const Node label = at.label;
    --depth_;
    if (depth_ == 0) return true;
    loop_frame_ = at.outer_loop_frame;
    note_escape(at.escape);
    live_ = reached;
    if (!reached) {
      edit(Edit::Kind::unreachable, in_->position(), 0, 0);
      return true;
    }
    close_segment(at, joins || was_arm);
    if (results.size() == 1 && is_floating(results[0])) {
      push(results[0], label);
      return true;
    }
    return push_raw(results);
  }

  // From a branch to the end or else that closes what it stands in.
  bool cut_dead_code() {
    const std::uint32_t from = in_->position();
    std::uint32_t nested = 0;
    while (true) {
      const std::uint32_t position = in_->position();
      const Decoded at = read_opcode(*in_);
      if (at.what == nullptr) return refuse(explain(at, *in_));
      read_immediates(*in_, at.what->immediate);
      if (at.what->immediate == Immediate::label_table) skip_label_table(*in_);
      if (!in_->ok()) return invalid("code");
      if (at.what->immediate == Immediate::block_type) ++nested;
      if (nested > 0) {
        if (at.is(op::end)) --nested;
        continue;
      }
      if (!at.is(op::end) && !at.is(op::else_)) continue;
      if (position > from) edit(Edit::Kind::cut, from, position - from, 0);
      return at.is(op::end) ? end_block() : else_arm();
    }
  }

  // --- instructions

  bool step() {
    if (!live_) return cut_dead_code();
    const std::uint32_t position = in_->position();
    const Decoded at = read_opcode(*in_);
    if (at.what == nullptr) return refuse(explain(at, *in_));
    const Immediates immediates = read_immediates(*in_, at.what->immediate);
    if (!in_->ok()) return refuse(at.what->immediate == Immediate::memory_argument || at.what->immediate == Immediate::memory ||
                                          at.what->immediate == Immediate::two_memories
                                      ? unsupported("several memories or memory64, or its code is damaged")
                                      : damaged("code"));
    plan_.edits[segment_].value += at.what->cost;
    if (at.is(op::f32_store) || at.is(op::f64_store)) return store(at, immediates, position);
    if (group_.count > 0 && !passes_group(at, immediates)) close_group(position);
    if (at.what->typed) return typed(at, immediates, position);
    return at.prefix == 0 ? untyped(at, immediates, position) : untyped_prefixed(at, immediates, position);
  }

  static Canonical canonical_kind(const Instruction& what) {
    if (what.out == Type::f32) return Canonical::f32;
    if (what.out == Type::f64) return Canonical::f64;
    return what.out_lanes == Lanes::f32x4 ? Canonical::f32x4 : Canonical::f64x2;
  }

  static std::uint8_t unwanted_by(const Instruction& what, Type operand, unsigned index) {
    if (what.nan == NanRule::bits || (what.nan == NanRule::copysign && index == 1)) return NanTaint::tainted;
    if (operand != Type::v128 || (what.nan == NanRule::move && what.in_lanes == Lanes::none)) return 0;
    return what.in_lanes == Lanes::f32x4 ? NanTaint::tainted64 : what.in_lanes == Lanes::f64x2 ? NanTaint::tainted32 : NanTaint::tainted;
  }

  Node result_of(const Instruction& what, const std::array<Value, 3>& operands) {
    const Lanes lanes = what.out_lanes == Lanes::none ? what.in_lanes : what.out_lanes;
    const auto foreign = static_cast<std::uint8_t>(lanes == Lanes::f32x4 ? NanTaint::raw64 : lanes == Lanes::f64x2 ? NanTaint::raw32 : 0);
    switch (what.nan) {
      case NanRule::make: return taint_.arithmetic(canonical_kind(what), in_->position());
      case NanRule::exact: return NanTaint::constant(foreign);
      case NanRule::copysign: return operands[0].node;
      case NanRule::pass:
      case NanRule::move: {
        const Node node = what.in_count == 2 ? taint_.join(operands[0].node, operands[1].node) : operands[0].node;
        return foreign == 0 ? node : taint_.with(node, foreign);
      }
      default: return NanTaint::raw(what.out);
    }
  }

  bool typed(const Decoded& at, const Immediates& immediates, std::uint32_t position) {
    const Instruction& what = at.what->immediate == Immediate::shuffle ? shuffle_instruction(immediates.bytes) : *at.what;
    if (at.is(op::memory_grow)) edit(Edit::Kind::memory_grow, position, in_->position() - position, 0);
    if (at.prefix == prefix_misc && at.code >= op::memory_init && !note_bulk(at, immediates, position)) return false;
    std::array<Value, 3> operands;
    for (unsigned i = what.in_count; i > 0; --i) {
      if (!pop(what.in[i - 1], operands[i - 1])) return false;
      if (is_floating(what.in[i - 1])) leave(operands[i - 1], unwanted_by(what, what.in[i - 1], i - 1));
    }
    if (what.out != Type::none) push(what.out, is_floating(what.out) ? result_of(what, operands) : Node{0});
    return values_.size() <= operands_max || invalid("too many operands");
  }

  bool note_bulk(const Decoded& at, const Immediates& immediates, std::uint32_t position) {
    switch (at.code) {
      case op::memory_init:
        if (!module_.data_count || immediates.index >= *module_.data_count) return invalid("a data segment's index");
        [[fallthrough]];
      case op::memory_copy:
      case op::memory_fill: edit(Edit::Kind::charge_bytes, position, 0, 0); break;
      case op::table_init:
      case op::table_copy: edit(Edit::Kind::charge_elements, position, 0, 0); break;
      default: break;
    }
    return true;
  }

  bool untyped(const Decoded& at, const Immediates& immediates, std::uint32_t position) {
    switch (at.code) {
      case op::unreachable: live_ = false; return true;
      case op::nop: return true;
      case op::block:
      case op::loop:
      case op::if_: return enter(at, immediates);
      case op::else_: return else_arm();
      case op::end: return end_block();
      case op::br:
        live_ = false;
        return branch_to(immediates.index);
      case op::br_if:
        if (!pop(Type::i32) || !branch_to(immediates.index)) return false;
        if (!leaves_loop(depth_ - 1 - immediates.index)) open_segment(in_->position(), false);
        return true;
      case op::br_table: return branch_table();
      case op::return_:
        if (wrapped_) edit(Edit::Kind::leave, position, in_->position() - position, depth_ - 1);
        live_ = false;
        return branch(frames_[0]);
      case op::call: return call(immediates, position);
      case op::call_indirect: return call_indirect(immediates, position);
      case op::drop: {
        Value ignored;
        return pop(ignored);
      }
      case op::select:
      case op::select_typed: return select(at, immediates);
      case op::local_get:
      case op::local_set:
      case op::local_tee: return local(at, immediates.index, position);
      case op::global_get:
      case op::global_set: return global(at, immediates.index);
      default: return constant_or_reference(at, immediates, position);
    }
  }

  bool call(const Immediates& immediates, std::uint32_t position) {
    const std::uint32_t callee = immediates.index;  // checked by the call graph
    const std::uint32_t type = module_.function_types[callee];
    if (calls_.functions[callee].mode == FuelMode::inlined) plan_.edits[segment_].value += calls_.functions[callee].cost;
    edit(Edit::Kind::call, position, in_->position() - position, callee);
    return pop_leaving(module_.parameters_of(type)) && push_raw(module_.results_of(type));
  }

  bool call_indirect(const Immediates& immediates, std::uint32_t position) {
    if (immediates.second >= module_.tables.size()) return invalid("a table's index");
    edit(Edit::Kind::call_indirect, position, in_->position() - position, immediates.index, immediates.second);
    return pop(Type::i32) && pop_leaving(module_.parameters_of(immediates.index)) && push_raw(module_.results_of(immediates.index));
  }

  bool select(const Decoded& at, const Immediates& immediates) {
    Value a, b;
    if (!pop(Type::i32) || !pop(b) || !pop(b.type, a)) return false;
    if (at.code == op::select ? is_reference(a.type) : a.type != immediates.type) return invalid("an operand's type");
    push(a.type, is_floating(a.type) ? taint_.join(a.node, b.node) : Node{0});
    return true;
  }

  bool local(const Decoded& at, std::uint32_t index, std::uint32_t position) {
    if (index >= plan_.locals.size()) return invalid("a local's index");
    const Type type = plan_.locals[index];
    const std::uint32_t variable = variable_of_[index];
    note_access(index, at.code == op::local_get);
    if (index >= first_shifted_) edit(Edit::Kind::local, position + 1, in_->position() - position - 1, index + state_parameters);
    if (at.code == op::local_get) {
      push(type, variable == no_local ? Node{0} : current_[variable]);
      values_.back().local = index;
      values_.back().version = versions_[index];
      return values_.size() <= operands_max || invalid("too many operands");
    }
    Value value;
    if (!pop(type, value)) return false;
    ++versions_[index];
    if (variable != no_local) {
      if (exact_variables_) current_[variable] = value.node;
      else taint_.flow(value.node, current_[variable]);
    }
    if (at.code == op::local_tee) push(type, value.node);
    return true;
  }

  bool global(const Decoded& at, std::uint32_t index) {
    if (index >= module_.globals.size()) return invalid("a global's index");  // ours stand behind the program's
    const Type type = module_.globals[index].type;
    if (at.code == op::global_get) return push_raw({&module_.globals[index].type, 1});
    Value value;
    if (!module_.globals[index].is_mutable) return invalid("an immutable global is set");
    if (!pop(type, value)) return false;
    leave(value);
    return true;
  }

  bool constant_or_reference(const Decoded& at, const Immediates& immediates, std::uint32_t position) {
    switch (at.code) {
      case op::f32_const: push(Type::f32, NanTaint::constant(nans32_in(immediates.bytes))); return true;
      case op::f64_const: push(Type::f64, NanTaint::constant(nans64_in(immediates.bytes))); return true;
      case op::ref_null: push(immediates.type, 0); return true;
      case op::ref_is_null: {
        Value value;
        if (!pop(value)) return false;
        if (!is_reference(value.type)) return invalid("an operand's type");
        push(Type::i32, 0);
        return true;
      }
      case op::ref_func:
        edit(Edit::Kind::function_index, position + 1, in_->position() - position - 1, immediates.index);
        push(Type::funcref, 0);
        return true;
      default: break;
    }
    if (immediates.index >= module_.tables.size()) return invalid("a table's index");
    const Type type = module_.tables[immediates.index].type;
    if (at.code == op::table_get) {
      if (!pop(Type::i32)) return false;
      push(type, 0);
      return true;
    }
    return pop(type) && pop(Type::i32);
  }

  bool untyped_prefixed(const Decoded& at, const Immediates& immediates, std::uint32_t position) {
    if (at.prefix == prefix_simd) {  // v128.const
      push(Type::v128, NanTaint::constant(nans32_in(immediates.bytes) | nans64_in(immediates.bytes)));
      return true;
    }
    if (immediates.index >= module_.tables.size()) return invalid("a table's index");
    const Type type = module_.tables[immediates.index].type;
    if (at.is_misc(op::table_grow)) {
      edit(Edit::Kind::table_grow, position, in_->position() - position, immediates.index);
      if (!pop(Type::i32) || !pop(type)) return false;
      push(Type::i32, 0);
      return true;
    }
    edit(Edit::Kind::charge_elements, position, 0, 0);
    return pop(Type::i32) && pop(type) && pop(Type::i32);
  }

  const Module& module_;
  const CallGraph& calls_;
  FunctionPlan plan_;
  NanTaint taint_;
  std::uint32_t function_ = 0;
  const FunctionFacts* facts_ = nullptr;
  bool wrapped_ = false;
  std::uint32_t first_shifted_ = no_local;
  Reader* in_ = nullptr;
  std::vector<Value> values_;
  std::vector<Frame> frames_;
  std::size_t depth_ = 0;
  std::vector<LoopReads> loops_;
  std::uint32_t loop_ = 0;
  std::size_t loop_frame_ = 0;              // the innermost loop's index in frames_ + 1, 0: none
  std::vector<std::uint32_t> variable_of_;  // local to floating variable
  std::vector<Node> current_;               // what each floating variable holds here
  std::vector<std::uint32_t> versions_;     // per local: how often it was set
  StoreGroup group_;                        // the open one, if it has stores
  std::vector<Edit> merged_, grouped_;
  std::size_t segment_ = 0;
  std::uint32_t slots_ = 0, slots_max_ = 0, local_slots_ = 0;
  std::uint64_t work_ = 0, merges_ = 0, work_max_ = 0, stamp_ = 0;
  bool live_ = false;
  bool exact_variables_ = true;
  bool too_many_merges_ = false;
  std::optional<base::Error> refusal_;
};

Walker::Walker(const Module& module, const CallGraph& calls) : walk_(std::make_unique<Walk>(module, calls)) {}
Walker::~Walker() = default;

base::Expected<const FunctionPlan*> Walker::walk(std::uint32_t function) { return walk_->run(function); }

}  // namespace starling::execution::instrument
