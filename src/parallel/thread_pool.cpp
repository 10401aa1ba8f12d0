#include "parallel/thread_pool.h"

#include <immintrin.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/cpu.h"

namespace narrow {
namespace {

// About 50 us of pause: longer than the gap between two layers, shorter than a scheduler tick. A worker that
// finds no job by then sleeps, so a busy neighbour gets the core.
constexpr int kSpins = 2000;

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

ThreadPool::ThreadPool(int threads) {
  if (threads <= 0) threads = cpu_features().cores;
  shares_ = std::vector<Share>(static_cast<size_t>(std::max(threads, 1)));
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
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
  while (done_.load(std::memory_order_acquire) < count) _mm_pause();
}

/// Runs one task of the share; false: it has none left.
bool ThreadPool::take(Share& share, uint32_t generation, bool own) {
  uint64_t range = share.range.load();
  while (generation_of(range) == generation && begin_of(range) < end_of(range)) {
    const Call call = call_.load();
    void* const context = context_.load();
    const int64_t first = first_.load();
    if (!share.range.compare_exchange_weak(range, own ? range + kOneBegin : range - 1)) continue;
    try {
      if (!failed_.load(std::memory_order_relaxed))
        call(context, first + static_cast<int64_t>(own ? begin_of(range) : end_of(range) - 1));
    } catch (...) {
      keep_exception();
    }
    done_.fetch_add(1, std::memory_order_release);
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
  uint32_t seen = 0;
  while (true) {
    int spins = 0;
    while (generation_.load(std::memory_order_acquire) == seen && !stop_.load(std::memory_order_relaxed)) {
      if (++spins < kSpins) {
        _mm_pause();
        continue;
      }
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
