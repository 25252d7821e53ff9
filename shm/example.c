/* A gateway in C99: opens its ring, writes one record per finished request, closes.
 *
 *   SIDECAST_RING_DIR=/dev/shm/sidecast sidecast_example [COUNT]
 */
#define _POSIX_C_SOURCE 200809L

#include <sidecast.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static sidecast_text text(const char *value) {
  sidecast_text result;
  result.data = value;
  result.size = strlen(value);
  return result;
}

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int main(int argc, char **argv) {
  static const char request[] =
      "{\"model\":\"example-1\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello?\"}]}";
  static const char response[] =
      "{\"model\":\"example-1\",\"choices\":[{\"index\":0,\"finish_reason\":\"stop\","
      "\"message\":{\"role\":\"assistant\",\"content\":\"Hello!\"}}],"
      "\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":2,\"total_tokens\":4}}";
  const sidecast_slice request_slice = {request, sizeof request - 1};
  const sidecast_slice response_slice = {response, sizeof response - 1};
  const long count = argc > 1 ? strtol(argv[1], NULL, 10) : 1;
  long written = 0;

  sidecast_writer *writer = NULL;
  sidecast_counters counters = {sizeof counters, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, {0}};
  /* Disabled is no reason to stop: the gateway goes on, and writing starts once it can. */
  const sidecast_status opened = sidecast_open(NULL, &writer);
  sidecast_stats(writer, &counters);
  if (opened != SIDECAST_OK) fprintf(stderr, "no ring yet: %s\n", counters.reason);

  for (long i = 0; i < count; ++i) {
    char id[32];
    sidecast_generation generation;
    memset(&generation, 0, sizeof generation); /* a zeroed field means absent */
    snprintf(id, sizeof id, "gen-%ld", i);
    generation.struct_size = sizeof generation;
    generation.generation_id = text(id);
    generation.account = text("example");
    generation.operation = text("chat");
    generation.provider = text("openai");
    generation.http_status = 200;
    generation.request.slices = &request_slice;
    generation.request.count = 1;
    generation.response.slices = &response_slice;
    generation.response.count = 1;
    generation.end_ns = now_ns();
    generation.start_ns = generation.end_ns - 250000000;
    if (sidecast_write_generation(writer, &generation) <= SIDECAST_SHED) ++written;
  }

  counters.struct_size = sizeof counters;
  sidecast_stats(writer, &counters);
  const unsigned long long shed = counters.shed;
  const unsigned long long dropped = counters.dropped_full + counters.dropped_busy;
  printf("%ld of %ld written, %llu shed, %llu dropped\n", written, count, shed, dropped);
  sidecast_close(writer);
  return written == count ? 0 : 1;
}
