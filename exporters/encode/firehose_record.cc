#include "exporters/encode/firehose_record.h"

#include "engine/base/base64.h"
#include "exporters/encode/trace_json.h"

namespace sidecast {

void encode_firehose_record(const Trace& trace, const SpanSet& set, ByteBuffer& out) {
  ByteBuffer line;
  encode_trace_json(trace, set, line);
  line.push_back('\n');
  out.append(R"({"Data":")");
  out.append(to_base64(line.view()));
  out.append(R"("})");
}

}  // namespace sidecast
