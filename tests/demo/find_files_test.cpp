#include "demo/find_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "demo/temporary_folder.hpp"

namespace {

using demo::find_files;
using demo::in_blocks;
using testing::ElementsAre;
using testing::IsEmpty;

class FindFiles : public testing::Test {
 protected:
  demo_test::temporary_folder folder_;
};

TEST_F(FindFiles, HtmlFilesInOrder) {
  const std::string b = folder_.write("b.html", "");
  const std::string a = folder_.write("sub/deep/a.HTM", "");
  const std::string x = folder_.write("sub/x.xhtml", "");
  folder_.write("picture.png", "");
  folder_.write("html", "");
  const demo::found_files found = find_files(folder_.path());
  EXPECT_TRUE(found.only_html);
  EXPECT_THAT(found.paths, ElementsAre(b, a, x));
  EXPECT_THAT(found.problems, IsEmpty());
}

TEST_F(FindFiles, EveryFileWhenNoneIsHtml) {
  const std::string a = folder_.write("a.txt", "");
  const std::string b = folder_.write("sub/b", "");
  const demo::found_files found = find_files(folder_.path());
  EXPECT_FALSE(found.only_html);
  EXPECT_THAT(found.paths, ElementsAre(a, b));
}

TEST_F(FindFiles, HiddenFilesAndLinkedFoldersAreLeftOut) {
  folder_.write(".hidden.html", "");
  folder_.write(".git/a.html", "");
  const std::string a = folder_.write("sub/a.html", "");
  std::filesystem::create_directory_symlink(folder_.path(), folder_.path() / "loop");
  std::filesystem::create_symlink("nowhere", folder_.path() / "dangling.html");
  EXPECT_THAT(find_files(folder_.path()).paths, ElementsAre(a));
}

TEST_F(FindFiles, AnEmptyFolderHasNoFiles) {
  EXPECT_THAT(find_files(folder_.path()).paths, IsEmpty());
}

TEST_F(FindFiles, AFolderMustBeThereAndBeAFolder) {
  const auto message = [](const std::filesystem::path& path) -> std::string {
    try {
      find_files(path);
    } catch (const std::invalid_argument& e) {
      return e.what();
    }
    return "no error";
  };
  const std::string missing = (folder_.path() / "missing").string();
  EXPECT_EQ(message(missing), "there is no folder " + missing);
  const std::string file = folder_.write("file", "");
  EXPECT_EQ(message(file), file + " is not a folder");
}

TEST_F(FindFiles, BlocksCoverTheListInOrder) {
  const std::vector<std::string> list = {"a", "b", "c", "d", "e"};
  EXPECT_THAT(in_blocks(list, 2),
              ElementsAre(ElementsAre("a", "b"), ElementsAre("c", "d"), ElementsAre("e")));
  EXPECT_THAT(in_blocks(list, 5), ElementsAre(list));
  EXPECT_THAT(in_blocks(list, 9), ElementsAre(list));
  EXPECT_THAT(in_blocks({}, 3), IsEmpty());
}

}  // namespace
