/// What a library of operators shows to the program that loads it. `weir_add_plugin()` (find_package(weir)) generates
/// the one source that includes this; nobody writes it by hand.
///
/// A library holds operators' files as the program does, and takes what it needs of weir from the program itself. That
/// only works where both were compiled against the same headers and the same standard library, so the library carries
/// a note that says what it was built for. The note is data in the file: it is read before the library is loaded, so
/// nothing of one that does not fit is ever executed.
#pragma once

#include <cstdint>

#include <fmt/base.h>

#include <weir/operator.hpp>

namespace weir {

#define WEIR_TEXT_OF(what) #what
#define WEIR_TEXT(what) WEIR_TEXT_OF(what)

#if defined(__x86_64__)
#define WEIR_BUILT_MACHINE "x86-64"
#elif defined(__aarch64__)
#define WEIR_BUILT_MACHINE "arm64"
#else
#define WEIR_BUILT_MACHINE "another machine"
#endif

#if defined(_GLIBCXX_RELEASE)
#define WEIR_BUILT_LIBRARY "libstdc++ " WEIR_TEXT(_GLIBCXX_RELEASE)
#else
#define WEIR_BUILT_LIBRARY "libc++ " WEIR_TEXT(_LIBCPP_VERSION)
#endif

#if defined(_GLIBCXX_DEBUG)
#define WEIR_BUILT_CONTAINERS " with debugging containers"
#elif defined(_GLIBCXX_RELEASE) && !_GLIBCXX_USE_CXX11_ABI
#define WEIR_BUILT_CONTAINERS " with strings of before C++11"
#else
#define WEIR_BUILT_CONTAINERS ""
#endif

#if defined(__has_feature)
#define WEIR_SANITIZED(by) __has_feature(by)
#else
#define WEIR_SANITIZED(by) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || WEIR_SANITIZED(address_sanitizer)
#define WEIR_BUILT_SANITIZER ", AddressSanitizer"
#elif defined(__SANITIZE_THREAD__) || WEIR_SANITIZED(thread_sanitizer)
#define WEIR_BUILT_SANITIZER ", ThreadSanitizer"
#else
#define WEIR_BUILT_SANITIZER ""
#endif

/// What the code that includes this is compiled for, in words: a program loads the libraries that say the same. The
/// build gives WEIR_VERSION, and WEIR_API: a hash over the headers of this folder.
#define WEIR_BUILT_FOR                                                                      \
  "weir " WEIR_VERSION " (API " WEIR_API ") with " WEIR_BUILT_LIBRARY WEIR_BUILT_CONTAINERS \
  ", fmt " WEIR_TEXT(FMT_VERSION) " on " WEIR_BUILT_MACHINE WEIR_BUILT_SANITIZER

/// The note, in the form that ELF gives to notes (a section .note.*, found by the program headers).
struct PluginNote {
  static constexpr std::uint32_t kind = 1;  ///< of this form; another form gets another number

  std::uint32_t name_size = sizeof "weir";
  std::uint32_t text_size = sizeof text;
  std::uint32_t type = kind;
  char name[8] = "weir";
  char text[244] = WEIR_BUILT_FOR;
};
static_assert(sizeof(PluginNote) == 264, "notes have no gaps but in front of the text, which stands at 20");

/// One operator of a library.
struct PluginOperator {
  const char* folder = nullptr;  ///< sources, transforms, sinks, stores or codecs
  const char* name = nullptr;    ///< as in JSON
  Operator (*make)() = nullptr;  ///< may throw what making the Spec throws
};

}  // namespace weir

/// What a library holds; the last has no name.
extern "C" [[gnu::visibility("default")]] const weir::PluginOperator weir_plugin_operators[];
