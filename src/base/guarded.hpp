// Which mutex guards which variable, said so that clang checks it (-Wthread-safety, an error in our
// builds): a variable marked GUARDED_BY(mutex_) is used only while mutex_ is held, a function
// marked REQUIRES(mutex_) is called only then. Other compilers see nothing of it.
// docs/architecture.md has the order in which mutexes are taken.
//
// The standard's mutex and locks are not annotated in libstdc++, so there are two small types here
// that are: base::mutex, and base::unique_lock for it and for os::short_mutex. Lambdas are
// functions of their own to the analysis: inside a predicate of a condition variable, call
// base::assert_held(mutex_).
#pragma once

#include <mutex>

#if defined(__clang__)
#define PROCPOOL_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define PROCPOOL_THREAD_ATTRIBUTE(x)
#endif

#define CAPABILITY(name) PROCPOOL_THREAD_ATTRIBUTE(capability(name))
#define SCOPED_CAPABILITY PROCPOOL_THREAD_ATTRIBUTE(scoped_lockable)
#define GUARDED_BY(m) PROCPOOL_THREAD_ATTRIBUTE(guarded_by(m))
#define PT_GUARDED_BY(m) PROCPOOL_THREAD_ATTRIBUTE(pt_guarded_by(m))
#define REQUIRES(...) PROCPOOL_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) PROCPOOL_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define ACQUIRE(...) PROCPOOL_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define TRY_ACQUIRE(...) PROCPOOL_THREAD_ATTRIBUTE(try_acquire_capability(__VA_ARGS__))
#define RELEASE(...) PROCPOOL_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
#define ASSERT_CAPABILITY(m) PROCPOOL_THREAD_ATTRIBUTE(assert_capability(m))
#define RETURN_CAPABILITY(m) PROCPOOL_THREAD_ATTRIBUTE(lock_returned(m))
// With the reason in a comment: what the analysis cannot follow.
#define NO_THREAD_SAFETY_ANALYSIS PROCPOOL_THREAD_ATTRIBUTE(no_thread_safety_analysis)

namespace procpool::base {

// std::mutex, known to the analysis.
class CAPABILITY("mutex") mutex : public std::mutex {
 public:
  void lock() ACQUIRE() { std::mutex::lock(); }
  bool try_lock() TRY_ACQUIRE(true) { return std::mutex::try_lock(); }
  void unlock() RELEASE() { std::mutex::unlock(); }
};

// The mutex type that std::unique_lock has for M: for a base::mutex that of the standard, so that a
// std::condition_variable can wait with the lock.
template <class M>
struct lock_base {
  using type = M;
};
template <>
struct lock_base<mutex> {
  using type = std::mutex;
};

// std::unique_lock, known to the analysis: may be unlocked and locked again. Not movable, since the
// analysis does not follow moves.
template <class M>
class SCOPED_CAPABILITY unique_lock : public std::unique_lock<typename lock_base<M>::type> {
  using parent = std::unique_lock<typename lock_base<M>::type>;

 public:
  explicit unique_lock(M& m) ACQUIRE(m) : parent(m) {}
  // Starts without the mutex.
  unique_lock(M& m, std::defer_lock_t tag) EXCLUDES(m) : parent(m, tag) {}
  ~unique_lock() RELEASE() = default;
  unique_lock(const unique_lock&) = delete;
  unique_lock& operator=(const unique_lock&) = delete;

  void lock() ACQUIRE() { parent::lock(); }
  void unlock() RELEASE() { parent::unlock(); }
};

// std::lock_guard, known to the analysis.
template <class M>
class SCOPED_CAPABILITY lock_guard {
 public:
  explicit lock_guard(M& m) ACQUIRE(m) : mutex_(m) { mutex_.lock(); }
  ~lock_guard() RELEASE() { mutex_.unlock(); }
  lock_guard(const lock_guard&) = delete;
  lock_guard& operator=(const lock_guard&) = delete;

 private:
  M& mutex_;
};

// Tells the analysis, where it cannot see it, that the mutex is held: in lambdas that run under it,
// and in functions that are handed the lock of another object's mutex.
template <class M>
void assert_held(const M& m) ASSERT_CAPABILITY(m) {
  static_cast<void>(m);
}

}  // namespace procpool::base
