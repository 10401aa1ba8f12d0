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

// Layout of a share: 24 bits of generation, 20 of begin, 20 of end.
constexpr int kIndexBits = 20;
constexpr int64_t kMaxTasks = (int64_t{1} << kIndexBits) - 1;
constexpr uint64_t kIndexMask = (uint64_t{1} << kIndexBits) - 1;
constexpr uint64_t kOneBegin = uint64_t{1} << kIndexBits;

uint64_t share_of(uint32_t generation, int64_t begin, int64_t end) {
  return uint64_t{generation} << (2 * kIndexBits) | static_cast<uint64_t>(begin) << kIndexBits |
         static_cast<uint64_t>(end);
}
uint32_t generation_of(uint64_t share) { return static_cast<uint32_t>(share >> (2 * kIndexBits)); }
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
    stop_.store(true);
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
  for (int64_t first = 0; first < count && !failed_.load(std::memory_order_relaxed); first += kMaxTasks)
    run_shares(first, std::min(count - first, kMaxTasks), call, context);
  const std::exception_ptr exception = take_exception();
  busy_.store(false, std::memory_order_release);
  if (exception) std::rethrow_exception(exception);
}

/// Of the task that failed first; called in its handler.
void ThreadPool::keep_exception() {
  if (!failed_.exchange(true, std::memory_order_relaxed)) exception_ = std::current_exception();
}

/// No task runs; the next job starts afresh.
std::exception_ptr ThreadPool::take_exception() {
  failed_.store(false, std::memory_order_relaxed);
  return std::exchange(exception_, nullptr);
}

void ThreadPool::run_shares(int64_t first, int64_t count, Call call, void* context) {
  const uint32_t generation = (generation_.load(std::memory_order_relaxed) + 1) & 0xffffffU;
  // The last job's shares are spent before the job's fields change.
  for (Share& share : shares_) share.range.store(share_of(generation, 0, 0));
  first_.store(first);
  count_.store(count, std::memory_order_relaxed);
  done_.store(0);
  call_.store(call);
  context_.store(context);
  const int64_t threads = static_cast<int64_t>(shares_.size());
  for (int64_t i = 0; i < threads; ++i)
    shares_[static_cast<size_t>(i)].range.store(
        share_of(generation, count * i / threads, count * (i + 1) / threads));
  generation_.store(generation);
  {
    const std::lock_guard lock(mutex_);
    if (parked_ > 0) wake_.notify_all();
  }
  drain(generation, 0);
  wait_for_others(count);
}

/// Until tasks that workers took are done. Whoever finishes the last one looks for a parked caller after it
/// has counted the task, and the caller looks at the count after it has said that it parks: one of them sees
/// the other.
void ThreadPool::wait_for_others(int64_t count) {
  Spin spin(kCallerSpin);
  do {
    if (done_.load(std::memory_order_acquire) >= count) return;
  } while (spin.pause());
  std::unique_lock lock(mutex_);
  caller_parked_.store(true);
  finished_.wait(lock, [&] { return done_.load() >= count; });
  caller_parked_.store(false);
}

/// Runs one task of the share; false: it has none left.
bool ThreadPool::take(Share& share, uint32_t generation, bool own) {
  uint64_t range = share.range.load();
  while (generation_of(range) == generation && begin_of(range) < end_of(range)) {
    const Call call = call_.load();
    void* const context = context_.load();
    const int64_t first = first_.load(), count = count_.load(std::memory_order_relaxed);
    if (!share.range.compare_exchange_weak(range, own ? range + kOneBegin : range - 1)) continue;
    try {
      if (!failed_.load(std::memory_order_relaxed))
        call(context, first + static_cast<int64_t>(own ? begin_of(range) : end_of(range) - 1));
    } catch (...) {
      keep_exception();
    }
    if (done_.fetch_add(1) + 1 == count && caller_parked_.load()) {
      const std::lock_guard lock(mutex_);
      finished_.notify_one();
    }
    return true;
  }
  return false;
}

void ThreadPool::drain(uint32_t generation, int self) {
  t_inside_task = true;
  const auto threads = static_cast<int>(shares_.size());
  for (int i = 0; i < threads; ++i) {
    Share& share = shares_[static_cast<size_t>((self + i) % threads)];
    while (take(share, generation, i == 0)) {
    }
  }
  t_inside_task = false;
}

void ThreadPool::work(int self) {
  if (!cpus_.empty()) pin_this_thread(cpus_[static_cast<size_t>(self) % cpus_.size()]);
  uint32_t seen = 0;
  while (true) {
    Spin spin(kWorkerSpin);
    while (generation_.load(std::memory_order_acquire) == seen && !stop_.load(std::memory_order_relaxed)) {
      if (spin.pause()) continue;
      std::unique_lock lock(mutex_);
      ++parked_;
      wake_.wait(lock, [&] { return generation_.load() != seen || stop_.load(); });
      --parked_;
    }
    if (stop_.load()) return;
    seen = generation_.load();
    drain(seen, self);
  }
}

}  // namespace narrow
