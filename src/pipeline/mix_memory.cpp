#include "pipeline/mix_memory.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/json_text.h"

namespace narrow::pipeline {

MixMemory::MixMemory(const std::filesystem::path& folder, std::string about) : about_(std::move(about)) {
  if (folder.empty()) return;
  file_ = folder / fmt::format("mix-{}.json", hash_hex(about_).substr(0, 16));
  const auto file = MappedFile::open(file_);
  if (!file.ok()) return;
  const auto json = parse_json((*file)->text(), file_.string());
  if (!json.ok() || text_member(*json, "about") != about_) return;
  if (const Json& answers = member(*json, "answers"); answers.is_object()) earlier_ = answers;
}

const Json* MixMemory::find(const std::string& question) {
  if (const auto it = answers_.find(question); it != answers_.end()) return &*it;
  const auto it = earlier_.find(question);
  if (it == earlier_.end()) return nullptr;
  ++recalled_;
  return &(answers_[question] = *it);
}

void MixMemory::add(const std::string& question, Json answer) {
  answers_[question] = std::move(answer);
  if (file_.empty()) return;
  std::error_code ignored;
  std::filesystem::create_directories(file_.parent_path(), ignored);
  Json all = earlier_;
  all.update(answers_);
  static_cast<void>(write_file(file_, json_text({{"about", about_}, {"answers", std::move(all)}}, 1)));
}

}  // namespace narrow::pipeline
