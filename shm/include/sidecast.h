/* sidecast.h: the whole C ABI of libsidecast.
 *
 * A gateway puts one record per finished request into shared memory; the engine (sidecastd) exports
 * it. A write on an open ring makes no system call, no allocation and never waits: it copies, or it
 * sheds the bodies, or it drops the record and says so.
 *
 *   sidecast_writer *writer;
 *   sidecast_open(NULL, &writer);                    once per process, before threads or after
 *   sidecast_generation g = {.struct_size = sizeof g, .start_ns = t0, .end_ns = t1, ...};
 *   sidecast_write_generation(writer, &g);           any thread, any number at once
 *   sidecast_close(writer);                          optional; the engine drains what is left
 *
 * Threads: every function may be called from any thread; close only when no other call is running.
 * Fork: a child's first write finds that it has no ring of its own and makes one (at most one try in
 * ten seconds), unless SIDECAST_OPEN_NO_RETRY was given; sidecast_refresh() does so at once.
 *
 * Versions: each struct begins with its own size, so a program built with an older header works with
 * a newer library. A zeroed field means absent. Status codes and enumerators are only ever appended.
 * Strings are UTF-8 without a terminating zero, need not live longer than the call, and may be
 * {NULL, 0}. Times are unix nanoseconds. Money is USD.
 *
 * Environment: SIDECAST_RING_DIR, SIDECAST_RING_BYTES, SIDECAST_LANES and SIDECAST_RECORD_BYTES_MAX
 * stand in for options left zero; SIDECAST_OFF=1 turns the writer off for good.
 */
#ifndef SIDECAST_H
#define SIDECAST_H

#include <stddef.h>
#include <stdint.h>

#if defined(SIDECAST_BUILDING)
#define SIDECAST_API __attribute__((visibility("default")))
#else
#define SIDECAST_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sidecast_writer sidecast_writer;

typedef enum sidecast_status {
  SIDECAST_OK = 0,
  SIDECAST_SHED = 1,              /* written without its bodies: the ring was nearly full */
  SIDECAST_DROPPED_FULL = 2,      /* not written: no lane that was free had room */
  SIDECAST_DROPPED_BUSY = 3,      /* not written: every lane was held by another thread */
  SIDECAST_DROPPED_TOO_LARGE = 4, /* not written: larger than a record may be, even without bodies */
  SIDECAST_DISABLED = 5,          /* not written: the writer has no ring; see sidecast_stats.reason */
  SIDECAST_INVALID = 6,           /* not written: an argument is wrong; nothing was counted */
  SIDECAST_SWITCHED_OFF = 7       /* not written: the operator's off switch is set */
} sidecast_status;

typedef struct sidecast_text {
  const char *data;
  size_t size; /* bytes */
} sidecast_text;

/* A body as the gateway holds it: any number of pieces, copied one after the other. */
typedef struct sidecast_slice {
  const void *data;
  size_t size; /* bytes */
} sidecast_slice;

typedef struct sidecast_body {
  const sidecast_slice *slices;
  size_t count;
} sidecast_body;

/* ---- Life ---------------------------------------------------------------------------------- */

enum { /* sidecast_options.flags */
  SIDECAST_OPEN_NO_RETRY = 1 /* a write never tries to make a ring; only sidecast_refresh() does */
};

typedef struct sidecast_options {
  size_t struct_size;      /* sizeof(sidecast_options) */
  const char *ring_dir;    /* zero-terminated; NULL: $SIDECAST_RING_DIR, else /dev/shm/sidecast */
  const char *process;     /* zero-terminated name shown by stats; NULL: the program's name */
  uint64_t ring_bytes;     /* 0: $SIDECAST_RING_BYTES, else the engine's setting, else 16 MiB */
  uint32_t lanes;          /* 0: the engine's setting, else max(4, 2 x CPUs), at most 16 */
  uint32_t flags;          /* SIDECAST_OPEN_... */
  uint64_t record_bytes_max; /* 0: the engine's setting, else what the widest lane can hold */
} sidecast_options;

/* Makes this process's ring. Always sets *writer to something usable unless it returns
 * SIDECAST_INVALID (then NULL): SIDECAST_OK with a ring (perhaps a smaller one than asked for), or
 * SIDECAST_DISABLED with a writer that drops everything at the cost of nanoseconds until a ring can
 * be made. `options` may be NULL. Not for a request path: making 16 MiB takes milliseconds. */
SIDECAST_API sidecast_status sidecast_open(const sidecast_options *options, sidecast_writer **writer);

/* Makes a ring if the writer has none (open failed, or after fork). SIDECAST_OK if it has one now. */
SIDECAST_API sidecast_status sidecast_refresh(sidecast_writer *writer);

/* Gives the writer's memory back. What was written stays for the engine. NULL is ignored. */
SIDECAST_API void sidecast_close(sidecast_writer *writer);

/* ---- One generation: one request to a model ----------------------------------------------- */

enum { /* sidecast_generation.usage_present: which of the usage and cost fields are known */
  SIDECAST_USAGE_INPUT = 1 << 0,
  SIDECAST_USAGE_OUTPUT = 1 << 1,
  SIDECAST_USAGE_TOTAL = 1 << 2,
  SIDECAST_USAGE_CACHE_READ = 1 << 3,
  SIDECAST_USAGE_CACHE_WRITE = 1 << 4,
  SIDECAST_USAGE_REASONING = 1 << 5,
  SIDECAST_COST_TOTAL = 1 << 6,
  SIDECAST_COST_INPUT = 1 << 7,
  SIDECAST_COST_OUTPUT = 1 << 8
};

enum { /* sidecast_generation.flags and sidecast_span.flags */
  /* Written whole or not at all, for callers that can wait and offer the record again. What is not
   * written is not counted as dropped either: the caller still has it. */
  SIDECAST_WRITE_ALL_OR_NOTHING = 1,
  SIDECAST_WRITE_ABORTED = 2         /* the client went away before the end */
};

/* One provider tried. Fallbacks become child spans. */
typedef struct sidecast_attempt {
  size_t struct_size; /* sizeof(sidecast_attempt); all elements of an array have the same */
  sidecast_text provider;
  sidecast_text model;
  sidecast_text endpoint;
  int64_t start_ns;
  int64_t end_ns;
  int32_t http_status; /* 0: none came */
  uint32_t reserved;   /* 0 */
  sidecast_text error_type; /* empty: it succeeded */
  sidecast_text error_message;
} sidecast_attempt;

/* Everything is optional but start_ns and end_ns. The engine reads the bodies: model, messages,
 * usage, finish reasons and errors need no field of their own unless the gateway knows better. */
typedef struct sidecast_generation {
  size_t struct_size; /* sizeof(sidecast_generation) */
  uint32_t flags;     /* SIDECAST_WRITE_... */
  int32_t http_status;

  /* identity */
  sidecast_text generation_id;
  sidecast_text account; /* decides which destinations may see the record */
  sidecast_text api_key_id;
  sidecast_text api_key_name;
  sidecast_text user_id;
  sidecast_text session_id;
  sidecast_text trace_json;      /* the request's `trace` object, raw JSON */
  sidecast_text attributes_json; /* free-form attributes: a JSON object */

  /* the call */
  sidecast_text operation;       /* chat, responses, messages, completions, embeddings, rerank, ... */
  sidecast_text provider;
  sidecast_text model_requested; /* where the body does not say, e.g. a model named in the path */
  sidecast_text model_served;
  sidecast_text endpoint; /* the provider's URL path */
  sidecast_text region;

  /* raw bodies: request JSON; response JSON, or the raw stream as it went over the wire */
  sidecast_body request;
  sidecast_body response;

  /* times; an end before the start is clamped and noted */
  int64_t start_ns;
  int64_t first_token_ns; /* 0: not streamed or not known */
  int64_t end_ns;

  /* outcome */
  sidecast_text error_type;
  sidecast_text error_message;

  /* usage and cost where the gateway knows better than the body */
  uint32_t usage_present; /* SIDECAST_USAGE_... | SIDECAST_COST_... */
  uint32_t attempt_count;
  int64_t usage_input_tokens; /* including cached */
  int64_t usage_output_tokens; /* including reasoning */
  int64_t usage_total_tokens;
  int64_t usage_cache_read_tokens;
  int64_t usage_cache_write_tokens;
  int64_t usage_reasoning_tokens;
  double cost_total_usd;
  double cost_input_usd;
  double cost_output_usd;

  const sidecast_attempt *attempts; /* attempt_count of them, at most 256 */
} sidecast_generation;

SIDECAST_API sidecast_status sidecast_write_generation(sidecast_writer *writer,
                                                       const sidecast_generation *generation);

/* ---- One explicit span: a tool, retriever, guardrail, agent, ... the gateway ran itself ------ */

typedef enum sidecast_span_kind { /* OpenInference's span kinds */
  SIDECAST_SPAN_UNKNOWN = 0,
  SIDECAST_SPAN_LLM = 1,
  SIDECAST_SPAN_EMBEDDING = 2,
  SIDECAST_SPAN_CHAIN = 3,
  SIDECAST_SPAN_RETRIEVER = 4,
  SIDECAST_SPAN_RERANKER = 5,
  SIDECAST_SPAN_TOOL = 6,
  SIDECAST_SPAN_AGENT = 7,
  SIDECAST_SPAN_GUARDRAIL = 8,
  SIDECAST_SPAN_EVALUATOR = 9,
  SIDECAST_SPAN_PROMPT = 10
} sidecast_span_kind;

typedef struct sidecast_span {
  size_t struct_size; /* sizeof(sidecast_span) */
  uint32_t flags;     /* SIDECAST_WRITE_... */
  int32_t kind;       /* sidecast_span_kind */
  sidecast_text span_id;   /* 16 hex digits, or any text unique in the trace; empty: made up */
  sidecast_text parent_id; /* the span_id or generation_id of the parent; empty: a root */
  sidecast_text name;
  sidecast_text account;
  sidecast_text api_key_id;
  sidecast_text api_key_name;
  sidecast_text user_id;
  sidecast_text session_id;
  sidecast_text trace_json;
  sidecast_text attributes_json; /* a JSON object */
  sidecast_body input;
  sidecast_body output;
  int64_t start_ns;
  int64_t end_ns;
  sidecast_text error_type; /* empty: it succeeded */
  sidecast_text error_message;
} sidecast_span;

SIDECAST_API sidecast_status sidecast_write_span(sidecast_writer *writer, const sidecast_span *span);

/* ---- Counters ---------------------------------------------------------------------------------- */

/* This writer's counts since its ring was made (calls also while it had none). */
typedef struct sidecast_counters {
  size_t struct_size;  /* in: sizeof(sidecast_counters) */
  uint64_t written;    /* includes shed */
  uint64_t shed;
  uint64_t dropped_full;
  uint64_t dropped_busy;
  uint64_t dropped_too_large;
  uint64_t disabled;   /* calls while there was no ring or the switch was off */
  uint64_t ring_bytes; /* 0: no ring */
  uint64_t used_bytes; /* written and not yet released by the engine */
  uint32_t lanes;
  uint32_t has_ring;   /* 1 or 0 */
  char reason[160];    /* why there is no ring, or only a smaller one; zero-terminated */
} sidecast_counters;

SIDECAST_API sidecast_status sidecast_stats(sidecast_writer *writer, sidecast_counters *counters);

#ifdef __cplusplus
}
#endif

#endif /* SIDECAST_H */
