// The visible text of an HTML document.
//
// Not a parser of HTML but a scanner that is good enough to count words: tags and comments go, and
// so does what stands between <script> or <style> and its end; character references (&amp;,
// &#8212;, &#xE9;) become UTF-8. A tag that breaks the flow of text (<p>, <td>, <br>, ...) leaves a
// space, one that does not (<b>, <span>, ...) leaves nothing, so that "<b>f</b>ile" is one word.
// Broken markup gives some text, never an error.

#pragma once

#include <string>
#include <string_view>

namespace demo {

std::string html_to_text(std::string_view html);

}  // namespace demo
