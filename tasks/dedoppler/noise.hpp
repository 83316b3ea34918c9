// Noise level and spread of samples that may hold signals: median and median absolute deviation.
// Reason: a few strong channels move a mean and a standard deviation, and a median not at all, up to half of the
// samples.
// Formula: for Gaussian noise sigma = 1.4826 MAD (Rousseeuw and Croux 1993). A sum over 16 spectra of chi-squared
// power with 204 degrees of freedom has a skewness of 0.05, so the Gaussian factor holds to better than one per cent.
#pragma once

#include <span>
#include <vector>

namespace starling::dedoppler {

struct Noise {
  float median = 0;
  float sigma = 0;  // 0 when more than half of the samples are equal: then nothing can be said about signals
};

// The element that would be at size / 2 after sorting; reorders `samples`, which must not be empty nor hold a NaN.
float median_in_place(std::span<float> samples);

// {0, 0} for no samples. `scratch` is room that callers keep between calls. Samples must be finite.
Noise measure_noise(std::span<const float> samples, std::vector<float>& scratch);

}  // namespace starling::dedoppler
