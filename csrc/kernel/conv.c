// Which algorithm a convolution runs. An empty output or sum is answered here, so that the
// algorithms see at least one image, one channel, one pixel and one tap.
#ifndef AL_REAL
#include "conv.h"

#include "conv_parts.h"

static bool depthwise(const al_conv *cv) {
  return cv->groups > 1 && cv->c == cv->groups && cv->k == cv->groups;
}

static bool empty(const al_conv *cv) {
  return !cv->n || !cv->c || !cv->k || !al_volume(cv->in) || !al_volume(cv->out) ||
         !al_volume(cv->ker);
}

#define AL_REAL 32
#include "conv.c"
#define AL_REAL 64
#include "conv.c"

const al_conv_kernels AL_K(al_conv) = {
    forward_f32, grad_input_f32, grad_weight_f32, forward_f64, grad_input_f64, grad_weight_f64,
};

#else
#include "real.h"

static int AL_S(forward)(const al_conv *cv, const real *x, const real *w, const real *b,
                         real *y) {
  if (empty(cv)) {
    int64_t plane = al_volume(cv->out);
    for (int64_t i = 0; i < cv->n * cv->k * plane; i++) y[i] = b ? b[i / plane % cv->k] : 0;
    return 0;
  }
#if AL_REAL == 32 && AL_BYTES > 16
  if (AL_K(al_conv_depthwise3_fits)(cv))
    return AL_K(al_conv_depthwise3_forward)(cv, x, w, b, y);
#endif
#if AL_REAL == 32
  if (AL_K(al_conv_winograd_fits)(cv)) return AL_K(al_conv_winograd_forward)(cv, x, w, b, y);
#endif
  if (depthwise(cv)) return AL_R(al_conv_depthwise_forward)(cv, x, w, b, y);
  return AL_R(al_conv_gemm_forward)(cv, x, w, b, y);
}

static int AL_S(grad_input)(const al_conv *cv, const real *gy, const real *w, real *gx) {
  if (empty(cv)) {
    int64_t size = cv->n * cv->c * al_volume(cv->in);
    if (size) memset(gx, 0, (size_t)size * sizeof *gx);
    return 0;
  }
#if AL_REAL == 32 && AL_BYTES > 16
  if (AL_K(al_conv_depthwise3_fits)(cv)) return AL_K(al_conv_depthwise3_input)(cv, gy, w, gx);
#endif
#if AL_REAL == 32
  if (AL_K(al_conv_winograd_fits)(cv)) return AL_K(al_conv_winograd_input)(cv, gy, w, gx);
#endif
  if (depthwise(cv) && al_volume(cv->stride) == 1)
    return AL_R(al_conv_depthwise_input)(cv, gy, w, gx);
  return AL_R(al_conv_gemm_input)(cv, gy, w, gx);
}

static int AL_S(grad_weight)(const al_conv *cv, const real *x, const real *gy, real *gw) {
  if (empty(cv)) {
    int64_t size = cv->groups ? cv->k * (cv->c / cv->groups) * al_volume(cv->ker) : 0;
    if (size) memset(gw, 0, (size_t)size * sizeof *gw);
    return 0;
  }
#if AL_REAL == 32 && AL_BYTES > 16
  if (AL_K(al_conv_depthwise3_fits)(cv)) return AL_K(al_conv_depthwise3_weight)(cv, x, gy, gw);
#endif
#if AL_REAL == 32
  if (AL_K(al_conv_winograd_fits)(cv)) return AL_K(al_conv_winograd_weight)(cv, x, gy, gw);
#endif
  if (depthwise(cv)) return AL_R(al_conv_depthwise_weight)(cv, x, gy, gw);
  return AL_R(al_conv_gemm_weight)(cv, x, gy, gw);
}

#undef AL_REAL
#endif
