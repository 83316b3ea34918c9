// The picture of a hit: time runs down, frequency rises to the right, brightness is power.
// Rules: at least 512 pixels across, whole pixels per sample, so nothing is smoothed away; brightness is the square
// root of power between 2 sigma below the noise and the strongest sample, so that faint and strong tones are both
// seen; white marks above and below show where the fitted track starts and ends.
#pragma once

#include <string>

#include "tasks/dedoppler/cutout.hpp"

namespace starling::dedoppler {

// A PNG file. Samples that are not numbers are drawn as noise.
std::string draw_waterfall(const Cutout& cutout);

}  // namespace starling::dedoppler
