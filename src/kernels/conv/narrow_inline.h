// For kernel files: loops over arrays of registers must disappear, and constants must reach the helpers they
// are passed to, at every optimisation level (GCC leaves short loops rolled at -O2).
#pragma once

#define NARROW_INLINE static inline __attribute__((always_inline))
#define NARROW_PRAGMA(text) _Pragma(#text)
#define NARROW_UNROLL(n) NARROW_PRAGMA(GCC unroll n)
