// OTLP/gRPC over the HTTP loop: the unary call Export, as its one message in a five-byte frame, and
// an answer whose verdict stands in the trailers. Everything around it (pool, TLS, proxies, egress,
// retry) is that of any request. Pure; every byte of an answer is hostile.
//
// A server that closes a connection of age (GOAWAY) can cost an answer its trailers: libcurl then
// reports HTTP 200 with a whole body and no grpc-status. Such an answer proves nothing, so it is
// neither delivered nor refused: the same spans, with the same ids, are sent again.
//
// Source: reference "otlp" §6 and §7; github.com/grpc/grpc doc/PROTOCOL-HTTP2.md.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/clock.h"
#include "exporters/exporter.h"

namespace sidecast {

inline constexpr std::string_view kGrpcTracesPath =
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
// Most servers take messages of 4 MiB, uncompressed.
inline constexpr std::uint64_t kGrpcBatchBytesMax = 3584ULL << 10U;

// Those of every call.
[[nodiscard]] std::vector<Header> grpc_headers();

// Makes `message` the call's one message. `encoding` is the codec that it is compressed with, or
// empty; `kept` owns its bytes. A message of 4 GiB or more has no frame and is an Error.
[[nodiscard]] Status set_grpc_message(Request& request, Bytes message, std::string_view encoding,
                                      std::shared_ptr<const void> kept);

[[nodiscard]] Verdict judge_grpc(const Request& request, const Response& response, Timestamp now);

}  // namespace sidecast
