// Common ground of the numeric kernels: every .c file of this folder is compiled once per
// instruction set, with -DAL_ISA=generic, avx2 or avx512 (see core/isa.h), and exports names
// through AL_K:
//
//   const al_conv_kernels AL_K(al_conv) = { ... };      // al_conv_generic, al_conv_avx2,
//   al_conv_avx512
//
// Vectors are GCC's vector extensions, as wide as the instruction set's registers; clang has
// them too. A loop written with them needs no intrinsics: a + b, a * b, comparisons,
// __builtin_shuffle.
#ifndef AL_KERNEL_H
#define AL_KERNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifndef AL_ISA
#define AL_ISA generic
#endif
#define AL_PASTE2(a, b) a##_##b
#define AL_PASTE(a, b) AL_PASTE2(a, b)
#define AL_K(name) AL_PASTE(name, AL_ISA)

#define AL_BYTES_generic 16
#define AL_BYTES_avx2 32
#define AL_BYTES_avx512 64
#define AL_BYTES AL_PASTE(AL_BYTES, AL_ISA) // bytes of one vector register; usable in #if

#define AL_INLINE static inline __attribute__((always_inline))
#define AL_UNUSED __attribute__((unused))

// _Pragma for full unrolling of a short constant loop.
#if defined(__clang__)
#define AL_UNROLL _Pragma("clang loop unroll(full)")
#else
#define AL_UNROLL _Pragma("GCC unroll 32")
#endif

// al_vf: floats, al_vd: doubles, al_vi: int32, al_vl: int64. The u forms may be unaligned in
// memory.
typedef float al_vf __attribute__((vector_size(AL_BYTES), may_alias));
typedef double al_vd __attribute__((vector_size(AL_BYTES), may_alias));
typedef int32_t al_vi __attribute__((vector_size(AL_BYTES), may_alias));
typedef int64_t al_vl __attribute__((vector_size(AL_BYTES), may_alias));
typedef float al_vfu __attribute__((vector_size(AL_BYTES), aligned(4), may_alias));
typedef double al_vdu __attribute__((vector_size(AL_BYTES), aligned(8), may_alias));
typedef int32_t al_viu __attribute__((vector_size(AL_BYTES), aligned(4), may_alias));
typedef int64_t al_vlu __attribute__((vector_size(AL_BYTES), aligned(8), may_alias));

#define AL_VF (AL_BYTES / 4) // lanes of al_vf and al_vi
#define AL_VD (AL_BYTES / 8) // lanes of al_vd and al_vl

AL_INLINE int64_t al_min(int64_t a, int64_t b) { return a < b ? a : b; }
AL_INLINE int64_t al_max(int64_t a, int64_t b) { return a > b ? a : b; }
AL_INLINE int64_t al_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; } // a >= 0, b > 0
AL_INLINE int64_t al_round_up(int64_t a, int64_t b) { return al_ceil_div(a, b) * b; }

#endif
