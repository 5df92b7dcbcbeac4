#include "procpool/detail/task/code_ref.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <thread>
#include <vector>

#include "launch/harness.hpp"
#include "procpool/errors.hpp"

namespace procpool::testing {
namespace {

namespace fs = std::filesystem;
using function = std::uint64_t (*)(std::uint64_t);

std::uint64_t add_one(std::uint64_t x) { return x + 1; }

template <class F>
const void* address_of(F* f) {
  return reinterpret_cast<const void*>(f);
}

class code_ref_test : public launch_test {};
PROCPOOL_LAUNCH_TESTS(code_ref_test);

// Lets a fresh worker call it: the result, or 0 and the error in the note.
std::uint64_t call_in_worker(test_pool& pool, detail::code_ref ref, std::uint64_t argument,
                             std::uint32_t incarnation = 0) {
  note& n = pool.at(0);
  n.text[0] = '\0';
  n.code = ref.bits;
  n.value = argument;
  EXPECT_EQ(pool.run(make_job(job::call), incarnation).exit_status, 0);
  return n.text[0] == '\0' ? n.value : 0;
}

TEST_P(code_ref_test, a_function_of_the_program) {
  test_pool pool(GetParam());
  EXPECT_EQ(call_in_worker(pool, detail::to_code_ref(address_of(&add_one)), 41), 42U);
}

TEST_P(code_ref_test, a_function_of_a_library_that_is_always_loaded) {
  test_pool pool(GetParam());
  const auto ref = detail::to_code_ref(::dlsym(RTLD_DEFAULT, "labs"));
  EXPECT_EQ(call_in_worker(pool, ref, static_cast<std::uint64_t>(-7)), 7U);
}

// A copy of one of the two builds, under a name of its own, loaded in this process.
class loaded_plugin {
 public:
  explicit loaded_plugin(const std::string& name)
      : path_(fs::temp_directory_path() / (name + std::to_string(::getpid()) + ".so")) {
    fs::copy_file(build(2), path_, fs::copy_options::overwrite_existing);
    handle_ = ::dlopen(path_.c_str(), RTLD_NOW);
    EXPECT_NE(handle_, nullptr);
  }
  ~loaded_plugin() {
    ::dlclose(handle_);  // the next one may come to lie at the same address
    fs::remove(path_);
  }
  loaded_plugin(const loaded_plugin&) = delete;
  loaded_plugin& operator=(const loaded_plugin&) = delete;

  detail::code_ref ref() const { return detail::to_code_ref(::dlsym(handle_, "multiply")); }
  void replace() {
    // A new file under the name, as an update of a package does it.
    const fs::path next = path_.string() + ".new";
    fs::copy_file(build(3), next);
    fs::rename(next, path_);
  }
  void remove() { fs::remove(path_); }

 private:
  static fs::path build(int factor) {
    return fs::path(PROCPOOL_TEST_PLUGIN_DIR) / ("multiply_by_" + std::to_string(factor) + ".so");
  }

  fs::path path_;
  void* handle_ = nullptr;
};

TEST_P(code_ref_test, a_library_that_is_loaded_after_the_workers_have_started) {
  test_pool pool(GetParam());
  pool.start(1, make_job(job::sleep));
  const loaded_plugin plugin("procpool_late_" + method_name({GetParam(), 0}));
  EXPECT_EQ(call_in_worker(pool, plugin.ref(), 21), 42U) << pool.at(0).text;
}

TEST_P(code_ref_test, another_build_of_a_library_is_an_error_of_that_call_alone) {
  test_pool pool(GetParam());
  pool.start(1, make_job(job::sleep));  // the spare is forked by now, too
  loaded_plugin plugin("procpool_replaced_" + method_name({GetParam(), 0}));
  const auto ref = plugin.ref();
  plugin.replace();
  EXPECT_EQ(call_in_worker(pool, ref, 21), 0U);
  EXPECT_NE(std::string(pool.at(0).text).find("is another build"), std::string::npos)
      << pool.at(0).text;
  EXPECT_EQ(call_in_worker(pool, detail::to_code_ref(address_of(&add_one)), 1, 1), 2U);
}

TEST_P(code_ref_test, a_library_that_has_been_removed_is_an_error_of_that_call_alone) {
  test_pool pool(GetParam());
  loaded_plugin plugin("procpool_removed_" + method_name({GetParam(), 0}));
  const auto ref = plugin.ref();
  plugin.remove();
  EXPECT_EQ(call_in_worker(pool, ref, 21), 0U);
  EXPECT_NE(std::string(pool.at(0).text).find("cannot be loaded"), std::string::npos)
      << pool.at(0).text;
}

TEST(code_ref_in_place, comes_back_as_the_same_address) {
  for (const void* address : {address_of(&add_one), address_of(&std::labs)}) {
    EXPECT_EQ(detail::from_code_ref(detail::to_code_ref(address)), address);
  }
}

TEST(code_ref_in_place, equal_addresses_have_equal_references) {
  const auto first = detail::to_code_ref(address_of(&add_one));
  detail::to_code_ref(::dlsym(RTLD_DEFAULT, "labs"));
  EXPECT_EQ(detail::to_code_ref(address_of(&add_one)), first);
  EXPECT_NE(first.bits, 0U);
}

TEST(code_ref_in_place, many_threads_register_at_once) {
  const auto expected = detail::to_code_ref(address_of(&add_one));
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (const char* name : {"labs", "cos", "dlopen", "malloc"}) {
        const void* address = ::dlsym(RTLD_DEFAULT, name);
        if (address == nullptr) continue;
        const auto ref = detail::to_code_ref(address);
        if (detail::from_code_ref(ref) != address) ++wrong;
        if (detail::to_code_ref(address_of(&add_one)) != expected) ++wrong;
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(wrong, 0);
}

TEST(code_ref_in_place, addresses_outside_of_the_code_of_modules_are_refused) {
  const auto heap = std::make_unique<int>(0);
  EXPECT_THROW(detail::to_code_ref(heap.get()), error);
  EXPECT_THROW(detail::to_code_ref(nullptr), error);
}

TEST(code_ref_in_place, invalid_references_are_refused) {
  const auto good = detail::to_code_ref(address_of(&add_one));
  EXPECT_THROW(detail::from_code_ref({}), error);
  EXPECT_THROW(detail::from_code_ref({~std::uint64_t{0}}), error);
  EXPECT_THROW(detail::from_code_ref({std::uint64_t{200} << 48 | 16}), error);
  EXPECT_THROW(detail::from_code_ref({good.bits | 0xffff'ffff'ffff}), error);
}

}  // namespace
}  // namespace procpool::testing
