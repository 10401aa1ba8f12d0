// Which processors this process may run on, which of them are one core, and how pools that run side by side
// share them.
#pragma once

#include <filesystem>
#include <vector>

namespace narrow {

/// The numbers of one core's processors: its hyper-threads.
using Core = std::vector<int>;

/// Processors this thread may run on; empty when the system does not say.
std::vector<int> allowed_cpus();

/// The allowed processors by core, one memory node's cores before the next one's. `system`: where sysfs is
/// mounted. Empty when it cannot be read or contradicts itself.
std::vector<Core> read_cores(const std::filesystem::path& system, const std::vector<int>& allowed);

/// read_cores() of this machine and process, read once: before anything is pinned.
const std::vector<Core>& usable_cores();

/// For each of `teams` pools of `threads` the processors its threads are to sit on, in order. As long as
/// there is a core for every thread, each gets one. Otherwise every team gets whole cores, first threads
/// before siblings; more teams than cores share them. Empty lists, which pin nothing, where cores are not
/// known or there are fewer processors than teams.
std::vector<std::vector<int>> share_out(const std::vector<Core>& cores, int teams, int threads);

/// Where the calling thread runs just now; -1: the system does not say.
int current_cpu();

/// Moves the calling thread to another of its allowed processors, if it has one; it may come back.
void leave_cpu();

/// Keeps the calling thread, and threads it starts from now on, on one processor. False: the system refused.
bool pin_this_thread(int cpu);

}  // namespace narrow
