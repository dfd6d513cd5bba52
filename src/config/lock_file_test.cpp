#include "config/lock_file.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>

#include "config/lock_for_test.h"

namespace tributary {
namespace {

std::string show(const DomainRelation& domain) {
  std::string out;
  for (const OutputColumn& column : domain.relation.columns) {
    out += fmt::format("{} {}{}\n", column.name, column.type.to_string(), column.nullable ? "" : " not null");
  }
  for (const SetAside& client : domain.set_aside) out += fmt::format("- {}: {}\n", client.client, client.reason);
  return out;
}

TEST(LockFile, StoredBytes) {
  std::string path = std::string(TRIBUTARY_SOURCE_DIR) + "/tests/config/stored.lock";
  std::ifstream file(path);
  std::string stored((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_EQ(lock_to_text(example()), stored);
  auto read = read_lock(path);
  ASSERT_TRUE(std::holds_alternative<std::optional<LockFile>>(read));
  ASSERT_TRUE(std::get<std::optional<LockFile>>(read).has_value());
  const LockFile& lock = *std::get<std::optional<LockFile>>(read);
  EXPECT_EQ(lock.pipeline, "shop");
  LockFile expected = example();
  for (const auto& [client, schema] : expected.domains["orders"]) {
    EXPECT_TRUE(schema.same_content(lock.domains.at("orders").at(client))) << client;
  }
}

TEST(LockFile, IsReplacedInOneStep) {
  std::string path = testing::TempDir() + "tributary_lock_test.lock";
  std::remove(path.c_str());
  auto none = read_lock(path);
  EXPECT_FALSE(std::get<std::optional<LockFile>>(none).has_value());
  ASSERT_TRUE(write_lock(path, example()).ok());
  auto stamp = std::filesystem::last_write_time(path);
  ASSERT_TRUE(write_lock(path, example()).ok());
  EXPECT_EQ(std::filesystem::last_write_time(path), stamp);  // the same content is left alone
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
  EXPECT_FALSE(write_lock("/nonexistent-folder/x.lock", example()).ok());
  std::remove(path.c_str());
  EXPECT_EQ(lock_path("a/shop.yaml"), "a/shop.lock");
  EXPECT_EQ(lock_path("shop"), "shop.lock");
}

TEST(LockFile, GarbageIsAnErrorWithItsPlace) {
  auto error = [](std::string_view text) {
    auto lock = lock_from_text("shop.lock", text);
    return std::holds_alternative<LockFile>(lock) ? "none" : std::get<std::vector<FileError>>(lock)[0].to_string();
  };
  EXPECT_EQ(error("{\n  \"format\" 1}").substr(0, 24), "shop.lock:2:12: not JSON");
  EXPECT_EQ(error("[]").substr(0, 44), "shop.lock:1:1: the file is no JSON object; `");
  EXPECT_NE(error("{\"format\": 2}").find("format 2 was written by another version"), std::string::npos);
  std::string good = lock_to_text(example());
  std::mt19937 random(7);
  for (int i = 0; i < 3000; ++i) {
    std::string text = good;
    for (int k = 0; k < 2; ++k) {
      size_t at = random() % text.size();
      if (random() % 2 == 0) {
        text[at] = static_cast<char>(random());
      } else {
        text.erase(at, random() % 30);
      }
      if (text.empty()) text = "x";
    }
    auto lock = lock_from_text("shop.lock", text);  // an answer, whatever it is
    if (auto* read = std::get_if<LockFile>(&lock)) lock_to_text(*read);
  }
}

TEST(DomainRelation, UnionByNameWidened) {
  auto relation = domain_relation(pipeline_of(""), example(), "orders");
  ASSERT_TRUE(relation.has_value());
  EXPECT_EQ(show(*relation), "id int64 not null\ntotal decimal(14,4)\nnote text\nclient_id text\n");
  EXPECT_EQ(relation->relation.key, std::vector<std::string>{"id"});
  EXPECT_EQ(relation->clients, (std::vector<std::string>{"acme", "globex"}));
  EXPECT_FALSE(domain_relation(pipeline_of(""), example(), "users").has_value());
}

TEST(DomainRelation, WhoDoesNotFitIsSetAsideAlone) {
  LockFile lock = example();
  // The first client by id differs from what the two others have.
  lock.domains["orders"]["acme"] =
      table("public.orders", {{"id", "int32", true}, {"total", "text"}, {"extra", "json"}});
  lock.domains["orders"]["initech"] = table("public.orders", {{"id", "int32", true}, {"total", "decimal(10,4)"}});
  EXPECT_EQ(show(*domain_relation(pipeline_of(""), lock, "orders")),
            "id int64 not null\ntotal decimal(10,4)\nclient_id text\n"
            "- acme: column \"total\" is text (source text), which does not fit decimal(10,4) of the other clients; "
            "change its "
            "type, or give the table a domain of its own\n");
  lock = example();
  lock.domains["orders"]["initech"] = table("public.orders", {{"id", "int32"}, {"number", "text", true}});
  EXPECT_EQ(show(*domain_relation(pipeline_of(""), lock, "orders")),
            "id int64 not null\ntotal decimal(14,4)\nnote text\nclient_id text\n"
            "- initech: its key is (number), that of the other clients (id); give the table the same key\n");
}

// acme sorts first, and yet it is the one to give way where it changed last.
TEST(DomainRelation, AmongAsManyWhoChangedLastGivesWay) {
  auto orders = [](const char* note) { return table("public.orders", {{"id", "int32", true}, {"note", note}}); };
  LockFile lock;
  lock.pipeline = "shop";
  auto look = [&](const std::string& client, const char* note) {
    LockFile before = std::get<LockFile>(lock_from_text("shop.lock", lock_to_text(lock)));  // as the file keeps it
    note_table(lock, before, "orders", client, orders(note));
    note_who_fits(pipeline_of(""), lock);
  };
  auto set_aside = [&] {
    auto relation = *domain_relation(pipeline_of(""), lock, "orders");
    return relation.set_aside.empty() ? "nobody" : relation.set_aside[0].client;
  };
  LockFile empty;
  for (const char* client : {"acme", "globex"}) note_table(lock, empty, "orders", client, orders("text"));
  EXPECT_TRUE(lock.changed.empty());
  look("acme", "bool");
  EXPECT_EQ(set_aside(), "acme");
  look("globex", "text");  // seen again as it was
  EXPECT_EQ(set_aside(), "acme");
  look("acme", "text");
  EXPECT_EQ(set_aside(), "nobody");
  look("globex", "bool");
  EXPECT_EQ(set_aside(), "globex");
  // A client that comes later, and a column that does.
  lock = LockFile{.pipeline = "shop", .domains = {}, .changed = {}, .as_it_fit = {}};
  note_table(lock, empty, "orders", "globex", orders("text"));
  look("acme", "bool");
  EXPECT_EQ(set_aside(), "acme");
  // Who fits stays, whatever others come with.
  look("initech", "bool");
  EXPECT_EQ(domain_relation(pipeline_of(""), lock, "orders")->clients, std::vector<std::string>{"globex"});
  // Of tables that are all new, what most have counts.
  lock = LockFile{.pipeline = "shop", .domains = {}, .changed = {}, .as_it_fit = {}};
  note_table(lock, empty, "orders", "acme", orders("text"));
  for (const char* client : {"globex", "initech"}) note_table(lock, empty, "orders", client, orders("bool"));
  note_who_fits(pipeline_of(""), lock);
  EXPECT_EQ(set_aside(), "acme");
}

// The shape of a table that does not fit stays what it was: rows that are served keep their columns and types.
class WhoStandsStill : public testing::Test {
 protected:
  struct Client {
    const char* id;
    std::vector<Shape> shapes;
  };
  void look(const std::vector<Client>& clients) {
    LockFile before = std::get<LockFile>(lock_from_text("shop.lock", lock_to_text(lock_)));
    for (const Client& client : clients) {
      std::vector<Shape> shapes{{"id", "int32", true}};
      shapes.insert(shapes.end(), client.shapes.begin(), client.shapes.end());
      note_table(lock_, before, "orders", client.id, table("public.orders", shapes));
    }
    note_who_fits(pipeline_of(""), lock_);
  }
  std::string shown() {
    auto relation = *domain_relation(pipeline_of(""), lock_, "orders");
    std::string out;
    for (const OutputColumn& column : relation.relation.columns)
      out += fmt::format("{} {} ", column.name, column.type.to_string());
    for (const SetAside& aside : relation.set_aside)
      out += fmt::format("- {}{} ", aside.client, aside.as_it_fit ? "" : " never fit");
    return out;
  }
  LockFile lock_{.pipeline = "shop", .domains = {}, .changed = {}, .as_it_fit = {}};
};

TEST_F(WhoStandsStill, TheRelationKeepsWhatTheyWere) {
  look({{"acme", {{"n", "int64"}}}, {"globex", {{"n", "int32"}}}});
  look({{"acme", {{"n", "bool"}}}});
  EXPECT_EQ(shown(), "id int32 n int64 - acme ");
  look({{"acme", {{"n", "bool"}, {"more", "text"}}}});  // again, and still as it was
  EXPECT_EQ(shown(), "id int32 n int64 - acme ");
  look({{"globex", {{"n", "uuid"}}}});  // would take its columns from acme's rows
  EXPECT_EQ(shown(), "id int32 n int64 - acme - globex ");
  look({{"globex", {{"n", "bool"}}}});  // now all are the same
  EXPECT_EQ(shown(), "id int32 n bool more text ");
}

TEST_F(WhoStandsStill, ItDoesNotChangeHands) {
  look({{"acme", {}}, {"globex", {}}});
  look({{"acme", {{"extra", "text"}}}});
  look({{"globex", {{"extra", "int32"}}}});
  EXPECT_EQ(shown(), "id int32 extra text - globex ");
  look({{"acme", {{"extra", "text"}, {"other", "bool"}}}});  // another column of who fits
  EXPECT_EQ(shown(), "id int32 extra text other bool - globex ");
  look({{"initech", {{"extra", "int64"}}}});  // two against one
  EXPECT_EQ(shown(), "id int32 extra text other bool - globex - initech never fit ");
  look({{"acme", {{"other", "bool"}}}});  // nobody who fits has it any more
  EXPECT_EQ(shown(), "id int32 other bool extra int64 ");
}

TEST_F(WhoStandsStill, AllComeOverTogetherBesideOneThatNeverFit) {
  look({{"acme", {{"n", "int32"}}}, {"globex", {{"n", "int32"}}}});
  LockFile before = lock_;
  note_table(lock_, before, "orders", "initech", table("public.orders", {{"number", "text", true}}));
  note_who_fits(pipeline_of(""), lock_);
  look({{"acme", {{"n", "text"}}}});
  EXPECT_EQ(shown(), "id int32 n int32 - acme - initech never fit ");
  look({{"globex", {{"n", "text"}}}});
  EXPECT_EQ(shown(), "id int32 n text - initech never fit ");
}

TEST_F(WhoStandsStill, StoredBytes) {
  look({{"acme", {{"n", "int64"}}}, {"globex", {{"n", "int32"}}}});
  look({{"acme", {{"n", "bool"}}}, {"initech", {{"n", "text"}}}});
  std::string path = std::string(TRIBUTARY_SOURCE_DIR) + "/tests/config/stored-set-aside.lock";
  std::ifstream file(path);
  std::string stored((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_EQ(lock_to_text(lock_), stored);
  lock_ = std::get<LockFile>(lock_from_text(path, stored));
  EXPECT_EQ(shown(), "id int32 n int64 - acme - initech never fit ");
}

TEST(DomainRelation, StaleEntriesDoNotCount) {
  LockFile lock = example();
  lock.domains["orders"]["gone"] = table("public.orders", {{"other", "text", true}});
  lock.domains["orders"]["initech"] = table("public.renamed", {{"other", "text", true}});
  EXPECT_EQ(domain_relation(pipeline_of(""), lock, "orders")->clients, (std::vector<std::string>{"acme", "globex"}));
}

}  // namespace
}  // namespace tributary
