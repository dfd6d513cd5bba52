#include "shop_changes.h"

#include <fmt/format.h>

#include <array>

namespace tributary::bench {
namespace {

constexpr int64_t begin_micros = 1'750'000'000'000'000;
constexpr uint64_t suppliers = 100;
constexpr std::array<std::string_view, 5> countries{"de", "fr", "us", "br", "jp"};
constexpr std::array<std::string_view, 6> states{"new", "paid", "shipped", "returned", "test", "cancelled"};

ColumnSchema column(const char* name, LogicalType type, bool key = false) {
  bool plain = type.id != TypeId::kText && type.id != TypeId::kDecimal;
  return {name, type, type.to_string(), key, !plain && !key};
}

SchemaPtr table(const char* name, OldImage images, std::vector<ColumnSchema> columns) {
  auto schema = std::make_shared<TableSchema>();
  schema->table = fmt::format("public.{}", name);
  schema->old_image = images;
  schema->columns = std::move(columns);
  for (uint32_t i = 0; i < schema->columns.size(); ++i) {
    if (schema->columns[i].key) schema->key_columns.push_back(i);
  }
  return schema;
}

uint64_t mixed(uint64_t row, uint32_t version, uint64_t salt) {
  return Random(row * 0x9E3779B97F4A7C15 + version * 0xD1B54A32D192ED03 + salt).next();
}

}  // namespace

ShopChanges::ShopChanges(ShopSizes sizes, OldImage images) : sizes_(sizes), images_(images) {
  const LogicalType text{TypeId::kText};
  const LogicalType int16{TypeId::kInt16};
  const LogicalType int32{TypeId::kInt32};
  const LogicalType int64{TypeId::kInt64};
  const LogicalType money{TypeId::kDecimal, 12, 2};
  uint64_t users = std::max<uint64_t>(1, sizes.orders / sizes.orders_per_user);
  auto add = [&](const char* name, uint64_t rows, std::vector<ColumnSchema> columns) {
    schemas_[name] = table(name, images, std::move(columns));
    tables_[name] = {rows, {}};
  };
  add("orders", sizes.orders,
      {column("id", int64, true), column("user_id", int64), column("status", text), column("total_cents", int64),
       column("note", text), column("placed_at", {TypeId::kTimestamp})});
  add("payments", sizes.orders,
      {column("id", int64, true), column("order_id", int64), column("cents", int64), column("method", int32),
       column("paid_at", {TypeId::kTimestamp})});
  add("users", users,
      {column("id", int64, true), column("email", text), column("country", text), column("balance", money)});
  add("order_items", sizes.orders * 2,
      {column("order_id", int64, true), column("line", int16, true), column("sku", text), column("quantity", int32),
       column("price_cents", int32)});
  uint64_t products = std::max<uint64_t>(10, sizes.orders / 100);
  add("products", products, {column("sku", text, true), column("title", text), column("price_cents", int32)});
  add("countries", countries.size(), {column("code", text, true), column("name", text), column("region", text)});
  add("suppliers", suppliers,
      {column("id", int32, true), column("name", text), column("country", text), column("balance", money)});
  add("supplies", products * 3,
      {column("sku", text, true), column("supplier_id", int32, true), column("cost_cents", int32),
       column("available", int32)});
}

bool ShopChanges::fill(const ClientId& client, const Mix& domains, uint64_t events, Batches& batches) {
  uint64_t left = events;
  for (auto& [domain, of] : tables_) {
    if (!domains.contains(domain)) continue;
    for (; left > 0 && of.versions.size() < of.first_rows; --left) {
      of.versions.push_back(1);
      append(client, domain, of.versions.size() - 1, 0, 1, batches);
    }
  }
  return left < events;
}

void ShopChanges::change(const ClientId& client, const Mix& mix, uint64_t events, Batches& batches) {
  uint64_t all = 0;
  for (const auto& [domain, share] : mix) all += share;
  for (uint64_t i = 0; i < events; ++i) {
    uint64_t at = random_.below(all);
    auto domain = mix.begin();
    for (; at >= domain->second; ++domain) at -= domain->second;
    change_one(client, domain->first, batches);
  }
}

void ShopChanges::change_one(const ClientId& client, const std::string& domain, Batches& batches) {
  std::vector<uint32_t>& versions = tables_.at(domain).versions;
  uint64_t kind = random_.below(10);
  if (kind >= 8) {
    versions.push_back(1);
    append(client, domain, versions.size() - 1, 0, 1, batches);
    return;
  }
  uint64_t row = random_.below(versions.size());
  while (versions[row] == 0) row = (row + 1) % versions.size();
  uint32_t before = versions[row];
  uint32_t after = kind == 7 ? 0 : before + 1;
  append(client, domain, row, before, after, batches);
  versions[row] = after;
}

void ShopChanges::append(const ClientId& client, const std::string& domain, uint64_t row, uint32_t before,
                         uint32_t after, Batches& batches) {
  EventBatch& batch = batches.try_emplace(domain, client, domain, schemas_.at(domain)).first->second;
  bool full = images_ == OldImage::kFull;
  ++commit_;
  batch.ops.push_back(before == 0 ? Op::kCreate : after == 0 ? Op::kDelete : Op::kUpdate);
  batch.positions.push_back({1, commit_ * 8, commit_ * 8, 0});
  batch.commit_micros.push_back(begin_micros + static_cast<int64_t>(commit_) * 100);
  batch.transactions.push_back(commit_);
  rows_ += (after != 0 ? 1 : 0);
  rows_ -= (before != 0 ? 1 : 0);
  append_cells(batch.columns, domain, row, after != 0 ? after : before);
  if (after == 0 && !full) {
    for (size_t i = 0; i < batch.columns.size(); ++i) {
      if (batch.schema->columns[i].key) continue;
      batch.columns[i].truncate(batch.rows() - 1);
      batch.columns[i].append_absent();
    }
  }
  if (!full) return;
  if (batch.before.empty()) {
    for (const ColumnSchema& of : batch.schema->columns) batch.before.emplace_back(of.type);
  }
  if (before != 0 && after != 0) return append_cells(batch.before, domain, row, before);
  for (Column& none : batch.before) none.append_absent();
}

void ShopChanges::append_cells(std::vector<Column>& columns, const std::string& domain, uint64_t row,
                               uint32_t version) const {
  size_t next = 0;
  uint64_t salt = 0;
  auto number = [&](uint64_t below) { return mixed(row, version, ++salt) % below; };
  auto int64 = [&](uint64_t value) { columns[next++].append_fixed(static_cast<int64_t>(value)); };
  auto int32 = [&](uint64_t value) { columns[next++].append_fixed(static_cast<int32_t>(value)); };
  auto text = [&](std::string_view value) { columns[next++].append_bytes(value); };
  auto money = [&](uint64_t value) { columns[next++].append_fixed(static_cast<Int128>(value)); };
  uint64_t users = tables_.at("users").first_rows;
  uint64_t products = tables_.at("products").first_rows;
  if (domain == "orders") {
    int64(row + 1);
    int64(mixed(row, version / 4, 7) % users + 1);
    text(states[number(states.size())]);
    int64(number(100'000));
    text(fmt::format("note number {} of this order", number(100'000)));
    int64(static_cast<uint64_t>(begin_micros) + row * 1'000'000);
  } else if (domain == "payments") {
    int64(row + 1);
    int64(row + 1);
    int64(number(100'000));
    int32(number(6));
    int64(static_cast<uint64_t>(begin_micros) + row * 1'000'000);
  } else if (domain == "users") {
    int64(row + 1);
    text(fmt::format(" User{}.{}@Example.COM", row, version));
    text(countries[number(countries.size())]);
    money(number(1'000'000));
  } else if (domain == "order_items") {
    int64(row / 2 + 1);
    columns[next++].append_fixed(static_cast<int16_t>(row % 2));
    text(fmt::format("SKU-{:05}", number(products)));
    int32(number(9) + 1);
    int32(number(10'000));
  } else if (domain == "products") {
    text(fmt::format("SKU-{:05}", row));
    text(fmt::format("Article {} in its edition {}", row, version));
    int32(number(10'000));
  } else if (domain == "countries") {
    text(row < countries.size() ? std::string(countries[row]) : fmt::format("c{}", row));
    text(fmt::format("Country {}", row));
    text(fmt::format("Region {}", number(3)));
  } else if (domain == "suppliers") {
    int32(row + 1);
    text(fmt::format("Supplier {}", row));
    text(countries[number(countries.size())]);
    money(number(100'000));
  } else {
    text(fmt::format("SKU-{:05}", row / 3));
    int32(row % 3 * 31 + row % 31 + 1);
    int32(number(10'000));
    int32(number(1000));
  }
}

}  // namespace tributary::bench
