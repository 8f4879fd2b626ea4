/* segy.c: SEG-Y files by segyio (https://github.com/equinor/segyio): sizes, header words, text
 * and samples; lua/albedo/io/segy.lua makes cubes of them. The number of traces follows from
 * the file's size, so nothing is allocated that the file does not hold. */
#include "../../io/file.h"
#include "../../op/op.h"
#include <segyio/segy.h>
#include <string.h>

extern al_op *const __start_al_ops[] __attribute__((visibility("hidden")));
extern al_op *const __stop_al_ops[] __attribute__((visibility("hidden")));
void al_plugin_ops(al_op *const **first, al_op *const **last);
void al_plugin_ops(al_op *const **first, al_op *const **last) {
  *first = __start_al_ops;
  *last = __stop_al_ops;
}

enum { TEXT = 3200, HEAD = 3600, TRACE_HEAD = 240 };

typedef struct survey {
  segy_file *f;
  int format, little, traces, samples, width; /* width: bytes a trace's samples take */
  long start;                                 /* of the first trace */
} survey;

/* Those that segyio 1.8 converts: IBM float, int32, int16, IEEE float, int8. */
static int known(int format) {
  return (format >= 1 && format <= 3) || format == 5 || format == 8;
}

/* Opens and checks; -1 and an error. In little-endian files the format's
 * bytes are exchanged; segyio 1.8 exchanges four bytes at a time, whatever the sample.
 */
static int survey_open(const char *path, survey *s) {
  uint8_t head[HEAD];
  char words[HEAD - TEXT];
  if (al_file_read_at(path, 0, head, HEAD)) return -1;
  int high = head[3224], low = head[3225];
  *s = (survey){.format = high * 256 + low};
  if (!known(s->format) && !low && known(high)) s->format = high, s->little = 1;
  if (!known(s->format) || (s->little && segy_trsize(s->format, 1) < 4))
    return al_fail("%s: samples of the format %d are not read%s", path, s->format,
                   s->little ? " from a little-endian file" : "");
  s->f = segy_open(path, "rb");
  if (!s->f) return al_fail("%s cannot be opened", path);
  int bad = segy_set_format(s->f, s->format | (s->little ? SEGY_LSB : 0)) ||
            segy_binheader(s->f, words);
  if (!bad) {
    s->samples = segy_samples(words);
    s->start = segy_trace0(words);
    s->width = s->samples > 0 ? segy_trsize(s->format, s->samples) : 0;
    bad = s->width <= 0 || s->start < HEAD || segy_traces(s->f, &s->traces, s->start, s->width);
  }
  if (!bad) return 0;
  segy_close(s->f);
  return al_fail("damaged SEG-Y %s: %d samples a trace do not fit its size", path, s->samples);
}

static int segy_sizes(al_call *c) {
  survey s;
  float interval = 0;
  if (survey_open(c->a[0].s, &s)) return -1;
  if (segy_sample_interval(s.f, 0, &interval)) interval = 0;
  segy_close(s.f);
  int64_t n = 4;
  al_tensor *y = al_empty(AL_FLOAT64, 1, &n);
  double v[] = {s.traces, s.samples, s.format, (double)interval};
  if (y) memcpy(al_data(y), v, sizeof v);
  return al_ret(c, y);
}
AL_OP(segy_sizes, .sig = "path:str -> T",
      .doc = "Of a SEG-Y file: the traces, the samples of one, their format's number, and the "
             "microseconds between two (0: not said).",
      .forward = segy_sizes, .flags = AL_F_NODIFF, .sample = "{'spec/data/dot.sgy'}");

static int segy_text(al_call *c) {
  survey s;
  char text[TEXT + 2];
  if (survey_open(c->a[0].s, &s)) return -1;
  int bad = segy_read_textheader(s.f, text);
  segy_close(s.f);
  int64_t n = TEXT;
  al_tensor *y = bad ? al_null("%s has no text", c->a[0].s) : al_empty(AL_UINT8, 1, &n);
  if (y) memcpy(al_data(y), text, TEXT);
  return al_ret(c, y);
}
AL_OP(segy_text, .sig = "path:str -> T",
      .doc = "The 3200 letters (uint8) a SEG-Y file begins with, as ASCII.",
      .forward = segy_text, .flags = AL_F_NODIFF, .sample = "{'spec/data/dot.sgy'}");

static int segy_words(al_call *c) {
  int64_t k = c->a[1].ints.n;
  survey s;
  if (survey_open(c->a[0].s, &s)) return -1;
  int64_t shape[] = {k, s.traces};
  al_tensor *y = al_empty(AL_INT32, 2, shape);
  int bad = y ? 0 : -1;
  for (int64_t i = 0; i < k && !bad; i++) {
    int64_t place = c->a[1].ints.v[i];
    if (place < 1 || place > TRACE_HEAD ||
        segy_field_forall(s.f, (int)place, 0, s.traces, 1, (int *)al_data(y) + i * s.traces,
                          s.start, s.width))
      bad = al_fail("%s: trace headers have no word at byte %lld", c->a[0].s, (long long)place);
  }
  segy_close(s.f);
  return bad ? -1 : al_ret(c, y);
}
AL_OP(segy_words, .sig = "path:str places:ints -> T",
      .doc = "Words of the trace headers of a SEG-Y file, by their first bytes (from 1: 189 "
             "inline, 193 crossline, 37 offset): places x traces, int32.",
      .forward = segy_words, .flags = AL_F_NODIFF,
      .sample = "{'spec/data/dot.sgy', {189, 193}}");

static int segy_read(al_call *c) {
  survey s;
  if (survey_open(c->a[0].s, &s)) return -1;
  int64_t first = c->a[1].i, count = c->a[2].i;
  int bad = 0;
  if (first < 1 || count < 0 || count > s.traces || first - 1 > s.traces - count)
    bad = al_fail("%s has %d traces, none from %lld to %.0f", c->a[0].s, s.traces,
                  (long long)first, (double)first + (double)count - 1); /* not past int64 */
  int64_t size = bad ? 0 : count * s.width;
  al_tensor *y = bad ? NULL : al_empty(AL_UINT8, 1, &size);
  for (int64_t i = 0; y && i < count && !bad; i++) {
    char *to = (char *)al_data(y) + i * s.width;
    if (segy_readtrace(s.f, (int)(first - 1 + i), to, s.start, s.width) ||
        segy_to_native(s.format, s.samples, to))
      bad = al_fail("damaged SEG-Y %s: trace %lld cannot be read", c->a[0].s,
                    (long long)(first + i));
  }
  segy_close(s.f);
  return bad ? -1 : al_ret(c, y);
}
AL_OP(segy_read, .sig = "path:str first:int count:int -> T",
      .doc = "The samples of traces of a SEG-Y file, the first being 1: little-endian bytes "
             "(uint8) of their format, IBM floats as float32.",
      .forward = segy_read, .flags = AL_F_NODIFF, .sample = "{'spec/data/dot.sgy', 1, 2}");
