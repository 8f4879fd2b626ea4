// Which build of the kernels runs: csrc/kernel is compiled once per instruction set, and the
// best one the processor offers is taken at run time.
//
//   generic   what the compiler targets by default (SSE2 on x86-64, NEON on arm64, ...)
//   avx2      x86-64-v3: AVX2 and FMA
//   avx512    x86-64-v4: AVX-512 F, BW, CD, DQ and VL
//
// The environment variable ALBEDO_ISA=avx2 or ALBEDO_ISA=generic forces the choice down, never
// up.
#ifndef AL_CORE_ISA_H
#define AL_CORE_ISA_H

#include <stdbool.h>

typedef enum { AL_GENERIC, AL_AVX2, AL_AVX512 } al_isa_level;

al_isa_level al_isa(void);     // detected once
const char *al_isa_name(void); // "generic", "avx2" or "avx512"

// Whether 3x3 convolutions of float32 may use Winograd's algorithm (kernel/conv_winograd.c); on
// unless turned off. Its rounding error is 2 to 3 times that of direct sums.
void al_winograd(bool on);
bool al_winograd_on(void);

// AL_SELECT(al_conv).forward_f32(...): the table `al_conv` of the running instruction set.
#if defined(__x86_64__)
#define AL_SELECT(table)                     \
  (*(al_isa() == AL_AVX512 ? &table##_avx512 \
     : al_isa() == AL_AVX2 ? &table##_avx2   \
                           : &table##_generic))
#define AL_DECLARE_TABLE(type, table) \
  extern const type table##_generic, table##_avx2, table##_avx512
#else
#define AL_SELECT(table) (table##_generic)
#define AL_DECLARE_TABLE(type, table) extern const type table##_generic
#endif

#endif
