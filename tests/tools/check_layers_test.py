import unittest

from planted import PlantedTest


class CheckLayers(PlantedTest):
    tool = 'check_layers.py'

    def test_upward_include(self):
        self.assert_caught('src/shm/a.cpp', '#include "pool/pool.hpp"\n', 'shm may not include pool')

    def test_sideways_include(self):
        self.assert_caught('src/worker/a.cpp', '#include "pool/pool.hpp"\n',
                           'worker may not include pool')
        self.assert_caught('src/launch/a.cpp', '#include "worker/run.hpp"\n',
                           'launch may not include worker')

    def test_wire_knows_no_shared_memory(self):
        self.assert_caught('src/wire/a.hpp', '#include "shm/region.hpp"\n', 'wire may not include shm')

    def test_public_header_includes_source(self):
        self.assert_caught('include/procpool/a.hpp', '#include "os/futex.hpp"\n',
                           'a public header includes src/')

    def test_detail_includes_a_facade(self):
        for name in ('"procpool/future.hpp"', '<procpool/map.hpp>'):
            self.assert_caught('include/procpool/detail/task/a.hpp', f'#include {name}\n',
                               'detail/ includes a facade')
        self.assert_clean('include/procpool/detail/task/a.hpp',
                          '#include "procpool/time.hpp"\n#include "procpool/detail/task/b.hpp"\n')
        self.assert_clean('include/procpool/a.hpp', '#include "procpool/future.hpp"\n')

    def test_system_header_outside_os(self):
        for header in ('sys/mman.h', 'unistd.h', 'linux/futex.h'):
            self.assert_caught('src/worker/a.cpp', f'#include <{header}>\n',
                               'only src/os includes system headers')
        self.assert_caught('include/procpool/detail/a.hpp', '#include <unistd.h>\n',
                           'only src/os includes system headers')

    def test_part_of_a_standard_header(self):
        self.assert_clean('include/procpool/detail/std/a.hpp', '#include <bits/chrono.h>\n')
        self.assert_caught('include/procpool/detail/a.hpp', '#include <bits/chrono.h>\n',
                           'only src/os includes system headers')

    def test_layer_that_meets_another_library(self):
        self.assert_caught('components/remote/src/remote/a.cpp', '#include <openssl/evp.h>\n',
                           'only src/os includes system headers')
        self.assert_caught('components/remote/src/remote/openssl_a.cpp', '#include <unistd.h>\n',
                           'only src/os includes system headers')

    def test_component(self):
        self.assert_caught('components/remote/src/remote/a.cpp', '#include "pool/pool.hpp"\n',
                           'remote may not include pool')
        self.assert_caught('components/remote/include/procpool/a.hpp', '#include "os/poll.hpp"\n',
                           'a public header includes src/')
        self.assert_caught('src/pool/a.cpp', '#include "remote/channel.hpp"\n',
                           'pool may not include remote')
        self.assert_clean('components/remote/src/remote/a.cpp',
                          '#include "os/poll.hpp"\n#include "remote/channel.hpp"\n')
        self.assert_clean('components/remote/src/remote/net_socket.cpp', '#include <sys/un.h>\n')

    def test_relative_include(self):
        self.assert_caught('src/os/a.cpp', '#include "a.hpp"\n', 'neither src/ nor include/')

    def test_unknown_layer(self):
        self.assert_caught('src/util/a.cpp', '#include <vector>\n', 'not in a layer')

    def test_cycle(self):
        code, output = self.run_tool({
            'include/procpool/a.hpp': '#include <procpool/detail/b.hpp>\n',
            'include/procpool/detail/b.hpp': '#include "procpool/a.hpp"\n'})
        self.assertEqual(code, 1, output)
        self.assertIn('includes go round: procpool/a.hpp -> procpool/detail/b.hpp', output)

    def test_downward_includes_are_fine(self):
        self.assert_clean('src/pool/a.cpp', '#include "os/futex.hpp"\n#include <vector>\n'
                                              '#include <procpool/errors.hpp>\n')
        self.assert_clean('src/os/a.cpp', '#include <sys/mman.h>\n#include "base/assert.hpp"\n')
        self.assert_clean('include/procpool/asio.hpp', '#include <boost/asio/async_result.hpp>\n')


if __name__ == '__main__':
    unittest.main()
