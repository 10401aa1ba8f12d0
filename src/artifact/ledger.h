// Where the bytes of a .narrow file go: what they are, and which layer they belong to.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace narrow::artifact {

/// What bytes are. places: which elements of a sparse constant are there, and where weights stand apart
/// (their values are weights). engine: constants of the engine's
/// graph alone. Constants of up to 64 elements stand in the text of the graphs.
enum class Bytes : uint8_t {
  codes,
  places,
  scales,
  zero_points,
  weights,  // floats
  biases,
  tables,
  others,
  engine,
  graphs,
  header,
  padding,
};
const char* to_string(Bytes kind);

struct LayerBytes {
  std::string name, op;
  int64_t total = 0;
  std::map<Bytes, int64_t> kinds;
};

struct Ledger {
  int64_t file = 0;                // the file's size: the sum of `kinds`
  std::map<Bytes, int64_t> kinds;  // every byte of the file once
  std::vector<LayerBytes> layers;  // those with constants in the blob, the largest first
};

/// Errors: those of read().
Result<Ledger> read_ledger(const std::filesystem::path& path);
Json to_json(const Ledger& ledger);

}  // namespace narrow::artifact
