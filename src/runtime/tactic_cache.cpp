#include "runtime/tactic_cache.h"

#include <fmt/format.h>

#include <cstdlib>

#include "base/file.h"
#include "base/hash.h"
#include "base/json_text.h"

namespace narrow::runtime {
namespace {

constexpr const char* kVersion = "narrow 0.1.0 tactics 10";  // of the kernels' speed: raised when they change

std::filesystem::path folder_in(const char* variable, const char* below) {
  const char* value = std::getenv(variable);
  if (value == nullptr || *value == '\0') return {};
  return std::filesystem::path(value) / below;
}

}  // namespace

std::filesystem::path cache_folder() {
  for (const auto& folder : {folder_in("NARROW_CACHE", ""), folder_in("XDG_CACHE_HOME", "narrow"),
                             folder_in("HOME", ".cache/narrow")})
    if (!folder.empty()) return folder;
  return {};
}

TacticCache::TacticCache(const std::filesystem::path& folder, Isa isa, int threads) {
  known_.machine = fmt::format("{} {} threads {}", machine_key(isa), threads, kVersion);
  if (folder.empty()) return;
  const std::string name = hash_hex(std::as_bytes(std::span(known_.machine)));
  file_ = folder / fmt::format("tactics-{}.json", name.substr(0, 16));
  const auto file = MappedFile::open(file_);
  if (!file.ok()) return;
  const auto json = parse_json((*file)->text(), file_.string());
  if (!json.ok()) return;
  Tactics stored = tactics_from_json(*json);
  if (stored.machine == known_.machine) known_.cases = std::move(stored.cases);
}

const Tactic* TacticCache::find(const std::string& key) const {
  const auto it = known_.cases.find(key);
  return it == known_.cases.end() || it->second.empty() ? nullptr : &it->second;
}

void TacticCache::add(const std::string& key, Tactic tactic) {
  known_.cases[key] = std::move(tactic);
  changed_ = true;
}

void TacticCache::save() const {
  if (!changed_ || file_.empty()) return;
  std::error_code ignored;
  std::filesystem::create_directories(file_.parent_path(), ignored);
  static_cast<void>(write_file(file_, json_text(to_json(known_), 1)));
}

}  // namespace narrow::runtime
