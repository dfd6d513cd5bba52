#include "capture/debezium/debezium_group.h"

#include <fmt/format.h>

#include <algorithm>

namespace tributary {
namespace {

constexpr size_t records_at_once = 4096;
constexpr size_t rows_wanted_max = 10'000;

std::vector<std::string> topics_of(const std::vector<std::unique_ptr<DebeziumClient>>& clients) {
  std::set<std::string> topics;
  for (const auto& client : clients) {
    for (std::string& topic : client->topics()) topics.insert(std::move(topic));
  }
  return {topics.begin(), topics.end()};
}

DebeziumRecord record_of(const rd_kafka_message_t& message) {
  DebeziumRecord record{
      .topic = rd_kafka_topic_name(message.rkt), .partition = message.partition, .offset = message.offset};
  record.key = {static_cast<const char*>(message.key), message.key_len};
  record.value = {static_cast<const char*>(message.payload), message.len};
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return record;
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; ++i) {
    record.headers.emplace_back(name, std::string_view(static_cast<const char*>(value), size));
  }
  return record;
}

}  // namespace

DebeziumGroup::DebeziumGroup(std::vector<Member> members, EventLog& log, DebeziumCaptureOptions options)
    : members_(std::move(members)), log_(log), options_(options) {
  for (const Member& member : members_) {
    Seen& seen = seen_.emplace_back();
    seen.status.client = member.config.client;
    seen.status.rows_per_second_max = member.config.rows_per_second;
    paces_.emplace_back(member.config.rows_per_second);
  }
}

void DebeziumGroup::start() {
  thread_ = std::thread([this] { run(); });
}

void DebeziumGroup::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool DebeziumGroup::wait_unless_stopping(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, time, [&] { return stopping_; });
}

void DebeziumGroup::run() {
  auto delay = options_.retry_first;
  while (true) {
    auto began = Clock::now();
    Status ended = session();
    reader_.reset();
    reading_.clear();
    clients_.clear();
    if (ended.ok()) return;  // told to stop
    show(retryable(ended.error().code) ? SourceMode::kBackingOff : SourceMode::kStopped, ended.error().message);
    if (Clock::now() - began > options_.retry_longest) delay = options_.retry_first;
    if (!wait_unless_stopping(delay)) return;
    delay = std::min(delay * 2, options_.retry_longest);
  }
}

// Everything anew from what the log has: whatever failed, no record is passed over.
Status DebeziumGroup::session() {
  failed_ = {};
  rows_.clear();
  {
    std::lock_guard lock(mutex_);
    rows_under_way_ = false;
  }
  waiting_rows_ = waiting_bytes_ = 0;
  RETURN_IF_ERROR(open_clients());
  ASSIGN_OR_RETURN(reader_, TopicReader::open(members_[0].target.with_password(members_[0].config.password)));
  topics_due_ = Clock::now();
  size_t records_wanted = records_at_once;
  for (const Pace& pace : paces_) records_wanted = pace.rows_at_once(records_wanted);
  auto flush_due = Clock::now() + options_.flush_interval;
  while (true) {
    bool marks = false;
    {
      std::lock_guard lock(mutex_);
      if (stopping_) break;
      marks = mark_wanted_ != mark_done_;
    }
    if (marks || Clock::now() >= topics_due_) RETURN_IF_ERROR(find_partitions());
    size_t count = reader_->poll(options_.flush_interval, records_wanted, [&](const rd_kafka_message_t& message) {
      if (failed_.ok()) failed_ = take(message);
    });
    if (!failed_.ok()) return failed_;
    bool full = waiting_rows_ >= options_.batch_rows_max || waiting_bytes_ >= options_.batch_bytes_max;
    if (!full && count == records_wanted && Clock::now() < flush_due) continue;
    RETURN_IF_ERROR(flush());
    keep_pace();
    RETURN_IF_ERROR(complete_rows());
    flush_due = Clock::now() + options_.flush_interval;
    show(SourceMode::kStreaming, reader_->trouble().empty() || count > 0 ? "" : reader_->trouble());
  }
  return flush();
}

Status DebeziumGroup::open_clients() {
  clients_.clear();
  for (const Member& member : members_) {
    ASSIGN_OR_RETURN(auto client, DebeziumClient::open(member.config, member.target, log_));
    clients_.push_back(std::move(client));
  }
  return {};
}

Status DebeziumGroup::find_partitions() {
  uint64_t wanted = 0;
  {
    std::lock_guard lock(mutex_);
    wanted = mark_wanted_;
  }
  ASSIGN_OR_RETURN(auto found, reader_->partitions(topics_of(clients_), options_.broker_limit));
  for (const auto& [key, offsets] : found) {
    if (!reading_.emplace(key, offsets).second) continue;
    int64_t from = INT64_MAX;
    for (const auto& client : clients_) {
      int64_t next = client->next_offset(key);
      // A partition that was never read begins with what there is.
      if (next == 0) client->skip_to(key, next = offsets.first);
      if (next < offsets.first || next > offsets.end) {
        client->stop(
            {fmt::format("{} partition {}: messages from offset {} on are wanted, and the brokers have those from "
                         "{} to {}: they were removed before they were read, or the topic was made anew",
                         key.topic, key.partition, next, offsets.first, offsets.end),
             fmt::format("let the connector take a snapshot, and run `tributary client FILE reset {}`",
                         client->config().client)});
        continue;
      }
      from = std::min(from, next);
    }
    if (from != INT64_MAX) RETURN_IF_ERROR(reader_->read_from(key, from));
  }
  topics_due_ = Clock::now() + options_.topics_interval;
  std::lock_guard lock(mutex_);
  if (wanted == mark_done_) return {};
  mark_done_ = wanted;
  mark_.clear();
  for (const auto& [key, offsets] : found) mark_[key] = offsets.end;
  return {};
}

Status DebeziumGroup::take(const rd_kafka_message_t& message) {
  if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    TopicPartitionKey key{rd_kafka_topic_name(message.rkt), message.partition};
    for (const auto& client : clients_) client->skip_to(key, message.offset);
    return {};
  }
  if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return kafka_error(message.err,
                       fmt::format("topic {}", message.rkt != nullptr ? rd_kafka_topic_name(message.rkt) : "?"));
  }
  DebeziumRecord record = record_of(message);
  waiting_rows_ = waiting_bytes_ = 0;
  for (const auto& client : clients_) {
    RETURN_IF_ERROR(client->take(record));
    waiting_rows_ += client->waiting_rows();
    waiting_bytes_ += client->waiting_bytes();
  }
  return {};
}

Status DebeziumGroup::flush() {
  std::vector<LogAppend> appends;
  std::vector<DebeziumClient*> of;
  for (const auto& client : clients_) {
    if (auto append = client->take_append()) {
      appends.push_back(*std::move(append));
      of.push_back(client.get());
    }
  }
  waiting_rows_ = waiting_bytes_ = 0;
  if (appends.empty()) return {};
  return append(appends, of);
}

Status DebeziumGroup::append(std::vector<LogAppend>& appends, std::vector<DebeziumClient*>& of) {
  Status whole = log_.append(appends);
  for (size_t i = 0; i < appends.size(); ++i) {
    Status status = whole;
    // One client's impossible batch does not hold up the others that shared the write with it.
    if (!whole.ok() && !retryable(whole.error().code)) status = log_.append(std::span(&appends[i], 1));
    if (!status.ok() && retryable(status.error().code)) return status;
    if (!status.ok()) {
      of[i]->stop({status.error().to_string(), ""});
      continue;
    }
    of[i]->appended();
    std::lock_guard lock(mutex_);
    auto seen = std::find_if(seen_.begin(), seen_.end(),
                             [&](const Seen& entry) { return entry.status.client == appends[i].client; });
    for (const EventBatch& batch : appends[i].batches) {
      seen->status.events_captured += batch.rows() + batch.ranges.size();
      paces_[static_cast<size_t>(seen - seen_.begin())].count(batch.rows(), Clock::now());
      seen->status.bytes_captured += batch.value_bytes();
    }
  }
  return {};
}

void DebeziumGroup::keep_pace() {
  constexpr std::chrono::milliseconds longest{1'000};
  while (true) {
    auto held = Clock::duration::zero();
    {
      std::lock_guard lock(mutex_);
      for (size_t i = 0; i < paces_.size(); ++i) {
        auto wait = paces_[i].wait_from(Clock::now());
        seen_[i].status.held = wait > Clock::duration::zero();
        held = std::max(held, wait);
      }
    }
    auto millis = std::chrono::ceil<std::chrono::milliseconds>(held);
    if (millis.count() <= 0 || !wait_unless_stopping(std::min(millis, longest))) return;
  }
}

void DebeziumGroup::read_again(const ClientId& client, const std::string& table,
                               const std::vector<std::string>& row_keys) {
  std::lock_guard lock(mutex_);
  bool ours = std::any_of(seen_.begin(), seen_.end(), [&](const Seen& seen) { return seen.status.client == client; });
  if (!ours || !options_.complete_row) return;
  for (const std::string& key : row_keys) {
    if (rows_wanted_.size() < rows_wanted_max) rows_wanted_.insert({client, table, key});
  }
}

Status DebeziumGroup::complete_rows() {
  if (Clock::now() < rows_due_) return {};
  rows_due_ = Clock::now() + options_.complete_interval;
  if (rows_.empty()) {
    {
      std::lock_guard lock(mutex_);
      rows_.assign(rows_wanted_.begin(), rows_wanted_.end());
      rows_wanted_.clear();
      rows_under_way_ = !rows_.empty();
    }
    if (rows_.empty()) return {};
    rows_log_.reset();
    rows_topics_.clear();
    ASSIGN_OR_RETURN(auto found, reader_->partitions(topics_of(clients_), options_.broker_limit));
    for (const auto& [key, offsets] : found) rows_topics_[key] = offsets.end;
  }
  if (!rows_log_) {
    for (const auto& client : clients_) {
      if (client->stopped()) continue;
      for (const auto& [key, end] : rows_topics_) {
        if (client->durable_offset(key) < end) return {};
      }
    }
    rows_log_ = log_.ends();
  }
  if (!options_.processed(*rows_log_)) return {};
  std::vector<LogAppend> appends;
  for (const Row& row : rows_) {
    ASSIGN_OR_RETURN(std::optional<EventBatch> whole, options_.complete_row(row.client, row.table, row.key));
    if (!whole) continue;
    LogAppend& append = appends.emplace_back();
    append.client = row.client;
    append.batches.push_back(*std::move(whole));
  }
  rows_.clear();
  Status appended = appends.empty() ? Status() : log_.append(appends);
  std::lock_guard lock(mutex_);
  rows_under_way_ = false;
  return appended;
}

void DebeziumGroup::show(SourceMode mode, const std::string& reason) {
  std::lock_guard lock(mutex_);
  for (Seen& seen : seen_) {
    seen.status.mode = mode;
    seen.status.reason = reason;
    seen.status.remedy.clear();
    seen.stopped = mode == SourceMode::kStopped;
  }
  for (const auto& client : clients_) {
    auto found = std::find_if(seen_.begin(), seen_.end(),
                              [&](const Seen& entry) { return entry.status.client == client->config().client; });
    Seen& seen = *found;
    if (const auto& stopped = client->stopped()) {
      seen.status.mode = SourceMode::kStopped;
      seen.status.reason = stopped->reason;
      seen.status.remedy = stopped->remedy;
      seen.stopped = true;
    } else if (mode == SourceMode::kStreaming && client->in_snapshot()) {
      seen.status.mode = SourceMode::kSnapshot;
    }
    if (reading_.empty() && mode == SourceMode::kStreaming && !seen.stopped) {
      seen.status.mode = SourceMode::kConnecting;
      seen.status.reason = fmt::format("there is no topic {} and the like yet", client->topics()[0]);
    }
    seen.status.warnings = client->warnings();
    seen.status.durable = client->durable_position();
    seen.status.last_commit_micros = client->last_commit_micros();
    seen.durable.clear();
    uint64_t behind = 0;
    for (const auto& [key, offsets] : reading_) {
      int64_t durable = seen.durable[key] = client->durable_offset(key);
      int64_t end = reader_->known_end(key).value_or(offsets.end);
      if (end > durable) behind += static_cast<uint64_t>(end - durable);
    }
    if (!reading_.empty()) seen.status.lag_messages = behind;
  }
}

std::vector<SourceStatus> DebeziumGroup::status() const {
  std::lock_guard lock(mutex_);
  std::vector<SourceStatus> all;
  for (const Seen& seen : seen_) all.push_back(seen.status);
  return all;
}

void DebeziumGroup::mark_heads() {
  std::lock_guard lock(mutex_);
  ++mark_wanted_;
}

bool DebeziumGroup::caught_up(const ClientId* client) const {
  std::lock_guard lock(mutex_);
  if (rows_under_way_ || !rows_wanted_.empty()) return false;
  for (const Seen& seen : seen_) {
    if (client != nullptr && seen.status.client != *client) continue;
    if (seen.stopped) continue;
    if (mark_done_ != mark_wanted_) return false;
    for (const auto& [key, end] : mark_) {
      auto durable = seen.durable.find(key);
      if (durable == seen.durable.end() || durable->second < end) return false;
    }
  }
  return true;
}

}  // namespace tributary
