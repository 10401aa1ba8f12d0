// What the library exports, and the version of its interface.
#pragma once

#if defined(__GNUC__)
#define NARROW_API __attribute__((visibility("default")))
#else
#define NARROW_API
#endif

/// Everything here is narrow::NAME to its users and narrow::v0::NAME to the linker, so that neither another
/// version of the interface nor the engine's own types behind it can be mistaken for it.
#define NARROW_BEGIN_NAMESPACE \
  namespace narrow {           \
  inline namespace v0 {
#define NARROW_END_NAMESPACE \
  }                          \
  }
