// The .narrow container: one memory-mappable file with the graph as text, constants in a blob, and JSON about
// its origin.
//
//   bytes 0..7    magic "NARROW\0\7" (the last byte is the format version)
//   8..15         u64 offset and 16..23 u64 size of the header JSON; 24..31 u64 checksum of all that follows
//   the header blob at 4096  constants at 64-byte offsets, weights as the kernel named beside them reads them
//   (packed.h) or without their zeros (sparse.h); then the graph text; perhaps that of the engine's graph;
//   then the header JSON, which names all of it
#pragma once

#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "artifact/packed.h"
#include "base/json.h"
#include "base/result.h"
#include "ir/graph.h"
#include "ir/interface.h"

namespace narrow::artifact {

/// The graph that the engine passes made of the portable one for some input shapes: a session for these
/// shapes need not run them.
struct EngineGraph {
  std::map<std::string, Shape> shapes;
  /// Gives the graph, verified. It shares packed constants with the portable one. Errors: invalid_model.
  std::function<Result<ir::Graph>()> load;
  /// write() leaves it out where it would add more than this share to the file, weights of merged
  /// convolutions not counted.
  double largest_share = 1e9;
};

struct Package {
  ir::Graph graph;  // portable: standard ops, Q/DQ and casts
  Json about;       // precision, model and data hash, tool version, calibration sketch, tactics
  /// Weights to keep as a kernel reads them: those whose `constant` is one of the graph's, or of a
  /// convolution merged in the engine's (ir/merged.h).
  std::vector<PackedConstant> packed;
  std::optional<EngineGraph> engine;
};

/// A file that was opened. Its graphs are read when they are asked for: a session for the engine's shapes
/// needs no other.
struct Opened {
  ir::Interface interface;  // of the portable graph
  /// Gives the portable graph, verified. Errors: invalid_model.
  std::function<Result<ir::Graph>()> portable;
  Json about;
  std::vector<PackedConstant> packed;  // shared by both graphs
  std::optional<EngineGraph> engine;
};

/// Constants of many zeros are kept without them where that is smaller. Deterministic: same package, same
/// bytes.
Status write(const std::filesystem::path& path, const Package& package);
/// Constants borrow from the mapped file. Errors: not_found, io, invalid_model (what is wrong where).
Result<Opened> read(const std::filesystem::path& path);
/// The same without waiting for the checksum, which threads of its own compute: they bring the file's pages
/// in as they meet them.
struct Opening {
  Opened file;
  std::future<Status> intact;  // ask before anything is given away. Errors: invalid_model
};
Result<Opening> start_reading(const std::filesystem::path& path);
/// True when the file begins with the magic.
bool is_artifact(const std::filesystem::path& path);

}  // namespace narrow::artifact
