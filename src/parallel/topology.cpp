#include "parallel/topology.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/cpu.h"

namespace narrow {
namespace {

namespace fs = std::filesystem;

constexpr int kMostCpus = CPU_SETSIZE;

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && value >= 0 && value < kMostCpus ? std::optional(value) : std::nullopt;
}

/// "0-3,8" -> 0 1 2 3 8; an empty line is an empty list.
std::optional<std::vector<int>> parse_list(std::string_view text) {
  std::vector<int> list;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    const size_t dash = part.find('-');
    const auto first = number(part.substr(0, dash)),
               last = dash == part.npos ? first : number(part.substr(dash + 1));
    if (!first || !last) return std::nullopt;
    for (int cpu = *first; cpu <= *last; ++cpu) list.push_back(cpu);
  }
  return list;
}

std::optional<std::vector<int>> read_list(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  if (!in || (!std::getline(in, line) && !in.eof())) return std::nullopt;
  return parse_list(line);
}

/// The processors of each memory node, by its number.
std::optional<std::map<int, std::vector<int>>> read_nodes(const fs::path& folder) {
  constexpr std::string_view kPrefix = "node";
  std::map<int, std::vector<int>> nodes;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (!name.starts_with(kPrefix)) continue;
    const auto index = number(std::string_view(name).substr(kPrefix.size()));
    if (!index) continue;
    auto cpus = read_list(at->path() / "cpulist");
    if (!cpus) return std::nullopt;
    nodes[*index] = std::move(*cpus);
  }
  return error ? std::nullopt : std::optional(std::move(nodes));
}

/// First threads of all these cores, then their second ones, and so on.
std::vector<int> level_by_level(const std::vector<Core>& cores, size_t begin, size_t end) {
  std::vector<int> cpus;
  size_t widest = 0;
  for (size_t i = begin; i < end; ++i) widest = std::max(widest, cores[i].size());
  for (size_t level = 0; level < widest; ++level)
    for (size_t i = begin; i < end; ++i)
      if (level < cores[i].size()) cpus.push_back(cores[i][level]);
  return cpus;
}

}  // namespace

std::vector<int> allowed_cpus() {
  cpu_set_t mask;
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return cpus;
  for (int cpu = 0; cpu < kMostCpus; ++cpu)
    if (CPU_ISSET(cpu, &mask)) cpus.push_back(cpu);
  return cpus;
}

std::vector<Core> read_cores(const fs::path& system, const std::vector<int>& allowed) {
  const auto nodes = read_nodes(system / "devices/system/node");
  if (!nodes) return {};
  std::vector<int> left = allowed;
  std::vector<Core> cores;
  for (const auto& [node, cpus] : *nodes)
    for (const int cpu : cpus) {
      if (std::find(left.begin(), left.end(), cpu) == left.end()) continue;
      const std::string folder = "devices/system/cpu/cpu" + std::to_string(cpu);
      const auto siblings = read_list(system / folder / "topology/thread_siblings_list");
      if (!siblings || std::find(siblings->begin(), siblings->end(), cpu) == siblings->end()) return {};
      Core core;
      for (const int sibling : *siblings)
        if (std::erase(left, sibling) > 0) core.push_back(sibling);
      cores.push_back(std::move(core));
    }
  return left.empty() ? cores : std::vector<Core>();
}

const std::vector<Core>& usable_cores() {
  static const std::vector<Core> cores = read_cores("/sys", allowed_cpus());
  return cores;
}

std::vector<std::vector<int>> share_out(const std::vector<Core>& cores, int teams, int threads) {
  const auto count = static_cast<size_t>(std::max(teams, 0)),
             width = static_cast<size_t>(std::max(threads, 1));
  std::vector<std::vector<int>> shares(count);
  std::vector<Core> single;  // processors one by one, those of a core together
  for (const Core& core : cores)
    for (const int cpu : core) single.push_back({cpu});
  if (single.size() < count) return shares;
  const std::vector<Core>& units = cores.size() < count ? single : cores;
  const bool room = count * width <= cores.size();
  for (size_t t = 0; t < count; ++t)
    shares[t] = room ? level_by_level(cores, t * width, (t + 1) * width)
                     : level_by_level(units, t * units.size() / count, (t + 1) * units.size() / count);
  for (std::vector<int>& share : shares) share.resize(std::min(share.size(), width));
  return shares;
}

int current_cpu() { return sched_getcpu(); }

void leave_cpu() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  const int here = sched_getcpu();
  cpu_set_t others = allowed;
  if (here < 0) return;
  CPU_CLR(here, &others);
  if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof others, &others) == 0)
    sched_setaffinity(0, sizeof allowed, &allowed);
}

bool pin_this_thread(int cpu) {
  if (cpu < 0 || cpu >= kMostCpus) return false;
  cpu_features(), usable_cores();  // count processors while there are many
  cpu_set_t mask;
  CPU_ZERO(&mask);
  CPU_SET(cpu, &mask);
  return pthread_setaffinity_np(pthread_self(), sizeof mask, &mask) == 0;
}

}  // namespace narrow
