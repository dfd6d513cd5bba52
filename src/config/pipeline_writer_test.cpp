#include "config/pipeline_writer.h"

#include <gtest/gtest.h>

#include "config/pipeline.h"

namespace tributary {
namespace {

DatabaseDescription shop() {
  DatabaseDescription database;
  database.url = "postgresql://tributary@db.example:5433/shop?sslmode=verify-full";
  database.user = "tributary";
  database.database = "shop";
  database.server_version = 150004;
  database.wal_level = "replica";
  database.replication_slots_max = 10;
  database.replication_slots_used = 10;
  auto table = [](std::string schema, std::string name, std::vector<std::string> key, char identity = 'd') {
    DescribedTable described;
    described.schema = std::move(schema);
    described.name = std::move(name);
    described.columns = {"id", "client_id", "_rev"};
    described.primary_key = std::move(key);
    described.replica_identity = identity;
    described.rows_estimated = 123'456;
    return described;
  };
  database.tables = {table("public", "users", {"id"}),
                     table("public", "Order Items", {"id"}),
                     table("sales", "users", {"id"}),
                     table("public", "order_items", {"id"}),
                     table("public", "categories", {"id"}, 'f'),
                     table("public", "log", {}),
                     table("public", "nothing", {"id"}, 'n'),
                     table("public", "evil\n  hack: {}", {"id"}),
                     table("public", "it's \"quoted\"", {"id"}),
                     table("public", "client", {"id"}),
                     table("public", "null", {"id"}),
                     table("Null", "true", {"id"})};
  for (char kind : {'f', 'm', 'v'}) database.tables.emplace_back(table("public", "other_kind", {})).kind = kind;
  database.tables.emplace_back(table("public", "postponed", {"id"})).key_deferrable = true;
  return database;
}

TEST(PipelineWriter, WhatItWritesLoads) {
  std::string text = pipeline_file_for(shop());
  auto loaded = parse_pipeline("shop.yaml", text);
  if (auto* errors = std::get_if<std::vector<FileError>>(&loaded)) {
    for (const FileError& error : *errors) ADD_FAILURE() << error.to_string() << "\n" << text;
    return;
  }
  const Pipeline& pipeline = std::get<Pipeline>(loaded);
  EXPECT_EQ(pipeline.name, "shop");
  EXPECT_EQ(pipeline.clients.at("shop").source.port, 5433);
  std::map<std::string, std::string> tables;
  for (const auto& [name, domain] : pipeline.domains) tables[name] = domain.table + " " + domain.event;
  EXPECT_EQ(tables, (std::map<std::string, std::string>{{"users", "public.users user"},
                                                        {"order_items", "public.Order Items order_item"},
                                                        {"sales_users", "sales.users sales_user"},
                                                        {"order_items_2", "public.order_items order_item_2"},
                                                        {"categories", "public.categories category"},
                                                        {"it_s_quoted", "public.it's \"quoted\" it_s_quoted"},
                                                        {"client_2", "public.client client"},
                                                        {"null", "public.null null"},
                                                        {"null_true", "Null.true null_true"}}));
  EXPECT_TRUE(not_built_yet(pipeline).empty());
}

TEST(PipelineWriter, SaysWhatTheOwnerHasToDo) {
  std::string text = pipeline_file_for(shop());
  for (const char* expected :
       {"# ALTER SYSTEM SET wal_level = logical;   -- it is replica", "ALTER SYSTEM SET max_replication_slots = 14;",
        "# ALTER ROLE \"tributary\" REPLICATION;", "# GRANT USAGE ON SCHEMA public TO \"tributary\";",
        "# GRANT SELECT ON public.users, public.\"Order Items\"",
        "CREATE PUBLICATION \"tributary_shop_shop\" FOR TABLE public.users",
        "pg_drop_replication_slot('tributary_shop_shop')", "ALTER TABLE public.\"log\" ADD PRIMARY KEY",
        "ALTER TABLE public.\"nothing\" REPLICA IDENTITY DEFAULT", "its name has control characters",
        "it is a foreign table", "it is a view", "its key is deferrable",
        "its column \"client_id\" is called \"client_id_\""}) {
    EXPECT_NE(text.find(expected), std::string::npos) << expected << "\n" << text;
  }
  EXPECT_EQ(text.find("\n  hack"), std::string::npos);
}

TEST(PipelineWriter, Singular) {
  for (auto [plural, one] : {std::pair{"orders", "order"},
                             {"categories", "category"},
                             {"addresses", "address"},
                             {"boxes", "box"},
                             {"branches", "branch"},
                             {"news", "news"},
                             {"status", "status"},
                             {"statuses", "status"},
                             {"order_items", "order_item"},
                             {"people", "person"},
                             {"data", "data"},
                             {"bus", "bus"},
                             {"houses", "house"},
                             {"s", "s"},
                             {"prices", "price"},
                             {"address", "address"}}) {
    EXPECT_EQ(singular(plural), one);
  }
}

}  // namespace
}  // namespace tributary
