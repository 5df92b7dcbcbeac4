// One crash costs one task. A library that crashes on some inputs is run over all of them: the
// worker that dies is replaced, and only the input that killed it has no result.

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include <procpool/procpool.hpp>

namespace pp = procpool;

// Parses "<length>:<text>" and trusts its input, as too much code does.
std::size_t trusting_parser(const std::string& record) {
  const std::size_t length = std::stoul(record);
  if (length > 1000) std::abort();  // as a failed assertion does
  if (length == 0) std::exit(3);    // leaving by exit is a crash as well
  return record.substr(record.find(':') + 1, length).size();
}

int main() {
  pp::process_pool_executor pool({.max_workers = 2});

  int parsed = 0, crashed = 0, failed = 0;
  const std::vector<std::string> records = {"5:hello", "99999:x", "3:abc", "0:", "x:", "2:ok"};
  for (auto& outcome : pool.map(trusting_parser, records).outcomes()) {
    if (outcome) {
      std::printf("'%s': %zu bytes\n", records[outcome.index()].c_str(), *outcome);
      ++parsed;
      continue;
    }
    std::printf("'%s': %s\n", records[outcome.index()].c_str(), outcome.what().c_str());
    try {
      outcome.value();
    } catch (const pp::worker_crashed& death) {
      ++crashed;
      if (death.signal() != SIGABRT && death.exit_code() != 3) return 1;
    } catch (const std::invalid_argument&) {  // an exception: the worker lives on
      ++failed;
    }
  }

  // A crash that comes and goes is retried: the first run takes the file away and dies.
  char file[] = "/tmp/procpool_example_XXXXXX";
  ::close(::mkstemp(file));
  const auto flaky = [](const std::string& once) {
    if (std::filesystem::remove(once)) std::abort();
    return 42;
  };
  const int answer = pool.submit(pp::task_options{.retries = 1}, flaky, file).get();
  std::printf("the second attempt says %d\n", answer);
  return parsed == 3 && crashed == 2 && failed == 1 && answer == 42 ? 0 : 1;
}
