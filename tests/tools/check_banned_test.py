import unittest

from planted import PlantedTest


class CheckBanned(PlantedTest):
    tool = 'check_banned.py'

    def test_standard_waits(self):
        self.assert_caught('src/shm/a.cpp', 'std::counting_semaphore<1> s{0};', 'one process only')
        self.assert_caught('include/procpool/a.hpp', '#include <latch>\n', '<latch>')
        self.assert_caught('src/shm/a.cpp', 'void f() { std::atomic_notify_all(&w); }', 'os/futex.hpp')

    def test_atomic_member_waits(self):
        declared = 'struct s { std::atomic<std::uint32_t> bell; };\n'
        self.assert_caught('src/shm/a.hpp', declared + 'inline void f(s& x) { x.bell.wait(0); }',
                           'bell.wait')
        self.assert_caught('src/shm/a.hpp', declared + 'inline void f(s* x) { x->bell.notify_one(); }',
                           'bell.notify_one')

    def test_private_futex(self):
        self.assert_caught('src/os/futex.cpp', 'int op = FUTEX_WAIT_PRIVATE;', 'private futex')
        self.assert_caught('src/os/futex.cpp', 'int op = 0 | FUTEX_PRIVATE_FLAG;', 'private futex')

    def test_kill(self):
        self.assert_caught('src/pool/a.cpp', 'void f() { ::kill(pid, 9); }', 'pid may be reused')
        self.assert_clean('src/launch/a.cpp', 'void f() { kill(pid, 9); }')
        self.assert_clean('src/pool/a.cpp', 'void process::kill() { handle_.kill(9); }')

    def test_exit(self):
        for call in ('exit(1)', '::exit(1)', 'std::exit(1)', 'std::quick_exit(1)'):
            self.assert_caught('src/worker/a.cpp', f'void f() {{ {call}; }}', '_exit only')
        self.assert_clean('src/worker/a.cpp', 'void f() { _exit(1); ::_exit(1); at_exit(1); }')

    def test_pointers_in_shared_memory(self):
        for member in ('std::byte* data;', 'std::string name;', 'std::vector<int> items;',
                       'alignas(8) void* next = nullptr;', 'void* next{nullptr};'):
            self.assert_caught('src/shm/a.hpp',
                               'struct slot {\n  u64 a;\n  ' + member + '\n};\n'
                               'static_assert(sizeof(slot) == 16);\n', 'another process')

    def test_pids_in_shared_memory(self):
        for member in ('pid_t owner;', 'std::atomic<pid_t> owner = 0;', 'u32 pid;',
                       'std::atomic<u32> owner_pid{0};', 'alignas(64) u32 pid_of_seat[8];',
                       'u32 code, tid;', 'std::int32_t worker_pids_[4];'):
            line = 'struct alignas(64) worker_line {\n  u64 a;\n  ' + member + '\n};\n'
            for header in ('layout.hpp', 'process_page.hpp'):
                self.assert_caught('src/shm/' + header, line, 'it may be reused')
            self.assert_caught('src/shm/a.hpp', line + 'static_assert(sizeof(worker_line) == 64);',
                               'it may be reused')
        self.assert_clean('src/shm/layout.hpp', 'struct slot {\n  u32 rapid;\n  u32 tide;  // pid\n'
                                                '  static bool is(pid_t pid);\n};\n')
        self.assert_clean('src/shm/a.hpp', 'struct seat {\n  pid_t pid;\n};\n')

    def test_pointers_where_no_size_is_asserted(self):
        self.assert_caught('src/shm/layout.hpp', 'struct line {\n  std::byte* at;\n};\n',
                           'another process')

    def test_private_structs_may_point(self):
        self.assert_clean('src/shm/a.hpp', 'class region {\n  std::byte* base_;\n};\n')
        self.assert_clean('src/shm/a.hpp', 'struct slot {\n  alignas(2 * line) u64 a;\n'
                                           '  void f(std::byte* p) { int* q; }\n  u64 b;\n};\n'
                                           'static_assert(sizeof(slot) == 16);\n')

    def test_sleeping_tests(self):
        self.assert_caught('tests/os/a_test.cpp', 'void f() { std::this_thread::sleep_for(1ms); }',
                           'with a bound')

    def test_comments_and_strings_do_not_count(self):
        self.assert_clean('src/worker/a.cpp', '// exit(1)\n/* exit(1) */ auto s = "exit(1)";\n')


if __name__ == '__main__':
    unittest.main()
