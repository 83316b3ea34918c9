// Parts that bodies and link messages share: outcomes, optional digests, unit numbers. Internal to wire/.
#pragma once

#include <peer.capnp.h>

#include "coordinator-less/protocol/message.hpp"
#include "coordinator-less/wire/message_io.hpp"

namespace starling::wire {

// Empty for none, which is common and saves a batch some KiB; never zeros: one way to say a thing.
inline base::Digest read_optional(capnp::Data::Reader data) {
  if (data.size() == 0) return {};
  const auto digest = read_id<base::Digest>(data);
  require(digest != base::Digest{}, "an optional digest of zeros");
  return digest;
}

template <class Set>
void write_optional(const base::Digest& digest, Set set) {
  if (digest != base::Digest{}) set(data_of(digest.view()));
}

// Serves ResultEntry and Outcome, which hold the same fields.
template <class Reader>
protocol::Outcome read_outcome(Reader in) {
  using protocol::OutcomeKind;
  const protocol::Outcome out{read_enum(in.getKind(), OutcomeKind::checkpoint), in.getCode(), read_id<base::Digest>(in.getDigest()), in.getArchiveBytes(),
                    in.getFuel(), read_optional(in.getInput())};
  require(out.archive_bytes <= limits::executor_frame_bytes_max, "an archive is too large");
  require(out.kind != OutcomeKind::checkpoint || out.code == 85, "a checkpoint has another exit code than 85");
  require(out.kind != OutcomeKind::ok || out.code == 0, "an outcome is ok and has an exit code");
  require(out.kind != OutcomeKind::exit_code || out.code != 0, "a failed outcome has exit code 0");
  return out;
}

template <class Builder>
void write_outcome(Builder out, const protocol::Outcome& outcome) {
  out.setKind(static_cast<schema::OutcomeKind>(outcome.kind));
  out.setCode(outcome.code);
  out.setDigest(data_of(outcome.digest.view()));
  out.setArchiveBytes(outcome.archive_bytes);
  out.setFuel(outcome.fuel);
  write_optional(outcome.input, [&](auto data) { out.setInput(data); });
}

inline base::UnitIndex checked_unit(std::uint32_t unit) {
  require(unit < limits::units_per_job_max, "a unit is out of range");
  return unit;
}

}  // namespace starling::wire
