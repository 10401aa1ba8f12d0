// What a search for a mix found out, kept between runs: one that was interrupted goes on where it stopped.
#pragma once

#include <filesystem>
#include <string>

#include "base/json.h"

namespace narrow::pipeline {

/// Questions and answers in one file of the user's cache folder, written whole after each new answer.
class MixMemory {
 public:
  /// `about`: everything that answers depend on beside their question (model, data, methods, machine); names
  /// the file. A missing, damaged or foreign file knows nothing. An empty folder: kept in memory only.
  MixMemory(const std::filesystem::path& folder, std::string about);

  /// Null when it was never asked.
  const Json* find(const std::string& question);
  /// A folder that cannot be written costs the next run its time, nothing else.
  void add(const std::string& question, Json answer);

  int64_t recalled() const { return recalled_; }  // answers that an earlier run left, so far

 private:
  std::filesystem::path file_;
  std::string about_;
  Json answers_ = Json::object(), earlier_ = Json::object();
  int64_t recalled_ = 0;
};

}  // namespace narrow::pipeline
