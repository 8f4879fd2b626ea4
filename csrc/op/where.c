// Selection by mask, and the small compositions around it.
#include "elementwise.h"

static al_core where_core(al_dtype d) {
  size_t size = al_dtype_size(d);
  return AL_SELECT(al_binary).where[size == 8 ? 3 : size == 4 ? 2 : 0];
}

// out = mask ? x : y, every operand already checked; `into` may be NULL.
static al_tensor *select_into(al_call *c, al_tensor *mask, al_tensor *x, al_tensor *y,
                              al_dtype d) {
  al_operand room[3];
  al_tensor *in[3] = {mask, x, y};
  int64_t shape[AL_MAX_DIMS];
  int ndim;
  if (al_broadcast(3, in, &ndim, shape)) return NULL;
  al_tensor *out = al_result(c, d, ndim, shape);
  if (!out) return NULL;
  al_tensor *t[4] = {out, al_operand_for(mask, AL_BOOL, &room[0], out),
                     al_operand_for(x, d, &room[1], out), al_operand_for(y, d, &room[2], out)};
  if (!t[1] || !t[2] || !t[3]) return NULL;
  al_elementwise_context ctx = {{0, 0}, 0};
  return al_elementwise(where_core(d), 4, t, &ctx) ? NULL : out;
}

static int where(al_call *c) {
  if (ARG_T(0)->dtype != AL_BOOL && ARG_T(0)->dtype != AL_UINT8)
    return al_fail("mask must be bool, not %s", al_dtype_name((al_dtype)ARG_T(0)->dtype));
  al_dtype d = al_promote(2, (al_tensor *[]){ARG_T(1), ARG_T(2)});
  return al_ret(c, select_into(c, ARG_T(0), ARG_T(1), ARG_T(2), d));
}
static int where_grad(al_back *b) {
  al_tensor *g = b->g[0], *mask = b->in[0];
  if (b->needs[1] && !(b->gx[1] = al_where(mask, g, al_number(0)))) return -1;
  if (b->needs[2] && !(b->gx[2] = al_where(mask, al_number(0), g))) return -1;
  return 0;
}
AL_OP(where, .sig = "mask:T x:N y:N -> T",
      .doc = "x where mask is true, y elsewhere; the three broadcast.", .forward = where,
      .grad = where_grad, .save = "mask",
      .sample = "{mask(3,4), r(3,4), r(4)}, {mask(4), r(2,1), r(2,4)}");

static int masked_fill(al_call *c) {
  al_tensor *x = ARG_T(0);
  if (ARG_T(1)->dtype != AL_BOOL && ARG_T(1)->dtype != AL_UINT8)
    return al_fail("mask must be bool, not %s", al_dtype_name((al_dtype)ARG_T(1)->dtype));
  al_tensor *y =
      select_into(c, ARG_T(1), al_scalar(ARG_F(2), (al_dtype)x->dtype), x, (al_dtype)x->dtype);
  return al_ret(c, y);
}
static int masked_fill_grad(al_back *b) {
  return al_grad1(b, al_where(b->in[1], al_number(0), b->g[0]));
}
AL_OP(masked_fill, .sig = "x:T mask:T value:num -> T",
      .doc = "x with value where mask is true; mask broadcasts.", .forward = masked_fill,
      .grad = masked_fill_grad, .save = "mask",
      .sample = "{r(3,4), mask(3,4), -1}, {r(3,4), mask(4), 0.5}", .flags = AL_F_INPLACE);

static int lerp(al_call *c) {
  return al_ret(c, al_add(ARG_T(0), al_mul(ARG_T(2), al_sub(ARG_T(1), ARG_T(0)))));
}
AL_OP(lerp, .sig = "x:T y:N weight:N -> T", .doc = "x + weight * (y - x).", .forward = lerp,
      .sample = "{r(3,4), r(3,4), 0.3}, {r(3,4), r(4), r(3,1)}", .flags = AL_F_COMPOSITE);

static int addcmul(al_call *c) {
  return al_ret(c, al_add(ARG_T(0), al_mul_num(al_mul(ARG_T(1), ARG_T(2)), ARG_F(3))));
}
AL_OP(addcmul, .sig = "x:T a:N b:N {value:num=1} -> T", .doc = "x + value * a * b.",
      .forward = addcmul, .sample = "{r(3,4), r(3,4), r(4), {value=0.5}}",
      .flags = AL_F_COMPOSITE);

static int addcdiv(al_call *c) {
  return al_ret(c, al_add(ARG_T(0), al_mul_num(al_div(ARG_T(1), ARG_T(2)), ARG_F(3))));
}
AL_OP(addcdiv, .sig = "x:T a:N b:N {value:num=1} -> T", .doc = "x + value * a / b.",
      .forward = addcdiv, .sample = "{r(3,4), r(3,4), pos(4), {value=0.5}}",
      .flags = AL_F_COMPOSITE);
