#include "parallel/thread_pool.h"

#include <immintrin.h>

#include "base/check.h"
#include "base/cpu.h"

namespace narrow {
namespace {

// About 50 us of pause: longer than the gap between two layers, shorter than a scheduler tick. A worker that
// finds no job by then sleeps, so a busy neighbour gets the core.
constexpr int kSpins = 2000;

thread_local bool t_inside_task = false;

}  // namespace

ThreadPool::ThreadPool(int threads) {
  if (threads <= 0) threads = cpu_features().cores;
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
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
  NARROW_CHECK(count < (int64_t{1} << 31));
  const uint32_t generation = generation_.load(std::memory_order_relaxed) + 1;
  // Tickets of the old generation are spent before the job's fields change.
  ticket_.store(static_cast<uint64_t>(generation) << 32 | 0xffffffffU);
  count_.store(count);
  done_.store(0);
  call_.store(call);
  context_.store(context);
  ticket_.store(static_cast<uint64_t>(generation) << 32);
  generation_.store(generation);
  {
    const std::lock_guard lock(mutex_);
    if (parked_ > 0) wake_.notify_all();
  }
  drain(generation);
  while (done_.load(std::memory_order_acquire) < count) _mm_pause();
  busy_.store(false, std::memory_order_release);
}

void ThreadPool::drain(uint32_t generation) {
  t_inside_task = true;
  uint64_t ticket = ticket_.load();
  while (static_cast<uint32_t>(ticket >> 32) == generation &&
         static_cast<int64_t>(ticket & 0xffffffffU) < count_.load()) {
    const Call call = call_.load();
    void* const context = context_.load();
    if (!ticket_.compare_exchange_weak(ticket, ticket + 1)) continue;
    call(context, static_cast<int64_t>(ticket & 0xffffffffU));
    done_.fetch_add(1, std::memory_order_release);
    ticket = ticket_.load();
  }
  t_inside_task = false;
}

void ThreadPool::work() {
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
    drain(seen);
  }
}

}  // namespace narrow
