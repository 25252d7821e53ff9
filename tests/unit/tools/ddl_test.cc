// sidecast ddl: prints the table of a destination, or says what it should have been asked.
#include <gtest/gtest.h>

#include "tests/unit/tools/program.h"

namespace sidecast {
namespace {

TEST(Ddl, PrintsTheTableWithTheNamesGiven) {
  const Ended ended = run({"ddl", "clickhouse", "table=T1", "database=d"});
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_TRUE(ended.out.starts_with("CREATE TABLE IF NOT EXISTS `d`.`T1` (\n  TRACE_ID String,"))
      << ended.out;
  for (const char* type : {"snowflake", "bigquery", "supabase"}) {
    EXPECT_EQ(run({"ddl", type}).exit_code, 0) << type;
  }
}

TEST(Ddl, SaysWhatItShouldHaveBeenAsked) {
  EXPECT_EQ(run({"ddl", "clickhous"}).exit_code, 2);
  EXPECT_EQ(run({"ddl", "s3"}).exit_code, 2) << "it has no table";
  EXPECT_EQ(run({"ddl", "clickhouse", "tabel=x"}).exit_code, 2);
}

}  // namespace
}  // namespace sidecast
