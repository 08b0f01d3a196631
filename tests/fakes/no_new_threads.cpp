#include "fakes/no_new_threads.hpp"

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WEIR_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WEIR_SANITIZED 1
#endif
#endif

namespace {

std::atomic<bool> refused{false};

}  // namespace

#ifndef WEIR_SANITIZED
/// Stands before the C library's, for the libraries that this program is linked with, too.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*),
                              void* argument) {
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const Create create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
  return refused ? EAGAIN : create(thread, attributes, run, argument);
}
#endif

namespace weir::fakes {

bool NoNewThreads::is_possible() {
#ifdef WEIR_SANITIZED
  return false;
#else
  return true;
#endif
}

NoNewThreads::NoNewThreads() { refused = true; }
NoNewThreads::~NoNewThreads() { refused = false; }

}  // namespace weir::fakes
