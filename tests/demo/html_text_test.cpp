#include "demo/html_text.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <string>

namespace {

using demo::html_to_text;

TEST(HtmlText, PlainTextIsLeftAlone) {
  EXPECT_EQ(html_to_text(""), "");
  EXPECT_EQ(html_to_text("two words"), "two words");
}

TEST(HtmlText, TagsThatBreakTheFlowLeaveASpace) {
  EXPECT_EQ(html_to_text("a<p>b</p>c"), "a b c");
  EXPECT_EQ(html_to_text("a<br/>b<BR>c"), "a b c");
  EXPECT_EQ(html_to_text("<td class=x>1</td><td>2</td>"), " 1  2 ");
}

TEST(HtmlText, TagsInsideAWordLeaveNothing) {
  EXPECT_EQ(html_to_text("<b>f</b>ile"), "file");
  EXPECT_EQ(html_to_text("un<SPAN id='x'>order</SPAN>ed"), "unordered");
}

TEST(HtmlText, AQuotedValueMayHoldAnAngleBracket) {
  EXPECT_EQ(html_to_text("<a title=\"x > y\">z</a>"), "z");
  EXPECT_EQ(html_to_text("<a title = '>' b=\">\">z</a>"), "z");
  EXPECT_EQ(html_to_text("<a title=x's>z</a>"), "z") << "a quote that does not begin a value";
}

TEST(HtmlText, ScriptsStylesAndCommentsAreRemoved) {
  EXPECT_EQ(html_to_text("a<script>if (1 < 2) x('</b>');</script>b"), "a  b");
  EXPECT_EQ(html_to_text("a<STYLE type=t>p > q {}</Style >b"), "a  b");
  EXPECT_EQ(html_to_text("a<!-- <p> > -->b"), "a b");
  EXPECT_EQ(html_to_text("<!DOCTYPE html><?xml version?>a"), "  a");
}

TEST(HtmlText, CharacterReferences) {
  EXPECT_EQ(html_to_text("&lt;vector&gt; &amp;amp; &quot;"), "<vector> &amp; \"");
  EXPECT_EQ(html_to_text("&#65;&#x42;&#X43;"), "ABC");
  EXPECT_EQ(html_to_text("&eacute;&#8212;&#x1F600;"), "\u00E9\u2014\U0001F600");
}

TEST(HtmlText, InvalidReferencesAreKept) {
  for (const std::string text : {"a & b", "a && b", "&;", "&nosuchname;", "&#;", "&#x;", "&#xD800;",
                                 "&#1114112;", "&#12x;", "&#99999999999999;", "&", "&amp"}) {
    EXPECT_EQ(html_to_text(text), text);
  }
}

TEST(HtmlText, TextThatIsNoTagIsKept) {
  for (const std::string text : {"a < b", "a <= b", "<", "<<", "1<2"}) {
    EXPECT_EQ(html_to_text(text), text);
  }
}

TEST(HtmlText, BrokenMarkupEndsWithTheDocument) {
  for (const std::string tail :
       {"<p", "<p class", "<p class=", "<p class='x", "</", "<!--", "<!-- x", "<!", "<script>x",
        "<script>x</", "<script>x</scrip", "<style"}) {
    EXPECT_TRUE(html_to_text("a" + tail).starts_with("a")) << tail;
  }
  EXPECT_EQ(html_to_text("a<p class='x").substr(0, 2), "a ");
}

// Any prefix of a document is a document; this finds reads past the end under the address
// sanitizer.
TEST(HtmlText, EveryPrefixIsHandled) {
  const std::string document =
      "<!DOCTYPE html><html><head><title>A&amp;B</title><script>var "
      "s='<\\/script>';</script></head>"
      "<body class=\"a>b\"><!-- c --><p>caf&eacute; <b>x</b>y &#x20AC;</p></body></html>";
  for (std::size_t n = 0; n <= document.size(); ++n) {
    const std::string prefix(document, 0, n);
    EXPECT_LE(html_to_text(prefix).size(), n + 1);
  }
}

}  // namespace
