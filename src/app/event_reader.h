// Events of the log or the raw store as lines of JSON, for `tap`: Debezium's envelope with what its headers say.
//
//   {"event":"order.created","client_id":"acme","position":"1:0/1A2B3C8:0/1A2B300:0","topic":"orders","partition":3,
//    "offset":17,"key":{"id":42},"value":{"before":null,"after":{…},"source":{…},"op":"c","ts_ms":…}}
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>

#include "config/pipeline.h"
#include "contracts/event_log.h"
#include "contracts/raw_store.h"

namespace tributary {

struct TapOptions {
  std::string pattern = "*";        // of event names; * and ? as in a shell
  std::string client;               // empty: all
  bool from_start = false;          // else from now, or from_micros
  std::optional<int64_t> from_micros;  // commit time
  bool follow = true;               // go on when the end is reached
  bool raw = false;                 // read the raw store (once, from the start)
  std::optional<std::string> key;   // raw: of this row key alone (row key bytes)
  std::string domain;               // raw: of this domain alone; empty: all

  std::string to_json() const;
  static Result<TapOptions> from_json(std::string_view text);
};

class EventReader {
 public:
  // `raw`: nullptr where only the log is read.
  EventReader(const Pipeline& pipeline, EventLog& log, RawStore* raw) : pipeline_(pipeline), log_(log), raw_(raw) {}

  // Gives lines, each ended by a newline, until `out` returns false, `wanted` does, or, without `follow`, the end.
  Status read(const TapOptions& options, const std::function<bool(std::string_view)>& out,
              const std::function<bool()>& wanted);

 private:
  struct Line {
    Position position;
    std::string text;
  };
  Status read_log(const TapOptions& options, const std::function<bool(std::string_view)>& out,
                  const std::function<bool()>& wanted);
  Status read_raw(const TapOptions& options, const std::function<bool(std::string_view)>& out);
  void lines_of(const TapOptions& options, const EventBatch& batch, std::string_view place_json,
                std::optional<Offset> first, std::vector<Line>& lines);
  bool matches(const TapOptions& options, const std::string& event) const;

  const Pipeline& pipeline_;
  // A TRUNCATE is told to every partition of its client, and is one event: those shown lately.
  static constexpr size_t truncates_max = 4096;
  std::set<std::tuple<Position, std::string, std::string>> truncates_;  // position, client, domain
  EventLog& log_;
  RawStore* raw_;
};

}  // namespace tributary
