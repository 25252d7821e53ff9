/* sidecast.h is plain C99: this file only has to compile, with every warning an error. */
#include <sidecast.h>

int sidecast_header_is_c99(void);
int sidecast_header_is_c99(void) {
  const sidecast_generation generation = {.struct_size = sizeof generation, .http_status = 200};
  return generation.struct_size != 0 && SIDECAST_OK == 0;
}
