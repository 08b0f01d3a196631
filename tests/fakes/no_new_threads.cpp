#include "fakes/no_new_threads.hpp"

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>

namespace {

std::atomic<bool> refused{false};

}  // namespace

/// Stands before the C library's, for the libraries that this program is linked with, too.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*),
                              void* argument) {
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const Create create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
  return refused ? EAGAIN : create(thread, attributes, run, argument);
}

namespace weir::fakes {

NoNewThreads::NoNewThreads() { refused = true; }
NoNewThreads::~NoNewThreads() { refused = false; }

}  // namespace weir::fakes
