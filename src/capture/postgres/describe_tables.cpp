#include "capture/postgres/describe_tables.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "capture/postgres/table_catalog.h"

namespace tributary {
namespace {

asio::awaitable<Result<std::vector<TableLook>>> look(asio::any_io_executor executor, CaptureClient client,
                                                     std::chrono::milliseconds limit) {
  auto settings = ConnectionSettings::parse(client.url, client.password);
  if (!settings.ok()) co_return settings.error();
  PgConnection connection(executor, *settings);
  if (Status connected = co_await connection.connect(false, limit); !connected.ok()) co_return connected.error();
  std::vector<TableLook> looks;
  for (const CapturedTable& table : client.tables) {
    auto found = co_await find_table(connection, split_table_name(table.table));
    if (!found.ok()) co_return found.error();
    TableLook& entry = looks.emplace_back();
    entry.table = table;
    if (!*found) {
      entry.refusal = "there is no such table, or it may not be seen";
      continue;
    }
    entry.refusal = (*found)->refusal();
    if (entry.refusal.empty()) entry.schema = schema_of(**found);
  }
  co_return looks;
}

}  // namespace

Result<std::vector<TableLook>> describe_tables(const CaptureClient& client, std::chrono::milliseconds limit) {
  asio::io_context context(1);
  Result<std::vector<TableLook>> result = Error{ErrorCode::kTimeout, "the database did not answer in time"};
  auto run = [&]() -> asio::awaitable<void> { result = co_await look(context.get_executor(), client, limit); };
  asio::co_spawn(context, run(), [&](std::exception_ptr failure) {
    CHECK(failure == nullptr, "looking at the tables of client {} threw", client.client);
  });
  context.run_for(limit * 2);
  return result;
}

}  // namespace tributary
