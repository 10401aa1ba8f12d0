#include "parallel/thread_pool.h"

#include <immintrin.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/cpu.h"
#include "parallel/topology.h"

namespace narrow {
namespace {

// In ticks of the time stamp counter, 2 to 4 a nanosecond. A worker spins for some 50 us: longer than the gap
// between two layers, shorter than a scheduler tick; one that finds no job by then sleeps, so a busy
// neighbour gets the core. A caller waits longer for the tasks of others, as unequal ones take, and still a
// fraction of the milliseconds for which a neighbour may hold a worker's core.
constexpr uint64_t kWorkerSpin = 150'000, kCallerSpin = 5 * kWorkerSpin;

/// Pauses until a time. A pause takes 10 ns on one processor and 60 on another, so they are not counted.
class Spin {
 public:
  explicit Spin(uint64_t ticks) : end_(__rdtsc() + ticks) {}
  /// False: time is up.
  bool pause() {
    _mm_pause();
    return ++pauses_ % 16 != 0 || __rdtsc() < end_;
  }

 private:
  uint64_t end_;
  uint32_t pauses_ = 0;
};

thread_local bool t_inside_task = false;

// Layout of a share: 40 bits of tag (months of jobs without a pause), 12 of begin, 12 of end.
constexpr int kIndexBits = 12;
constexpr uint64_t kTagMask = (uint64_t{1} << (64 - 2 * kIndexBits)) - 1;
constexpr int64_t kMaxTasks = (int64_t{1} << kIndexBits) - 1;
constexpr uint64_t kIndexMask = (uint64_t{1} << kIndexBits) - 1;
constexpr uint64_t kOneBegin = uint64_t{1} << kIndexBits;

uint64_t share_of(uint64_t tag, int64_t begin, int64_t end) {
  return tag << (2 * kIndexBits) | static_cast<uint64_t>(begin) << kIndexBits | static_cast<uint64_t>(end);
}
uint64_t tag_of(uint64_t share) { return share >> (2 * kIndexBits); }
uint64_t begin_of(uint64_t share) { return share >> kIndexBits & kIndexMask; }
uint64_t end_of(uint64_t share) { return share & kIndexMask; }

}  // namespace

ThreadPool::ThreadPool(int threads, std::vector<int> cpus) : cpus_(std::move(cpus)) {
  if (threads <= 0) threads = cpu_features().cores;
  shares_ = std::vector<Share>(static_cast<size_t>(std::max(threads, 1)));
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
}

void ThreadPool::pin_caller() const {
  if (!cpus_.empty()) pin_this_thread(cpus_.front());
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    state_.stop.store(true);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_job(int64_t count, Call call, void* context) {
  if (t_inside_task) {
    for (int64_t i = 0; i < count; ++i) call(context, i);
    return;
  }
  NARROW_CHECK(!busy_.exchange(true, std::memory_order_acquire));
  for (int64_t first = 0; first < count && !state_.failed.load(std::memory_order_relaxed); first += kMaxTasks)
    run_shares(first, std::min(count - first, kMaxTasks), call, context);
  const std::exception_ptr exception = take_exception();
  busy_.store(false, std::memory_order_release);
  if (exception) std::rethrow_exception(exception);
}

/// Of the task that failed first; called in its handler.
void ThreadPool::keep_exception() {
  if (!state_.failed.exchange(true, std::memory_order_relaxed)) exception_ = std::current_exception();
}

/// No task runs; the next job starts afresh.
std::exception_ptr ThreadPool::take_exception() {
  if (!state_.failed.load(std::memory_order_relaxed)) return nullptr;
  state_.failed.store(false, std::memory_order_relaxed);
  return std::exchange(exception_, nullptr);
}

/// A worker that parks just now may be missed: its share is then done by others, and the next job wakes it.
ThreadPool::Job ThreadPool::publish(int64_t first, int64_t count, Call call, void* context) {
  const uint64_t tag = board_.tag.load(std::memory_order_relaxed), next = (tag + 2) & kTagMask;
  board_.tag.store(tag + 1, std::memory_order_relaxed);
  board_.call.store(call, std::memory_order_release);
  board_.context.store(context, std::memory_order_release);
  board_.first.store(first, std::memory_order_release);
  board_.count.store(count, std::memory_order_release);
  board_.tag.store(next, std::memory_order_release);
  if (state_.parked.load(std::memory_order_relaxed) > 0) {
    state_.caller_cpu.store(current_cpu(), std::memory_order_relaxed);
    const std::lock_guard lock(mutex_);
    wake_.notify_all();
  }
  return {next, call, context, first, count};
}

void ThreadPool::run_shares(int64_t first, int64_t count, Call call, void* context) {
  const int64_t before = report_.done.load(std::memory_order_relaxed);
  const Job job = publish(first, count, call, context);
  int64_t done = 0;
  t_inside_task = true;
  for (int i = 0; i < threads(); ++i)
    while (take(job, i, i == 0)) ++done;
  t_inside_task = false;
  wait_for_workers(before + count - done);
}

/// Until the tasks that workers took are done. A worker looks for a parked caller after it has counted its
/// tasks, and the caller looks at the count after it has said that it parks: one of them sees the other.
void ThreadPool::wait_for_workers(int64_t done) {
  Spin spin(kCallerSpin);
  do {
    if (report_.done.load(std::memory_order_acquire) == done) return;
  } while (spin.pause());
  std::unique_lock lock(mutex_);
  report_.caller_parked.store(true);
  finished_.wait(lock, [&] { return report_.done.load() == done; });
  report_.caller_parked.store(false);
}

void ThreadPool::report(int64_t tasks) {
  if (tasks == 0) return;
  report_.done.fetch_add(tasks);
  if (!report_.caller_parked.load()) return;
  const std::lock_guard lock(mutex_);
  finished_.notify_one();
}

uint64_t ThreadPool::whole_share(const Job& job, int owner) const {
  const int64_t team = threads();
  return share_of(job.tag, job.count * owner / team, job.count * (owner + 1) / team);
}

void ThreadPool::run_task(const Job& job, int64_t index) {
  try {
    if (!state_.failed.load(std::memory_order_relaxed)) job.call(job.context, job.first + index);
  } catch (...) {
    keep_exception();
  }
}

/// Runs one task of the share; false: it has none left. A share with another job's tag is whole if this job
/// is still on the board, and else of a later job: as long as it is whole, this job is not over.
bool ThreadPool::take(const Job& job, int owner, bool own) {
  std::atomic<uint64_t>& share = shares_[static_cast<size_t>(owner)].range;
  uint64_t found = share.load(std::memory_order_acquire);
  while (true) {
    uint64_t range = found;
    if (tag_of(found) != job.tag) {
      if (board_.tag.load(std::memory_order_acquire) != job.tag) return false;
      range = whole_share(job, owner);
    }
    if (begin_of(range) >= end_of(range)) return false;
    if (!share.compare_exchange_weak(found, own ? range + kOneBegin : range - 1, std::memory_order_acq_rel))
      continue;
    run_task(job, static_cast<int64_t>(own ? begin_of(range) : end_of(range) - 1));
    return true;
  }
}

/// The next job after the one with tag `seen`; with that tag again when the pool is to stop.
ThreadPool::Job ThreadPool::await_job(uint64_t seen) {
  Spin spin(kWorkerSpin);
  while (!state_.stop.load(std::memory_order_relaxed)) {
    const uint64_t tag = board_.tag.load(std::memory_order_acquire);
    if (tag != seen && tag % 2 == 0) {
      const Job job{
          tag, board_.call.load(std::memory_order_acquire), board_.context.load(std::memory_order_acquire),
          board_.first.load(std::memory_order_acquire), board_.count.load(std::memory_order_acquire)};
      if (board_.tag.load(std::memory_order_relaxed) == tag) return job;
      continue;
    }
    if (spin.pause()) continue;
    std::unique_lock lock(mutex_);
    state_.parked.fetch_add(1);
    wake_.wait(lock, [&] { return board_.tag.load() != seen || state_.stop.load(); });
    state_.parked.fetch_sub(1);
    lock.unlock();
    if (cpus_.empty() && current_cpu() == state_.caller_cpu.load(std::memory_order_relaxed)) leave_cpu();
  }
  return {seen, nullptr, nullptr, 0, 0};
}

void ThreadPool::work(int self) {
  if (!cpus_.empty()) pin_this_thread(cpus_[static_cast<size_t>(self) % cpus_.size()]);
  t_inside_task = true;
  for (uint64_t seen = 0;;) {
    const Job job = await_job(seen);
    if (job.tag == seen) return;
    seen = job.tag;
    int64_t done = 0;
    while (take(job, self, true)) ++done;
    report(done);
    for (int i = 1; i < threads(); ++i)
      while (take(job, (self + i) % threads(), false)) report(1);
  }
}

}  // namespace narrow
