// A program that calls procpool::init() itself, as a fully static one must: exits with 0 when a
// worker has run.

#include "launch/harness.hpp"
#include "procpool/init.hpp"

int main(int argc, char** argv) {
  procpool::init(argc, argv);
  using namespace procpool::testing;
  test_pool pool(procpool::start_method::spawn);
  return pool.run(make_job(job::leave, 9)).exit_status == 9 ? 0 : 1;
}
