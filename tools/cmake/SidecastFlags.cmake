# Flags belong to targets: sidecast_flags is linked PRIVATE by every target of ours and by nobody else's.
add_library(sidecast_flags INTERFACE)
target_compile_options(sidecast_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion
  $<$<COMPILE_LANGUAGE:CXX>:-Wsign-conversion$<SEMICOLON>-Wnon-virtual-dtor$<SEMICOLON>-Woverloaded-virtual>
  # Designated initialisers are meant to leave out what keeps its default.
  $<$<COMPILE_LANGUAGE:CXX>:-Wno-missing-field-initializers>
  $<$<BOOL:${SIDECAST_WARNINGS_AS_ERRORS}>:-Werror>)
# Programs of hundreds of megabytes with their debug information: mold links them in a tenth of the time.
find_program(SIDECAST_MOLD mold)
if(SIDECAST_MOLD AND CMAKE_BUILD_TYPE STREQUAL "Debug")
  target_link_options(sidecast_flags INTERFACE -fuse-ld=mold)
endif()
if(SIDECAST_SANITIZE)
  target_compile_options(sidecast_flags INTERFACE
    -fsanitize=${SIDECAST_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(sidecast_flags INTERFACE -fsanitize=${SIDECAST_SANITIZE})
  if(SIDECAST_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # g++ warns of each stand-alone fence, which TSan cannot follow: concurrentqueue has some.
    target_compile_options(sidecast_flags INTERFACE -Wno-tsan)
  endif()
endif()
if(SIDECAST_FUZZ)
  # Every library is instrumented; only the fuzz targets bring a main.
  target_compile_options(sidecast_flags INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(sidecast_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(SIDECAST_TEST_POINTS)
  target_compile_definitions(sidecast_flags INTERFACE SIDECAST_TEST_POINTS=1)
endif()
