#include "log/kafka/kafka_log.h"

#include <algorithm>
#include <random>

#include "contracts/source_epoch.h"
#include "log/kafka/kafka_reader.h"

namespace tributary {
namespace {

constexpr std::chrono::seconds read_back_limit{8};
constexpr std::chrono::seconds schema_limit{5};  // a schema is written before its first event: it is on its way
constexpr std::chrono::seconds open_limit{10};  // for brokers that are slow to answer at all
constexpr int request_milliseconds = 10'000;
constexpr int tries_max = 100;  // of claims that others were faster with

std::string random_name() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

KafkaTopicShape shape_of(const KafkaLogOptions& options) {
  KafkaTopicShape shape = options.shape;
  shape.partitions = options.partitioning.partitions;
  shape.nodes = options.board;
  return shape;
}

// Of topics with so many partitions; empty ones are left out.
rd_kafka_resp_err_t query_ends(const KafkaClient& client, const std::map<std::string, uint32_t>& topics,
                               std::map<TopicPartition, Offset>& ends) {
  ends.clear();
  KafkaPartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(topics.size())));
  for (const auto& [name, partitions] : topics) {
    for (uint32_t partition = 0; partition < partitions; ++partition) {
      rd_kafka_topic_partition_list_add(list.get(), name.c_str(), static_cast<int32_t>(partition))->offset =
          RD_KAFKA_OFFSET_END;
    }
  }
  auto code = rd_kafka_offsets_for_times(client.handle(), list.get(), request_milliseconds);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return code;
  for (int i = 0; i < list->cnt; ++i) {
    const rd_kafka_topic_partition_t& entry = list->elems[i];
    if (entry.err != RD_KAFKA_RESP_ERR_NO_ERROR) return entry.err;
    TopicPartition at{entry.topic, PartitionId{static_cast<uint32_t>(entry.partition)}};
    if (entry.offset > 0) ends[std::move(at)] = Offset{static_cast<uint64_t>(entry.offset)};
  }
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

Result<std::map<TopicPartition, Offset>> ends_by_brokers(const KafkaClient& client,
                                                         const std::map<std::string, uint32_t>& topics) {
  std::map<TopicPartition, Offset> ends;
  auto code = ask_leaders([&] { return query_ends(client, topics, ends); });
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return kafka_error(code, "asking where the topics end");
  return ends;
}

// Events in topics whose state topic was deleted, or was made again: the versions of tables that they were written under are
// gone, and capture would begin as if there was no event.
Status refuse_lost_state(KafkaClient& client, const KafkaTopics& topics) {
  std::vector<std::string> names = topics.names();
  names.push_back(topics.state());
  ASSIGN_OR_RETURN(auto there, topics_there(client, names));
  if (there.empty()) return {};
  ASSIGN_OR_RETURN(auto ends, ends_by_brokers(client, there));
  if (ends.empty() || ends.contains({topics.state(), PartitionId{0}})) return {};
  return Error{
      ErrorCode::kAlreadyExists,
      fmt::format(
          "kafka: topic {} {}, and topic {} was written to: without the former nobody knows what was captured, and "
          "under which versions of tables. Put it back from a copy; or begin anew: delete the pipeline's "
          "topics or name others by `log: topics`, and give the pipeline another data folder",
          topics.state(), there.contains(topics.state()) ? "is empty" : "is gone", ends.begin()->first.topic)};
}

}  // namespace

KafkaLog::KafkaLog(KafkaLogOptions options)
    : options_(std::move(options)),
      topics_(options_.pipeline, options_.topics, options_.domains, options_.shape.compact),
      writer_(random_name()),
      producer_(options_.brokers, options_.blocks ? "none" : options_.compression) {}  // blocks are compressed
KafkaLog::~KafkaLog() = default;

Result<std::unique_ptr<KafkaLog>> KafkaLog::open(KafkaLogOptions options) {
  std::unique_ptr<KafkaLog> log(new KafkaLog(std::move(options)));
  ASSIGN_OR_RETURN(log->admin_, KafkaClient::make(RD_KAFKA_CONSUMER, log->options_.brokers, {}));
  RETURN_IF_ERROR(log->admin_->reach(open_limit));
  RETURN_IF_ERROR(refuse_lost_state(*log->admin_, log->topics_));
  RETURN_IF_ERROR(ensure_topics(*log->admin_, log->topics_, shape_of(log->options_)));
  AppendLedger* ledger = log->options_.lag ? &log->ledger_ : nullptr;
  ASSIGN_OR_RETURN(log->state_, StateFollower::open(log->options_.brokers, log->topics_.state(), ledger));
  RETURN_IF_ERROR(log->remember_topics());
  RETURN_IF_ERROR(log->find_ends());
  if (log->options_.board) {
    ASSIGN_OR_RETURN(log->board_, NodeBoard::open(log->options_.brokers, log->topics_.nodes()));
  }
  return log;
}

std::vector<std::string> KafkaLog::troubles(const KafkaLogOptions& options) {
  auto ask = [&]() -> Result<std::vector<std::string>> {
    ASSIGN_OR_RETURN(auto client, KafkaClient::make(RD_KAFKA_CONSUMER, options.brokers, {}));
    RETURN_IF_ERROR(client->reach(open_limit));
    KafkaTopics topics(options.pipeline, options.topics, options.domains, options.shape.compact);
    RETURN_IF_ERROR(refuse_lost_state(*client, topics));
    return topic_differences(*client, topics, shape_of(options));
  };
  Result<std::vector<std::string>> found = ask();
  return found.ok() ? std::move(*found) : std::vector<std::string>{found.error().message};
}

// Events of these topics may wait there when the pipeline file names others.
Status KafkaLog::remember_topics() {
  std::map<std::string, std::string> known = state_->topics();
  topics_.note_earlier(known);
  std::lock_guard lock(write_mutex_);
  RETURN_IF_ERROR(producer_.begin());
  for (const std::string& name : topics_.names()) {
    std::string& domain = known[name];
    if (domain == *topics_.domain_of(name)) continue;
    domain = *topics_.domain_of(name);
    RETURN_IF_ERROR(send_state({.kind = StateRecordKind::kTopic, .client = {}, .writer = {}, .name = name}, domain));
  }
  return finish_state();
}

// Where all partitions end by the brokers: appends tell it from now on. Also those of topics that the pipeline file named earlier.
Status KafkaLog::find_ends() {
  std::vector<std::string> names;
  for (const auto& [name, domain] : state_->topics()) names.push_back(name);
  ASSIGN_OR_RETURN(auto there, topics_there(*admin_, names));
  for (const std::string& name : names) {
    if (!there.contains(name)) state_->forget_ends(name);
  }
  ASSIGN_OR_RETURN(auto ends, ends_by_brokers(*admin_, there));
  state_->set_ends(ends);
  return {};
}

// ---- leases and schemas ----

// Under write_mutex_.
Status KafkaLog::take_lease(const ClientId& client) {
  leases_.erase(client);
  for (int i = 0; i < tries_max; ++i) {
    StateRecordKey lease{.kind = StateRecordKind::kLease, .client = client.value, .writer = writer_, .name = {}};
    lease.number = state_->client(client).lease + 1;
    RETURN_IF_ERROR(producer_.begin());
    RETURN_IF_ERROR(send_state(lease, "1"));
    RETURN_IF_ERROR(finish_state());
    StateFold::Client now = state_->client(client);
    if (now.lease != lease.number || now.owner != writer_) continue;  // another one was faster
    // All that is known goes under our lease, so that compaction of what is void takes nothing away.
    RETURN_IF_ERROR(producer_.begin());
    StateRecordKey all{.kind = StateRecordKind::kSource, .client = client.value, .writer = {}, .name = {}};
    all.number = lease.number;
    RETURN_IF_ERROR(send_state(all, SourceRecordValue{{}, encode_entries(now.entries)}.encode()));
    RETURN_IF_ERROR(finish_state());
    RETURN_IF_ERROR(producer_.begin());
    for (const std::string& key : now.outdated) {
      RETURN_IF_ERROR(producer_.send(producer_.destination({topics_.state(), PartitionId{0}}), {key, std::nullopt}));
    }
    RETURN_IF_ERROR(finish_state());
    state_->forget_outdated(client);
    leases_[client] = lease.number;
    return {};
  }
  return Error{ErrorCode::kUnavailable, fmt::format("kafka: other nodes keep taking client {} over", client)};
}

Result<std::vector<ClientId>> KafkaLog::known_clients() { return state_->clients(); }

Result<SourceState> KafkaLog::source_state(const ClientId& client) {
  std::lock_guard lock(write_mutex_);
  RETURN_IF_ERROR(take_lease(client));
  lost_.erase(client);
  return state_->client(client).entries;
}

Result<SourceState> KafkaLog::peek_source_state(const ClientId& client) { return state_->client(client).entries; }

Result<SchemaPtr> KafkaLog::register_schema(const ClientId& client, const TableSchema& schema) {
  CHECK(!schema.key_columns.empty(), "{} has no key", schema.table);
  std::lock_guard lock(write_mutex_);
  for (int i = 0; i < tries_max; ++i) {
    StateFold::Client known = state_->client(client);
    const std::vector<SchemaPtr>& versions = known.schemas[schema.table];
    if (!versions.empty() && versions.back()->same_content(schema)) return versions.back();
    TableSchema registered = schema;
    registered.version = static_cast<uint32_t>(versions.size() + 1);
    StateRecordKey key{.kind = StateRecordKind::kSchema,
                       .client = client.value,
                       .number = registered.version,
                       .writer = writer_,
                       .name = schema.table};
    RETURN_IF_ERROR(producer_.begin());
    RETURN_IF_ERROR(send_state(key, registered.encode()));
    RETURN_IF_ERROR(finish_state());
  }
  return Error{ErrorCode::kUnavailable,
               fmt::format("kafka: other nodes keep changing {} of client {}", schema.table, client)};
}

Result<SchemaPtr> KafkaLog::schema(const ClientId& client, const std::string& table, uint32_t version) {
  auto find = [&]() -> SchemaPtr {
    StateFold::Client known = state_->client(client);
    const std::vector<SchemaPtr>& versions = known.schemas[table];
    return version >= 1 && version <= versions.size() ? versions[version - 1] : nullptr;
  };
  if (SchemaPtr found = find()) return found;
  RETURN_IF_ERROR(state_->wait_newest(schema_limit));
  if (SchemaPtr found = find()) return found;
  return Error{ErrorCode::kNotFound,
               fmt::format("kafka: no version {} of table {} of client {} is registered", version, table, client)};
}

Result<std::vector<SchemaPtr>> KafkaLog::newest_schemas(const ClientId& client) {
  std::vector<SchemaPtr> newest;
  for (const auto& [table, versions] : state_->client(client).schemas) {
    if (!versions.empty()) newest.push_back(versions.back());
  }
  return newest;
}

// ---- reading ----

std::map<TopicPartition, Offset> KafkaLog::ends() {
  look_for_new_lives();
  return state_->ends();
}

// An end that was told below the known one is an older append of another node's, or the topic was deleted and made again: the
// brokers know.
void KafkaLog::look_for_new_lives() {
  constexpr std::chrono::seconds look{1};
  {
    std::lock_guard lock(problems_mutex_);
    if (std::chrono::steady_clock::now() < lives_due_) return;
    lives_due_ = std::chrono::steady_clock::now() + look;
  }
  for (const auto& [at, known] : state_->take_suspects()) {
    auto found = first_and_end(at);
    if (!found.ok()) state_->suspect(at);
    bool anew = found.ok() && found->second < known;
    if (!anew || !state_->lower_end(at, known, found->second)) continue;
    std::lock_guard lock(problems_mutex_);
    if (lives_[at]++ == 0) {
      made_anew_.push_back(fmt::format(
          "topic {} partition {} was deleted and made again: events of it that were not processed by then are "
          "lost, and `tributary client FILE reset CLIENT` reads a client's tables again",
          at.topic, at.partition));
    }
  }
}

uint64_t KafkaLog::life(const TopicPartition& partition) {
  std::lock_guard lock(problems_mutex_);
  auto found = lives_.find(partition);
  return found == lives_.end() ? 0 : found->second;
}

// Events that were to be read from `wanted` on are gone. Whether all clients that may have had some are read again since, in a
// new epoch: then the rest may be read.
bool KafkaLog::is_read_again(const TopicPartition& at, Offset wanted, Offset first) {
  std::map<ClientId, uint32_t> epochs;
  for (const auto& [client, database] : options_.databases) {
    if (!may_hold(client, at)) continue;
    epochs[client] = source_epoch(state_->client(client).entries);
  }
  std::lock_guard lock(problems_mutex_);
  auto [known, fresh] = losses_.try_emplace(at, Loss{first, epochs});
  if (fresh) return false;
  if (wanted >= known->second.first) {  // another one
    known->second = {first, std::move(epochs)};
    return false;
  }
  return std::all_of(epochs.begin(), epochs.end(), [&](const auto& now) {
    auto then = known->second.epochs.find(now.first);
    return then == known->second.epochs.end() || now.second > then->second;
  });
}

LogLag KafkaLog::lag(const std::map<TopicPartition, Offset>& from) {
  return ledger_.lag(state_->ends(), from, state_->clients(),
                     [this](const ClientId& client, const TopicPartition& at) { return may_hold(client, at); });
}

// Events of the client. Those in topics of earlier names are put there as the file was then.
bool KafkaLog::may_hold(const ClientId& client, const TopicPartition& at) const {
  const std::string* domain = topics_.domain_of(at.topic);
  if (domain == nullptr) return true;
  std::vector<PartitionId> subset = client_partitions(options_.partitioning, client.value, *domain);
  return std::find(subset.begin(), subset.end(), at.partition) != subset.end();
}

Result<Offset> KafkaLog::first_offset(const TopicPartition& partition) {
  ASSIGN_OR_RETURN(auto found, first_and_end(partition));
  return found.first;
}

Result<std::pair<Offset, Offset>> KafkaLog::first_and_end(const TopicPartition& partition) {
  int64_t low = 0;
  int64_t high = 0;
  auto code = rd_kafka_query_watermark_offsets(admin_->handle(), partition.topic.c_str(),
                                               static_cast<int32_t>(partition.partition.value), &low, &high,
                                               request_milliseconds);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return kafka_error(code, "topic " + partition.topic);
  return std::pair(Offset{static_cast<uint64_t>(low)}, Offset{static_cast<uint64_t>(high)});
}

std::unique_ptr<LogReader> KafkaLog::open_reader() {
  return std::make_unique<KafkaReader>(
      KafkaReader::Ports{.brokers = options_.brokers,
                         .topics = topics_,
                         .schema = [this](const ClientId& client, const std::string& table,
                                          uint32_t version) { return schema(client, table, version); },
                         .skipped = [this](const TopicPartition& at, Offset offset,
                                           const std::string& why) { note_skipped(at, offset, why); },
                         .is_read_again = [this](const TopicPartition& at, Offset wanted,
                                                 Offset first) { return is_read_again(at, wanted, first); }});
}

Result<std::shared_ptr<const EventBatch>> KafkaLog::events_of(const LogBlock& block) {
  CHECK(block.decoded != nullptr);
  return block.decoded;
}

Status KafkaLog::catch_up() { return state_->wait_newest(read_back_limit); }

uint64_t KafkaLog::append_generation() { return state_->generation(); }

void KafkaLog::wait_for_append(uint64_t known_generation, std::chrono::milliseconds limit) {
  state_->wait_for_append(known_generation, limit);
}

Status KafkaLog::trim_before(const TopicPartition& partition, Offset /*offset*/) {
  return Error{ErrorCode::kUnsupported,
               fmt::format("kafka: topic {} is trimmed by its retention.ms alone", partition.topic)};
}

void KafkaLog::note_skipped(const TopicPartition& at, Offset offset, const std::string& why) {
  std::lock_guard lock(problems_mutex_);
  if (skipped_++ == 0) {
    skipped_first_ = fmt::format("topic {} partition {} offset {}: {}", at.topic, at.partition, offset, why);
  }
}

std::vector<std::string> KafkaLog::problems() const {
  std::vector<std::string> problems;
  if (std::string problem = state_->problem(); !problem.empty()) problems.push_back(std::move(problem));
  std::lock_guard lock(problems_mutex_);
  problems.insert(problems.end(), made_anew_.begin(), made_anew_.end());
  if (skipped_ > 0) {
    problems.push_back(fmt::format("{} records in the log are no events of ours and were passed over; the first is {}",
                                   skipped_, skipped_first_));
  }
  return problems;
}

}  // namespace tributary
