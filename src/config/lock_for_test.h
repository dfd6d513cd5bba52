// A pipeline and its lock file, for tests.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "config/lock_file.h"

namespace tributary {

// name, type, source type, key
struct Shape {
  const char* name;
  const char* type;
  bool key = false;
};

inline TableSchema table(const std::string& name, std::vector<Shape> shapes) {
  TableSchema schema;
  schema.table = name;
  for (const Shape& shape : shapes) {
    if (shape.key) schema.key_columns.push_back(static_cast<uint32_t>(schema.columns.size()));
    schema.columns.push_back({shape.name, *LogicalType::parse(shape.type), fmt::format("source {}", shape.type),
                              shape.key, std::string(shape.type) == "text"});
  }
  return schema;
}

inline Pipeline pipeline_of(const std::string& views) {
  auto loaded =
      parse_pipeline("shop.yaml",
                     "pipeline: shop\nclients:\n  acme: { source: 'postgresql://h/acme' }\n"
                     "  globex: { source: 'postgresql://h/globex' }\n  initech: { source: 'postgresql://h/initech' }\n"
                     "domains:\n  orders: { table: public.orders }\n" +
                         views);
  EXPECT_TRUE(std::holds_alternative<Pipeline>(loaded));
  return std::get<Pipeline>(loaded);
}

inline LockFile example() {
  LockFile lock;
  lock.pipeline = "shop";
  lock.domains["orders"]["acme"] =
      table("public.orders", {{"id", "int32", true}, {"total", "decimal(12,2)"}, {"note", "text"}});
  lock.domains["orders"]["globex"] =
      table("public.orders", {{"id", "int64", true}, {"total", "decimal(10,4)"}, {"client_id", "text"}});
  lock.domains["orders"]["globex"].old_image = OldImage::kFull;
  return lock;
}

}  // namespace tributary
