/// Loaded before a program (LD_PRELOAD), sets its wall clock off by as many nanoseconds as the first eight bytes of the
/// file WEIR_SHIFTED_CLOCK say at that moment. Monotonic time is left alone. It does nothing to a Go program, which
/// asks the kernel without libc.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

namespace {

constexpr std::int64_t second = 1'000'000'000;

const volatile std::int64_t* shift_of_file() {
  const char* path = std::getenv("WEIR_SHIFTED_CLOCK");
  const int file = path == nullptr ? -1 : ::open(path, O_RDONLY | O_CLOEXEC);
  void* bytes = file < 0 ? MAP_FAILED : ::mmap(nullptr, sizeof(std::int64_t), PROT_READ, MAP_SHARED, file, 0);
  if (file >= 0) ::close(file);
  static constexpr std::int64_t none = 0;
  return bytes == MAP_FAILED ? &none : static_cast<const volatile std::int64_t*>(bytes);
}

std::int64_t shift() {
  static const volatile std::int64_t* const by = shift_of_file();
  return *by;
}

}  // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* out) noexcept {
  static const auto real = reinterpret_cast<int (*)(clockid_t, timespec*)>(::dlsym(RTLD_NEXT, "clock_gettime"));
  const int done = real(clock, out);
  if (done != 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return done;
  const std::int64_t now = out->tv_sec * second + out->tv_nsec + shift();
  *out = {now / second, now % second};
  return 0;
}

extern "C" int gettimeofday(timeval* out, void*) noexcept {
  timespec now{};
  const int done = clock_gettime(CLOCK_REALTIME, &now);
  *out = {now.tv_sec, now.tv_nsec / 1000};
  return done;
}

extern "C" time_t time(time_t* out) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}
