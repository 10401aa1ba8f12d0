// The machine's ceilings, measured in a fraction of a second.
#pragma once

namespace narrow::pipeline {

struct Peaks {
  double read_gb_s = 0;    // streaming read from memory, all threads
  double fp32_gflops = 0;  // dense FP32 convolution kernel, all threads
};

Peaks measure_peaks(int threads);

}  // namespace narrow::pipeline
