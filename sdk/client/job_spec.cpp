#include "sdk/client/job_spec.hpp"

#include <algorithm>
#include <limits>
#include <set>

namespace starling::client {

namespace {

using base::ErrorCode;

auto bad(std::string what, std::string hint) { return base::fail(ErrorCode::bad_input, std::move(what), std::move(hint)); }

std::string bounds_text(std::uint64_t low, std::uint64_t high) { return std::to_string(low) + " to " + std::to_string(high); }

bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.size() <= limits::name_bytes_max &&
         name.find_first_of(std::string("/\n\0", 3)) == std::string::npos;
}

base::Expected<void> check_inputs(const std::vector<JobSpec::InputFile>& inputs) {
  if (inputs.size() > limits::inputs_per_job_max)
    return bad("the job has more than " + std::to_string(limits::inputs_per_job_max) + " inputs", "put them into one file");
  std::set<std::string> names;
  for (const auto& input : inputs) {
    if (!is_plain_name(input.name)) return bad("an input cannot be called \"" + input.name + "\"", "name it: --input NAME=FILE, without '/'");
    if (!names.insert(input.name).second) return bad("two inputs are called " + input.name, "name one differently: --input NAME=FILE");
  }
  return {};
}

base::Expected<void> check_items(const std::vector<std::string>& items) {
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    bytes += items[i].size() + 1;
    if (items[i].size() > limits::item_bytes_max)
      return bad("item " + std::to_string(i) + " is longer than " + std::to_string(limits::item_bytes_max) + " bytes", "pass long data as an --input");
    if (items[i].find('\n') != std::string::npos) return bad("item " + std::to_string(i) + " holds a line break", "one item is one line");
  }
  if (bytes > limits::units_blob_bytes_max) return bad("the items are too long together", "pass long data as an --input");
  return {};
}

base::Expected<void> check_texts(const std::string& name, const std::vector<std::string>& arguments, const std::string& split) {
  if (name.size() > limits::name_bytes_max || split.size() > limits::name_bytes_max)
    return bad("a name is longer than " + std::to_string(limits::name_bytes_max) + " bytes", "choose a shorter one");
  if (arguments.size() > limits::arguments_per_job_max) return bad("there are too many arguments", "pass them in an --input file");
  for (const auto& argument : arguments)
    if (argument.size() > limits::name_bytes_max) return bad("an argument is too long: " + argument.substr(0, 40), "pass it in an --input file");
  return {};
}

template <class Number>
base::Expected<void> check_range(const char* what, Number value, Number low, Number high) {
  if (value >= low && value <= high) return {};
  return bad(std::string(what) + " must be " + bounds_text(low, high), "change it and try again");
}

base::Expected<void> check_segments(std::uint64_t units, std::uint64_t rounds, std::uint64_t each) {
  if (each == 0) return {};
  if (rounds == 0) return bad("segments are made of rounds, and the items have none", "say how many they may have: --rounds N");
  const std::uint64_t segments = (rounds + each - 1) / each;
  if (segments * units <= limits::units_per_job_max) return {};
  const std::uint64_t allowed = limits::units_per_job_max / units;
  return bad(std::to_string(segments) + " segments of each of " + std::to_string(units) + " units are too many",
             "use --segment-rounds " + std::to_string((rounds + allowed - 1) / allowed) + " or more");
}

constexpr std::uint64_t memory_bytes_min = 64 * 1024;  // one page: the least that a module can have

}  // namespace

JobSpec& JobSpec::time_limit(std::chrono::milliseconds time) {
  // Too long a time stays too long, whatever its width: check() says so.
  limits_.time_ms = static_cast<std::uint32_t>(std::clamp<std::int64_t>(time.count(), 0, std::numeric_limits<std::uint32_t>::max()));
  return *this;
}

base::Expected<void> JobSpec::check() const {
  if (items_.empty()) return bad("there is nothing to do: no items", "give --items, --array, or a --split that prints lines");
  const auto per_unit = check_range<std::uint64_t>("items per unit", items_per_unit_, 1, limits::items_per_unit_max);
  if (!per_unit) return per_unit;
  const std::uint64_t units = (items_.size() + items_per_unit_ - 1) / items_per_unit_;
  if (units > limits::units_per_job_max) {
    const auto enough = (items_.size() + limits::units_per_job_max - 1) / limits::units_per_job_max;
    return bad(std::to_string(units) + " units are more than " + std::to_string(limits::units_per_job_max),
               "use --items-per-unit " + std::to_string(enough) + " or more");
  }
  if (const auto fit = check_segments(units, rounds_max_, segment_rounds_); !fit) return fit;
  for (const auto& checked :
       {check_items(items_), check_inputs(inputs_), check_texts(name_, arguments_, split_),
        check_range<std::uint64_t>("the memory limit in bytes", limits_.memory_bytes, memory_bytes_min, limits::memory_bytes_max),
        check_range<std::uint64_t>("the output limit in bytes", limits_.output_bytes, 1, limits::output_bytes_max),
        check_range<std::uint64_t>("the time limit in ms", limits_.time_ms, 1, limits::unit_time_ms_max),
        check_range<std::uint64_t>("the number of rounds", rounds_max_, 0, limits::checkpoint_rounds_max),
        check_range<std::uint64_t>("epsilon in millionths", epsilon_ppm_.value_or(1), 1, 500'000),
        check_range<std::uint64_t>("the share of audits in percent", audit_percent_, limits::audit_share_percent, limits::audit_share_percent_max),
        check_range<std::uint64_t>("the lifetime in seconds", static_cast<std::uint64_t>(std::max<std::int64_t>(0, lifetime_.count())), 1,
                                   static_cast<std::uint64_t>(limits::job_lifetime_max_s))})
    if (!checked) return checked;
  return {};
}

base::Expected<protocol::Manifest> JobSpec::manifest(protocol::SwarmKind kind, std::uint32_t live_peers, std::int64_t now_unix_s,
                                                     std::uint64_t nonce) const {
  if (const auto checked = check(); !checked) return std::unexpected(checked.error());
  protocol::Manifest m;
  m.name = name_.empty() ? program_.stem().string().substr(0, limits::name_bytes_max) : name_;
  m.arguments = arguments_;
  m.item_count = items_.size();
  m.items_per_unit = items_per_unit_;
  m.unit_count = static_cast<std::uint32_t>((items_.size() + items_per_unit_ - 1) / items_per_unit_);
  m.limits = limits_;
  m.verification = verification_;
  m.epsilon_ppm = epsilon_ppm_.value_or(kind == protocol::SwarmKind::public_swarm ? epsilon_public_ppm : epsilon_private_ppm);
  m.audit_percent = audit_percent_;
  // Two blocks of 8 x this are open at a time: who submits alone may be joined by many, if the job is long enough for that.
  m.peer_estimate = std::max(live_peers, std::min(m.unit_count / 128, 16U));
  m.priority = priority_;
  m.created_unix_s = now_unix_s;
  m.expires_unix_s = now_unix_s + lifetime_.count();
  m.rounds_max = rounds_max_;
  m.segment_rounds = segment_rounds_;
  m.split = split_;
  m.nonce = nonce;
  return m;
}

base::Bytes JobSpec::units_blob() const {
  base::Bytes out;
  for (const auto& item : items_) {
    base::append(out, base::view(item));
    out.push_back(std::byte{'\n'});
  }
  return out;
}

}  // namespace starling::client
