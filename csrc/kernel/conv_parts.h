// The algorithms conv.c chooses from, one file each. All overwrite their output, return 0 or
// -1.
#ifndef AL_KERNEL_CONV_PARTS_H
#define AL_KERNEL_CONV_PARTS_H

#include "conv.h"
#include "kernel.h"

#define AL_CONV_PARTS(real, suffix)                                                          \
  /* conv_gemm.c: any convolution, as products with a window read in place. */               \
  int AL_K(al_conv_gemm_forward##suffix)(const al_conv *, const real *x, const real *w,      \
                                         const real *b, real *y);                            \
  int AL_K(al_conv_gemm_input##suffix)(const al_conv *, const real *gy, const real *w,       \
                                       real *gx);                                            \
  /* conv_weight.c: the gradient in the weights of any convolution. */                       \
  int AL_K(al_conv_gemm_weight##suffix)(const al_conv *, const real *x, const real *gy,      \
                                        real *gw);                                           \
  /* conv_depthwise.c: one input and one output channel a group; input: stride 1 only. */    \
  int AL_K(al_conv_depthwise_forward##suffix)(const al_conv *, const real *x, const real *w, \
                                              const real *b, real *y);                       \
  int AL_K(al_conv_depthwise_input##suffix)(const al_conv *, const real *gy, const real *w,  \
                                            real *gx);                                       \
  int AL_K(al_conv_depthwise_weight##suffix)(const al_conv *, const real *x, const real *gy, \
                                             real *gw);

AL_CONV_PARTS(float, _f32)
AL_CONV_PARTS(double, _f64)
#undef AL_CONV_PARTS

// conv_depthwise3.c: whether a convolution is a depthwise 3x3 one of its kind; its passes.
bool AL_K(al_conv_depthwise3_fits)(const al_conv *);
int AL_K(al_conv_depthwise3_forward)(const al_conv *, const float *x, const float *w,
                                     const float *b, float *y);
int AL_K(al_conv_depthwise3_input)(const al_conv *, const float *gy, const float *w, float *gx);
int AL_K(al_conv_depthwise3_weight)(const al_conv *, const float *x, const float *gy,
                                    float *gw);

// conv_winograd.c, conv_winograd_weight.c: whether Winograd's algorithm applies and pays; its
// passes.
bool AL_K(al_conv_winograd_fits)(const al_conv *);
int AL_K(al_conv_winograd_forward)(const al_conv *, const float *x, const float *w,
                                   const float *b, float *y);
int AL_K(al_conv_winograd_input)(const al_conv *, const float *gy, const float *w, float *gx);
int AL_K(al_conv_winograd_weight)(const al_conv *, const float *x, const float *gy, float *gw);

static inline int64_t al_volume(const int64_t v[3]) { return v[0] * v[1] * v[2]; }

#endif
