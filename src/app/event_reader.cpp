#include "app/event_reader.h"

#include <fnmatch.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/json_line.h"
#include "codec/debezium.h"

namespace tributary {
namespace {

constexpr size_t read_bytes = 1 << 20;
constexpr std::chrono::milliseconds follow_wait{200};

}  // namespace

std::string TapOptions::to_json() const {
  nlohmann::json json{
      {"pattern", pattern}, {"client", client}, {"from_start", from_start}, {"follow", follow}, {"raw", raw}};
  if (from_micros) json["from_micros"] = *from_micros;
  return json_line(json);
}

Result<TapOptions> TapOptions::from_json(std::string_view text) {
  auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return Error{ErrorCode::kInvalidInput, "the request is no JSON object"};
  TapOptions options;
  options.pattern = json.value("pattern", "*");
  options.client = json.value("client", "");
  options.from_start = json.value("from_start", false);
  options.follow = json.value("follow", true);
  options.raw = json.value("raw", false);
  if (json.contains("from_micros")) options.from_micros = json["from_micros"].get<int64_t>();
  return options;
}

bool EventReader::matches(const TapOptions& options, const std::string& event) const {
  return ::fnmatch(options.pattern.c_str(), event.c_str(), 0) == 0;
}

void EventReader::lines_of(const TapOptions& options, const EventBatch& batch, std::string_view place_json,
                           std::optional<Offset> first, std::vector<Line>& lines) {
  auto domain = pipeline_.domains.find(batch.domain);
  std::string event_name = domain == pipeline_.domains.end() ? batch.domain : domain->second.event;
  auto config = pipeline_.clients.find(batch.client.value);
  DebeziumSource source{.name = pipeline_.name + "." + batch.client.value,
                        .database = config == pipeline_.clients.end() ? "" : config->second.source.database};
  auto line = [&](const std::string& event, const Position& position, size_t index, const std::string& key,
                  const std::string& value) {
    std::string offset = first ? fmt::format(R"("offset":{},)", first->value + index) : "";
    lines.push_back(
        {position, fmt::format(R"({{"event":"{}","client_id":"{}","position":"{}",{}{}"key":{},"value":{}}})"
                               "\n",
                               event, batch.client, position.to_string(), place_json, offset, key, value)});
  };
  auto too_old = [&](int64_t micros) { return options.from_micros && micros < *options.from_micros; };
  for (size_t row = 0; row < batch.rows(); ++row) {
    std::string event = event_name + "." + std::string(op_event_name(batch.ops[row]));
    if (too_old(batch.commit_micros[row]) || !matches(options, event)) continue;
    line(event, batch.positions[row], row, debezium_key(batch, row), debezium_envelope(batch, row, source));
  }
  for (size_t i = 0; i < batch.ranges.size(); ++i) {
    const RangeFact& range = batch.ranges[i];
    std::string event = event_name + ".truncated";
    if (range.kind != RangeKind::kTruncate || too_old(range.commit_micros) || !matches(options, event)) continue;
    if (!truncates_.emplace(range.position, batch.client.value, batch.domain).second) continue;
    if (truncates_.size() > truncates_max) truncates_.erase(truncates_.begin());  // the oldest
    line(event, range.position, batch.rows() + i, "null", debezium_truncate(batch, i, source));
  }
}

Status EventReader::read(const TapOptions& options, const std::function<bool(std::string_view)>& out,
                         const std::function<bool()>& wanted) {
  return options.raw ? read_raw(options, out) : read_log(options, out, wanted);
}

Status EventReader::read_raw(const TapOptions& options, const std::function<bool(std::string_view)>& out) {
  for (const auto& [id, client] : pipeline_.clients) {
    if (!options.client.empty() && id != options.client) continue;
    bool go_on = true;
    RawQuery query;
    query.client = ClientId{id};
    query.domain = options.domain;
    if (options.key) query.keys.insert(*options.key);
    query.from_micros = options.from_micros;
    RETURN_IF_ERROR(raw_->read(query, [&](const EventBatch& batch) {
      std::vector<Line> lines;
      lines_of(options, batch, fmt::format(R"("topic":"{}",)", batch.domain), std::nullopt, lines);
      for (const Line& line : lines) go_on = go_on && out(line.text);
      return go_on;
    }));
    if (!go_on) break;
  }
  return {};
}

Status EventReader::read_log(const TapOptions& options, const std::function<bool(std::string_view)>& out,
                             const std::function<bool()>& wanted) {
  std::map<TopicPartition, Offset> next;
  std::unique_ptr<LogReader> reader = log_.open_reader();
  if (!options.from_start && !options.from_micros) next = log_.ends();
  while (wanted()) {
    uint64_t generation = log_.append_generation();
    std::vector<Line> lines;
    bool more = false;
    for (const auto& [partition, end] : log_.ends()) {
      Offset& from = next[partition];
      if (from >= end) continue;
      ASSIGN_OR_RETURN(std::vector<LogBlock> blocks, reader->read(partition, from, read_bytes));
      std::string place = fmt::format(R"("topic":"{}","partition":{},)", partition.topic, partition.partition);
      if (blocks.empty()) {  // its retention has removed them, or they have not arrived yet
        ASSIGN_OR_RETURN(Offset first, log_.first_offset(partition));
        from = std::max(from, first);
      }
      for (const LogBlock& block : blocks) {
        from = block.next;
        ASSIGN_OR_RETURN(std::shared_ptr<const EventBatch> batch, log_.events_of(block));
        if (!options.client.empty() && batch->client.value != options.client) continue;
        bool without_gaps = block.first.value + block.events == block.next.value;
        lines_of(options, *batch, place, without_gaps ? std::optional(block.first) : std::nullopt, lines);
      }
      more = more || from < end;
    }
    // Partitions have no common order; within what was read together the source's is shown.
    std::stable_sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) { return a.position < b.position; });
    for (const Line& line : lines) {
      if (!out(line.text)) return {};
    }
    if (more || !lines.empty()) continue;
    if (!options.follow) return {};
    log_.wait_for_append(generation, follow_wait);
  }
  return {};
}

}  // namespace tributary
