// What every raw store promises, held against each: the embedded one, and a MongoDB whose URI, without a database, is in
// TRIBUTARY_TEST_MONGODB (test_raw_mongodb.py gives two servers that speak its protocol).
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>

#include "model/gather.h"
#include "storage/temporary_directory.h"
#include "store/mongodb/mongo_raw.h"
#include "store/raw/embedded_raw.h"
#include "store/raw/raw_for_test.h"

namespace tributary {
namespace {

constexpr const char* uri_variable = "TRIBUTARY_TEST_MONGODB";

// One store, as a program has it that starts again and again.
class RawUnderTest {
 public:
  virtual ~RawUnderTest() = default;
  virtual RawStore& store() = 0;
  virtual void reopen() = 0;

  std::vector<SchemaPtr> schemas;

 protected:
  SchemaLookup lookup() {
    return [this](const ClientId&, const std::string& table, uint32_t version) {
      for (const SchemaPtr& schema : schemas) {
        if (schema->table == table && schema->version == version) return Result<SchemaPtr>(schema);
      }
      return Result<SchemaPtr>(Error{ErrorCode::kNotFound, "no such schema"});
    };
  }
};

class EmbeddedUnderTest final : public RawUnderTest {
 public:
  EmbeddedUnderTest() { reopen(); }
  RawStore& store() override { return *raw_; }
  void reopen() override {
    raw_.reset();
    storage_.reset();
    auto opened = Storage::open(directory_.path(), {});
    CHECK(opened.ok(), "{}", opened.error().to_string());
    storage_ = std::move(*opened);
    raw_ = std::make_unique<EmbeddedRaw>(*storage_, lookup());
  }

 private:
  TemporaryDirectory directory_;
  std::unique_ptr<Storage> storage_;
  std::unique_ptr<EmbeddedRaw> raw_;
};

class MongoUnderTest final : public RawUnderTest {
 public:
  MongoUnderTest() {
    static int number = 0;
    std::string uri = std::getenv(uri_variable);
    size_t options = std::min(uri.find('?'), uri.size());
    std::string slash = uri.substr(0, options).ends_with("/") ? "" : "/";
    options_.uri = fmt::format("{}{}tributary_test_{}_{}{}", uri.substr(0, options), slash, ::getpid(), ++number,
                               uri.substr(options));
    options_.owner = "of this test";
    reopen();
  }
  ~MongoUnderTest() override {
    auto connection = MongoConnection::open(options_.uri, "");
    Bson drop;
    bson_append_int32(drop.get(), "dropDatabase", -1, 1);
    if (connection.ok()) (void)MongoSession(**connection).write_command(*drop);
  }
  MongoRaw& store() override { return *raw_; }
  void reopen() override {
    auto opened = MongoRaw::open(options_, lookup());
    CHECK(opened.ok(), "{}", opened.error().to_string());
    raw_ = std::move(*opened);
  }
  MongoRawOptions& options() { return options_; }

 private:
  MongoRawOptions options_;
  std::unique_ptr<MongoRaw> raw_;
};

class RawContract : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (on_mongodb() && std::getenv(uri_variable) == nullptr) GTEST_SKIP() << uri_variable << " names no server";
    if (on_mongodb()) {
      raw = std::make_unique<MongoUnderTest>();
    } else {
      raw = std::make_unique<EmbeddedUnderTest>();
    }
  }
  bool on_mongodb() const { return GetParam() == "mongodb"; }
  RawStore& store() { return raw->store(); }
  void write(std::span<const LogBlock> blocks) {
    Status status = store().write(blocks);
    ASSERT_TRUE(status.ok()) << status.error().to_string();
  }

  std::unique_ptr<RawUnderTest> raw;
};

std::set<std::string> describe_batch(const EventBatch& batch) {
  std::set<std::string> out;
  for (size_t row = 0; row < batch.rows(); ++row) out.insert(describe(batch, row));
  for (const RangeFact& range : batch.ranges) out.insert(describe(range));
  return out;
}

// Any order, duplication and splitting of the same events, over any number of writes and restarts, is the same set.
TEST_P(RawContract, IsASetWhateverTheBlocks) {
  SchemaPtr schema = RandomBatch(0).schema("public.things");
  raw->schemas = {schema};
  uint64_t seeds =
      on_mongodb() ? 6 : 120;  // one store for all, since opening takes longest; each seed is a client of its own
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    RandomBatch random(seed);
    ClientId client("client" + std::to_string(seed));
    std::vector<EventBatch> originals;
    std::set<std::string> expected;
    for (int i = 0; i < 6; ++i) {
      EventBatch batch = random.batch(client, "things", schema, random.below(60), 8);
      if (batch.empty()) continue;
      originals.push_back(batch);
      expected.merge(describe_batch(batch));
    }
    if (originals.empty()) continue;
    std::vector<LogBlock> blocks;
    auto add_pieces = [&](const EventBatch& batch) {
      uint32_t begin = 0;
      auto rows = static_cast<uint32_t>(batch.rows());
      while (begin < rows) {
        uint32_t end = begin + 1 + static_cast<uint32_t>(random.below(rows - begin));
        EventBatch piece = slice(batch, begin, end);
        if (begin == 0 || random.one_in(3)) piece.ranges = batch.ranges;
        blocks.push_back(block_of(piece));
        if (random.one_in(2)) {  // as a log gives it that has other forms
          blocks.back().bytes.clear();
          blocks.back().decoded = std::make_shared<const EventBatch>(std::move(piece));
        }
        begin = end;
      }
      if (rows == 0) blocks.push_back(block_of(batch));
    };
    for (const EventBatch& batch : originals) add_pieces(batch);
    for (int i = 0; i < 4; ++i) add_pieces(originals[random.below(originals.size())]);
    for (size_t i = blocks.size(); i > 1; --i) std::swap(blocks[i - 1], blocks[random.below(i)]);

    for (size_t begin = 0; begin < blocks.size();) {
      size_t count = std::min<size_t>(1 + random.below(4), blocks.size() - begin);
      write(std::span(blocks).subspan(begin, count));
      if (HasFatalFailure()) return;
      begin += count;
      if (random.one_in(300)) raw->reopen();
    }
    std::multiset<std::string> got = describe_all(store(), {.client = client});
    EXPECT_EQ(got, std::multiset<std::string>(expected.begin(), expected.end())) << "seed=" << seed;
  }
}

// Every value of every type, what is absent, images before, moved keys: as they were written, also after a restart.
TEST_P(RawContract, EventsComeBackExactly) {
  RandomBatch random(11);
  raw->schemas = {random.schema("public.things", 1), random.schema("public.things", 2)};
  std::map<std::string, EventBatch> written;  // by identity; one event each
  std::vector<LogBlock> blocks;
  for (uint32_t i = 0; i < 8; ++i) {
    EventBatch batch = random.batch(acme, "things", raw->schemas[i % 2], 40);
    for (uint32_t row = 0; row < batch.rows(); ++row) written.emplace(describe(batch, row), slice(batch, row, row + 1));
    for (const RangeFact& range : batch.ranges) {
      EventBatch alone(acme, "things", batch.schema);
      alone.ranges.push_back(range);
      written.emplace(describe(range), alone);
    }
    blocks.push_back(block_of(batch));
  }
  write(blocks);
  raw->reopen();
  size_t seen = 0;
  Status read = store().read({.client = acme, .domain = "things"}, [&](const EventBatch& batch) {
    for (uint32_t row = 0; row < batch.rows(); ++row, ++seen) {
      auto original = written.find(describe(batch, row));
      EXPECT_TRUE(original != written.end() && same_events(slice(batch, row, row + 1), original->second))
          << describe(batch, row);
      EXPECT_TRUE(original == written.end() || batch.schema->version == original->second.schema->version);
    }
    for (const RangeFact& range : batch.ranges) {
      ++seen;
      auto original = written.find(describe(range));
      EXPECT_TRUE(original != written.end() && original->second.ranges.front() == range) << describe(range);
    }
    return true;
  });
  EXPECT_TRUE(read.ok()) << read.error().to_string();
  EXPECT_EQ(seen, written.size());
}

TEST_P(RawContract, QueriesGiveExactlyWhatMatches) {
  RandomBatch random(6);
  SchemaPtr schema = random.schema("t");
  raw->schemas = {schema};
  std::vector<EventBatch> all;
  for (uint64_t i = 0; i < 20; ++i) {
    EventBatch batch = stream(schema, i * 50, 50, random);
    if (i % 2 == 1) batch.domain = "other";
    if (i % 5 == 4)
      batch.ranges.push_back(
          {RangeKind::kTruncate, {1, i * 50 + 49, 0, 0}, "", "", static_cast<int64_t>(i) * 50'000, 1});
    all.push_back(batch);
    write(std::array{block_of(batch, static_cast<uint32_t>(i % 3))});
  }
  EventBatch foreign = stream(schema, 0, 50, random);
  foreign.client = ClientId("acme2");
  write(std::array{block_of(foreign)});
  if (HasFatalFailure()) return;

  for (int i = 0; i < (on_mongodb() ? 60 : 200); ++i) {
    RawQuery query{.client = acme};
    if (random.one_in(2)) query.domain = random.one_in(2) ? "things" : "other";
    if (random.one_in(2)) {
      const EventBatch& batch = all[random.below(all.size())];
      for (uint64_t keys = 1 + random.below(3); keys > 0; --keys)
        query.keys.insert(batch.row_key(random.below(batch.rows())));
    }
    if (random.one_in(2)) query.after = Position{1, random.below(1'000), 0, 0};
    if (random.one_in(2)) query.up_to = Position{1, random.below(1'000), 0, 0};
    if (random.one_in(2)) query.from_micros = static_cast<int64_t>(random.below(1'100'000));
    if (random.one_in(2)) query.to_micros = static_cast<int64_t>(random.below(1'100'000));
    std::multiset<std::string> expected;
    auto in_time = [&](int64_t micros) {
      return (!query.from_micros || micros >= *query.from_micros) && (!query.to_micros || micros < *query.to_micros);
    };
    auto is_newer = [&](const Position& position) {
      return (!query.after || position > *query.after) && (!query.up_to || position <= *query.up_to);
    };
    for (const EventBatch& batch : all) {
      if (!query.domain.empty() && batch.domain != query.domain) continue;
      for (size_t row = 0; row < batch.rows(); ++row) {
        if (in_time(batch.commit_micros[row]) && is_newer(batch.positions[row]) &&
            (query.keys.empty() || query.keys.contains(batch.row_key(row)))) {
          expected.insert(describe(batch, row));
        }
      }
      for (const RangeFact& range : batch.ranges) {
        if (in_time(range.commit_micros) && is_newer(range.position)) expected.insert(describe(range));
      }
    }
    ASSERT_EQ(describe_all(store(), query), expected) << "query " << i;
  }
}

TEST_P(RawContract, VisitStopsWhenToldTo) {
  RandomBatch random(8);
  raw->schemas = {random.schema("t", 1), random.schema("t", 2)};
  for (uint64_t i = 0; i < 5; ++i) write(std::array{block_of(stream(raw->schemas[i % 2], i * 10, 10, random))});
  int visits = 0;
  ASSERT_TRUE(store().read({.client = acme}, [&](const EventBatch&) { return ++visits < 2; }).ok());
  EXPECT_EQ(visits, 2);
}

// A piece ends somewhere, the next one goes on there, and together they are everything, with what was added behind.
TEST_P(RawContract, ScansGiveEverythingOncePieceByPiece) {
  RandomBatch random(9);
  SchemaPtr schema = random.schema("t");
  raw->schemas = {schema};
  std::set<std::string> expected;
  auto add = [&](uint64_t i) {
    EventBatch batch = stream(schema, i * 40, 40, random);
    expected.merge(describe_batch(batch));
    write(std::array{block_of(batch)});
  };
  for (uint64_t i = 0; i < 6; ++i) add(i);
  EventBatch foreign = stream(schema, 0, 10, random);
  foreign.client = ClientId("acme_2");
  write(std::array{block_of(foreign)});
  std::multiset<std::string> got;
  std::string cursor;
  int pieces = 0;
  for (bool end = false; !end; ++pieces) {
    auto piece = store().scan(acme, "things", cursor, 2000);
    ASSERT_TRUE(piece.ok()) << piece.error().to_string();
    for (const EventBatch& batch : piece->batches) {
      for (const std::string& event : describe_batch(batch)) got.insert(event);
    }
    cursor = piece->cursor;
    end = piece->end;
    if (pieces == 0) raw->reopen();
    if (pieces == 1) add(6);
  }
  EXPECT_GT(pieces, 3);
  EXPECT_EQ(got, std::multiset<std::string>(expected.begin(), expected.end()));
  auto count = store().count(acme, "things");
  ASSERT_TRUE(count.ok()) << count.error().to_string();
  EXPECT_EQ(*count, expected.size());
  auto none = store().scan(ClientId("nobody"), "things", "", 2000);
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(none->end && none->batches.empty());
}

// An event over MongoDB's 16 MB is there like any other, and those beside it.
TEST_P(RawContract, AnEventOfAnySizeComesBack) {
  auto schema = std::make_shared<TableSchema>();
  schema->table = "t";
  schema->version = 1;
  schema->columns.push_back({"id", {TypeId::kInt64}, "bigint", true, false});
  schema->columns.push_back({"body", {TypeId::kBytes}, "bytea", false, true});
  schema->key_columns = {0};
  raw->schemas = {schema};
  EventBatch batch(acme, "things", schema);
  Random random(5);
  for (int64_t id = 0; id < 3; ++id) {
    batch.ops.push_back(Op::kCreate);
    batch.positions.push_back({1, 10, 10, static_cast<uint32_t>(id)});
    batch.commit_micros.push_back(1000);
    batch.transactions.push_back(1);
    batch.columns[0].append_fixed<int64_t>(id);
    std::string body(id == 1 ? 18 << 20 : 100, '\0');
    for (char& c : body) c = static_cast<char>(random.next());
    batch.columns[1].append_bytes(body);
  }
  for (int i = 0; i < 2; ++i) write(std::array{block_of(batch)});
  raw->reopen();
  std::map<int64_t, std::string> bodies;
  Status read = store().read({.client = acme, .domain = "things"}, [&](const EventBatch& got) {
    for (size_t row = 0; row < got.rows(); ++row)
      EXPECT_TRUE(bodies.emplace(got.columns[0].fixed<int64_t>(row), got.columns[1].bytes(row)).second);
    return true;
  });
  ASSERT_TRUE(read.ok()) << read.error().to_string();
  ASSERT_EQ(bodies.size(), 3U);
  for (size_t row = 0; row < 3; ++row)
    EXPECT_TRUE(bodies.at(static_cast<int64_t>(row)) == batch.columns[1].bytes(row)) << row;
}

INSTANTIATE_TEST_SUITE_P(Stores, RawContract, testing::Values("embedded", "mongodb"),
                         [](const auto& of) { return of.param; });

// What MongoDB alone has to say.
class MongoRawTest : public testing::Test {
 protected:
  void SetUp() override {
    if (std::getenv(uri_variable) == nullptr) GTEST_SKIP() << uri_variable << " names no server";
    raw = std::make_unique<MongoUnderTest>();
  }
  std::unique_ptr<MongoUnderTest> raw;
};

TEST_F(MongoRawTest, ADatabaseBelongsToOneDataDirectory) {
  RandomBatch random(3);
  raw->schemas = {random.schema("t")};
  ASSERT_TRUE(raw->store().write(std::array{block_of(stream(raw->schemas[0], 1, 3, random))}).ok());
  EXPECT_TRUE(raw->store().check_server().ok());
  raw->options().owner = "of another";
  raw->reopen();
  Status refused = raw->store().write(std::array{block_of(stream(raw->schemas[0], 10, 3, random))});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kAlreadyExists) << refused.error().to_string();
  EXPECT_EQ(raw->store().check_server().error().code, ErrorCode::kAlreadyExists);
  raw->options().owner = "of this test";
  raw->reopen();
  EXPECT_EQ(describe_all(raw->store(), {.client = acme}).size(), 3U);
}

TEST_F(MongoRawTest, WhatIsTooLargeIsTold) {
  RandomBatch random(3);
  raw->schemas = {random.schema("t")};
  raw->options().document_bytes_max = 400;  // some of the documents
  raw->reopen();
  EventBatch batch = stream(raw->schemas[0], 1, 30, random);
  ASSERT_TRUE(raw->store().write(std::array{block_of(batch)}).ok());
  EXPECT_NE(raw->store().set_aside().find("kept in pieces"), std::string::npos) << raw->store().set_aside();
  EXPECT_EQ(describe_all(raw->store(), {.client = acme}).size(), 30U);
}

TEST(MongoAddress, SaysWhatToWriteAndRepeatsNothing) {
  SchemaLookup none = [](const ClientId&, const std::string&, uint32_t) {
    return Result<SchemaPtr>(Error{ErrorCode::kNotFound, ""});
  };
  for (const char* uri : {"mongodb://secret@host", "mongodb://host/db?nonsense", "mongodb://",
                          "mongodb://host:secret/db", "mongodb://host/db?w=0secret&tls=maybe"}) {
    auto opened = MongoRaw::open({.uri = uri, .password = {}, .owner = {}}, none);
    if (opened.ok()) continue;
    EXPECT_EQ(opened.error().code, ErrorCode::kInvalidInput) << uri;
    EXPECT_EQ(opened.error().message.find("secret"), std::string::npos) << opened.error().message;
  }
  EXPECT_FALSE(MongoRaw::open({.uri = "mongodb://host", .password = {}, .owner = {}}, none).ok());
  EXPECT_FALSE(MongoRaw::open({.uri = "mongodb://host/raw", .password = "p", .owner = {}}, none).ok());
  EXPECT_TRUE(MongoRaw::open({.uri = "mongodb://user@host/raw", .password = "p", .owner = {}}, none).ok());
}

TEST(MongoErrors, ElectionsAndShutdownsAreWaitedFor) {
  for (uint32_t code : {10107U, 13435U, 11600U, 11602U, 91U, 189U, 64U})
    EXPECT_EQ(mongo_error_code(MONGOC_ERROR_SERVER, code), ErrorCode::kUnavailable) << code;
  EXPECT_EQ(mongo_error_code(MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET), ErrorCode::kUnavailable);
  EXPECT_EQ(mongo_error_code(MONGOC_ERROR_SERVER, 18), ErrorCode::kPermissionDenied);
  EXPECT_EQ(mongo_error_code(MONGOC_ERROR_SERVER, 10334), ErrorCode::kInvalidInput);
}

}  // namespace
}  // namespace tributary
