#include "parallel/thread_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <new>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "base/cpu.h"
#include "base/memory.h"
#include "parallel/topology.h"

namespace narrow {
namespace {

/// Runs `count` tasks and expects each index exactly once.
void expect_each_once(ThreadPool& pool, int64_t count) {
  const auto calls = std::make_unique<std::atomic<int>[]>(static_cast<size_t>(count) + 1);
  pool.run(count, [&](int64_t i) { calls[static_cast<size_t>(i)].fetch_add(1); });
  for (int64_t i = 0; i < count; ++i)
    ASSERT_EQ(calls[static_cast<size_t>(i)].load(), 1) << i << " of " << count;
}

TEST(ThreadPool, EveryIndexOnceForEveryTeamAndCount) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const int64_t count : {0, 1, 2, 3, 7, 64, 1000}) expect_each_once(pool, count);
    pool.run(-1, [](int64_t) { FAIL(); });
  }
  EXPECT_GE(ThreadPool().threads(), 1);
}

TEST(ThreadPool, ManySmallJobsSeeEachOthersWrites) {
  // Plain memory, written by one job and read by the next: run() must order them.
  ThreadPool pool(4);
  std::vector<int64_t> values(8, 0);
  for (int job = 0; job < 5000; ++job)
    pool.run(8, [&](int64_t i) { values[static_cast<size_t>(i)] += job + i; });
  for (int64_t i = 0; i < 8; ++i) EXPECT_EQ(values[static_cast<size_t>(i)], 4999 * 5000 / 2 + 5000 * i);
}

TEST(ThreadPool, WakesAfterItsWorkersWentToSleep) {
  ThreadPool pool(3);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    expect_each_once(pool, 50);
  }
}

TEST(ThreadPool, RunInsideATaskIsSerial) {
  ThreadPool pool(4);
  std::vector<int64_t> sums(16, 0);
  pool.run(16, [&](int64_t i) {
    const auto self = std::this_thread::get_id();
    pool.run(10, [&](int64_t j) {
      EXPECT_EQ(std::this_thread::get_id(), self);
      sums[static_cast<size_t>(i)] += j;
    });
  });
  for (const int64_t s : sums) EXPECT_EQ(s, 45);
  expect_each_once(pool, 100);  // and parallel again afterwards
}

TEST(ThreadPool, TwoPoolsRunSideBySide) {
  ThreadPool a(3), b(3);
  std::thread other([&] {
    for (int i = 0; i < 500; ++i) expect_each_once(b, 20);
  });
  for (int i = 0; i < 500; ++i) expect_each_once(a, 20);
  other.join();
}

/// Threads that only burn time, until the end of their scope.
class Neighbours {
 public:
  explicit Neighbours(int count) {
    for (int i = 0; i < count; ++i)
      threads_.emplace_back([this] {
        while (!stop_.load(std::memory_order_relaxed)) turns_.fetch_add(1, std::memory_order_relaxed);
      });
    while (count > 0 && turns_.load() == 0) std::this_thread::yield();
  }
  ~Neighbours() {
    stop_.store(true);
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<int64_t> turns_{0};
  std::vector<std::thread> threads_;
};

TEST(ThreadPool, EndsBesideBusyNeighbours) {
  for (const int neighbours : {1, cpu_features().cores + 1}) {
    const Neighbours busy(neighbours);
    ThreadPool pool;  // as many threads as cores
    for (int round = 0; round < 300; ++round) expect_each_once(pool, 40);
  }
}

TEST(ThreadPool, TheCallerParksUntilASlowTaskIsDone) {
  // The other task outlasts any spin, and ends before, while or after the caller goes to sleep.
  ThreadPool pool(2);
  const auto caller = std::this_thread::get_id();
  for (int round = 0; round < 100; ++round) {
    std::atomic<int> begun{0}, ended{0};
    pool.run(2, [&](int64_t) {
      ++begun;
      while (begun < 2) std::this_thread::yield();  // each of the two threads has one
      if (std::this_thread::get_id() != caller)
        std::this_thread::sleep_for(std::chrono::microseconds(20 * round));
      ++ended;
    });
    ASSERT_EQ(ended.load(), 2);
  }
}

TEST(ThreadPool, PinnedTeamsStayOnTheirProcessors) {
  const std::vector<int> allowed = allowed_cpus();
  if (allowed.empty()) GTEST_SKIP() << "the system does not say which processors are allowed";
  std::thread([&] {
    const std::vector<int> cpus = {allowed.back(), allowed.front()};
    ThreadPool pool(3, cpus);  // more threads than processors: they take turns
    pool.pin_caller();
    EXPECT_EQ(allowed_cpus(), std::vector<int>{cpus[0]});
    for (int round = 0; round < 50; ++round) expect_each_once(pool, 30);
    pool.run(30, [&](int64_t) {
      const std::vector<int> here = allowed_cpus();
      EXPECT_EQ(here.size(), 1U);
      EXPECT_NE(std::find(cpus.begin(), cpus.end(), here.front()), cpus.end());
    });
  }).join();
  EXPECT_EQ(allowed_cpus(), allowed);
  ThreadPool(2).pin_caller();  // of a pool without processors: nothing
  EXPECT_EQ(allowed_cpus(), allowed);
  ThreadPool nowhere(2, {1 << 20});
  expect_each_once(nowhere, 20);
}

TEST(ThreadPool, ComesAndGoesWithoutWork) {
  for (int i = 0; i < 50; ++i) {
    ThreadPool pool(1 + i % 5);
    if (i % 2 == 0) expect_each_once(pool, 5);
  }
}

/// A task of 64 throws where `fails(index)`; the pool serves on afterwards.
template <class Fails>
void expect_thrown(ThreadPool& pool, Fails&& fails) {
  std::atomic<int> running{0};
  EXPECT_THROW(pool.run(64,
                        [&](int64_t i) {
                          ++running;
                          const bool failed = fails(i);
                          --running;
                          if (failed) throw std::bad_alloc();
                        }),
               std::bad_alloc);
  EXPECT_EQ(running.load(), 0);  // nobody is left inside
  expect_each_once(pool, 64);
}

TEST(ThreadPool, WhatATaskThrowsTheCallerGets) {
  for (const int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 200; ++round) {
      for (const int64_t at : {0, 1, 31, 63}) expect_thrown(pool, [at](int64_t i) { return i == at; });
      expect_thrown(pool, [](int64_t) { return true; });
    }
  }
}

TEST(ThreadPool, ThrowsFromTheCallersThreadAndFromAnother) {
  ThreadPool pool(3);
  const auto caller = std::this_thread::get_id();
  for (int round = 0; round < 20; ++round)
    for (const bool from_caller : {true, false}) {
      // The others wait in their first task, or they might do all of them.
      std::atomic<bool> thrown{false};
      expect_thrown(pool, [&](int64_t) {
        if ((std::this_thread::get_id() == caller) == from_caller) return thrown = true;
        while (!thrown) std::this_thread::yield();
        return false;
      });
    }
}

TEST(ThreadPool, ThrowsOutOfARunInsideATaskAndOnATeamOfOne) {
  ThreadPool pool(3);
  const auto inner = [&](int64_t) { pool.run(4, [](int64_t) { throw std::length_error("inner"); }); };
  EXPECT_THROW(pool.run(8, inner), std::length_error);
  EXPECT_THROW(pool.run(1, inner), std::length_error);
  expect_each_once(pool, 100);
}

TEST(ThreadPool, MemoryThatRunsOutInATaskIsAnError) {
  ThreadPool pool(3);
  const Status status = within_memory("model 'm'", [&]() -> Status {
    pool.run(16, [](int64_t i) {
      if (i % 5 == 2) throw std::bad_alloc();
    });
    return {};
  });
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().subject, "model 'm'");
}

TEST(ParallelFor, CoversTheRangeInPieces) {
  ThreadPool pool(3);
  for (const int64_t n : {0, 1, 9, 10, 11, 1001})
    for (const int64_t grain : {1, 10, 5000}) {
      std::vector<int> seen(static_cast<size_t>(n), 0);
      parallel_for(pool, n, grain, [&](int64_t begin, int64_t end) {
        EXPECT_LT(begin, end);
        EXPECT_LE(end - begin, grain);
        for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
      });
      EXPECT_EQ(std::accumulate(seen.begin(), seen.end(), int64_t{0}), n);
      EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](int x) { return x == 1; }));
    }
}

}  // namespace
}  // namespace narrow
