// Another program, which is given lines and answers with lines. It is never waited for without a
// bound: a program that does not answer is killed, and answers nothing from then on.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace bench {

class conversation {
 public:
  // Found by PATH; what it writes to standard error is dropped.
  explicit conversation(const std::vector<std::string>& command);
  conversation(const conversation&) = delete;
  conversation& operator=(const conversation&) = delete;
  ~conversation();

  bool send(const std::string& lines);
  // No more lines will be sent.
  void finish_sending();
  // Waits for so many seconds at most.
  std::optional<std::string> line(double patience);
  // A line, and its answer: a figure, negative if there is none, and then more numbers, which are
  // appended.
  double ask(const std::string& line, double patience, std::vector<double>* more = nullptr);

 private:
  void give_up();
  pid_t pid_ = -1;
  int to_ = -1, from_ = -1;
  std::string heard_;
};

}  // namespace bench
