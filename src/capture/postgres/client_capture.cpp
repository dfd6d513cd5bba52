#include "capture/postgres/client_capture.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <random>

namespace tributary {
namespace {

using Kind = Trouble::Kind;
// A session that lasted this long was a good one: the next attempt is at once again.
constexpr std::chrono::seconds good_session{30};

bool reset_asked(const PostgresCaptureOptions& options, const ClientId& client) {
  return std::find(options.reset_clients.begin(), options.reset_clients.end(), client) != options.reset_clients.end();
}

}  // namespace

ClientCapture::ClientCapture(asio::any_io_executor executor, CaptureClient client, PostgresCaptureOptions options,
                             LeaseOptions lease, EventLog& log, AppendQueue& queue)
    : context_(
          std::make_shared<ClientContext>(std::move(executor), std::move(client), std::move(options), log, queue)) {
  context_->lease_options = std::move(lease);
  context_->reset_wanted = reset_asked(context_->options, context_->config.client);
}

void ClientCapture::start(std::function<void()> ended) {
  asio::co_spawn(
      context_->executor, run(),
      asio::bind_cancellation_slot(cancel_.slot(), [ended = std::move(ended)](std::exception_ptr) { ended(); }));
}

void ClientCapture::stop() {
  context_->stopping = true;
  cancel_.emit(asio::cancellation_type::terminal);
}

void ClientCapture::begin_session_again() {
  context_->begin_again = true;
  context_->asked_again.notify();
}

asio::awaitable<Trouble> ClientCapture::asked_to_begin_again() {
  ClientContext& context = *context_;
  while (!context.begin_again) co_await context.asked_again.wait(std::chrono::hours(1));
  co_return Trouble{Kind::kRetry, "it begins again, as it was told to", ""};
}

asio::awaitable<Trouble> ClientCapture::follow() {
  ClientContext& context = *context_;
  // Whether there is a backlog is only known once the server was asked: peek_changes() does, and hands over at once.
  bool peek = context.options.bulk;
  while (true) {
    context.bulk_wanted = false;
    Trouble trouble;
    if (peek) {
      trouble = co_await peek_changes(context);
    } else {
      trouble = co_await stream_changes(context);
    }
    if (trouble.kind != Kind::kSwitch) co_return trouble;
    peek = !peek && context.options.bulk;
  }
}

asio::awaitable<Trouble> ClientCapture::session() {
  using asio::experimental::awaitable_operators::operator||;
  ClientContext& context = *context_;
  if (!context.lease_options.shared()) co_return co_await read_source();
  Trouble trouble = co_await wait_for_lease(context);
  if (trouble.kind != Kind::kNone) co_return trouble;
  auto ended = co_await (keep_lease(context) || read_source());
  co_return std::visit([](auto& reason) { return reason; }, ended);
}

asio::awaitable<Trouble> ClientCapture::read_source() {
  using asio::experimental::awaitable_operators::operator||;
  ClientContext& context = *context_;
  context.append_error.reset();
  context.appends_broken = std::make_shared<bool>(false);
  Trouble trouble = co_await prepare_source(context);
  if (trouble.kind != Kind::kNone) co_return trouble;
  auto ended = co_await (follow() || read_tables(context) || watch_source(context));
  co_return std::visit([](auto& reason) { return reason; }, ended);
}

asio::awaitable<void> ClientCapture::run() {
  using asio::experimental::awaitable_operators::operator||;
  ClientContext& context = *context_;
  std::minstd_rand random(std::random_device{}());
  auto delay = context.options.retry_first;
  Result<ConnectionSettings> settings = ConnectionSettings::parse(context.config.url, context.config.password);
  if (!settings.ok()) {
    context.set_mode(SourceMode::kStopped, settings.error().message, "Correct the source's URL in the pipeline file.");
    co_return;
  }
  context.settings = *settings;
  context.set_mode(SourceMode::kConnecting);
  bool stopped = false;
  while (true) {  // the reason of the last session's end is shown until the next one goes
    auto began = PgConnection::Clock::now();
    auto ended = co_await (session() || asked_to_begin_again());
    Trouble trouble = std::visit([](auto& reason) { return reason; }, ended);
    context.control.reset();
    context.assembler.reset();
    context.spill.reset();
    stopped = trouble.kind == Kind::kStop;
    context.set_mode(stopped ? SourceMode::kStopped : SourceMode::kBackingOff, trouble.reason, trouble.remedy);
    // What is under way lands before the state is read again.
    while (context.jobs_in_flight > 0) co_await context.changed.wait(std::chrono::seconds(1));
    context.lease.reset();
    if (PgConnection::Clock::now() - began > good_session) delay = context.options.retry_first;
    auto longest = stopped ? context.options.stopped_retry : delay;
    // Jitter, so that clients of one server do not come back all at once.
    std::uniform_int_distribution<int64_t> jitter(longest.count() / 2, longest.count());
    if (!context.begin_again) co_await context.asked_again.wait(std::chrono::milliseconds(jitter(random)));
    context.begin_again = false;
    if (!stopped) delay = std::min(delay * 2, context.options.retry_longest);
    if (context.options.password_now) {
      std::string password = context.options.password_now(context.config.client);
      if (auto now = ConnectionSettings::parse(context.config.url, password); now.ok()) context.settings = *now;
    }
  }
}

SourceStatus ClientCapture::status() {
  std::string trouble = context_->queue.trouble(context_->config.client);
  std::lock_guard lock(context_->board.mutex);
  SourceStatus status = context_->board.status;
  if (!trouble.empty()) status.warnings.push_back("the log takes nothing of it at the moment: " + trouble);
  return status;
}

void ClientCapture::mark_head() {
  std::lock_guard lock(context_->board.mutex);
  ++context_->board.mark_requested;
}

bool ClientCapture::caught_up() {
  std::lock_guard lock(context_->board.mutex);
  return context_->board.stopped || context_->board.mark_reached >= context_->board.mark_requested;
}

void ClientCapture::read_again(const std::string& table, std::vector<std::string> row_keys) {
  std::lock_guard lock(context_->board.mutex);
  std::set<std::string>& wanted = context_->board.wanted_rows[split_table_name(table).plain()];
  for (std::string& key : row_keys) {
    if (wanted.size() >= ClientContext::wanted_rows_max) break;
    wanted.insert(std::move(key));
  }
}

}  // namespace tributary
