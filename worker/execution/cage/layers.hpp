// The layers one by one; for the files of this folder.
#pragma once

#include "worker/execution/cage/cage.hpp"

namespace starling::execution::cage {

// A layer from the outcome of a system call: `error` is 0 or its errno.
Layer layer(std::string name, int error, const std::string& what);

Layer close_descriptors(const Plan& plan);
Layer set_limits(const Plan& plan);
Layer make_user_namespace();
Layer make_network_namespace();
Layer view_by_mounts(const Plan& plan);
Layer view_by_landlock(const Plan& plan);
Layer drop_privileges(int parent);
Layer lower_priority();

}  // namespace starling::execution::cage
