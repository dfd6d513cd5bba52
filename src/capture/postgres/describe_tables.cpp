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
  std::set<std::string> all;
  for (const CapturedTable& table : client.tables) all.insert(split_table_name(table.table).plain());
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
    auto relations = co_await find_relations(connection, (*found)->oid);
    if (!relations.ok()) co_return relations.error();
    if (entry.refusal.empty()) {
      auto refusal = co_await partition_refusal(connection, **found, *relations, all);
      if (!refusal.ok()) co_return refusal.error();
      entry.refusal = std::move(*refusal);
    }
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
