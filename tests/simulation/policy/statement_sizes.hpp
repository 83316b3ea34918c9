// What statements take on the wire, measured on the real encoders (wire/codec.hpp): whole signed envelopes.
#pragma once

namespace starling::simulation::policy {

struct StatementSizes {
  double result_alone_bytes = 0;     // an answer in a statement of its own: units that take longer than the batch delay
  double result_in_batch_bytes = 0;  // its share of a full statement
  double replay_bytes = 0;
};
StatementSizes measure_statement_sizes();

}  // namespace starling::simulation::policy
