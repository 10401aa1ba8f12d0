// Runs many small models in one process: for tests/e2e/test_node_cases.py and scripts/operator_table.py.
//
//   narrow-node-cases FOLDER < names
// For each name on stdin: FOLDER/name.onnx with the arrays of FOLDER/name.in.npz, answers in
// FOLDER/name.out.npz. Says "begin name" before a case and "ok name" or "error name: message" after it, so
// that a crash names its case.
#include <fmt/format.h>

#include <cstdio>
#include <iostream>
#include <memory>
#include <string>

#include "data/npz.h"
#include "runtime/session.h"

namespace {

narrow::Status run_case(const std::string& stem, const std::shared_ptr<narrow::ThreadPool>& pool) {
  NARROW_TRY(narrow::runtime::Session session, narrow::runtime::Session::open(stem + ".onnx", pool));
  NARROW_TRY(const narrow::TensorMap inputs, narrow::data::read_npz(stem + ".in.npz"));
  NARROW_TRY(const narrow::TensorMap outputs, session.run(inputs));
  return narrow::data::write_npz(stem + ".out.npz", outputs);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: narrow-node-cases FOLDER < names\n", stderr);
    return 2;
  }
  const auto pool = std::make_shared<narrow::ThreadPool>(1);
  for (std::string name; std::getline(std::cin, name);) {
    fmt::print("begin {}\n", name);
    std::fflush(stdout);
    const narrow::Status done = run_case(std::string(argv[1]) + "/" + name, pool);
    if (done.ok())
      fmt::print("ok {}\n", name);
    else
      fmt::print("error {}: {}\n", name, done.error().message());
  }
  return 0;
}
