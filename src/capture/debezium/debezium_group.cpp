#include "capture/debezium/debezium_group.h"

#include <fmt/format.h>

#include <algorithm>

namespace tributary {
namespace {

constexpr size_t records_at_once = 4096;
constexpr size_t rows_wanted_max = 10'000;

DebeziumRecord record_of(const rd_kafka_message_t& message) {
  DebeziumRecord record{
      .topic = rd_kafka_topic_name(message.rkt), .partition = message.partition, .offset = message.offset};
  record.key = {static_cast<const char*>(message.key), message.key_len};
  record.value = {static_cast<const char*>(message.payload), message.len};
  record.fingerprint = debezium_fingerprint(record.key, record.value);
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
    : members_(std::move(members)), log_(log), options_(options), clients_(members_.size()), queue_(log) {
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
  queue_.start();
  auto delay = options_.retry_first;
  while (true) {
    auto began = Clock::now();
    Status ended = session();
    reader_.reset();
    reading_.clear();
    if (ended.ok()) break;  // told to stop
    show(retryable(ended.error().code) ? SourceMode::kBackingOff : SourceMode::kStopped, ended.error().message);
    if (Clock::now() - began > options_.retry_longest) delay = options_.retry_first;
    if (!wait_unless_stopping(delay)) break;
    delay = std::min(delay * 2, options_.retry_longest);
  }
  queue_.stop();
}

// With a reader of its own, from where each client is: whatever failed, no record is passed over.
Status DebeziumGroup::session() {
  failed_ = {};
  {
    std::lock_guard lock(mutex_);
    rows_wanted_.insert(rows_.begin(), rows_.end());
    rows_under_way_ = false;
  }
  rows_.clear();
  size_t records_wanted = records_at_once;
  for (const Pace& pace : paces_) records_wanted = pace.rows_at_once(records_wanted);
  bool paced = records_wanted < records_at_once;
  auto flush_due = Clock::now() + options_.flush_interval;
  while (true) {
    bool marks = false;
    {
      std::lock_guard lock(mutex_);
      if (stopping_) break;
      marks = mark_wanted_ != mark_done_;
    }
    open_clients();
    bool back = std::any_of(clients_.begin(), clients_.end(),
                            [&](const Reading& reading) { return reading.behind && !waits(reading); });
    if (back || reader_ == nullptr) RETURN_IF_ERROR(read_from_where_each_is());
    if (marks || Clock::now() >= topics_due_) RETURN_IF_ERROR(find_partitions());
    size_t count = reader_->poll(options_.flush_interval, records_wanted, [&](const rd_kafka_message_t& message) {
      if (failed_.ok()) failed_ = take(message);
    });
    if (!failed_.ok()) return failed_;
    bool full = waiting_rows_ >= options_.batch_rows_max || waiting_bytes_ >= options_.batch_bytes_max;
    if (!full && !paced && count == records_wanted && Clock::now() < flush_due) continue;
    flush();
    RETURN_IF_ERROR(complete_rows());
    show(SourceMode::kStreaming, reader_->trouble().empty() || count > 0 ? "" : reader_->trouble());
    keep_pace();
    flush_due = Clock::now() + options_.flush_interval;
  }
  flush();
  return {};
}

// Those that are not, from what the log has of them. A log that answers nobody is not asked for each of them in turn.
void DebeziumGroup::open_clients() {
  constexpr std::chrono::seconds answer_limit{1};
  std::set<ClientId> again;
  {
    std::lock_guard lock(mutex_);
    again.swap(begin_again_);
  }
  for (size_t i = 0; i < clients_.size(); ++i) {
    Reading& reading = clients_[i];
    if (again.contains(members_[i].config.client)) reading.begin_again = true;
    if (reading.under_way) continue;
    if (std::exchange(reading.begin_again, false)) {
      reading.client.reset();
      reading.due = {};
    }
    auto began = Clock::now();
    if (reading.client != nullptr || began < reading.due) continue;
    auto client = DebeziumClient::open(members_[i].config, members_[i].target, log_);
    reading.behind = true;
    if (client.ok()) {
      reading.client = *std::move(client);
    } else {
      fail(reading, client.error());
      if (Clock::now() - began > answer_limit) return;
    }
  }
}

void DebeziumGroup::fail(Reading& reading, const Error& error) {
  bool passes = retryable(error.code) || error.code == ErrorCode::kInvalidInput ||
                error.code == ErrorCode::kPermissionDenied || error.code == ErrorCode::kAlreadyExists;
  reading.client.reset();
  reading.mode = passes ? SourceMode::kBackingOff : SourceMode::kStopped;
  reading.trouble = error.to_string();
  reading.delay = std::clamp(reading.delay * 2, options_.retry_first, options_.retry_longest);
  reading.due = Clock::now() + reading.delay;
}

Status DebeziumGroup::read_from_where_each_is() {
  reading_.clear();
  reader_.reset();
  ASSIGN_OR_RETURN(reader_, TopicReader::open(members_[0].target.with_password(members_[0].config.password)));
  for (Reading& reading : clients_) reading.behind = waits(reading);
  topics_due_ = Clock::now();
  return {};
}

std::vector<std::string> DebeziumGroup::topics() const {
  std::set<std::string> topics;
  for (const Member& member : members_) {
    for (const CapturedTable& table : member.config.tables) topics.insert(member.target.prefix + "." + table.table);
  }
  return {topics.begin(), topics.end()};
}

Status DebeziumGroup::find_partitions() {
  uint64_t wanted = 0;
  {
    std::lock_guard lock(mutex_);
    wanted = mark_wanted_;
  }
  ASSIGN_OR_RETURN(auto found, reader_->partitions(topics(), options_.broker_limit));
  for (const auto& [key, offsets] : found) {
    if (!reading_.emplace(key, offsets).second) continue;
    int64_t from = INT64_MAX;
    for (const Reading& reading : clients_) {
      if (waits(reading) || reading.behind) continue;
      reading.client->find(key, offsets.first, offsets.end);
      if (!reading.client->stopped()) from = std::min(from, std::max(offsets.first, reading.client->begin_offset(key)));
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
    for (const Reading& reading : clients_) {
      if (!waits(reading) && !reading.behind) reading.client->skip_to(key, message.offset);
    }
    return {};
  }
  if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return kafka_error(message.err,
                       fmt::format("topic {}", message.rkt != nullptr ? rd_kafka_topic_name(message.rkt) : "?"));
  }
  DebeziumRecord record = record_of(message);
  waiting_rows_ = waiting_bytes_ = 0;
  for (Reading& reading : clients_) {
    if (waits(reading)) reading.behind = true;
    if (reading.behind) continue;
    if (Status taken = reading.client->take(record); !taken.ok()) {
      fail(reading, taken.error());
      reading.behind = true;
      continue;
    }
    reading.behind = reading.client->goes_back();
    waiting_rows_ += reading.client->waiting_rows();
    waiting_bytes_ += reading.client->waiting_bytes();
  }
  return {};
}

void DebeziumGroup::flush() {
  std::vector<AppendQueue::Job> jobs;
  for (size_t i = 0; i < clients_.size(); ++i) {
    Reading& reading = clients_[i];
    if (waits(reading)) continue;
    auto append = reading.client->take_append();
    if (append) jobs.push_back(begin_append(i, *std::move(append), true));
  }
  waiting_rows_ = waiting_bytes_ = 0;
  queue_.add(std::move(jobs));
  settle();
}

AppendQueue::Job DebeziumGroup::begin_append(size_t member, LogAppend append, bool reaches) {
  Reading& reading = clients_[member];
  reading.under_way = true;
  reading.reaches = reaches;
  reading.rows = reading.events = reading.bytes = 0;
  for (const EventBatch& batch : append.batches) {
    reading.rows += batch.rows();
    reading.events += batch.rows() + batch.ranges.size();
    reading.bytes += batch.value_bytes();
  }
  auto done = [this, member](const Status& status) {
    std::lock_guard lock(mutex_);
    clients_[member].settled = status;
    wake_.notify_all();
  };
  return {std::move(append), reading.bytes, nullptr, std::move(done)};
}

// Waits for what is under way, but for nobody of whom the log takes nothing at the moment.
void DebeziumGroup::settle() {
  constexpr std::chrono::milliseconds look{20};
  while (true) {
    bool wait = false;
    for (size_t i = 0; i < clients_.size(); ++i) {
      Reading& reading = clients_[i];
      std::optional<Status> settled;
      {
        std::lock_guard lock(mutex_);
        settled = std::exchange(reading.settled, std::nullopt);
      }
      if (settled) {
        settle(i, *settled);
      } else if (reading.under_way) {
        reading.trouble = queue_.trouble(members_[i].config.client);
        reading.mode = SourceMode::kBackingOff;
        wait = wait || reading.trouble.empty();
      }
    }
    if (!wait) return;
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, look, [&] {
      return std::any_of(clients_.begin(), clients_.end(), [](const Reading& reading) { return reading.settled; });
    });
  }
}

void DebeziumGroup::settle(size_t member, const Status& status) {
  Reading& reading = clients_[member];
  reading.under_way = false;
  if (!status.ok()) {
    fail(reading, status.error());
    reading.behind = true;
    return;
  }
  reading.trouble.clear();
  reading.delay = {};
  if (reading.reaches) reading.client->appended();
  std::lock_guard lock(mutex_);
  paces_[member].count(reading.rows, Clock::now());
  seen_[member].status.events_captured += reading.events;
  seen_[member].status.bytes_captured += reading.bytes;
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

DebeziumGroup::Reading* DebeziumGroup::reading_of(const ClientId& client) {
  for (size_t i = 0; i < members_.size(); ++i) {
    if (members_[i].config.client == client) return &clients_[i];
  }
  return nullptr;
}

// Of clients that the log takes; the others' rows wait.
Status DebeziumGroup::complete_rows() {
  if (Clock::now() < rows_due_) return {};
  rows_due_ = Clock::now() + options_.complete_interval;
  if (rows_.empty()) {
    {
      std::lock_guard lock(mutex_);
      for (auto row = rows_wanted_.begin(); row != rows_wanted_.end();) {
        const Reading* reading = reading_of(row->client);
        bool now = reading != nullptr && !waits(*reading) && !reading->behind;
        if (now) rows_.push_back(*row);
        row = now ? rows_wanted_.erase(row) : std::next(row);
      }
      rows_under_way_ = !rows_.empty();
    }
    if (rows_.empty()) return {};
    rows_log_.reset();
    rows_topics_.clear();
    ASSIGN_OR_RETURN(auto found, reader_->partitions(topics(), options_.broker_limit));
    for (const auto& [key, offsets] : found) rows_topics_[key] = offsets.end;
  }
  if (!rows_log_) {
    for (const Reading& reading : clients_) {
      if (waits(reading) || reading.behind || reading.client->stopped()) continue;
      for (const auto& [key, end] : rows_topics_) {
        if (reading.client->durable_offset(key) < end) return {};
      }
    }
    rows_log_ = log_.ends();
  }
  if (!options_.processed(*rows_log_)) return {};
  std::map<size_t, LogAppend> appends;
  for (const Row& row : rows_) {
    const Reading* reading = reading_of(row.client);
    if (waits(*reading) || reading->behind) continue;
    ASSIGN_OR_RETURN(std::optional<EventBatch> whole, options_.complete_row(row.client, row.table, row.key));
    if (!whole) continue;
    LogAppend& append = appends[static_cast<size_t>(reading - clients_.data())];
    append.client = row.client;
    append.batches.push_back(*std::move(whole));
  }
  std::vector<AppendQueue::Job> jobs;
  for (auto& [member, append] : appends) jobs.push_back(begin_append(member, std::move(append), false));
  queue_.add(std::move(jobs));
  settle();
  std::lock_guard lock(mutex_);
  for (Row& row : rows_) {
    const Reading* reading = reading_of(row.client);
    if (waits(*reading) || reading->behind) rows_wanted_.insert(std::move(row));
  }
  rows_.clear();
  rows_under_way_ = false;
  return {};
}

void DebeziumGroup::show(SourceMode mode, const std::string& reason) {
  std::lock_guard lock(mutex_);
  for (size_t i = 0; i < clients_.size(); ++i) {
    Reading& reading = clients_[i];
    Seen& seen = seen_[i];
    seen.status.mode = mode;
    seen.status.reason = reason;
    seen.status.remedy.clear();
    if (mode == SourceMode::kStreaming && !reading.trouble.empty()) {
      seen.status.mode = reading.mode;
      seen.status.reason = reading.trouble;
    }
    seen.stopped = seen.status.mode == SourceMode::kStopped;
    if (reading.client == nullptr) continue;
    const DebeziumClient& client = *reading.client;
    if (const auto& stopped = client.stopped()) {
      seen.status.mode = SourceMode::kStopped;
      seen.status.reason = stopped->reason;
      seen.status.remedy = stopped->remedy;
      seen.stopped = true;
    } else if (seen.status.mode == SourceMode::kStreaming && client.in_snapshot()) {
      seen.status.mode = SourceMode::kSnapshot;
    }
    if (reading_.empty() && seen.status.mode == SourceMode::kStreaming) {
      seen.status.mode = SourceMode::kConnecting;
      seen.status.reason =
          fmt::format("there is no topic {} and the like yet, or its user may not see it", client.topics()[0]);
    }
    seen.status.warnings = client.warnings();
    seen.status.durable = client.durable_position();
    seen.status.last_commit_micros = client.last_commit_micros();
    if (reading_.empty()) continue;  // what was seen last
    seen.durable.clear();
    uint64_t behind = 0;
    for (const auto& [key, offsets] : reading_) {
      int64_t durable = seen.durable[key] = client.durable_offset(key);
      int64_t end = reader_->known_end(key).value_or(offsets.end);
      if (end > durable) behind += static_cast<uint64_t>(end - durable);
    }
    seen.status.lag_messages = behind;
    if (behind == 0 && !reading.behind && !reading.under_way) reading.trouble.clear();  // it goes on
  }
}

bool DebeziumGroup::begin_again(const ClientId& client) {
  std::lock_guard lock(mutex_);
  bool ours = std::any_of(seen_.begin(), seen_.end(), [&](const Seen& seen) { return seen.status.client == client; });
  if (ours) begin_again_.insert(client);
  return ours;
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
