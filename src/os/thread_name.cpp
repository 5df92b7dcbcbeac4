#include "os/thread_name.hpp"

#include <pthread.h>

#include <cstring>

namespace procpool::os {

void name_this_thread(const std::string& name) noexcept {
  char text[longest_thread_name + 1] = {};
  std::strncpy(text, name.c_str(), longest_thread_name);
  pthread_setname_np(pthread_self(), text);
}

}  // namespace procpool::os
