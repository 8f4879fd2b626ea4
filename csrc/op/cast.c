// Changes of dtype, layout and graph membership that keep the values.
#include "op.h"

static int cast(al_call *c) {
  if (c->recording && al_is_half(c->a[1].dtype))
    return al_fail("x requires a gradient, and %s carries none: detach it first",
                   al_dtype_name((al_dtype)c->a[1].dtype));
  return al_ret(c, al_fresh_contiguous(ARG_T(0), (al_dtype)c->a[1].dtype));
}
static int pass(al_back *b) { return al_grad1(b, b->g[0]); } // the engine casts it to x's dtype
AL_OP(cast, .sig = "x:T dtype:dtype -> T", .doc = "A copy of x in dtype.", .forward = cast,
      .grad = pass, .sample = "{r(3,4), \"float64\"}", .flags = AL_F_HIDDEN | AL_F_HALF);

static int to(al_call *c) {
  if (ARG_T(0)->dtype == c->a[1].dtype) return al_ret(c, ARG_T(0));
  return al_ret(c, al_apply(&al_op_cast, ARG_T(0), c->a[1].dtype));
}
AL_OP(to, .sig = "x:T dtype:dtype -> T",
      .doc = "x converted to dtype; x itself when it is of that dtype already. Floats truncate "
             "towards 0 "
             "on the way to integers; to bool, nonzero is true. float16 and bfloat16 are for "
             "storage: they "
             "carry no gradient, and only what moves values takes them.",
      .forward = to, .sample = "{r(3,4), \"float64\"}", .alias = "type",
      .flags = AL_F_COMPOSITE | AL_F_HALF);

static int clone(al_call *c) {
  return al_ret(c, al_fresh_contiguous(ARG_T(0), (al_dtype)ARG_T(0)->dtype));
}
AL_OP(clone, .sig = "x:T -> T", .doc = "A copy of x in memory of its own.", .forward = clone,
      .grad = pass, .sample = "{r(3,4)}", .flags = AL_F_HALF);

static int contiguous(al_call *c) {
  return al_ret(c, al_is_contiguous(ARG_T(0)) ? ARG_T(0) : al_apply(&al_op_clone, ARG_T(0)));
}
AL_OP(contiguous, .sig = "x:T -> T",
      .doc = "x itself when its elements lie in order without gaps, else a copy.",
      .forward = contiguous, .sample = "{r(3,4)}", .flags = AL_F_COMPOSITE | AL_F_HALF);

static int detach(al_call *c) { return al_ret(c, al_detach(ARG_T(0))); }
AL_OP(detach, .sig = "x:T -> T",
      .doc =
          "The same values outside the graph: no gradient flows through. Shares memory with x.",
      .forward = detach, .sample = "{r(3,4)}", .flags = AL_F_VIEW | AL_F_NODIFF);
