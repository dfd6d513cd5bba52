#include "app/source_choice.h"

#include <algorithm>

#include "capture/postgres/describe_tables.h"
#include "capture/postgres/server_check.h"

namespace tributary {
namespace {

bool is_debezium(const CaptureClient& client) { return client.url.starts_with("debezium+kafka://"); }

// Several captures as one. Who does not know a client passes over it.
class SourceSet final : public ChangeSource {
 public:
  explicit SourceSet(std::vector<std::unique_ptr<ChangeSource>> sources) : sources_(std::move(sources)) {}

  Status start() override {
    for (auto& source : sources_) RETURN_IF_ERROR(source->start());
    return {};
  }
  void stop() override {
    for (auto& source : sources_) source->stop();
  }
  std::vector<SourceStatus> status() override {
    std::vector<SourceStatus> all;
    for (auto& source : sources_) {
      for (SourceStatus& status : source->status()) all.push_back(std::move(status));
    }
    return all;
  }
  void mark_heads() override {
    for (auto& source : sources_) source->mark_heads();
  }
  bool caught_up() override {
    return std::all_of(sources_.begin(), sources_.end(), [](auto& source) { return source->caught_up(); });
  }
  bool caught_up(const ClientId& client) override {
    return std::all_of(sources_.begin(), sources_.end(), [&](auto& source) { return source->caught_up(client); });
  }
  void read_again(const ClientId& client, const std::string& table, std::vector<std::string> row_keys) override {
    for (auto& source : sources_) source->read_again(client, table, row_keys);
  }
  bool begin_session_again(const ClientId& client) override {
    return std::any_of(sources_.begin(), sources_.end(),
                       [&](auto& source) { return source->begin_session_again(client); });
  }

 private:
  std::vector<std::unique_ptr<ChangeSource>> sources_;
};

}  // namespace

std::unique_ptr<ChangeSource> make_source(std::vector<CaptureClient> clients, EventLog& log,
                                          PostgresCaptureOptions options, LeaseOptions lease,
                                          DebeziumCaptureOptions of_connectors) {
  auto native = std::stable_partition(clients.begin(), clients.end(), is_debezium);
  std::vector<CaptureClient> of_debezium(std::make_move_iterator(clients.begin()), std::make_move_iterator(native));
  clients.erase(clients.begin(), native);
  if (of_debezium.empty()) return make_postgres_source(std::move(clients), log, std::move(options), std::move(lease));
  std::vector<std::unique_ptr<ChangeSource>> sources;
  if (!clients.empty())
    sources.push_back(make_postgres_source(std::move(clients), log, std::move(options), std::move(lease)));
  sources.push_back(make_debezium_source(std::move(of_debezium), log, std::move(of_connectors)));
  return std::make_unique<SourceSet>(std::move(sources));
}

Result<std::vector<TableLook>> describe_source(const CaptureClient& client, std::chrono::milliseconds limit) {
  return is_debezium(client) ? describe_debezium_tables(client, limit) : describe_tables(client, limit);
}

std::string source_trouble(const CaptureClient& client, std::chrono::milliseconds limit, bool& away) {
  if (is_debezium(client)) return "";  // describe_source() has said all that there is to say
  Trouble trouble = look_at_source(client, limit);
  if (trouble.kind == Trouble::Kind::kNone) return "";
  away = trouble.kind != Trouble::Kind::kStop;
  return trouble.remedy.empty() ? trouble.reason : trouble.reason + "; what to do: " + trouble.remedy;
}

}  // namespace tributary
