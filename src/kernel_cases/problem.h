// A case with its data: operands, what the reference makes of them, and the kernels that may try.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/cpu.h"
#include "kernels/tensor_quant.h"
#include "parallel/thread_pool.h"

namespace narrow::kernel_cases {

using Bytes = std::vector<uint8_t>;

struct Memory {
  std::vector<const void*> in;  // one for each input of the problem
  std::vector<void*> out;       // one for each output
  void* scratch = nullptr;      // 64-byte aligned
};

/// Ready to run, again and again, on memory of the problem's extents.
struct PreparedKernel {
  int64_t scratch_bytes = 0;
  std::function<void(const Memory& memory, ThreadPool& pool)> run = {};
};

struct Candidate {
  std::string name = {};
  Isa isa = Isa::plain;
  std::string refusal = {};  // why it does not take this case; empty: it does
  /// threads: of the pool that will run it.
  std::function<PreparedKernel(int threads)> prepare = {};
  size_t accuracy = 0;  // which of an output's bounds it is held to
};

struct Output {
  std::string name = {};              // "dst"
  kernels::Format format = {};        // any type of tensor/dtype.h; the quantization where it is u8 or s8
  std::vector<int64_t> extents = {};  // [n, y, x, c] or the like: elements are named by them
  int64_t may_overwrite = -1;         // an input whose memory may be this output's

  // What it has to be; Problem::solve writes these.
  Bytes want = {};               // as the reference stores it
  std::vector<float> real = {};  // empty: bit for bit `want`. Otherwise the results before they are stored,
  std::vector<std::vector<float>> bounds =
      {};  // and how far from these each may be, for each accuracy of a candidate

  int64_t count() const;
  int64_t bytes() const;
};

struct Problem {
  std::vector<Bytes> inputs;
  std::vector<Output> outputs;
  std::vector<Candidate> candidates;
  std::function<void(Problem& problem)> solve;
  double operations = 0;  // multiplications and additions; 0: not a measure of this family
  double bytes = 0;       // read and written once: inputs, outputs, weights
};

}  // namespace narrow::kernel_cases
