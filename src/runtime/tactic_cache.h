// Timings of kernels, kept between runs: a file per machine in the user's cache folder.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "runtime/tactics.h"

namespace narrow::runtime {

/// NARROW_CACHE, or narrow/ in XDG_CACHE_HOME, or ~/.cache/narrow; empty where there is none of these.
std::filesystem::path cache_folder();

class TacticCache {
 public:
  /// Reads what an earlier run left; a missing, damaged or foreign file is an empty cache. An empty folder:
  /// kept in memory only.
  TacticCache(const std::filesystem::path& folder, Isa isa, int threads);
  /// Null when the case was never timed. The key says all that a timing depends on but machine, threads and
  /// version, which name the file.
  const Tactic* find(const std::string& key) const;
  void add(const std::string& key, Tactic tactic);
  /// Writes what is new. A folder that cannot be written costs the next run its time, nothing else.
  void save() const;

 private:
  std::filesystem::path file_;
  Tactics known_;
  bool changed_ = false;
};

}  // namespace narrow::runtime
