// sidecast.h is plain C++11: this file only has to compile, with every warning an error.
#include <sidecast.h>

static_assert(sizeof(sidecast_text) == 16, "as in C");
