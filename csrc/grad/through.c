/* through.c: see through.h. */
#include "through.h"
#include <string.h>

int al_grad_through(al_back *b, al_form form) {
  const al_op *op = b->node->op;
  al_tensor *in[AL_MAX_ARGS] = {0}, *out[AL_MAX_OUTS] = {0}, *wanted[AL_MAX_ARGS],
            *roots[AL_MAX_OUTS], *seeds[AL_MAX_OUTS], *gx[AL_MAX_ARGS];
  int edge[AL_MAX_ARGS], n = 0, m = 0;
  for (int i = 0; i < op->nparams; i++) {
    if (op->param[i].kind != AL_K_TENSOR || !b->in[i]) continue;
    bool needed = b->needs[b->edge0[i]];
    /* a node of our own, at which the inner pass ends */
    in[i] = needed ? al_apply(&al_op_clone, b->in[i]) : al_detach(b->in[i]);
    if (!in[i]) return -1;
    if (!needed) continue;
    wanted[n] = in[i];
    edge[n++] = b->edge0[i];
  }
  if (form(b, in, out)) return -1;
  for (int k = 0; k < op->nouts; k++) {
    if (!b->g[k] || !out[k] || !out[k]->requires_grad) continue;
    roots[m] = out[k];
    seeds[m++] = b->g[k];
  }
  if (al_backward(m, roots, seeds, n, wanted, gx, AL_CREATE_GRAPH | AL_ALLOW_UNUSED | AL_STOP))
    return -1;
  for (int i = 0; i < n; i++)
    if (gx[i] && !(b->gx[edge[i]] = al_adopt(gx[i]))) return -1;
  return 0;
}
