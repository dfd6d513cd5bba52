#include "sim_pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "log/embedded/embedded_log.h"
#include "process/plan_text.h"
#include "runtime/following_raw.h"
#include "runtime/outbox_sender.h"
#include "runtime/round_runner.h"
#include "runtime/state_cleanup.h"
#include "sim_judge.h"
#include "sim_letters.h"
#include "sim_store.h"
#include "sim_world.h"
#include "sql/view_planner.h"
#include "storage/temporary_directory.h"
#include "store/raw/embedded_raw.h"

namespace tributary::simulation {
namespace {

constexpr size_t passes_max = 3000;
constexpr size_t parked_max = 1000;

// Where a sync costs nothing: no machine fails here.
std::filesystem::path folder_in_memory() {
  std::filesystem::path memory = "/dev/shm";
  return std::filesystem::exists(memory) ? memory : std::filesystem::temp_directory_path();
}

class PipelineRunner {
 public:
  PipelineRunner(const SimCase& sim, Engines engines)
      : sim_(sim),
        engines_(engines),
        world_(sim),
        judge_(sim, world_, engines.batch),
        random_(sim.seed ^ 0x91BE),
        losses_(sim.seed ^ 0x105E) {
    texts_ = sim.attributes;
    file_ = live_ = std::string(sim.views.size(), '0');
    dead_letters_max_ = random_.one_in(4) ? 2 : 1000;
  }

  std::string run() {
    if (std::string problem = open(true); !problem.empty()) return problem;
    for (now_ = 0; now_ < sim_.steps.size(); ++now_) {
      if (std::string problem = step(sim_.steps[now_]); !problem.empty()) return problem;
    }
    return quiet();
  }

 private:
  std::string step(const Step& step) {
    switch (step.kind) {
      case StepKind::kRound: return round();
      case StepKind::kFailRound: return open(random_.one_in(2));
      case StepKind::kRestart: workers_ = step.workers; return open(random_.one_in(3));
      case StepKind::kAttribute: texts_[step.client][step.attribute] = step.value; return open(false);
      case StepKind::kChangeFile: {
        file_[step.view] = other(file_[step.view]);
        return open(false);
      }
      case StepKind::kRetry:
      case StepKind::kDropLetters: return order(step);
      case StepKind::kSend: return send();
      case StepKind::kReplay:
      case StepKind::kSwitch:
      case StepKind::kRollBack:
      case StepKind::kDropRelease: return release(step);
      case StepKind::kQuiet: return quiet();
      default: break;
    }
    std::set<std::string> kinds;
    for (Fact& fact : world_.apply(step, kinds)) {
      if (step.twice) delayed_.push_back({now_ + step.delay + 5, fact});
      delayed_.push_back({now_ + step.delay, std::move(fact)});
    }
    return arrive(now_);
  }

  // The program starts. What was not committed is lost.
  std::string open(bool storage_too) {
    sender_.reset();
    runner_.reset();
    following_.reset();
    if (storage_too) {
      raw_.reset();
      log_.reset();
      storage_.reset();
      auto storage = Storage::open(directory_.path() / "db", {.write_buffer_bytes = 4 << 20, .background_threads = 1});
      if (!storage.ok()) return "ItStarts " + storage.error().to_string();
      storage_ = std::move(*storage);
      auto log = EmbeddedLog::open(*storage_, {.partitioning = {.partitions = 4, .partitions_per_client = 2}});
      if (!log.ok()) return "ItStarts " + log.error().to_string();
      log_ = std::move(*log);
      raw_ = std::make_unique<EmbeddedRaw>(*storage_,
                                           [this](const ClientId& client, const std::string& table, uint32_t version) {
                                             return log_->schema(client, table, version);
                                           });
    }
    if (raw_follows_) {
      FollowLimits limits{.partition_bytes_max = 1 + random_.below(500),
                          .piece_bytes_max = 1 + random_.below(1000),
                          .write_events_max = static_cast<uint32_t>(1 + random_.below(20))};
      following_ = std::make_unique<FollowingRaw>(*storage_, *log_, outside_, limits);
      if (Status opened = following_->open(); !opened.ok()) return "ItStarts " + opened.error().to_string();
    }
    RoundPorts ports{.storage = *storage_,
                     .log = *log_,
                     .expressions = engines_.expressions,
                     .analytics = store_,
                     .raw = raw_follows_ ? static_cast<RawStore&>(*following_) : *raw_,
                     .plan = [this](const std::vector<ClientTable>& tables,
                                    const std::string& views) { return plan(tables, views); },
                     .views = file_};
    if (raw_follows_) {
      ports.raw_has = [this](const std::map<TopicPartition, Offset>& ends) { return following_->has(ends); };
    } else {
      ports.add_raw = [this](StorageBatch& batch, std::span<const RawBlock> blocks) {
        std::vector<RawAddition> additions;
        for (const RawBlock& block : blocks) additions.push_back({block.block, block.events});
        return raw_->add_to(batch, additions);
      };
    }
    RoundLimits limits{.bytes_max = 300 + random_.below(3000),
                       .partition_bytes_max = 200 + random_.below(1000),
                       .events_max = 1 + random_.below(60),
                       .refeed_bytes_max = 100 + random_.below(1500),
                       .workers = workers_,
                       .dead_letters_max = dead_letters_max_,
                       .graph = small_graph_limits(random_)};
    auto runner = RoundRunner::open(std::move(ports), limits, client_tables(), attribute_columns());
    if (!runner.ok()) return "ItStarts " + runner.error().to_string();
    runner_ = std::move(*runner);
    if (std::string problem = note_start(); !problem.empty()) return problem;
    sender_ = std::make_unique<OutboxSender>(
        *storage_, store_, SenderLimits{.batch_bytes_max = 1 + random_.below(400), .inserts_at_once = 1});
    prepared_generation_ = 0;
    if (Status opened = sender_->open(); !opened.ok()) return "ItStarts " + opened.error().to_string();
    lose_a_table();
    for (const std::string& table : sender_->lost_tables()) runner_->build_again(table);
    return "";
  }

  // Now and then the store comes back without one of its tables.
  void lose_a_table() {
    std::vector<TableDefinition> tables = runner_->tables().definitions;
    if (tables.empty() || !losses_.one_in(12)) return;
    const std::string& table = tables[losses_.below(tables.size())].name;
    (void)store_.drop(table);
    (void)sender_->note_lost_rows(table);
  }

  std::vector<RoundRunner::Table> client_tables() const {
    std::vector<RoundRunner::Table> tables;
    for (const std::string& client : sim_.clients) {
      for (const DomainShape& shape : sim_.domains)
        tables.push_back({ClientId{client}, shape.name, "public." + shape.name});
    }
    return tables;
  }

  std::map<ClientId, std::map<std::string, Column>> attribute_columns() const {
    std::map<ClientId, std::map<std::string, Column>> all;
    for (size_t i = 0; i < sim_.clients.size(); ++i) {
      for (const auto& [name, value] : texts_[i]) {
        Column& column = all[ClientId{sim_.clients[i]}].emplace(name, Column({TypeId::kText})).first->second;
        append_text_value(column, value);
      }
    }
    return all;
  }

  std::map<ClientId, ClientAttributes> attributes() const {
    std::map<ClientId, ClientAttributes> all;
    for (auto& [client, values] : attribute_columns()) all[client] = {1, values};
    return all;
  }

  // What a pipeline file says of its views is which of them have their other SQL.
  static char other(char of) { return of == '0' ? '1' : '0'; }
  std::vector<ViewText> view_texts(const std::string& views) const {
    std::vector<ViewText> texts = sim_.views;
    for (size_t i = 0; i < texts.size(); ++i) {
      if (views[i] == '0') continue;
      std::swap(texts[i].sql, texts[i].other_sql);
      std::swap(texts[i].batch, texts[i].other_batch);
      std::swap(texts[i].failing, texts[i].other_failing);
    }
    return texts;
  }

  // A start with views of no release makes them live, in the place of what was.
  std::string note_start() {
    std::vector<RoundRunner::ReleaseStatus> now = runner_->releases();
    bool kept = std::any_of(releases_.begin(), releases_.end(),
                            [&](const auto& of) { return of.second.views == file_ && of.second.clients.empty(); });
    if (!kept) {
      std::erase_if(releases_, [&](const auto& of) { return of.first == live_number_; });
      live_ = file_;
      live_number_ = now.front().number;
      releases_[live_number_] = {file_, {}};
    }
    return check_releases();
  }

  std::string check_releases() {
    std::vector<RoundRunner::ReleaseStatus> now = runner_->releases();
    if (now.size() != releases_.size()) return fmt::format("ReleasesAreKept {} of {}", now.size(), releases_.size());
    for (const auto& status : now) {
      auto known = releases_.find(status.number);
      if (known == releases_.end() || known->second.views != status.views ||
          status.live != (status.number == live_number_))
        return fmt::format("ReleasesAreKept release {} is another one", status.number);
    }
    return "";
  }

  std::string release(const Step& step) {
    using Order = RoundRunner::ReleaseOrder;
    Order order;
    auto picked = releases_.begin();
    std::advance(picked, step.key % static_cast<int64_t>(releases_.size()));
    order.number = picked->first;
    std::set<ClientId> clients;
    if (step.kind == StepKind::kReplay) {
      order.views = live_;
      if (step.twice) {
        order.again = {sim_.views[step.view].name};
      } else {
        order.views[step.view] = other(order.views[step.view]);
      }
      if (step.unseen) clients = {ClientId{sim_.clients[step.client]}};
      order.scope.clients = clients;
      file_ = order.views;
    } else {
      order.kind = step.kind == StepKind::kSwitch     ? Order::Kind::kSwitch
                   : step.kind == StepKind::kRollBack ? Order::Kind::kRollBack
                                                      : Order::Kind::kDrop;
    }
    bool may_switch = false;
    for (const auto& status : runner_->releases()) {
      if (status.number == order.number) may_switch = status.whole() && !status.live && status.scope.whole();
      may_switch = may_switch && sender_->lost_tables().empty();  // of which a view is about to be built again
    }
    std::future<Result<uint32_t>> done = runner_->order(order);
    if (std::string problem = round(); !problem.empty()) return problem;
    Result<uint32_t> number = done.get();
    bool must = order.kind == Order::Kind::kMake || (order.kind == Order::Kind::kSwitch && may_switch) ||
                (order.kind == Order::Kind::kDrop && order.number != live_number_);
    bool too_early = !number.ok() && number.error().message.find("not known yet") != std::string::npos;
    if (must && !number.ok() && !too_early) return "ReleaseOrdersAreCarriedOut " + number.error().to_string();
    if (!number.ok()) return check_releases();
    if (order.kind == Order::Kind::kMake) releases_[*number] = {order.views, clients};
    if (order.kind == Order::Kind::kSwitch || order.kind == Order::Kind::kRollBack) {
      if (!releases_.contains(*number)) return "ReleasesAreKept it switched to one that is not";
      live_number_ = *number;
      live_ = releases_.at(*number).views;
    }
    if (order.kind == Order::Kind::kDrop) releases_.erase(*number);
    return check_releases();
  }

  // A domain has the columns that any client's table has.
  Result<PlannedPipeline> plan(const std::vector<ClientTable>& tables, const std::string& views) {
    PlannedPipeline planned;
    std::vector<Relation> relations;
    for (uint32_t i = 0; i < sim_.domains.size(); ++i) {
      Relation relation{.name = sim_.domains[i].name};
      size_t columns = 0;
      for (const ClientTable& table : tables) {
        if (table.domain == relation.name) columns = std::max(columns, table.schema->columns.size());
      }
      bool grown = columns == world_.schema(i, 2)->columns.size();
      if (columns > 0) {
        for (const ColumnSchema& column : world_.schema(i, grown ? 2 : 1)->columns) {
          relation.columns.push_back({column.name, column.type, !column.key});
          if (column.key) relation.key.push_back(column.name);
        }
        planned.relations[relation.name] = relation;
      }
      relations.push_back(std::move(relation));
    }
    for (const ViewText& view : view_texts(views)) {
      planned.named.insert(view.name);
      ViewRequest request{
          .name = view.name, .sql = view.sql, .relations = relations, .attributes = {{"plan", {TypeId::kText}}}};
      Relation relation{.name = view.name, .is_view = true};
      auto made = plan_view(engines_.expressions, request);
      auto* plan = std::get_if<ViewPlan>(&made);
      if (plan != nullptr && !plan->nodes.empty()) {
        relation.columns = plan->columns();
        relation.key = plan->key;
        relation.key_always = plan->key_always;
        planned.views.push_back(std::move(*plan));
      } else {
        planned.set_aside.push_back({ClientId{}, view.name, "what it reads is not known yet", {}});
      }
      relations.push_back(std::move(relation));
    }
    plans_[views] = {planned.views, planned.relations};
    return planned;
  }

  // Appends the facts that are due to the log.
  std::string arrive(size_t until) {
    std::map<ClientId, LogAppend> appends;
    for (size_t i = 0; i < delayed_.size();) {
      if (delayed_[i].due > until) {
        ++i;
        continue;
      }
      const Fact fact = std::move(delayed_[i].fact);
      delayed_.erase(delayed_.begin() + static_cast<ptrdiff_t>(i));
      ClientId client{sim_.clients[fact.client]};
      const std::string& domain = sim_.domains[fact.domain].name;
      auto schema = log_->register_schema(client, *world_.schema(fact.domain, fact.version));
      if (!schema.ok()) return "TheLogTakes " + schema.error().to_string();
      auto& batches = appends.try_emplace(client, LogAppend{client, {}, {}}).first->second.batches;
      if (batches.empty() || batches.back().domain != domain || batches.back().schema->version != (*schema)->version)
        batches.emplace_back(client, domain, *schema);
      world_.append(batches.back(), fact);
    }
    for (auto& [client, append] : appends) {
      if (Status done = log_->append({&append, 1}); !done.ok()) return "TheLogTakes " + done.error().to_string();
    }
    return "";
  }

  std::string round() {
    auto outcome = runner_->run();
    if (!outcome.ok()) return "ARoundSucceeds " + outcome.error().to_string();
    sender_->note_added(runner_->take_outbox_bytes());
    busy_ = outcome->events > 0 || outcome->more;
    return look_at_builds();
  }

  // Readers see no build that has never had all of raw.
  std::string look_at_builds() {
    auto builds = Builds::load(*storage_);
    if (!builds.ok()) return "BuildsAreRead " + builds.error().to_string();
    for (const Build& build : builds->all()) {
      bool fed = build.generation == 1 || !builds->being_fed(build.generation);
      if (fed) fed_once_.insert(build.generation);
      if (build.shown && !fed_once_.contains(build.generation)) return "NothingIsShownBeforeItIsWhole " + build.table();
    }
    return "";
  }

  // As the runtime's sending thread does.
  std::string send() {
    RoundRunner::Tables tables = runner_->tables();
    if (tables.generation != prepared_generation_) {
      std::vector<ClientId> clients;
      for (const std::string& client : sim_.clients) clients.emplace_back(client);
      if (!store_.prepare(tables.definitions, clients).ok()) return "TheStorePrepares";
      prepared_generation_ = tables.generation;
      sender_->offer_again();
      for (const std::string& table : tables.unused) {
        if (!store_.drop(table).ok() || !sender_->forget_table(table).ok()) return "TheStoreDrops " + table;
      }
      if (!tables.unused.empty()) runner_->look_at_builds();
      busy_ = true;
    }
    auto sent = sender_->send([&] { return tables.generation == runner_->tables().generation; });
    if (!sent.ok() && !retryable(sent.error().code)) return "TheOutboxIsSent " + sent.error().to_string();
    busy_ = busy_ || !sent.ok() || *sent;
    if (sender_->took_switches()) {
      runner_->look_at_builds();
      busy_ = true;
    }
    if (raw_follows_) {
      outside_.away = random_.one_in(4);
      if (random_.one_in(2)) (void)following_->send();
      outside_.away = false;
      busy_ = busy_ || following_->waiting_events() > 0;
    }
    std::map<std::string, std::string> aside = sender_->set_aside();
    for (const std::string& lost : sender_->lost_tables()) aside.erase(lost);
    if (!aside.empty()) return "NoTableIsSetAside " + aside.begin()->second;
    return "";
  }

  std::string order(const Step& step) {
    ClientId client{sim_.clients[step.client]};
    const std::string& view = sim_.views[step.view].name;
    auto keys = runner_->dead_letter_keys(client, view);
    if (!keys.ok()) return "DeadLettersAreRead " + keys.error().to_string();
    bool all = keys->empty() || random_.one_in(2);
    if (!all) keys->resize(1 + random_.below(keys->size()));
    bool drop = step.kind == StepKind::kDropLetters;
    if (drop) dropped_.emplace(client, view);
    runner_->order({client, view, all ? std::vector<std::string>{} : *keys, drop});
    return round();
  }

  std::string quiet() {
    store_.fail(false);
    for (Fact& fact : world_.snapshot_of_unseen()) delayed_.push_back({0, std::move(fact)});
    std::string problem;
    size_t idle = 0;
    for (size_t pass = 0; problem.empty() && idle < 3; ++pass) {
      if (pass == passes_max) return "WorkEnds after many rounds something is still pending";
      problem = arrive(SIZE_MAX);
      if (problem.empty()) problem = round();
      if (problem.empty()) problem = send();
      if (problem.empty() && !busy_) problem = read_parked_again();
      idle = busy_ ? 0 : idle + 1;
    }
    store_.fail(true);
    return problem.empty() ? compare() : problem;
  }

  std::string read_parked_again() {
    auto parked = runner_->parked(parked_max);
    if (!parked.ok()) return "ParkedRowsAreRead " + parked.error().to_string();
    for (const ParkedRow& row : *parked) {
      uint32_t client = 0;
      while (sim_.clients[client] != row.client.value) ++client;
      uint32_t domain = 0;
      while ("public." + sim_.domains[domain].name != row.table) ++domain;
      delayed_.push_back({0, world_.read_again(client, domain, row.key)});
      busy_ = true;
    }
    return "";
  }

  std::string compare() {
    if (!sender_->lost_tables().empty()) return "WhatIsLostIsBuiltAgain " + sender_->lost_tables()[0];
    if (!runner_->rebuilds().empty()) return "EveryBuildIsShown " + runner_->rebuilds()[0].view;
    if (store_.conflicts() > 0) return "OneRowAVersion rows of one key and version differ";
    for (const RoundRunner::ReleaseStatus& release : runner_->releases()) {
      if (std::string problem = compare_release(release); !problem.empty()) return problem;
    }
    return "";
  }

  std::string compare_release(const RoundRunner::ReleaseStatus& release) {
    if (!release.whole() && release.problems.empty()) return fmt::format("EveryReleaseIsWhole {}", release.number);
    std::vector<ViewText> views = view_texts(release.views);
    const Planned& planned = plans_[release.views];
    std::string fails;
    FreshStart fresh(sim_, world_, engines_.expressions, planned.views, planned.relations);
    Letters letters = fresh.letters(attributes(), fails);
    if (!fails.empty()) return fails;
    for (uint32_t client = 0; client < sim_.clients.size(); ++client) {
      if (!release.scope.takes(ClientId{sim_.clients[client]})) continue;
      if (std::string problem = judge_.fill(client, texts_[client], views); !problem.empty()) return problem;
      for (const ViewPlan& plan : planned.views) {
        auto view = std::find_if(views.begin(), views.end(), [&](const ViewText& of) { return of.name == plan.name; });
        if (std::string problem = compare_view(client, plan, *view, release, letters); !problem.empty()) return problem;
      }
    }
    return "";
  }

  std::string compare_view(uint32_t client, const ViewPlan& plan, const ViewText& view,
                           const RoundRunner::ReleaseStatus& release, Letters& letters) {
    ClientId id{sim_.clients[client]};
    std::optional<std::vector<std::vector<std::string>>> rows;
    if (release.live) {
      rows = store_.shown_rows(plan.name, id, plan.columns());
    } else {
      for (const auto& build : release.builds) {
        if (build.name == plan.name) rows = store_.rows_of(build.table, id, plan.columns());
      }
    }
    if (!rows) return "EveryBuildIsShown nothing is shown of " + plan.name;
    std::string where = fmt::format("client={} view={} release={} after step {}", id, plan.name, release.number, now_);
    if (std::string differs = judge_.compare(plan.name, plan.columns(), std::move(*rows)); !differs.empty())
      return fmt::format("EveryViewEqualsItsBatch {}\n{}  plan:\n{}", where, differs, plan_text(plan));
    if (!release.live) return "";
    auto failing = judge_.failing(view, texts_[client]);
    if (!failing.ok()) return "TheBatchRuns " + failing.error().message;
    return compare_told(id, plan.name, *failing, letters[{plan.name, id}], where);
  }

  std::string compare_told(const ClientId& client, const std::string& view, std::optional<uint64_t> failing,
                           const std::map<std::string, std::string>& wanted, const std::string& where) {
    auto letters = DeadLetters::stored(*storage_, client, store_.shown_table(view));
    if (!letters.ok()) return "DeadLettersAreRead " + letters.error().to_string();
    std::map<std::string, std::string> kept;
    for (const DeadLetter& letter : *letters) {
      if (!letter.dropped) kept.emplace(letter.key, letter.reason);
    }
    uint64_t listed = kept.size();
    auto counts = runner_->dead_letters();
    if (counts[{client, view}].kept != listed) {
      return fmt::format("DeadLettersAreCounted {}: {} are listed, {} are counted", where, listed,
                         counts[{client, view}].kept);
    }
    bool may_be_less = dropped_.contains({client, view}) || dead_letters_max_ < 1000;
    if (failing && listed != *failing && (listed > *failing || !may_be_less))
      return fmt::format("EveryRowThatFailsIsTold {}: {} rows fail, {} are told", where, *failing, listed);
    std::string differs = compare_letters(wanted, kept, may_be_less);
    return differs.empty() ? "" : fmt::format("LettersAreAsOfAFreshStart {}\n{}", where, differs);
  }

  const SimCase& sim_;
  Engines engines_;
  World world_;
  Judge judge_;
  Random random_;
  Random losses_;  // of tables
  TemporaryDirectory directory_{folder_in_memory()};
  std::vector<Attributes> texts_;
  struct Known {
    std::string views;
    std::set<ClientId> clients;  // that it is fed with; empty: all
  };
  std::map<uint32_t, Known> releases_;
  std::string file_;  // what the pipeline file says
  std::string live_;  // what the live release's says
  uint32_t live_number_ = 0;
  struct Planned {
    std::vector<ViewPlan> views;
    std::map<std::string, Relation> relations;
  };
  std::map<std::string, Planned> plans_;
  StoreInMemory store_{sim_.seed};
  std::unique_ptr<Storage> storage_;
  std::unique_ptr<EmbeddedLog> log_;
  std::unique_ptr<EmbeddedRaw> raw_;
  // In some cases it stands for a store outside of the checkpoint: behind the log, and away at times.
  class Outside final : public RawStore {
   public:
    explicit Outside(std::unique_ptr<EmbeddedRaw>& raw) : raw_(raw) {}
    Status write(std::span<const LogBlock> blocks) override {
      return away ? Status(Error{ErrorCode::kUnavailable, "away"}) : raw_->write(blocks);
    }
    Status read(const RawQuery& query, const std::function<bool(const EventBatch&)>& visit) override {
      return raw_->read(query, visit);
    }
    Result<uint64_t> count(const ClientId& client, const std::string& domain) override {
      return raw_->count(client, domain);
    }
    Result<RawPiece> scan(const ClientId& client, const std::string& domain, const std::string& cursor,
                          size_t bytes_max) override {
      return raw_->scan(client, domain, cursor, bytes_max);
    }
    bool away = false;

   private:
    std::unique_ptr<EmbeddedRaw>& raw_;
  };
  bool raw_follows_ = Random(sim_.seed ^ 0x4A77).one_in(3);
  Outside outside_{raw_};
  std::unique_ptr<FollowingRaw> following_;
  std::unique_ptr<RoundRunner> runner_;
  std::unique_ptr<OutboxSender> sender_;
  uint64_t prepared_generation_ = 0;
  uint64_t dead_letters_max_ = 0;
  std::set<std::pair<ClientId, std::string>> dropped_;  // letters of client and view
  std::set<uint32_t> fed_once_;  // generations
  uint32_t workers_ = 1;
  size_t now_ = 0;
  bool busy_ = false;
  std::vector<Delayed> delayed_;
};

}  // namespace

SimCase make_pipeline_case(uint64_t seed) {
  SimCase sim = make_case(seed);
  Random random(seed ^ 0xF11E);
  size_t more = 3 + random.below(18);
  for (size_t i = 0; i < more; ++i) {
    Step step;
    step.client = static_cast<uint32_t>(random.below(sim.clients.size()));
    step.view = static_cast<uint32_t>(random.below(sim.views.size()));
    switch (random.below(11)) {
      case 0:
      case 1: step.kind = StepKind::kChangeFile; break;
      case 2: step.kind = StepKind::kRetry; break;
      case 3: step.kind = random.one_in(2) ? StepKind::kDropLetters : StepKind::kRetry; break;
      case 4:
        step.kind = StepKind::kAttribute;
        step.attribute = "plan";
        step.value = random.one_in(2) ? "free" : "gold";
        break;
      case 5:
        step.kind = StepKind::kReplay;
        step.twice = random.one_in(3);
        step.unseen = random.one_in(4);
        break;
      case 6:
      case 7:
        step.kind = StepKind::kSwitch;
        step.key = static_cast<int64_t>(random.below(4));
        break;
      case 8:
        step.kind = random.one_in(2) ? StepKind::kRollBack : StepKind::kDropRelease;
        step.key = static_cast<int64_t>(random.below(4));
        break;
      default: step.kind = StepKind::kSend;
    }
    sim.steps.insert(sim.steps.begin() + static_cast<ptrdiff_t>(random.below(sim.steps.size() + 1)), step);
  }
  return sim;
}

std::string run_pipeline_case(const SimCase& sim, Engines engines) {
  return with_checks_as_outcome(sim.seed, [&] { return PipelineRunner(sim, engines).run(); });
}

}  // namespace tributary::simulation
