// Tests of the simulator itself: what it claims about its queue, network, notary and scenario files.
#pragma once

namespace starling::simulation {

// Prints one line per test; true when all passed.
bool self_test();

}  // namespace starling::simulation
