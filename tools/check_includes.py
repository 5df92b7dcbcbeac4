#!/usr/bin/env python3
"""Names of the standard library come with their header: tools/check_includes.py [root]

Which headers of the standard library include which others changes with each version of a compiler.
So a file that uses a name includes the header that the standard gives it, itself or by way of the
project's own headers. A header of detail/std has only a part of a standard header, which is enough
for the library itself and not for a program that uses it.
"""

import re

from source_text import code_only, includes, report, root_from_arguments, sources

FOLDERS = ('include', 'src', 'components', 'tests', 'examples', 'demo', 'benchmarks')
# Where the project's own headers are looked for, beside the file that includes them.
PATHS = ('include', 'src', 'components/remote/include', 'components/remote/src', 'tests', 'demo',
         'benchmarks', '.')

# Where the headers are that have a part of a standard header, and which folders may rely on them.
PARTS = ('include', 'procpool', 'detail', 'std')
LIBRARY = ('include', 'src', 'components')

# What a header declares in namespace std; a name that several headers declare is in each of them.
NAMES = {
    'algorithm': '''all_of any_of none_of for_each for_each_n count count_if find find_if
        find_if_not search equal mismatch copy_n copy_if copy_backward fill fill_n generate
        generate_n replace replace_if reverse rotate shuffle sample unique unique_copy partition
        stable_partition sort stable_sort partial_sort nth_element is_sorted lower_bound upper_bound
        equal_range binary_search merge includes set_union set_difference set_intersection
        max_element min_element minmax_element min max minmax clamp lexicographical_compare
        next_permutation remove_if adjacent_find push_heap pop_heap make_heap''',
    'any': 'any any_cast',
    'array': 'array to_array',
    'atomic': 'atomic atomic_ref atomic_flag atomic_thread_fence atomic_signal_fence',
    'barrier': 'barrier',
    'bit': '''bit_cast bit_ceil bit_floor bit_width countl_zero countr_zero popcount has_single_bit
        endian rotl rotr''',
    'bitset': 'bitset',
    'charconv': 'from_chars to_chars',
    'chrono': 'chrono',
    'cmath': '''ceil floor round lround llround sqrt pow exp log log2 log10 sin cos isnan isinf
        isfinite fabs hypot fmod nan signbit''',
    'compare': '''strong_ordering weak_ordering partial_ordering three_way_comparable''',
    'complex': 'complex',
    'concepts': '''same_as derived_from convertible_to integral floating_point signed_integral
        unsigned_integral invocable regular_invocable predicate constructible_from
        default_initializable move_constructible copy_constructible equality_comparable
        totally_ordered movable copyable semiregular regular assignable_from destructible
        swappable''',
    'condition_variable': 'condition_variable condition_variable_any cv_status',
    'coroutine': '''coroutine_handle suspend_always suspend_never coroutine_traits noop_coroutine''',
    'csignal': 'raise sig_atomic_t',
    'cstddef': 'size_t ptrdiff_t nullptr_t byte max_align_t to_integer',
    'cstdint': '''int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t intptr_t
        uintptr_t intmax_t uintmax_t''',
    'cstdio': 'FILE printf fprintf snprintf sscanf puts fputs fopen fclose fflush fgets fread fwrite',
    'cstdlib': '''abort exit _Exit quick_exit atexit getenv system malloc calloc realloc free atoi
        atol strtol strtoul strtod strtoull strtoll''',
    'cstring': '''memcpy memmove memset memcmp memchr strlen strcmp strncmp strchr strrchr strstr
        strncpy strcpy strerror''',
    'deque': 'deque',
    'exception': '''exception exception_ptr current_exception rethrow_exception make_exception_ptr
        nested_exception throw_with_nested rethrow_if_nested terminate set_terminate
        uncaught_exceptions bad_exception''',
    'filesystem': 'filesystem',
    'fstream': 'ifstream ofstream fstream filebuf',
    'functional': '''function bind bind_front ref cref reference_wrapper invoke mem_fn not_fn less
        greater plus minus multiplies equal_to not_equal_to negate bad_function_call identity''',
    'future': '''future promise packaged_task async launch shared_future future_status future_error
        future_errc''',
    'initializer_list': 'initializer_list',
    'iomanip': 'setw setfill setprecision put_time quoted',
    'iostream': 'cout cerr cin clog',
    'iterator': '''back_inserter inserter front_inserter distance advance istream_iterator
        istreambuf_iterator ostream_iterator ostreambuf_iterator make_move_iterator move_iterator
        reverse_iterator iterator_traits input_iterator forward_iterator bidirectional_iterator
        random_access_iterator contiguous_iterator sentinel_for iter_value_t iter_reference_t
        iter_difference_t default_sentinel default_sentinel_t input_iterator_tag
        forward_iterator_tag random_access_iterator_tag input_or_output_iterator unreachable_sentinel
        indirectly_readable''',
    'latch': 'latch',
    'limits': 'numeric_limits',
    'list': 'list',
    'forward_list': 'forward_list',
    'locale': 'locale',
    'map': 'map multimap',
    'memory': '''unique_ptr shared_ptr weak_ptr make_unique make_shared enable_shared_from_this
        allocator allocator_traits addressof construct_at destroy_at destroy_n
        uninitialized_copy uninitialized_move default_delete to_address
        assume_aligned static_pointer_cast dynamic_pointer_cast const_pointer_cast
        allocate_shared pointer_traits''',
    'memory_resource': 'pmr',
    'mutex': '''mutex recursive_mutex timed_mutex recursive_timed_mutex lock_guard unique_lock
        scoped_lock once_flag call_once defer_lock adopt_lock try_to_lock defer_lock_t adopt_lock_t
        try_to_lock_t''',
    'new': 'bad_alloc bad_array_new_length nothrow launder align_val_t set_new_handler',
    'numbers': 'numbers',
    'numeric': 'accumulate iota reduce inner_product partial_sum transform_reduce gcd lcm midpoint',
    'optional': 'optional nullopt nullopt_t make_optional bad_optional_access',
    'queue': 'queue priority_queue',
    'random': '''mt19937 mt19937_64 random_device uniform_int_distribution
        uniform_real_distribution normal_distribution minstd_rand''',
    'ranges': 'ranges views',
    'ratio': 'ratio milli micro nano',
    'regex': 'regex smatch regex_search regex_match',
    'set': 'set multiset',
    'semaphore': 'counting_semaphore binary_semaphore',
    'shared_mutex': 'shared_mutex shared_lock shared_timed_mutex',
    'source_location': 'source_location',
    'span': 'span as_bytes as_writable_bytes dynamic_extent',
    'sstream': 'stringstream istringstream ostringstream',
    'stack': 'stack',
    'stdexcept': '''runtime_error logic_error out_of_range invalid_argument domain_error
        length_error range_error overflow_error underflow_error''',
    'stop_token': 'stop_token stop_source stop_callback',
    'streambuf': 'streambuf',
    'string': 'string wstring u8string u16string u32string to_string stoi stol stoul stoull stod '
              'getline char_traits basic_string',
    'string_view': 'string_view wstring_view basic_string_view',
    'system_error': '''error_code error_condition error_category system_error errc generic_category
        system_category make_error_code''',
    'thread': 'thread jthread this_thread',
    'tuple': '''tuple tie make_tuple apply ignore forward_as_tuple tuple_cat make_from_tuple''',
    'type_traits': '''is_same_v is_same enable_if_t decay_t remove_cv_t remove_reference_t
        remove_cvref_t remove_const_t conditional_t is_void_v is_trivially_copyable_v
        is_trivially_copyable is_base_of_v is_convertible_v is_constructible_v is_invocable_v
        is_invocable_r_v invoke_result_t invoke_result true_type false_type integral_constant
        bool_constant void_t is_integral_v is_floating_point_v is_enum_v underlying_type_t
        is_pointer_v is_reference_v is_lvalue_reference_v is_const_v is_array_v is_class_v
        is_empty_v is_aggregate_v is_function_v is_arithmetic_v is_unsigned_v is_signed_v
        make_unsigned_t make_signed_t is_nothrow_move_constructible_v is_default_constructible_v
        is_copy_constructible_v is_move_constructible_v is_trivially_destructible_v
        common_type_t add_pointer_t remove_pointer_t type_identity_t type_identity conjunction_v
        disjunction_v negation_v is_standard_layout_v is_abstract_v is_polymorphic_v is_final_v
        is_member_pointer_v is_member_function_pointer_v is_member_object_pointer_v
        is_bounded_array_v remove_extent_t alignment_of_v aligned_storage_t
        has_unique_object_representations_v is_constant_evaluated''',
    'typeindex': 'type_index',
    'typeinfo': 'type_info bad_cast bad_typeid',
    'unordered_map': 'unordered_map unordered_multimap',
    'unordered_set': 'unordered_set unordered_multiset',
    'utility': '''move forward swap exchange pair make_pair index_sequence make_index_sequence
        index_sequence_for integer_sequence in_place in_place_t in_place_type in_place_type_t
        in_place_index declval as_const piecewise_construct piecewise_construct_t cmp_less
        cmp_greater in_range''',
    'valarray': 'valarray',
    'variant': 'variant visit monostate get_if holds_alternative variant_size_v bad_variant_access '
               'variant_alternative_t',
    'vector': 'vector',
}

# Headers of which the standard says that they have the names of another, too.
ALSO = {
    'algorithm': {'initializer_list'},
    'array': {'cstddef', 'compare', 'initializer_list'},
    'chrono': {'compare', 'ratio'},
    'coroutine': {'compare'},
    'deque': {'compare', 'initializer_list'},
    'iostream': {'ostream', 'istream', 'ios'},
    'list': {'compare', 'initializer_list'},
    'map': {'compare', 'initializer_list'},
    'memory': {'compare'},
    'optional': {'compare'},
    'ranges': {'compare', 'initializer_list', 'iterator'},
    'set': {'compare', 'initializer_list'},
    'string': {'compare', 'initializer_list'},
    'string_view': {'compare'},
    'system_error': {'compare'},
    'thread': {'compare'},
    'tuple': {'compare'},
    'unordered_map': {'compare', 'initializer_list'},
    'unordered_set': {'compare', 'initializer_list'},
    'utility': {'compare', 'initializer_list'},
    'variant': {'compare'},
    'vector': {'compare', 'initializer_list'},
}

# Names that other headers of the standard library declare as well.
ELSEWHERE = {
    'size_t': {'cstdio', 'cstdlib', 'cstring', 'ctime'},
    'exception': {'stdexcept'},
    'swap': {'algorithm'},
    'getline': {'iostream', 'fstream', 'sstream'},
    'distance': {'vector', 'map', 'set', 'string'},
    'abs': {'cmath', 'cstdlib'},
    'move': {'algorithm'},
    'ranges': {'algorithm', 'iterator', 'memory'},  # the namespace
}
# C headers that declare the same names in C's namespace, and g++ and clang in std, too.
C_HEADERS = {'signal.h': 'csignal', 'stdint.h': 'cstdint', 'stdio.h': 'cstdio',
             'stdlib.h': 'cstdlib', 'string.h': 'cstring', 'stddef.h': 'cstddef',
             'math.h': 'cmath'}

_HOMES = {}
for _header, _names in NAMES.items():
    for _name in _names.split():
        _HOMES.setdefault(_name, set()).add(_header)
for _name, _headers in ELSEWHERE.items():
    _HOMES.setdefault(_name, set()).update(_headers)
_USE = re.compile(r'(?<![\w:])(?:::)?std::(\w+)')


def with_own_headers(root, path, cache):
    """The headers of the standard library that this file includes, itself or by the project's.

    The name of a header of which only a part may be there ends in '?'.
    """
    if path in cache:
        return cache[path]
    cache[path] = found = set()
    for _, angled, name in includes((root / path).read_text()):
        own = next((p for p in [path.parent / name] + [root / base / name for base in PATHS]
                    if (root / p).is_file()), None) if '/' in name or not angled else None
        if own is not None:
            own = (root / own).resolve().relative_to(root)
            found |= {name + '?' if own.parts[:4] == PARTS and not name.endswith('?') else name
                      for name in with_own_headers(root, own, cache)}
        else:
            found.add(C_HEADERS.get(name, name))
            found |= ALSO.get(name, set())
    return found


def missing(root, path, cache):
    """(line, message) of the first use of each header that is not included."""
    code = code_only((root / path).read_text())
    there = with_own_headers(root, path, cache)
    if path.parts[0] in LIBRARY:
        there = {name.rstrip('?') for name in there}
    told = set()
    for m in _USE.finditer(code):
        homes = _HOMES.get(m.group(1))
        if homes is None or homes & there or frozenset(homes) in told:
            continue
        told.add(frozenset(homes))
        line = code.count('\n', 0, m.start()) + 1
        header = min(homes & set(NAMES), key=lambda h: (m.group(1) not in NAMES[h].split(), h))
        yield line, f'std::{m.group(1)} without <{header}>'


def main():
    root = root_from_arguments().resolve()
    cache = {}
    files = sources(root, *FOLDERS)
    errors = [f'{path}:{line}: {what}' for path in files
              for line, what in missing(root, path, cache)]
    report(errors, len(files))


if __name__ == '__main__':
    main()
